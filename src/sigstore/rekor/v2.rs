//! Rekor v2: entries that are proven by the next checkpoint, about a second later, however many wait for it.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::crypto::{Hash, KeyAlgorithm};
use crate::model::SafeUrl;
use crate::payload::{EntryKind, LogEntry, statement_signed_bytes};
use crate::sigstore::connection::Connection;
use crate::sigstore::rekor::tiles::Tiles;
use crate::sigstore::rekor::{Log, RECORD, Recorded};
use crate::sigstore::{Network, Service, ServiceError};
use crate::trust::{Content, Signed, Verifier};
use crate::wire::http::{Call, HttpFailure, HttpFailureKind};

/// Every request waits for the next checkpoint: so many overlap.
const AT_ONCE: usize = 128;

/// A log that speaks version 2 of the API.
#[derive(Debug)]
pub struct RekorV2 {
    connection: Connection,
    ids: Vec<Vec<u8>>,
}

impl RekorV2 {
    /// The log at `url`, which is one of those whose ids are given. Sends nothing.
    ///
    /// # Errors
    ///
    /// `rekor::refused` for what is no URL; `rekor::tls`.
    pub fn new<'a>(
        url: &str,
        ids: impl IntoIterator<Item = &'a [u8]>,
        network: &Network,
    ) -> Result<Self, ServiceError> {
        let connection = Connection::new(Service::Rekor, url, AT_ONCE, network)?;
        Ok(Self { connection, ids: ids.into_iter().map(<[u8]>::to_vec).collect() })
    }

    /// The entry at `index`, put together from the tiles of the log.
    async fn entry(&self, index: u64) -> Result<LogEntry, ServiceError> {
        let (body, inclusion) = Tiles::new(&self.connection).entry(index).await?;
        let id = self.ids.iter().find(|id| is_signed_by(&inclusion.checkpoint, id));
        let id = id.ok_or_else(|| {
            self.connection
                .untrusted(RECORD, "its checkpoint is signed by no log of the trusted root")
        })?;
        Ok(LogEntry {
            log_id: id.clone(),
            log_index: index,
            kind: EntryKind { name: "hashedrekord".into(), version: "0.0.2".into() },
            integrated_time: None,
            promise: None,
            inclusion: Some(inclusion),
            body,
        })
    }
}

#[async_trait]
impl Log for RekorV2 {
    fn at(&self) -> SafeUrl {
        self.connection.at()
    }

    #[tracing::instrument(name = "rekor.record", skip_all, err(level = "debug"))]
    async fn record(&self, signed: &Signed<'_>, hash: Hash) -> Result<LogEntry, ServiceError> {
        let request = self.request(signed, hash)?;
        let url = self.connection.url("/api/v2/log/entries");
        let call = Call::new(Method::POST, url).json(&request);
        let failed = |failure: HttpFailure| self.connection.failed(RECORD, &failure);
        let answer = match self.connection.send(&call).await {
            Ok(answer) => answer.json().map_err(failed)?,
            Err(failure) if failure.kind == HttpFailureKind::Conflict => {
                let index = failure.header("x-log-index").and_then(|it| it.parse().ok());
                let index = index.ok_or_else(|| failed(failure))?;
                return self.entry(index).await;
            }
            Err(failure) => return Err(failed(failure)),
        };
        let wrong = |why: String| self.connection.untrusted(RECORD, why);
        LogEntry::from_json(&answer).map_err(|error| wrong(error.to_string()))
    }

    fn refuses(&self, signed: &Signed<'_>, hash: Hash) -> Option<ServiceError> {
        self.request(signed, hash).err()
    }

    async fn find(&self, _: &[u8; 32]) -> Vec<Recorded> {
        Vec::new()
    }
}

impl RekorV2 {
    /// Source: rekor-tiles, `hashedrekord.proto`; as sigstore-go, a statement is recorded by the hash of what is
    /// signed of it.
    fn request(&self, signed: &Signed<'_>, hash: Hash) -> Result<Value, ServiceError> {
        let digest = match signed.content {
            Content::Message(message) => hash.digest(message),
            Content::Statement(statement) => hash.digest(&statement_signed_bytes(statement)),
            Content::Digest(digest) => digest.to_vec(),
        };
        let algorithm = signed.verifier.public_key().algorithm();
        let details = key_details(algorithm, hash)
            .ok_or_else(|| self.connection.refused(RECORD, why_not(algorithm, hash)).advise(
                "use a key that the log takes, declare its `hash`, use a log of Rekor v1, or `transparency_log = false`",
            ))?;
        let mut verifier = match signed.verifier {
            Verifier::Key(key) => json!({"publicKey": {"rawBytes": STANDARD.encode(key.as_der())}}),
            Verifier::Certificate(certificate) => {
                json!({"x509Certificate": {"rawBytes": STANDARD.encode(certificate.as_der())}})
            }
        };
        if let Some(verifier) = verifier.as_object_mut() {
            verifier.insert("keyDetails".into(), details.into());
        }
        Ok(json!({"hashedRekordRequestV002": {
            "digest": STANDARD.encode(digest),
            "signature": {"content": signed.signature.to_base64(), "verifier": verifier},
        }}))
    }
}

/// The one hash that sigstore knows for each kind of key.
///
/// Source: sigstore's protobuf-specs, `PublicKeyDetails`; rekor-tiles takes no pure Ed25519.
fn key_details(algorithm: KeyAlgorithm, hash: Hash) -> Option<&'static str> {
    Some(match (algorithm, hash) {
        (KeyAlgorithm::EcdsaP256, Hash::Sha256) => "PKIX_ECDSA_P256_SHA_256",
        (KeyAlgorithm::EcdsaP384, Hash::Sha384) => "PKIX_ECDSA_P384_SHA_384",
        (KeyAlgorithm::EcdsaP521, Hash::Sha512) => "PKIX_ECDSA_P521_SHA_512",
        (KeyAlgorithm::Rsa(2048), Hash::Sha256) => "PKIX_RSA_PKCS1V15_2048_SHA256",
        (KeyAlgorithm::Rsa(3072), Hash::Sha256) => "PKIX_RSA_PKCS1V15_3072_SHA256",
        (KeyAlgorithm::Rsa(4096), Hash::Sha256) => "PKIX_RSA_PKCS1V15_4096_SHA256",
        _ => return None,
    })
}

/// Says whether a signature line of a checkpoint names this log: by the first four bytes of its id.
///
/// Source: C2SP `signed-note`.
fn is_signed_by(checkpoint: &str, id: &[u8]) -> bool {
    let signatures = checkpoint.lines().filter_map(|line| line.strip_prefix("\u{2014} "));
    let mut signatures =
        signatures.filter_map(|line| STANDARD.decode(line.split(' ').nth(1)?).ok());
    signatures.any(|it| it.get(..4).is_some_and(|hint| id.starts_with(hint)))
}

fn why_not(algorithm: KeyAlgorithm, hash: Hash) -> String {
    let with = Hash::ALL.into_iter().find(|it| key_details(algorithm, *it).is_some());
    match with {
        Some(with) => format!("Rekor v2 takes {algorithm} with {with} only, not with {hash}"),
        None => format!("Rekor v2 takes no {algorithm} keys"),
    }
}
