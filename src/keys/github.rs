//! New keys in the Actions secrets of a GitHub repository: `github://OWNER/REPOSITORY`.
//!
//! GitHub never shows a secret again, so there is nothing to open: the workflow gets the key as a variable. The secrets
//! are cosign's: `COSIGN_PRIVATE_KEY`, `COSIGN_PASSWORD`, `COSIGN_PUBLIC_KEY`.
//! Source: GitHub's REST API, "Actions secrets"; cosign's `pkg/cosign/git/github`.

mod sealed_box;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::crypto::PublicKey;
use crate::keys::github::sealed_box::Recipient;
use crate::keys::http::{Answer, Call, Failure, Http};
use crate::keys::{
    KeyError, KeyErrorKind, KeyPair, KeyReference, OpenOptions, Provider, Signer, new_password,
};
use crate::model::Secret;
use crate::wire::tls::Tls;

const PRIVATE_KEY: &str = "COSIGN_PRIVATE_KEY";
const PASSWORD: &str = "COSIGN_PASSWORD";
const PUBLIC_KEY: &str = "COSIGN_PUBLIC_KEY";
const TIMEOUT: Duration = Duration::from_secs(30);

/// The provider of `github://`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Github;

#[async_trait]
impl Provider for Github {
    fn name(&self) -> &'static str {
        "github"
    }

    fn scheme(&self) -> &'static str {
        "github"
    }

    fn refuses(&self, reference: &str) -> Option<(&'static str, &'static str)> {
        parts(reference).is_none().then_some((
            "it does not name a repository",
            "write `github://OWNER/REPOSITORY`; the host goes into GITHUB_HOST",
        ))
    }

    async fn open(
        &self,
        reference: &KeyReference,
        _options: &OpenOptions,
    ) -> Result<Arc<dyn Signer>, KeyError> {
        Err(KeyError::new("open", reference, KeyErrorKind::Unsupported)
            .because("GitHub never shows a secret again, so `github://` can only create keys")
            .advise("in the workflow, put the secret into a variable and write `env://COSIGN_PRIVATE_KEY`"))
    }

    async fn create(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<PublicKey, KeyError> {
        let secrets = Secrets::of(reference, options)?;
        for name in [PRIVATE_KEY, PASSWORD, PUBLIC_KEY] {
            secrets.is_free(name).await?;
        }
        let (recipient, id) = secrets.recipient().await?;
        let password = new_password(&reference.to_string(), options).await?;
        let pair = KeyPair::generate(&password).await?;
        let public_pem = Secret::new(pair.public_key.to_pem());
        // The public key last: where it is, the others are.
        for (name, value) in
            [(PASSWORD, &password), (PRIVATE_KEY, &pair.private_pem), (PUBLIC_KEY, &public_pem)]
        {
            secrets.store(name, value, &recipient, &id).await?;
        }
        Ok(pair.public_key)
    }
}

/// The owner and the repository, both names as GitHub has them.
fn parts(reference: &str) -> Option<(&str, &str)> {
    let (owner, repository) = reference.strip_prefix("github://")?.split_once('/')?;
    let is_name = |text: &str| {
        !text.is_empty()
            && !matches!(text, "." | "..")
            && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
    };
    (is_name(owner) && is_name(repository)).then_some((owner, repository))
}

/// The secrets of one repository, and who we are to it.
struct Secrets<'a> {
    http: Http,
    reference: &'a KeyReference,
    url: Url,
    token: Secret<String>,
}

impl<'a> Secrets<'a> {
    fn of(reference: &'a KeyReference, options: &OpenOptions) -> Result<Self, KeyError> {
        let token = options.variable("GITHUB_TOKEN").ok_or_else(|| {
            KeyError::new("create", reference, KeyErrorKind::Permission)
                .because("GITHUB_TOKEN is not set")
                .advise(TOKEN)
        })?;
        let wrong = || {
            KeyError::new("create", reference, KeyErrorKind::Malformed)
                .because("GITHUB_HOST is no `https://` address")
        };
        // An Enterprise Server has its API below its own address.
        let (host, path): (String, &[&str]) = match options.variable("GITHUB_HOST") {
            None => ("https://api.github.com".to_owned(), &[]),
            Some(host) if host.expose().contains("://") => (host.expose().clone(), &["api", "v3"]),
            Some(host) => (format!("https://{}", host.expose()), &["api", "v3"]),
        };
        let host = Url::parse(&host).ok().filter(|it| matches!(it.scheme(), "http" | "https"));
        let mut url = host.filter(Url::has_host).ok_or_else(wrong)?;
        let (owner, repository) = parts(reference.text()).unwrap_or_default();
        url.path_segments_mut()
            .map_err(|()| wrong())?
            .pop_if_empty()
            .extend(path)
            .extend(["repos", owner, repository, "actions", "secrets"]);
        let http = Http::new(&url, Tls::default(), TIMEOUT, options);
        let http = http.map_err(|failure| failure.at("create", reference))?;
        Ok(Self { http, reference, url, token })
    }

