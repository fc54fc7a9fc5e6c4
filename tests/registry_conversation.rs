//! The conversation with registries: what is sent, exactly, and what each bad answer becomes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "support/scripted_registry.rs"]
mod scripted_registry;

use std::time::Duration;

use bytes::Bytes;
use countersign::model::{Descriptor, Digest, Locator, Repository, Tag, media_type};
use countersign::store::{
    Expected, Intent, ReadStore, RegistryRule, RemoteOptions, RemoteStore, RetryPolicy, Store,
    StoreError, StoreErrorKind as Kind,
};
use futures::future::join_all;
use scripted_registry::{Auth, Bearer, Fault, Options, ScriptedRegistry};

/// Retries at once, and for as long as a busy machine may need.
fn quick() -> RemoteOptions {
    let mut retry = RetryPolicy::default();
    retry.first_delay = Duration::from_millis(1);
    retry.longest_delay = Duration::from_millis(2);
    retry.unreachable_for = Duration::from_millis(5);
    let mut options = RemoteOptions::default();
    options.retry = retry;
    options
}

/// Retries nothing.
fn impatient() -> RemoteOptions {
    let mut options = RemoteOptions::default();
    options.retry = RetryPolicy::never();
    options
}

fn with_rule(mut options: RemoteOptions, rule: RegistryRule) -> RemoteOptions {
    options.rules.push(rule);
    options
}

fn rule_for(registry: &ScriptedRegistry) -> RegistryRule {
    RegistryRule::new(registry.host().parse().unwrap())
}

fn with_password(registry: &ScriptedRegistry) -> RegistryRule {
    let mut rule = rule_for(registry);
    rule.credentials = Some(("me".to_owned(), "hunter2".to_owned().into()));
    rule
}

fn tag(name: &str) -> Locator {
    name.parse::<Tag>().unwrap().into()
}

fn at(descriptor: &Descriptor) -> Locator {
    descriptor.digest.clone().into()
}

async fn bearer(bearer: Bearer) -> ScriptedRegistry {
    ScriptedRegistry::start(Options { auth: Auth::Bearer(bearer), ..Options::default() }).await
}

async fn fails(store: &RemoteStore, repository: &Repository, locator: Locator) -> StoreError {
    store.manifest(repository, &locator).await.unwrap_err()
}

// Requests, exactly -------------------------------------------------------------------------------

#[tokio::test]
async fn each_method_is_one_request_and_nothing_is_pinged() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    let image = registry.put_image("acme/api", "v1");
    let repository = registry.repository("acme/api");
    let store = RemoteStore::new(quick());
    assert_eq!(store.resolve(&repository, &tag("v1")).await.unwrap(), image);
    let fetched = store.manifest(&repository, &at(&image)).await.unwrap();
    assert_eq!(fetched.descriptor, image);
    assert_eq!(Some(fetched.bytes.clone()), registry.manifest("acme/api", "v1"));
    let layer = Descriptor::of("x", b"v1");
    assert_eq!(store.blob(&repository, &layer).await.unwrap(), "v1");
    let tags = store.tags(&repository).await.unwrap();
    assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["v1"]);
    store.tags(&repository).await.unwrap();
    store.put_blob(&repository, Bytes::from_static(b"payload")).await.unwrap();
    let put = store
        .put_manifest(
            &repository,
            &tag("v2"),
            media_type::OCI_MANIFEST,
            fetched.bytes,
            &Expected::Absent,
        )
        .await
        .unwrap();
    assert_eq!(put, image.digest);
    store.delete_manifest(&repository, &put).await.unwrap();
    store.delete_manifest(&repository, &put).await.unwrap();
    let digest = &image.digest;
    assert_eq!(
        registry.sent(),
        [
            "HEAD /v2/acme/api/manifests/v1 200".to_owned(),
            format!("GET /v2/acme/api/manifests/{digest} 200"),
            format!("GET /v2/acme/api/blobs/{} 200", layer.digest),
            "GET /v2/acme/api/tags/list 200".to_owned(),
            "POST /v2/acme/api/blobs/uploads/ 201".to_owned(),
            "PUT /v2/acme/api/manifests/v2 201".to_owned(),
            format!("DELETE /v2/acme/api/manifests/{digest} 202"),
            format!("DELETE /v2/acme/api/manifests/{digest} 404"),
        ]
    );
    let counts = store.requests();
    assert_eq!((counts.reads(), counts.writes(), counts.token, counts.retried), (4, 4, 0, 0));
    assert_eq!(counts.total(), 8);
}

