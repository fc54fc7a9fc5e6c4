//! Making the signatures of one subject: signed, verified, ready to be written.

use std::sync::Arc;

use crate::apply::make::{Makers, does_not_verify};
use crate::crypto::{Certificate, Chain, SignatureBytes};
use crate::model::{Annotations, Descriptor, Digest, media_type};
use crate::payload::{Addition, annotation, timestamp_to_annotation};
use crate::plan::{Change, Failure, SignerKey, SignerState, WantOrigin};
use crate::sigstore::Evidence;

/// A signature that is ready to be written, and the payload that goes with it.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// The layer.
    pub(super) addition: Addition,
    /// The payload.
    pub(super) payload: Arc<[u8]>,
}

/// Makes or takes the signature of one change at the tag.
///
/// # Errors
///
/// When the key cannot be opened or used, or what it gave does not verify under the signer's public key; when what
/// must bear witness does not.
pub(super) async fn prepare(
    change: &Change,
    digest: &Digest,
    makers: &Makers<'_>,
    to: Option<SignatureBytes>,
) -> Result<Prepared, Failure> {
    let Some(want) = change.want() else {
        return Err(Failure::error(
            "run::defect",
            "a change without a signature was to be written",
        ));
    };
    let payload = match change {
        // The certificate goes to a signature over the payload that is there, however that is spelt.
        Change::Attach { to: Some(found), want } if found.id.payload != want.payload => None,
        _ => Some(want.payload_bytes(digest)),
    };
    let state = makers.signers.get(&want.signer);
    let profile = state.map(|it| &it.profile);
    let mut certificate = profile.and_then(|it| it.certificate.clone());
    let mut chain = profile.and_then(|it| it.chain.clone());
    let mut annotations = Annotations::new();
    let signature = match (&want.origin, to) {
        (_, Some(existing)) => existing,
        (WantOrigin::Attach(attachment), None) => {
            if attachment.certificate.is_some() {
                certificate.clone_from(&attachment.certificate);
                chain.clone_from(&attachment.chain);
            }
            for (key, value) in [
                (annotation::BUNDLE, &attachment.rekor_bundle),
                (annotation::TIMESTAMP, &attachment.timestamp),
            ] {
                if let Some(value) = value {
                    annotations.insert(key.to_owned(), value.clone());
                }
            }
            attachment.signature.clone()
        }
        (WantOrigin::Owed | WantOrigin::Sign, None) => {
            let fresh = makers.make(want, payload.as_deref().unwrap_or_default()).await?;
            (certificate, chain) = (fresh.certificate, fresh.chain);
            add_evidence(&mut annotations, &fresh.evidence)?;
            fresh.signature
        }
    };
    let checked = |state: &&SignerState| !matches!(state.key, SignerKey::Unchecked);
    if let (Some(payload), Some(state)) = (&payload, state.filter(checked)) {
        let certified = certificate.as_ref().map(Certificate::public_key);
        let key = state.public_key().or(certified);
        if !key.is_some_and(|key| key.verifies(payload, &signature, state.profile.hash)) {
            return Err(does_not_verify(want));
        }
    }
    annotations.insert(annotation::SIGNATURE.to_owned(), signature.to_base64());
    add_certificate(&mut annotations, certificate.as_ref(), chain.as_ref());
    let payload: Arc<[u8]> = payload.unwrap_or_default().into();
    let descriptor = match change {
        Change::Attach { to: Some(found), .. } if payload.is_empty() => Descriptor {
            digest: found.id.payload.clone(),
            ..Descriptor::of(media_type::SIMPLE_SIGNING, b"")
        },
        _ => Descriptor::of(media_type::SIMPLE_SIGNING, &payload),
    };
    Ok(Prepared { addition: Addition { payload: descriptor, annotations }, payload })
}

/// A layer has one annotation for a log entry and one for a timestamp.
fn add_evidence(annotations: &mut Annotations, evidence: &Evidence) -> Result<(), Failure> {
    if let Some(entry) = evidence.log_entries.first() {
        let text = entry.to_annotation().ok_or_else(|| {
            Failure::error("run::defect", "a log entry came that no simple signature can carry")
        })?;
        annotations.insert(annotation::BUNDLE.to_owned(), text);
    }
    if let Some(token) = evidence.timestamps.first() {
        let text = timestamp_to_annotation(token);
        annotations.insert(annotation::TIMESTAMP.to_owned(), text);
    }
    Ok(())
}

fn add_certificate(
    annotations: &mut Annotations,
    certificate: Option<&Certificate>,
    chain: Option<&Chain>,
) {
    let Some(certificate) = certificate else { return };
    annotations.insert(annotation::CERTIFICATE.to_owned(), certificate.to_pem());
    if let Some(chain) = chain {
        annotations.insert(annotation::CHAIN.to_owned(), chain.to_pem());
    }
}
