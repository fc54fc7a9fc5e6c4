//! Access tokens of Google for what is not KMS: speaking for another service account.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use crate::keys::gcp_kms::credentials::Credentials;
use crate::keys::http::Failure;
use crate::keys::{KeyErrorKind, OpenOptions};
use crate::model::Secret;
use crate::sigstore::identity::GoogleAccess;
use crate::sigstore::{Service, ServiceError, ServiceErrorKind};

/// Application Default Credentials, found when they are first needed.
#[derive(Debug)]
struct DefaultCredentials {
    options: OpenOptions,
    found: OnceCell<Credentials>,
}

/// Access tokens by Application Default Credentials, as `gcpkms://` uses them. Asks nobody yet.
pub(in crate::keys) fn google_access(options: OpenOptions) -> Arc<dyn GoogleAccess> {
    Arc::new(DefaultCredentials { options, found: OnceCell::new() })
}

#[async_trait]
impl GoogleAccess for DefaultCredentials {
    async fn access_token(&self) -> Result<Secret<String>, ServiceError> {
        let found = self.found.get_or_try_init(|| Credentials::find(&self.options)).await;
        found.map_err(said)?.access_token().await.map_err(said)
    }
}

fn said(failure: Failure) -> ServiceError {
    let kind = match failure.kind {
        KeyErrorKind::Throttled => ServiceErrorKind::Throttled,
        KeyErrorKind::Tls => ServiceErrorKind::Tls,
        KeyErrorKind::Unavailable => ServiceErrorKind::Unavailable,
        KeyErrorKind::Permission => ServiceErrorKind::Permission,
        _ => ServiceErrorKind::Refused,
    };
    ServiceError::new(Service::Identity, "get an access token from", "Google", kind, failure.said)
}