#[tokio::test]
async fn a_blob_is_posted_and_put_where_one_post_is_not_taken() {
    for relative_location in [true, false] {
        let options = Options { single_post: false, relative_location, ..Options::default() };
        let registry = ScriptedRegistry::start(options).await;
        let store = RemoteStore::new(quick());
        for content in ["one", "two"] {
            store.put_blob(&registry.repository("a"), Bytes::from(content)).await.unwrap();
        }
        let log = registry.log();
        let methods: Vec<_> = log.iter().map(|it| it.method.as_str()).collect();
        assert_eq!(methods, ["POST", "PUT", "POST", "PUT"]);
        // The second time it is known that the content would be sent in vain.
        assert_eq!((log[0].body.len(), log[2].body.len()), (3, 0));
        assert_eq!(log[2].query, "");
        assert!(log[1].query.starts_with("_state=a%2Bb%3D&digest=sha256%3A"), "{}", log[1].query);
    }
}

#[tokio::test]
async fn a_post_with_a_digest_may_be_refused() {
    let options = Options { single_post: false, ..Options::default() };
    let registry = ScriptedRegistry::start(options).await;
    registry.on("POST", "/uploads/", 1, Fault::error(400, "UNSUPPORTED", "what digest?"));
    let store = RemoteStore::new(quick());
    store.put_blob(&registry.repository("a"), Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(registry.count("POST", ""), 2);
    assert_eq!(registry.count("PUT", ""), 1);
}

// Tokens --------------------------------------------------------------------------------------------

#[tokio::test]
async fn many_requests_at_once_fetch_one_token() {
    let registry = bearer(Bearer::default()).await;
    let image = registry.put_image("acme/api", "v1");
    let (repository, store) = (registry.repository("acme/api"), RemoteStore::new(quick()));
    let all = join_all((0..16).map(async |_| store.resolve(&repository, &tag("v1")).await)).await;
    assert!(all.into_iter().all(|it| it.unwrap() == image));
    assert_eq!(registry.count("*", "/token"), 1);
    assert_eq!(store.requests().token, 1);

    // The challenge is known: the next repository begins with its token.
    registry.put_image("acme/web", "v1");
    registry.forget_log();
    store.resolve(&registry.repository("acme/web"), &tag("v1")).await.unwrap();
    assert_eq!(registry.sent(), ["GET /token 200", "HEAD /v2/acme/web/manifests/v1 200"]);
    assert_eq!(registry.log()[0].query, "service=scripted&scope=repository%3Aacme%2Fweb%3Apull");
}

#[tokio::test]
async fn revoked_tokens_are_renewed_once() {
    let registry = bearer(Bearer::default()).await;
    registry.put_image("acme/api", "v1");
    let (repository, store) = (registry.repository("acme/api"), RemoteStore::new(quick()));
    store.resolve(&repository, &tag("v1")).await.unwrap();
    registry.revoke_tokens();
    registry.forget_log();
    let all = join_all((0..16).map(async |_| store.resolve(&repository, &tag("v1")).await)).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(registry.count("*", "/token"), 1);
}

#[tokio::test]
async fn a_401_that_asks_for_nothing_renews_the_token() {
    let registry = bearer(Bearer::default()).await;
    registry.put_image("a", "v1");
    let (repository, store) = (registry.repository("a"), RemoteStore::new(quick()));
    store.resolve(&repository, &tag("v1")).await.unwrap();
    registry.on("HEAD", "/v2/", 1, Fault::status(401));
    registry.forget_log();
    store.resolve(&repository, &tag("v1")).await.unwrap();
    let manifest = "HEAD /v2/a/manifests/v1";
    let expected = [format!("{manifest} 401"), "GET /token 200".into(), format!("{manifest} 200")];
    assert_eq!(registry.sent(), expected);
}

#[tokio::test]
async fn tokens_are_as_wide_as_the_run_needs() {
    for (intent, exchanges) in [(Intent::Read, 3), (Intent::Write, 2)] {
        let registry = bearer(Bearer::default()).await;
        let image = registry.put_image("a", "v1");
        let bytes = registry.manifest("a", "v1").unwrap();
        let repository = registry.repository("a");
        let mut options = quick();
        options.intent = intent;
        let store = RemoteStore::new(options);
        store.resolve(&repository, &tag("v1")).await.unwrap();
        let (kind, any) = (media_type::OCI_MANIFEST, Expected::Anything);
        store.put_manifest(&repository, &tag("v2"), kind, bytes, &any).await.unwrap();
        store.delete_manifest(&repository, &image.digest).await.unwrap();
        let scopes: Vec<_> = registry
            .log()
            .into_iter()
            .filter(|it| it.path == "/token")
            .map(|it| it.query)
            .collect();
        assert_eq!(scopes.len(), exchanges, "{intent:?}: {scopes:?}");
        assert!(scopes.last().unwrap().ends_with("%3Apull%2Cpush%2Cdelete"));
        assert_eq!(scopes[0].ends_with("%3Apull%2Cpush"), intent == Intent::Write);
    }
}

#[tokio::test]
async fn where_no_token_to_write_is_had_reading_still_works() {
    let registry = bearer(Bearer {
        anonymous_actions: Some("pull"),
        gives_subset: false,
        ..Bearer::default()
    })
    .await;
    for name in ["v1", "v2"] {
        registry.put_image("a", name);
    }
    let mut options = quick();
    options.intent = Intent::Write;
    let (repository, store) = (registry.repository("a"), RemoteStore::new(options));
    store.resolve(&repository, &tag("v1")).await.unwrap();
    store.resolve(&repository, &tag("v2")).await.unwrap();
    assert_eq!(registry.count("*", "/token"), 2);
    let error = store.put_blob(&repository, Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!(error.kind, Kind::Forbidden);
    assert!(error.to_string().contains("DENIED: requested access is denied"), "{error}");
}

#[tokio::test]
async fn a_registry_may_name_the_repository_otherwise_in_scopes() {
    let registry = bearer(Bearer { scope_prefix: "local/", ..Bearer::default() }).await;
    registry.put_image("a", "v1");
    registry.put_image("b", "v1");
    let store = RemoteStore::new(quick());
    store.resolve(&registry.repository("a"), &tag("v1")).await.unwrap();
    assert_eq!(registry.count("*", ""), 3);
    // Nobody can know it for the next one.
    store.resolve(&registry.repository("b"), &tag("v1")).await.unwrap();
    assert_eq!(registry.count("*", "/token"), 3);
}

#[tokio::test]
async fn a_loop_of_401_ends() {
    let registry = bearer(Bearer::default()).await;
    registry.put_image("a", "v1");
    registry.on("HEAD", "/v2/", usize::MAX, {
        let challenge =
            format!("Bearer realm=\"{}/token\",service=\"scripted\"", registry.origin());
        Fault::Answer {
            status: 401,
            headers: vec![("www-authenticate", challenge)],
            body: String::new(),
        }
    });
    let (repository, store) = (registry.repository("a"), RemoteStore::new(quick()));
    let error = store.resolve(&repository, &tag("v1")).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unauthorized);
    assert_eq!(registry.sent().len(), 3);
    // A new token did not help a moment ago: it is not tried for every image again.
    let error = store.resolve(&repository, &tag("v2")).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unauthorized);
    assert_eq!(registry.sent().len(), 4);
}

