//! Real evidence for the tests: see `tests/fixtures/evidence/README.md`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::crypto::{Certificate, Chain, Hash, PublicKey, SignatureBytes};
use crate::model::Timestamp;
use crate::payload::{
    Bundle, LogEntry, Material, annotation, statement_signed_bytes, timestamp_from_annotation,
};
use crate::trust::{Content, Proof, Signed, TrustedRoot, Verifier};

/// A signature with its evidence.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) payload: Vec<u8>,
    pub(super) is_bundle: bool,
    pub(super) signature: SignatureBytes,
    pub(super) key: PublicKey,
    pub(super) certificate: Option<Certificate>,
    pub(super) chain: Option<Chain>,
    pub(super) entries: Vec<LogEntry>,
    pub(super) tokens: Vec<Vec<u8>>,
}

pub(super) fn file(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap()
}

pub(super) fn text(name: &str) -> String {
    String::from_utf8(file(name)).unwrap()
}

pub(super) fn root() -> TrustedRoot {
    TrustedRoot::parse(&file("trusted_root.json")).unwrap()
}

/// The trusted root with something changed.
pub(super) fn root_with(change: impl FnOnce(&mut Value)) -> TrustedRoot {
    let mut value: Value = serde_json::from_slice(&file("trusted_root.json")).unwrap();
    change(&mut value);
    TrustedRoot::parse(value.to_string().as_bytes()).unwrap()
}

/// An hour after the signatures were made: the certificates have ended.
pub(super) fn later() -> Timestamp {
    Timestamp::from_seconds(1_795_388_400)
}

/// All of them, in the order of their names.
pub(super) fn samples() -> Vec<Sample> {
    let names = fs::read_dir(folder()).unwrap().map(|it| it.unwrap().file_name());
    let mut names: Vec<String> = names.map(|it| it.into_string().unwrap()).collect();
    names.retain(|it| it.starts_with("bundle-") || it.starts_with("simple-"));
    names.sort();
    names.iter().map(|it| sample(it.split('.').next().unwrap())).collect()
}

pub(super) fn sample(name: &str) -> Sample {
    let key = || {
        let key = name.split('-').find(|it| it.starts_with('p') || it.starts_with("rsa"));
        let path = format!("../keys/{}.pub", key.unwrap_or("p256"));
        PublicKey::from_pem(&text(&path)).unwrap()
    };
    if name.starts_with("bundle-") {
        let bundle = Bundle::parse(&file(&format!("{name}.sigstore.json"))).unwrap();
        assert_eq!(bundle.unread, [""; 0], "{name}");
        let certificate = match &bundle.material {
            Material::Certificate(certificate) => Some(certificate.clone()),
            _ => None,
        };
        return Sample {
            name: name.to_owned(),
            signature: bundle.signature().unwrap().clone(),
            key: certificate.as_ref().map_or_else(key, |it| it.public_key().clone()),
            certificate,
            chain: None,
            payload: bundle.envelope.payload,
            is_bundle: true,
            entries: bundle.log_entries,
            tokens: bundle.timestamps,
        };
    }
    let value: Value = serde_json::from_slice(&file(&format!("{name}.json"))).unwrap();
    let annotation = |name: &str| value["annotations"][name].as_str().filter(|it| !it.is_empty());
    let certificate = annotation(annotation::CERTIFICATE).map(Certificate::from_pem);
    let certificate = certificate.transpose().unwrap();
    Sample {
        name: name.to_owned(),
        payload: value["payload"].as_str().unwrap().as_bytes().to_vec(),
        is_bundle: false,
        signature: SignatureBytes::from_base64(annotation(annotation::SIGNATURE).unwrap()).unwrap(),
        key: certificate.as_ref().map_or_else(key, |it| it.public_key().clone()),
        certificate,
        chain: annotation(annotation::CHAIN).map(|it| Chain::from_pem(it).unwrap()),
        entries: annotation(annotation::BUNDLE)
            .map(|it| LogEntry::from_annotation(it).unwrap())
            .into_iter()
            .collect(),
        tokens: annotation(annotation::TIMESTAMP)
            .map(|it| timestamp_from_annotation(it).unwrap())
            .into_iter()
            .collect(),
    }
}

impl Sample {
    pub(super) fn prove(&self, root: &TrustedRoot) -> Proof {
        let content = match self.is_bundle {
            true => Content::Statement(&self.payload),
            false => Content::Message(&self.payload),
        };
        let verifier = match &self.certificate {
            Some(certificate) => Verifier::Certificate(certificate),
            None => Verifier::Key(&self.key),
        };
        let signed = Signed { content, signature: &self.signature, verifier };
        root.prove(&signed, &self.entries, &self.tokens, later())
    }

    /// Says whether the signature itself is good.
    pub(super) fn is_good(&self) -> bool {
        let message = match self.is_bundle {
            true => statement_signed_bytes(&self.payload),
            false => self.payload.clone(),
        };
        self.key.verifying_hash(&message, &self.signature, Hash::Sha256).is_some()
    }

    pub(super) fn entry(&mut self) -> &mut LogEntry {
        &mut self.entries[0]
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/evidence")
}
