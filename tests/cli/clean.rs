//! `countersign clean`: what goes, what stays, and what a registry refuses.

use super::sandbox::Sandbox;
use super::single::{SIGN, lines};
use super::support::cosign::{Cosign, Format, KeyPair, SignOptions, VerifyOptions};
use super::support::crane_registry::CraneRegistry;
use super::support::docker_registry::{Deletion, DockerRegistry, Options};
use super::support::tools::{self, Home, Tool};

#[test]
fn one_signer_is_cleaned_and_then_all() {
    let sandbox = Sandbox::new();
    sandbox.key("rsa2048", "other");
    let other = ["--key", "other.key"];
    for key in [&[][..], &other] {
        let mut sign: Vec<&str> = SIGN.to_vec();
        if !key.is_empty() {
            sign[2] = key[1];
        }
        sandbox.run_with_password(&sign).expect(0);
    }
    assert_eq!(lines(&sandbox, "oci:images:api"), 2);
    let clean = |extra: &[&str]| sandbox.run(&[&["clean", "oci:images:api"][..], extra].concat());
    let asked = clean(&[]).expect(64);
    assert!(asked.stderr.contains("add --force"), "{asked}");
    clean(&["--dry-run"]).expect(0);
    assert_eq!(lines(&sandbox, "oci:images:api"), 2);
    clean(&["--key", "other.pub", "--force"]).expect(0);
    let verify = ["verify", "--insecure-ignore-tlog", "oci:images:api", "--key"];
    sandbox.run(&[&verify[..], &["release.pub"]].concat()).expect(0);
    sandbox.run(&[&verify[..], &["other.pub"]].concat()).expect(6);
    clean(&["--force"]).expect(0);
    assert_eq!(lines(&sandbox, "oci:images:api"), 0);
}

#[test]
fn a_registry_that_keeps_everything_fails_a_clean() {
    if !tools::have(&[Tool::DockerRegistry]) {
        return;
    }
    let registry =
        DockerRegistry::with(Options { deletion: Deletion::Refused, ..Options::default() });
    let sandbox = Sandbox::new();
    let image = registry.reference("kept:1");
    sandbox.run(&["copy", "oci:images:api", &image]).expect(0);
    let sign = ["sign", "--key", "release.key", "--tlog-upload=false", &image];
    sandbox.run_with_password(&sign).expect(0);
    let refused = sandbox.run(&["clean", "--force", &image]).expect(1);
    assert!(refused.stderr.contains("error[registry::delete_refused]"), "{refused}");
    assert_eq!(lines(&sandbox, &image), 1);
}

/// An image with a signature behind the tag and one in a bundle, an attestation of each kind, and a stranger's SBOM.
struct Crowded {
    image: String,
    key: KeyPair,
    sandbox: Sandbox,
}

impl Crowded {
    fn new(image: &str) -> Self {
        let (sandbox, third) = (Sandbox::new(), Cosign::v3());
        sandbox.run(&["copy", "oci:images:api", image]).expect(0);
        let key = third.generate_key_pair(sandbox.path(), "one", "");
        let format = Format::Bundle;
        third.sign(&[image], &key, &SignOptions::default()).success();
        third.sign(&[image], &key, &SignOptions { format, ..SignOptions::default() }).success();
        let home = Home::new();
        sandbox.write("predicate.json", "{}");
        sandbox.write("sbom.json", "{}");
        let path = |name: &str| sandbox.path().join(name).display().to_string();
        let (private, predicate) = (key.private.display().to_string(), path("predicate.json"));
        for format in ["--new-bundle-format=true", "--new-bundle-format=false"] {
            let attest = ["attest", "--yes", "--tlog-upload=false", "--use-signing-config=false"];
            let with = [format, "--key", &private, "--predicate", &predicate, image];
            let mut command = home.command(Tool::Cosign3);
            command.args(attest).args(with).env("COSIGN_PASSWORD", "");
            tools::Finished::of(&mut command).success();
        }
        let attach = ["attach", "--plain-http", "--artifact-type", "application/spdx+json", image];
        let mut command = home.command(Tool::Oras);
        command.args(attach).arg("sbom.json").current_dir(sandbox.path());
        tools::Finished::of(&mut command).success();
        Self { image: image.to_owned(), key, sandbox }
    }

    /// What ours and cosign's `tree` show, in the order of the letters: cosign's own order is by chance.
    fn trees(&self) -> [Vec<String>; 2] {
        let arguments = ["tree", "--experimental-oci11", &self.image];
        let theirs = Home::new().run(Tool::Cosign3, &arguments).success().stdout;
        let ours = self.sandbox.run(&["tree", &self.image]).expect(0).stdout;
        [ours, theirs].map(|it| {
            let mut lines: Vec<String> = it.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        })
    }

    /// Signatures behind the tag, attestations behind theirs, signatures in bundles, attestations in them, others.
    fn counts(&self) -> [usize; 5] {
        let tree = self.sandbox.run(&["tree", &self.image]).expect(0).stdout;
        [
            "🔐 Signatures for an image tag",
            "💾 Attestations for an image tag",
            "🔗 https://sigstore.dev/cosign/sign/v1",
            "🔗 https://cosign.sigstore.dev/attestation/v1",
            "🔗 application/spdx+json",
        ]
        .map(|it| tree.matches(it).count())
    }

