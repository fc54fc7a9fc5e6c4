//! `countersign validate`.

use super::sandbox::Sandbox;

#[test]
fn a_good_spec_is_counted() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.run(&["validate"]), @"");
}

#[test]
fn every_problem_is_told_in_one_run() {
    let sandbox = Sandbox::with(
        r#"version = 1
colour = "red"

[signers.release]
key = "missing.key"

[defaults]
sign_with = []

[[images]]
reference = "ghcr.io/Acme/api:1"
"#,
    );
    insta::assert_snapshot!(sandbox.run(&["validate"]), @"");
    let json = sandbox.run(&["validate", "--format", "json"]).expect(65);
    assert_eq!(json.stderr, "");
    let json = json.json();
    assert_eq!(json["valid"], false);
    let codes: Vec<&str> = json["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["code"].as_str().unwrap())
        .collect();
    assert_eq!(
        codes,
        [
            "spec::unknown_key",
            "spec::not_yet",
            "spec::unreadable",
            "spec::empty",
            "spec::reference"
        ]
    );
}

#[test]
fn a_warning_is_no_error() {
    let sandbox = Sandbox::new();
    sandbox.key("p384", "other");
    let spec = sandbox.read("countersign.toml");
    sandbox.write(
        "countersign.toml",
        format!("{spec}\n[signers.other]\npublic_key = \"other.pub\"\n"),
    );
    let ended = sandbox.run(&["validate"]).expect(0);
    assert!(ended.stderr.contains("spec::unused_signer"), "{ended}");
    assert_eq!(sandbox.run(&["validate", "--quiet"]).expect(0).stderr, "");
}

#[test]
fn a_wrong_spec_ends_every_command_before_it_does_anything() {
    let sandbox = Sandbox::with("version = 2");
    for command in [
        &["validate"][..],
        &["plan"],
        &["apply", "--yes"],
        &["verify"],
        &["explain", "oci:images:api"],
    ] {
        let ended = sandbox.run(command).expect(65);
        assert_eq!(ended.stdout, "");
        assert!(ended.stderr.contains("spec::version"), "{ended}");
    }
}
