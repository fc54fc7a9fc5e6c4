//! `countersign generate-key-pair`, `import-key-pair`, `public-key`: what they write, cosign reads, and the reverse.

use std::path::Path;
use std::process::Command;

use super::sandbox::{PASSWORD, Sandbox};
use super::support::tools::{self, Tool};

fn import(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys/import");
    folder.join(name).to_str().unwrap().to_owned()
}

fn cosign(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let output = Command::new(Tool::Cosign3.path())
        .args(arguments)
        .current_dir(sandbox.path())
        .env_clear()
        .env("HOME", sandbox.path())
        .env("COSIGN_PASSWORD", PASSWORD)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_key_pair_is_two_files_that_are_never_overwritten() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run_with_password(&["generate-key-pair"]).expect(0);
    assert_eq!(
        ended.stderr,
        "Private key written to cosign.key\nPublic key written to cosign.pub\n"
    );
    assert!(
        sandbox.read("cosign.key").starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----")
    );
    #[cfg(unix)]
    for (file, expected) in [("cosign.key", 0o600), ("cosign.pub", 0o644)] {
        use std::os::unix::fs::PermissionsExt;
        let mode = sandbox.path().join(file).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777 & !expected, 0, "{file}: {mode:o}");
    }
    let before = sandbox.read("cosign.key");
    let ended = sandbox.run_with_password(&["generate-key-pair"]).expect(1);
    assert!(ended.stderr.contains("cli::exists") && ended.stderr.contains("--output-key-prefix"));
    assert_eq!(sandbox.read("cosign.key"), before);
    // With `--yes`, both are replaced, and nothing is left beside them.
    sandbox.run_with_password(&["generate-key-pair", "-y"]).expect(0);
    assert_ne!(sandbox.read("cosign.key"), before);
    let from = import("p256.sec1.pem");
    let again = ["import-key-pair", "-k", &from, "-o", "cosign"];
    sandbox.run_with_password(&again).expect(1);
    sandbox.run_with_password(&[&again[..], &["--yes"]].concat()).expect(0);
    let files = sandbox.path().read_dir().unwrap().map(|it| it.unwrap().file_name());
    let files: Vec<_> = files.filter(|it| it.to_string_lossy().starts_with("cosign")).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    let shown = sandbox.run_with_password(&["public-key", "--key", "cosign.key"]).expect(0);
    assert_eq!(shown.stdout, sandbox.read("cosign.pub"));
    let ended = sandbox.run(&["generate-key-pair", "--output-key-prefix", "other"]).expect(77);
    assert!(ended.stderr.contains("key::no_password"), "{}", ended.stderr);
    assert!(!sandbox.path().join("other.key").exists());
}

#[test]
fn keys_of_openssl_are_imported() {
    let sandbox = Sandbox::new();
    for name in ["ed25519.pkcs8", "p256.pkcs8", "p256.sec1", "p521.sec1", "rsa2048.pkcs1"] {
        let from = import(&format!("{name}.pem"));
        let arguments = ["import-key-pair", "--key", &from, "--output-key-prefix", name];
        sandbox.run_with_password(&arguments).expect(0);
        let public = std::fs::read_to_string(import(&format!("{name}.pub"))).unwrap();
        assert_eq!(sandbox.read(&format!("{name}.pub")), public);
        let key = format!("{name}.key");
        let shown = sandbox.run_with_password(&["public-key", "--key", &key]).expect(0);
        assert_eq!(shown.stdout, public);
    }
    for name in ["p256.encrypted", "rsa1024.pkcs1", "secp256k1.sec1"] {
        let from = import(&format!("{name}.pem"));
        let ended = sandbox.run_with_password(&["import-key-pair", "--key", &from]).expect(1);
        assert!(ended.stderr.contains("key::malformed"), "{}", ended.stderr);
    }
    assert!(!sandbox.path().join("import-cosign.key").exists());
}

#[test]
fn cosign_opens_what_is_made_here_and_the_reverse() {
    if !tools::have(&[Tool::Cosign3]) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.run_with_password(&["generate-key-pair", "--output-key-prefix", "ours"]).expect(0);
    let from = import("p256.sec1.pem");
    let arguments = ["import-key-pair", "--key", &from, "--output-key-prefix", "imported"];
    sandbox.run_with_password(&arguments).expect(0);
    for name in ["ours", "imported"] {
        let key = format!("{name}.key");
        let public = cosign(&sandbox, &["public-key", "--key", &key]);
        assert_eq!(public.trim(), sandbox.read(&format!("{name}.pub")).trim());
    }
    cosign(&sandbox, &["generate-key-pair", "--output-key-prefix", "theirs"]);
    let shown = sandbox.run_with_password(&["public-key", "--key", "theirs.key"]).expect(0);
    assert_eq!(shown.stdout.trim(), sandbox.read("theirs.pub").trim());
}

#[test]
fn a_reference_that_is_not_taken_says_why() {
    let sandbox = Sandbox::new();
    for (arguments, code, words) in [
        (["generate-key-pair", "--kms", "cosign.key"], 1, "are not made from here"),
        (["public-key", "--key", "absent.key"], 1, "key::not_found"),
        (["public-key", "--key", "https://example.com/k"], 1, "whose key it is"),
        #[cfg(feature = "vault")]
        (["public-key", "--key", "hashivault://k"], 1, "VAULT_ADDR"),
        #[cfg(not(feature = "vault"))]
        (["public-key", "--key", "hashivault://k"], 1, "it lacks the feature `vault`"),
        #[cfg(feature = "gitlab")]
        (["public-key", "--key", "gitlab://a/b"], 77, "GITLAB_TOKEN"),
        (["public-key", "--key", "env://NOT_SET"], 1, "NOT_SET"),
    ] {
        let ended = sandbox.run_with_password(&arguments).expect(code);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}
