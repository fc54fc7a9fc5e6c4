//! Which identity a signer has.

use regex::Regex;

use crate::trust::{CertificateIdentity, GithubClaims};

/// A text that must be, or a pattern for it.
#[derive(Clone, Debug)]
pub enum Matcher {
    /// This very text.
    Exact(String),
    /// Every text that this matches as a whole: see [`Matcher::pattern`].
    Pattern(Regex),
}

/// A pattern that is no regular expression.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this is no regular expression: {0}")]
pub struct MatcherError(pub String);

impl Matcher {
    /// A regular expression for the whole text: `.*@acme\.com` matches no `a@acme.com.evil.org`.
    ///
    /// cosign's own patterns match anywhere in the text.
    ///
    /// # Errors
    ///
    /// When it is no regular expression, or one that is too large.
    ///
    /// # Example
    ///
    /// ```
    /// use countersign::trust::Matcher;
    ///
    /// let matcher = Matcher::pattern(r"[a-z]+@acme\.com")?;
    /// assert!(matcher.matches("ci@acme.com"));
    /// assert!(!matcher.matches("ci@acme.com.evil.org"));
    /// # Ok::<(), countersign::trust::MatcherError>(())
    /// ```
    pub fn pattern(pattern: &str) -> Result<Self, MatcherError> {
        // The pattern by itself first: `a)|(b` is none, but would become one between parentheses.
        Regex::new(pattern).map_err(|error| MatcherError(error.to_string()))?;
        let whole = Regex::new(&format!(r"\A(?:{pattern})\z"));
        whole.map(Self::Pattern).map_err(|error| MatcherError(error.to_string()))
    }

    /// Says whether `text` is meant.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == text,
            Self::Pattern(pattern) => pattern.is_match(text),
        }
    }

    /// What was declared: the text, or the pattern.
    pub fn declared(&self) -> &str {
        match self {
            Self::Exact(exact) => exact,
            Self::Pattern(pattern) => {
                let text = pattern.as_str();
                text.strip_prefix(r"\A(?:").and_then(|it| it.strip_suffix(r")\z")).unwrap_or(text)
            }
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(one), Self::Exact(other)) => one == other,
            (Self::Pattern(one), Self::Pattern(other)) => one.as_str() == other.as_str(),
            _ => false,
        }
    }
}
impl Eq for Matcher {}

/// Whose signatures are a signer's: issuer and identity, and claims of a GitHub workflow where they are declared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdentityPolicy {
    /// Who vouched for the identity: `https://token.actions.githubusercontent.com`.
    pub issuer: Matcher,
    /// The identity: an email address, or the URI of a workflow.
    pub identity: Matcher,
    /// Claims that must be there with these values.
    pub github: GithubClaims,
}

/// An identity that is not the declared one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what} is `{found}`, and not `{declared}`")]
pub struct Mismatch {
    /// What differs: `the issuer`, `the identity`, `the GitHub workflow's repository`.
    pub what: String,
    /// What was declared: a text, or a pattern.
    pub declared: String,
    /// What the certificate says; empty where it says nothing.
    pub found: String,
}

impl IdentityPolicy {
    /// Says whether the identity is the declared one.
    ///
    /// # Errors
    ///
    /// The first difference: issuer, identity, then the claims.
    pub fn accepts(&self, identity: &CertificateIdentity) -> Result<(), Mismatch> {
        let check = |what: &str, matcher: &Matcher, found: &str| {
            if matcher.matches(found) {
                return Ok(());
            }
            let (declared, found) = (matcher.declared().to_owned(), found.to_owned());
            Err(Mismatch { what: what.to_owned(), declared, found })
        };
        check("the issuer", &self.issuer, &identity.issuer)?;
        check("the identity", &self.identity, &identity.subject)?;
        for ((name, declared), (_, found)) in
            self.github.named().into_iter().zip(identity.github.named())
        {
            let Some(declared) = declared else { continue };
            let found = found.unwrap_or_default();
            check(
                &format!("the GitHub workflow's {name}"),
                &Matcher::Exact(declared.to_owned()),
                found,
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> CertificateIdentity {
        CertificateIdentity {
            subject: "ci@acme.com".into(),
            issuer: "https://issuer.example".into(),
            github: GithubClaims { repository: Some("acme/app".into()), ..GithubClaims::default() },
        }
    }

    #[test]
    fn every_declared_part_must_be_there() {
        let exact = |text: &str| Matcher::Exact(text.to_owned());
        let pattern = |text: &str| Matcher::pattern(text).unwrap();
        let github = |text: &str| GithubClaims {
            repository: Some(text.to_owned()),
            ..GithubClaims::default()
        };
        let issuer = || exact("https://issuer.example");
        for (issuer, identity_is, github, wrong) in [
            (issuer(), exact("ci@acme.com"), GithubClaims::default(), None),
            (issuer(), pattern(r"[a-z]+@acme\.com"), github("acme/app"), None),
            (
                exact("https://issuer.exampl"),
                exact("ci@acme.com"),
                GithubClaims::default(),
                Some("the issuer"),
            ),
            (issuer(), exact("ci@acme.co"), GithubClaims::default(), Some("the identity")),
            // A pattern is for the whole text, alternatives too.
            (issuer(), pattern("ci@acme"), GithubClaims::default(), Some("the identity")),
            (issuer(), pattern("x|ci@acme"), GithubClaims::default(), Some("the identity")),
            (issuer(), pattern("^ci@acme.com$|x"), GithubClaims::default(), None),
            (
                issuer(),
                exact("ci@acme.com"),
                github("acme/other"),
                Some("the GitHub workflow's repository"),
            ),
            (
                issuer(),
                exact("ci@acme.com"),
                GithubClaims { trigger: Some("push".into()), ..GithubClaims::default() },
                Some("the GitHub workflow's trigger"),
            ),
        ] {
            let policy = IdentityPolicy { issuer, identity: identity_is, github };
            let found = policy.accepts(&identity()).map_err(|it| it.what);
            assert_eq!(found.err().as_deref(), wrong, "{policy:?}");
        }
    }

    #[test]
    fn what_is_no_expression_is_told_and_a_declared_one_is_shown_as_it_was() {
        for wrong in ["(", "a)|(b", "[", "(?<n", "a{1000000}"] {
            assert!(Matcher::pattern(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Matcher::pattern("a|b").unwrap().declared(), "a|b");
        assert!(!Matcher::pattern("a.b").unwrap().matches("a\nb"));
    }
}
