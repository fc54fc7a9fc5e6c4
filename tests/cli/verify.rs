//! `countersign verify`.

use super::sandbox::Sandbox;

#[test]
fn what_a_verifier_would_miss_is_a_fault() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run(&["verify"]);
    insta::assert_snapshot!(ended, @"");
    sandbox.run_with_password(&["apply", "--yes"]).expect(0);
    let ended = sandbox.run(&["verify"]);
    insta::assert_snapshot!(ended, @"");
}

#[test]
fn json_is_as_its_schema_says() {
    let sandbox = Sandbox::new();
    let schema = sandbox.run(&["schema", "verification"]).expect(0).json();
    let verification = sandbox.run(&["verify", "--format", "json"]).expect(6).json();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&verification));
}

#[test]
fn what_cannot_be_read_is_no_fault_and_no_success() {
    let sandbox = Sandbox::new();
    sandbox.run_with_password(&["apply", "--yes"]).expect(0);
    sandbox.edit("oci:images:web", "oci:images:nope");
    sandbox.run(&["verify"]).expect(1);
}
