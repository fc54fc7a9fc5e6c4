//! What an entry of a log says was signed, by whom.

use serde_json::Value;

use crate::crypto::{Certificate, Hash, PublicKey, SignatureBytes};
use crate::payload::{EntryKind, statement_signed_bytes};
use crate::trust::error::code;
use crate::trust::{Content, EvidenceProblem, Signed, Verifier};

/// The forms of entries that bind a signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// `hashedrekord` 0.0.1
    HashedRekord1,
    /// `hashedrekord` 0.0.2, Rekor v2
    HashedRekord2,
    /// `dsse` 0.0.1
    Dsse1,
    /// `dsse` 0.0.2, Rekor v2
    Dsse2,
    /// `intoto` 0.0.2
    InToto2,
}

impl Form {
    pub(super) fn of(kind: &EntryKind) -> Result<Self, EvidenceProblem> {
        match (kind.name.as_str(), kind.version.as_str()) {
            ("hashedrekord", "0.0.1") => Ok(Self::HashedRekord1),
            ("hashedrekord", "0.0.2") => Ok(Self::HashedRekord2),
            ("dsse", "0.0.1") => Ok(Self::Dsse1),
            ("dsse", "0.0.2") => Ok(Self::Dsse2),
            ("intoto", "0.0.2") => Ok(Self::InToto2),
            (name, version) => Err(EvidenceProblem::new(
                code::ENTRY_MALFORMED,
                format!("a log entry of the kind `{name}` {version} binds no signature"),
            )),
        }
    }

    pub(super) fn is_version_2(self) -> bool {
        matches!(self, Self::HashedRekord2 | Self::Dsse2)
    }

    fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::HashedRekord1 => ("hashedrekord", "0.0.1"),
            Self::HashedRekord2 => ("hashedrekord", "0.0.2"),
            Self::Dsse1 => ("dsse", "0.0.1"),
            Self::Dsse2 => ("dsse", "0.0.2"),
            Self::InToto2 => ("intoto", "0.0.2"),
        }
    }
}

/// What an entry names.
struct Named {
    digest: Vec<u8>,
    hash: Hash,
    signature: Vec<u8>,
    verifier: NamedVerifier,
}

enum NamedVerifier {
    Pem(Vec<u8>),
    Key(Vec<u8>),
    Certificate(Vec<u8>),
}

/// Checks that the body of an entry is of this form and names what was signed, the signature, and its verifier.
pub(super) fn names(signed: &Signed<'_>, form: Form, body: &[u8]) -> Result<(), EvidenceProblem> {
    let other = |what: &str| {
        EvidenceProblem::new(
            code::ENTRY_OF_ANOTHER,
            format!("the log entry is for another {what} than this one"),
        )
    };
    let named = read(form, body).ok_or_else(|| {
        let (name, version) = form.name();
        EvidenceProblem::new(
            code::ENTRY_MALFORMED,
            format!("the body of the log entry has not the form of `{name}` {version}"),
        )
    })?;
    let digest =
        digest_of(signed.content, form, named.hash).ok_or_else(|| other("kind of content"))?;
    if digest != named.digest {
        return Err(other("content"));
    }
    if named.signature != signed.signature.as_bytes() {
        return Err(other("signature"));
    }
    if !is_named(signed.verifier, &named.verifier) {
        return Err(other(match signed.verifier {
            Verifier::Key(_) => "key",
            Verifier::Certificate(_) => "certificate",
        }));
    }
    Ok(())
}

/// What an entry of this form has as its digest; `None` where such content never has one.
fn digest_of(content: Content<'_>, form: Form, hash: Hash) -> Option<Vec<u8>> {
    match (content, form) {
        (Content::Message(message), Form::HashedRekord1 | Form::HashedRekord2) => {
            Some(hash.digest(message))
        }
        (Content::Digest(digest), Form::HashedRekord1 | Form::HashedRekord2) => {
            (hash == Hash::Sha256).then(|| digest.to_vec())
        }
        // Rekor v2 takes a DSSE envelope as a signature over the bytes that it signs.
        (Content::Statement(payload), Form::HashedRekord2) => {
            Some(hash.digest(&statement_signed_bytes(payload)))
        }
        (Content::Statement(payload), Form::Dsse1 | Form::Dsse2 | Form::InToto2) => {
            Some(hash.digest(payload))
        }
        _ => None,
    }
}

