//! A token that somebody gave.

use std::sync::Arc;

use countersign::model::{Clock, Secret, Timestamp};
use countersign::sigstore::identity::{AUDIENCE, source};

use crate::support::fakes::identity::Identity;
use crate::{nothing, token, told};

#[derive(Debug)]
struct At(i64);

impl Clock for At {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0)
    }
}

#[tokio::test]
async fn a_token_is_given_as_text_or_as_file() {
    let service = Identity::start();
    let raw = service.state.token("jane@example.com", "sigstore");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token.jwt");
    std::fs::write(&path, format!("{raw}\n")).unwrap();
    for text in [raw.clone(), format!(" {raw}\n"), path.to_str().unwrap().to_owned()] {
        let mut options = nothing();
        options.token = Some(Secret::new(text));
        assert_eq!(token(options).await.unwrap().raw().expose(), &raw);
    }
}

#[tokio::test]
async fn a_token_that_has_ended_is_refused_with_its_end() {
    let service = Identity::start();
    let raw = service.state.token("jane@example.com", "sigstore");
    let mut options = nothing();
    options.token = Some(Secret::new(raw));
    options.clock = Arc::new(At(4_000_000_000));
    let error = token(options).await.unwrap_err();
    told(&error, "oidc::permission", &["the token ended at", "get a new token"], Some(&service));
}

#[tokio::test]
async fn a_file_that_is_renewed_is_read_again() {
    let service = Identity::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token.jwt");
    // It ends so soon that it is not kept.
    *service.state.lifetime.lock().unwrap() = 10;
    std::fs::write(&path, service.state.token("first@example.com", "sigstore")).unwrap();
    let mut options = nothing();
    options.token = Some(Secret::new(path.to_str().unwrap().to_owned()));
    let source = source(options);
    assert_eq!(source.token(AUDIENCE).await.unwrap().subject(), "first@example.com");
    std::fs::write(&path, service.state.token("second@example.com", "sigstore")).unwrap();
    assert_eq!(source.token(AUDIENCE).await.unwrap().subject(), "second@example.com");
}

#[tokio::test]
async fn what_is_neither_is_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, large) = (folder.path().join("empty"), folder.path().join("large"));
    std::fs::write(&empty, "").unwrap();
    std::fs::write(&large, "a".repeat(70_000)).unwrap();
    let mangled = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzZWNyZXQifQ".to_owned();
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    for (given, word) in [
        (mangled.clone(), "cannot be read as a file"),
        (String::new(), "cannot be read as a file"),
        (text(folder.path()), "cannot be read as a file"),
        (text(&empty), "no JWT"),
        (text(&large), "longer than 64 KiB"),
    ] {
        let mut options = nothing();
        options.token = Some(Secret::new(given));
        let error = token(options).await.unwrap_err();
        told(&error, "oidc::permission", &["--identity-token", word], None);
        assert!(!format!("{error:?}").contains(&mangled));
    }
}
