//! `countersign validate`.

use super::sandbox::Sandbox;

#[test]
fn a_good_spec_is_counted() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.run(&["validate"]), @r"
    exit 0
    --- stdout
    countersign.toml: good. 2 image entries, 1 signer
    ");
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
    insta::assert_snapshot!(sandbox.run(&["validate"]), @r#"
    exit 65
    --- stderr
    spec::unknown_key

      × the spec has no key `colour`
       ╭─[countersign.toml:2:1]
     1 │ version = 1
     2 │ colour = "red"
       · ───┬──
       ·    ╰── unknown key
     3 │ 
       ╰────
      help: the spec has: `version`, `include`, `variables`, `sigstore`, `registries`, `signers`,
            `defaults`, `images`, `images_from`

    spec::unreadable

      × the file cannot be read: there is no such file
       ╭─[countersign.toml:5:7]
     4 │ [signers.release]
     5 │ key = "missing.key"
       ·       ──────┬──────
       ·             ╰── there is no such file
     6 │ 
       ╰────
      help: paths are relative to the file that names them

    spec::empty

      × `sign_with` names nobody
       ╭─[countersign.toml:8:13]
     7 │ [defaults]
     8 │ sign_with = []
       ·             ─┬
       ·              ╰── an empty list
     9 │ 
       ╰────
      help: name at least one signer; to leave an image unsigned, take it out of the spec

    spec::reference

      × `ghcr.io/Acme/api:1` is no reference: a repository is made of lower-case letters, digits, `.`,
      │ `_`, `__`, `-` and `/`
        ╭─[countersign.toml:11:13]
     10 │ [[images]]
     11 │ reference = "ghcr.io/Acme/api:1"
        ·             ──────────┬─────────
        ·                       ╰── no reference
        ╰────
      help: write REPOSITORY:TAG, REPOSITORY@DIGEST or REPOSITORY:TAG@DIGEST

    4 errors
    "#);
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
    assert_eq!(codes, ["spec::unknown_key", "spec::unreadable", "spec::empty", "spec::reference"]);
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

#[test]
fn where_no_spec_is_a_way_to_begin_is_told() {
    let sandbox = Sandbox::new();
    std::fs::remove_file(sandbox.path().join("countersign.toml")).unwrap();
    insta::assert_snapshot!(sandbox.run(&["plan"]), @r"
    exit 65
    --- stderr
    error[spec::unreadable]: there is no countersign.toml here
      help: name the spec with -f FILE, or begin one: countersign init
    ");
}
