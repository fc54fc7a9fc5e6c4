//! Promises of certificate logs that are embedded in certificates (RFC 6962 "SCT").
//!
//! Ours, as the verifier of the sigstore crates keeps its own private.

use der::Decode as _;
use der::asn1::{ObjectIdentifier, OctetStringRef};

use crate::crypto::{Certificate, Hash, KeyAlgorithm, SignatureBytes};
use crate::model::Timestamp;
use crate::trust::error::code;
use crate::trust::{TrustError, TrustedRoot};

/// Source: RFC 6962, §3.3.
const PROMISES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");

/// One promise, as it stands in a certificate.
struct Promise<'a> {
    log_id: &'a [u8],
    /// In milliseconds since the epoch.
    timestamp: u64,
    extensions: &'a [u8],
    hash: u8,
    algorithm: u8,
    signature: SignatureBytes,
}

impl TrustedRoot {
    /// Checks that a log of certificates of this root has promised to take `leaf`, which `issuer_key` issued.
    pub(super) fn certificate_is_logged(
        &self,
        leaf: &Certificate,
        issuer_key: &[u8],
    ) -> Result<(), TrustError> {
        let missing = || {
            TrustError::new(
                code::CERTIFICATE_LOG_MISSING,
                "the certificate carries no promise of a certificate log (SCT)",
            )
        };
        let promises = leaf.extension(&PROMISES).ok_or_else(missing)?;
        let promises = OctetStringRef::from_der(promises).ok().and_then(|it| list(it.as_bytes()));
        let promises = promises.ok_or_else(|| {
            TrustError::new(
                code::CERTIFICATE_LOG_WRONG,
                "the promise of the certificate log (SCT) has not the form of one",
            )
        })?;
        let mut error = missing();
        for promise in &promises {
            match self.promise_holds(leaf, issuer_key, promise) {
                Ok(()) => return Ok(()),
                Err(wrong) => error = wrong,
            }
        }
        Err(error)
    }

    fn promise_holds(
        &self,
        leaf: &Certificate,
        issuer_key: &[u8],
        promise: &Promise<'_>,
    ) -> Result<(), TrustError> {
        let wrong = |reason: &str| TrustError::new(code::CERTIFICATE_LOG_WRONG, reason);
        let seconds = i64::try_from(promise.timestamp / 1000).unwrap_or(i64::MAX);
        let time = Timestamp::from_seconds(seconds);
        let mut logs = self.certificate_logs.iter().filter(|it| it.id == promise.log_id).peekable();
        if logs.peek().is_none() {
            return Err(TrustError::new(
                code::CERTIFICATE_LOG_UNKNOWN,
                format!(
                    "the certificate log {} is not in the trusted root",
                    hex::encode(promise.log_id)
                ),
            ));
        }
        let hash = match promise.hash {
            4 => Hash::Sha256,
            5 => Hash::Sha384,
            6 => Hash::Sha512,
            _ => {
                return Err(wrong(
                    "the certificate log's promise (SCT) is signed with a hash that is not taken",
                ));
            }
        };
        let message = leaf
            .body_without(&PROMISES)
            .and_then(|body| signed_bytes(promise, issuer_key, &body))
            .ok_or_else(|| wrong("the certificate cannot be taken apart"))?;
        let good = logs.any(|log| {
            // Source: RFC 5246, §7.4.1.4.1.
            let algorithm = match log.key.algorithm() {
                KeyAlgorithm::Rsa(_) => 1,
                KeyAlgorithm::Ed25519 => 7,
                _ => 3,
            };
            log.window.contains(time)
                && algorithm == promise.algorithm
                && log.key.verifies(&message, &promise.signature, hash)
        });
        if good {
            return Ok(());
        }
        Err(wrong(
            "the promise of the certificate log (SCT) is not over this certificate, or was made when the log was not to be trusted",
        ))
    }
}

/// What a promise is signed over: the certificate as it was before it carried promises.
///
/// Source: RFC 6962, §3.2, `precert_entry`.
fn signed_bytes(promise: &Promise<'_>, issuer_key: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(body.len()).ok().filter(|it| *it < 1 << 24)?;
    let extensions = u16::try_from(promise.extensions.len()).ok()?;
    // Version 1, a certificate timestamp.
    let mut bytes = vec![0, 0];
    bytes.extend(promise.timestamp.to_be_bytes());
    // A precertificate.
    bytes.extend([0, 1]);
    bytes.extend(Hash::Sha256.digest(issuer_key));
    bytes.extend(length.to_be_bytes().iter().skip(1));
    bytes.extend(body);
    bytes.extend(extensions.to_be_bytes());
    bytes.extend(promise.extensions);
    Some(bytes)
}

/// The promises of a list; those of later versions are left out.
fn list(bytes: &[u8]) -> Option<Vec<Promise<'_>>> {
    let mut list = Reader(bytes);
    let mut promises = Reader(list.sized()?);
    let mut found = Vec::new();
    while !promises.0.is_empty() {
        let mut promise = Reader(promises.sized()?);
        let [version] = promise.array()?;
        if version != 0 {
            continue;
        }
        let log_id = promise.take(32)?;
        let timestamp = u64::from_be_bytes(promise.array()?);
        let extensions = promise.sized()?;
        let [hash, algorithm] = promise.array()?;
        let signature = SignatureBytes::new(promise.sized()?.to_vec());
        if !promise.0.is_empty() {
            return None;
        }
        found.push(Promise { log_id, timestamp, extensions, hash, algorithm, signature });
    }
    list.0.is_empty().then_some(found)
}

/// Reads the presentation language of TLS.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// What two bytes of length stand before.
    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_be_bytes(self.array()?);
        self.take(usize::from(length))
    }
}
