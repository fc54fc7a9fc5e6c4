//! A log of Rekor v1 that says that it has an entry already (409): the entry is fetched, checked and taken.
//!
//! The log of the tests keeps its entries in memory, and there an entry that is asked for twice is no conflict, and
//! sometimes lost; so what a log on a database says stands here.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use countersign::crypto::{Hash, PrivateKey};
use countersign::keys::memory::MemoryEnvironment;
use countersign::model::{Clock as _, SystemClock};
use countersign::sigstore::{Log as _, Network, RekorV1};
use countersign::trust::{Content, Signed, TrustedRoot, Verifier};
use serde_json::{Value, json};

use crate::support::background::Background;
use crate::support::sigstore::{SERVICES, Sigstore};
use crate::support::tools;

/// Where a log says which entry it has.
#[derive(Clone, Copy)]
enum Said {
    InLocation,
    InMessage,
}

struct Before {
    behind: String,
    said: Said,
    /// The entry of the log, once it is made.
    made: Mutex<Option<Bytes>>,
    asked: Mutex<Vec<String>>,
}

/// What Rekor on a real database does: an entry is made once, and then it is a conflict to ask for it.
async fn pass(
    State(before): State<Arc<Before>>,
    request: Request,
) -> (StatusCode, HeaderMap, Bytes) {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    before.asked.lock().unwrap().push(format!("{method} {path}"));
    let made = before.made.lock().unwrap().clone();
    let content = match made {
        None => {
            let body = to_bytes(request.into_body(), usize::MAX).await.unwrap();
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let asked = client.post(format!("{}{path}", before.behind)).body(body);
            let answer = asked.header("content-type", "application/json").send().await.unwrap();
            let (status, content) = (answer.status(), answer.bytes().await.unwrap());
            *before.made.lock().unwrap() = Some(content.clone());
            return (status, HeaderMap::new(), content);
        }
        Some(content) if method == "GET" => {
            return (StatusCode::OK, HeaderMap::new(), content);
        }
        Some(content) => content,
    };
    let entry: Value = serde_json::from_slice(&content).unwrap();
    let id = entry.as_object().unwrap().keys().next().unwrap();
    let mut headers = HeaderMap::new();
    let message = match before.said {
        Said::InLocation => {
            headers.insert("location", format!("/api/v1/log/entries/{id}").parse().unwrap());
            "it is there".to_owned()
        }
        Said::InMessage => {
            format!("an equivalent entry already exists in the transparency log with UUID {id}")
        }
    };
    let said = json!({ "code": 409, "message": message }).to_string();
    (StatusCode::CONFLICT, headers, said.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_the_entry() {
    if !tools::have(SERVICES) {
        return;
    }
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let sigstore = Sigstore::start();
    let root = TrustedRoot::parse(&std::fs::read(sigstore.trusted_root()).unwrap()).unwrap();
    let network = Network::new(Arc::new(MemoryEnvironment::default()));
    for said in [Said::InLocation, Said::InMessage] {
        let before = Arc::new(Before {
            behind: sigstore.rekor_v1.url(),
            said,
            made: Mutex::default(),
            asked: Mutex::default(),
        });
        let router = Router::new().fallback(pass).with_state(Arc::clone(&before));
        let front = Background::start(move |listener| async move {
            axum::serve(listener, router).await.unwrap();
        });
        let log = RekorV1::new(&format!("http://{}", front.address()), &network).unwrap();
        let key = PrivateKey::generate_p256().unwrap();
        let signature = key.sign(b"claim", Hash::Sha256).unwrap();
        let signed = Signed {
            content: Content::Message(b"claim"),
            signature: &signature,
            verifier: Verifier::Key(key.public_key()),
        };
        let first = log.record(&signed, Hash::Sha256).await.unwrap();
        let again = log.record(&signed, Hash::Sha256).await.unwrap();
        assert_eq!((again.log_index, &again.body), (first.log_index, &first.body));
        let proof = root.prove(&signed, &[again], &[], SystemClock.now());
        assert_eq!((proof.log_entries, proof.problems), (1, vec![]));
        let asked = before.asked.lock().unwrap().clone();
        assert_eq!(asked[..2], ["POST /api/v1/log/entries", "POST /api/v1/log/entries"]);
        assert!(asked[2].starts_with("GET /api/v1/log/entries/"), "{asked:?}");
    }
}