#[tokio::test]
async fn forbidden_where_nothing_is_costs_one_renewal() {
    let registry = ScriptedRegistry::start(Options {
        auth: Auth::Bearer(Bearer::default()),
        missing: 403,
        ..Options::default()
    })
    .await;
    registry.put_image("a", "v1");
    let (repository, store) = (registry.repository("a"), RemoteStore::new(quick()));
    store.resolve(&repository, &tag("v1")).await.unwrap();
    registry.forget_log();
    for name in ["x", "y", "z"] {
        assert_eq!(fails(&store, &repository, tag(name)).await.kind, Kind::Forbidden);
    }
    assert_eq!(
        registry.sent(),
        [
            "GET /v2/a/manifests/x 403",
            "GET /token 200",
            "GET /v2/a/manifests/x 403",
            "GET /v2/a/manifests/y 403",
            "GET /v2/a/manifests/z 403",
        ]
    );
    // The tag list decides then.
    assert!(!store.tags(&repository).await.unwrap().contains(&"x".parse::<Tag>().unwrap()));
}

#[tokio::test]
async fn an_ended_password_answers_403_and_is_asked_for_again() {
    let options = Options {
        auth: Auth::Basic { user: "me".into(), password: "hunter2".into() },
        ..Options::default()
    };
    let registry = ScriptedRegistry::start(options).await;
    registry.put_image("a", "v1");
    let store = RemoteStore::new(with_rule(quick(), with_password(&registry)));
    let repository = registry.repository("a");
    store.resolve(&repository, &tag("v1")).await.unwrap();
    registry.on(
        "HEAD",
        "/v2/",
        1,
        Fault::error(403, "DENIED", "Your authorization token has expired"),
    );
    store.resolve(&repository, &tag("v1")).await.unwrap();
    assert_eq!(registry.sent().len(), 4);
}

// Failures --------------------------------------------------------------------------------------------

