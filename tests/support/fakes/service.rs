//! What all fakes have in common: a server, what it was asked, and the faults that it shows first.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::support::background::Background;
use crate::support::certificates::{Authority, Leaf, Purpose, Validity};

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    /// Path and query, as sent.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Asked {
    /// The path, without the query, percent-encoded as sent.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    /// A header, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }

    /// The body as JSON; `null` where there is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// What a service does with a request: status and body, a text as it is.
pub trait Answers: Send + Sync + 'static {
    fn answer(&self, asked: &Asked) -> (u16, Value);

    /// How it asks for a token, in `WWW-Authenticate`.
    fn challenge(&self) -> Option<&'static str> {
        None
    }
}

/// A running service; it stops when this is dropped.
pub struct Service<S> {
    pub state: Arc<S>,
    /// The authority of its certificate, PEM; empty where it speaks HTTP.
    pub authority: String,
    server: Background,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    asked: Mutex<Vec<Asked>>,
    faults: Mutex<VecDeque<Fault>>,
}

struct Fault {
    /// What the path has in it, for the fault to be shown.
    path: &'static str,
    status: u16,
    body: Value,
    /// The seconds of `Retry-After`.
    again: Option<u32>,
}

impl<S: Answers> Service<S> {
    /// Starts it on a free loopback port.
    pub fn start(state: S) -> Self {
        let (state, shared) = (Arc::new(state), Arc::new(Shared::default()));
        let app = Router::new()
            .fallback(serve::<S>)
            .with_state((Arc::clone(&state), Arc::clone(&shared)));
        let server = Background::start(|listener| async {
            axum::serve(listener, app).await.unwrap();
        });
        Self { state, authority: String::new(), server, shared }
    }

    /// Starts it with TLS; `clients` is the authority of the certificates that clients must have.
    pub fn start_tls(state: S, clients: Option<&Authority>) -> Self {
        let (state, shared) = (Arc::new(state), Arc::new(Shared::default()));
        let app = Router::new()
            .fallback(serve::<S>)
            .with_state((Arc::clone(&state), Arc::clone(&shared)));
        let authority = Authority::root("service authority");
        let leaf = authority.leaf(Purpose::Server, Validity::LONG);
        let config = tls_config(&leaf, clients);
        let server = Background::start(|listener| async {
            let acceptor = TlsAcceptor::from(Arc::new(config));
            axum::serve(TlsListener { listener, acceptor }, app).await.unwrap();
        });
        Self { state, authority: authority.pem().to_owned(), server, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// `http://…`, or `https://…`.
    pub fn url(&self) -> String {
        let scheme = if self.authority.is_empty() { "http" } else { "https" };
        format!("{scheme}://{}", self.address())
    }

    /// What it was asked since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared.asked.lock().unwrap())
    }

    /// Shows this before it answers again; with 429 and 503 it asks to come back at once.
    pub fn fail_next(&self, status: u16, body: Value) {
        self.fail_next_on("", status, body);
    }

    /// The same for the next request whose path has `path` in it.
    pub fn fail_next_on(&self, path: &'static str, status: u16, body: Value) {
        let again = matches!(status, 429 | 503).then_some(0);
        self.shared.faults.lock().unwrap().push_back(Fault { path, status, body, again });
    }

    /// The next request of that kind is one too many, and is to come back in an hour.
    pub fn limit_next_on(&self, path: &'static str, body: Value) {
        let fault = Fault { path, status: 429, body, again: Some(3600) };
        self.shared.faults.lock().unwrap().push_back(fault);
    }
}

async fn serve<S: Answers>(
    State((state, shared)): State<(Arc<S>, Arc<Shared>)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let target = uri.path_and_query().map_or("", |it| it.as_str()).to_owned();
    let asked = Asked { method, target, headers, body: body.to_vec() };
    shared.asked.lock().unwrap().push(asked.clone());
    let fault = {
        let mut faults = shared.faults.lock().unwrap();
        let is_next = faults.front().is_some_and(|it| asked.path().contains(it.path));
        is_next.then(|| faults.pop_front()).flatten()
    };
    let (status, body, again) = match fault {
        Some(fault) => (fault.status, fault.body, fault.again),
        None => {
            let (status, body) = state.answer(&asked);
            (status, body, None)
        }
    };
    let content = match body {
        Value::Null => String::new(),
        Value::String(text) => text,
        body => body.to_string(),
    };
    let mut response = Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("content-type", "application/json");
    if let Some(seconds) = again {
        response = response.header("retry-after", seconds);
    }
    if let (401, Some(challenge)) = (status, state.challenge()) {
        response = response.header("www-authenticate", challenge);
    }
    response.body(Body::from(content)).unwrap()
}

fn tls_config(leaf: &Leaf, clients: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
    };
    let chain = vec![CertificateDer::from(leaf.der().to_vec())];
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem().as_bytes()).unwrap();
    builder.with_single_cert(chain, key).unwrap()
}

struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            // A client that does not trust us, or whom we do not trust, goes away.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
