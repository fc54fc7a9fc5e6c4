//! `k8s://`, on a fake of the API server that kubectl and cosign take for one.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::crypto::{Hash, PublicKey};
use countersign::keys::memory::MemoryEnvironment;
use countersign::keys::{conformance, create, open, public_key};
use serde_json::json;
use tempfile::TempDir;

use super::support::certificates::{Authority, Purpose, Validity};
use super::support::fakes::kubernetes::Kubernetes;
use super::support::fakes::service::Service;
use super::support::tools::{self, Tool};
use super::{ALGORITHMS, fixture, opened, options, reference, told};

const KEY: &str = "k8s://signing/release";

/// A kubeconfig for the cluster with this user, in a folder of its own.
pub(super) fn kubeconfig(
    cluster: &Service<Kubernetes>,
    user: &str,
) -> (TempDir, MemoryEnvironment) {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\ncontexts:\n- name: test\n  context: {{cluster: test, user: me}}\nclusters:\n- name: test\n  cluster: {{server: '{}', certificate-authority: ca.pem}}\nusers:\n- name: me\n  user: {user}\n",
        cluster.url()
    );
    std::fs::write(folder.path().join("ca.pem"), &cluster.authority).unwrap();
    std::fs::write(folder.path().join("config"), text).unwrap();
    let environment = environment(folder.path());
    (folder, environment)
}

fn environment(folder: &Path) -> MemoryEnvironment {
    MemoryEnvironment::default()
        .with_variable("KUBECONFIG", folder.join("config").to_str().unwrap())
        .with_variable("PATH", "/usr/bin:/bin")
}

fn token(cluster: &Service<Kubernetes>) -> String {
    format!("{{token: '{}'}}", cluster.state.token)
}

fn put(cluster: &Service<Kubernetes>, name: &str) {
    let [key, public] = ["key", "pub"].map(|kind| fixture(&format!("{name}.{kind}")));
    let data = [("cosign.key", key.as_str()), ("cosign.pub", &public), ("cosign.password", "test")];
    cluster.state.put("signing/release", &data);
}

#[tokio::test]
async fn every_algorithm_conforms() {
    let cluster = Kubernetes::start();
    let (folder, _) = kubeconfig(&cluster, &token(&cluster));
    for name in ALGORITHMS {
        put(&cluster, name);
        let expected = PublicKey::from_pem(&fixture(&format!("{name}.pub"))).unwrap();
        let signer = opened(KEY, environment(folder.path())).await.unwrap();
        conformance::signer(&*signer, &expected).await.unwrap();
    }
}

#[tokio::test]
async fn every_kind_of_credentials_is_taken() {
    let cluster = Kubernetes::start();
    put(&cluster, "p256");
    let token = &cluster.state.token;
    let program = |body: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugin");
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
        (path.to_str().unwrap().to_owned(), folder)
    };
    let answer = format!(
        "echo \"$KUBERNETES_EXEC_INFO\" | grep -q client.authentication.k8s.io/v1 || exit 3\n[ \"$1$A\" = ab ] || exit 4\necho '{{\"status\":{{\"token\":\"{token}\"}}}}'"
    );
    let (plugin, _kept) = program(&answer);
    let (other, _also) = program("echo 'the session has ended' >&2; exit 1");
    let (talker, _last) = program("echo hunter2");
    let exec = |path: &str| {
        format!(
            "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: '{path}', args: [a], env: [{{name: A, value: b}}], interactiveMode: Never}}}}"
        )
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{token}\n")).unwrap();
    for user in [
        format!("{{token: '{token}'}}"),
        format!("{{tokenFile: '{}', token: wrong}}", file.path().display()),
        format!("{{username: admin, password: '{token}'}}"),
        exec(&plugin),
    ] {
        let (_folder, environment) = kubeconfig(&cluster, &user);
        let found = public_key(&reference(KEY), &options(environment)).await;
        assert!(found.is_ok(), "{user}: {found:?}");
    }
    for (user, words) in [
        (exec(&other), "the session has ended"),
        (exec("countersign-no-such-plugin"), "there is no such program"),
        (exec(&talker), "no ExecCredential"),
        ("{token: wrong}".into(), "401 Unauthorized"),
    ] {
        let (_folder, environment) = kubeconfig(&cluster, &user);
        let error = opened(KEY, environment).await.unwrap_err();
        told(&error, "key::permission", &[words], &[token, "hunter2"]);
    }
}

