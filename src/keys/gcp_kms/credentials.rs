//! Application Default Credentials: who asks Google.
//!
//! The order is Google's: the file that GOOGLE_APPLICATION_CREDENTIALS names, that of gcloud, the metadata server.
//! Source: <https://cloud.google.com/docs/authentication/application-default-credentials>, AIP-4110 to 4117.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::keys::bearer::{Token, TokenCache, assertion, bearer, secret};
use crate::keys::file::read;
use crate::keys::gcp_kms::{external, parse, text};
use crate::keys::http::{Answer, Call, Failure, Http};
use crate::keys::{KeyErrorKind, OpenOptions};
use crate::model::{Clock as _, Secret, SystemClock};
use crate::wire::tls::Tls;

const FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const TIMEOUT: Duration = Duration::from_secs(20);

/// Who asks, and the token that shows it.
#[derive(Debug)]
pub(super) struct Credentials {
    source: Source,
    options: OpenOptions,
    quota_project: Option<String>,
    token: TokenCache,
}

enum Source {
    /// The content of a credentials file, with the type of it.
    File(Value),
    /// The machine's own service account.
    Metadata(Url),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(_) => "File(…)",
            Self::Metadata(_) => "Metadata",
        })
    }
}

impl Credentials {
    /// Finds them; asks nobody yet.
    pub(super) async fn find(options: &OpenOptions) -> Result<Self, Failure> {
        let named = options.variable(FILE).map(|it| PathBuf::from(it.expose()));
        let path = named.clone().or_else(|| well_known(options).filter(|it| it.exists()));
        let source = match path {
            Some(path) => Source::File(content(&path).await?),
            None => {
                let host = options.variable("GCE_METADATA_HOST");
                let host = host.as_ref().map_or("metadata.google.internal", |it| it.expose());
                Source::Metadata(parse(&format!("http://{host}/"))?)
            }
        };
        let quota_project = options
            .variable("GOOGLE_CLOUD_QUOTA_PROJECT")
            .map(|it| it.expose().clone())
            .or_else(|| match &source {
                Source::File(file) => text(file, "quota_project_id").map(str::to_owned),
                Source::Metadata(_) => None,
            });
        Ok(Self { source, options: options.clone(), quota_project, token: TokenCache::default() })
    }

    /// The same call with who asks.
    pub(super) async fn authorize(&self, call: Call) -> Result<Call, Failure> {
        let token = self.access_token().await?;
        let call = call.secret_header("authorization", &bearer(&token))?;
        match &self.quota_project {
            Some(project) => {
                let project = Secret::new(project.clone());
                Ok(call.secret_header("x-goog-user-project", &project)?)
            }
            None => Ok(call),
        }
    }

    /// The token that shows who asks.
    pub(super) async fn access_token(&self) -> Result<Secret<String>, Failure> {
        self.token.get(self.fetch()).await
    }

    async fn fetch(&self) -> Result<Token, Failure> {
        let token = match &self.source {
            Source::File(file) => of_file(file, &self.options).await,
            Source::Metadata(base) => metadata(base, &self.options).await,
        };
        token.map_err(|failure| refused(&self.source, failure))
    }
}

fn refused(source: &Source, failure: Failure) -> Failure {
    let who = match source {
        Source::File(file) => text(file, "type").unwrap_or("credentials"),
        Source::Metadata(_) => "metadata server",
    };
    let (kind, said) = match failure.kind {
        // 400 `invalid_grant`: a token that was revoked, a key that was deleted.
        KeyErrorKind::Unsupported | KeyErrorKind::NotFound if failure.status.is_some() => {
            (KeyErrorKind::Permission, failure.said)
        }
        KeyErrorKind::Unavailable if matches!(source, Source::Metadata(_)) => (
            KeyErrorKind::Permission,
            format!("no credentials: {FILE} is not set, gcloud has none, and {}", failure.said),
        ),
        kind => (kind, failure.said),
    };
    Failure { kind, status: failure.status, said: format!("Google credentials ({who}): {said}") }
}

/// Where `gcloud auth application-default login` writes.
fn well_known(options: &OpenOptions) -> Option<PathBuf> {
    let folder = options.variable("CLOUDSDK_CONFIG").map(|it| PathBuf::from(it.expose()));
    let folder = folder.or_else(|| {
        if cfg!(windows) {
            options.variable("APPDATA").map(|it| Path::new(it.expose()).join("gcloud"))
        } else {
            options.environment.home_folder().map(|it| it.join(".config/gcloud"))
        }
    });
    Some(folder?.join("application_default_credentials.json"))
}

async fn content(path: &Path) -> Result<Value, Failure> {
    let shown = path.display();
    let text = read("read", "the credentials of Google", path).await.map_err(|error| {
        let why = error.source.map(|it| it.to_string()).unwrap_or_default();
        Failure::new(
            KeyErrorKind::Permission,
            format!("cannot read the credentials {shown}: {why}"),
        )
    })?;
    // The parser's error could quote a secret.
    serde_json::from_str(text.expose()).map_err(|_| {
        Failure::new(KeyErrorKind::Malformed, format!("the credentials {shown} are no JSON"))
    })
}

