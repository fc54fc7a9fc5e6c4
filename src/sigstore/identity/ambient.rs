//! What the surroundings offer: CI systems, clouds, files. In the order of cosign.
//!
//! The first that is there is asked, and no other: where it fails, another could only say that somebody else signs.
//! Source: cosign's `pkg/providers`.

mod google;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::model::Secret;
use crate::sigstore::identity::failure::{failed, no_token, of_http};
use crate::sigstore::identity::issuer::send;
use crate::sigstore::identity::{AmbientUse, IdentityOptions, IdentityToken, given};
use crate::sigstore::{ServiceError, ServiceErrorKind};
use crate::wire::http::Call;

const GITHUB_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";
const GITHUB_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const BUILDKITE_TOKEN: &str = "BUILDKITE_AGENT_ACCESS_TOKEN";
const VARIABLE: &str = "SIGSTORE_ID_TOKEN";
const SPIFFE_SOCKET: &str = "SPIFFE_ENDPOINT_SOCKET";

/// A provider of tokens that asks nobody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AmbientProvider {
    /// A workflow of GitHub Actions with `id-token: write`.
    GithubActions,
    /// A job of Buildkite.
    BuildkiteAgent,
    /// The variable `SIGSTORE_ID_TOKEN`.
    Variable,
    /// A file at a fixed place, as Kubernetes projects one.
    Filesystem,
    /// The machine's own service account, on Google's machines.
    GoogleWorkloadIdentity,
    /// Another service account, named by `GOOGLE_SERVICE_ACCOUNT_NAME`.
    GoogleImpersonate,
    /// The agent of SPIFFE on this machine.
    Spiffe,
}

/// Files and sockets at fixed places.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Places {
    /// The file with a token.
    pub token_file: PathBuf,
    /// The socket of the SPIFFE agent, where `SPIFFE_ENDPOINT_SOCKET` names none.
    pub spiffe_socket: PathBuf,
    /// Where the machine says who made it.
    pub product_name: PathBuf,
}

impl Default for Places {
    /// Those of cosign and of Google's libraries.
    fn default() -> Self {
        Self {
            token_file: "/var/run/sigstore/cosign/oidc-token".into(),
            spiffe_socket: "/tmp/spire-agent/public/api.sock".into(),
            product_name: "/sys/class/dmi/id/product_name".into(),
        }
    }
}

impl AmbientProvider {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 7] = [
        Self::GithubActions,
        Self::BuildkiteAgent,
        Self::Variable,
        Self::Filesystem,
        Self::GoogleWorkloadIdentity,
        Self::GoogleImpersonate,
        Self::Spiffe,
    ];

    /// What it is called: `github-actions`.
    pub fn name(self) -> &'static str {
        match self {
            Self::GithubActions => "github-actions",
            Self::BuildkiteAgent => "buildkite-agent",
            Self::Variable => "envvar",
            Self::Filesystem => "filesystem",
            Self::GoogleWorkloadIdentity => "google-workload-identity",
            Self::GoogleImpersonate => "google-impersonate",
            Self::Spiffe => "spiffe",
        }
    }

    async fn is_there(self, options: &IdentityOptions) -> bool {
        let is_set = |name| options.variable(name).is_some();
        match self {
            Self::GithubActions => is_set(GITHUB_TOKEN) && is_set(GITHUB_URL),
            Self::BuildkiteAgent => is_set(BUILDKITE_TOKEN),
            Self::Variable => is_set(VARIABLE),
            Self::Filesystem => exists(&options.places.token_file).await,
            Self::GoogleWorkloadIdentity => google::is_machine_of_google(options).await,
            Self::GoogleImpersonate => is_set(google::ACCOUNT),
            Self::Spiffe => exists(&spiffe_socket(options)).await,
        }
    }
}

impl fmt::Display for AmbientProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for AmbientProvider {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|it| it.name() == text);
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|it| it.name()).collect();
            format!("no provider is called so: it is one of {}", names.join(", "))
        })
    }
}

/// The provider to ask, where there is one.
pub(super) async fn choose(options: &IdentityOptions) -> Option<AmbientProvider> {
    match options.ambient {
        AmbientUse::Never => None,
        AmbientUse::Only(provider) => Some(provider),
        AmbientUse::First => {
            for provider in AmbientProvider::ALL {
                if provider.is_there(options).await {
                    return Some(provider);
                }
            }
            None
        }
    }
}

/// Asks `provider` for a token.
pub(super) async fn token(
    provider: AmbientProvider,
    audience: &str,
    options: &IdentityOptions,
) -> Result<IdentityToken, ServiceError> {
    tracing::debug!(%provider, "identity.ambient");
    let raw = match provider {
        AmbientProvider::GithubActions => github(audience, options).await,
        AmbientProvider::BuildkiteAgent => buildkite(audience, options).await,
        AmbientProvider::Variable => needed(provider, VARIABLE, options),
        AmbientProvider::Filesystem => filesystem(options).await,
        AmbientProvider::GoogleWorkloadIdentity => google::workload(audience, options).await,
        AmbientProvider::GoogleImpersonate => google::impersonate(audience, options).await,
        AmbientProvider::Spiffe => spiffe(audience, options).await,
    };
    let token = IdentityToken::parse(&raw?).map_err(|error| no_token(provider, error))?;
    // Variables and files hold what somebody made before; the others were just asked for this audience.
    let is_asked = !matches!(provider, AmbientProvider::Variable | AmbientProvider::Filesystem);
    if is_asked && !token.is_for(audience) {
        let said = format!("its token is not for `{audience}`");
        return Err(failed(ServiceErrorKind::Untrusted, provider, said));
    }
    if !is_asked && token.is_expired(options.clock.now()) {
        let said = format!("the token ended at {}", token.expires());
        return Err(failed(ServiceErrorKind::Permission, provider, said)
            .advise("get a new token and run again: what is done is kept"));
    }
    Ok(token)
}

