//! Making the signatures of one subject: signed, verified, ready to be written.

use std::sync::Arc;

use crate::crypto::{Certificate, Chain, SignatureBytes};
use crate::keys::Keyring;
use crate::model::{Annotations, Descriptor, Digest, SignerName, media_type};
use crate::observe::key_failure;
use crate::payload::{Addition, annotation};
use crate::plan::{Change, Failure, SignerKey, SignerState, Signers, Want, WantOrigin};

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
/// When the key cannot be opened or used, or what it gave does not verify under the signer's public key.
pub(super) async fn prepare(
    change: &Change,
    digest: &Digest,
    signers: &Signers,
    keyring: &Keyring,
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
    let state = signers.get(&want.signer);
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
            let payload = payload.as_deref().unwrap_or_default();
            sign(want, payload, signers, keyring).await?
        }
    };
    let checked = |state: &&SignerState| !matches!(state.key, SignerKey::Unchecked);
    if let (Some(payload), Some(state)) = (&payload, state.filter(checked)) {
        let good = state
            .public_key()
            .is_some_and(|key| key.verifies(payload, &signature, state.profile.hash));
        if !good {
            return Err(does_not_verify(&want.signer));
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

pub(super) fn does_not_verify(signer: &SignerName) -> Failure {
    Failure::error(
        "signature::does_not_verify",
        format!("what {signer} gave does not verify under its public key"),
    )
    .help("nothing was uploaded; check that `key` and `public_key` belong together")
}

pub(super) async fn sign(
    want: &Want,
    payload: &[u8],
    signers: &Signers,
    keyring: &Keyring,
) -> Result<SignatureBytes, Failure> {
    let signer = keyring.signer(&want.signer).await.map_err(|error| key_failure(&error))?;
    let hash = signers.get(&want.signer).map(|it| it.profile.hash).unwrap_or_default();
    let signed = signer.sign(payload, hash).await.map_err(|error| key_failure(&error))?;
    Ok(signed.signature)
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
