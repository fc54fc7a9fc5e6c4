//! Trusted roots: the keys of logs, the certificates of authorities, and when each was to be trusted.

use sigstore_trust_root::TrustedRoot as RootFile;
use sigstore_trust_root::trusted_root::CertChain;
use sigstore_types::TimeRange;
use url::Url;

use crate::crypto::{Certificate, Chain, Hash, KeyAlgorithm, PublicKey};
use crate::model::Timestamp;
use crate::trust::TrustError;
use crate::trust::error::code;

/// Keys and authorities that vouch for signatures: a `trusted_root.json`, or files as cosign 2 takes them.
///
/// Keys and certificates of kinds that are not known are left out: what they vouch for does not hold.
#[derive(Clone, Debug, Default)]
pub struct TrustedRoot {
    pub(super) logs: Vec<Log>,
    pub(super) certificate_logs: Vec<Log>,
    pub(super) certificate_authorities: Vec<CertificateAuthority>,
    pub(super) timestamp_authorities: Vec<TimestampAuthority>,
}

/// A log of signatures or of certificates.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) id: Vec<u8>,
    /// The host of its address, which is the origin of the checkpoints of Rekor v2.
    pub(super) host: Option<String>,
    pub(super) key: PublicKey,
    pub(super) hash: Hash,
    pub(super) window: Window,
}

/// A certificate authority for identities; the root is last in its chain.
#[derive(Clone, Debug)]
pub(super) struct CertificateAuthority {
    pub(super) chain: Chain,
    pub(super) window: Window,
}

/// A timestamp authority.
#[derive(Clone, Debug)]
pub(super) struct TimestampAuthority {
    /// The certificate that signs, where the root names it.
    pub(super) leaf: Option<Certificate>,
    /// Those above it, the root last.
    pub(super) chain: Chain,
    pub(super) window: Window,
}

impl TimestampAuthority {
    /// `certificates`: the root last, the leaf first where it is there.
    fn new(certificates: Vec<Certificate>, window: Window) -> Option<Self> {
        let leaf = certificates.first().filter(|it| !it.is_authority()).cloned();
        // A leaf that is alone is its own root.
        let above = usize::from(leaf.is_some() && certificates.len() > 1);
        let chain = Chain::new(certificates.into_iter().skip(above).collect())?;
        Some(Self { leaf, chain, window })
    }
}

/// When something was to be trusted, both ends included.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window(Option<TimeRange>);

impl Window {
    pub(super) fn contains(self, time: Timestamp) -> bool {
        self.0.is_none_or(|range| {
            let (start, end) = (range.start.as_second(), range.end.map(|it| it.as_second()));
            start <= time.as_seconds() && end.is_none_or(|end| time.as_seconds() <= end)
        })
    }

    pub(super) fn has_begun_by(self, time: Timestamp) -> bool {
        self.0.is_none_or(|range| range.start.as_second() <= time.as_seconds())
    }
}

impl TrustedRoot {
    /// Reads a `trusted_root.json`.
    ///
    /// # Errors
    ///
    /// `trust::root_malformed`: it is no trusted root, or two logs in it have one id.
    pub fn parse(json: &[u8]) -> Result<Self, TrustError> {
        let wrong = |reason: String| TrustError::new(code::ROOT_MALFORMED, reason);
        let text = std::str::from_utf8(json)
            .map_err(|_| wrong("the trusted root is no text in UTF-8".into()))?;
        let file = RootFile::from_json(text)
            .map_err(|error| wrong(format!("the trusted root cannot be read: {error}")))?;
        let mut root = Self::default();
        for log in &file.tlogs {
            let id = log.log_id.key_id.as_bytes();
            if root.logs.iter().any(|it| it.id == id) {
                return Err(wrong(format!("the trusted root has two logs {}", hex::encode(id))));
            }
            root.logs.extend(Log::read(id, &log.base_url, &log.public_key));
        }
        for log in &file.ctlogs {
            let id = log.log_id.key_id.as_bytes();
            root.certificate_logs.extend(Log::read(id, &log.base_url, &log.public_key));
        }
        for authority in &file.certificate_authorities {
            let window = Window(authority.valid_for);
            let chain = read(&authority.cert_chain).and_then(Chain::new);
            let authority = chain.map(|chain| CertificateAuthority { chain, window });
            root.certificate_authorities.extend(authority);
        }
        for authority in &file.timestamp_authorities {
            let window = Window(authority.valid_for);
            let certificates = read(&authority.cert_chain);
            let authority = certificates.and_then(|it| TimestampAuthority::new(it, window));
            root.timestamp_authorities.extend(authority);
        }
        Ok(root)
    }