/// Source: GitHub's "OpenID Connect reference", §Methods for requesting the OIDC token.
async fn github(audience: &str, options: &IdentityOptions) -> Result<Secret<String>, ServiceError> {
    let provider = AmbientProvider::GithubActions;
    let token = needed(provider, GITHUB_TOKEN, options)?;
    let mut url = address(provider, GITHUB_URL, needed(provider, GITHUB_URL, options)?.expose())?;
    url.query_pairs_mut().append_pair("audience", audience);
    let authorization = Secret::new(format!("bearer {}", token.expose()));
    let call = Call::new(Method::GET, url.clone()).header("accept", "application/json");
    let answer =
        asked(provider, &url, call.secret_header("authorization", &authorization), options)
            .await
            .map_err(|error| permission(error, "give the job `permissions: { id-token: write }`"))?;
    text_in(provider, &answer, "value")
}

/// Source: the agent's `api/oidc.go`.
async fn buildkite(
    audience: &str,
    options: &IdentityOptions,
) -> Result<Secret<String>, ServiceError> {
    let provider = AmbientProvider::BuildkiteAgent;
    let token = needed(provider, BUILDKITE_TOKEN, options)?;
    let job = needed(provider, "BUILDKITE_JOB_ID", options)?;
    let name = "BUILDKITE_AGENT_ENDPOINT";
    let endpoint = options.variable(name);
    let endpoint = endpoint.as_ref().map_or("https://agent.buildkite.com/v3", |it| it.expose());
    let mut url = address(provider, name, endpoint)?;
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["jobs", job.expose(), "oidc", "tokens"]);
    }
    let authorization = Secret::new(format!("Token {}", token.expose()));
    let call = Call::new(Method::POST, url.clone()).json(&json!({ "audience": audience }));
    let call = call.secret_header("authorization", &authorization);
    text_in(provider, &asked(provider, &url, call, options).await?, "token")
}

async fn filesystem(options: &IdentityOptions) -> Result<Secret<String>, ServiceError> {
    let (provider, path) = (AmbientProvider::Filesystem, &options.places.token_file);
    let read = given::file(path).await.map_err(|error| {
        let said = format!("cannot read {}: {error}", path.display());
        failed(ServiceErrorKind::Permission, provider, said)
    })?;
    read.map_err(|error| no_token(provider, error))
}

#[cfg(unix)]
async fn spiffe(audience: &str, options: &IdentityOptions) -> Result<Secret<String>, ServiceError> {
    let socket = spiffe_socket(options);
    crate::sigstore::identity::spiffe::token(audience, &socket).await.map_err(|failure| {
        let place = format!("{} ({})", AmbientProvider::Spiffe, socket.display());
        failed(failure.kind, place, failure.said)
    })
}

#[cfg(not(unix))]
#[expect(clippy::unused_async, reason = "as where there are such sockets")]
async fn spiffe(_: &str, _: &IdentityOptions) -> Result<Secret<String>, ServiceError> {
    let said = "the agent is asked over a socket that this system does not have";
    Err(failed(ServiceErrorKind::Refused, AmbientProvider::Spiffe, said))
}

/// `SPIFFE_ENDPOINT_SOCKET` is a URL in SPIFFE's own words, a path in cosign's: both are taken.
fn spiffe_socket(options: &IdentityOptions) -> PathBuf {
    match options.variable(SPIFFE_SOCKET) {
        Some(named) => {
            let path = named.expose();
            PathBuf::from(
                path.strip_prefix("unix://").or(path.strip_prefix("unix:")).unwrap_or(path),
            )
        }
        None => options.places.spiffe_socket.clone(),
    }
}

/// Sends `call` and reads its JSON.
async fn asked(
    provider: AmbientProvider,
    url: &Url,
    call: Result<Call, crate::wire::http::HttpFailure>,
    options: &IdentityOptions,
) -> Result<Value, ServiceError> {
    let answer = async { send(url, &call?, options).await?.json() }.await;
    answer.map_err(|failure| of_http(provider.name(), url, failure))
}

fn permission(error: ServiceError, advice: &str) -> ServiceError {
    match error.kind {
        ServiceErrorKind::Permission => error.advise(advice),
        _ => error,
    }
}

fn needed(
    provider: AmbientProvider,
    name: &str,
    options: &IdentityOptions,
) -> Result<Secret<String>, ServiceError> {
    options.variable(name).ok_or_else(|| {
        failed(ServiceErrorKind::Permission, provider, format!("the variable {name} is not set"))
    })
}

fn address(provider: AmbientProvider, name: &str, text: &str) -> Result<Url, ServiceError> {
    let url = Url::parse(text).ok().filter(|it| matches!(it.scheme(), "http" | "https"));
    url.ok_or_else(|| {
        failed(ServiceErrorKind::Refused, provider, format!("the variable {name} is no URL"))
    })
}

fn text_in(
    provider: AmbientProvider,
    answer: &Value,
    name: &str,
) -> Result<Secret<String>, ServiceError> {
    let text = answer.get(name).and_then(Value::as_str).filter(|it| !it.is_empty());
    text.map(|it| Secret::new(it.to_owned())).ok_or_else(|| {
        failed(ServiceErrorKind::Untrusted, provider, format!("the answer has no `{name}`"))
    })
}

async fn exists(path: &std::path::Path) -> bool {
    tokio::fs::metadata(path).await.is_ok()
}
