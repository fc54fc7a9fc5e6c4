//! Logging in: the browser, the device code, client credentials.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use url::Url;

use countersign::sigstore::identity::{Flow, IdentityOptions, Invitation, Pause, Person};

use crate::support::fakes::identity::Identity;
use crate::support::fakes::service::Service;
use crate::{nothing, token, told};

/// What a browser does with the issuer's answer, and what the pages said.
type Visits = fn(Url) -> Vec<String>;

/// Somebody with a browser.
struct Somebody {
    state: Arc<Identity>,
    visits: Visits,
    browser: Mutex<Option<JoinHandle<Vec<String>>>>,
    invited: Mutex<Vec<Invitation>>,
}

impl std::fmt::Debug for Somebody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Somebody")
    }
}

impl Person for Somebody {
    fn invite(&self, invitation: &Invitation) {
        self.invited.lock().unwrap().push(invitation.clone());
        if let Invitation::Browser { url } = invitation {
            let (back, visits) = (self.state.log_in(url), self.visits);
            *self.browser.lock().unwrap() = Some(spawn(move || {
                visits(back).into_iter().map(|target| visit(&target)).collect()
            }));
        }
    }
}

impl Somebody {
    fn new(service: &Service<Identity>, visits: Visits) -> Arc<Self> {
        Arc::new(Self {
            state: Arc::clone(&service.state),
            visits,
            browser: Mutex::default(),
            invited: Mutex::default(),
        })
    }

    /// What the pages said.
    fn pages(&self) -> Vec<String> {
        self.browser.lock().unwrap().take().unwrap().join().unwrap()
    }
}

