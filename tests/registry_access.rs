//! How registries are reached and with whose credentials: files, helpers, TLS, client certificates.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "support/scripted_registry.rs"]
mod scripted_registry;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use countersign::model::{Descriptor, Locator, SafeUrl, Tag};
use countersign::store::{
    ProcessEnvironment, ReadStore, RegistryRule, RemoteOptions, RemoteStore, RetryPolicy, Store,
    StoreError, StoreErrorKind as Kind,
};
use scripted_registry::{Auth, Bearer, Clients, Fault, Options, ScriptedRegistry, Tls};
use tempfile::TempDir;

fn options() -> RemoteOptions {
    let mut options = RemoteOptions::default();
    options.retry = RetryPolicy::never();
    options
}

async fn start(auth: Auth, tls: Option<Tls>) -> ScriptedRegistry {
    let registry = ScriptedRegistry::start(Options { auth, tls, ..Options::default() }).await;
    registry.put_image("acme/api", "v1");
    registry
}

fn basic() -> Auth {
    Auth::Basic { user: "me".into(), password: "hunter2".into() }
}

async fn resolve(
    registry: &ScriptedRegistry,
    options: RemoteOptions,
) -> Result<Descriptor, StoreError> {
    resolve_with(registry, &RemoteStore::new(options)).await
}

async fn resolve_with(
    registry: &ScriptedRegistry,
    store: &RemoteStore,
) -> Result<Descriptor, StoreError> {
    let v1: Locator = "v1".parse::<Tag>().unwrap().into();
    store.resolve(&registry.repository("acme/api"), &v1).await
}

/// A folder with files, and options that read credentials from its `config.json`.
fn with_config(config: &str) -> (TempDir, RemoteOptions) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), config).unwrap();
    let mut options = options();
    options.credential_files =
        vec![folder.path().join("missing.json"), folder.path().join("config.json")];
    (folder, options)
}

// Credentials -----------------------------------------------------------------------------------------

#[tokio::test]
async fn dockers_file_is_read_and_basic_is_remembered() {
    let registry = start(basic(), None).await;
    let auth = STANDARD.encode("me:hunter2");
    let (_folder, options) =
        with_config(&format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.host()));
    let store = RemoteStore::new(options);
    for _ in 0..3 {
        resolve_with(&registry, &store).await.unwrap();
    }
    let statuses: Vec<_> = registry.log().iter().map(|it| it.status).collect();
    assert_eq!(statuses, [401, 200, 200, 200]);
}

#[tokio::test]
async fn where_one_repository_asks_for_a_password_the_others_may_be_open() {
    let registry = start(Auth::Anonymous, None).await;
    let challenge = vec![("www-authenticate", "Basic realm=\"private\"".to_owned())];
    let refused = Fault::Answer { status: 401, headers: challenge, body: String::new() };
    registry.on("*", "/v2/private/", usize::MAX, refused);
    let store = RemoteStore::new(options());
    let v1: Locator = "v1".parse::<Tag>().unwrap().into();
    let error = store.resolve(&registry.repository("private/api"), &v1).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unauthorized);
    resolve_with(&registry, &store).await.unwrap();
    assert_eq!(registry.count("*", "/v2/acme/"), 1);
}

