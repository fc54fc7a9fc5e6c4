//! Trusted roots from a TUF repository of our own: asked once, kept, verified anew, and never believed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::Ed25519KeyPair;
use countersign::model::{Environment, Secret, Timestamp};
use countersign::plan::{Failure, FailureClass};
use countersign::sigstore::{ServiceError, Tuf, TufOptions};

use support::tuf_repository::{Contents, TufRepository, key};

const LATER: &str = "2999-01-01T00:00:00Z";
const ROOT: &[u8] =
    include_bytes!("fixtures/conformance/intoto-with-custom-trust-root/trusted_root.json");
const CONFIG: &[u8] = br#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"}"#;
const BOTH: &[(&str, &[u8])] = &[("trusted_root.json", ROOT), ("signing_config.v0.2.json", CONFIG)];

#[derive(Debug)]
struct NoEnvironment;

impl Environment for NoEnvironment {
    fn variable(&self, _: &str) -> Option<Secret<String>> {
        None
    }
    fn prompt_password(&self, _: &str) -> Option<Secret<String>> {
        None
    }
}

/// 2026-06-01.
fn now() -> Timestamp {
    Timestamp::from_seconds(1_780_272_000)
}

fn hours(hours: u64) -> Timestamp {
    now().after(Duration::from_secs(hours * 3600))
}

fn client(repository: &TufRepository, folder: Option<&Path>) -> Tuf {
    let mut options = TufOptions::default();
    options.mirror = Some(repository.url.clone());
    options.root = Some(repository.root.clone());
    options.folder = folder.map(Path::to_owned);
    Tuf::new(options, Arc::new(NoEnvironment), Duration::ZERO)
}

async fn start(key: &Ed25519KeyPair) -> TufRepository {
    TufRepository::start(key, &Contents { version: 2, expires: LATER, targets: BOTH }).await
}

async fn code(tuf: &Tuf, now: Timestamp) -> &'static str {
    match tuf.load(now).await {
        Ok(_) => "loaded",
        Err(error) => error.code(),
    }
}

#[tokio::test]
async fn one_run_loads_once_and_the_next_day_asks_again() {
    let (key, folder) = (key(), tempfile::tempdir().unwrap());
    let repository = start(&key).await;
    let tuf = client(&repository, Some(folder.path()));
    let (one, other) = tokio::join!(tuf.load(now()), tuf.load(now()));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.signing_config.as_deref(), Some(CONFIG));
    assert!(Arc::ptr_eq(&one.trusted_root, &other.trusted_root));
    assert_eq!(
        repository.requests(),
        [
            "2.root.json",
            "timestamp.json",
            "snapshot.json",
            "targets.json",
            "targets/trusted_root.json",
            "targets/signing_config.v0.2.json",
        ]
    );
    let again = client(&repository, Some(folder.path()));
    assert_eq!(again.load(hours(23)).await.unwrap().signing_config.as_deref(), Some(CONFIG));
    assert_eq!(repository.requests(), [""; 0]);
    // What has not changed is not sent again.
    let next_day = client(&repository, Some(folder.path()));
    assert_eq!(code(&next_day, hours(25)).await, "loaded");
    assert_eq!(repository.requests(), ["2.root.json", "timestamp.json"]);
    // A clock that went back proves nothing.
    assert_eq!(code(&client(&repository, Some(folder.path())), hours(1)).await, "loaded");
    assert_eq!(repository.requests(), ["2.root.json", "timestamp.json"]);
}

#[tokio::test]
async fn what_was_kept_serves_without_a_network_until_it_ends() {
    let (key, folder) = (key(), tempfile::tempdir().unwrap());
    let repository = start(&key).await;
    let ends = Contents { version: 3, expires: "2026-06-08T00:00:00Z", targets: BOTH };
    repository.publish(&key, &ends);
    assert_eq!(code(&client(&repository, Some(folder.path())), now()).await, "loaded");
    repository.go_down();
    assert_eq!(code(&client(&repository, Some(folder.path())), hours(100)).await, "loaded");
    assert_eq!(
        code(&client(&repository, Some(folder.path())), hours(200)).await,
        "tuf::unavailable"
    );
    assert_eq!(code(&client(&repository, None), now()).await, "tuf::unavailable");
    let empty = tempfile::tempdir().unwrap();
    let tuf = client(&repository, Some(empty.path()));
    let error: ServiceError = tuf.load(now()).await.unwrap_err();
    assert_eq!(Failure::from(&error).class, FailureClass::Temporary);
    // A failure is not kept for the run.
    repository.come_back();
    assert_eq!(code(&tuf, now()).await, "loaded");
}

