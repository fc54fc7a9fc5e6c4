//! Keys in the CI/CD variables of a GitLab project or group: `gitlab://PROJECT`, `gitlab://GROUP`, by id or path.
//!
//! The variables are cosign's: `COSIGN_PRIVATE_KEY`, `COSIGN_PASSWORD`, `COSIGN_PUBLIC_KEY`. What is no project is a group.
//! Source: GitLab's REST API, "Project-level CI/CD variables", "Group-level CI/CD variables"; cosign's
//! `pkg/cosign/git/gitlab`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::crypto::PublicKey;
use crate::keys::http::{Call, Failure, Http};
use crate::keys::local::{KIND_OF_KEYS, LocalSigner};
use crate::keys::{
    KeyError, KeyErrorKind, KeyPair, KeyReference, OpenOptions, Provider, Signer, new_password,
};
use crate::model::Secret;
use crate::wire::tls::Tls;

const PRIVATE_KEY: &str = "COSIGN_PRIVATE_KEY";
const PASSWORD: &str = "COSIGN_PASSWORD";
const PUBLIC_KEY: &str = "COSIGN_PUBLIC_KEY";
const TIMEOUT: Duration = Duration::from_secs(30);

/// The provider of `gitlab://`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gitlab;

#[async_trait]
impl Provider for Gitlab {
    fn name(&self) -> &'static str {
        "gitlab"
    }

    fn scheme(&self) -> &'static str {
        "gitlab"
    }

    fn refuses(&self, reference: &str) -> Option<(&'static str, &'static str)> {
        let project = project(reference);
        let is_path = !project.is_empty()
            && project.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
            && !project.contains(['?', '#', '@']);
        (!is_path).then_some((
            "it does not name a project or group",
            "write `gitlab://GROUP/PROJECT`, `gitlab://GROUP` or `gitlab://ID`; the host goes into GITLAB_HOST",
        ))
    }

    async fn open(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<Arc<dyn Signer>, KeyError> {
        let project = Project::of("open", reference, options)?;
        let text = project.variable("open", PRIVATE_KEY).await?;
        let key = reference.to_string();
        let signer = match project.variable("open", PASSWORD).await {
            Ok(password) => LocalSigner::open_with(&key, &text, password).await,
            Err(error) if error.kind == KeyErrorKind::NotFound => {
                LocalSigner::open(&key, &text, options).await
            }
            Err(error) => return Err(error),
        };
        let signer = signer.map_err(|error| match error.kind {
            KeyErrorKind::WrongPassword => {
                error.advise("check the variable COSIGN_PASSWORD in GitLab")
            }
            _ => error,
        })?;
        Ok(Arc::new(signer))
    }

    async fn published(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<Option<PublicKey>, KeyError> {
        let operation = "read the public key of";
        let project = Project::of(operation, reference, options)?;
        let text = match project.variable(operation, PUBLIC_KEY).await {
            Ok(text) => text,
            Err(error) if error.kind == KeyErrorKind::NotFound && !project.is_missing(&error) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        PublicKey::from_pem(text.expose()).map(Some).map_err(|error| {
            KeyError::new(operation, reference, KeyErrorKind::Malformed)
                .because(format!("the variable {PUBLIC_KEY}: {error}"))
                .advise(KIND_OF_KEYS)
        })
    }

    async fn create(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<PublicKey, KeyError> {
        let project = Project::of("create", reference, options)?;
        for name in [PRIVATE_KEY, PASSWORD, PUBLIC_KEY] {
            match project.variable("create", name).await {
                Err(error)
                    if error.kind == KeyErrorKind::NotFound && !project.is_missing(&error) => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    return Err(KeyError::new("create", reference, KeyErrorKind::Exists)
                        .because(format!("there is a variable {name}"))
                        .advise("delete the variables COSIGN_PRIVATE_KEY, COSIGN_PASSWORD and COSIGN_PUBLIC_KEY first"));
                }
            }
        }
        let password = new_password(&reference.to_string(), options).await?;
        let pair = KeyPair::generate(&password).await?;
        // The public key last: where it is, the others are.
        project.store(PASSWORD, password.expose()).await?;
        project.store(PRIVATE_KEY, pair.private_pem.expose()).await?;
        project.store(PUBLIC_KEY, &pair.public_key.to_pem()).await?;
        Ok(pair.public_key)
    }
}

/// What GitLab says where there is no group either. Of a variable it says `404 GroupVariable Not Found`.
const NEITHER: &str = "404 Group Not Found";

fn project(reference: &str) -> &str {
    reference.strip_prefix("gitlab://").unwrap_or_default()
}

/// One project or group, and who we are to it.
struct Project<'a> {
    http: Http,
    reference: &'a KeyReference,
    /// The API of the server.
    base: Url,
    /// Whether a project was looked for in vain.
    is_group: AtomicBool,
    token: Secret<String>,
}

impl<'a> Project<'a> {
    fn of(
        operation: &'static str,
        reference: &'a KeyReference,
        options: &OpenOptions,
    ) -> Result<Self, KeyError> {
        let token = options.variable("GITLAB_TOKEN").ok_or_else(|| {
            KeyError::new(operation, reference, KeyErrorKind::Permission)
                .because("GITLAB_TOKEN is not set")
                .advise("set GITLAB_TOKEN to an access token of a maintainer, with the scope `read_api` (`api` to create)")
        })?;
        let host = options.variable("GITLAB_HOST");
        let host = host.map_or_else(|| "https://gitlab.com".to_owned(), |it| it.expose().clone());
        let host = if host.contains("://") { host } else { format!("https://{host}") };
        let wrong = || {
            KeyError::new(operation, reference, KeyErrorKind::Malformed)
                .because("GITLAB_HOST is no `https://` address")
        };
        let host = Url::parse(&host).ok().filter(|it| matches!(it.scheme(), "http" | "https"));
        let mut base = host.filter(Url::has_host).ok_or_else(wrong)?;
        base.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().extend(["api", "v4"]);
        let http = Http::new(&base, Tls::default(), TIMEOUT, options);
        let http = http.map_err(|failure| failure.at(operation, reference))?;
        Ok(Self { http, reference, base, is_group: AtomicBool::new(false), token })
    }

    async fn variable(
        &self,
        operation: &'static str,
        name: &str,
    ) -> Result<Secret<String>, KeyError> {
        let mut answer = self.read(name).await;
        if answer.as_ref().is_err_and(|it| it.said.contains("Project Not Found")) {
            self.is_group.store(true, Ordering::Relaxed);
            answer = self.read(name).await;
        }
        let answer = answer.map_err(|failure| self.explain(failure, operation, name))?;
        match answer.get("value").and_then(Value::as_str) {
            Some(value) => Ok(Secret::new(value.to_owned())),
            None => Err(KeyError::new(operation, self.reference, KeyErrorKind::Malformed)
                .because(format!("the variable {name} has no value"))),
        }
    }

    async fn read(&self, name: &str) -> Result<Value, Failure> {
        let mut url = self.variables();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push(name);
        }
        self.send(Call::new(Method::GET, url)).await
    }

    /// Where the variables are.
    fn variables(&self) -> Url {
        let owner = if self.is_group.load(Ordering::Relaxed) { "groups" } else { "projects" };
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            // A path is one part: its slashes are written %2F.
            segments.extend([owner, project(self.reference.text()), "variables"]);
        }
        url
    }

    async fn store(&self, name: &str, value: &str) -> Result<(), KeyError> {
        // `raw`: a `$` in a password names no other variable.
        let body = json!({
            "key": name, "value": value, "variable_type": "env_var", "raw": true,
            "protected": false, "masked": false, "environment_scope": "*",
        });
        let call = Call::new(Method::POST, self.variables()).json(&body);
        let sent = self.send(call).await;
        sent.map(drop).map_err(|failure| self.explain(failure, "create", name))
    }

    async fn send(&self, call: Call) -> Result<Value, Failure> {
        let call = call.secret_header("private-token", &self.token)?;
        Ok(self.http.send(&call).await?.json()?)
    }

    /// Says whether there is neither project nor group, rather than no such variable.
    fn is_missing(&self, error: &KeyError) -> bool {
        error.source.as_ref().is_some_and(|it| it.to_string().contains(NEITHER))
    }

    fn explain(&self, failure: Failure, operation: &'static str, name: &str) -> KeyError {
        let is_project = failure.said.contains(NEITHER);
        let kind = failure.kind;
        let error = failure.at(operation, self.reference);
        match kind {
            KeyErrorKind::NotFound if is_project => error.advise(
                "check the path or id of the project or group, and that the token may see it: GitLab says `not found` for what it hides",
            ),
            KeyErrorKind::NotFound => error.advise(format!(
                "there is no CI/CD variable {name}: make a key with `countersign generate-key-pair {}`",
                self.reference
            )),
            KeyErrorKind::Permission => error.advise(
                "GITLAB_TOKEN needs the scope `read_api` (`api` to create) and the role Maintainer in the project, or Owner of the group",
            ),
            KeyErrorKind::Exists => KeyError { kind: KeyErrorKind::Unsupported, ..error }.advise(format!(
                "there are several variables {name} for different environments: keep one"
            )),
            _ => error,
        }
    }
}