#[tokio::test]
async fn absence_is_told_apart() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    registry.put_image("acme/api", "v1");
    let (repository, store) = (registry.repository("acme/api"), RemoteStore::new(quick()));
    let error = fails(&store, &repository, tag("v9")).await;
    assert_eq!(error.kind, Kind::NotFound);
    assert_eq!(
        error.to_string(),
        format!("cannot read {}/acme/api:v9: 404 MANIFEST_UNKNOWN: scripted", registry.host())
    );
    let error = store.tags(&registry.repository("none")).await.unwrap_err();
    assert_eq!(error.kind, Kind::RepositoryUnknown);
    let error = store.blob(&repository, &Descriptor::of("x", b"none")).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    let layout: Repository = "oci:./images".parse().unwrap();
    assert_eq!(fails(&store, &layout, tag("v1")).await.kind, Kind::Refused);
}

#[tokio::test]
async fn a_web_page_is_no_answer_whatever_its_status() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    registry.put_image("a", "v1");
    let (repository, store) = (registry.repository("a"), RemoteStore::new(quick()));
    for status in [200, 400, 404] {
        registry.on("*", "/v2/", 4, Fault::html(status));
        let error = fails(&store, &repository, tag("v1")).await;
        assert_eq!(error.kind, Kind::InvalidAnswer, "{status}: {error}");
        let error = store.resolve(&repository, &tag("v1")).await.unwrap_err();
        assert_eq!(error.kind, Kind::InvalidAnswer, "{status}: {error}");
        let error = store.blob(&repository, &Descriptor::of("x", &[0; 99])).await.unwrap_err();
        assert_eq!(error.kind, Kind::InvalidAnswer, "{status}: {error}");
        let other = RemoteStore::new(quick());
        let error = other.tags(&repository).await.unwrap_err();
        assert_eq!(error.kind, Kind::InvalidAnswer, "{status}: {error}");
    }
}

#[tokio::test]
async fn half_a_body_is_asked_for_again_and_then_no_answer() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    registry.put_image("a", "v1");
    let (repository, store) = (registry.repository("a"), RemoteStore::new(quick()));
    registry.on("GET", "/manifests/", 2, Fault::HalfBody);
    store.manifest(&repository, &tag("v1")).await.unwrap();
    registry.on("GET", "/manifests/", usize::MAX, Fault::HalfBody);
    registry.forget_log();
    let error = fails(&store, &repository, tag("v1")).await;
    assert_eq!((error.kind, registry.sent().len()), (Kind::InvalidAnswer, 3), "{error}");
}

#[tokio::test]
async fn content_is_what_its_digest_says() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    let image = registry.put_image("a", "v1");
    let (repository, store) = (registry.repository("a"), RemoteStore::new(quick()));
    for locator in [tag("v1"), at(&image)] {
        registry.on("GET", "/manifests/", 1, Fault::Altered);
        assert_eq!(fails(&store, &repository, locator).await.kind, Kind::WrongDigest);
    }
    registry.on("GET", "/blobs/", 1, Fault::Altered);
    let layer = Descriptor::of("x", b"v1");
    let error = store.blob(&repository, &layer).await.unwrap_err();
    assert_eq!(error.kind, Kind::WrongDigest);
    let longer = Fault::Answer { status: 200, headers: vec![], body: "longer".into() };
    registry.on("GET", "/blobs/", 1, longer);
    let error = store.blob(&repository, &layer).await.unwrap_err();
    assert_eq!(error.kind, Kind::WrongDigest);
    let other = Digest::of(b"other").to_string();
    let named = || Fault::Headers(vec![("docker-content-digest", other.clone())]);
    registry.on("HEAD", "/manifests/", 1, named());
    let error = store.resolve(&repository, &at(&image)).await.unwrap_err();
    assert_eq!(error.kind, Kind::WrongDigest);
    registry.on("PUT", "/manifests/", 1, named());
    let content = registry.manifest("a", "v1").unwrap();
    let kind = media_type::OCI_MANIFEST;
    let put = store.put_manifest(&repository, &tag("v2"), kind, content, &Expected::Anything).await;
    assert_eq!(put.unwrap_err().kind, Kind::WrongDigest);
}

#[tokio::test]
async fn without_a_digest_in_the_header_the_manifest_is_read() {
    let options = Options { names_digests: false, ..Options::default() };
    let registry = ScriptedRegistry::start(options).await;
    let image = registry.put_image("a", "v1");
    let (repository, store) = (registry.repository("a"), RemoteStore::new(quick()));
    assert_eq!(store.resolve(&repository, &tag("v1")).await.unwrap(), image);
    assert_eq!(registry.sent().len(), 2);
    registry.on("GET", "/manifests/", 1, Fault::Altered);
    assert_eq!(fails(&store, &repository, at(&image)).await.kind, Kind::WrongDigest);
}

