//! New keys: the key ring where there is none, the key, and its first version.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::keys::gcp_kms::{Service, text};
use crate::keys::http::Failure;
use crate::keys::{KeyError, KeyErrorKind, KeyReference};

/// Between two looks at a version that is being generated; one in an HSM takes some seconds.
const PAUSE: Duration = Duration::from_millis(500);

/// Makes a P-256 key in software protection, as the service has it by default, and waits for its first version. Gives
/// the name of that.
pub(super) async fn create(
    service: &Service,
    key: &str,
    patience: Duration,
) -> Result<String, Failure> {
    let malformed = || Failure::new(KeyErrorKind::Malformed, "the key has no key ring");
    let (ring, name) = key.split_once("/cryptoKeys/").ok_or_else(malformed)?;
    let (location, ring_name) = ring.split_once("/keyRings/").ok_or_else(malformed)?;
    match service.call(Method::GET, ring, None).await {
        Ok(_) => {}
        Err(failure) if failure.kind == KeyErrorKind::NotFound => {
            let path = format!("{location}/keyRings?keyRingId={ring_name}");
            service.call(Method::POST, &path, Some(&json!({}))).await?;
        }
        Err(failure) => return Err(failure),
    }
    let body = json!({
        "purpose": "ASYMMETRIC_SIGN",
        "versionTemplate": { "algorithm": "EC_SIGN_P256_SHA256" },
    });
    let path = format!("{ring}/cryptoKeys?cryptoKeyId={name}");
    service.call(Method::POST, &path, Some(&body)).await?;
    let version = format!("{key}/cryptoKeyVersions/1");
    wait(service, &version, patience).await?;
    Ok(version)
}

/// Waits until a version can sign: asymmetric keys are generated after they were created.
async fn wait(service: &Service, version: &str, patience: Duration) -> Result<(), Failure> {
    let since = Instant::now();
    loop {
        let answer = service.call(Method::GET, version, None).await?;
        match text(&answer, "state").unwrap_or_default() {
            "ENABLED" => return Ok(()),
            "PENDING_GENERATION" if since.elapsed() < patience => sleep(PAUSE).await,
            state => {
                let said = format!("the first version of the key is {state}");
                return Err(Failure::new(KeyErrorKind::Unavailable, said));
            }
        }
    }
}

/// Says what went wrong. What was created once cannot be deleted, so no name is free again.
pub(super) fn described(reference: &KeyReference, failure: Failure) -> KeyError {
    let advice = match failure.kind {
        KeyErrorKind::Exists => {
            "choose another name; a version can be added with: gcloud kms keys versions create"
        }
        KeyErrorKind::NotFound => "check project and location in the reference",
        KeyErrorKind::Permission => {
            "grant roles/cloudkms.admin and roles/cloudkms.publicKeyViewer on the project, or make the key ring first and grant them there"
        }
        _ => return failure.at("create", reference),
    };
    failure.at("create", reference).advise(advice)
}
