//! The agent of SPIFFE: a server of gRPC on a unix socket.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{HeaderMap, Response};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use countersign::keys::memory::MemoryEnvironment;
use countersign::sigstore::identity::{AmbientProvider, AmbientUse};

use crate::support::fakes::identity::Identity;
use crate::{nothing, options, token, told};

/// What the agent answers: the message, and status and message of gRPC.
#[derive(Clone)]
struct Agent {
    message: Option<Vec<u8>>,
    status: (&'static str, &'static str),
}

impl Agent {
    /// Listens; the request must be as the specification has it.
    fn start(self, folder: &Path) -> (PathBuf, JoinHandle<()>) {
        let path = folder.join("api.sock");
        // A second agent of the same test takes the place of the first.
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(self.clone().answer(request, respond));
                }
            }
        });
        (path, task)
    }

    async fn answer(
        self,
        request: http::Request<h2::RecvStream>,
        mut respond: h2::server::SendResponse<Bytes>,
    ) {
        let (head, mut body) = request.into_parts();
        assert_eq!(head.method, "POST");
        assert_eq!(head.uri.path(), "/SpiffeWorkloadAPI/FetchJWTSVID");
        assert_eq!(head.headers["content-type"], "application/grpc");
        assert_eq!(head.headers["te"], "trailers");
        assert_eq!(head.headers["workload.spiffe.io"], "true");
        let asked = body.data().await.unwrap().unwrap();
        assert_eq!(asked, Bytes::from_static(b"\0\0\0\0\x0a\x0a\x08sigstore"));
        let response = Response::builder().header("content-type", "application/grpc");
        let status = |mut headers: HeaderMap| {
            headers.insert("grpc-status", self.status.0.parse().unwrap());
            headers.insert("grpc-message", self.status.1.parse().unwrap());
            headers
        };
        let Some(message) = self.message.clone() else {
            let mut response = response.body(()).unwrap();
            *response.headers_mut() = status(response.headers().clone());
            respond.send_response(response, true).unwrap();
            return;
        };
        let mut stream = respond.send_response(response.body(()).unwrap(), false).unwrap();
        // In two pieces, as a large answer comes.
        let (first, second) = message.split_at(message.len() / 2);
        stream.send_data(Bytes::copy_from_slice(first), false).unwrap();
        stream.send_data(Bytes::copy_from_slice(second), false).unwrap();
        stream.send_trailers(status(HeaderMap::new())).unwrap();
    }
}

fn varint(mut length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while length >= 128 {
        bytes.push(u8::try_from(length % 128).unwrap() | 128);
        length /= 128;
    }
    bytes.push(u8::try_from(length).unwrap());
    bytes
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2][..], &varint(content.len()), content].concat()
}

fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, message].concat()
}

/// A response with these tokens, and fields that nobody knows between them.
fn svids(tokens: &[&str]) -> Vec<u8> {
    let one = |token: &&str| {
        let id = field(1, b"spiffe://acme.com/ci");
        let unknown = [&[7 << 3, 0x96, 0x01][..], &[8 << 3 | 5, 1, 2, 3, 4]].concat();
        field(1, &[id, unknown, field(2, token.as_bytes()), field(3, b"ci")].concat())
    };
    frame(&tokens.iter().flat_map(one).collect::<Vec<u8>>())
}

#[tokio::test]
async fn the_agent_gives_the_first_identity_of_this_process() {
    let service = Identity::start();
    *service.state.claims.lock().unwrap() = serde_json::json!({ "iss": "https://spire.acme.com" });
    let first = service.state.token("spiffe://acme.com/ci", "sigstore");
    let second = service.state.token("spiffe://acme.com/other", "sigstore");
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent { message: Some(svids(&[&first, &second])), status: ("0", "") };
    let (path, task) = agent.start(folder.path());
    let path = path.to_str().unwrap();
    for named in [path.to_owned(), format!("unix://{path}"), format!("unix:{path}")] {
        let environment =
            MemoryEnvironment::default().with_variable("SPIFFE_ENDPOINT_SOCKET", &named);
        let token = token(options(environment)).await.unwrap();
        assert_eq!(token.raw().expose(), &first);
        assert_eq!(token.subject_for_proof(), Some("spiffe://acme.com/ci"));
    }
    let mut usual = nothing();
    usual.places.spiffe_socket = path.into();
    assert_eq!(token(usual).await.unwrap().raw().expose(), &first);
    task.abort();
}

#[tokio::test]
async fn failures_of_the_agent_are_told_by_their_kind() {
    let folder = tempfile::tempdir().unwrap();
    let denied = "no%20identity%20issued%3A%20a%26b";
    let good = svids(&["a.b"]);
    for (message, status, code, word) in [
        (None, ("7", denied), "oidc::permission", "no identity issued: a&b"),
        (None, ("14", "gone"), "oidc::unavailable", "gone"),
        (None, ("8", "slow"), "oidc::throttled", "slow"),
        (None, ("12", "what"), "oidc::refused", "what"),
        (Some(good.clone()), ("13", "oops"), "oidc::unavailable", "oops"),
        (Some(good), ("0", ""), "oidc::untrusted", "no JWT"),
        (Some(frame(b"")), ("0", ""), "oidc::untrusted", "no JWT-SVID"),
        (Some(b"\x01\0\0\0\0".to_vec()), ("0", ""), "oidc::untrusted", "no JWT-SVID"),
        (Some(b"\0\xff\xff\xff\xff\x0a".to_vec()), ("0", ""), "oidc::untrusted", "no JWT-SVID"),
        (
            Some(frame(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")),
            ("0", ""),
            "oidc::untrusted",
            "no JWT-SVID",
        ),
        (Some(frame(b"\x0b\x00")), ("0", ""), "oidc::untrusted", "no JWT-SVID"),
    ] {
        let (path, task) = Agent { message, status }.start(folder.path());
        let mut options = nothing();
        options.places.spiffe_socket = path;
        let error = token(options).await.unwrap_err();
        told(&error, code, &[word, "spiffe"], None);
        task.abort();
    }
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let mut options = nothing();
    options.places.spiffe_socket = path;
    options.ambient = AmbientUse::Only(AmbientProvider::Spiffe);
    told(&token(options).await.unwrap_err(), "oidc::unavailable", &["stale.sock"], None);
}
