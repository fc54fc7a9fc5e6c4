//! One certificate for all who ask, and the next one before it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use countersign::crypto::Hash;
use countersign::keys::memory::MemoryEnvironment;
use countersign::keys::{KeylessSigner, Signer as _};
use countersign::model::{Clock, Secret, SystemClock, Timestamp};
use countersign::sigstore::identity::{IdentitySource, IdentityToken};
use countersign::sigstore::{Fulcio, Network, ServiceError};
use countersign::trust::{GithubClaims, IdentityPolicy, Matcher, TrustedRoot};

use crate::support::sigstore::{Fault, SERVICES, Sigstore};
use crate::support::tools;

const WHO: &str = "ci@example.com";

/// So many seconds later than now.
#[derive(Debug, Default)]
struct Later(AtomicU64);

impl Clock for Later {
    fn now(&self) -> Timestamp {
        SystemClock.now().after(Duration::from_secs(self.0.load(Ordering::Relaxed)))
    }
}

#[derive(Debug)]
struct Given(String);

#[async_trait]
impl IdentitySource for Given {
    async fn token(&self, _: &str) -> Result<IdentityToken, ServiceError> {
        Ok(IdentityToken::parse(&Secret::new(self.0.clone())).unwrap())
    }
}

fn services() -> Option<Sigstore> {
    tools::have(SERVICES).then(|| {
        // The proxies are clients that want to be told who does their cryptography.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Sigstore::start()
    })
}

fn signer(sigstore: &Sigstore, clock: &Arc<Later>, who: &str) -> KeylessSigner {
    let network = Network::new(Arc::new(MemoryEnvironment::default()));
    let network = network.with_patience(Duration::ZERO);
    let trust = TrustedRoot::parse(&std::fs::read(sigstore.trusted_root()).unwrap()).unwrap();
    let policy = IdentityPolicy {
        issuer: Matcher::Exact(sigstore.issuer().to_owned()),
        identity: Matcher::Exact(WHO.to_owned()),
        github: GithubClaims::default(),
    };
    KeylessSigner::new(
        "ci".parse().unwrap(),
        Arc::new(policy),
        Arc::new(Given(sigstore.token(who))),
        Arc::new(Fulcio::new(&sigstore.fulcio.url(), &network).unwrap()),
        Arc::new(trust),
        Arc::clone(clock) as Arc<_>,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_share_a_certificate_until_shortly_before_its_end() {
    let Some(sigstore) = services() else { return };
    let clock = Arc::new(Later::default());
    let signer = signer(&sigstore, &clock, WHO);
    let sign = |text: &'static str| signer.sign(text.as_bytes(), Hash::Sha256);
    let signed = futures::future::join_all((0..32).map(|_| sign("claim"))).await;
    let (first, _) = signed[0].as_ref().unwrap().certificate.clone().unwrap();
    for one in signed {
        let one = one.unwrap();
        assert_eq!(one.certificate.unwrap().0, first);
        assert!(one.public_key.verifies(b"claim", &one.signature, Hash::Sha256));
    }
    assert_eq!(sigstore.fulcio.made(), 1);
    let life = first.not_after().as_seconds() - first.not_before().as_seconds();
    let life = u64::try_from(life).unwrap();
    for (part, certificates) in [(life * 7 / 10, 0), (life * 9 / 10, 1)] {
        clock.0.store(part, Ordering::Relaxed);
        sign("claim").await.unwrap();
        assert_eq!(sigstore.fulcio.made(), certificates, "after {part} s of {life}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_down_is_asked_again_by_the_next_who_signs() {
    let Some(sigstore) = services() else { return };
    let signer = signer(&sigstore, &Arc::default(), WHO);
    for fault in [Fault::Down, Fault::Status { code: 503, retry_after: None, times: 1 }] {
        sigstore.fulcio.set(fault);
        let error = signer.sign(b"claim", Hash::Sha256).await.unwrap_err();
        assert_eq!(error.code(), "fulcio::unavailable");
        assert!(error.is_transient());
        sigstore.fulcio.heal();
    }
    signer.sign(b"claim", Hash::Sha256).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_identity_is_refused_once_for_all() {
    let Some(sigstore) = services() else { return };
    let signer = signer(&sigstore, &Arc::default(), "mallory@example.com");
    for _ in 0..3 {
        let error = signer.sign(b"claim", Hash::Sha256).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("oidc::permission", false));
    }
    assert_eq!(sigstore.fulcio.made(), 1, "no certificate for each image");
}