#[tokio::test]
async fn a_changed_folder_is_not_believed() {
    let (key, folder) = (key(), tempfile::tempdir().unwrap());
    let repository = start(&key).await;
    assert_eq!(code(&client(&repository, Some(folder.path())), now()).await, "loaded");
    let kept = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let target = kept.join("targets/trusted_root.json");
    let evil = String::from_utf8(ROOT.to_vec()).unwrap().replace("baseUrl", "baseurl");
    for (name, path, bytes) in [
        ("the trusted root", target, evil.as_bytes()),
        ("the metadata", kept.join("targets.json"), b"{}"),
        ("the metadata", kept.join("timestamp.json"), b"\xff"),
    ] {
        fs::write(&path, bytes).unwrap();
        repository.go_down();
        let tuf = client(&repository, Some(folder.path()));
        assert_eq!(code(&tuf, now()).await, "tuf::unavailable", "{name}");
        repository.come_back();
        assert_eq!(code(&tuf, now()).await, "loaded", "{name}");
        assert_ne!(fs::read(&path).unwrap(), bytes, "{name} was mended");
    }
}

#[tokio::test]
async fn what_the_root_has_not_signed_is_refused() {
    let (good, evil) = (key(), key());
    let newer = Contents { version: 3, expires: LATER, targets: BOTH };
    let older = Contents { version: 1, expires: LATER, targets: BOTH };
    let ended = Contents { version: 3, expires: "2026-05-01T00:00:00Z", targets: BOTH };
    let none = Contents { version: 3, expires: LATER, targets: &[] };
    let no_root = Contents { version: 3, expires: LATER, targets: &[("trusted_root.json", b"{}")] };
    let one = Contents { version: 3, expires: LATER, targets: &BOTH[..1] };
    for (name, key, contents, expected) in [
        ("another key", &evil, &newer, "tuf::untrusted"),
        ("an older version", &good, &older, "tuf::untrusted"),
        ("metadata that has ended", &good, &ended, "tuf::untrusted"),
        ("a file that is no trusted root", &good, &no_root, "tuf::untrusted"),
        ("no trusted root", &good, &none, "tuf::refused"),
        ("no signing config", &good, &one, "loaded"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let repository = start(&good).await;
        assert_eq!(code(&client(&repository, Some(folder.path())), now()).await, "loaded");
        repository.publish(key, contents);
        // What was kept is no way around what is wrong now.
        let tuf = client(&repository, Some(folder.path()));
        assert_eq!(code(&tuf, hours(30)).await, expected, "{name}");
    }
    let repository = start(&good).await;
    repository.put("targets/trusted_root.json", b"{\"mediaType\":\"\"}".to_vec());
    assert_eq!(code(&client(&repository, None), now()).await, "tuf::untrusted");
    repository.put("targets/trusted_root.json", vec![b' '; 3 << 20]);
    assert_ne!(code(&client(&repository, None), now()).await, "loaded");
}

#[tokio::test]
async fn a_new_root_is_followed_where_the_old_one_signed_it() {
    let (first, second, evil) = (key(), key(), key());
    let contents = Contents { version: 3, expires: LATER, targets: BOTH };
    let repository = start(&first).await;
    repository.rotate(2, &second, &[&first, &second]);
    repository.publish(&second, &contents);
    assert_eq!(code(&client(&repository, None), now()).await, "loaded");
    repository.rotate(2, &evil, &[&evil]);
    repository.publish(&evil, &contents);
    assert_eq!(code(&client(&repository, None), now()).await, "tuf::untrusted");
}

#[tokio::test]
async fn several_share_a_folder() {
    let (key, folder) = (key(), tempfile::tempdir().unwrap());
    let repository = start(&key).await;
    let clients: Vec<Tuf> = (0..8).map(|_| client(&repository, Some(folder.path()))).collect();
    for codes in [now(), hours(30)] {
        let codes = futures::future::join_all(clients.iter().map(|it| code(it, codes))).await;
        assert!(codes.iter().all(|it| *it == "loaded"), "{codes:?}");
    }
}

/// The root that is built in is one, and trusts nobody else.
#[tokio::test]
async fn a_mirror_of_the_public_instance_must_be_signed_like_it() {
    let repository = start(&key()).await;
    let mut options = TufOptions::default();
    options.mirror = Some(repository.url.clone());
    let tuf = Tuf::new(options, Arc::new(NoEnvironment), Duration::ZERO);
    repository.go_down();
    assert_eq!(code(&tuf, now()).await, "tuf::unavailable");
    repository.come_back();
    assert_eq!(code(&tuf, now()).await, "tuf::untrusted");
    assert_eq!(repository.requests(), ["17.root.json", "17.root.json", "timestamp.json"]);
}

#[tokio::test]
async fn an_address_that_is_none_is_told() {
    for address in ["tuf.example", "file:///etc", "mailto:a@b"] {
        let mut options = TufOptions::default();
        options.mirror = Some(address.to_owned());
        let tuf = Tuf::new(options, Arc::new(NoEnvironment), Duration::ZERO);
        assert_eq!(code(&tuf, now()).await, "tuf::refused", "{address}");
    }
}
