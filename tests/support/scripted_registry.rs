//! A registry in this process that does as it is told: for faults that no real one shows on demand, and
//! for exact counts of requests.
//!
//! ```ignore
//! let registry = ScriptedRegistry::start(Options::default()).await;
//! let image = registry.put_image("acme/api", "v1");
//! registry.on("HEAD", "/manifests/", 1, Fault::status(503));
//! // … talk to registry.host() …
//! assert_eq!(registry.sent(), ["HEAD /v2/acme/api/manifests/v1 503", "…"]);
//! ```
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "support of several test binaries, none of which uses all of it"
)]

#[path = "scripted_registry/connection.rs"]
mod connection;
#[path = "scripted_registry/distribution.rs"]
mod distribution;
#[path = "scripted_registry/tokens.rs"]
mod tokens;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use countersign::model::{Descriptor, Digest, Manifest, Repository, media_type};
use futures::{StreamExt, stream};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::connection::{Clients, Tls};
use self::connection::{Connection, Listener};
pub use self::tokens::{Auth, Bearer};

/// How the registry behaves. The default is a good one: anonymous, single POST, digests, deletes.
#[derive(Clone, Debug)]
pub struct Options {
    pub auth: Auth,
    /// Takes a blob in one POST.
    pub single_post: bool,
    /// Names the place of an upload without the host.
    pub relative_location: bool,
    /// Sends `Docker-Content-Digest`.
    pub names_digests: bool,
    /// Sends `ETag` and obeys `If-Match` and `If-None-Match`.
    pub conditions: bool,
    /// Tags to a page, whatever is asked for; 0 is all.
    pub page: usize,
    /// Links the next page; without, `last` still works.
    pub links: bool,
    /// Refuses to overwrite a tag, in the words of ECR.
    pub immutable_tags: bool,
    /// Takes DELETE.
    pub deletes: bool,
    /// Answers this for a manifest that does not exist (Artifactory: 403).
    pub missing: u16,
    /// Waits before every answer.
    pub latency: Duration,
    pub tls: Option<Tls>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            auth: Auth::Anonymous,
            single_post: true,
            relative_location: false,
            names_digests: true,
            conditions: false,
            page: 0,
            links: true,
            immutable_tags: false,
            deletes: true,
            missing: 404,
            latency: Duration::ZERO,
            tls: None,
        }
    }
}

/// What happens in place of an answer, or to it.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This instead.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// One byte of the body is another.
    Altered,
    /// The body ends in the middle, and the connection with it.
    HalfBody,
    /// No answer ever.
    Hang,
    /// The true answer, with headers replaced; an empty value removes.
    Headers(Vec<(&'static str, String)>),
    /// The request is done, but the connection ends before the answer.
    LostAnswer,
    /// The connection ends; nothing is done.
    Reset,
}

impl Fault {
    pub fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: String::new() }
    }

    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
        Self::Answer { status, headers: vec![("content-type", "application/json".into())], body }
    }

    pub fn too_many(retry_after: &str) -> Self {
        let headers = vec![("retry-after", retry_after.to_owned())];
        Self::Answer { status: 429, headers, body: String::new() }
    }

    pub fn html(status: u16) -> Self {
        let headers = vec![("content-type", "text/html; charset=utf-8".to_owned())];
        Self::Answer { status, headers, body: "<!doctype html><title>Welcome</title>".to_owned() }
    }

    pub fn redirect(status: u16, location: &str) -> Self {
        Self::Answer {
            status,
            headers: vec![("location", location.to_owned())],
            body: String::new(),
        }
    }
}

/// One request as it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub begun: Instant,
    pub ended: Instant,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The registry; it stops when dropped.