    /// Makes sure that there is no secret of that name.
    async fn is_free(&self, name: &str) -> Result<(), KeyError> {
        match self.send(Method::GET, name, None).await {
            Err(failure) if failure.kind == KeyErrorKind::NotFound => Ok(()),
            Err(failure) => Err(self.explain(failure)),
            Ok(_) => Err(KeyError::new("create", self.reference, KeyErrorKind::Exists)
                .because(format!("the repository has a secret {name}"))
                .advise("delete the repository's secrets COSIGN_PRIVATE_KEY, COSIGN_PASSWORD and COSIGN_PUBLIC_KEY first")),
        }
    }

    /// To whom secrets of this repository are sealed, and the id of that key.
    async fn recipient(&self) -> Result<(Recipient, String), KeyError> {
        let answer = self.send(Method::GET, "public-key", None).await;
        let answer = answer
            .and_then(|it| it.json().map_err(Failure::from))
            .map_err(|it| self.explain(it))?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let key = text("key").and_then(|it| STANDARD.decode(it).ok());
        let recipient = key.and_then(|it| Recipient::new(&it));
        recipient.zip(text("key_id").map(str::to_owned)).ok_or_else(|| {
            KeyError::new("create", self.reference, KeyErrorKind::Malformed)
                .because("the repository's public key cannot be read")
        })
    }

    async fn store(
        &self,
        name: &str,
        value: &Secret<String>,
        recipient: &Recipient,
        id: &str,
    ) -> Result<(), KeyError> {
        let sealed = recipient.seal(value.expose().as_bytes()).ok_or_else(|| {
            KeyError::new("create", self.reference, KeyErrorKind::Malformed)
                .because("nothing can be sealed to the repository's public key")
        })?;
        let body = json!({ "encrypted_value": STANDARD.encode(sealed), "key_id": id });
        let sent = self.send(Method::PUT, name, Some(&body)).await;
        sent.map(drop).map_err(|failure| self.explain(failure))
    }

    async fn send(
        &self,
        method: Method,
        name: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push(name);
        }
        let bearer = Secret::new(format!("Bearer {}", self.token.expose()));
        let mut call = Call::new(method, url)
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .secret_header("authorization", &bearer)?;
        if let Some(body) = body {
            call = call.json(body);
        }
        self.http.send(&call).await
    }

    fn explain(&self, failure: Failure) -> KeyError {
        // GitHub says 403 for its limits, too.
        let is_limit = failure.said.to_ascii_lowercase().contains("rate limit");
        let kind = if is_limit { KeyErrorKind::Throttled } else { failure.kind };
        let error = Failure { kind, ..failure }.at("create", self.reference);
        match kind {
            KeyErrorKind::NotFound => error.advise(
                "check owner and repository, and that the token may see it: GitHub says `not found` for what it hides",
            ),
            KeyErrorKind::Permission => error.advise(TOKEN),
            _ => error,
        }
    }
}

const TOKEN: &str = "set GITHUB_TOKEN to a fine-grained token with read and write access to the repository's secrets, or a classic one with the scope `repo`; the token of a workflow run may not write secrets";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_an_owner_and_a_repository() {
        assert_eq!(parts("github://acme/app.x-1"), Some(("acme", "app.x-1")));
        for bad in [
            "github://acme",
            "github://acme/",
            "github:///app",
            "github://a/b/c",
            "github://a/..",
            "github://a/b?c",
        ] {
            assert!(Github.refuses(bad).is_some(), "{bad}");
        }
    }
}
