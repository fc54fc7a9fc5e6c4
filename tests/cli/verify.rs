//! `countersign verify`.

use super::sandbox::Sandbox;

#[test]
fn what_a_verifier_would_miss_is_a_fault() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run(&["verify"]);
    insta::assert_snapshot!(ended, @r"
    exit 6
    --- stdout
    oci:images
      api  sha256:############  countersign.toml:14
        + release  simple-signing  missing
      web linux/amd64  sha256:############  countersign.toml:18
        + release  simple-signing  missing
      web linux/arm64  sha256:############  countersign.toml:18
        + release  simple-signing  missing
      web  sha256:############  countersign.toml:18
        + release  simple-signing  missing

    Verify: 0 images as declared, 4 not as declared, 0 not known
    Next: run `countersign plan` to see what would mend it.
    ");
    sandbox.run_with_password(&["apply", "--yes"]).expect(0);
    let ended = sandbox.run(&["verify"]);
    insta::assert_snapshot!(ended, @r"
    exit 0
    --- stdout
    oci:images
      = 4 images as declared: 4 kept

    Verify: 4 images as declared, 0 not as declared, 0 not known
    ");
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