#[tokio::test]
async fn credentials_of_another_host_are_not_sent() {
    let registry = start(basic(), None).await;
    let auth = STANDARD.encode("me:hunter2");
    let (_folder, mut options) =
        with_config(&format!(r#"{{"auths":{{"ghcr.io":{{"auth":"{auth}"}}}}}}"#));
    let mut rule = RegistryRule::new("ghcr.io".parse().unwrap());
    rule.credentials = Some(("me".to_owned(), "hunter2".to_owned().into()));
    options.rules.push(rule);
    let error = resolve(&registry, options).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unauthorized);
    let help = format!("run `docker login {}`", registry.host());
    assert!(error.to_string().contains(&help), "{error}");
    assert!(registry.log().iter().all(|it| it.header("authorization").is_none()));
}

#[tokio::test]
async fn a_wrong_password_is_told_without_showing_it() {
    for auth in [
        basic(),
        Auth::Bearer(Bearer {
            anonymous_actions: None,
            user: Some(("me".into(), "hunter2".into())),
            ..Bearer::default()
        }),
    ] {
        let registry = start(auth, None).await;
        let mut options = options();
        let mut rule = RegistryRule::new(registry.host().parse().unwrap());
        rule.credentials = Some(("me".to_owned(), "swordfish".to_owned().into()));
        options.rules.push(rule);
        let store = RemoteStore::new(options);
        let error = resolve_with(&registry, &store).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unauthorized);
        let shown = format!("{error} {error:?} {store:?}");
        assert!(!shown.contains("swordfish"), "{shown}");
        assert!(!shown.contains(&STANDARD.encode("me:swordfish")), "{shown}");
    }
}

