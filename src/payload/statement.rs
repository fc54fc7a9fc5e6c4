//! The in-toto statement that cosign 3 signs: `https://sigstore.dev/cosign/sign/v1`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::{Annotations, Digest};
use crate::payload::Claim;

/// The predicate type of a signature; every other one is an attestation.
///
/// Source: cosign `pkg/types/predicate.go`.
pub const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// The statement that is to be signed: the same two things always give the same bytes.
///
/// It names no repository: a bundle has no container identity.
///
/// # Example
///
/// ```
/// use countersign::model::{Annotations, Digest};
/// use countersign::payload::SignStatement;
///
/// let digest = Digest::of(b"manifest");
/// let annotations = Annotations::from([("build".to_owned(), "<8812>".to_owned())]);
/// let text = String::from_utf8(SignStatement { digest: &digest, annotations: &annotations }.to_bytes());
/// assert!(text.unwrap().contains(r#""annotations":{"build":"<8812>"}"#));
/// ```
///
/// Source: cosign `cmd/cosign/cli/sign/sign.go`, `signDigestBundle`.
#[derive(Clone, Copy, Debug)]
pub struct SignStatement<'a> {
    /// The digest of the subject.
    pub digest: &'a Digest,
    /// The annotations.
    pub annotations: &'a Annotations,
}

impl SignStatement<'_> {
    /// The bytes, as cosign 3.1 writes them: compact, without Go's HTML escapes, no newline at the end.
    #[expect(clippy::expect_used, reason = "maps have string keys and every value is plain data")]
    pub fn to_bytes(&self) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Statement<'a> {
            #[serde(rename = "_type")]
            r#type: &'a str,
            subject: [Subject<'a>; 1],
            predicate_type: &'a str,
            predicate: Map<String, Value>,
        }
        #[derive(Serialize)]
        struct Subject<'a> {
            digest: BTreeMap<&'a str, String>,
            annotations: &'a Annotations,
        }
        let digest = BTreeMap::from([(self.digest.algorithm().name(), self.digest.hex())]);
        serde_json::to_vec(&Statement {
            r#type: STATEMENT_TYPE,
            subject: [Subject { digest, annotations: self.annotations }],
            predicate_type: SIGN_PREDICATE,
            predicate: Map::new(),
        })
        .expect("plain data is always JSON")
    }
}

/// A statement as it was read, whoever wrote it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// What is said about the subjects.
    #[serde(default, alias = "predicate_type")]
    pub predicate_type: String,
    #[serde(default)]
    subject: Vec<StatementSubject>,
}

#[derive(Clone, Debug, Deserialize)]
struct StatementSubject {
    #[serde(default)]
    digest: BTreeMap<String, String>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, Value>>,
}

impl StatementSubject {
    /// Its digests of a kind that is known.
    fn digests(&self) -> Vec<Digest> {
        let texts = self.digest.iter();
        texts.filter_map(|(name, hex)| format!("{name}:{hex}").parse().ok()).collect()
    }
}

impl Statement {
    /// Reads a statement; none where the bytes are no JSON object of that shape.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Says whether it is about `digest`, whatever it says.
    pub fn is_about(&self, digest: &Digest) -> bool {
        self.subject.iter().any(|it| it.digests().contains(digest))
    }

    /// What it says about its first subject of which a digest is known; none where it is no signature.
    pub fn first_claim(&self) -> Option<Claim> {
        let digest = self.subject.iter().find_map(|it| it.digests().into_iter().next())?;
        self.claim(&digest)
    }

    /// What it says about `digest`, or about its first subject where it does not name that; none where
    /// it is no signature, or names no digest that is known.
    pub fn claim(&self, digest: &Digest) -> Option<Claim> {
        if self.predicate_type != SIGN_PREDICATE {
            return None;
        }
        let ours = self.subject.iter().find(|it| it.digests().contains(digest));
        let (subject, digest) = match ours {
            Some(subject) => (subject, digest.clone()),
            None => {
                let first = self.subject.first()?;
                (first, first.digests().into_iter().next()?)
            }
        };
        let (mut annotations, mut other) = (Annotations::new(), BTreeMap::new());
        for (key, value) in subject.annotations.clone().unwrap_or_default() {
            match value {
                Value::String(text) => annotations.insert(key, text),
                value => other.insert(key, value.to_string()),
            };
        }
        Some(Claim { identity: String::new(), digest, annotations, other })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> Digest {
        "sha256:9ec512b0442d651c99da2e894a426568dff49e8a3484bfad4c5ea2fcb47fb983".parse().unwrap()
    }

    #[test]
    fn other_spellings_mean_the_same() {
        let text = format!(
            r#"{{ "predicate": {{"x": 1}}, "predicateType": "{SIGN_PREDICATE}", "subject": [
                {{"name": "other", "digest": {{"sha256": "{}"}}}},
                {{"annotations": {{"a": "1", "n": 2}}, "name": "app", "digest": {{"sha512": "x", "sha256": "{}"}}}}
            ], "_type": "https://in-toto.io/Statement/v0.1" }}"#,
            Digest::of(b"other").hex(),
            digest().hex()
        );
        let claim = Statement::parse(text.as_bytes()).unwrap().claim(&digest()).unwrap();
        assert_eq!(claim.digest, digest());
        assert_eq!(claim.annotations, Annotations::from([("a".to_owned(), "1".to_owned())]));
        assert_eq!(claim.other, BTreeMap::from([("n".to_owned(), "2".to_owned())]));

        let of_another = Statement::parse(text.as_bytes()).unwrap().claim(&Digest::of(b"third"));
        assert_eq!(of_another.unwrap().digest, Digest::of(b"other"));
        let attestation = text.replace(SIGN_PREDICATE, "https://slsa.dev/provenance/v1");
        assert_eq!(Statement::parse(attestation.as_bytes()).unwrap().claim(&digest()), None);
    }
}