#[tokio::test]
async fn where_head_is_not_taken_the_manifest_is_read() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    let image = registry.put_image("a", "v1");
    registry.on("HEAD", "/manifests/", 1, Fault::status(405));
    let (repository, store) = (registry.repository("a"), RemoteStore::new(quick()));
    assert_eq!(store.resolve(&repository, &tag("v1")).await.unwrap(), image);
    assert_eq!(registry.sent().len(), 2);
}

#[tokio::test]
async fn a_repository_that_was_written_to_is_no_longer_unknown() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    let (repository, store) = (registry.repository("new"), RemoteStore::new(quick()));
    for _ in 0..2 {
        assert_eq!(store.tags(&repository).await.unwrap_err().kind, Kind::RepositoryUnknown);
    }
    assert_eq!(registry.sent().len(), 1);
    let (kind, any) = (media_type::OCI_MANIFEST, Expected::Anything);
    let content = Bytes::from_static(b"{}");
    store.put_manifest(&repository, &tag("v1"), kind, content, &any).await.unwrap();
    assert_eq!(store.tags(&repository).await.unwrap().len(), 1);
}

#[tokio::test]
async fn manifests_that_can_be_read_in_two_ways_are_refused() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    let (repository, store) = (registry.repository("a"), RemoteStore::new(quick()));
    let (image, index) = (media_type::OCI_MANIFEST, media_type::OCI_INDEX);
    for (kind, text) in [
        (image, r#"{"manifests":[],"layers":[]}"#),
        (image, r#"{"manifests":[]}"#),
        (index, r#"{"mediaType":"application/vnd.oci.image.index.v1+json","config":{}}"#),
        (image, "not json"),
        ("text/plain", "{}"),
    ] {
        let descriptor = registry.put_manifest("a", None, kind, text.as_bytes());
        let error = fails(&store, &repository, at(&descriptor)).await;
        assert_eq!(error.kind, Kind::InvalidAnswer, "{text}");
    }
    let descriptor = registry.put_manifest("a", None, "application/json", br#"{"manifests":[]}"#);
    let fetched = store.manifest(&repository, &at(&descriptor)).await.unwrap();
    assert_eq!(fetched.descriptor.media_type, index);
}

#[tokio::test]
async fn bodies_are_bounded() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    let image = registry.put_image("a", "v1");
    let mut options = quick();
    options.largest_manifest = image.size - 1;
    options.largest_blob = 1;
    let (repository, store) = (registry.repository("a"), RemoteStore::new(options));
    assert_eq!(fails(&store, &repository, tag("v1")).await.kind, Kind::TooLarge);
    let error = store.blob(&repository, &Descriptor::of("x", b"v1")).await.unwrap_err();
    assert_eq!((error.kind, registry.count("*", "/blobs/")), (Kind::TooLarge, 0));
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    registry.put_image("a", "v1");
    let (repository, store) = (registry.repository("a"), RemoteStore::new(quick()));
    for fault in [
        Fault::status(500),
        Fault::status(502),
        Fault::status(503),
        Fault::status(504),
        Fault::status(408),
        Fault::too_many("0"),
        Fault::status(429),
        Fault::Reset,
    ] {
        registry.on("*", "/v2/", 2, fault.clone());
        registry.forget_log();
        store.manifest(&repository, &tag("v1")).await.unwrap();
        assert_eq!(registry.sent().len(), 3, "{fault:?}");
    }
    let retried = store.requests().retried;
    // What will not pass is not.
    for (status, kind) in [(400, Kind::Refused), (403, Kind::Forbidden), (501, Kind::Refused)] {
        registry.on("*", "/v2/", 1, Fault::status(status));
        assert_eq!(fails(&store, &repository, tag("v1")).await.kind, kind);
    }
    assert_eq!(store.requests().retried, retried);
    assert_eq!(retried, 16);
}

#[tokio::test]
async fn what_does_not_pass_ends_with_its_own_error() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    registry.put_image("a", "v1");
    let repository = registry.repository("a");
    for (fault, kind) in [
        (Fault::status(500), Kind::Unavailable),
        (Fault::status(429), Kind::Throttled),
        (Fault::Reset, Kind::Unavailable),
        (Fault::HalfBody, Kind::InvalidAnswer),
    ] {
        let store = RemoteStore::new(impatient());
        registry.on("*", "/v2/", 1, fault.clone());
        let error = fails(&store, &repository, tag("v1")).await;
        assert_eq!(error.kind, kind, "{fault:?}: {error}");
        assert_eq!(error.kind.is_transient(), kind != Kind::InvalidAnswer);
    }
    let mut options = impatient();
    options.request_timeout = Duration::from_millis(50);
    registry.on("*", "/v2/", 1, Fault::Hang);
    let error = fails(&RemoteStore::new(options), &repository, tag("v1")).await;
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.to_string().contains("no answer in time"), "{error}");
}

