use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::keys::conformance;
use crate::keys::memory::MemorySigner;

/// A service that signs with `signer`, and counts who is there at once.
#[derive(Debug)]
struct Service {
    signer: MemorySigner,
    now: AtomicUsize,
    most: Arc<AtomicUsize>,
}

#[async_trait]
impl RemoteKey for Service {
    async fn sign(&self, message: &[u8], hash: Hash) -> Result<SignatureBytes, KeyError> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let signed = self.signer.sign(message, hash).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        signed.map(|it| it.signature)
    }
}

fn signer(of: &str, public: &str, hashes: &[Hash]) -> (RemoteSigner<Service>, Arc<AtomicUsize>) {
    let [signer, public] = [of, public].map(|seed| MemorySigner::p256(seed).unwrap());
    let most = Arc::new(AtomicUsize::new(0));
    let service = Service { signer, now: AtomicUsize::new(0), most: Arc::clone(&most) };
    let public = public.private_key().public_key().clone();
    (RemoteSigner::new("test://key", public, hashes, service), most)
}

#[tokio::test]
async fn a_service_that_signs_conforms() {
    for hashes in [&Hash::ALL[..], &[Hash::Sha384]] {
        let (signer, _) = signer("a", "a", hashes);
        let public = signer.public_key.clone();
        conformance::signer(&signer, &public).await.unwrap();
    }
}

#[tokio::test]
async fn a_signature_of_another_key_is_not_given_out() {
    let (signer, _) = signer("a", "b", &Hash::ALL);
    let error = signer.sign(b"message", Hash::Sha256).await.unwrap_err();
    assert_eq!(error.kind, KeyErrorKind::Mismatch);
    assert!(error.help().unwrap().contains("rotated"));
}

#[tokio::test]
async fn a_hash_that_the_key_lacks_is_told_with_the_one_it_has() {
    let (signer, most) = signer("a", "a", &[Hash::Sha384]);
    let error = signer.sign(b"message", Hash::Sha256).await.unwrap_err();
    assert_eq!(error.kind, KeyErrorKind::Unsupported);
    assert_eq!(error.help(), Some("give the signer `hash = \"sha384\"`"));
    assert_eq!(most.load(Ordering::SeqCst), 0, "the service is not asked");
}

#[tokio::test]
async fn a_key_is_asked_by_no_more_than_its_limit_at_once() {
    let (signer, most) = signer("a", "a", &Hash::ALL);
    let all = (0..100).map(|_| signer.sign(b"message", Hash::Sha256));
    assert!(futures::future::join_all(all).await.iter().all(Result::is_ok));
    assert_eq!(most.load(Ordering::SeqCst), CONCURRENCY);
}