async fn of_file(file: &Value, options: &OpenOptions) -> Result<Token, Failure> {
    match text(file, "type").unwrap_or_default() {
        "service_account" => service_account(file, options).await,
        "authorized_user" => authorized_user(file, options).await,
        "external_account" => external::account(file, options).await,
        "impersonated_service_account" => {
            let source = file.get("source_credentials").unwrap_or(&Value::Null);
            // Google's own libraries take no chain of these either.
            let token = match text(source, "type") {
                Some("service_account") => service_account(source, options).await?,
                Some("authorized_user") => authorized_user(source, options).await?,
                Some("external_account") => external::account(source, options).await?,
                _ => return Err(malformed("its source credentials are of no type that is taken")),
            };
            let delegates = file.get("delegates").cloned().unwrap_or_else(|| json!([]));
            impersonate(file, &token, &delegates, options).await
        }
        other => Err(malformed(&format!(
            "the type `{other}` is not taken: use service_account, authorized_user, external_account or impersonated_service_account"
        ))),
    }
}

/// RFC 7523: an assertion that the account's own key signs.
async fn service_account(file: &Value, options: &OpenOptions) -> Result<Token, Failure> {
    let url = text(file, "token_uri").unwrap_or("https://oauth2.googleapis.com/token");
    let now = SystemClock.now().as_seconds();
    let claims = json!({
        "iss": text(file, "client_email").ok_or_else(|| malformed("it has no `client_email`"))?,
        "scope": SCOPE,
        "aud": url,
        "iat": now,
        "exp": now + 3600,
    });
    let header = json!({ "kid": text(file, "private_key_id").unwrap_or_default() });
    let assertion = assertion(&secret(file, "private_key")?, header, &claims)?;
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let fields = [("grant_type", grant), ("assertion", assertion.expose().as_str())];
    Token::from_answer(&post(url, &fields, options).await?)
}

async fn authorized_user(file: &Value, options: &OpenOptions) -> Result<Token, Failure> {
    let url = text(file, "token_uri").unwrap_or("https://oauth2.googleapis.com/token");
    let [id, client_secret, refresh] = ["client_id", "client_secret", "refresh_token"];
    let [client, password, token] =
        [secret(file, id)?, secret(file, client_secret)?, secret(file, refresh)?];
    let fields = [
        ("grant_type", refresh),
        (id, client.expose().as_str()),
        (client_secret, password.expose().as_str()),
        (refresh, token.expose().as_str()),
    ];
    Token::from_answer(&post(url, &fields, options).await?)
}

async fn metadata(base: &Url, options: &OpenOptions) -> Result<Token, Failure> {
    let url = base.join("computeMetadata/v1/instance/service-accounts/default/token");
    let call = Call::new(Method::GET, url.map_err(|_| malformed("GCE_METADATA_HOST is no host"))?);
    // Off Google's machines nobody answers: three seconds are Google's own patience.
    let seconds = Duration::from_secs(3);
    let hasty = options.clone().with_patience(options.patience.min(seconds));
    let http = Http::new(base, Tls::default(), seconds, &hasty)?;
    Token::from_answer(&http.send(&call.header("metadata-flavor", "Google")).await?)
}

/// A token of the service account that `service_account_impersonation_url` names.
pub(super) async fn impersonate(
    file: &Value,
    token: &Token,
    delegates: &Value,
    options: &OpenOptions,
) -> Result<Token, Failure> {
    let url = text(file, "service_account_impersonation_url")
        .ok_or_else(|| malformed("it has no `service_account_impersonation_url`"))?;
    let url = parse(url)?;
    let call = Call::new(Method::POST, url.clone())
        .secret_header("authorization", &bearer(&token.value))?
        .json(&json!({ "scope": [SCOPE], "lifetime": "3600s", "delegates": delegates }));
    let answer = Http::new(&url, Tls::default(), TIMEOUT, options)?.send(&call).await?.json()?;
    // `expireTime` says the same as the lifetime that was asked for.
    let until = SystemClock.now().after(Duration::from_secs(3600));
    Ok(Token { value: secret(&answer, "accessToken")?, until })
}

/// Sends a form and gives the answer.
pub(super) async fn post(
    url: &str,
    fields: &[(&str, &str)],
    options: &OpenOptions,
) -> Result<Answer, Failure> {
    let url = parse(url)?;
    let call = Call::new(Method::POST, url.clone()).form(fields);
    Http::new(&url, Tls::default(), TIMEOUT, options)?.send(&call).await
}

pub(super) fn malformed(why: &str) -> Failure {
    Failure::new(KeyErrorKind::Malformed, why)
}

pub(super) const fn scope() -> &'static str {
    SCOPE
}
