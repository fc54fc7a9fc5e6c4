//! Listing referrers: what each answer of a registry means, and what is never read as "none".
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "support/scripted_registry.rs"]
mod scripted_registry;

use countersign::model::{Descriptor, Digest, media_type};
use countersign::store::{
    Listing, ReadStore, RemoteOptions, RemoteStore, RetryPolicy, StoreErrorKind as Kind,
};
use scripted_registry::{Fault, Options, ScriptedRegistry};
use serde_json::json;

const EVERY_TIME: usize = usize::MAX;

fn store() -> RemoteStore {
    let mut options = RemoteOptions::default();
    options.retry = RetryPolicy::never();
    RemoteStore::new(options)
}

fn entry(name: &str) -> Descriptor {
    Descriptor::of(media_type::OCI_MANIFEST, name.as_bytes())
}

fn index(entries: &[Descriptor]) -> String {
    json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries })
        .to_string()
}

fn list(entries: &[Descriptor], headers: &[(&'static str, &str)]) -> Fault {
    let mut all = vec![("content-type", media_type::OCI_INDEX.to_owned())];
    all.extend(headers.iter().map(|(name, value)| (*name, (*value).to_owned())));
    Fault::Answer { status: 200, headers: all, body: index(entries) }
}

fn path(subject: &Digest) -> String {
    format!("/v2/acme/api/referrers/{subject}")
}

#[tokio::test]
async fn every_page_is_read() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    let (repository, subject) = (registry.repository("acme/api"), Digest::of(b"subject"));
    let (first, second) = (entry("1"), entry("2"));
    let next = format!("<{}/more>; rel=\"next\"", path(&subject));
    registry.on("GET", &path(&subject), 1, list(std::slice::from_ref(&first), &[("link", &next)]));
    let more = format!("{}/more", path(&subject));
    registry.on("GET", &more, EVERY_TIME, list(&[second.clone(), first.clone()], &[]));
    let found = store().referrers(&repository, &subject).await.unwrap();
    assert!(matches!(found.listing, Listing::Store));
    assert_eq!(found.digests(), [first.digest, second.digest].into());
    assert_eq!(found.entries.len(), 2, "each once");
}

#[tokio::test]
async fn pages_that_do_not_end_and_other_hosts_are_refused() {
    for (link, kind) in [
        ("</v2/acme/api/referrers/SUBJECT>; rel=\"next\"", Kind::InvalidAnswer),
        ("<http://127.0.0.1:9/more>; rel=\"next\"", Kind::Redirect),
    ] {
        let registry = ScriptedRegistry::start(Options::default()).await;
        let (repository, subject) = (registry.repository("acme/api"), Digest::of(b"subject"));
        let link = link.replace("SUBJECT", &subject.to_string());
        registry.on("GET", &path(&subject), EVERY_TIME, list(&[], &[("link", &link)]));
        let error = store().referrers(&repository, &subject).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
    }
}

#[tokio::test]
async fn the_tag_is_read_where_there_is_no_api_and_that_is_asked_once() {
    for answer in [
        Fault::status(404),
        Fault::status(400),
        Fault::status(405),
        Fault::status(406),
        Fault::html(404),
        Fault::html(200),
    ] {
        let registry = ScriptedRegistry::start(Options::default()).await;
        let repository = registry.repository("acme/api");
        let image = registry.put_image("acme/api", "v1");
        let listed = registry.put_image("acme/api", "referrer");
        let tag = image.digest.to_string().replace(':', "-");
        let bytes = index(std::slice::from_ref(&listed));
        registry.put_manifest("acme/api", Some(&tag), media_type::OCI_INDEX, bytes.as_bytes());
        let other = Digest::of(b"other");
        registry.on("GET", &path(&image.digest), EVERY_TIME, answer.clone());
        registry.on("GET", &path(&other), EVERY_TIME, answer);
        let store = store();
        let found = store.referrers(&repository, &image.digest).await.unwrap();
        assert!(matches!(found.listing, Listing::Tag(Some(_))));
        assert_eq!(found.digests(), [listed.digest].into());
        let none = store.referrers(&repository, &other).await.unwrap();
        assert!(matches!(none.listing, Listing::Tag(None)) && none.entries.is_empty());
        let asked = registry.sent().iter().filter(|it| it.contains("/referrers/")).count();
        assert_eq!(asked, 1, "the API is asked for once: {:?}", registry.sent());
    }
}

#[tokio::test]
async fn errors_are_never_read_as_none() {
    for (answer, kind) in [
        (Fault::too_many("1"), Kind::Throttled),
        (Fault::status(500), Kind::Unavailable),
        (Fault::status(503), Kind::Unavailable),
        (Fault::status(403), Kind::Forbidden),
        (Fault::Reset, Kind::Unavailable),
        (list(&[], &[("oci-filters-applied", "artifactType")]), Kind::InvalidAnswer),
    ] {
        let registry = ScriptedRegistry::start(Options::default()).await;
        let (repository, subject) = (registry.repository("acme/api"), Digest::of(b"subject"));
        registry.on("GET", &path(&subject), 1, answer);
        let store = store();
        let error = store.referrers(&repository, &subject).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert_eq!(registry.count("GET", &format!("/v2/acme/api/manifests/{subject}")), 0);
    }
}

#[tokio::test]
async fn a_failure_decides_nothing_about_the_api() {
    for (answer, is_failure) in [
        (Fault::status(403), true),
        // Of this image or repository alone.
        (Fault::error(404, "NAME_UNKNOWN", "not here"), false),
        (Fault::error(404, "MANIFEST_UNKNOWN", "not here"), false),
    ] {
        let registry = ScriptedRegistry::start(Options::default()).await;
        let (repository, subject) = (registry.repository("acme/api"), Digest::of(b"subject"));
        registry.on("GET", &path(&subject), 1, answer);
        let store = store();
        assert_eq!(store.referrers(&repository, &subject).await.is_err(), is_failure);
        registry.on("GET", &path(&subject), EVERY_TIME, list(&[entry("1")], &[]));
        let found = store.referrers(&repository, &subject).await.unwrap();
        assert!(matches!(found.listing, Listing::Store));
        assert_eq!(found.entries.len(), 1);
    }
}

#[tokio::test]
async fn a_tag_that_names_the_subject_itself_lists_nothing() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    let repository = registry.repository("acme/api");
    let image = registry.put_image("acme/api", "v1");
    let tag = image.digest.to_string().replace(':', "-");
    let again = registry.manifest("acme/api", "v1").unwrap();
    registry.put_manifest("acme/api", Some(&tag), media_type::OCI_MANIFEST, &again);
    let found = store().referrers(&repository, &image.digest).await.unwrap();
    assert!(found.entries.is_empty());
    // A write must not expect that there is no such tag.
    assert!(matches!(found.listing, Listing::Tag(Some(it)) if it.digest == image.digest));

    // Another image under that tag is an error, and no empty list.
    let other = Digest::of(b"other");
    let tag = other.to_string().replace(':', "-");
    registry.put_manifest("acme/api", Some(&tag), media_type::OCI_MANIFEST, &again);
    let error = store().referrers(&repository, &other).await.unwrap_err();
    assert_eq!(error.kind, Kind::InvalidAnswer, "{error}");
}
