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
    insta::assert_snapshot!(Ended { stdout, ..ended }, @"");
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
    insta::assert_snapshot!(refused, @"");
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
