//! An issuer of OpenID Connect: what it says of itself, and the tokens that it gives. Source: OpenID Connect
//! Discovery 1.0, RFC 6749, RFC 7636.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use url::{Host, Url};

use crate::model::Secret;
use crate::sigstore::identity::failure::{failed, no_token, of_http};
use crate::sigstore::identity::{IdentityOptions, IdentityToken, Login, PUBLIC_ISSUER, given};
use crate::sigstore::{ServiceError, ServiceErrorKind};
use crate::wire::http::{Answer, Call, Http, HttpFailure};
use crate::wire::one_line;
use crate::wire::tls::Tls;

const TIMEOUT: Duration = Duration::from_secs(30);

/// What is asked of every issuer: a token, and the address of whom it is about.
pub(super) const SCOPE: &str = "openid email";

/// An issuer that has said where it is asked for what.
#[derive(Debug)]
pub(super) struct Issuer<'a> {
    pub(super) options: &'a IdentityOptions,
    name: String,
    configuration: Value,
}

impl<'a> Issuer<'a> {
    /// Asks the issuer about itself. One request.
    ///
    /// # Errors
    ///
    /// No answer; an answer of another issuer; addresses without TLS.
    pub(super) async fn discover(options: &'a IdentityOptions) -> Result<Self, ServiceError> {
        let name = name(options).await?;
        let wrong = |said: String| failed(ServiceErrorKind::Refused, &name, said);
        let text = format!("{}/.well-known/openid-configuration", name.trim_end_matches('/'));
        let url = Url::parse(&text).map_err(|_| wrong("it is no URL".into()))?;
        confidential(&url).map_err(|why| wrong(why.into()))?;
        let answer = send(&url, &Call::new(Method::GET, url.clone()), options).await;
        let configuration = answer
            .and_then(|it| it.json())
            .map_err(|failure| of_http("the issuer", &url, failure))?;
        let said = configuration.get("issuer").and_then(Value::as_str).unwrap_or_default();
        if said != name {
            let said = one_line(said).unwrap_or_default();
            return Err(failed(
                ServiceErrorKind::Untrusted,
                &name,
                format!("it calls itself `{said}`"),
            )
            .advise("pass `--oidc-issuer` exactly as the issuer calls itself"));
        }
        Ok(Self { options, name, configuration })
    }

    pub(super) fn login(&self) -> &Login {
        &self.options.login
    }

    /// A failure of `kind` of this issuer.
    pub(super) fn failed(&self, kind: ServiceErrorKind, said: impl AsRef<str>) -> ServiceError {
        failed(kind, &self.name, said)
    }

    /// Where it is asked for something, as it says.
    pub(super) fn endpoint(&self, name: &str) -> Result<Url, ServiceError> {
        let text = self.configuration.get(name).and_then(Value::as_str).ok_or_else(|| {
            self.failed(ServiceErrorKind::Refused, format!("it offers no `{name}`"))
                .advise("choose another `--fulcio-auth-flow`")
        })?;
        let wrong =
            |why: &str| self.failed(ServiceErrorKind::Untrusted, format!("its `{name}`: {why}"));
        let url = Url::parse(text).map_err(|_| wrong("no URL"))?;
        confidential(&url).map_err(wrong)?;
        Ok(url)
    }

    /// Says whether it takes PKCE with SHA-256. Those that do not tell are believed to.
    pub(super) fn takes_s256(&self) -> bool {
        match self.configuration.get("code_challenge_methods_supported") {
            Some(Value::Array(methods)) => methods.iter().any(|it| it == "S256"),
            _ => true,
        }
    }

    /// The secret of the client, where it has one.
    pub(super) async fn client_secret(&self) -> Result<Option<Secret<String>>, ServiceError> {
        let Some(path) = &self.login().client_secret_file else { return Ok(None) };
        let unreadable = |why: String| {
            let said = format!("cannot read the client's secret from {}: {why}", path.display());
            self.failed(ServiceErrorKind::Permission, said)
        };
        let text = given::file(path).await.map_err(|error| unreadable(error.to_string()))?;
        let text = text.map_err(|_| unreadable("it is no text of up to 64 KiB".into()))?;
        Ok(Some(Secret::new(text.expose().trim().to_owned())))
    }

    /// Posts a form to one of its endpoints.
    pub(super) async fn post(
        &self,
        url: &Url,
        fields: &[(&str, &str)],
    ) -> Result<Value, HttpFailure> {
        send(url, &Call::new(Method::POST, url.clone()).form(fields), self.options).await?.json()
    }

    /// The token in the answer of the token endpoint.
    ///
    /// It came from the issuer itself, so its signature is not checked (OpenID Connect Core 1.0 §3.1.3.7); what it
    /// says is.
    ///
    /// # Errors
    ///
    /// No token; one of another issuer, or for another program.
    pub(super) fn token_in(&self, answer: &Value) -> Result<IdentityToken, ServiceError> {
        let text = answer.get("id_token").and_then(Value::as_str).ok_or_else(|| {
            let said = "it gave no `id_token`: the client may not ask for the scope `openid`";
            self.failed(ServiceErrorKind::Refused, said)
        })?;
        let token = IdentityToken::parse(&Secret::new(text.to_owned()))
            .map_err(|error| no_token(&self.name, error))?;
        if token.issuer() != self.name {
            return Err(self.failed(ServiceErrorKind::Untrusted, "its token names another issuer"));
        }
        if !token.is_for(&self.login().client_id) {
            return Err(
                self.failed(ServiceErrorKind::Untrusted, "its token is for another program")
            );
        }
        Ok(token)
    }
}

/// Which issuer: the one that is named, else that of the deployment, else that of the public instance.
async fn name(options: &IdentityOptions) -> Result<String, ServiceError> {
    if let Some(named) = &options.login.issuer {
        return Ok(named.clone());
    }
    let Some(deployment) = &options.deployment else { return Ok(PUBLIC_ISSUER.to_owned()) };
    let refused = |said: String| {
        failed(ServiceErrorKind::Refused, "the issuer of the deployment", said)
            .advise("pass `--oidc-issuer URL`, or a token with `--identity-token FILE`")
    };
    let opened = deployment.opened().await.map_err(|failure| refused(failure.message))?;
    let Some(config) = opened.config else { return Ok(PUBLIC_ISSUER.to_owned()) };
    let issuer = config.issuer(options.clock.now());
    issuer.map(|it| it.url).map_err(|error| refused(error.to_string()))
}

/// Sends one call.
pub(super) async fn send(
    url: &Url,
    call: &Call,
    options: &IdentityOptions,
) -> Result<Answer, HttpFailure> {
    let environment = &*options.environment;
    Http::new(url, Tls::default(), TIMEOUT, options.patience, environment)?.send(call).await
}

/// Tokens and secrets go over TLS, or stay on this machine.
pub(super) fn confidential(url: &Url) -> Result<(), &'static str> {
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback => Ok(()),
        "http" => Err("secrets are not sent without TLS: use https"),
        _ => Err("it is no https address"),
    }
}