#[derive(Debug)]
pub struct ScriptedRegistry {
    address: SocketAddr,
    world: Arc<World>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct World {
    options: Options,
    /// `http://127.0.0.1:<port>`
    origin: String,
    content: Mutex<Content>,
    faults: Mutex<VecDeque<Scripted>>,
    seen: Mutex<Vec<Seen>>,
    tokens: tokens::Tokens,
}

#[derive(Debug, Default)]
struct Content {
    /// By repository and digest.
    blobs: BTreeMap<(String, String), Bytes>,
    /// By repository and digest: media type and bytes.
    manifests: BTreeMap<(String, String), (String, Bytes)>,
    /// By repository and tag.
    tags: BTreeMap<(String, String), String>,
    uploads: BTreeMap<String, String>,
    next_upload: u64,
}

#[derive(Debug)]
struct Scripted {
    method: String,
    path: String,
    times: usize,
    fault: Fault,
}

impl ScriptedRegistry {
    /// Starts on a free port of the loopback address.
    pub async fn start(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let world = Arc::new(World {
            origin: format!("{scheme}://{address}"),
            content: Mutex::default(),
            faults: Mutex::default(),
            seen: Mutex::default(),
            tokens: tokens::Tokens::default(),
            options,
        });
        let listener = Listener::new(listener, world.options.tls.as_ref());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&world));
        let service = router.into_make_service_with_connect_info::<Connection>();
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, service).await;
        });
        Self { address, world, task }
    }

    /// `127.0.0.1:<port>`
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:<port>`, or with `https`.
    pub fn origin(&self) -> &str {
        &self.world.origin
    }

    pub fn repository(&self, path: &str) -> Repository {
        format!("{}/{path}", self.address).parse().unwrap()
    }

    /// The next `times` requests with this method (`*`: any) whose path contains `path` get the fault.
    /// Faults that fit are taken in the order in which they were scripted.
    pub fn on(&self, method: &str, path: &str, times: usize, fault: Fault) {
        let (method, path) = (method.to_owned(), path.to_owned());
        self.world.faults.lock().unwrap().push_back(Scripted { method, path, times, fault });
    }

    /// Every request so far, in the order in which they were answered.
    pub fn log(&self) -> Vec<Seen> {
        self.world.seen.lock().unwrap().clone()
    }

    /// The log as `METHOD path status`, without queries and ids of uploads.
    pub fn sent(&self) -> Vec<String> {
        let lines = self.log().into_iter().map(|it| {
            let path = match it.path.split_once("/uploads/") {
                Some((before, _)) => format!("{before}/uploads/"),
                None => it.path,
            };
            format!("{} {path} {}", it.method, it.status)
        });
        lines.collect()
    }

    /// How many requests there were with this method (`*`: any) whose path contains `path`.
    pub fn count(&self, method: &str, path: &str) -> usize {
        let fits = |it: &&Seen| (method == "*" || it.method == method) && it.path.contains(path);
        self.world.seen.lock().unwrap().iter().filter(fits).count()
    }

    /// How many requests came one after another: the longest row of which none began before the last had ended.
    ///
    /// Exact where the latency is longer than a client takes to send what it sends side by side.
    pub fn round_trips(&self) -> usize {
        let mut log = self.log();
        log.sort_by_key(|it| it.ended);
        let mut last: Option<Instant> = None;
        let row = log.iter().filter(|it| {
            let follows = last.is_none_or(|ended| it.begun >= ended);
            if follows {
                last = Some(it.ended);
            }
            follows
        });
        row.count()
    }

    pub fn forget_log(&self) {
        self.world.seen.lock().unwrap().clear();
    }

    /// Every token given so far is refused from now on.
    pub fn revoke_tokens(&self) {
        self.world.tokens.revoke();
    }

    pub fn put_blob(&self, repository: &str, content: &[u8]) -> Descriptor {
        let descriptor = Descriptor::of("application/octet-stream", content);
        let key = (repository.to_owned(), descriptor.digest.to_string());
        let content = Bytes::copy_from_slice(content);
        self.world.content.lock().unwrap().blobs.insert(key, content);
        descriptor
    }

    /// Puts a manifest there, under a tag where one is given.
    pub fn put_manifest(
        &self,
        repository: &str,
        tag: Option<&str>,
        media_type: &str,
        content: &[u8],
    ) -> Descriptor {
        let digest = Digest::of(content).to_string();
        let mut world = self.world.content.lock().unwrap();
        let kept = (media_type.to_owned(), Bytes::copy_from_slice(content));
        world.manifests.insert((repository.to_owned(), digest.clone()), kept);
        if let Some(tag) = tag {
            world.tags.insert((repository.to_owned(), tag.to_owned()), digest);
        }
        Descriptor::of(media_type, content)
    }

    /// Puts a small image there whose content is made from the tag.
    pub fn put_image(&self, repository: &str, tag: &str) -> Descriptor {
        let config = self.put_blob(repository, b"{}");
        let layer = self.put_blob(repository, tag.as_bytes());
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.to_owned()),
            config: Descriptor { media_type: media_type::OCI_CONFIG.to_owned(), ..config },
            layers: vec![layer],
            annotations: None,
            subject: None,
            artifact_type: None,
            extra: serde_json::Map::new(),
        };
        let bytes = manifest.to_bytes();
        self.put_manifest(repository, Some(tag), media_type::OCI_MANIFEST, &bytes)
    }

    /// The bytes of the manifest that the tag names.
    pub fn manifest(&self, repository: &str, tag: &str) -> Option<Bytes> {
        let content = self.world.content.lock().unwrap();
        let digest = content.tags.get(&(repository.to_owned(), tag.to_owned()))?;
        let found = content.manifests.get(&(repository.to_owned(), digest.clone()))?;
        Some(found.1.clone())
    }
}

impl Drop for ScriptedRegistry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    State(world): State<Arc<World>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response<Body> {
    let begun = Instant::now();
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 256 << 20).await.unwrap_or_default();
    tokio::time::sleep(world.options.latency).await;
    let path = head.uri.path().to_owned();
    let asked = Asked {
        query: head.uri.query().unwrap_or_default().to_owned(),
        path: path.clone(),
        headers: head.headers,
        body,
        method: head.method,
        begun,
    };
    let fault = world.fault(asked.method.as_str(), &path);
    let (status, response) = match fault {
        Some(Fault::Answer { status, headers, body }) => {
            (status, respond(status, &headers, Bytes::from(body), &asked.method))
        }
        Some(Fault::Reset) => {
            connection.cut();
            (0, respond(500, &[], Bytes::new(), &asked.method))
        }
        Some(Fault::Hang) => {
            world.see(&asked, 0);
            std::future::pending().await
        }
        fault => {
            let answer = distribution::answer(&world, &asked);
            let status = answer.status;
            let mut headers = answer.headers;
            let mut body = answer.body;
            match fault {
                Some(Fault::Altered) => {
                    let mut bytes = body.to_vec();
                    if let Some(last) = bytes.last_mut() {
                        *last ^= 1;
                    }
                    body = bytes.into();
                }
                Some(Fault::Headers(replaced)) => {
                    for (name, value) in replaced {
                        headers.retain(|(it, _)| *it != name);
                        if !value.is_empty() {
                            headers.push((name, value));
                        }
                    }
                }
                Some(Fault::LostAnswer) => connection.cut(),
                Some(Fault::HalfBody) => {
                    world.see(&asked, status);
                    return half(status, &headers, &body);
                }
                _ => {}
            }
            (status, respond(status, &headers, body, &asked.method))
        }
    };
    world.see(&asked, status);
    response
}

#[derive(Debug)]
struct Asked {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
    begun: Instant,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl World {
    fn see(&self, asked: &Asked, status: u16) {
        self.seen.lock().unwrap().push(Seen {
            method: asked.method.to_string(),
            path: asked.path.clone(),
            query: asked.query.clone(),
            status,
            headers: asked.headers.clone(),
            body: asked.body.clone(),
            begun: asked.begun,
            ended: Instant::now(),
        });
    }

    fn fault(&self, method: &str, path: &str) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let at = faults.iter().position(|it| {
            it.times > 0 && (it.method == "*" || it.method == method) && path.contains(&it.path)
        })?;
        faults[at].times -= 1;
        Some(faults[at].fault.clone())
    }
}

fn respond(
    status: u16,
    headers: &[(&'static str, String)],
    body: Bytes,
    method: &Method,
) -> Response<Body> {
    let length = body.len();
    let body = if *method == Method::HEAD { Body::empty() } else { Body::from(body) };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if *method == Method::HEAD {
        response.headers_mut().insert("content-length", length.into());
    }
    insert(response.headers_mut(), headers);
    response
}

fn half(status: u16, headers: &[(&'static str, String)], body: &Bytes) -> Response<Body> {
    let first = Ok(body.slice(..body.len() / 2));
    // What was written must have left before the connection ends.
    let rest = stream::once(async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(std::io::Error::other("cut"))
    });
    let chunks = stream::once(async { first }).chain(rest);
    let mut response = Response::new(Body::from_stream(chunks));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("content-length", body.len().into());
    insert(response.headers_mut(), headers);
    response
}

fn insert(map: &mut HeaderMap, headers: &[(&'static str, String)]) {
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
}
