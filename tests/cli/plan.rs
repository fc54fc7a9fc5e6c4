//! `countersign plan`.

use super::sandbox::{SPEC, Sandbox};

#[test]
fn what_is_missing_is_shown_without_any_password() {
    let sandbox = Sandbox::new();
    // There is no private key at all: nothing but the public one is needed.
    std::fs::write(sandbox.path().join("release.key"), "not a key").unwrap();
    let ended = sandbox.run(&["plan"]);
    insta::assert_snapshot!(ended, @r"
    exit 0
    --- stdout
    oci:images
      api  sha256:############  countersign.toml:14
        + release  simple-signing  sign as registry.example.com/api with env=production
      web linux/amd64  sha256:############  countersign.toml:18
        + release  simple-signing  sign as registry.example.com/web with env=production
      web linux/arm64  sha256:############  countersign.toml:18
        + release  simple-signing  sign as registry.example.com/web with env=production
      web  sha256:############  countersign.toml:18
        + release  simple-signing  sign as registry.example.com/web with env=production

    Signer release: key sha256:############
    Plan: 4 to sign, 0 to resign, 0 to attach, 0 to clean, 0 kept, 0 foreign, 0 blocked
    Publishes: nothing (no log entry, no certificate)
    Fingerprint: sha256:############
    Next: countersign apply, or exactly this plan:
      countersign apply --expect sha256:############
    ");
}

#[test]
fn pending_changes_have_an_exit_code_of_their_own() {
    let sandbox = Sandbox::new();
    sandbox.run(&["plan", "--detailed-exitcode"]).expect(2);
    sandbox.run_with_password(&["apply", "--yes"]).expect(0);
    sandbox.run(&["plan", "--detailed-exitcode"]).expect(0);
}

#[test]
fn an_image_that_is_not_there_is_blocked_and_the_rest_is_planned() {
    let sandbox = Sandbox::new();
    sandbox.edit("oci:images:web", "oci:images:nope");
    let ended = sandbox.run(&["plan", "--detailed-exitcode"]);
    insta::assert_snapshot!(ended, @r"
    exit 1
    --- stdout
    oci:images
      api  sha256:############  countersign.toml:14
        + release  simple-signing  sign as registry.example.com/api with env=production

    Not resolved
      x oci:images:nope  image::not_found  countersign.toml:18
          oci:images:nope does not exist
          help: push the image first, or mark the entry `optional = true`

    Signer release: key sha256:############
    Plan: 1 to sign, 0 to resign, 0 to attach, 0 to clean, 0 kept, 0 foreign, 1 blocked
    Publishes: nothing (no log entry, no certificate)
    Fingerprint: sha256:############
    Next: countersign apply, or exactly this plan:
      countersign apply --expect sha256:############
    What is blocked stays as it is until it is mended.
    ");
}

#[test]
fn a_target_narrows_the_plan() {
    let sandbox = Sandbox::new();
    let plan = sandbox.run(&["plan", "--format", "json", "--target", "*:api"]).expect(0).json();
    assert_eq!(plan["summary"]["images"], 1);
    assert_eq!(plan["images"][0]["names"][0], "oci:images:api");
}

#[test]
fn shards_are_parts_of_the_whole() {
    let sandbox = Sandbox::new();
    let images = |arguments: &[&str]| {
        let plan = sandbox.run(arguments).expect(0).json();
        plan["summary"]["images"].as_u64().unwrap()
    };
    let parts =
        ["0/3", "1/3", "2/3"].map(|part| images(&["plan", "--format", "json", "--shard", part]));
    assert_eq!(parts.iter().sum::<u64>(), 4);
    let mut pod = sandbox.command(&["plan", "--format", "json", "--shard", "/3"]);
    let ended = sandbox.ended(pod.env("JOB_COMPLETION_INDEX", "1")).expect(0);
    assert_eq!(ended.json()["summary"]["images"].as_u64().unwrap(), parts[1]);
    sandbox.run(&["plan", "--shard", "/3"]).expect(64);
}

#[test]
fn json_is_the_same_on_standard_output_and_in_the_file_and_every_time() {
    let sandbox = Sandbox::new();
    let shown = sandbox.run(&["plan", "--format", "json", "--out", "plan.json"]).expect(0);
    assert_eq!(shown.stdout, sandbox.read("plan.json"));
    let again = sandbox.run(&["plan", "--out", "-"]).expect(0);
    assert_eq!(again.stdout, shown.stdout);
    let schema = sandbox.run(&["schema", "plan"]).expect(0).json();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&shown.json()));
}

#[test]
fn colors_come_only_where_they_are_asked_for() {
    let sandbox = Sandbox::new();
    let painted = |arguments: &[&str]| sandbox.run(arguments).expect(0).stdout.contains('\u{1b}');
    assert!(!painted(&["plan"]));
    assert!(painted(&["plan", "--color", "always"]));
    assert!(!painted(&["plan", "--color", "never"]));
}

#[test]
fn a_file_that_cannot_be_written_is_found_before_anything_is_read() {
    let sandbox = Sandbox::with("this is no spec");
    let ended = sandbox.run(&["plan", "--out", "missing/plan.json"]);
    insta::assert_snapshot!(ended, @r"
    exit 1
    --- stderr
    error[cli::file]: cannot write missing/plan.json
      caused by: entity not found
    ");
}

#[test]
fn a_spec_may_lie_elsewhere_and_take_variables() {
    let sandbox = Sandbox::with("");
    std::fs::create_dir(sandbox.path().join("deploy")).unwrap();
    let spec = SPEC
        .replace("oci:images", "oci:../images")
        .replace("\"release.", "\"../release.")
        .replace("\"production\"", "\"${ENVIRONMENT}\"");
    sandbox.write("deploy/countersign.toml", spec);
    let plan = |arguments: &[&str]| {
        let base = ["plan", "--format", "json", "-f", "deploy/countersign.toml"];
        sandbox.run(&[&base[..], arguments].concat())
    };
    let made = plan(&["--var", "ENVIRONMENT=test"]).expect(0).json();
    assert_eq!(made["images"][0]["changes"][0]["annotations"]["env"], "test");
    sandbox.write("vars.toml", "ENVIRONMENT = \"from a file\"");
    let made = plan(&["--var-file", "vars.toml"]).expect(0).json();
    assert_eq!(made["images"][0]["changes"][0]["annotations"]["env"], "from a file");
    plan(&[]).expect(65);
    let untrusted = plan(&["--var", "ENVIRONMENT=test", "--untrusted-spec"]).expect(65);
    assert!(untrusted.stderr.contains("spec::untrusted"), "{untrusted}");
}

#[test]
fn environment_variables_must_be_allowed() {
    let sandbox = Sandbox::new();
    sandbox.edit("\"production\"", "\"${env:STAGE}\"");
    let plan = |allow: &[&str], variable: Option<&str>| {
        let mut command = sandbox.command(&[&["plan", "--format", "json"], allow].concat());
        command.env("STAGE", "blue");
        if let Some(list) = variable {
            command.env("COUNTERSIGN_ALLOW_ENV", list);
        }
        sandbox.ended(&mut command)
    };
    let refused = plan(&[], None).expect(65);
    assert!(!refused.stderr.contains("blue"), "{refused}");
    for allowed in [plan(&["--allow-env", "STAGE"], None), plan(&[], Some("OTHER, STAGE"))] {
        let made = allowed.expect(0).json();
        assert_eq!(made["images"][0]["changes"][0]["annotations"]["env"], "blue");
    }
    plan(&[], Some("A B")).expect(64);
}