#[tokio::test]
async fn tokens_in_the_file_are_used_as_docker_does() {
    let registry = start(
        Auth::Bearer(Bearer {
            anonymous_actions: None,
            identity_token: Some("refresh me".into()),
            ..Bearer::default()
        }),
        None,
    )
    .await;
    let host = registry.host();
    let (_folder, options) = with_config(&format!(
        r#"{{"auths":{{"{host}":{{"auth":"bWU6eA==","identitytoken":"refresh me"}}}}}}"#
    ));
    resolve(&registry, options).await.unwrap();
    let sent = registry.sent();
    assert_eq!(sent[1], "POST /token 200");

    // A token for the registry itself goes there, and to no token server.
    let registry = start(Auth::Bearer(Bearer::default()), None).await;
    let host = registry.host();
    let (_folder, options) =
        with_config(&format!(r#"{{"auths":{{"{host}":{{"registrytoken":"abc"}}}}}}"#));
    resolve(&registry, options).await.unwrap_err();
    assert_eq!(registry.count("*", "/token"), 0);
    assert_eq!(registry.log()[1].header("authorization"), Some("Bearer abc"));
}

#[tokio::test]
async fn a_broken_file_is_no_missing_file() {
    let registry = start(basic(), None).await;
    for config in ["{", r#"{"auths":[]}"#] {
        let (_folder, options) = with_config(config);
        let error = resolve(&registry, options).await.unwrap_err();
        assert_eq!(error.kind, Kind::Credentials);
        assert!(error.to_string().contains("config.json"), "{error}");
    }
}

#[cfg(unix)]
mod helpers {
    use std::os::unix::fs::PermissionsExt;

    use futures::future::join_all;

    use super::*;

    /// A helper called `test` for the registry that runs `script`.
    fn helper(registry: &ScriptedRegistry, script: &str) -> (TempDir, RemoteOptions) {
        let (folder, mut options) =
            with_config(&format!(r#"{{"credHelpers":{{"{}":"test"}}}}"#, registry.host()));
        let program = folder.path().join("docker-credential-test");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let variables = [("PATH", path), ("HELPER_SECRET", "hunter2".to_owned())];
        options.helper_environment = environment(variables);
        (folder, options)
    }

    fn environment<const N: usize>(variables: [(&str, String); N]) -> ProcessEnvironment {
        variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn ran(folder: &TempDir) -> usize {
        fs::read_to_string(folder.path().join("ran")).unwrap_or_default().lines().count()
    }

    #[tokio::test]
    async fn a_helper_is_asked_once_with_the_server_on_its_input() {
        let registry = start(basic(), None).await;
        let script = r#"server=$(cat); echo "$1 $server" >> "$(dirname "$0")/ran"
            echo "{\"ServerURL\":\"$server\",\"Username\":\"me\",\"Secret\":\"$HELPER_SECRET\"}""#;
        let (folder, options) = helper(&registry, script);
        let store = RemoteStore::new(options);
        let all = join_all((0..8).map(|_| resolve_with(&registry, &store))).await;
        assert!(all.iter().all(Result::is_ok), "{all:?}");
        let text = fs::read_to_string(folder.path().join("ran")).unwrap();
        assert_eq!(text, format!("get {}\n", registry.host()));
    }

    #[tokio::test]
    async fn a_helper_that_knows_nothing_is_nobody() {
        let registry = start(Auth::Bearer(Bearer::default()), None).await;
        let script = "echo credentials not found in native keychain; exit 1";
        let (_folder, options) = helper(&registry, script);
        resolve(&registry, options).await.unwrap();
    }

    #[tokio::test]
    async fn a_helper_may_give_an_identity_token() {
        let auth = Auth::Bearer(Bearer {
            anonymous_actions: None,
            identity_token: Some("refresh me".into()),
            ..Bearer::default()
        });
        let registry = start(auth, None).await;
        let script = r#"echo '{"Username":"<token>","Secret":"refresh me"}'"#;
        let (_folder, options) = helper(&registry, script);
        resolve(&registry, options).await.unwrap();
    }

    #[tokio::test]
    async fn a_helper_that_fails_is_an_error_and_not_nobody() {
        for (script, said) in [
            ("echo expired login >&2; exit 1", "expired login"),
            ("echo no keychain; exit 3", "no keychain"),
            ("exit 1", "it failed"),
            (r#"echo 'hunter2 is no JSON'"#, "its answer is not"),
            ("exec sleep 60", "no answer within"),
        ] {
            // It would give anybody a token.
            let registry = start(Auth::Bearer(Bearer::default()), None).await;
            let (_folder, mut options) = helper(&registry, script);
            if script.contains("sleep") {
                options.helper_timeout = Duration::from_millis(200);
            }
            let error = resolve(&registry, options).await.unwrap_err();
            assert_eq!(error.kind, Kind::Credentials, "{script}");
            let shown = error.to_string();
            assert!(shown.contains(said) && shown.contains("docker-credential-test"), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
            assert_eq!(registry.sent().len(), 1);
        }
    }

    #[tokio::test]
    async fn a_helper_is_looked_for_on_the_path_it_was_given() {
        let registry = start(basic(), None).await;
        let (folder, mut options) = helper(&registry, "echo run >> \"$(dirname \"$0\")/ran\"");
        options.helper_environment = environment([("PATH", "/nonexistent:.".to_owned())]);
        let error = resolve(&registry, options).await.unwrap_err();
        assert!(error.to_string().contains("no such program on PATH"), "{error}");
        assert_eq!(ran(&folder), 0);
        let (_folder, options) = with_config(r#"{"credsStore":"../evil"}"#);
        let error = resolve(&registry, options).await.unwrap_err();
        assert!(error.to_string().contains("no name of a helper"), "{error}");
    }
}

// TLS -------------------------------------------------------------------------------------------------

struct Files {
    _folder: TempDir,
    ca: PathBuf,
    identity: (PathBuf, PathBuf),
}

fn files(tls: &Tls) -> Files {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let ca = write("ca.pem", &tls.ca);
    let identity =
        (write("client.pem", &tls.client_certificate), write("client.key", &tls.client_key));
    Files { _folder: folder, ca, identity }
}

async fn resolve_by(
    registry: &ScriptedRegistry,
    change: impl FnOnce(&mut RegistryRule),
) -> Result<Descriptor, StoreError> {
    let mut rule = RegistryRule::new("127.0.0.1:*".parse().unwrap());
    change(&mut rule);
    let mut options = options();
    options.rules.push(rule);
    resolve(registry, options).await
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_when_it_is_named() {
    let tls = Tls::new(Clients::Anyone);
    let (files, other) = (files(&tls), files(&Tls::new(Clients::Anyone)));
    let registry = start(Auth::Bearer(Bearer::default()), Some(tls)).await;
    resolve_by(&registry, |rule| rule.ca_file = Some(files.ca.clone())).await.unwrap();
    resolve_by(&registry, |rule| rule.skip_tls_verify = true).await.unwrap();
    let error =
        resolve_by(&registry, |rule| rule.ca_file = Some(other.ca.clone())).await.unwrap_err();
    assert_eq!(error.kind, Kind::Tls);
    let missing = PathBuf::from("/nonexistent/ca.pem");
    let error = resolve_by(&registry, |rule| rule.ca_file = Some(missing)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Tls);
    assert!(error.to_string().contains("/nonexistent/ca.pem"), "{error}");
    // A key is no authority.
    let key = files.identity.1.clone();
    let error = resolve_by(&registry, |rule| rule.ca_file = Some(key)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Tls, "{error}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_one_is_asked_for() {
    let tls = Tls::new(Clients::Certified);
    let files = files(&tls);
    let registry = start(Auth::Anonymous, Some(tls)).await;
    resolve_by(&registry, |rule| {
        rule.ca_file = Some(files.ca.clone());
        rule.client_identity = Some(files.identity.clone());
    })
    .await
    .unwrap();
    let error =
        resolve_by(&registry, |rule| rule.ca_file = Some(files.ca.clone())).await.unwrap_err();
    assert_eq!(error.kind, Kind::Tls, "{error}");
}

#[tokio::test]
async fn who_speaks_the_wrong_protocol_is_told_what_to_write() {
    let registry = start(Auth::Anonymous, None).await;
    let error = resolve_by(&registry, |rule| rule.skip_tls_verify = true).await.unwrap_err();
    assert_eq!(error.kind, Kind::Tls);
    assert!(error.to_string().contains("`plain_http = true`"), "{error}");
}

#[tokio::test]
async fn nothing_leads_from_https_to_http() {
    let tls = Tls::new(Clients::Anyone);
    let files = files(&tls);
    let registry = start(Auth::Anonymous, Some(tls)).await;
    let plain = start(Auth::Anonymous, None).await;
    let blob = plain.put_blob("acme/api", b"blob");
    let mut rule = RegistryRule::new(registry.host().parse().unwrap());
    rule.ca_file = Some(files.ca.clone());
    let mut options = options();
    options.rules.push(rule);
    let (repository, store) = (registry.repository("acme/api"), RemoteStore::new(options));
    let elsewhere = format!("{}/v2/acme/api/blobs/{}", plain.origin(), blob.digest);
    registry.on("GET", "/blobs/", 1, Fault::redirect(307, &elsewhere));
    assert_eq!(store.blob(&repository, &blob).await.unwrap_err().kind, Kind::Redirect);
    let location = format!("http://{}/v2/acme/api/blobs/uploads/1", registry.host());
    let accepted =
        Fault::Answer { status: 202, headers: vec![("location", location)], body: String::new() };
    registry.on("POST", "/uploads/", 1, accepted);
    let error = store.put_blob(&repository, Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!((error.kind, plain.sent().len()), (Kind::Redirect, 0));
    assert!(error.to_string().contains("from HTTPS to HTTP"), "{error}");
}

// Proxies -----------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_proxy_is_used_where_it_is_named_and_not_for_loopback_by_default() {
    let proxy = start(Auth::Anonymous, None).await;
    proxy.put_image("acme/api", "v1");
    let registry = start(Auth::Anonymous, None).await;
    let proxy_url = proxy.origin().to_owned();
    resolve_by(&registry, |rule| rule.proxy = Some(proxy_url)).await.unwrap();
    assert_eq!((proxy.sent().len(), registry.sent().len()), (1, 0));
    let mut options = options();
    options.proxies.http = Some(SafeUrl::new(proxy.origin().parse().unwrap()));
    resolve(&registry, options).await.unwrap();
    assert_eq!((proxy.sent().len(), registry.sent().len()), (1, 1));
}