/// One request of a browser; gives the answer.
fn visit(target: &str) -> String {
    let (method, url) = target.split_once(' ').unwrap();
    let url: Url = url.parse().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", url.port().unwrap())).unwrap();
    let path = &url[url::Position::BeforePath..];
    let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn login(
    service: &Service<Identity>,
    flow: Option<Flow>,
    somebody: &Arc<Somebody>,
) -> IdentityOptions {
    let mut options = nothing();
    options.login.flow = flow;
    options.login.issuer = Some(service.url());
    options.person = Some(somebody.clone());
    options
}

fn comes_back(back: Url) -> Vec<String> {
    vec![format!("GET {back}")]
}

#[tokio::test]
async fn a_browser_logs_in_with_pkce() {
    let service = Identity::start();
    let somebody = Somebody::new(&service, comes_back);
    let mut options = login(&service, None, &somebody);
    options.login.connector = Some("https://accounts.google.com".into());
    let token = token(options).await.unwrap();
    assert_eq!(token.subject_for_proof(), Some("jane@example.com"));
    let invited = somebody.invited.lock().unwrap().clone();
    let [Invitation::Browser { url }] = invited.as_slice() else { panic!("{invited:?}") };
    assert!(url.as_str().contains("connector_id=https%3A%2F%2Faccounts.google.com"), "{url}");
    assert!(url.as_str().contains("redirect_uri=http%3A%2F%2Flocalhost%3A"), "{url}");
    assert!(somebody.pages()[0].contains("You are logged in"));
    let asked = service.asked();
    assert_eq!(
        asked.iter().map(|it| it.path()).collect::<Vec<_>>(),
        ["/.well-known/openid-configuration", "/token"]
    );
}

#[tokio::test]
async fn only_the_browser_of_this_login_is_heard() {
    let service = Identity::start();
    let somebody = Somebody::new(&service, |back| {
        let port = back.port().unwrap();
        let at = |path: &str| format!("GET http://localhost:{port}{path}");
        vec![
            at("/favicon.ico"),
            at("/auth/callback"),
            at("/auth/callback?code=stolen&state=guessed"),
            at("/auth/callback?code=stolen"),
            at("/auth/callback?error=access_denied&state=guessed"),
            at("/elsewhere?").replace("?", &format!("?{}", back.query().unwrap())),
            format!("POST {back}"),
            format!("GET {back}"),
        ]
    });
    let token = token(login(&service, Some(Flow::Normal), &somebody)).await.unwrap();
    assert_eq!(token.subject(), "jane@example.com");
    let pages = somebody.pages();
    let found: Vec<bool> = pages.iter().map(|it| it.starts_with("HTTP/1.1 200")).collect();
    assert_eq!(found, [false, false, false, false, false, false, false, true], "{pages:?}");
}

#[tokio::test]
async fn a_login_that_is_refused_says_why() {
    let service = Identity::start();
    let somebody = Somebody::new(&service, |mut back| {
        let state = back.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        back.query_pairs_mut()
            .clear()
            .append_pair("error", "access_denied")
            .append_pair("error_description", "not a member\nof acme")
            .append_pair("state", &state);
        vec![format!("GET {back}")]
    });
    let error = token(login(&service, None, &somebody)).await.unwrap_err();
    told(&error, "oidc::permission", &["not a member of acme", "device"], Some(&service));
}

#[tokio::test]
async fn a_token_of_another_login_is_not_taken() {
    let service = Identity::start();
    for (claim, value, word) in [
        ("nonce", json!("another"), "another login"),
        ("iss", json!("https://other.example"), "another issuer"),
        ("aud", json!("another"), "another program"),
    ] {
        *service.state.claims.lock().unwrap() = json!({ claim: value });
        let somebody = Somebody::new(&service, comes_back);
        let error = token(login(&service, None, &somebody)).await.unwrap_err();
        told(&error, "oidc::untrusted", &[word], Some(&service));
    }
}

#[tokio::test]
async fn a_code_without_its_verifier_is_worth_nothing() {
    let service = Identity::start();
    let somebody = Somebody::new(&service, |mut back| {
        let state = back.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        back.query_pairs_mut().clear().append_pair("code", "stolen").append_pair("state", &state);
        vec![format!("GET {back}")]
    });
    let error = token(login(&service, None, &somebody)).await.unwrap_err();
    told(&error, "oidc::permission", &["no such code"], Some(&service));
}

#[tokio::test]
async fn the_redirect_stays_on_this_machine() {
    let service = Identity::start();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (redirect, word) in [
        ("http://example.com:1/auth".to_owned(), "on this machine"),
        ("http://0.0.0.0:0/auth".to_owned(), "on this machine"),
        ("https://localhost:0/auth".to_owned(), "http://localhost"),
        (format!("http://localhost:{port}/auth"), "cannot open port"),
    ] {
        let somebody = Somebody::new(&service, comes_back);
        let mut options = login(&service, None, &somebody);
        options.login.redirect = Some(redirect.parse().unwrap());
        let error = token(options).await.unwrap_err();
        told(&error, "oidc::refused", &[word, "--oidc-redirect-url"], Some(&service));
        assert!(somebody.invited.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_issuer_is_what_it_calls_itself_and_keeps_secrets() {
    let service = Identity::start();
    for (name, value, code, word) in [
        ("issuer", json!("https://other.example"), "oidc::untrusted", "it calls itself"),
        ("code_challenge_methods_supported", json!(["plain"]), "oidc::refused", "PKCE"),
        ("authorization_endpoint", json!("javascript:alert(1)"), "oidc::untrusted", "https"),
        ("token_endpoint", json!("http://issuer.example/token"), "oidc::untrusted", "TLS"),
        ("token_endpoint", Value::Null, "oidc::refused", "`token_endpoint`"),
    ] {
        let before = service.state.configuration.lock().unwrap().clone();
        service.state.configure(name, value);
        let somebody = Somebody::new(&service, comes_back);
        let mut options = login(&service, None, &somebody);
        options.login.issuer = Some(service.url());
        let error = token(options).await.unwrap_err();
        told(&error, code, &[word], Some(&service));
        *service.state.configuration.lock().unwrap() = before;
    }
    let somebody = Somebody::new(&service, comes_back);
    let mut options = login(&service, None, &somebody);
    options.login.issuer = Some("http://issuer.example".into());
    told(&token(options).await.unwrap_err(), "oidc::refused", &["use https"], None);
}

/// Waits for nothing, and remembers how long it should have.
#[derive(Debug, Default)]
struct Waits(Mutex<Vec<u64>>);

#[async_trait]
impl Pause for Waits {
    async fn wait(&self, time: Duration) {
        self.0.lock().unwrap().push(time.as_secs());
    }
}

fn device(service: &Service<Identity>, waits: &Arc<Waits>) -> (IdentityOptions, Arc<Somebody>) {
    let somebody = Somebody::new(service, comes_back);
    let mut options = login(service, Some(Flow::Device), &somebody);
    options.pause = waits.clone();
    (options, somebody)
}

#[tokio::test]
async fn a_device_code_is_asked_after_as_slowly_as_the_issuer_wants() {
    let service = Identity::start();
    *service.state.device_errors.lock().unwrap() =
        ["authorization_pending", "slow_down", "authorization_pending"].into();
    let waits = Arc::new(Waits::default());
    let (options, somebody) = device(&service, &waits);
    let token = token(options).await.unwrap();
    assert_eq!(token.subject(), "jane@example.com");
    assert_eq!(*waits.0.lock().unwrap(), [2, 2, 7, 7]);
    let invited = somebody.invited.lock().unwrap().clone();
    let [Invitation::Code { code, url, valid_for }] = invited.as_slice() else { panic!() };
    assert_eq!(code, "WDJB-MJHT");
    assert_eq!(url.as_str(), "https://issuer.example/device?user_code=WDJB-MJHT");
    assert_eq!(valid_for.as_secs(), 60);
}

#[tokio::test]
async fn a_device_code_that_is_refused_or_over_is_told() {
    let service = Identity::start();
    let pending = ["authorization_pending"; 40];
    for (errors, code, word) in [
        (vec!["access_denied"], "oidc::permission", "refused"),
        (
            vec!["authorization_pending", "expired_token"],
            "oidc::permission",
            "nobody typed the code",
        ),
        (pending.to_vec(), "oidc::permission", "within 60 s"),
        (vec!["invalid_request"], "oidc::permission", "401"),
    ] {
        *service.state.device_errors.lock().unwrap() = errors.into();
        let waits = Arc::new(Waits::default());
        let error = token(device(&service, &waits).0).await.unwrap_err();
        told(&error, code, &[word], Some(&service));
        assert!(waits.0.lock().unwrap().iter().sum::<u64>() <= 60);
    }
}

#[tokio::test]
async fn client_credentials_ask_nobody() {
    let service = Identity::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let with = |file: Option<&std::path::Path>| {
        let mut options = nothing();
        options.login.flow = Some(Flow::ClientCredentials);
        options.login.issuer = Some(service.url());
        options.login.client_secret_file = file.map(Into::into);
        options
    };
    std::fs::write(&path, format!("{}\n", service.state.client_secret)).unwrap();
    let robot = token(with(Some(&path))).await.unwrap();
    assert_eq!(robot.subject(), "robot@example.com");
    std::fs::write(&path, "wrong").unwrap();
    let error = token(with(Some(&path))).await.unwrap_err();
    told(&error, "oidc::permission", &["see the manual"], Some(&service));
    let error = token(with(None)).await.unwrap_err();
    told(&error, "oidc::permission", &["--oidc-client-secret-file"], Some(&service));
    let error = token(with(Some(&folder.path().join("none")))).await.unwrap_err();
    told(&error, "oidc::permission", &["cannot read the client's secret"], Some(&service));
}

#[tokio::test]
async fn without_anybody_nobody_is_asked() {
    let service = Identity::start();
    for flow in [None, Some(Flow::Normal), Some(Flow::Device), Some(Flow::Token)] {
        let mut options = nothing();
        options.login.issuer = Some(service.url());
        options.login.flow = flow;
        let error = token(options).await.unwrap_err();
        told(&error, "oidc::permission", &["nobody to ask"], None);
    }
    assert!(service.asked().is_empty());
}
