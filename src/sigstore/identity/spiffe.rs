//! The Workload API of SPIFFE: one call of gRPC over a unix socket, by hand.
//!
//! HTTP/2 is the library that is in the tree anyway; the two messages are a few fields of protobuf. Source: SPIFFE
//! Workload API §6, gRPC over HTTP/2.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{SendRequest, handshake};
use http::{HeaderMap, Request, StatusCode};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::model::Secret;
use crate::sigstore::ServiceErrorKind;
use crate::wire::one_line;

const METHOD: &str = "http://localhost/SpiffeWorkloadAPI/FetchJWTSVID";
/// The agent is on this machine.
const PATIENCE: Duration = Duration::from_secs(20);
const LARGEST_ANSWER: usize = 1 << 20;

/// Why the agent gave no token.
#[derive(Debug)]
pub(super) struct SpiffeFailure {
    pub(super) kind: ServiceErrorKind,
    pub(super) said: String,
}

/// The first token that the agent has for this process.
///
/// # Errors
///
/// No agent; one that knows no identity of this process.
pub(super) async fn token(audience: &str, socket: &Path) -> Result<Secret<String>, SpiffeFailure> {
    let late = |_| failure(ServiceErrorKind::Unavailable, "no answer in time");
    timeout(PATIENCE, call(audience, socket)).await.map_err(late)?
}

async fn call(audience: &str, socket: &Path) -> Result<Secret<String>, SpiffeFailure> {
    let lost =
        |error: &dyn std::fmt::Display| failure(ServiceErrorKind::Unavailable, &error.to_string());
    let stream = UnixStream::connect(socket).await.map_err(|error| lost(&error))?;
    let (sender, connection) = handshake(stream).await.map_err(|error| lost(&error))?;
    let exchange = exchange(sender, request(audience));
    // The connection must be driven while the answer is waited for; it ends with it.
    tokio::pin!(connection, exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => {
            ended.map_err(|error| lost(&error))?;
            exchange.await
        }
    }
}

async fn exchange(
    sender: SendRequest<Bytes>,
    message: Bytes,
) -> Result<Secret<String>, SpiffeFailure> {
    let lost = |error: h2::Error| failure(ServiceErrorKind::Unavailable, &error.to_string());
    let request = Request::post(METHOD)
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        // The agent refuses calls without it: no browser can be tricked into one.
        .header("workload.spiffe.io", "true")
        .header("user-agent", concat!("countersign/", env!("CARGO_PKG_VERSION")))
        .body(())
        .map_err(|error| failure(ServiceErrorKind::Refused, &error.to_string()))?;
    let mut sender = sender.ready().await.map_err(lost)?;
    let (response, mut body) = sender.send_request(request, false).map_err(lost)?;
    body.send_data(message, true).map_err(lost)?;
    let (head, mut content) = response.await.map_err(lost)?.into_parts();
    if head.status != StatusCode::OK {
        let said = format!("the agent answers with HTTP status {}", head.status);
        return Err(failure(ServiceErrorKind::Unavailable, &said));
    }
    let mut answer = Secret::new(Vec::new());
    while let Some(chunk) = content.data().await {
        let chunk = chunk.map_err(lost)?;
        // What cannot be released is not waited for: the stream ends with the connection.
        let _ = content.flow_control().release_capacity(chunk.len());
        let mut longer = answer.expose().clone();
        longer.extend_from_slice(&chunk);
        answer = Secret::new(longer);
        if answer.expose().len() > LARGEST_ANSWER {
            return Err(failure(ServiceErrorKind::Untrusted, "the answer is larger than 1 MiB"));
        }
    }
    let trailers = content.trailers().await.map_err(lost)?;
    status(trailers.as_ref().unwrap_or(&head.headers))?;
    first_token(answer.expose())
        .ok_or_else(|| failure(ServiceErrorKind::Untrusted, "the answer holds no JWT-SVID"))
}

/// Source: gRPC's status codes.
fn status(headers: &HeaderMap) -> Result<(), SpiffeFailure> {
    let text = |name| headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let message = percent_decoded(text("grpc-message"));
    let kind = match text("grpc-status") {
        "0" => return Ok(()),
        // PERMISSION_DENIED, UNAUTHENTICATED: the agent knows no identity of this process.
        "7" | "16" => ServiceErrorKind::Permission,
        // RESOURCE_EXHAUSTED
        "8" => ServiceErrorKind::Throttled,
        // DEADLINE_EXCEEDED, ABORTED, INTERNAL, UNAVAILABLE
        "4" | "10" | "13" | "14" => ServiceErrorKind::Unavailable,
        _ => ServiceErrorKind::Refused,
    };
    Err(failure(kind, &format!("gRPC status {}: {message}", text("grpc-status"))))
}

fn percent_decoded(text: &str) -> String {
    // What separates the pairs of a form is plain text here.
    let text = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    url::form_urlencoded::parse(text.as_bytes())
        .next()
        .map(|(text, _)| text.into_owned())
        .unwrap_or_default()
}

fn failure(kind: ServiceErrorKind, said: &str) -> SpiffeFailure {
    SpiffeFailure { kind, said: one_line(said).unwrap_or_else(|| "it said nothing".into()) }
}

/// `JWTSVIDRequest { repeated string audience = 1; }` in a frame of gRPC.
fn request(audience: &str) -> Bytes {
    let mut message = vec![field(1)];
    message.extend(varint(audience.len() as u64));
    message.extend_from_slice(audience.as_bytes());
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = vec![0];
    frame.extend(length.to_be_bytes());
    frame.extend(message);
    frame.into()
}

/// `JWTSVIDResponse { repeated JWTSVID svids = 1; }`, `JWTSVID { spiffe_id = 1; svid = 2; hint = 3; }`.
fn first_token(frame: &[u8]) -> Option<Secret<String>> {
    let (&compressed, rest) = frame.split_first()?;
    let (length, message) = rest.split_first_chunk::<4>()?;
    let message = message.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    if compressed != 0 {
        return None;
    }
    let svid = find(message, 1)?;
    let text = std::str::from_utf8(find(svid, 2)?).ok()?;
    Some(Secret::new(text.to_owned()))
}

/// The first field `number` of a message, which has a length.
fn find(mut message: &[u8], number: u8) -> Option<&[u8]> {
    while !message.is_empty() {
        let (key, rest) = read_varint(message)?;
        let (content, after) = match key & 7 {
            0 => read_varint(rest).map(|(_, after)| (&[] as &[u8], after))?,
            1 => rest.split_at_checked(8)?,
            2 => {
                let (length, rest) = read_varint(rest)?;
                rest.split_at_checked(usize::try_from(length).ok()?)?
            }
            5 => rest.split_at_checked(4)?,
            _ => return None,
        };
        if key == u64::from(field(number)) {
            return Some(content);
        }
        message = after;
    }
    None
}

/// The key of a field that has a length.
const fn field(number: u8) -> u8 {
    number << 3 | 2
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push((value & 0x7f) as u8);
    bytes
}

fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        let part = u64::from(byte & 0x7f);
        value |= part.checked_shl(7 * u32::try_from(index).ok()?)?;
        if byte < 0x80 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}
