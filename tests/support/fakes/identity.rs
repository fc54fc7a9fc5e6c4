//! Whoever says who somebody is: an issuer of OpenID Connect, GitHub Actions, Buildkite's agent API, Google.
//!
//! Sources: RFC 6749, 7636, 8628; GitHub's "OpenID Connect reference"; Buildkite's agent (`api/oidc.go`); Google's
//! "Verifying VM identity" and `iamcredentials.generateIdToken`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use url::Url;

use super::key::random;
use super::service::{Answers, Asked, Service};

type Form = BTreeMap<String, String>;

/// All of them in one process.
pub struct Identity {
    /// What GitHub, Buildkite and Google want to see.
    pub request_token: String,
    pub client_secret: String,
    /// How long tokens are good, in seconds.
    pub lifetime: Mutex<i64>,
    /// What it says of itself; `null` members are left out.
    pub configuration: Mutex<Value>,
    /// Claims beside the usual ones.
    pub claims: Mutex<Value>,
    /// What the device flow answers before it gives a token.
    pub device_errors: Mutex<VecDeque<&'static str>>,
    logins: Mutex<BTreeMap<String, LoggingIn>>,
    given: Mutex<Vec<String>>,
}

struct LoggingIn {
    challenge: String,
    redirect: String,
    nonce: Option<String>,
}

impl Identity {
    pub fn start() -> Service<Self> {
        let service = Service::start(Self {
            request_token: random(),
            client_secret: random(),
            lifetime: Mutex::new(600),
            configuration: Mutex::default(),
            claims: Mutex::new(json!({})),
            device_errors: Mutex::default(),
            logins: Mutex::default(),
            given: Mutex::default(),
        });
        let url = service.url();
        *service.state.configuration.lock().unwrap() = json!({
            "issuer": url,
            "authorization_endpoint": format!("{url}/auth"),
            "token_endpoint": format!("{url}/token"),
            "device_authorization_endpoint": format!("{url}/device/code"),
            "code_challenge_methods_supported": ["plain", "S256"],
        });
        service
    }

    /// Changes what it says of itself.
    pub fn configure(&self, name: &str, value: Value) {
        self.configuration.lock().unwrap()[name] = value;
    }

    /// A token for `subject`; an address is one that was verified.
    pub fn token(&self, subject: &str, audience: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({
            "iss": self.configuration.lock().unwrap()["issuer"],
            "sub": subject,
            "aud": audience,
            "iat": now,
            "exp": i64::try_from(now).unwrap() + *self.lifetime.lock().unwrap(),
        });
        if subject.contains('@') {
            claims["email"] = json!(subject);
            claims["email_verified"] = json!(true);
        }
        for (name, value) in self.claims.lock().unwrap().as_object().unwrap() {
            claims[name] = value.clone();
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = json!({"alg": "RS256", "kid": "k"});
        let signature = URL_SAFE_NO_PAD.encode(random());
        let token = format!("{}.{}.{signature}", part(&head), part(&claims));
        self.given.lock().unwrap().push(token.clone());
        token
    }

    /// Every secret that it knows, and every part of every token: none may be shown.
    pub fn secrets(&self) -> Vec<String> {
        let given = self.given.lock().unwrap();
        let parts = given.iter().flat_map(|it| it.split('.').map(str::to_owned));
        parts.chain([self.request_token.clone(), self.client_secret.clone()]).collect()
    }

    /// Somebody logs in at `url`: where the browser is sent then.
    pub fn log_in(&self, url: &Url) -> Url {
        let asked: Form = url.query_pairs().into_owned().collect();
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["client_id"], "sigstore");
        assert_eq!(asked["scope"], "openid email");
        assert_eq!(asked["code_challenge_method"], "S256");
        assert!(asked["state"].len() >= 22 && asked["nonce"].len() >= 22, "{asked:?}");
        let code = random();
        self.logins.lock().unwrap().insert(
            code.clone(),
            LoggingIn {
                challenge: asked["code_challenge"].clone(),
                redirect: asked["redirect_uri"].clone(),
                nonce: asked.get("nonce").cloned(),
            },
        );
        let mut back: Url = asked["redirect_uri"].parse().unwrap();
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", &asked["state"]);
        back
    }

    fn start_device(&self, form: &Form) -> (u16, Value) {
        let code = random();
        let login = LoggingIn {
            challenge: form["code_challenge"].clone(),
            redirect: String::new(),
            nonce: None,
        };
        self.logins.lock().unwrap().insert(code.clone(), login);
        let url = "https://issuer.example/device";
        let answer = json!({
            "device_code": code, "user_code": "WDJB-MJHT", "verification_uri": url,
            "verification_uri_complete": format!("{url}?user_code=WDJB-MJHT"),
            "expires_in": 60, "interval": 2,
        });
        (200, answer)
    }