    /// The same with a timestamp authority: its certificates, the root last, the leaf first where it is there.
    pub fn with_timestamp_authority(mut self, chain: &Chain) -> Self {
        let certificates = chain.certificates().to_vec();
        let authority = TimestampAuthority::new(certificates, Window::default());
        self.timestamp_authorities.extend(authority);
        self
    }

    /// The ids of the logs of signatures, in order.
    pub fn log_ids(&self) -> impl Iterator<Item = &[u8]> {
        self.logs.iter().map(|log| log.id.as_slice())
    }

    /// The same with a certificate authority for identities: its certificates, the root last.
    pub fn with_certificate_authority(mut self, chain: Chain) -> Self {
        let window = Window::default();
        self.certificate_authorities.push(CertificateAuthority { chain, window });
        self
    }

    /// The same with a log of signatures that signs with `key` (Rekor v1: the id of the log is that of the key).
    pub fn with_log(mut self, key: PublicKey) -> Self {
        self.logs.push(Log::of_key(key));
        self
    }

    /// The same with a log of certificates that signs with `key`.
    pub fn with_certificate_log(mut self, key: PublicKey) -> Self {
        self.certificate_logs.push(Log::of_key(key));
        self
    }
}

/// The certificates of a chain; `None` where one of them is of a kind that is not known.
fn read(chain: &CertChain) -> Option<Vec<Certificate>> {
    let certificates = chain.certificates.iter();
    certificates.map(|it| Certificate::of_authority(it.raw_bytes.as_bytes()).ok()).collect()
}

impl Log {
    fn read(
        id: &[u8],
        base_url: &str,
        key: &sigstore_trust_root::trusted_root::PublicKey,
    ) -> Option<Self> {
        let details = key.key_details.as_str();
        let public = PublicKey::of_authority(key.raw_bytes.as_bytes()).ok()?;
        let hash = hash_of(details, &public);
        let host = Url::parse(base_url).ok().and_then(|it| it.host_str().map(str::to_owned));
        let host = host.or_else(|| (!base_url.is_empty()).then(|| base_url.to_owned()));
        Some(Self { id: id.to_vec(), host, key: public, hash, window: Window(key.valid_for) })
    }

    fn of_key(key: PublicKey) -> Self {
        Self {
            id: Hash::Sha256.digest(key.as_der()),
            host: None,
            hash: hash_of("", &key),
            key,
            window: Window::default(),
        }
    }
}

/// The hash that the details of a key name (`PKIX_ECDSA_P384_SHA_384`), else the one that goes with its size.
fn hash_of(details: &str, key: &PublicKey) -> Hash {
    let named = Hash::ALL.into_iter().find(|hash| {
        let bits = hash.name().trim_start_matches("sha");
        details.ends_with(&format!("SHA_{bits}")) || details.ends_with(&format!("SHA{bits}"))
    });
    named.unwrap_or(match key.algorithm() {
        KeyAlgorithm::EcdsaP384 => Hash::Sha384,
        KeyAlgorithm::EcdsaP521 => Hash::Sha512,
        _ => Hash::Sha256,
    })
}
