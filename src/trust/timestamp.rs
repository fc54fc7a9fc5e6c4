//! Whether a timestamp authority has seen a signature.
//!
//! Ours: `sigstore-tsa` takes authorities with keys of P-256 and P-384 alone, and no time with a fraction of a second.
//!
//! Source: RFC 3161, §2.4.2; RFC 5652, §5.4 and §5.6.

use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{ObjectIdentifier, OctetStringRef};
use der::{Any, Decode as _, Encode as _, Reader as _, SliceReader};

use crate::crypto::{Certificate, Hash, SignatureBytes};
use crate::model::Timestamp;
use crate::trust::error::code;
use crate::trust::proof::time_fits;
use crate::trust::root::TimestampAuthority;
use crate::trust::timestamp_info::{TimestampInfo, hash_of};
use crate::trust::{EvidenceProblem, Signed, TrustedRoot};

/// A timestamp is a few kilobytes.
const LARGEST: usize = 64 * 1024;

/// At most as many certificates of a token are tried.
const MOST_CARRIED: usize = 16;

const TIMESTAMP_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SUBJECT_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");

impl TrustedRoot {
    /// Checks one timestamp; gives its time, and which authority of the root made it.
    pub(super) fn timestamp_holds(
        &self,
        signed: &Signed<'_>,
        response: &[u8],
        now: Timestamp,
    ) -> Result<(Timestamp, usize), EvidenceProblem> {
        let token = Some(response).filter(|it| it.len() <= LARGEST).and_then(Token::read);
        let token = token.ok_or_else(|| {
            EvidenceProblem::new(
                code::TIMESTAMP_MALFORMED,
                "a timestamp is no answer of RFC 3161 that grants one",
            )
        })?;
        let info = &token.info;
        if info.hash.digest(signed.signature.as_bytes()) != info.digest {
            return Err(EvidenceProblem::new(
                code::TIMESTAMP_OF_ANOTHER,
                "the timestamp is for another signature than this one",
            ));
        }
        let mut problem = EvidenceProblem::new(
            code::AUTHORITY_UNKNOWN,
            "the timestamp is by no authority of the trusted root",
        );
        for (number, authority) in self.timestamp_authorities.iter().enumerate() {
            let signers = token.signers_of(authority);
            for leaf in signers {
                match token.is_by(&leaf, authority) {
                    Ok(()) => {
                        time_fits(signed.verifier, info.time, now, "the timestamp")?;
                        return Ok((info.time, number));
                    }
                    Err(error) => problem = error,
                }
            }
        }
        Err(problem)
    }
}

/// A timestamp, taken apart.
struct Token {
    signer: SignerInfo,
    /// What is signed.
    content: Vec<u8>,
    info: TimestampInfo,
    /// The certificates that it carries.
    carried: Vec<Certificate>,
}

impl Token {
    /// Reads a response that grants a token, or the token itself; `None` where it is neither.
    fn read(response: &[u8]) -> Option<Self> {
        let token = token_of(response)?;
        let signed: SignedData = ContentInfo::from_der(&token).ok()?.content.decode_as().ok()?;
        let inner = &signed.encap_content_info;
        let content = inner.econtent.as_ref().filter(|_| inner.econtent_type == TIMESTAMP_INFO)?;
        let content = content.decode_as::<OctetStringRef<'_>>().ok()?.as_bytes().to_vec();
        let [signer] = signed.signer_infos.0.as_slice() else { return None };
        let carried = signed.certificates.iter().flat_map(|it| it.0.iter());
        let carried = carried.take(MOST_CARRIED).filter_map(|it| match it {
            CertificateChoices::Certificate(it) => {
                Certificate::of_authority(&it.to_der().ok()?).ok()
            }
            CertificateChoices::Other(_) => None,
        });
        Some(Self {
            info: TimestampInfo::read(&content)?,
            carried: carried.collect(),
            signer: signer.clone(),
            content,
        })
    }

