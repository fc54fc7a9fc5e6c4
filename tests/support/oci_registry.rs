//! A registry of OCI 1.1 on a free loopback port: it lists referrers itself. It counts its requests, too.
//!
//! `ferro-oci-server`, which passes the conformance suite of the distribution-spec, in this process and in memory.
//! Deletes are by digest only; a POST takes a whole blob.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use ferro_blob_store::InMemoryBlobStore;
use ferro_oci_server::{AppState, InMemoryRegistryMeta, router};

use super::background::Background;
use super::docker_registry::Deletion;
use super::requests::{Request, Requests};

/// What kind of registry to start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub deletion: Deletion,
    pub subject: Subject,
}

/// Whether the answer to a manifest with a subject says that it is listed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Subject {
    /// With `OCI-Subject`, as the specification wants it.
    #[default]
    Said,
    /// Not, as with go-containerregistry's.
    Unsaid,
}

/// A running registry, open to everybody. It stops when this is dropped.
pub struct OciRegistry {
    server: Background,
    log: Arc<Log>,
}

struct Log {
    options: Options,
    requests: Mutex<Vec<Request>>,
}

impl OciRegistry {
    /// Starts one that allows everything.
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// Starts one of this kind.
    pub fn with(options: Options) -> Self {
        let log = Arc::new(Log { options, requests: Mutex::default() });
        let state = AppState::new(
            Arc::new(InMemoryBlobStore::new()),
            Arc::new(InMemoryRegistryMeta::new()),
        );
        let app = router(state).layer(middleware::from_fn_with_state(Arc::clone(&log), logged));
        let server = Background::start(|listener| async move {
            axum::serve(listener, app).await.unwrap();
        });
        Self { server, log }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The requests since the last call, or since the start, in the order of their ends.
    pub fn take_requests(&self) -> Requests {
        Requests(std::mem::take(&mut *self.log.requests.lock().unwrap()))
    }
}

/// Answers and counts; a client has its answer after it was counted.
async fn logged(
    State(log): State<Arc<Log>>,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let method = request.method().to_string();
    let mut logged = Request::new(method, &request.uri().to_string());
    if let Some(agent) = request.headers().get("user-agent") {
        logged.user_agent = agent.to_str().unwrap().to_owned();
    }
    let is_refused = logged.method == "DELETE" && log.options.deletion == Deletion::Refused;
    let mut answer = if is_refused {
        let unsupported = r#"{"errors":[{"code":"UNSUPPORTED","message":"deletes are off"}]}"#;
        let answer = Response::builder().status(StatusCode::METHOD_NOT_ALLOWED);
        answer.body(Body::from(unsupported)).unwrap()
    } else {
        next.run(request).await
    };
    if log.options.subject == Subject::Unsaid {
        answer.headers_mut().remove("oci-subject");
    }
    logged.status = answer.status().as_u16();
    log.requests.lock().unwrap().push(logged);
    answer
}
