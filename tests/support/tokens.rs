//! A server of bearer tokens, as docker-registry's `auth: token` wants them: JWT, ES256, with the certificate inside.
//!
//! Source: distribution's "Token Authentication Specification" and "Token Authentication Implementation".

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::background::Background;
use super::certificates::{Authority, Leaf, Purpose, Validity};
use super::tools::Credentials;

/// The name of the service in challenges and tokens.
pub const SERVICE: &str = "test-registry";
/// Who issues the tokens.
pub const ISSUER: &str = "test-tokens";

/// A running token server; it stops when this is dropped.
///
/// Who logs in may do what it asks for; who does not may only pull. A wrong password is 401.
pub struct TokenServer {
    server: Background,
    state: Arc<Issued>,
    certificate: String,
}

/// A token that was asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenRequest {
    /// Who logged in.
    pub user: Option<String>,
    /// What for: `repository:acme/api:pull,push`.
    pub scopes: Vec<String>,
}

struct Issued {
    leaf: Leaf,
    credentials: Credentials,
    lifetime: Duration,
    requests: Mutex<Vec<TokenRequest>>,
}

impl TokenServer {
    /// Starts a server that knows one user and issues tokens for `lifetime`.
    ///
    /// docker-registry takes a token for 60 s more than its lifetime.
    pub fn start(credentials: Credentials, lifetime: Duration) -> Self {
        let authority = Authority::root("token authority");
        let leaf = authority.leaf(Purpose::Server, Validity::LONG);
        let certificate = authority.pem().to_owned();
        let state = Arc::new(Issued { leaf, credentials, lifetime, requests: Mutex::default() });
        let router = Router::new().route("/token", get(issue)).with_state(Arc::clone(&state));
        let server = Background::start(|listener| async {
            axum::serve(listener, router).await.unwrap();
        });
        Self { server, state, certificate }
    }

    /// Where tokens are had.
    pub fn realm(&self) -> String {
        format!("http://{}/token", self.server.address())
    }

    /// What the registry checks tokens against, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Every request so far, in order.
    pub fn requests(&self) -> Vec<TokenRequest> {
        self.state.requests.lock().unwrap().clone()
    }
}

async fn issue(
    State(state): State<Arc<Issued>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let user = match user(&headers, state.credentials) {
        Ok(user) => user,
        Err(status) => return status.into_response(),
    };
    let query = query.unwrap_or_default();
    let scopes: Vec<String> = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "scope")
        .flat_map(|(_, value)| value.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .filter(|scope| !scope.is_empty())
        .collect();
    let access: Vec<Value> = scopes.iter().filter_map(|it| grant(it, user.as_deref())).collect();
    let token = token(&state, user.as_deref(), &access);
    state.requests.lock().unwrap().push(TokenRequest { user, scopes });
    let answer = json!({ "token": token, "expires_in": state.lifetime.as_secs() });
    ([("content-type", "application/json")], answer.to_string()).into_response()
}

/// Who asks; nobody where no password is given.
fn user(headers: &HeaderMap, known: Credentials) -> Result<Option<String>, StatusCode> {
    let Some(header) = headers.get("authorization") else { return Ok(None) };
    let expected = STANDARD.encode(format!("{}:{}", known.user, known.password));
    let is_known = header.to_str().ok().and_then(|it| it.strip_prefix("Basic ")) == Some(&expected);
    if is_known { Ok(Some(known.user.to_owned())) } else { Err(StatusCode::UNAUTHORIZED) }
}

/// What of `scope` (`<type>:<name>:<actions>`; the name may hold colons) `user` gets.
fn grant(scope: &str, user: Option<&str>) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let actions: Vec<&str> =
        actions.split(',').filter(|action| user.is_some() || *action == "pull").collect();
    Some(json!({ "type": kind, "name": name, "actions": actions }))
}

fn token(state: &Issued, user: Option<&str>, access: &[Value]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let header =
        json!({ "typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(state.leaf.der())] });
    let claims = json!({
        "iss": ISSUER, "aud": SERVICE, "sub": user.unwrap_or_default(),
        "iat": now.as_secs(), "nbf": now.as_secs() - 5, "exp": (now + state.lifetime).as_secs(),
        "jti": now.as_nanos().to_string(), "access": access,
    });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&header), encode(&claims));
    let key =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &state.leaf.key_der()).unwrap();
    let signature = key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}
