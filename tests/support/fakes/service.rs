//! What all fakes have in common: a server, what it was asked, and the faults that it shows first.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use serde_json::Value;

use crate::support::background::Background;

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

/// What a service does with a request: status and body.
pub trait Answers: Send + Sync + 'static {
    fn answer(&self, asked: &Asked) -> (u16, Value);
}

/// A running service; it stops when this is dropped.
pub struct Service<S> {
    pub state: Arc<S>,
    server: Background,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    asked: Mutex<Vec<Asked>>,
    faults: Mutex<VecDeque<(u16, Value)>>,
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
        Self { state, server, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// `http://…`
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// What it was asked since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared.asked.lock().unwrap())
    }

    /// Shows this before it answers again; with 429 and 503 it asks to come back at once.
    pub fn fail_next(&self, status: u16, body: Value) {
        self.shared.faults.lock().unwrap().push_back((status, body));
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
    let fault = shared.faults.lock().unwrap().pop_front();
    let (status, body) = fault.unwrap_or_else(|| state.answer(&asked));
    let content = if body.is_null() { String::new() } else { body.to_string() };
    let mut response = Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("content-type", "application/json");
    if matches!(status, 429 | 503) {
        response = response.header("retry-after", "0");
    }
    response.body(Body::from(content)).unwrap()
}