    fn clean(&self, arguments: &[&str]) -> super::sandbox::Ended {
        self.sandbox.run(&[&["clean", "--force", &self.image], arguments].concat())
    }
}

const NEEDED: [Tool; 4] = [Tool::Cosign3, Tool::Crane, Tool::DockerRegistry, Tool::Oras];

#[test]
fn each_type_takes_its_own_and_no_strangers() {
    if !tools::have(&NEEDED) {
        return;
    }
    let (with_api, with_tag) = (CraneRegistry::start(), DockerRegistry::start());
    let mut number = 0;
    for (kind, left) in [
        ("signature", [0, 1, 0, 1, 1]),
        ("attestation", [1, 0, 1, 0, 1]),
        ("referrer", [1, 1, 0, 0, 1]),
        ("sbom", [1, 1, 1, 1, 1]),
        ("all", [0, 0, 0, 0, 1]),
    ] {
        number += 1;
        let name = format!("app-{number}:1");
        for image in [with_api.reference(&name), with_tag.reference(&name)] {
            let crowded = Crowded::new(&image);
            assert_eq!(crowded.counts(), [1, 1, 1, 1, 1], "{kind}");
            let [ours, theirs] = crowded.trees();
            assert_eq!(ours, theirs);
            crowded.clean(&["--type", kind, "--dry-run"]).expect(0);
            assert_eq!(crowded.counts(), [1, 1, 1, 1, 1], "{kind}");
            for _ in 0..2 {
                let ended = crowded.clean(&["--type", kind]).expect(0);
                assert_eq!(crowded.counts(), left, "{kind} of {image}: {ended}");
            }
            let verified =
                Cosign::v3().verify(&image, &crowded.key.trust(), &VerifyOptions::default());
            // It takes an attestation in a bundle for a signature.
            let expected = left[0] + left[2] + left[3] > 0;
            assert_eq!(verified.is_ok(), expected, "{kind}: {verified:?}");
        }
    }
}

#[test]
fn one_signers_bundles_go_and_the_others_stay() {
    if !tools::have(&NEEDED) {
        return;
    }
    let registry = DockerRegistry::start();
    let crowded = Crowded::new(&registry.reference("app:1"));
    let other = Cosign::v3().generate_key_pair(crowded.sandbox.path(), "two", "");
    let bundle = SignOptions { format: Format::Bundle, ..SignOptions::default() };
    Cosign::v3().sign(&[&crowded.image], &other, &bundle).success();
    assert_eq!(crowded.counts(), [1, 1, 2, 1, 1]);
    crowded.clean(&["--key", &crowded.key.public.display().to_string()]).expect(0);
    assert_eq!(crowded.counts(), [0, 1, 1, 1, 1]);
    let verified = Cosign::v3().verify(&crowded.image, &other.trust(), &VerifyOptions::default());
    assert_eq!(verified.unwrap().len(), 1);
}

#[test]
fn many_removals_need_a_number() {
    let sandbox = Sandbox::new();
    for _ in 0..3 {
        sandbox.run_with_password(&[&SIGN[..], &["--force"]].concat()).expect(0);
    }
    let clean = |extra: &[&str]| {
        sandbox.run(&[&["clean", "oci:images:api", "--force"][..], extra].concat())
    };
    let refused = clean(&["--allow-clean", "2"]).expect(4);
    assert!(refused.stderr.contains("error[guard::clean]: 3 would be removed"), "{refused}");
    assert!(refused.stderr.contains("--allow-clean 3"), "{refused}");
    assert_eq!(lines(&sandbox, "oci:images:api"), 3);
    clean(&["--allow-clean", "3"]).expect(0);
    assert_eq!(lines(&sandbox, "oci:images:api"), 0);
}

#[test]
fn where_deleting_is_refused_one_signer_goes_and_the_last_does_not() {
    if !tools::have(&[Tool::Cosign2, Tool::DockerRegistry]) {
        return;
    }
    let registry =
        DockerRegistry::with(Options { deletion: Deletion::Refused, ..Options::default() });
    let (sandbox, image) = (Sandbox::new(), registry.reference("kept:1"));
    sandbox.key("rsa2048", "other");
    sandbox.run(&["copy", "oci:images:api", &image]).expect(0);
    for key in ["release.key", "other.key"] {
        let sign = ["sign", "--key", key, "--tlog-upload=false", &image];
        sandbox.run_with_password(&sign).expect(0);
    }
    let clean = ["clean", "--force", "--type", "signature", "--key"];
    sandbox.run(&[&clean[..], &["other.pub", &image]].concat()).expect(0);
    assert_eq!(lines(&sandbox, &image), 1);
    let last = sandbox.run(&[&clean[..], &["release.pub", &image]].concat()).expect(1);
    assert!(last.stderr.contains("error[registry::delete_refused]"), "{last}");
    assert!(last.stderr.contains("help: allow deletes in the registry"), "{last}");
    let key = sandbox.path().join("release.pub").display().to_string();
    let verify = ["verify", "--key", &key, "--insecure-ignore-tlog", &image];
    Home::new().run(Tool::Cosign2, &verify).success();
}