#[tokio::test]
async fn a_pod_asks_its_own_cluster() {
    let cluster = Kubernetes::start();
    put(&cluster, "p256");
    let account = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(account.path().join(name), text).unwrap();
    write("ca.crt", &cluster.authority);
    let pod = || {
        MemoryEnvironment::default()
            .with_variable("KUBERNETES_SERVICE_HOST", "127.0.0.1")
            .with_variable("KUBERNETES_SERVICE_PORT", &cluster.address().port().to_string())
            .with_service_account(account.path())
    };
    told(&opened(KEY, pod()).await.unwrap_err(), "key::not_found", &["this is no pod"], &[]);
    write("token", &format!("{}\n", cluster.state.token));
    let expected = PublicKey::from_pem(&fixture("p256.pub")).unwrap();
    let signer = opened(KEY, pod()).await.unwrap();
    conformance::signer(&*signer, &expected).await.unwrap();
    // Kubernetes renews the token in the file; an old one is refused.
    write("token", "an-old-token");
    let error = opened(KEY, pod()).await.unwrap_err();
    told(&error, "key::permission", &["401"], &["an-old-token"]);
    // A kubeconfig with a context comes first.
    let user = format!("{{token: '{}'}}", cluster.state.token);
    let (folder, _) = kubeconfig(&cluster, &user);
    let config = folder.path().join("config");
    let both = pod().with_variable("KUBECONFIG", config.to_str().unwrap());
    assert!(opened(KEY, both).await.is_ok());
}

#[tokio::test]
async fn a_client_certificate_and_the_other_settings_of_tls_are_taken() {
    let clients = Authority::root("clients");
    let leaf = clients.leaf(Purpose::Client, Validity::LONG);
    let cluster = Kubernetes::start_with_clients(&clients);
    put(&cluster, "p256");
    let [certificate, key] = [leaf.pem(), &leaf.key_pem()].map(|pem| STANDARD.encode(pem));
    let inline = format!("{{client-certificate-data: {certificate}, client-key-data: {key}}}");
    let files = "{client-certificate: client.pem, client-key: client.key}".to_owned();
    let plugin = format!(
        "#!/bin/sh\ncat <<'END'\n{}\nEND\n",
        json!({ "status": { "clientCertificateData": leaf.pem(), "clientKeyData": leaf.key_pem() } })
    );
    for user in [inline, files, "{exec: {command: ./plugin}}".to_owned()] {
        let (folder, environment) = kubeconfig(&cluster, &user);
        std::fs::write(folder.path().join("client.pem"), leaf.pem()).unwrap();
        std::fs::write(folder.path().join("client.key"), leaf.key_pem()).unwrap();
        let program = folder.path().join("plugin");
        std::fs::write(&program, &plugin).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o700)).unwrap();
        let found = public_key(&reference(KEY), &options(environment)).await;
        assert!(found.is_ok(), "{user}: {found:?}");
    }
    let (_folder, environment) = kubeconfig(&cluster, "{token: a}");
    let error = opened(KEY, environment).await.unwrap_err();
    told(&error, "key::tls", &["ertificate"], &[]);
    let cluster = Kubernetes::start();
    put(&cluster, "p256");
    let (folder, environment) = kubeconfig(&cluster, &token(&cluster));
    let path = folder.path().join("config");
    let text = std::fs::read_to_string(&path).unwrap();
    let inline = format!("certificate-authority-data: {}", STANDARD.encode(&cluster.authority));
    for cluster in [
        "insecure-skip-tls-verify: true",
        "certificate-authority: ca.pem, tls-server-name: localhost",
        &inline,
    ] {
        std::fs::write(&path, text.replace("certificate-authority: ca.pem", cluster)).unwrap();
        let environment = self::environment(folder.path());
        let found = public_key(&reference(KEY), &options(environment)).await;
        assert!(found.is_ok(), "{cluster}: {found:?}");
    }
    drop(environment);
}

