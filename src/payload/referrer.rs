//! The manifest that ties a bundle to its subject: an OCI referrer, as cosign 3 writes it.

use serde_json::Map;

use crate::model::{Annotations, Descriptor, Digest, Manifest, Timestamp, media_type};
use crate::payload::bundle::{BUNDLE_MEDIA_TYPE, BUNDLE_PREFIX};
use crate::payload::statement::SIGN_PREDICATE;

/// The configuration of a referrer, an empty object.
///
/// Source: OCI image-spec 1.1, manifest.md, "Guidance for an Empty Descriptor".
pub const EMPTY_CONFIG: &[u8] = b"{}";

const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The configuration of cosign 2's experimental referrers.
const EXPERIMENTAL: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";

const CONTENT: &str = "dev.sigstore.bundle.content";
const CREATED: &str = "org.opencontainers.image.created";
const PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";

/// What a referrer is to a signer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReferrerKind<'a> {
    /// A bundle that says it is an attestation: its predicate type.
    Attestation(&'a str),
    /// A bundle that is a signature, or does not say what it is: the layer that holds it.
    Bundle(&'a Descriptor),
    /// Signatures in the layers, as cosign 2 wrote them with `--registry-referrers-mode=oci-1-1`.
    Experimental,
    /// Something else, like an SBOM.
    Other,
    /// Of another subject, or of none.
    Stranger,
}

/// What the manifest of a referrer of `subject` is.
///
/// Its own word counts, not that of a list: lists are written by other tools, and often wrong. cosign 3
/// takes for a bundle what has one layer whose media type begins as a bundle's.
pub fn referrer_kind<'a>(manifest: &'a Manifest, subject: &Digest) -> ReferrerKind<'a> {
    if manifest.subject.as_ref().is_none_or(|it| it.digest != *subject) {
        return ReferrerKind::Stranger;
    }
    if manifest.config.media_type == EXPERIMENTAL {
        return ReferrerKind::Experimental;
    }
    let Some(layer) = bundle_layer(manifest) else { return ReferrerKind::Other };
    let predicate = manifest.annotations.as_ref().and_then(|it| it.get(PREDICATE_TYPE));
    match predicate.filter(|it| *it != SIGN_PREDICATE) {
        Some(predicate) => ReferrerKind::Attestation(predicate),
        None => ReferrerKind::Bundle(layer),
    }
}

/// The layer that holds a bundle, whatever the manifest is about; none where it is something else.
pub fn bundle_layer(manifest: &Manifest) -> Option<&Descriptor> {
    match manifest.layers.as_slice() {
        [layer] if layer.media_type.starts_with(BUNDLE_PREFIX) => Some(layer),
        _ => None,
    }
}

/// How a list must name this manifest: with its artifact type and its annotations.
///
/// Source: OCI distribution-spec 1.1, "Pushing Manifests with Subject".
pub fn listing_of(descriptor: &Descriptor, manifest: &Manifest) -> Descriptor {
    let artifact_type =
        manifest.artifact_type.clone().unwrap_or_else(|| manifest.config.media_type.clone());
    Descriptor {
        artifact_type: Some(artifact_type).filter(|it| !it.is_empty()),
        annotations: manifest.annotations.clone(),
        ..descriptor.clone()
    }
}

/// The manifest of the referrer that carries `bundle`.
///
/// `subject` has media type, size and digest. The bytes, and so the digest, differ with `created`.
pub fn bundle_referrer(bundle: &[u8], subject: &Descriptor, created: Timestamp) -> Manifest {
    let bundle_type = || Some(BUNDLE_MEDIA_TYPE.to_owned());
    let subject = Descriptor {
        annotations: None,
        platform: None,
        artifact_type: None,
        extra: Map::new(),
        ..subject.clone()
    };
    Manifest {
        schema_version: 2,
        media_type: Some(media_type::OCI_MANIFEST.to_owned()),
        config: Descriptor {
            // cosign removes only what has it here: `clean` looks for it.
            artifact_type: bundle_type(),
            ..Descriptor::of(EMPTY, EMPTY_CONFIG)
        },
        layers: vec![Descriptor::of(BUNDLE_MEDIA_TYPE, bundle)],
        annotations: Some(Annotations::from([
            (CONTENT.to_owned(), "dsse-envelope".to_owned()),
            (PREDICATE_TYPE.to_owned(), SIGN_PREDICATE.to_owned()),
            (CREATED.to_owned(), created.to_string()),
        ])),
        subject: Some(subject),
        artifact_type: bundle_type(),
        extra: Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by cosign 3.1.1: see the README there.
    const PLAIN: &str = include_str!("../../tests/fixtures/bundles/plain.manifest.json");
    const ATTESTATION: &str =
        include_str!("../../tests/fixtures/bundles/attestation.manifest.json");
    const BUNDLE: &[u8] = include_bytes!("../../tests/fixtures/bundles/plain.sigstore.json");

    #[test]
    fn manifests_are_cosigns() {
        let manifest = Manifest::parse(PLAIN.as_bytes()).unwrap();
        let subject = manifest.subject.clone().unwrap();
        // 2026-11-22T19:09:14Z
        let created = Timestamp::from_seconds(1_795_374_554);
        let ours = bundle_referrer(BUNDLE, &subject, created);
        assert_eq!(String::from_utf8(ours.to_bytes()).unwrap(), PLAIN);
        assert!(matches!(referrer_kind(&ours, &subject.digest), ReferrerKind::Bundle(_)));
        assert_eq!(referrer_kind(&ours, &Digest::of(b"other")), ReferrerKind::Stranger);
        let listed = listing_of(&Descriptor::of(media_type::OCI_MANIFEST, b""), &ours);
        assert_eq!(listed.artifact_type.as_deref(), Some(BUNDLE_MEDIA_TYPE));
        assert_eq!(listed.annotations, ours.annotations);
    }

    #[test]
    fn kinds_are_told_apart_by_the_manifest() {
        let manifest = Manifest::parse(ATTESTATION.as_bytes()).unwrap();
        let subject = manifest.subject.clone().unwrap().digest;
        let attestation = ReferrerKind::Attestation("https://cosign.sigstore.dev/attestation/v1");
        assert_eq!(referrer_kind(&manifest, &subject), attestation);
        let mut silent = manifest.clone();
        silent.annotations = None;
        assert!(matches!(referrer_kind(&silent, &subject), ReferrerKind::Bundle(_)));
        let mut sbom = silent.clone();
        sbom.layers = vec![Descriptor::of("application/spdx+json", b"{}")];
        assert_eq!(referrer_kind(&sbom, &subject), ReferrerKind::Other);
        let mut two = silent;
        two.layers.extend(manifest.layers);
        assert_eq!(referrer_kind(&two, &subject), ReferrerKind::Other);
    }
}
