//! Whom a certificate names, and who says so: identities as verifiers ask for them. Pure.

use std::fmt;

use der::Decode as _;
use der::asn1::{ObjectIdentifier, Utf8StringRef};
use regex::Regex;

use crate::crypto::Certificate;

/// A text that a certificate must hold.
#[derive(Clone, Debug)]
pub enum TextPattern {
    /// This text.
    Exactly(String),
    /// One in which the expression is found, anywhere: anchor it with `^` and `$`.
    Found(Regex),
}

impl TextPattern {
    /// Says whether `text` is one.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exactly(exactly) => exactly == text,
            Self::Found(expression) => expression.is_match(text),
        }
    }
}

impl fmt::Display for TextPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(exactly) => f.write_str(exactly),
            Self::Found(expression) => write!(f, "/{expression}/"),
        }
    }
}

/// What a workflow of GitHub writes into its certificate.
///
/// Source: Fulcio, `docs/oid-info.md`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Workflow {
    /// The event that started it.
    Trigger,
    /// The commit that it ran on.
    Sha,
    /// Its name.
    Name,
    /// The repository.
    Repository,
    /// The branch or tag.
    Ref,
}

impl Workflow {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Trigger, Self::Sha, Self::Name, Self::Repository, Self::Ref];

    /// The name that cosign prints it under.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trigger => "githubWorkflowTrigger",
            Self::Sha => "githubWorkflowSha",
            Self::Name => "githubWorkflowName",
            Self::Repository => "githubWorkflowRepository",
            Self::Ref => "githubWorkflowRef",
        }
    }

    /// The number of its extension.
    pub fn oid(self) -> &'static str {
        match self {
            Self::Trigger => "1.3.6.1.4.1.57264.1.2",
            Self::Sha => "1.3.6.1.4.1.57264.1.3",
            Self::Name => "1.3.6.1.4.1.57264.1.4",
            Self::Repository => "1.3.6.1.4.1.57264.1.5",
            Self::Ref => "1.3.6.1.4.1.57264.1.6",
        }
    }
}

/// The extension that holds the issuer, as bare text.
pub(super) const ISSUER: &str = "1.3.6.1.4.1.57264.1.1";
/// The same, as DER.
const ISSUER_DER: &str = "1.3.6.1.4.1.57264.1.8";

impl Certificate {
    /// Who told the authority whom it names: the issuer of the token; none in a certificate of another kind.
    pub fn issuer(&self) -> Option<String> {
        self.extension_text(ISSUER).or_else(|| {
            let content = self.extension(&ObjectIdentifier::new(ISSUER_DER).ok()?)?;
            Utf8StringRef::from_der(content).ok().map(|it| it.to_string())
        })
    }

    /// What a workflow of GitHub wrote into it.
    pub fn workflow(&self, what: Workflow) -> Option<String> {
        self.extension_text(what.oid())
    }

    fn extension_text(&self, oid: &str) -> Option<String> {
        let content = self.extension(&ObjectIdentifier::new(oid).ok()?)?;
        let text = std::str::from_utf8(content).ok()?;
        (!text.is_empty()).then(|| text.to_owned())
    }
}

/// Whom a certificate must name, and who must say so.
///
/// Source: cosign `pkg/cosign/verify.go`, `CheckCertificatePolicy`.
#[derive(Clone, Debug)]
pub struct IdentityPattern {
    /// One of the alternative names.
    pub subject: TextPattern,
    /// The issuer; a certificate without one has the empty text.
    pub issuer: TextPattern,
    /// What a workflow of GitHub must have written.
    pub workflow: Vec<(Workflow, String)>,
}

impl IdentityPattern {
    /// Says whether `certificate` names it; else what it names, for people.
    ///
    /// # Errors
    ///
    /// What is different.
    pub fn check(&self, certificate: &Certificate) -> Result<(), String> {
        let (names, issuer) = (certificate.alternative_names(), certificate.issuer());
        let issuer = issuer.unwrap_or_default();
        if !names.iter().any(|name| self.subject.matches(name)) || !self.issuer.matches(&issuer) {
            let names = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
            let by = if issuer.is_empty() { "no issuer".to_owned() } else { issuer };
            return Err(format!(
                "its certificate names {names} by {by}, and not {} by {}",
                self.subject, self.issuer
            ));
        }
        for (what, expected) in &self.workflow {
            let found = certificate.workflow(*what).unwrap_or_default();
            if found != *expected {
                let what = what.name();
                return Err(format!("its certificate says {what} `{found}`, and not `{expected}`"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CustomExtension, KeyPair, SanType};

    use super::*;

    fn made(extensions: &[(&[u64], &[u8])]) -> Certificate {
        let mut params = CertificateParams::default();
        let uri = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
        params.subject_alt_names = vec![
            SanType::Rfc822Name("release@acme.example".try_into().unwrap()),
            SanType::URI(uri.try_into().unwrap()),
        ];
        params.custom_extensions = extensions
            .iter()
            .map(|(oid, content)| CustomExtension::from_oid_content(oid, content.to_vec()))
            .collect();
        let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate::from_pem(&signed.pem()).unwrap()
    }

    fn exactly(text: &str) -> TextPattern {
        TextPattern::Exactly(text.to_owned())
    }

    fn found(text: &str) -> TextPattern {
        TextPattern::Found(Regex::new(text).unwrap())
    }

    const FULCIO: [u64; 9] = [1, 3, 6, 1, 4, 1, 57264, 1, 1];

    #[test]
    fn issuers_are_read_as_text_and_as_der() {
        let mut as_der = FULCIO;
        as_der[8] = 8;
        let text = made(&[(&FULCIO, b"https://issuer.example")]);
        assert_eq!(text.issuer().as_deref(), Some("https://issuer.example"));
        let der = made(&[(&as_der, b"\x0c\x01a")]);
        assert_eq!(der.issuer().as_deref(), Some("a"));
        assert_eq!(made(&[]).issuer(), None);
    }

    #[test]
    fn subject_issuer_and_workflow_must_all_match() {
        let mut sha = FULCIO;
        sha[8] = 3;
        let certificate = made(&[(&FULCIO, b"https://issuer.example"), (&sha, b"abc")]);
        let pattern = |subject, issuer, workflow: &[(Workflow, &str)]| IdentityPattern {
            subject,
            issuer,
            workflow: workflow.iter().map(|(what, text)| (*what, (*text).to_owned())).collect(),
        };
        let issuer = || exactly("https://issuer.example");
        for (good, pattern) in [
            (true, pattern(exactly("release@acme.example"), issuer(), &[])),
            (true, pattern(found("acme/app"), found("."), &[(Workflow::Sha, "abc")])),
            (false, pattern(found("^acme/app"), found("."), &[])),
            (false, pattern(exactly("release@acme"), issuer(), &[])),
            (false, pattern(found("."), exactly("https://issuer"), &[])),
            (false, pattern(found("."), issuer(), &[(Workflow::Sha, "abcd")])),
            (false, pattern(found("."), issuer(), &[(Workflow::Ref, "refs/heads/main")])),
        ] {
            assert_eq!(pattern.check(&certificate).is_ok(), good, "{pattern:?}");
        }
        let bare = made(&[]);
        assert!(pattern(found("."), found(".*"), &[]).check(&bare).is_ok());
        assert!(pattern(found("."), found("."), &[]).check(&bare).is_err());
    }
}
