//! The manifest behind `sha256-<hex>.sig`: read leniently, edited without losing what others wrote.

use serde_json::Map;

use crate::crypto::SignatureBytes;
use crate::model::{Annotations, Descriptor, Digest, Manifest, ManifestError, go_json, media_type};

/// The keys of layer annotations.
///
/// Source: cosign `pkg/oci/static/signature.go`.
pub mod annotation {
    /// The signature, in base64.
    pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
    /// The log entry.
    pub const BUNDLE: &str = "dev.sigstore.cosign/bundle";
    /// The certificate, in PEM.
    pub const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
    /// The chain above it, in PEM, the root last.
    pub const CHAIN: &str = "dev.sigstore.cosign/chain";
    /// The timestamp.
    pub const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";
}

/// At most as many layers as cosign reads.
pub(super) const MAX_LAYERS: usize = 1000;

/// The manifest that carries the signatures of one subject.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Carrier {
    manifest: Manifest,
}

/// What tells one signature of a subject from another: its payload, and all that was written beside it.
///
/// Two layers may be equal in both; then they are the same signature twice. Two bundles are not.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LayerId {
    /// The digest of the payload.
    pub payload: Digest,
    /// SHA-256 of all annotations of the layer; of a bundle, the digest of the manifest that carries it.
    pub annotations: Digest,
}

/// One layer of a carrier, as it was found.
#[derive(Clone, Copy, Debug)]
pub struct CarrierLayer<'a> {
    /// Its place, from 0.
    pub position: usize,
    /// What stands in the manifest.
    pub descriptor: &'a Descriptor,
}

impl CarrierLayer<'_> {
    /// What tells it from others.
    pub fn id(&self) -> LayerId {
        LayerId {
            payload: self.descriptor.digest.clone(),
            annotations: Digest::of(&go_json::to_vec(&self.descriptor.annotations)),
        }
    }

    /// The signature; `None` where the annotation is missing, empty or no base64.
    pub fn signature(&self) -> Option<SignatureBytes> {
        SignatureBytes::from_base64(self.descriptor.annotation(annotation::SIGNATURE)?).ok()
    }
}

/// A signature to add.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Addition {
    /// The payload.
    pub payload: Descriptor,
    /// Its annotations: the signature, and what is attached to it.
    pub annotations: Annotations,
}

/// A manifest that is no carrier of signatures.
#[derive(Debug, thiserror::Error)]
pub enum CarrierError {
    /// Not an image manifest: an index, or not JSON.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It has more layers than cosign reads.
    #[error("the manifest has {0} layers, more than the {MAX_LAYERS} that verifiers read")]
    TooManyLayers(usize),
    /// A manifest whose layers are no signatures: somebody's image under a signature tag.
    #[error("the manifest carries no signatures: its layers are `{0}`")]
    NoSignatures(String),
}

impl Carrier {
    /// A carrier without signatures.
    pub fn empty() -> Self {
        Self {
            manifest: Manifest {
                schema_version: 2,
                media_type: Some(media_type::OCI_MANIFEST.to_owned()),
                config: Descriptor::of(media_type::OCI_CONFIG, b""),
                layers: Vec::new(),
                annotations: None,
                subject: None,
                artifact_type: None,
                extra: Map::new(),
            },
        }
    }

    /// Reads the manifest behind a signature tag.
    ///
    /// # Errors
    ///
    /// When it is no image manifest, has too many layers, or has layers of which none is a signature:
    /// GitLab, for one, answers some tags made of a digest with the image itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, CarrierError> {
        let manifest = Manifest::parse(bytes)?;
        if manifest.layers.len() > MAX_LAYERS {
            return Err(CarrierError::TooManyLayers(manifest.layers.len()));
        }
        let carries = |layer: &Descriptor| {
            layer.annotation(annotation::SIGNATURE).is_some()
                || layer.media_type == media_type::SIMPLE_SIGNING
        };
        match manifest.layers.first() {
            Some(first) if !manifest.layers.iter().any(carries) => {
                Err(CarrierError::NoSignatures(first.media_type.clone()))
            }
            _ => Ok(Self { manifest }),
        }
    }

    /// The layers, in order.
    pub fn layers(&self) -> impl Iterator<Item = CarrierLayer<'_>> {
        let layers = self.manifest.layers.iter().enumerate();
        layers.map(|(position, descriptor)| CarrierLayer { position, descriptor })
    }

    /// How many layers there are.
    pub fn len(&self) -> usize {
        self.manifest.layers.len()
    }

    /// Says whether no layer is left.
    pub fn is_empty(&self) -> bool {
        self.manifest.layers.is_empty()
    }

    /// The media type to write it with.
    pub fn media_type(&self) -> &str {
        self.manifest.media_type.as_deref().unwrap_or(media_type::OCI_MANIFEST)
    }

    /// The same with `additions` at the end and without the layers at the places of `removals`.
    pub fn edit(&self, removals: &[usize], additions: Vec<Addition>) -> Self {
        let mut manifest = self.manifest.clone();
        let mut position = 0;
        manifest.layers.retain(|_| {
            position += 1;
            !removals.contains(&(position - 1))
        });
        manifest.layers.extend(additions.into_iter().map(|addition| Descriptor {
            annotations: Some(addition.annotations),
            ..addition.payload
        }));
        Self { manifest }
    }

    /// The configuration that fits the layers, and the manifest that names it.
    ///
    /// The configuration is rewritten as cosign rewrites it, one history entry and one `diff_id` a layer.
    pub fn to_bytes(&self) -> CarrierBytes {
        let config = config_bytes(&self.manifest.layers);
        let media_type = if self.media_type() == media_type::DOCKER_MANIFEST {
            "application/vnd.docker.container.image.v1+json"
        } else {
            media_type::OCI_CONFIG
        };
        let manifest =
            Manifest { config: Descriptor::of(media_type, &config), ..self.manifest.clone() };
        CarrierBytes { config, manifest: manifest.to_bytes() }
    }
}

