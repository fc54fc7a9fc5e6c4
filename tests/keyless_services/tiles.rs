//! A log of Rekor v2 that has an entry already: the entry is put together from the log's tiles.
//!
//! Rekor v2 itself only takes entries; its tiles are files that any web server gives out, here ours.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::crypto::{Hash, PrivateKey};
use countersign::keys::memory::MemoryEnvironment;
use countersign::model::{Clock as _, SystemClock};
use countersign::sigstore::{Log as _, Network, RekorV2};
use countersign::trust::{Content, Signed, TrustedRoot, Verifier};
use serde_json::json;

use crate::support::background::Background;
use crate::support::tools::{self, Finished, Tool};

/// A Rekor v2 with its tiles beside it; it ends with this.
struct Server {
    process: Child,
    folder: tempfile::TempDir,
    tiles: PathBuf,
    behind: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let openssl = |arguments: &[&str]| {
            let mut command = Command::new("openssl");
            Finished::of(command.args(arguments).current_dir(folder.path())).success()
        };
        openssl(&["genpkey", "-algorithm", "ed25519", "-out", "log.pem"]);
        openssl(&["pkey", "-in", "log.pem", "-pubout", "-outform", "DER", "-out", "log.der"]);
        // Another program may take a port that was free just now.
        for attempt in 0..5 {
            let tiles = folder.path().join(format!("tiles-{attempt}"));
            std::fs::create_dir(&tiles).unwrap();
            let ports: Vec<TcpListener> =
                (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
            let ports: Vec<String> =
                ports.iter().map(|it| it.local_addr().unwrap().port().to_string()).collect();
            let mut process = Command::new(Tool::RekorTiles.path())
                .args(["serve", "--hostname", "127.0.0.1", "--checkpoint-interval", "200ms"])
                .args(["--batch-max-age", "20ms", "--signer-filepath"])
                .arg(folder.path().join("log.pem"))
                .arg("--storage-dir")
                .arg(&tiles)
                .args(["--http-port", &ports[0], "--grpc-port", &ports[1]])
                .args(["--http-metrics-port", &ports[2]])
                .env_clear()
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let behind = format!("127.0.0.1:{}", ports[0]);
            if is_up(&behind, &mut process) {
                return Self { process, folder, tiles, behind };
            }
            let _ = process.kill();
            let _ = process.wait();
        }
        panic!("Rekor v2 does not start");
    }

    /// A trusted root that knows this log alone.
    fn trusted_root(&self) -> TrustedRoot {
        let key = std::fs::read(self.folder.path().join("log.der")).unwrap();
        // Source: C2SP signed-note; the last 32 bytes of the DER are the key.
        let id = [b"127.0.0.1\n\x01", &key[key.len() - 32..]].concat();
        let root = json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [{
                "baseUrl": "http://127.0.0.1", "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": STANDARD.encode(&key), "keyDetails": "PKIX_ED25519",
                    "validFor": { "start": "2024-01-01T00:00:00Z" },
                },
                "logId": { "keyId": STANDARD.encode(digest(&SHA256, &id)) },
            }],
            "certificateAuthorities": [], "ctlogs": [], "timestampAuthorities": [],
        });
        TrustedRoot::parse(root.to_string().as_bytes()).unwrap()
    }
}

fn is_up(address: &str, process: &mut Child) -> bool {
    for _ in 0..1000 {
        if process.try_wait().unwrap().is_some() {
            return false;
        }
        if std::net::TcpStream::connect(address).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// Gives out the tiles, and passes everything else on.
async fn serve(
    State((tiles, behind)): State<(Arc<Path>, Arc<str>)>,
    request: Request,
) -> (StatusCode, HeaderMap, Bytes) {
    let path = request.uri().path().to_owned();
    if request.method() == Method::GET {
        let file = tiles.join(path.trim_start_matches("/api/v2/"));
        return match std::fs::read(file) {
            Ok(content) => (StatusCode::OK, HeaderMap::new(), content.into()),
            Err(_) => (StatusCode::NOT_FOUND, HeaderMap::new(), Bytes::new()),
        };
    }
    let body = to_bytes(request.into_body(), usize::MAX).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let asked = client.post(format!("http://{behind}{path}")).body(body);
    let answer = asked.header("content-type", "application/json").send().await.unwrap();
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    headers.remove("content-length");
    headers.remove("transfer-encoding");
    (status, headers, answer.bytes().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_there_is_proven_from_the_tiles() {
    if !tools::have(&[Tool::RekorTiles]) {
        return;
    }
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let server = Server::start();
    let state = (Arc::from(server.tiles.as_path()), Arc::from(server.behind.as_str()));
    let router = Router::new().fallback(serve).with_state(state);
    let front = Background::start(move |listener| async move {
        axum::serve(listener, router).await.unwrap();
    });
    let network = Network::new(Arc::new(MemoryEnvironment::default()));
    let root = server.trusted_root();
    let url = format!("http://{}", front.address());
    let log = RekorV2::new(&url, root.log_ids(), &network).unwrap();
    let key = PrivateKey::generate_p256().unwrap();
    let messages: Vec<Vec<u8>> = (0..5u8).map(|it| vec![it]).collect();
    let mut signatures = Vec::new();
    for message in &messages {
        signatures.push(key.sign(message, Hash::Sha256).unwrap());
    }
    let signed = |at: usize| Signed {
        content: Content::Message(&messages[at]),
        signature: &signatures[at],
        verifier: Verifier::Key(key.public_key()),
    };
    let mut first = Vec::new();
    for at in 0..messages.len() {
        first.push(log.record(&signed(at), Hash::Sha256).await.unwrap());
    }
    for (at, before) in first.iter().enumerate() {
        let again = log.record(&signed(at), Hash::Sha256).await.unwrap();
        assert_eq!((again.log_index, &again.body), (before.log_index, &before.body));
        assert_eq!(again.log_id, before.log_id);
        let proof = root.prove(&signed(at), std::slice::from_ref(&again), &[], SystemClock.now());
        assert_eq!((proof.log_entries, proof.problems), (1, vec![]), "entry {at}");
    }
    let stranger = RekorV2::new(&url, [], &network).unwrap();
    let error = stranger.record(&signed(0), Hash::Sha256).await.unwrap_err();
    assert_eq!(error.code(), "rekor::untrusted");
}
