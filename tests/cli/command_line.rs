//! The command line itself, and the pages that need no spec.

use std::fs;
use std::path::Path;

use super::sandbox::Sandbox;

const COMMANDS: [&str; 10] = [
    "plan",
    "apply",
    "verify",
    "validate",
    "explain",
    "init",
    "demo",
    "schema",
    "completions",
    "man",
];

#[test]
fn a_wrong_command_line_is_64_and_help_is_0() {
    let sandbox = Sandbox::new();
    for wrong in [
        &[][..],
        &["bogus"],
        &["plan", "--bogus"],
        &["plan", "--jobs", "0"],
        &["plan", "--shard", "3/3"],
        &["plan", "--var", "A"],
        &["plan", "--allow-env", "A B"],
        &["plan", "--quiet", "--verbose"],
        &["explain"],
    ] {
        let ended = sandbox.run(wrong).expect(64);
        assert_eq!(ended.stdout, "", "{wrong:?}");
    }
    for right in [&["--help"][..], &["--version"], &["apply", "-h"]] {
        let ended = sandbox.run(right).expect(0);
        assert_eq!(ended.stderr, "", "{right:?}");
    }
}

#[test]
fn init_writes_a_spec_that_is_good_once_the_key_is_there() {
    let sandbox = Sandbox::new();
    fs::remove_file(sandbox.path().join("countersign.toml")).unwrap();
    sandbox.run(&["init"]).expect(0);
    let ended = sandbox.run(&["init"]);
    insta::assert_snapshot!(ended, @r"
    exit 1
    --- stderr
    error[cli::exists]: countersign.toml exists already, and is not overwritten
      help: name another file: countersign init FILE
    ");
    sandbox.run(&["validate"]).expect(65);
    sandbox.key("p256", "cosign");
    sandbox.run(&["validate"]).expect(0);
}

#[test]
fn shells_and_manuals_are_served() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = sandbox.run(&["completions", shell]).expect(0);
        assert!(ended.stdout.contains("detailed-exitcode"), "{shell}");
    }
    assert!(sandbox.run(&["man"]).expect(0).stdout.contains(".TH countersign 1"));
    sandbox.run(&["man", "--dir", "pages"]).expect(0);
    assert!(sandbox.read("pages/countersign-apply.1").contains("allow\\-clean"));
}

#[test]
fn schemas_are_schemas() {
    let sandbox = Sandbox::new();
    for of in ["spec", "plan", "report", "events", "verification", "explanation"] {
        let schema = sandbox.run(&["schema", of]).expect(0).json();
        assert!(jsonschema::validator_for(&schema).is_ok(), "{of}");
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_panic() {
    use std::process::Stdio;
    let sandbox = Sandbox::new();
    let mut child =
        sandbox.command(&["schema"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
}

/// `UPDATE=1 cargo test --test cli docs_cli` writes it.
#[test]
fn docs_cli_is_up_to_date() {
    let sandbox = Sandbox::new();
    let mut page = String::from(
        "# The commands\n\n\
         What `--help` says of each, for reading and searching. This file is generated: change\n\
         `src/cli/args.rs` and run `UPDATE=1 cargo test --test cli docs_cli`.\n",
    );
    let mut add = |title: &str, arguments: &[&str]| {
        let help = sandbox.run(arguments).expect(0).stdout;
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        page.push_str(&format!("\n## {title}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()));
    };
    add("countersign", &["--help"]);
    for command in COMMANDS {
        add(&format!("countersign {command}"), &[command, "--help"]);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/cli.md is stale: UPDATE=1 cargo test --test cli docs_cli");
}