/// What is uploaded for a carrier.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CarrierBytes {
    /// The configuration blob.
    pub config: Vec<u8>,
    /// The manifest.
    pub manifest: Vec<u8>,
}

/// Source: cosign `pkg/oci/empty/empty.go`, `pkg/oci/mutate`.
fn config_bytes(layers: &[Descriptor]) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Config<'a> {
        architecture: &'a str,
        created: &'a str,
        history: Vec<History<'a>>,
        os: &'a str,
        rootfs: RootFs<'a>,
        config: Map<String, serde_json::Value>,
    }
    #[derive(serde::Serialize)]
    struct History<'a> {
        created: &'a str,
    }
    #[derive(serde::Serialize)]
    struct RootFs<'a> {
        r#type: &'a str,
        diff_ids: Vec<&'a Digest>,
    }
    const ZERO_TIME: &str = "0001-01-01T00:00:00Z";
    go_json::to_vec(&Config {
        architecture: "",
        created: ZERO_TIME,
        history: layers.iter().map(|_| History { created: ZERO_TIME }).collect(),
        os: "",
        rootfs: RootFs { r#type: "layers", diff_ids: layers.iter().map(|it| &it.digest).collect() },
        config: Map::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by cosign 2.5.0 and 3.1.1 alike, for one key and for two.
    const ONE: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":233,"digest":"sha256:37657f8b3ea40fda008eedbdf308d120fc8c4ee0d25cc76caed27cdbeb49564a"},"layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":235,"digest":"sha256:fc39bd7cd49c66bfeaf92632339e8df503ee07b237b1730c5f70b453bdf08936","annotations":{"dev.cosignproject.cosign/signature":"MEYCIQCcRCYuwUbDyfWZi4CP+x/FzLZ7SZYp8thjp25D3nCf6gIhAMU8o5PhLl2C1GZaaWUTZsSNXwi53m4wHVStbP2GPoJm"}}]}"#;
    const TWO: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":342,"digest":"sha256:30109da0fc0c919dbb36a6c9b8e22d591e93e9943718e75754e2359d5ce37468"},"layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":235,"digest":"sha256:fc39bd7cd49c66bfeaf92632339e8df503ee07b237b1730c5f70b453bdf08936","annotations":{"dev.cosignproject.cosign/signature":"MEYCIQCcRCYuwUbDyfWZi4CP+x/FzLZ7SZYp8thjp25D3nCf6gIhAMU8o5PhLl2C1GZaaWUTZsSNXwi53m4wHVStbP2GPoJm"}},{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":235,"digest":"sha256:fc39bd7cd49c66bfeaf92632339e8df503ee07b237b1730c5f70b453bdf08936","annotations":{"dev.cosignproject.cosign/signature":"MEYCIQDY/3WvJ/LBr12tW0eQEv3i0HkSzEm8UPG5TunIp7DHDQIhAKQxsFB4zYggcuCGtp9Repl4AFvx9ZiP08QwBbDrH3kt"}}]}"#;

    fn addition(signature: &str) -> Addition {
        Addition {
            payload: Descriptor {
                media_type: media_type::SIMPLE_SIGNING.to_owned(),
                size: 235,
                digest: "sha256:fc39bd7cd49c66bfeaf92632339e8df503ee07b237b1730c5f70b453bdf08936"
                    .parse()
                    .unwrap(),
                ..Descriptor::of("", b"")
            },
            annotations: Annotations::from([(
                annotation::SIGNATURE.to_owned(),
                signature.to_owned(),
            )]),
        }
    }

    #[test]
    fn manifests_and_configurations_are_cosigns() {
        let first = "MEYCIQCcRCYuwUbDyfWZi4CP+x/FzLZ7SZYp8thjp25D3nCf6gIhAMU8o5PhLl2C1GZaaWUTZsSNXwi53m4wHVStbP2GPoJm";
        let second = "MEYCIQDY/3WvJ/LBr12tW0eQEv3i0HkSzEm8UPG5TunIp7DHDQIhAKQxsFB4zYggcuCGtp9Repl4AFvx9ZiP08QwBbDrH3kt";
        let one = Carrier::empty().edit(&[], vec![addition(first)]);
        assert_eq!(String::from_utf8(one.to_bytes().manifest).unwrap(), ONE);
        let two = Carrier::parse(ONE.as_bytes()).unwrap().edit(&[], vec![addition(second)]);
        assert_eq!(String::from_utf8(two.to_bytes().manifest).unwrap(), TWO);
        assert_eq!(two.edit(&[1], Vec::new()).to_bytes().manifest, ONE.as_bytes());
    }

    #[test]
    fn an_image_under_a_signature_tag_is_no_carrier() {
        let image = ONE
            .replace("vnd.dev.cosign.simplesigning.v1+json", "vnd.oci.image.layer.v1.tar+gzip")
            .replace("dev.cosignproject.cosign/signature", "other");
        let error = Carrier::parse(image.as_bytes()).unwrap_err();
        assert!(matches!(error, CarrierError::NoSignatures(_)), "{error}");
        assert!(matches!(Carrier::parse(b"<html>").unwrap_err(), CarrierError::Manifest(_)));
    }
}
