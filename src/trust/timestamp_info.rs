//! What a timestamp authority says: when it saw what.
//!
//! Source: RFC 3161, §2.4.2, `TSTInfo`.

use der::asn1::{ObjectIdentifier, OctetStringRef};
use der::{AnyRef, Decode as _, Reader as _, SliceReader, Tag, Tagged as _};

use crate::crypto::Hash;
use crate::model::Timestamp;

/// What an authority says.
pub(super) struct TimestampInfo {
    /// How the signature is hashed.
    pub(super) hash: Hash,
    /// The hash of the signature.
    pub(super) digest: Vec<u8>,
    /// When the authority saw it.
    pub(super) time: Timestamp,
}

impl TimestampInfo {
    /// Reads the content of a token; `None` where it has not the form of one.
    pub(super) fn read(content: &[u8]) -> Option<Self> {
        let inner = AnyRef::from_der(content).ok().filter(|it| it.tag() == Tag::Sequence)?;
        let mut reader = SliceReader::new(inner.value()).ok()?;
        let version = u8::decode(&mut reader).ok()?;
        let _policy = ObjectIdentifier::decode(&mut reader).ok()?;
        let imprint: AnyRef<'_> = reader.decode().ok()?;
        let _serial: AnyRef<'_> = reader.decode().ok()?;
        let time: AnyRef<'_> = reader.decode().ok()?;
        let mut imprint = SliceReader::new(imprint.value()).ok()?;
        let algorithm: AnyRef<'_> = imprint.decode().ok()?;
        let digest = OctetStringRef::decode(&mut imprint).ok()?;
        let mut algorithm = SliceReader::new(algorithm.value()).ok()?;
        let algorithm = ObjectIdentifier::decode(&mut algorithm).ok()?;
        let is_right = version == 1 && time.tag() == Tag::GeneralizedTime;
        Some(Self {
            hash: hash_of(&algorithm).filter(|_| is_right)?,
            digest: digest.as_bytes().to_vec(),
            time: moment(std::str::from_utf8(time.value()).ok()?)?,
        })
    }
}

/// `20261122180000Z`, or with a fraction of a second, which is left out.
fn moment(text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix('Z')?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    if seconds.len() != 14 || !is_number(seconds) || !is_number(fraction) {
        return None;
    }
    let time = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", seconds).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp::from_seconds(time.timestamp().as_second()))
}

/// The hash that an algorithm names.
pub(super) fn hash_of(id: &ObjectIdentifier) -> Option<Hash> {
    match id.to_string().as_str() {
        "2.16.840.1.101.3.4.2.1" => Some(Hash::Sha256),
        "2.16.840.1.101.3.4.2.2" => Some(Hash::Sha384),
        "2.16.840.1.101.3.4.2.3" => Some(Hash::Sha512),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_a_fraction() {
        for (text, seconds) in [
            ("20261122180000Z", Some(1_795_370_400)),
            ("20261122180000.75Z", Some(1_795_370_400)),
            ("20261122180000", None),
            ("20261122180000.Z", None),
            ("20261322180000Z", None),
            ("2026112218000Z", None),
            ("20261122180000+0100", None),
        ] {
            assert_eq!(moment(text), seconds.map(Timestamp::from_seconds), "{text}");
        }
    }
}
