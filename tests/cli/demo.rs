//! `countersign demo`.

use super::sandbox::{Ended, Sandbox};
use super::support::cosign::Cosign;
use super::support::tools::{self, Tool};

#[test]
fn the_demo_shows_plan_apply_and_plan() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run(&["demo"]);
    // The program is called by its whole path in tests.
    let stdout = ended.stdout.replace(env!("CARGO_BIN_EXE_countersign"), "countersign");
    insta::assert_snapshot!(Ended { stdout, ..ended }, @r#"
    exit 0
    --- stdout
    A demo of countersign, in countersign-demo:

      images/           an OCI layout with three small images: api, web (two platforms), worker
      single/           api again, alone in its layout
      keys/             a key pair in cosign's format, and its password: for this demo only
      countersign.toml  the spec: who signs which images, and how

    What is missing?
    $ countersign plan -f countersign-demo/countersign.toml

    oci:countersign-demo/images
      api  sha256:############  countersign-demo/countersign.toml:16
        + demo  simple-signing  sign as registry.example.com/demo/api with com.example.environment=demo
      web linux/amd64  sha256:############  countersign-demo/countersign.toml:20
        + demo  simple-signing  sign as registry.example.com/demo/web with com.example.environment=demo
      web linux/arm64  sha256:############  countersign-demo/countersign.toml:20
        + demo  simple-signing  sign as registry.example.com/demo/web with com.example.environment=demo
      web  sha256:############  countersign-demo/countersign.toml:20
        + demo  simple-signing  sign as registry.example.com/demo/web with com.example.environment=demo
      worker  sha256:############  countersign-demo/countersign.toml:24
        + demo  simple-signing  sign as registry.example.com/demo/worker with com.example.environment=demo

    oci:countersign-demo/single
      api  sha256:############  countersign-demo/countersign.toml:28
        + demo  simple-signing  sign as registry.example.com/demo/api with com.example.environment=demo

    Signer demo: key sha256:############
    Plan: 6 to sign, 0 to resign, 0 to attach, 0 to clean, 0 kept, 0 foreign, 0 blocked
    Publishes: nothing (no log entry, no certificate)
    Fingerprint: sha256:############
    Next: countersign apply, or exactly this plan:
      countersign apply --expect sha256:############

    Make it so.
    $ countersign apply -f countersign-demo/countersign.toml --yes

    oci:countersign-demo/images
      api  sha256:############  countersign-demo/countersign.toml:16
        + demo  simple-signing  sign as registry.example.com/demo/api with com.example.environment=demo
      web linux/amd64  sha256:############  countersign-demo/countersign.toml:20
        + demo  simple-signing  sign as registry.example.com/demo/web with com.example.environment=demo
      web linux/arm64  sha256:############  countersign-demo/countersign.toml:20
        + demo  simple-signing  sign as registry.example.com/demo/web with com.example.environment=demo
      web  sha256:############  countersign-demo/countersign.toml:20
        + demo  simple-signing  sign as registry.example.com/demo/web with com.example.environment=demo
      worker  sha256:############  countersign-demo/countersign.toml:24
        + demo  simple-signing  sign as registry.example.com/demo/worker with com.example.environment=demo

    oci:countersign-demo/single
      api  sha256:############  countersign-demo/countersign.toml:28
        + demo  simple-signing  sign as registry.example.com/demo/api with com.example.environment=demo

    Signer demo: key sha256:############
    Plan: 6 to sign, 0 to resign, 0 to attach, 0 to clean, 0 kept, 0 foreign, 0 blocked
    Publishes: nothing (no log entry, no certificate)
    Fingerprint: sha256:############

    oci:countersign-demo/images
      = 5 images as declared: 5 written

    oci:countersign-demo/single
      = 1 image as declared: 1 written

    Apply: 6 written, 0 removed, 0 kept; 6 images as declared, 0 failed

    And now?
    $ countersign plan -f countersign-demo/countersign.toml

    oci:countersign-demo/images
      = 5 images as declared: 5 kept

    oci:countersign-demo/single
      = 1 image as declared: 1 kept

    Plan: 0 to sign, 0 to resign, 0 to attach, 0 to clean, 6 kept, 0 foreign, 0 blocked
    Publishes: nothing (no log entry, no certificate)
    Fingerprint: sha256:############
    Nothing to do: every image is as declared.

    What to try next:
      Let cosign itself check an image that was just signed:
        $ cosign verify --key countersign-demo/keys/demo.pub --insecure-ignore-tlog=true --local-image countersign-demo/single
      See what is known of one image:
        $ countersign explain -f countersign-demo/countersign.toml oci:countersign-demo/images:web
      Change `demo` to `production` in countersign-demo/countersign.toml; each image is then signed anew,
      and the old signature goes, because of `prune = "superseded"`. (Re-signing everything is unusual: a
      guard stops it where ten images or more carry such signatures.)
        $ countersign plan -f countersign-demo/countersign.toml
      Take a registry of your own: write a spec for it, and plan; nothing is written before `apply`.
        $ countersign init
    "#);
    sandbox.run(&["verify", "-f", "countersign-demo/countersign.toml"]).expect(0);
}

#[test]
fn an_earlier_demo_is_made_anew_and_nothing_else_is_touched() {
    let sandbox = Sandbox::new();
    sandbox.run(&["demo", "here"]).expect(0);
    sandbox.write("here/mine.txt", "stays");
    let again = sandbox.run(&["demo", "here"]).expect(0);
    assert!(again.stdout.contains("is an earlier demo: it is made anew"), "{again}");
    assert_eq!(sandbox.read("here/mine.txt"), "stays");
    let refused = sandbox.run(&["demo", "."]);
    insta::assert_snapshot!(refused, @r"
    exit 1
    --- stderr
    error[cli::exists]: . exists already, and is no earlier demo
      help: name another folder: countersign demo FOLDER
    ");
}

#[test]
fn both_cosigns_verify_what_the_demo_signs() {
    if !tools::have(&[Tool::Cosign2, Tool::Cosign3]) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.run(&["demo"]).expect(0);
    let folder = sandbox.path().join("countersign-demo");
    for cosign in Cosign::both() {
        let arguments = [
            "verify".into(),
            "--key".into(),
            folder.join("keys/demo.pub").into_os_string(),
            "--insecure-ignore-tlog=true".into(),
            "--local-image".into(),
            folder.join("single").into_os_string(),
        ];
        cosign.run(&arguments, "").success();
    }
}
