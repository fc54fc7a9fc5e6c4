//! `countersign apply`.

use serde_json::Value;

use super::sandbox::Sandbox;
use super::support::images::{Image, write_layout};

#[test]
fn apply_makes_it_so_and_a_second_one_writes_nothing() {
    let sandbox = Sandbox::new();
    let first = sandbox.run_with_password(&["apply", "--yes"]);
    insta::assert_snapshot!(first, @r"
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

    oci:images
      = 4 images as declared: 4 written

    Apply: 4 written, 0 removed, 0 kept; 4 images as declared, 0 failed
    ");
    let index = sandbox.read("images/index.json");
    // Nothing is left to sign, so no password is needed.
    let second = sandbox.run(&["apply", "--yes"]);
    insta::assert_snapshot!(second, @r"
    exit 0
    --- stdout
    oci:images
      = 4 images as declared: 4 kept

    Plan: 0 to sign, 0 to resign, 0 to attach, 0 to clean, 4 kept, 0 foreign, 0 blocked
    Publishes: nothing (no log entry, no certificate)
    Fingerprint: sha256:############
    Nothing to do: every image is as declared.
    ");
    assert_eq!(sandbox.read("images/index.json"), index);
}

#[test]
fn nobody_is_asked_where_nobody_is() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run_with_password(&["apply"]);
    insta::assert_snapshot!(ended, @r"
    exit 64
    --- stderr
    error[cli::usage]: apply asks before it writes, and nobody is there to answer
      help: add --yes, or give it a saved plan: countersign plan --out plan.json, then countersign apply plan.json
    ");
    sandbox.run(&["plan", "--detailed-exitcode"]).expect(2);
}

#[test]
fn without_the_password_nothing_is_written_and_the_reason_is_told() {
    let sandbox = Sandbox::new();
    let before = sandbox.read("images/index.json");
    let ended = sandbox.run(&["apply", "--yes", "--target", "*:api"]);
    insta::assert_snapshot!(ended, @r"
    exit 77
    --- stdout
    oci:images
      api  sha256:############  countersign.toml:14
        + release  simple-signing  sign as registry.example.com/api with env=production

    Signer release: key sha256:############
    Plan: 1 to sign, 0 to resign, 0 to attach, 0 to clean, 0 kept, 0 foreign, 0 blocked
    Publishes: nothing (no log entry, no certificate)
    Fingerprint: sha256:############

    oci:images
      api  sha256:############  countersign.toml:14
        x release  simple-signing  sign failed: key::no_password
            cannot open release.key: it is encrypted, COSIGN_PASSWORD is not set, and there is no
            terminal to ask at
            help: set COSIGN_PASSWORD (empty for an empty password), or give the signer `password_env`
                  or `password_file`, or run at a terminal to be asked

    Apply: 0 written, 0 removed, 0 kept; 0 images as declared, 1 failed
    Next: mend the credentials or permissions, and run again; what is done is kept.
    ");
    let wrong = sandbox.ended(sandbox.command(&["apply", "--yes"]).env("COSIGN_PASSWORD", "wrong"));
    assert!(wrong.expect(77).stdout.contains("key::wrong_password"));
    assert_eq!(sandbox.read("images/index.json"), before);
}

#[test]
fn a_failure_stops_only_its_own_image() {
    let sandbox = Sandbox::new();
    sandbox.edit("oci:images:web", "oci:images:nope");
    let ended = sandbox.run_with_password(&["apply", "--yes", "--report", "report.json"]).expect(3);
    assert!(ended.stdout.contains("image::not_found"), "{ended}");
    let report = sandbox.json("report.json");
    assert_eq!(report["totals"]["written"], 1);
    assert_eq!(report["totals"]["failed"], 1);
}

#[test]
fn a_saved_plan_narrows() {
    let sandbox = Sandbox::new();
    let saved = sandbox.run(&["plan", "--out", "plan.json", "--target", "*:api"]).expect(0);
    assert_eq!(
        saved.stderr,
        "saved to plan.json; to do this and no more: countersign apply plan.json\n"
    );
    // `web` is in the spec and not in the saved plan: it is refused, and `api` goes on.
    let ended = sandbox.run_with_password(&["apply", "plan.json"]).expect(5);
    assert!(ended.stdout.contains("plan::stale"), "{ended}");
    let left = sandbox.run(&["plan", "--format", "json"]).expect(0).json();
    assert_eq!((&left["summary"]["keep"], &left["summary"]["sign"]), (&1.into(), &3.into()));
    // Where both say the same, and where it is done by now, nothing is stale.
    sandbox.run(&["plan", "--out", "plan.json"]).expect(0);
    sandbox.run_with_password(&["apply", "plan.json"]).expect(0);
    sandbox.run(&["apply", "plan.json"]).expect(0);
}

#[test]
fn a_saved_plan_that_is_none_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("plan.json", "{}");
    let ended = sandbox.run_with_password(&["apply", "plan.json"]);
    insta::assert_snapshot!(ended, @r"
    exit 1
    --- stderr
    error[plan::malformed]: cannot use plan.json
      caused by: the file is not a saved plan
      caused by: missing field `format_version` at line 1 column 2
      help: save a new one: countersign plan --out plan.json
    ");
}

#[test]
fn an_expected_fingerprint_is_the_whole_plan() {
    let sandbox = Sandbox::new();
    let plan = sandbox.run(&["plan", "--format", "json"]).expect(0).json();
    let fingerprint = plan["fingerprint"].as_str().unwrap().to_owned();
    sandbox.edit("\"production\"", "\"staging\"");
    let before = sandbox.read("images/index.json");
    let refused =
        sandbox.run_with_password(&["apply", "--yes", "--expect", &fingerprint]).expect(5);
    assert!(refused.stderr.contains("error[plan::stale]"), "{refused}");
    assert_eq!(sandbox.read("images/index.json"), before, "nothing was written");
    sandbox.edit("\"staging\"", "\"production\"");
    sandbox.run_with_password(&["apply", "--yes", "--expect", &fingerprint]).expect(0);
    sandbox.run(&["apply", "--yes", "--expect", "12"]).expect(64);
}

#[test]
fn a_guard_stops_before_the_first_write_and_is_lifted_by_a_number() {
    let sandbox = Sandbox::new();
    let images: Vec<(String, Image)> =
        (0..10).map(|number| (format!("v{number}"), Image::oci(&number.to_string()))).collect();
    write_layout(&sandbox.path().join("many"), images.iter().map(|(tag, it)| (tag.as_str(), it)));
    sandbox.edit("oci:images:api", "oci:many:v0");
    let spec = sandbox.read("countersign.toml");
    let entry = "reference = \"oci:many:v0\"";
    sandbox.write(
        "countersign.toml",
        spec.replace(entry, "repository = \"oci:many\"\ntags = [\"v*\"]"),
    );
    sandbox.run_with_password(&["apply", "--yes"]).expect(0);
    sandbox.edit("\"production\"", "\"staging\"");
    let before = sandbox.read("many/index.json");
    let refused = sandbox.run_with_password(&["apply", "--yes"]).expect(4);
    insta::assert_snapshot!(refused.stderr, @r"
    error[guard::resign]: the plan makes 13 signatures anew, 13 of them by release on 13 subjects that carry its signatures: more than 30 %
      help: nothing was written; if all of it is meant, add --allow-resign 13
    ");
    assert_eq!(sandbox.read("many/index.json"), before);
    sandbox.run_with_password(&["apply", "--yes", "--allow-resign", "5"]).expect(4);
    sandbox.run_with_password(&["apply", "--yes", "--allow-resign", "13"]).expect(0);
}

#[test]
fn events_and_report_are_for_programs() {
    let sandbox = Sandbox::new();
    let arguments = ["apply", "--yes", "--events", "-", "--report", "report.json"];
    let ended = sandbox.run_with_password(&arguments).expect(0);
    let lines: Vec<Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events = sandbox.run(&["schema", "events"]).expect(0).json();
    let events = jsonschema::validator_for(&events).unwrap();
    for line in &lines {
        assert!(events.is_valid(line), "{line}");
    }
    let kinds: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("started", "finished"));
    assert_eq!(kinds.iter().filter(|kind| **kind == "target_finished").count(), 4);
    assert!(ended.stderr.contains("4 written"), "pages for people go to stderr: {ended}");
    let report = sandbox.json("report.json");
    let schema = sandbox.run(&["schema", "report"]).expect(0).json();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&report), "{report}");
    assert_eq!(report["totals"]["written"], 4);
    assert_eq!(report["requests"]["put"], 0, "no registry was asked");
    sandbox.run(&["apply", "--yes", "--events", "-", "--report", "-"]).expect(64);
}

#[test]
fn a_report_that_cannot_be_written_is_found_before_anything_is_signed() {
    let sandbox = Sandbox::new();
    for flag in ["--report", "--events"] {
        let ended = sandbox.run_with_password(&["apply", "--yes", flag, "missing/file"]).expect(1);
        assert!(ended.stderr.contains("error[cli::file]: cannot write missing/file"), "{ended}");
    }
    sandbox.run(&["plan", "--detailed-exitcode"]).expect(2);
}

#[test]
fn what_changes_is_signed_anew_and_the_old_one_goes() {
    let sandbox = Sandbox::new();
    sandbox.run_with_password(&["apply", "--yes"]).expect(0);
    sandbox.edit("\"production\"", "\"staging\"");
    let plan = sandbox.run(&["plan", "--target", "*:api"]);
    insta::assert_snapshot!(plan, @r"
    exit 0
    --- stdout
    oci:images
      api  sha256:############  countersign.toml:14
        ~ release  simple-signing  sign again as registry.example.com/api with env=staging
            annotations  env=production → env=staging
        ? release  simple-signing  kept: superseded, payload sha256:############

    Signer release: key sha256:############
    Plan: 0 to sign, 1 to resign, 0 to attach, 0 to clean, 0 kept, 1 foreign, 0 blocked
    Publishes: nothing (no log entry, no certificate)
    Fingerprint: sha256:############
    Next: countersign apply, or exactly this plan:
      countersign apply --expect sha256:############
    ");
    sandbox.run_with_password(&["apply", "--yes"]).expect(0);
    let plan = sandbox.run(&["plan", "--format", "json"]).expect(0).json();
    assert_eq!(plan["summary"]["keep"], 4);
    assert_eq!(plan["summary"]["foreign"], 0, "the old ones are gone");
}