#[tokio::test]
async fn a_long_pause_is_told_at_once_and_kept_by_all() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    registry.put_image("a", "v1");
    registry.on("*", "/v2/", usize::MAX, Fault::too_many("3600"));
    let (repository, store) = (registry.repository("a"), RemoteStore::new(quick()));
    let error = fails(&store, &repository, tag("v1")).await;
    assert_eq!((error.kind, error.retry_after), (Kind::Throttled, Some(Duration::from_secs(3600))));
    let error = fails(&store, &repository, tag("v1")).await;
    assert_eq!((error.kind, registry.sent().len()), (Kind::Throttled, 1));
    assert!(error.retry_after.is_some_and(|it| it > Duration::from_secs(3500)));
}

#[tokio::test]
async fn many_refusals_at_once_are_one_pause() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    registry.put_image("a", "v1");
    registry.on("*", "/v2/", 16, Fault::too_many("1"));
    let (repository, store) = (registry.repository("a"), RemoteStore::new(quick()));
    let started = std::time::Instant::now();
    let all = join_all((0..16).map(async |_| store.resolve(&repository, &tag("v1")).await)).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(registry.sent().len(), 32);
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_not_asked_for_every_image() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    let repository = registry.repository("a");
    drop(registry);
    let store = RemoteStore::new(quick());
    tokio::task::yield_now().await;
    let error = fails(&store, &repository, tag("v1")).await;
    assert_eq!(error.kind, Kind::Unavailable);
    let sent = store.requests().total();
    let error = fails(&store, &repository, tag("v1")).await;
    assert_eq!((error.kind, store.requests().total()), (Kind::Unavailable, sent));
    assert!(error.to_string().contains("a moment ago"), "{error}");
}

#[tokio::test]
async fn an_upload_whose_answer_was_lost_is_begun_again() {
    let options = Options { single_post: false, ..Options::default() };
    let registry = ScriptedRegistry::start(options).await;
    registry.on("PUT", "/uploads/", 1, Fault::LostAnswer);
    let store = RemoteStore::new(quick());
    store.put_blob(&registry.repository("a"), Bytes::from_static(b"x")).await.unwrap();
    let statuses: Vec<_> = registry.log().iter().map(|it| it.status).collect();
    assert_eq!(statuses, [202, 201, 404, 202, 201]);
}

// Redirects ---------------------------------------------------------------------------------------

#[tokio::test]
async fn credentials_stay_with_their_host() {
    let home = ScriptedRegistry::start(Options {
        auth: Auth::Basic { user: "me".into(), password: "hunter2".into() },
        ..Options::default()
    })
    .await;
    let other = ScriptedRegistry::start(Options::default()).await;
    let layer = other.put_blob("a", b"layer");
    home.put_blob("a", b"layer");
    let store = RemoteStore::new(with_rule(quick(), with_password(&home)));
    let repository = home.repository("a");
    let elsewhere = format!("{}/v2/a/blobs/{}?signature=secret", other.origin(), layer.digest);
    // The challenge first, then the redirect.
    home.put_image("a", "v1");
    store.resolve(&repository, &tag("v1")).await.unwrap();
    home.on("GET", "/blobs/", 1, Fault::redirect(307, &elsewhere));
    assert_eq!(store.blob(&repository, &layer).await.unwrap(), "layer");
    assert!(other.log().iter().all(|it| it.header("authorization").is_none()));
    assert_eq!(other.sent().len(), 1);
    // Not even back home.
    home.on("GET", "/blobs/", 1, Fault::redirect(307, &elsewhere));
    let back = format!("{}/v2/a/blobs/{}", home.origin(), layer.digest);
    other.on("GET", "/blobs/", 1, Fault::redirect(302, &back));
    home.forget_log();
    assert_eq!(store.blob(&repository, &layer).await.unwrap_err().kind, Kind::Unauthorized);
    let seen = home.log();
    assert!(seen[0].header("authorization").is_some() && seen[1].header("authorization").is_none());
    // Within the registry with them.
    home.on("GET", "/blobs/", 1, Fault::redirect(302, &format!("/v2/a/blobs/{}", layer.digest)));
    assert_eq!(store.blob(&repository, &layer).await.unwrap(), "layer");
    // What a stranger sends is checked too.
    home.on("GET", "/blobs/", 1, Fault::redirect(307, &elsewhere));
    other.on("GET", "/blobs/", 1, Fault::Altered);
    let error = store.blob(&repository, &layer).await.unwrap_err();
    assert_eq!(error.kind, Kind::WrongDigest);
}

