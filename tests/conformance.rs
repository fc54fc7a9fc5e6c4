//! The cases of sigstore's conformance suite, through the example that speaks its protocol.
//!
//! The suite itself is the judge: `examples/conformance.rs` says how to run it. These are its recorded cases, each as a
//! file and as a digest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../examples/conformance.rs"]
#[expect(dead_code, reason = "`main` is for the program")]
mod conformance;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

#[test]
fn every_case_ends_as_the_suite_says() {
    let cases = cases();
    let mut wrong = Vec::new();
    for case in &cases {
        let is_wrong = case.file_name().unwrap().to_string_lossy().ends_with("_fail");
        for artifact in artifacts(case) {
            let result = verify(case, &artifact);
            if result.is_err() != is_wrong {
                wrong.push(format!("{}: {artifact}: {result:?}", case.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.len() > 65, "the cases were not found");
}

/// A case must fail for its own reason: one that fails for another judges nothing.
#[test]
fn what_fails_fails_for_its_own_reason() {
    let reasons: BTreeMap<&str, &str> = BTreeMap::from([
        ("bundle-from-wrong-instance_fail", "trust::log_unknown"),
        ("checkpoint-bad-keyhint_fail", "trust::checkpoint_wrong"),
        ("checkpoint-wrong-roothash_fail", "trust::proof_wrong"),
        ("dsse-invalid-sig_fail", "the signature is not good over the envelope"),
        ("dsse-mismatch-envelope_fail", "trust::entry_of_another"),
        ("dsse-mismatch-sig_fail", "trust::entry_of_another"),
        ("inclusion-proof-corrupted-hash_fail", "trust::proof_wrong"),
        ("intoto-expired-certificate_fail", "trust::time_outside_certificate"),
        ("intoto-log-entry-mismatch_fail", "trust::entry_malformed"),
        ("intoto-set-outside-signing-cert-validity_fail", "trust::time_outside_certificate"),
        ("intoto-tsa-timestamp-outside-cert-validity_fail", "trust::time_outside_certificate"),
        ("invalid-checkpoint-signature_fail", "trust::checkpoint_wrong"),
        ("invalid-ct-key_fail", "trust::certificate_log_unknown"),
        ("rekor2-checkpoint-no-matching-signature_fail", "trust::checkpoint_wrong"),
        ("rekor2-dsse-mismatch-envelope_fail", "trust::entry_of_another"),
        ("rekor2-no-timestamp_fail", "nothing proves when"),
        (
            "rekor2-timestamp-outside-trust-root-tsa-validity_fail",
            "trust::timestamp_authority_not_valid",
        ),
        ("rekor2-timestamp-outside-tsa-cert-validity_fail", "trust::timestamp_wrong"),
        ("rekor2-timestamp-payload-mismatch_fail", "trust::timestamp_of_another"),
        (
            "rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail",
            "trust::timestamp_authority_unknown",
        ),
        (
            "rekor2-timestamp-untrusted-tsa-without-embedded-cert_fail",
            "trust::timestamp_authority_unknown",
        ),
        ("set-invalid-signature_fail", "trust::promise_wrong"),
        ("signature-mismatch_fail", "the signature is not good over the artifact"),
        ("wrong-hashedrekord-artifact_fail", "trust::entry_of_another"),
        ("wrong-hashedrekord-cert-and-sig_fail", "trust::entry_of_another"),
    ]);
    for (name, reason) in reasons {
        let case = folder().join(name);
        let artifact = artifacts(&case).remove(0);
        let error = verify(&case, &artifact).expect_err(name);
        assert!(error.contains(reason), "{name}: {error}");
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conformance")
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).unwrap().map(|it| it.unwrap().path());
    let mut cases: Vec<PathBuf> = entries.filter(|it| it.is_dir()).collect();
    cases.sort();
    cases
}

/// What is verified: the file, and its digest.
fn artifacts(case: &Path) -> Vec<String> {
    let own = case.join("artifact");
    let file = if own.exists() { own } else { folder().join("a.txt") };
    let digest = countersign::model::Digest::of(&fs::read(&file).unwrap());
    vec![file.display().to_string(), digest.to_string()]
}

fn verify(case: &Path, artifact: &str) -> Result<(), String> {
    let file = |name: &str| Some(case.join(name)).filter(|it| it.exists());
    let text = |name: &str, default: &str| {
        file(name)
            .map_or(default.to_owned(), |it| fs::read_to_string(it).unwrap().trim().to_owned())
    };
    let path = |path: PathBuf| path.display().to_string();
    let mut arguments = vec!["verify-bundle".to_owned(), "--bundle".to_owned()];
    arguments.push(path(case.join("bundle.sigstore.json")));
    match file("key.pub") {
        Some(key) => arguments.extend(["--key".to_owned(), path(key)]),
        None => arguments.extend([
            "--certificate-identity".to_owned(),
            text("identity", IDENTITY),
            "--certificate-oidc-issuer".to_owned(),
            text("issuer", ISSUER),
        ]),
    }
    if let Some(root) = file("trusted_root.json") {
        arguments.extend(["--trusted-root".to_owned(), path(root)]);
    }
    arguments.push(artifact.to_owned());
    conformance::run(arguments.into_iter()).map_err(|error| error.to_string())
}
