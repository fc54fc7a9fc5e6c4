//! The suite finds what it is there to find: each signer here breaks one law.

use async_trait::async_trait;

use super::*;
use crate::keys::KeyError;
use crate::keys::memory::MemorySigner;

#[derive(Clone, Copy)]
enum Fault {
    AlwaysSha256,
    Constant,
    Nothing,
    OtherKey,
    Refuses,
    ShowsSecret,
    Unavailable,
}

struct Faulty {
    inner: MemorySigner,
    other: MemorySigner,
    fault: Fault,
}

impl std::fmt::Debug for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.fault {
            Fault::ShowsSecret => f.write_str(&"A".repeat(43)),
            _ => f.write_str("Faulty"),
        }
    }
}

#[async_trait]
impl Signer for Faulty {
    fn public_key(&self) -> Option<&PublicKey> {
        self.inner.public_key()
    }

    async fn sign(&self, message: &[u8], hash: Hash) -> Result<Signed, KeyError> {
        let error = |kind| KeyError::new("sign with", "faulty", kind);
        match self.fault {
            Fault::AlwaysSha256 => self.inner.sign(message, Hash::Sha256).await,
            Fault::Constant => self.inner.sign(b"constant", hash).await,
            Fault::OtherKey => self.other.sign(message, hash).await,
            Fault::Refuses => Err(error(KeyErrorKind::Unsupported)),
            Fault::Unavailable => Err(error(KeyErrorKind::Unavailable)),
            // One hash is enough, as a KMS has it.
            Fault::Nothing if hash != Hash::Sha256 => Err(error(KeyErrorKind::Unsupported)),
            Fault::Nothing | Fault::ShowsSecret => self.inner.sign(message, hash).await,
        }
    }
}

async fn check(fault: Fault) -> Result<(), Violation> {
    let [inner, other] = ["a", "b"].map(|seed| MemorySigner::p256(seed).unwrap());
    let expected = inner.private_key().public_key().clone();
    signer(&Faulty { inner, other, fault }, &expected).await
}

#[tokio::test]
async fn each_fault_is_found() {
    assert_eq!(check(Fault::Nothing).await, Ok(()));
    for (fault, expected) in [
        (Fault::AlwaysSha256, "a signature with sha384 does not verify"),
        (Fault::Constant, "a signature with sha256 does not verify"),
        (Fault::OtherKey, "says that it signed with"),
        (Fault::Refuses, "signs with no hash at all"),
        (Fault::ShowsSecret, "its Debug may show a secret"),
        (Fault::Unavailable, "did not sign with sha256"),
    ] {
        let found = check(fault).await.unwrap_err().to_string();
        assert!(found.starts_with(expected), "{found}");
    }
    let signs = MemorySigner::p256("a").unwrap();
    let other = MemorySigner::p256("b").unwrap();
    let found = signer(&signs, other.private_key().public_key()).await.unwrap_err().to_string();
    assert!(found.starts_with("has the key "), "{found}");
}
