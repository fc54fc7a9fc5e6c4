//! Timestamp authorities (RFC 3161): somebody else's word for when a signature was there.

use der::asn1::OctetString;
use der::{Any, Decode, Reader, SliceReader, Tag, Tagged};
use reqwest::Method;

use crate::crypto::{Hash, SignatureBytes};
use crate::model::SafeUrl;
use crate::sigstore::connection::Connection;
use crate::sigstore::{Network, Service, ServiceError};
use crate::wire::http::Call;

const AT_ONCE: usize = 16;
const OPERATION: &str = "get a timestamp from";
/// Source: RFC 3161 §3.4.
const QUERY: &str = "application/timestamp-query";

/// A timestamp authority.
#[derive(Debug)]
pub struct TimestampAuthority {
    connection: Connection,
}

/// The nonce of a request: positive and of full length, whatever the dice say.
type Nonce = [u8; 8];

impl TimestampAuthority {
    /// The authority that answers at `url`, the whole address. Sends nothing.
    ///
    /// # Errors
    ///
    /// `tsa::refused` for what is no URL; `tsa::tls`.
    pub fn new(url: &str, network: &Network) -> Result<Self, ServiceError> {
        Ok(Self { connection: Connection::new(Service::Timestamp, url, AT_ONCE, network)? })
    }

    /// Where it is.
    pub fn at(&self) -> SafeUrl {
        self.connection.at()
    }

    /// A timestamp over the SHA-256 of a signature: the DER of the response, with the authority's certificate.
    ///
    /// One request. That the answer is to this request is checked by its nonce; what it says is not verified.
    ///
    /// # Errors
    ///
    /// Codes of the area `tsa`; `tsa::untrusted` for another nonce.
    #[tracing::instrument(name = "tsa.stamp", skip_all, err(level = "debug"))]
    pub async fn stamp(&self, signature: &SignatureBytes) -> Result<Vec<u8>, ServiceError> {
        let nonce = new_nonce();
        let request = request(&Hash::Sha256.digest(signature.as_bytes()), &nonce);
        let call = Call::new(Method::POST, self.connection.url("")).bytes(QUERY, request);
        let answer = self.connection.send(&call).await;
        let answer = answer.map_err(|failure| self.connection.failed(OPERATION, &failure))?;
        let response = answer.body.expose();
        let wrong = |why: &str| self.connection.untrusted(OPERATION, why);
        match read(response) {
            Err(error) => Err(wrong(&format!("it is no timestamp: {error}"))),
            Ok(Response { status: 0 | 1, nonce: Some(found) }) if found == nonce => {
                Ok(response.clone())
            }
            Ok(Response { status: 0 | 1, .. }) => {
                Err(wrong("its answer has another nonce: it is to another request"))
            }
            Ok(Response { status, .. }) => {
                let said = format!("it refuses, with the status {status}");
                Err(self.connection.refused(OPERATION, said))
            }
        }
    }
}

/// A request for a timestamp over a SHA-256, with the certificate of the authority in the answer.
///
/// Source: RFC 3161 §2.4.1, `TimeStampReq`: every part has the same length each time.
fn request(digest: &[u8], nonce: &Nonce) -> Vec<u8> {
    const VERSION: &[u8] = &[0x30, 0x43, 0x02, 0x01, 0x01];
    const IMPRINT: &[u8] =
        b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
    const NONCE: &[u8] = &[0x02, 0x08];
    const CERTIFICATE: &[u8] = &[0x01, 0x01, 0xff];
    [VERSION, IMPRINT, digest, NONCE, nonce, CERTIFICATE].concat()
}

fn new_nonce() -> Nonce {
    let [first, rest @ ..] = fastrand::u64(..).to_be_bytes();
    let mut nonce = Nonce::default();
    if let Some((head, tail)) = nonce.split_first_mut() {
        *head = first & 0x3f | 0x40;
        tail.copy_from_slice(&rest);
    }
    nonce
}

/// What is looked at of a response before it is verified.
struct Response {
    status: u8,
    nonce: Option<Vec<u8>>,
}

/// Source: RFC 3161 §2.4.2 (`TimeStampResp`, `TSTInfo`), RFC 5652 §3, §5.1 (`ContentInfo`, `SignedData`).
fn read(response: &[u8]) -> der::Result<Response> {
    let response = Any::from_der(response)?;
    let mut parts = SliceReader::new(response.value())?;
    let info = Any::decode(&mut parts)?;
    let status = u8::decode(&mut SliceReader::new(info.value())?)?;
    if parts.is_finished() {
        return Ok(Response { status, nonce: None });
    }
    let content_info = Any::decode(&mut parts)?;
    let signed_data = second(content_info.value())?;
    let signed_data = Any::from_der(signed_data.value())?;
    let mut fields = SliceReader::new(signed_data.value())?;
    let (_version, _digests) = (Any::decode(&mut fields)?, Any::decode(&mut fields)?);
    let content = Any::decode(&mut fields)?;
    let octets = second(content.value())?;
    let octets = OctetString::from_der(octets.value())?;
    let info = Any::from_der(octets.as_bytes())?;
    let mut fields = SliceReader::new(info.value())?;
    let mut integers = Vec::new();
    while !fields.is_finished() {
        let field = Any::decode(&mut fields)?;
        if field.tag() == Tag::Integer {
            integers.push(field.value().to_vec());
        }
    }
    // Version, serial number, and the nonce where there is one.
    Ok(Response { status, nonce: integers.into_iter().nth(2) })
}

/// The second of the values in `content`.
fn second(content: &[u8]) -> der::Result<Any> {
    let mut reader = SliceReader::new(content)?;
    Any::decode(&mut reader)?;
    Any::decode(&mut reader)
}

#[cfg(test)]
mod tests;