    /// The certificates with which it may be signed where it is of that authority: the one that it names.
    fn signers_of(&self, authority: &TimestampAuthority) -> Vec<Certificate> {
        // The chain of a signer's own authority may begin above the leaf, which the token carries then.
        let leaves = match &authority.leaf {
            Some(leaf) => std::slice::from_ref(leaf),
            None => &self.carried,
        };
        leaves.iter().filter(|it| self.names(it)).cloned().collect()
    }

    fn names(&self, leaf: &Certificate) -> bool {
        match &self.signer.sid {
            SignerIdentifier::IssuerAndSerialNumber(it) => {
                leaf.is_issued_as(&it.issuer, &it.serial_number)
            }
            SignerIdentifier::SubjectKeyIdentifier(it) => {
                let own = leaf.extension(&SUBJECT_KEY);
                let own = own.and_then(|it| OctetStringRef::from_der(it).ok());
                own.is_some_and(|own| own.as_bytes() == it.0.as_bytes())
            }
        }
    }

    /// Checks that `leaf` has signed it, and was then one of that authority.
    fn is_by(
        &self,
        leaf: &Certificate,
        authority: &TimestampAuthority,
    ) -> Result<(), EvidenceProblem> {
        let wrong = |reason: &str| {
            let said = format!("the signature of the timestamp does not hold: {reason}");
            EvidenceProblem::new(code::TIMESTAMP_WRONG, said)
        };
        let time = self.info.time;
        if !self.is_signed_with(leaf).unwrap_or(false) {
            return Err(wrong("the authority has not signed it"));
        }
        authority.chain.verify_timestamps(leaf, time).map_err(|error| match authority.leaf {
            Some(_) => wrong(&error.to_string()),
            // Anybody can carry a certificate of his own.
            None => EvidenceProblem::new(
                code::AUTHORITY_UNKNOWN,
                format!("the timestamp is by no authority of the trusted root: {error}"),
            ),
        })?;
        if authority.window.contains(time) {
            return Ok(());
        }
        Err(EvidenceProblem::new(
            code::AUTHORITY_NOT_VALID,
            format!("the trusted root does not trust the timestamp authority at {time}"),
        ))
    }

    /// Says whether the attributes name the content, and `leaf` has signed them; `None` where one is missing.
    fn is_signed_with(&self, leaf: &Certificate) -> Option<bool> {
        let hash: Hash = hash_of(&self.signer.digest_alg.oid)?;
        let attributes = self.signer.signed_attrs.as_ref()?;
        let only = |id: ObjectIdentifier| -> Option<&Any> {
            let mut found = attributes.iter().filter(|it| it.oid == id);
            match (found.next()?.values.as_slice(), found.next()) {
                ([only], None) => Some(only),
                _ => None,
            }
        };
        let kind: ObjectIdentifier = only(CONTENT_TYPE)?.decode_as().ok()?;
        let digest = only(MESSAGE_DIGEST)?.decode_as::<OctetStringRef<'_>>().ok()?;
        // Signed as a set, and not with the tag that it has in its place.
        let message = attributes.to_der().ok()?;
        let signature = SignatureBytes::new(self.signer.signature.as_bytes().to_vec());
        Some(
            kind == TIMESTAMP_INFO
                && digest.as_bytes() == hash.digest(&self.content)
                && leaf.public_key().verifies(&message, &signature, hash),
        )
    }
}

/// The token of a response that grants one; or what is a token already.
///
/// Source: RFC 3161, §2.4.2: status 0 is granted, 1 is granted with changes.
fn token_of(response: &[u8]) -> Option<Vec<u8>> {
    if ContentInfo::from_der(response).is_ok() {
        return Some(response.to_vec());
    }
    let mut reader = SliceReader::new(response).ok()?;
    let parts = reader.sequence(|inner| Ok((Any::decode(inner)?, Any::decode(inner)?)));
    let (first, second) = parts.ok()?;
    let mut status = SliceReader::new(first.value()).ok()?;
    let status = u8::decode(&mut status).ok()?;
    (status <= 1).then(|| second.to_der().ok()).flatten()
}