#[tokio::test]
async fn each_failure_has_its_kind_and_says_what_to_do() {
    let cluster = Kubernetes::start();
    let (_folder, mine) = kubeconfig(&cluster, &token(&cluster));
    let error = opened(KEY, mine).await.unwrap_err();
    let words = ["secrets \"release\" not found", "kubectl config current-context"];
    told(&error, "key::not_found", &words, &[&cluster.state.token]);
    put(&cluster, "p256");
    let user = format!("{{token: '{}'}}", cluster.state.powerless);
    let (_folder, powerless) = kubeconfig(&cluster, &user);
    let error = opened(KEY, powerless).await.unwrap_err();
    told(&error, "key::permission", &["cannot get resource", "`get` on this secret"], &[]);
    let error = opened(KEY, MemoryEnvironment::default()).await.unwrap_err();
    told(&error, "key::not_found", &["no kubeconfig", "KUBECONFIG"], &[]);
    let (folder, _) = kubeconfig(&cluster, &token(&cluster));
    let path = folder.path().join("config");
    let text = std::fs::read_to_string(&path).unwrap();
    let change = |from: &str, to: &str| std::fs::write(&path, text.replace(from, to)).unwrap();
    for (from, to, code, words) in [
        (cluster.url(), "https://127.0.0.1:1".into(), "key::unavailable", "refused"),
        // The machine does not know the cluster's authority.
        ("certificate-authority".into(), "nothing".into(), "key::tls", "UnknownIssuer"),
        ("ca.pem".into(), "/nowhere/ca.crt".into(), "key::tls", "/nowhere/ca.crt"),
        (
            "ca.pem".into(),
            "ca.pem, tls-server-name: other.example".into(),
            "key::tls",
            "not valid for name",
        ),
        // Nobody sends credentials in the clear.
        (cluster.url(), cluster.url().replace("https:", "http:"), "key::permission", "no TLS"),
        (
            "current-context: test".into(),
            "current-context: other".into(),
            "key::malformed",
            "`other`",
        ),
        ("clusters:".into(), "[".into(), "key::malformed", "is no kubeconfig"),
    ] {
        change(&from, &to);
        let error = opened(KEY, environment(folder.path())).await.unwrap_err();
        told(&error, code, &[words], &[&cluster.state.token]);
    }
    change("", "");
    cluster.state.put("signing/release", &[("cosign.pub", "x")]);
    let error = opened(KEY, environment(folder.path())).await.unwrap_err();
    told(&error, "key::not_found", &["cosign.key in the secret is not there"], &[]);
    let key = fixture("p256.key");
    cluster.state.put("signing/release", &[("cosign.key", &key), ("cosign.password", "hunter2")]);
    let error = opened(KEY, environment(folder.path())).await.unwrap_err();
    told(&error, "key::wrong_password", &["cosign.password"], &["hunter2"]);
    cluster.state.put("signing/release", &[("cosign.key", &key)]);
    let error = opened(KEY, environment(folder.path())).await.unwrap_err();
    told(&error, "key::no_password", &["COSIGN_PASSWORD"], &[]);
    // Without a public key beside it, the key says it.
    let with_password = environment(folder.path()).with_variable("COSIGN_PASSWORD", "test");
    let found = public_key(&reference(KEY), &options(with_password)).await.unwrap();
    assert_eq!(found, PublicKey::from_pem(&fixture("p256.pub")).unwrap());
    cluster.state.put("signing/release", &[("cosign.key", &key), ("cosign.pub", "hunter2")]);
    let error = public_key(&reference(KEY), &options(environment(folder.path()))).await;
    told(&error.unwrap_err(), "key::malformed", &["cosign.pub in the secret"], &["hunter2"]);
}

