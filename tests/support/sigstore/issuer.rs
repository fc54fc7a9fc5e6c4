//! Issuers of identity tokens, as OpenID Connect wants them.
//!
//! Source: OpenID Connect Core 1.0 and Discovery 1.0; GitHub's "OpenID Connect reference".

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::background::Background;

/// A running issuer: it can be discovered and its tokens can be verified. Tests ask this value for tokens.
pub struct Issuer {
    _server: Background,
    signs: Arc<Signs>,
}

/// What signs tokens.
struct Signs {
    key: RsaKeyPair,
    url: String,
}

impl Issuer {
    /// Starts one, with a key of its own.
    pub fn start() -> Self {
        // RSA, because cosign 3 takes a token that is signed otherwise for the name of a file.
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let keys = json!({ "keys": [public(&key)] });
        let server = Background::start(move |listener| async move {
            let url = format!("http://{}", listener.local_addr().unwrap());
            let discovery = json!({
                "issuer": url, "jwks_uri": format!("{url}/keys"),
                "authorization_endpoint": format!("{url}/authorize"),
                "token_endpoint": format!("{url}/token"),
                "response_types_supported": ["code"], "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            });
            let router = Router::new()
                .route(
                    "/.well-known/openid-configuration",
                    get(|| async move { discovery.to_string() }),
                )
                .route("/keys", get(|| async move { keys.to_string() }));
            axum::serve(listener, router).await.unwrap();
        });
        let url = format!("http://{}", server.address());
        Self { _server: server, signs: Arc::new(Signs { key, url }) }
    }

    /// Its name in tokens and certificates.
    pub fn url(&self) -> &str {
        &self.signs.url
    }

    /// A token with these claims and the issuer's own name.
    pub fn token(&self, claims: &Value) -> String {
        self.signs.token(claims)
    }
}

impl Signs {
    fn token(&self, claims: &Value) -> String {
        let mut claims = claims.clone();
        claims["iss"] = self.url.clone().into();
        let header = json!({ "alg": "RS256", "kid": "1", "typ": "JWT" });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        let random = SystemRandom::new();
        self.key.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The key as JSON: RFC 7517.
fn public(key: &RsaKeyPair) -> Value {
    let parts = PublicKeyComponents::<Vec<u8>>::from(key.public_key());
    json!({
        "kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1",
        "n": URL_SAFE_NO_PAD.encode(parts.n), "e": URL_SAFE_NO_PAD.encode(parts.e),
    })
}

/// What a token for the owner of an e-mail address says: good from now on for ten minutes.
pub fn claims(email: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({
        "aud": "sigstore", "sub": email, "email": email, "email_verified": true,
        "iat": now, "nbf": now, "exp": now + 600,
    })
}

/// What a token of the workflow `release` on `main` of this repository says, good as long.
pub fn github_claims(repository: &str) -> Value {
    let (owner, _) = repository.split_once('/').unwrap();
    let (mut claims, main) = (claims(""), "refs/heads/main");
    let workflow = format!("{repository}/.github/workflows/release.yml@{main}");
    let commit = "0".repeat(40);
    let more = json!({
        "sub": format!("repo:{repository}:ref:{main}"), "event_name": "push", "ref": main,
        "job_workflow_ref": workflow, "job_workflow_sha": commit, "workflow": "release",
        "workflow_ref": workflow, "workflow_sha": commit, "sha": commit,
        "repository": repository, "repository_id": "1", "repository_owner": owner,
        "repository_owner_id": "2", "repository_visibility": "public",
        "run_attempt": "1", "run_id": "7", "runner_environment": "github-hosted",
    });
    let claims_of = claims.as_object_mut().unwrap();
    claims_of.retain(|name, _| !name.starts_with("email"));
    claims_of.extend(more.as_object().unwrap().clone());
    claims
}

/// Where a job asks for its tokens, as on GitHub Actions; counts them.
pub struct TokenEndpoint {
    server: Background,
    asked: Arc<Asked>,
}

struct Asked {
    signs: Arc<Signs>,
    claims: Mutex<Value>,
    audiences: Mutex<Vec<String>>,
}

/// What a job must show to get a token.
const JOB: &str = "of the job";

impl TokenEndpoint {
    /// An endpoint that gives tokens with these claims.
    pub fn start(issuer: &Issuer, claims: Value) -> Self {
        let asked = Arc::new(Asked {
            signs: issuer.signs.clone(),
            claims: Mutex::new(claims),
            audiences: Mutex::default(),
        });
        let router = Router::new().route("/token", get(give)).with_state(asked.clone());
        let server = Background::start(move |listener| async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self { server, asked }
    }

    /// The environment of a job.
    pub fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", JOB.to_owned()),
            (
                "ACTIONS_ID_TOKEN_REQUEST_URL",
                format!("http://{}/token?api-version=2.0", self.server.address()),
            ),
        ]
    }

    /// Says something else in one claim from now on; `exp` to make tokens brief.
    pub fn set(&self, claim: &str, value: Value) {
        self.asked.claims.lock().unwrap()[claim] = value;
    }

    /// How many tokens were given.
    pub fn given(&self) -> usize {
        self.asked.audiences.lock().unwrap().len()
    }
}

async fn give(
    State(asked): State<Arc<Asked>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> (StatusCode, String) {
    let shown = headers.get("authorization").and_then(|it| it.to_str().ok()).unwrap_or_default();
    if !shown.to_lowercase().ends_with(&format!(" {JOB}")) {
        return (StatusCode::UNAUTHORIZED, String::new());
    }
    let query = query.unwrap_or_default();
    let audience = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "audience")
        .map_or_else(String::new, |(_, value)| value.into_owned());
    let mut claims = asked.claims.lock().unwrap().clone();
    claims["aud"] = audience.clone().into();
    asked.audiences.lock().unwrap().push(audience);
    (StatusCode::OK, json!({ "value": asked.signs.token(&claims) }).to_string())
}