#[tokio::test]
async fn only_blobs_come_from_elsewhere() {
    let home = ScriptedRegistry::start(Options::default()).await;
    let other = ScriptedRegistry::start(Options::default()).await;
    other.put_image("a", "v1");
    let (repository, store) = (home.repository("a"), RemoteStore::new(quick()));
    let elsewhere = format!("{}/v2/a/manifests/v1?token=secret", other.origin());
    home.on("*", "/v2/", 4, Fault::redirect(307, &elsewhere));
    let error = fails(&store, &repository, tag("v1")).await;
    assert_eq!(error.kind, Kind::Redirect);
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    assert_eq!(store.tags(&repository).await.unwrap_err().kind, Kind::Redirect);
    let put = store.put_blob(&repository, Bytes::from_static(b"x")).await;
    assert_eq!(put.unwrap_err().kind, Kind::Redirect);
    assert_eq!(other.sent(), [""; 0]);
    // A loop ends.
    let here = Fault::redirect(302, "/v2/a/manifests/v1");
    home.on("*", "/v2/", usize::MAX, here);
    home.on("*", "/v2/", usize::MAX, Fault::status(400));
    assert_eq!(store.resolve(&repository, &tag("v1")).await.unwrap_err().kind, Kind::Redirect);
    assert!(home.sent().len() < 12);
}

#[tokio::test]
async fn an_upload_elsewhere_takes_no_credentials_along() {
    let home = ScriptedRegistry::start(Options {
        auth: Auth::Basic { user: "me".into(), password: "hunter2".into() },
        ..Options::default()
    })
    .await;
    let other = ScriptedRegistry::start(Options::default()).await;
    let store = RemoteStore::new(with_rule(quick(), with_password(&home)));
    let location = format!("{}/v2/a/blobs/uploads/1?token=x", other.origin());
    home.put_image("a", "v1");
    store.resolve(&home.repository("a"), &tag("v1")).await.unwrap();
    home.on("POST", "/uploads/", 1, {
        Fault::Answer { status: 202, headers: vec![("location", location)], body: String::new() }
    });
    other.on("PUT", "/uploads/", 1, Fault::status(201));
    store.put_blob(&home.repository("a"), Bytes::from_static(b"x")).await.unwrap();
    let seen = other.log();
    assert_eq!((seen.len(), seen[0].header("authorization")), (1, None));
}

#[tokio::test]
async fn a_token_server_that_leads_elsewhere_or_is_no_url_gets_nothing() {
    let other = ScriptedRegistry::start(Options::default()).await;
    for realm in ["http://auth.example/token", "file:///etc/passwd", "http://:x"] {
        let registry = bearer(Bearer { realm: Some(realm.to_owned()), ..Bearer::default() }).await;
        let store = RemoteStore::new(with_rule(quick(), with_password(&registry)));
        let error = fails(&store, &registry.repository("a"), tag("v1")).await;
        assert_eq!(error.kind, Kind::Redirect, "{realm}: {error}");
    }
    let registry = bearer(Bearer::default()).await;
    registry.on("*", "/token", 1, Fault::redirect(307, &format!("{}/token", other.origin())));
    let store = RemoteStore::new(with_rule(quick(), with_password(&registry)));
    let error = fails(&store, &registry.repository("a"), tag("v1")).await;
    assert_eq!((error.kind, other.sent().len()), (Kind::Redirect, 0));
}

// Tags, writes ------------------------------------------------------------------------------------

#[tokio::test]
async fn tag_lists_are_read_to_their_end() {
    for (page, links, count, requests) in [
        (7, true, 40, 6),
        (0, true, 2500, 3),
        (0, false, 2500, 3),
        (0, false, 1000, 2),
        (0, true, 1, 1),
    ] {
        let options = Options { page, links, ..Options::default() };
        let registry = ScriptedRegistry::start(options).await;
        for number in 0..count {
            registry.put_manifest("a", Some(&format!("t{number:05}")), "application/json", b"{}");
        }
        let store = RemoteStore::new(quick());
        let tags = store.tags(&registry.repository("a")).await.unwrap();
        assert_eq!((tags.len(), registry.sent().len()), (count, requests), "{page} {links}");
    }
}