fn is_named(verifier: Verifier<'_>, named: &NamedVerifier) -> bool {
    match (verifier, named) {
        (Verifier::Key(key), NamedVerifier::Pem(pem)) => {
            let pem = std::str::from_utf8(pem).unwrap_or_default();
            PublicKey::from_pem(pem).is_ok_and(|it| it == *key)
        }
        (Verifier::Key(key), NamedVerifier::Key(der)) => {
            PublicKey::from_der(der).is_ok_and(|it| it == *key)
        }
        (Verifier::Certificate(certificate), NamedVerifier::Pem(pem)) => {
            let pem = std::str::from_utf8(pem).unwrap_or_default();
            Certificate::from_pem(pem).is_ok_and(|it| it == *certificate)
        }
        (Verifier::Certificate(certificate), NamedVerifier::Certificate(der)) => {
            certificate.as_der() == der
        }
        _ => false,
    }
}

/// Reads a body; `None` where a part is missing, has another shape, or stands for several.
fn read(form: Form, body: &[u8]) -> Option<Named> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let (name, version) = form.name();
    let says = |member: &str, text: &str| value.get(member)?.as_str().filter(|it| *it == text);
    says("kind", name)?;
    says("apiVersion", version)?;
    let spec = value.get("spec")?;
    match form {
        Form::HashedRekord1 => {
            let hash = spec.get("data")?.get("hash")?;
            let signature = spec.get("signature")?;
            Some(Named {
                digest: hex::decode(text(hash, "value")?).ok()?,
                hash: hash_named(text(hash, "algorithm")?)?,
                signature: base64(signature, "content")?,
                verifier: NamedVerifier::Pem(base64(signature.get("publicKey")?, "content")?),
            })
        }
        Form::HashedRekord2 => {
            let spec = spec.get("hashedRekordV002")?;
            let data = spec.get("data")?;
            let signature = spec.get("signature")?;
            Some(Named {
                digest: base64(data, "digest")?,
                hash: hash_named(text(data, "algorithm")?)?,
                signature: base64(signature, "content")?,
                verifier: verifier_2(signature.get("verifier")?)?,
            })
        }
        Form::Dsse1 => {
            let hash = spec.get("payloadHash")?;
            let signature = only(spec.get("signatures")?)?;
            Some(Named {
                digest: hex::decode(text(hash, "value")?).ok()?,
                hash: hash_named(text(hash, "algorithm")?)?,
                signature: base64(signature, "signature")?,
                verifier: NamedVerifier::Pem(base64(signature, "verifier")?),
            })
        }
        Form::Dsse2 => {
            let spec = spec.get("dsseV002")?;
            let hash = spec.get("payloadHash")?;
            let signature = only(spec.get("signatures")?)?;
            Some(Named {
                digest: base64(hash, "digest")?,
                hash: hash_named(text(hash, "algorithm")?)?,
                signature: base64(signature, "content")?,
                verifier: verifier_2(signature.get("verifier")?)?,
            })
        }
        Form::InToto2 => {
            let content = spec.get("content")?;
            let hash = content.get("payloadHash")?;
            let signature = only(content.get("envelope")?.get("signatures")?)?;
            // The signature stands in base64 twice: once in the envelope, once in the entry.
            let inner = base64(signature, "sig")?;
            let inner = std::str::from_utf8(&inner).ok()?;
            Some(Named {
                digest: hex::decode(text(hash, "value")?).ok()?,
                hash: hash_named(text(hash, "algorithm")?)?,
                signature: SignatureBytes::from_base64(inner).ok()?.as_bytes().to_vec(),
                verifier: NamedVerifier::Pem(base64(signature, "publicKey")?),
            })
        }
    }
}

fn verifier_2(verifier: &Value) -> Option<NamedVerifier> {
    let raw = |name: &str| base64(verifier.get(name)?, "rawBytes");
    match (raw("x509Certificate"), raw("publicKey")) {
        (Some(certificate), None) => Some(NamedVerifier::Certificate(certificate)),
        (None, Some(key)) => Some(NamedVerifier::Key(key)),
        _ => None,
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

fn base64(value: &Value, name: &str) -> Option<Vec<u8>> {
    SignatureBytes::from_base64(text(value, name)?).ok().map(|it| it.as_bytes().to_vec())
}

fn only(list: &Value) -> Option<&Value> {
    match list.as_array()?.as_slice() {
        [only] => Some(only),
        _ => None,
    }
}

/// `sha256`, or `SHA2_256` as protobuf names it.
fn hash_named(name: &str) -> Option<Hash> {
    Hash::ALL.into_iter().find(|hash| {
        let bits = hash.name().trim_start_matches("sha");
        name == hash.name() || name.strip_prefix("SHA2_") == Some(bits)
    })
}
