//! Tokens are kept until they end, and fetched once by however many tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures::future::join_all;
use serde_json::json;

use countersign::crypto::Hash;
use countersign::keys::memory::MemoryEnvironment;
use countersign::keys::{KeyError, KeySource, Keyless, Keyring, KeyringEntry, Signed};
use countersign::model::{Clock, SignerName, SystemClock, Timestamp};
use countersign::sigstore::identity::{AUDIENCE, IdentityOptions, source};
use countersign::sigstore::{Deployment, Network, Opened, SigningConfig};
use countersign::trust::{GithubClaims, IdentityPolicy, Matcher, TrustedRoot};

use crate::support::fakes::identity::Identity;
use crate::support::fakes::service::Service;
use crate::support::sigstore::{Log, SERVICES, Sigstore};
use crate::support::tools::have;
use crate::{options, told};

/// The time of the machine, and some seconds more.
#[derive(Debug, Default)]
struct Later(AtomicI64);

impl Clock for Later {
    fn now(&self) -> Timestamp {
        let now = SystemClock.now().as_seconds();
        Timestamp::from_seconds(now + self.0.load(Ordering::SeqCst))
    }
}

fn github(service: &Service<Identity>) -> IdentityOptions {
    let url = format!("{}/github?api-version=2.0", service.url());
    options(
        MemoryEnvironment::default()
            .with_variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN", &service.state.request_token)
            .with_variable("ACTIONS_ID_TOKEN_REQUEST_URL", &url),
    )
}

#[tokio::test]
async fn a_token_serves_until_it_ends_and_is_fetched_once_by_all() {
    let service = Identity::start();
    let clock = Arc::new(Later::default());
    let mut options = github(&service);
    options.clock = clock.clone();
    let source = source(options);
    let all = || join_all((0..50).map(|_| source.token(AUDIENCE)));
    let first = all().await;
    assert!(first.iter().all(Result::is_ok));
    assert_eq!(service.asked().len(), 1);
    // Ten minutes are its life: at nine it is still good.
    clock.0.store(540, Ordering::SeqCst);
    all().await;
    assert_eq!(service.asked().len(), 0);
    *service.state.lifetime.lock().unwrap() = 1200;
    clock.0.store(599, Ordering::SeqCst);
    let second = all().await;
    assert_eq!(service.asked().len(), 1, "fetched again, by one of them");
    let raw = |them: &[Result<_, _>]| -> Vec<String> {
        them.iter()
            .map(|it: &Result<countersign::sigstore::identity::IdentityToken, _>| {
                it.as_ref()
                    .map_err(|_: &countersign::sigstore::ServiceError| ())
                    .unwrap()
                    .raw()
                    .expose()
                    .clone()
            })
            .collect()
    };
    assert_ne!(raw(&first)[0], raw(&second)[0]);
    assert!(raw(&second).windows(2).all(|it| it[0] == it[1]));
}

#[tokio::test]
async fn a_failure_is_shared_by_those_who_waited_for_it_and_no_more() {
    let service = Identity::start();
    service.fail_next(403, json!({ "message": "no" }));
    let source = source(github(&service));
    let failed = join_all((0..50).map(|_| source.token(AUDIENCE))).await;
    for result in &failed {
        told(result.as_ref().unwrap_err(), "oidc::permission", &[], Some(&service));
    }
    assert_eq!(service.asked().len(), 1);
    source.token(AUDIENCE).await.unwrap();
    assert_eq!(service.asked().len(), 1);
}

#[tokio::test]
async fn what_fulcio_would_refuse_is_refused_here() {
    let service = Identity::start();
    *service.state.lifetime.lock().unwrap() = -5;
    let error = source(github(&service)).token(AUDIENCE).await.unwrap_err();
    told(&error, "oidc::untrusted", &["ended at", "clock"], Some(&service));
    *service.state.lifetime.lock().unwrap() = 600;
    *service.state.claims.lock().unwrap() = json!({ "email": "jane@example.com" });
    let error = source(github(&service)).token(AUDIENCE).await.unwrap_err();
    told(&error, "oidc::permission", &["email_verified"], Some(&service));
}

/// Signs with a new key and a certificate of the real Fulcio, over ten minutes that pass at once.
#[tokio::test]
async fn a_token_and_a_certificate_that_end_in_a_run_are_renewed() {
    if !have(SERVICES) {
        return;
    }
    let (sigstore, clock) = (Sigstore::start(), Arc::new(Later::default()));
    let job = sigstore.github_actions("acme/app");
    let environment = job
        .environment()
        .into_iter()
        .fold(MemoryEnvironment::default(), |environment, (name, value)| {
            environment.with_variable(name, &value)
        });
    let mut options = options(environment);
    options.clock = clock.clone();
    let read = |path: std::path::PathBuf| std::fs::read(path).unwrap();
    let opened = Opened {
        root: Arc::new(TrustedRoot::parse(&read(sigstore.trusted_root())).unwrap()),
        config: Some(Arc::new(
            SigningConfig::parse(&read(sigstore.signing_config(&[Log::RekorV2], 1))).unwrap(),
        )),
    };
    let name: SignerName = "ci".parse().unwrap();
    let policy = Arc::new(IdentityPolicy {
        issuer: Matcher::Exact(sigstore.github_issuer().to_owned()),
        identity: Matcher::pattern("https://github.com/acme/app/.*").unwrap(),
        github: GithubClaims::default(),
    });
    let surroundings = Arc::new(MemoryEnvironment::default());
    let entry = KeyringEntry { name: name.clone(), source: KeySource::Keyless(policy) };
    let keyring = Keyring::new([entry], surroundings.clone()).with_keyless(Keyless {
        deployment: Arc::new(Deployment::of(opened)),
        identity: source(options),
        network: Network::new(surroundings),
        clock: clock.clone(),
    });
    let signer = keyring.signer(&name).await.unwrap();
    let sign = || async {
        let signed = join_all((0..20).map(|_| signer.sign(b"message", Hash::Sha256))).await;
        let certificate = |it: &Result<Signed, KeyError>| {
            it.as_ref().unwrap().certificate.as_ref().unwrap().0.fingerprint()
        };
        let all: std::collections::BTreeSet<_> = signed.iter().map(certificate).collect();
        assert_eq!(all.len(), 1, "one certificate serves all");
        all.into_iter().next().unwrap()
    };
    let first = sign().await;
    assert_eq!((job.given(), sigstore.fulcio.made()), (1, 1));
    clock.0.store(300, Ordering::SeqCst);
    assert_eq!(sign().await, first);
    assert_eq!((job.given(), sigstore.fulcio.made()), (1, 0));
    // The certificate serves nothing new in its last two minutes; the token has ended too.
    clock.0.store(590, Ordering::SeqCst);
    assert_ne!(sign().await, first);
    assert_eq!((job.given(), sigstore.fulcio.made()), (2, 1));
}
