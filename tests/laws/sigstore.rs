//! A deployment of sigstore in memory: an authority for identities, a log of certificates, a log of signatures.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::crypto::{Certificate, Chain, Hash, PrivateKey, PublicKey, SignatureBytes};
use countersign::keys::{KeyError, Signed as SignedByKey, Signer};
use countersign::model::{SafeUrl, Secret, Timestamp};
use countersign::payload::{EntryKind, InclusionProof, LogEntry};
use countersign::sigstore::{Log, Opened, Recorded, ServiceError, SigningConfig};
use countersign::trust::{Content, Signed, TrustedRoot, Verifier};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, SanType,
};
use serde_json::json;

pub(crate) const ISSUER: &str = "https://issuer.example";

/// What the log of certificates does to a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Promise {
    Right,
    /// Over something else.
    Wrong,
    None,
}

#[derive(Debug)]
pub(crate) struct Sigstore {
    authority: Issuer<'static, KeyPair>,
    chain: Chain,
    certificate_log: PrivateKey,
    log: PrivateKey,
    entries: AtomicU64,
}

impl Sigstore {
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self {
            authority: Issuer::new(parameters, key),
            chain: Chain::from_pem(&pem).unwrap(),
            certificate_log: PrivateKey::generate_p256().unwrap(),
            log: PrivateKey::generate_p256().unwrap(),
            entries: AtomicU64::new(0),
        }
    }

    pub(crate) fn opened(&self) -> Opened {
        let service = |url: &str| {
            json!([{ "url": url, "majorApiVersion": 1, "operator": "laws",
                "validFor": { "start": "2024-01-01T00:00:00Z" } }])
        };
        let config = json!({
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": service("https://fulcio.example"), "oidcUrls": [],
            "rekorTlogUrls": service("https://rekor.example"),
            "rekorTlogConfig": { "selector": "ANY" },
            "tsaUrls": [], "tsaConfig": { "selector": "ANY" },
        });
        let config = SigningConfig::parse(config.to_string().as_bytes()).unwrap();
        Opened { root: self.root(), config: Some(Arc::new(config)) }
    }

    pub(crate) fn root(&self) -> Arc<TrustedRoot> {
        let root = TrustedRoot::default()
            .with_certificate_authority(self.chain.clone())
            .with_certificate_log(self.certificate_log.public_key().clone())
            .with_log(self.log.public_key().clone());
        Arc::new(root)
    }

    /// A key with a certificate for `email`, valid for ten minutes from `from` on.
    pub(crate) fn certificate(
        &self,
        email: &str,
        from: Timestamp,
        promise: Promise,
    ) -> (PrivateKey, Certificate) {
        let pair = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let seconds = u64::try_from(from.as_seconds()).unwrap();
        parameters.not_before = epoch + Duration::from_secs(seconds);
        parameters.not_after = epoch + Duration::from_secs(seconds + 600);
        parameters.serial_number = Some(seconds.into());
        parameters.subject_alt_names = vec![SanType::Rfc822Name(email.try_into().unwrap())];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        // Source: Fulcio, docs/oid-info.md.
        let issuer = [&[0x0c, u8::try_from(ISSUER.len()).unwrap()], ISSUER.as_bytes()].concat();
        let fulcio = [1, 3, 6, 1, 4, 1, 57264, 1, 8];
        parameters.custom_extensions.push(CustomExtension::from_oid_content(&fulcio, issuer));
        let before = parameters.signed_by(&pair, &self.authority).unwrap();
        let list = match promise {
            Promise::None => None,
            Promise::Right => Some(self.promise(first_part(before.der()), seconds * 1000)),
            Promise::Wrong => Some(self.promise(b"another", seconds * 1000)),
        };
        if let Some(list) = list {
            let promises = [1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];
            let content = [&[0x04, u8::try_from(list.len()).unwrap()], &list[..]].concat();
            let extension = CustomExtension::from_oid_content(&promises, content);
            parameters.custom_extensions.push(extension);
        }
        let certificate = parameters.signed_by(&pair, &self.authority).unwrap();
        let key = PrivateKey::from_pkcs8(&Secret::new(pair.serialize_der())).unwrap();
        (key, Certificate::from_der(certificate.der()).unwrap())
    }

    /// A list of one promise over `body`. Source: RFC 6962, §3.2 and §3.3.
    fn promise(&self, body: &[u8], milliseconds: u64) -> Vec<u8> {
        let authority = self.chain.certificates()[0].public_key().as_der().to_vec();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let message = [
            &[0, 0][..],
            &milliseconds.to_be_bytes(),
            &[0, 1],
            &Hash::Sha256.digest(&authority),
            &length[1..],
            body,
            &[0, 0],
        ]
        .concat();
        let signature = self.certificate_log.sign(&message, Hash::Sha256).unwrap();
        let signature = signature.as_bytes();
        let id = Hash::Sha256.digest(self.certificate_log.public_key().as_der());
        let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
        let promise = [
            &[0][..],
            &id,
            &milliseconds.to_be_bytes(),
            &[0, 0, 4, 3],
            &length(signature),
            signature,
        ]
        .concat();
        let one = [&length(&promise)[..], &promise].concat();
        [&length(&one)[..], &one].concat()
    }

    /// An entry of Rekor v1 over a signature, taken at `time`; signed by `log`.
    pub(crate) fn entry_signed_by(
        &self,
        log: &PrivateKey,
        signed: &Signed<'_>,
        time: Timestamp,
    ) -> LogEntry {
        let verifier = match signed.verifier {
            Verifier::Key(key) => key.to_pem(),
            Verifier::Certificate(certificate) => certificate.to_pem(),
        };
        let verifier = STANDARD.encode(verifier);
        let signature = signed.signature.to_base64();
        let hash = |bytes: &[u8]| json!({ "algorithm": "sha256", "value": hex::encode(Hash::Sha256.digest(bytes)) });
        let (kind, spec) = match signed.content {
            Content::Message(message) => (
                "hashedrekord",
                json!({ "data": { "hash": hash(message) },
                    "signature": { "content": signature, "publicKey": { "content": verifier } } }),
            ),
            Content::Statement(statement) => (
                "dsse",
                json!({ "payloadHash": hash(statement),
                    "signatures": [{ "signature": signature, "verifier": verifier }] }),
            ),
            Content::Digest(_) => panic!("nothing here signs digests"),
        };
        let body = json!({ "apiVersion": "0.0.1", "kind": kind, "spec": spec }).to_string();
        let log_id = Hash::Sha256.digest(self.log.public_key().as_der());
        let log_index = self.entries.fetch_add(1, Ordering::Relaxed);
        let promised = json!({
            "body": STANDARD.encode(&body), "integratedTime": time.as_seconds(),
            "logID": hex::encode(&log_id), "logIndex": log_index,
        });
        let promise = log.sign(promised.to_string().as_bytes(), Hash::Sha256).unwrap();
        let proof = proof(log, &log_id, body.as_bytes());
        LogEntry {
            log_id,
            log_index,
            kind: EntryKind { name: kind.to_owned(), version: "0.0.1".to_owned() },
            integrated_time: Some(time),
            promise: Some(promise.as_bytes().to_vec()),
            inclusion: Some(proof),
            body: body.into_bytes(),
        }
    }

    pub(crate) fn entry(&self, signed: &Signed<'_>, time: Timestamp) -> LogEntry {
        self.entry_signed_by(&self.log, signed, time)
    }

    /// How many entries the log has given.
    pub(crate) fn recorded(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }
}