    fn grant(&self, form: &Form) -> (u16, Value) {
        let refused =
            |error: &str| (400, json!({ "error": error, "error_description": "see the manual" }));
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        if field("client_id") != "sigstore" {
            return refused("invalid_client");
        }
        match field("grant_type") {
            "client_credentials" if field("client_secret") == self.client_secret => {
                self.given("robot@example.com", None)
            }
            "client_credentials" => refused("invalid_client"),
            "urn:ietf:params:oauth:grant-type:device_code" => {
                if let Some(error) = self.device_errors.lock().unwrap().pop_front() {
                    // Dex answers 401 to who is too early, others 400.
                    return (401, json!({ "error": error, "error_description": "" }));
                }
                self.redeem(field("device_code"), "", field("code_verifier"))
            }
            "authorization_code" => {
                self.redeem(field("code"), field("redirect_uri"), field("code_verifier"))
            }
            _ => refused("unsupported_grant_type"),
        }
    }

    /// A code is good once, from where it was sent, for who knows the verifier.
    fn redeem(&self, code: &str, redirect: &str, verifier: &str) -> (u16, Value) {
        let login = self.logins.lock().unwrap().remove(code);
        let hashed = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        match login {
            Some(login) if login.challenge == hashed && login.redirect == redirect => {
                self.given("jane@example.com", login.nonce)
            }
            _ => (400, json!({ "error": "invalid_grant", "error_description": "no such code" })),
        }
    }

    fn given(&self, subject: &str, nonce: Option<String>) -> (u16, Value) {
        if let Some(nonce) = nonce {
            self.claims
                .lock()
                .unwrap()
                .as_object_mut()
                .unwrap()
                .entry("nonce")
                .or_insert(json!(nonce));
        }
        let token = self.token(subject, "sigstore");
        (200, json!({ "access_token": random(), "id_token": token, "token_type": "bearer" }))
    }

    fn ambient(&self, asked: &Asked) -> (u16, Value) {
        let url = Url::parse("http://localhost").unwrap().join(&asked.target).unwrap();
        let query: Form = url.query_pairs().into_owned().collect();
        let audience = |value: Option<&str>| value.unwrap_or("nobody").to_owned();
        let authorization = asked.header("authorization");
        let knows = |scheme: &str| authorization == format!("{scheme} {}", self.request_token);
        match (asked.method.as_str(), asked.path()) {
            ("GET", "/github") if knows("bearer") && query["api-version"] == "2.0" => {
                let audience = audience(query.get("audience").map(String::as_str));
                let subject = "repo:acme/app:ref:refs/heads/main";
                (200, json!({ "count": 1, "value": self.token(subject, &audience) }))
            }
            ("POST", "/v3/jobs/job-7/oidc/tokens") if knows("Token") => {
                let audience = audience(asked.json()["audience"].as_str());
                let subject = "organization:acme:pipeline:app:ref:refs/heads/main:commit:0:step:";
                (201, json!({ "token": self.token(subject, &audience) }))
            }
            ("GET", "/computeMetadata/v1/instance/service-accounts/default/identity")
                if asked.header("metadata-flavor") == "Google" && query["format"] == "full" =>
            {
                let audience = audience(query.get("audience").map(String::as_str));
                (200, json!(self.token("machine@acme.iam.gserviceaccount.com", &audience)))
            }
            ("GET", "/computeMetadata/v1/instance/service-accounts/default/token")
                if asked.header("metadata-flavor") == "Google" =>
            {
                (
                    200,
                    json!({ "access_token": self.request_token, "expires_in": 3599, "token_type": "Bearer" }),
                )
            }
            (
                "POST",
                "/v1/projects/-/serviceAccounts/signer@acme.iam.gserviceaccount.com:generateIdToken",
            ) if knows("Bearer") && asked.json()["includeEmail"] == true => {
                let audience = audience(asked.json()["audience"].as_str());
                (
                    200,
                    json!({ "token": self.token("signer@acme.iam.gserviceaccount.com", &audience) }),
                )
            }
            _ => (403, json!({ "message": "not for you" })),
        }
    }
}

impl Answers for Identity {
    fn answer(&self, asked: &Asked) -> (u16, Value) {
        let form = || url::form_urlencoded::parse(&asked.body).into_owned().collect::<Form>();
        match (asked.method.as_str(), asked.path()) {
            ("GET", "/.well-known/openid-configuration") => {
                let mut configuration = self.configuration.lock().unwrap().clone();
                configuration.as_object_mut().unwrap().retain(|_, value| !value.is_null());
                (200, configuration)
            }
            ("POST", "/device/code") => self.start_device(&form()),
            ("POST", "/token") => self.grant(&form()),
            _ => self.ambient(asked),
        }
    }
}