#[tokio::test]
async fn tag_lists_do_not_lead_away_or_in_circles() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    registry.put_image("a", "v1");
    let link = |to: &str| Fault::Headers(vec![("link", format!("<{to}>; rel=\"next\""))]);
    registry.on("*", "/tags/", 1, link("http://other.example/v2/a/tags/list?last=v1"));
    let error = RemoteStore::new(quick()).tags(&registry.repository("a")).await.unwrap_err();
    assert_eq!(error.kind, Kind::Redirect);
    registry.on("*", "/tags/", usize::MAX, link("/v2/a/tags/list?n=1000&last="));
    let error = RemoteStore::new(quick()).tags(&registry.repository("a")).await.unwrap_err();
    assert_eq!(error.kind, Kind::InvalidAnswer);
}

#[tokio::test]
async fn tags_that_may_not_be_overwritten_are_told() {
    let options = Options { immutable_tags: true, ..Options::default() };
    let registry = ScriptedRegistry::start(options).await;
    let image = registry.put_image("a", "v1");
    let content = registry.manifest("a", "v1").unwrap();
    let (repository, store) = (registry.repository("a"), RemoteStore::new(quick()));
    let kind = media_type::OCI_MANIFEST;
    let put = async |locator: Locator, expected: Expected| {
        store.put_manifest(&repository, &locator, kind, content.clone(), &expected).await
    };
    let error = put(tag("v1"), Expected::Anything).await.unwrap_err();
    assert_eq!(error.kind, Kind::ImmutableTag);
    for fault in [
        Fault::error(
            412,
            "PRECONDITION",
            "Failed to process request due to 'v1' configured as immutable.",
        ),
        Fault::error(409, "CONFLICT", "the tag is immutable"),
        Fault::error(403, "DENIED", "tag v1 cannot be overwritten"),
        Fault::error(400, "FAILED_PRECONDITION", "manifest is referenced by an Immutable tag"),
    ] {
        registry.on("PUT", "/manifests/", 1, fault);
        let error = put(tag("v2"), Expected::Version("\"x\"".into())).await.unwrap_err();
        assert_eq!(error.kind, Kind::ImmutableTag, "{error}");
    }
    registry.on("PUT", "/manifests/", 1, Fault::error(403, "DENIED", "no"));
    assert_eq!(put(tag("v2"), Expected::Anything).await.unwrap_err().kind, Kind::Forbidden);
    let wrong: Locator = Digest::of(b"other").into();
    assert_eq!(put(wrong, Expected::Anything).await.unwrap_err().kind, Kind::WrongDigest);
    assert_eq!(put(at(&image), Expected::Anything).await.unwrap(), image.digest);
}

#[tokio::test]
async fn conditions_are_sent_where_they_are_understood() {
    for conditions in [true, false] {
        let registry = ScriptedRegistry::start(Options { conditions, ..Options::default() }).await;
        registry.put_image("a", "v1");
        let (repository, store) = (registry.repository("a"), RemoteStore::new(quick()));
        let before = store.manifest(&repository, &tag("v1")).await.unwrap();
        assert_eq!(before.version.is_some(), conditions);
        let kind = media_type::OCI_MANIFEST;
        let put = async |content: &'static str, expected: &Expected| {
            let content = Bytes::from_static(content.as_bytes());
            store.put_manifest(&repository, &tag("v1"), kind, content, expected).await
        };
        let absent = put("{}", &Expected::Absent).await.map_err(|it| it.kind);
        assert_eq!(absent.err(), conditions.then_some(Kind::Precondition));
        let Some(version) = before.version else { continue };
        put("{\"a\":1}", &Expected::Version(version.clone())).await.unwrap();
        let error = put("{\"a\":2}", &Expected::Version(version)).await.unwrap_err();
        assert_eq!(error.kind, Kind::Precondition);
        assert!(registry.log().iter().any(|it| it.header("if-none-match") == Some("*")));
    }
}

#[tokio::test]
async fn a_refused_deletion_is_told() {
    let registry = ScriptedRegistry::start(Options { deletes: false, ..Options::default() }).await;
    let image = registry.put_image("a", "v1");
    let store = RemoteStore::new(quick());
    let error = store.delete_manifest(&registry.repository("a"), &image.digest).await.unwrap_err();
    assert_eq!(error.kind, Kind::Refused);
    assert!(error.to_string().contains("405 UNSUPPORTED"), "{error}");
}

#[tokio::test]
async fn limits_hold() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    registry.put_image("a", "v1");
    let mut rule = rule_for(&registry);
    rule.requests_per_second = Some(50.0);
    let (repository, store) =
        (registry.repository("a"), RemoteStore::new(with_rule(quick(), rule)));
    let started = std::time::Instant::now();
    join_all((0..11).map(async |_| store.resolve(&repository, &tag("v1")).await)).await;
    assert!(started.elapsed() >= Duration::from_millis(200));
}