/// The proof that an entry is in a tree that has nothing else. Source: RFC 6962, §2.1; C2SP, tlog-checkpoint.
fn proof(log: &PrivateKey, log_id: &[u8], body: &[u8]) -> InclusionProof {
    let root_hash = Hash::Sha256.digest(&[&[0], body].concat());
    let text = format!("rekor.example\n1\n{}\n", STANDARD.encode(&root_hash));
    let signature = log.sign(text.as_bytes(), Hash::Sha256).unwrap();
    let signature = STANDARD.encode([&log_id[..4], signature.as_bytes()].concat());
    let checkpoint = format!("{text}\n\u{2014} rekor.example {signature}\n");
    InclusionProof { log_index: 0, tree_size: 1, root_hash, hashes: Vec::new(), checkpoint }
}

/// The first part of a sequence, with its header: the body of a certificate.
fn first_part(der: &[u8]) -> &[u8] {
    let header = |der: &[u8]| match der[1] {
        0x82 => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
        0x81 => (3, usize::from(der[2])),
        short => (2, usize::from(short)),
    };
    let inner = &der[header(der).0..];
    let (size, length) = header(inner);
    &inner[..size + length]
}

/// The log, as an apply asks it.
#[derive(Debug)]
pub(crate) struct MemoryLog(pub(crate) Arc<Sigstore>, pub(crate) Timestamp);

#[async_trait]
impl Log for MemoryLog {
    async fn record(&self, signed: &Signed<'_>, _hash: Hash) -> Result<LogEntry, ServiceError> {
        Ok(self.0.entry(signed, self.1))
    }

    fn at(&self) -> SafeUrl {
        SafeUrl::new("https://rekor.example".parse().unwrap())
    }

    fn refuses(&self, _signed: &Signed<'_>, _hash: Hash) -> Option<ServiceError> {
        None
    }

    async fn find(&self, _digest: &[u8; 32]) -> Vec<Recorded> {
        Vec::new()
    }
}

/// Somebody who signs with a new certificate each time.
#[derive(Debug)]
pub(crate) struct Somebody {
    pub(crate) sigstore: Arc<Sigstore>,
    pub(crate) email: &'static str,
    pub(crate) now: Timestamp,
}

#[async_trait]
impl Signer for Somebody {
    fn public_key(&self) -> Option<&PublicKey> {
        None
    }

    async fn sign(&self, message: &[u8], hash: Hash) -> Result<SignedByKey, KeyError> {
        let (key, certificate) = self.sigstore.certificate(self.email, self.now, Promise::Right);
        let signature: SignatureBytes = key.sign(message, hash).unwrap();
        Ok(SignedByKey {
            signature,
            public_key: key.public_key().clone(),
            certificate: Some((certificate, Some(self.sigstore.chain().clone()))),
        })
    }
}
