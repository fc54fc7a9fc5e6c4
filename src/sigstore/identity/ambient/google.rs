//! Service accounts of Google: the machine's own, and one that it may speak for.
//!
//! Source: Google's "Verifying VM identity" (metadata server) and `iamcredentials.generateIdToken`.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use url::Url;

use crate::model::Secret;
use crate::sigstore::identity::IdentityOptions;
use crate::sigstore::identity::ambient::{
    AmbientProvider, address, asked, needed, permission, text_in,
};
use crate::sigstore::identity::failure::{failed, no_token, of_http};
use crate::sigstore::identity::issuer::send;
use crate::sigstore::identity::token::TokenError;
use crate::sigstore::{ServiceError, ServiceErrorKind};
use crate::wire::http::Call;

/// The account to speak for.
pub(super) const ACCOUNT: &str = "GOOGLE_SERVICE_ACCOUNT_NAME";
const METADATA_HOST: &str = "GCE_METADATA_HOST";
/// gcloud's own variable for another address of the service (private endpoints).
const IAM_ENDPOINT: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS";

/// Says whether this is a machine of Google: its firmware says so, or Cloud Run does. Asks nobody on the network.
pub(super) async fn is_machine_of_google(options: &IdentityOptions) -> bool {
    // Those of Google's libraries, and of Cloud Run's contract, whose sandbox shows no firmware.
    let names = [METADATA_HOST, "K_SERVICE", "CLOUD_RUN_JOB"];
    if names.iter().any(|name| options.variable(name).is_some()) {
        return true;
    }
    let product = tokio::fs::read_to_string(&options.places.product_name).await;
    product.is_ok_and(|it| matches!(it.trim(), "Google" | "Google Compute Engine"))
}

/// A token of the account that the machine runs as.
pub(super) async fn workload(
    audience: &str,
    options: &IdentityOptions,
) -> Result<Secret<String>, ServiceError> {
    let provider = AmbientProvider::GoogleWorkloadIdentity;
    let host = options.variable(METADATA_HOST);
    let host = host.as_ref().map_or("metadata.google.internal", |it| it.expose());
    let path = "computeMetadata/v1/instance/service-accounts/default/identity";
    let mut url = address(provider, METADATA_HOST, &format!("http://{host}/{path}"))?;
    url.query_pairs_mut().append_pair("audience", audience).append_pair("format", "full");
    let call = Call::new(Method::GET, url.clone()).header("metadata-flavor", "Google");
    // It is on this machine, or not there at all.
    let hasty = IdentityOptions { patience: options.patience.min(SHORT), ..options.clone() };
    let answer = send(&url, &call, &hasty).await;
    let answer = answer.map_err(|failure| of_http(provider.name(), &url, failure))?;
    let text = String::from_utf8(answer.body.expose().clone());
    text.map(Secret::new).map_err(|_| no_token(provider, TokenError::NoJwt))
}

/// A token of the account that `GOOGLE_SERVICE_ACCOUNT_NAME` names, for one who may speak for it.
pub(super) async fn impersonate(
    audience: &str,
    options: &IdentityOptions,
) -> Result<Secret<String>, ServiceError> {
    let provider = AmbientProvider::GoogleImpersonate;
    let account = needed(provider, ACCOUNT, options)?;
    let Some(google) = &options.google else {
        let said = "this build does not speak with Google: it lacks the feature `gcp-kms`";
        return Err(failed(ServiceErrorKind::Refused, provider, said));
    };
    let access = google.access_token().await?;
    let endpoint = options.variable(IAM_ENDPOINT);
    let endpoint =
        endpoint.as_ref().map_or("https://iamcredentials.googleapis.com/", |it| it.expose());
    let url = generator(&address(provider, IAM_ENDPOINT, endpoint)?, account.expose());
    let authorization = Secret::new(format!("Bearer {}", access.expose()));
    let body = json!({ "audience": audience, "includeEmail": true, "delegates": [] });
    let call = Call::new(Method::POST, url.clone()).json(&body);
    let answer = asked(
        provider,
        &url,
        call.secret_header("authorization", &authorization),
        options,
    )
    .await
    .map_err(|error| {
        permission(
            error,
            "give the caller the role `roles/iam.serviceAccountOpenIdTokenCreator` on that account",
        )
    })?;
    text_in(provider, &answer, "token")
}

fn generator(base: &Url, account: &str) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        let method = format!("{account}:generateIdToken");
        path.pop_if_empty().extend(["v1", "projects", "-", "serviceAccounts", &method]);
    }
    url
}

/// Google's own patience with its metadata server.
const SHORT: Duration = Duration::from_secs(3);
