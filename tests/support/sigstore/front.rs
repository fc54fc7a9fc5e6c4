//! A proxy before one service: it counts, and does what a test orders.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};

use super::lies::Lie;
use crate::support::background::Background;

/// What a service does instead of its work.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Connections are closed before anything is said.
    Down,
    /// So many requests are answered with this status; then it works.
    Status { code: u16, retry_after: Option<u32>, times: usize },
    /// Every answer comes this much later.
    Slow(Duration),
    /// Requests are taken, and never answered.
    Silent,
    /// The work is done, and nobody is told.
    Lost,
    /// Answers are wrong.
    Lies(Lie),
    /// Certificates are valid this long.
    Brief(Duration),
}

/// A proxy on a free loopback port; it stops when this is dropped.
pub struct Front {
    server: Background,
    state: Arc<Inner>,
}

struct Inner {
    behind: String,
    client: reqwest::Client,
    fault: Mutex<Option<Fault>>,
    requests: Mutex<Vec<String>>,
    /// How many answers nobody was given.
    lost: AtomicUsize,
}

impl Front {
    /// A proxy before `HOST:PORT`.
    pub fn start(behind: &str) -> Self {
        // Fails only where another test of this program was first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let state = Arc::new(Inner {
            behind: format!("http://{behind}"),
            client,
            fault: Mutex::default(),
            requests: Mutex::default(),
            lost: AtomicUsize::new(0),
        });
        let router = Router::new().fallback(pass).with_state(state.clone());
        let connections = state.clone();
        let server = Background::start(move |listener| async move {
            let listener = Connections { listener, state: connections };
            axum::serve(listener, router).await.unwrap();
        });
        Self { server, state }
    }

    /// `http://HOST:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// From now on it does this.
    pub fn set(&self, fault: Fault) {
        *self.state.fault.lock().unwrap() = Some(fault);
    }

    /// From now on it works.
    pub fn heal(&self) {
        *self.state.fault.lock().unwrap() = None;
    }

    /// How often something was asked to be made: certificates, entries, timestamps. Takes the count.
    pub fn made(&self) -> usize {
        let mut requests = self.state.requests.lock().unwrap();
        let is_made = |it: &&String| it.starts_with("POST ") && !it.ends_with("/retrieve");
        let made = requests.iter().filter(is_made).count();
        requests.clear();
        made
    }

    /// How much was made of which nobody was told.
    pub fn lost(&self) -> usize {
        self.state.lost.load(Ordering::Relaxed)
    }

    /// Every request since the last time, `METHOD /path`. Takes them.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.requests.lock().unwrap())
    }
}

/// Connections, closed at once while the service is down.
struct Connections {
    listener: TcpListener,
    state: Arc<Inner>,
}

impl Listener for Connections {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            let accepted = Listener::accept(&mut self.listener).await;
            if !matches!(*self.state.fault.lock().unwrap(), Some(Fault::Down)) {
                return accepted;
            }
            self.state.requests.lock().unwrap().push("closed".to_owned());
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Listener::local_addr(&self.listener)
    }
}

async fn pass(State(state): State<Arc<Inner>>, request: Request) -> Response {
    let line = format!("{} {}", request.method(), request.uri().path());
    state.requests.lock().unwrap().push(line);
    let fault = state.next_fault();
    match fault {
        Some(Fault::Status { code, retry_after, .. }) => return refusal(code, retry_after),
        Some(Fault::Silent) => return std::future::pending().await,
        Some(Fault::Slow(delay)) => tokio::time::sleep(delay).await,
        _ => {}
    }
    let lie = match fault {
        Some(Fault::Lies(lie)) => Some(lie),
        _ => None,
    };
    let brief = match fault {
        Some(Fault::Brief(lifetime)) => Some(lifetime),
        _ => None,
    };
    // Searches of Rekor v1 are posted too.
    let is_made = request.method() == Method::POST && !request.uri().path().ends_with("/retrieve");
    let is_lost = is_made && matches!(fault, Some(Fault::Lost));
    let mut response = state.forward(request, lie, brief).await;
    if is_lost {
        state.lost.fetch_add(1, Ordering::Relaxed);
        return std::future::pending().await;
    }
    // Each request has its own connection, so that those of a service that goes down are gone.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

impl Inner {
    /// What is to be done with this request. A status that was given often enough is forgotten.
    fn next_fault(&self) -> Option<Fault> {
        let mut fault = self.fault.lock().unwrap();
        if let Some(Fault::Status { times, .. }) = fault.as_mut() {
            if *times == 0 {
                *fault = None;
            } else {
                *times -= 1;
            }
        }
        fault.clone()
    }

    async fn forward(
        &self,
        request: Request,
        lie: Option<Lie>,
        brief: Option<Duration>,
    ) -> Response {
        let (parts, body) = request.into_parts();
        let is_made = parts.method == Method::POST;
        let mut body = to_bytes(body, usize::MAX).await.unwrap();
        let path = parts.uri.path_and_query().map_or("/", |it| it.as_str());
        let mut asked = self.client.request(parts.method, format!("{}{path}", self.behind));
        for (name, value) in &parts.headers {
            if ![header::HOST, header::CONTENT_LENGTH, header::CONNECTION].contains(name) {
                asked = asked.header(name, value);
            }
        }
        if let Some(lifetime) = brief {
            asked =
                asked.header("Test-Certificate-Lifetime", format!("{}ms", lifetime.as_millis()));
        }
        if let Some(lie) = lie.filter(|_| is_made) {
            asked = asked.headers(lie.headers());
            body = lie.change_request(body);
        }
        let answer = match asked.body(body).send().await {
            Ok(answer) => answer,
            Err(error) => return (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
        };
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut content = answer.bytes().await.unwrap();
        if let Some(lie) = lie.filter(|_| status.is_success()) {
            content = lie.change_answer(content);
        }
        rebuilt(status, &headers, content)
    }
}

fn rebuilt(status: StatusCode, headers: &header::HeaderMap, content: Bytes) -> Response {
    let mut response = Response::new(Body::from(content));
    *response.status_mut() = status;
    for (name, value) in headers {
        if ![header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION].contains(name) {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}

fn refusal(code: u16, retry_after: Option<u32>) -> Response {
    let status = StatusCode::from_u16(code).unwrap();
    let text = r#"{"code":14,"message":"not now"}"#;
    let mut response = (status, text).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
