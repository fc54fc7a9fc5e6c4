//! The judge of every key: both cosigns, who are given nothing but the exported public key.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use countersign::crypto::Hash;
use countersign::keys::Signer;
use countersign::model::Annotations;
use countersign::payload::SimpleSigning;

use super::cosign::{Attachment, Cosign, Trust, VerifyOptions};
use super::docker_registry::DockerRegistry;
use super::images::{Image, Publisher};
use super::tools::Tool;

/// What a judgement needs.
pub const JUDGES: &[Tool] = &[Tool::Cosign2, Tool::Cosign3, Tool::DockerRegistry];

/// A registry with an image to be signed.
pub struct Judge {
    registry: DockerRegistry,
    image: Image,
    folder: tempfile::TempDir,
}

impl Judge {
    /// A registry with one image.
    pub async fn new() -> Self {
        let (registry, image) = (DockerRegistry::start(), Image::oci("judged"));
        Publisher::new(&registry).push("judged", &image, None).await;
        Self { registry, image, folder: tempfile::tempdir().unwrap() }
    }

    /// Signs the image with `signer` and lets both cosigns verify the signature, without `--signature-digest-algorithm`
    /// if the hash is SHA-256. Says what they said.
    pub async fn verify(&self, signer: &dyn Signer, hash: Hash) {
        let reference = self.reference();
        let (digest, annotations) = (self.image.digest().parse().unwrap(), Annotations::new());
        let payload = SimpleSigning {
            identity: "acme.example/judged",
            digest: &digest,
            annotations: &annotations,
        }
        .to_bytes();
        let signed = signer.sign(&payload, hash).await.unwrap();
        let attachment = Attachment {
            payload: self.file("payload.json", &payload),
            signature: self.file("signature", signed.signature.to_base64().as_bytes()),
            certificate: None,
            certificate_chain: None,
        };
        Cosign::v2().attach_signature(&reference, &attachment).success();
        let key = self.file("exported.pem", signer.public_key().unwrap().to_pem().as_bytes());
        for cosign in Cosign::both() {
            let options = VerifyOptions {
                hash: Some(hash.name()).filter(|_| hash != Hash::Sha256),
                ..VerifyOptions::default()
            };
            let trust = Trust::Key(key.clone());
            assert_eq!(cosign.verify(&reference, &trust, &options).unwrap().len(), 1);
        }
        Publisher::new(&self.registry).push("judged", &self.image, None).await;
    }

    /// The image, by its digest.
    pub fn reference(&self) -> String {
        self.registry.reference(&format!("judged@{}", self.image.digest()))
    }

    /// Where files of this judgement may lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder().join(name);
        fs::File::create(&path).unwrap().write_all(content).unwrap();
        path
    }
}