#[tokio::test]
async fn a_new_key_is_an_immutable_secret_and_none_is_overwritten() {
    let cluster = Kubernetes::start();
    let (_folder, environment) = kubeconfig(&cluster, &token(&cluster));
    let options = options(environment.with_variable("COSIGN_PASSWORD", "test"));
    cluster.fail_next(429, json!({ "message": "too many requests" }));
    let made = create(&reference(KEY), &options).await.unwrap();
    assert_eq!(public_key(&reference(KEY), &options).await.unwrap(), made);
    let signer = open(&reference(KEY), &options).await.unwrap();
    assert_eq!(signer.sign(b"a", Hash::Sha256).await.unwrap().public_key, made);
    let secret = cluster.state.secret("signing/release");
    assert_eq!(secret["immutable"], true);
    let error = create(&reference(KEY), &options).await.unwrap_err();
    told(&error, "key::exists", &["already exists", "choose another name"], &[]);
    assert_eq!(cluster.state.secret("signing/release"), secret);
}

/// kubectl takes the fake for an API server.
#[test]
fn kubectl_takes_the_fake_for_a_cluster() {
    if !tools::have(&[Tool::Kubectl]) {
        return;
    }
    let cluster = Kubernetes::start();
    let (folder, _) = kubeconfig(&cluster, &token(&cluster));
    let kubectl = |arguments: &[&str]| {
        let output = Command::new(Tool::Kubectl.path())
            .args(arguments)
            .env("KUBECONFIG", folder.path().join("config"))
            .env("HOME", folder.path())
            .env("NO_PROXY", "127.0.0.1")
            .output()
            .unwrap();
        let [out, error] =
            [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
        (output.status.success(), out, error)
    };
    let create = ["create", "secret", "generic", "release", "-n", "signing", "--validate=false"];
    let made = kubectl(&[&create[..], &["--from-literal=cosign.password=test"]].concat());
    assert!(
        made.0,
        "{made:?} {:?}",
        cluster.asked().iter().map(|it| &it.target).collect::<Vec<_>>()
    );
    let query = "jsonpath={.data.cosign\\.password}";
    let read = kubectl(&["get", "secret", "release", "-n", "signing", "-o", query]);
    let asked: Vec<_> = cluster.asked().into_iter().map(|it| it.target).collect();
    assert_eq!((read.0, read.1.as_str()), (true, "dGVzdA=="), "{read:?} {asked:?}");
    let absent = kubectl(&["get", "secret", "other", "-n", "signing"]);
    assert!(!absent.0 && absent.2.contains("(NotFound)"), "{absent:?}");
    let again = kubectl(&[&create[..], &["--from-literal=a=b"]].concat());
    assert!(!again.0 && again.2.contains("already exists"), "{again:?}");
}

/// The same reference in cosign: it names the same public key, and verifies what was signed here.
#[tokio::test(flavor = "multi_thread")]
async fn cosign_takes_the_same_reference() {
    if !tools::have(&[Tool::Cosign3]) {
        return;
    }
    let cluster = Kubernetes::start();
    let (folder, environment) = kubeconfig(&cluster, &token(&cluster));
    let options = options(environment.with_variable("COSIGN_PASSWORD", "test"));
    let made = create(&reference(KEY), &options).await.unwrap();
    let signer = open(&reference(KEY), &options).await.unwrap();
    let signature = signer.sign(b"message", Hash::Sha256).await.unwrap().signature;
    std::fs::write(folder.path().join("message"), "message").unwrap();
    std::fs::write(folder.path().join("signature"), signature.to_base64()).unwrap();
    let cosign = |arguments: &[&str]| {
        let output = Command::new(Tool::Cosign3.path())
            .args(arguments)
            .current_dir(folder.path())
            .env("KUBECONFIG", folder.path().join("config"))
            .env("HOME", folder.path())
            .env("NO_PROXY", "127.0.0.1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(cosign(&["public-key", "--key", KEY]).trim(), made.to_pem().trim());
    let verify =
        ["verify-blob", "--key", KEY, "--insecure-ignore-tlog", "--signature", "signature"];
    cosign(&[&verify[..], &["message"]].concat());
}
