//! DSSE envelopes: a payload, its type, and signatures over both.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use serde_json::Value;

use crate::crypto::SignatureBytes;
use crate::payload::proto_json;

/// The type of an in-toto statement.
pub(crate) const IN_TOTO: &str = "application/vnd.in-toto+json";

/// The bytes that are signed of a payload and its type.
///
/// Source: DSSE 1.0, "Pre-Authentication Encoding".
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// The statement in what [`pre_authentication_encoding`] made of it; none where the bytes are something else.
pub fn statement_in(signed: &[u8]) -> Option<&[u8]> {
    let head = format!("DSSEv1 {} {IN_TOTO} ", IN_TOTO.len());
    let rest = signed.strip_prefix(head.as_bytes())?;
    let end = rest.iter().position(|it| *it == b' ')?;
    let (length, payload) = (rest.get(..end)?, rest.get(end + 1..)?);
    let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
    (payload.len() == length).then_some(payload)
}

/// A payload with its type and signatures, as it was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Envelope {
    /// What the payload is.
    pub payload_type: String,
    /// The payload.
    pub payload: Vec<u8>,
    /// The signatures, in order.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EnvelopeSignature {
    /// A name for the key that nothing vouches for; empty where there is none.
    pub key_id: String,
    /// The signature.
    pub signature: SignatureBytes,
}

impl Envelope {
    /// The bytes that the signatures are over.
    pub fn signed_bytes(&self) -> Vec<u8> {
        pre_authentication_encoding(&self.payload_type, &self.payload)
    }

    /// Reads the JSON of an envelope; in the error, what is wrong.
    pub(super) fn read(value: &Value) -> Result<Self, String> {
        let text = |name| proto_json::text(value, name);
        let payload = text("payload").unwrap_or_default();
        let payload = bytes_of(payload).ok_or("the payload of the envelope is no base64")?;
        let signatures = value.get("signatures").and_then(Value::as_array);
        let signatures = signatures.map(Vec::as_slice).unwrap_or_default().iter().map(|it| {
            let bytes = bytes_of(proto_json::text(it, "sig").unwrap_or_default());
            let bytes = bytes.ok_or_else(|| "a signature of the envelope is no base64".to_owned());
            Ok::<_, String>(EnvelopeSignature {
                key_id: proto_json::text(it, "keyid").unwrap_or_default().to_owned(),
                signature: SignatureBytes::new(bytes?),
            })
        });
        Ok(Self {
            payload_type: text("payloadType").unwrap_or_default().to_owned(),
            payload,
            signatures: signatures.collect::<Result<_, _>>()?,
        })
    }
}

/// Bytes as protobuf's JSON writes them: standard base64.
pub(super) fn base64_of(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Bytes as protobuf's JSON takes them: either alphabet, with padding or without.
pub(super) fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let is_url_safe = text.contains(['-', '_']);
    let alphabet = if is_url_safe { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    GeneralPurpose::new(alphabet, config).decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_that_of_the_specification() {
        // The example of the DSSE specification.
        let bytes = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(bytes, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        assert_eq!(pre_authentication_encoding("", b""), b"DSSEv1 0  0 ");
    }

    #[test]
    fn a_statement_is_found_in_its_encoding() {
        let signed = pre_authentication_encoding(IN_TOTO, b"{\"a\": 1} ");
        assert_eq!(statement_in(&signed), Some(&b"{\"a\": 1} "[..]));
        for wrong in
            [&signed[..signed.len() - 1], b"{}", b"", b"DSSEv1 28 application/vnd.in-toto+json x y"]
        {
            assert_eq!(statement_in(wrong), None);
        }
        assert_eq!(statement_in(&pre_authentication_encoding("text/plain", b"{}")), None);
    }

    #[test]
    fn either_alphabet_is_read() {
        for text in ["+/8=", "+/8", "-_8=", "-_8"] {
            assert_eq!(bytes_of(text).unwrap(), [0xfb, 0xff], "{text}");
        }
        assert_eq!(bytes_of("%"), None);
    }
}
