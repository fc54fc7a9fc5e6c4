//! `countersign explain`.

use super::sandbox::Sandbox;

#[test]
fn every_signature_is_explained() {
    let sandbox = Sandbox::new();
    sandbox.edit("prune = \"superseded\"", "prune = \"keep\"");
    sandbox.run_with_password(&["apply", "--yes"]).expect(0);
    sandbox.edit("\"production\"", "\"staging\"");
    sandbox.run_with_password(&["apply", "--yes"]).expect(0);
    let ended = sandbox.run(&["explain", "oci:./images:api"]);
    insta::assert_snapshot!(ended, @"");
}

#[test]
fn an_image_outside_the_spec_is_held_against_all_signers() {
    let sandbox = Sandbox::new();
    sandbox.run_with_password(&["apply", "--yes"]).expect(0);
    let spec = sandbox.read("countersign.toml");
    let (rest, _) = spec.split_once("[[images]]\nreference = \"oci:images:web\"").unwrap();
    sandbox.write("countersign.toml", rest);
    let ended = sandbox.run(&["explain", "oci:images:web"]);
    insta::assert_snapshot!(ended, @"");
}

#[test]
fn json_is_as_its_schema_says() {
    let sandbox = Sandbox::new();
    sandbox.run_with_password(&["apply", "--yes"]).expect(0);
    let schema = sandbox.run(&["schema", "explanation"]).expect(0).json();
    let made = sandbox.run(&["explain", "oci:images:api", "--format", "json"]).expect(0).json();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&made), "{made}");
}

#[test]
fn what_is_no_image_or_not_there_is_told() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.run(&["explain", "oci:images:nope"]), @"");
    insta::assert_snapshot!(sandbox.run(&["explain", "ghcr.io/Acme/api"]), @"");
    insta::assert_snapshot!(sandbox.run(&["explain", "oci:images"]), @"");
}
