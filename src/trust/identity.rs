//! The identity that a certificate certifies.

use der::Decode as _;
use der::asn1::{ObjectIdentifier, Utf8StringRef};

use crate::crypto::{Certificate, Chain};
use crate::model::Timestamp;
use crate::trust::error::code;
use crate::trust::{TrustError, TrustedRoot};

/// Who signed, as a certificate authority of the trusted root vouches for it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CertificateIdentity {
    /// The alternative name: an email address, or the URI of a workflow.
    pub subject: String,
    /// The issuer of the token that proved it; empty where the certificate names none.
    pub issuer: String,
    /// What a GitHub workflow's certificate says of the run.
    pub github: GithubClaims,
}

/// What the certificate of a GitHub workflow says of its run, under the names that cosign gives them.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct GithubClaims {
    /// The event: `push`.
    pub trigger: Option<String>,
    /// The commit.
    pub sha: Option<String>,
    /// The name of the workflow.
    pub name: Option<String>,
    /// `owner/name`.
    pub repository: Option<String>,
    /// The git reference: `refs/heads/main`.
    pub reference: Option<String>,
}

impl GithubClaims {
    /// Each claim with its name, in a fixed order.
    pub fn named(&self) -> [(&'static str, Option<&str>); 5] {
        [
            ("trigger", self.trigger.as_deref()),
            ("sha", self.sha.as_deref()),
            ("name", self.name.as_deref()),
            ("repository", self.repository.as_deref()),
            ("reference", self.reference.as_deref()),
        ]
    }
}

impl TrustedRoot {
    /// The identity that `leaf` certifies.
    ///
    /// `leaf` must chain at `at` to an authority of this root that was to be trusted then, be for code signing, and
    /// carry a promise of a log of certificates ("embedded SCT") that verifies. `chain` is what was carried beside
    /// the leaf: it may help on the way, and vouches for nothing.
    ///
    /// # Errors
    ///
    /// `trust::certificate_…`, `trust::no_identity`: what of this is not so.
    pub fn identity_of(
        &self,
        leaf: &Certificate,
        chain: Option<&Chain>,
        at: Timestamp,
    ) -> Result<CertificateIdentity, TrustError> {
        let issuer_key = self.issuer_of(leaf, chain, at)?;
        self.certificate_is_logged(leaf, &issuer_key)?;
        CertificateIdentity::read(leaf)
    }

    /// The same without asking for the promise of a log of certificates: weaker, for authorities that have none.
    ///
    /// # Errors
    ///
    /// As [`TrustedRoot::identity_of`].
    pub fn identity_without_log(
        &self,
        leaf: &Certificate,
        chain: Option<&Chain>,
        at: Timestamp,
    ) -> Result<CertificateIdentity, TrustError> {
        self.issuer_of(leaf, chain, at)?;
        CertificateIdentity::read(leaf)
    }

    /// The key (PKIX DER) of the authority that issued `leaf`, on a way to this root.
    fn issuer_of(
        &self,
        leaf: &Certificate,
        carried: Option<&Chain>,
        at: Timestamp,
    ) -> Result<Vec<u8>, TrustError> {
        let (first, last) = (leaf.not_before(), leaf.not_after());
        if at < first || last < at {
            return Err(TrustError::new(
                code::CERTIFICATE_NOT_VALID,
                format!("the certificate is valid from {first} to {last}, and not at {at}"),
            ));
        }
        if !leaf.is_for_code_signing() {
            return Err(TrustError::new(
                code::CERTIFICATE_USE,
                "the certificate is not for code signing",
            ));
        }
        let mut reason = "the trusted root has no certificate authority for that time".to_owned();
        let authorities = self.certificate_authorities.iter();
        for authority in authorities.filter(|it| it.window.contains(at)) {
            match authority.chain.issuer_of(leaf, carried, at) {
                Ok(key) => return Ok(key),
                Err(error) => reason = error.to_string(),
            }
        }
        Err(TrustError::new(
            code::CERTIFICATE_UNTRUSTED,
            format!(
                "no certificate authority of the trusted root has issued the certificate: {reason}"
            ),
        ))
    }
}

impl CertificateIdentity {
    /// What the certificate says, whoever issued it: [`TrustedRoot::identity_of`] says whether to believe it.
    ///
    /// # Errors
    ///
    /// `trust::no_identity`: it has no alternative name.
    pub fn read(leaf: &Certificate) -> Result<Self, TrustError> {
        let subject = leaf.alternative_names().into_iter().next().ok_or_else(|| {
            TrustError::new(
                code::NO_IDENTITY,
                "the certificate names nobody: it has no alternative name",
            )
        })?;
        let new = |number: u32| leaf.extension(&fulcio(number)).and_then(utf8);
        let old = |number: u32| {
            let text = std::str::from_utf8(leaf.extension(&fulcio(number))?);
            text.ok().map(str::to_owned)
        };
        let repository = || {
            let url = new(12)?;
            url.strip_prefix("https://github.com/").map(str::to_owned)
        };
        Ok(Self {
            subject,
            issuer: new(8).or_else(|| old(1)).unwrap_or_default(),
            github: GithubClaims {
                trigger: old(2).or_else(|| new(20)),
                sha: old(3).or_else(|| new(13)),
                name: old(4),
                repository: old(5).or_else(repository),
                reference: old(6).or_else(|| new(14)),
            },
        })
    }
}

/// Source: Fulcio, `docs/oid-info.md`. 1 to 6 are raw text, later ones are DER.
fn fulcio(number: u32) -> ObjectIdentifier {
    FULCIO.push_arc(number).unwrap_or(FULCIO)
}

const FULCIO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1");

fn utf8(der: &[u8]) -> Option<String> {
    Utf8StringRef::from_der(der).ok().map(|it| it.to_string())
}
