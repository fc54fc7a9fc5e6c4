//! What a user sees when a spec is wrong: whole texts, as they stand on a terminal.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use countersign::keys::Environment;
use countersign::model::Secret;
use countersign::spec::{LoadOptions, MemoryFiles, Problems, Spec, Untrusted};
use miette::{GraphicalReportHandler, GraphicalTheme};

#[derive(Debug)]
struct NoEnvironment;

impl Environment for NoEnvironment {
    fn variable(&self, _: &str) -> Option<Secret<String>> {
        None
    }

    fn prompt_password(&self, _: &str) -> Option<Secret<String>> {
        None
    }
}

fn problems(files: &MemoryFiles, options: &LoadOptions) -> Problems {
    Spec::load(&["spec/countersign.toml"], files, &NoEnvironment, options).unwrap_err()
}

fn rendered(files: &MemoryFiles, options: &LoadOptions) -> String {
    let handler =
        GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(100);
    let mut text = String::new();
    for problem in &problems(files, options) {
        handler.render_report(&mut text, problem).unwrap();
    }
    // The lines of a snippet may end in spaces, which editors take away.
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[test]
fn every_problem_of_two_files_in_one_run_in_file_order() {
    let files = MemoryFiles::from([
        (
            "spec/countersign.toml",
            r#"version = 1
include = ["teams/web.toml"]

[signers.release]
key = "release.key"
pasword_env = "RELEASE_PASSWORD"
transparency_log = false

[defaults]
sign_with = ["relaese"]
recursive = "yes"

[[images]]
repository = "ghcr.io/acme/api"
tags = ["1.4.2", "v 2"]
digests = []
"#,
        ),
        (
            "spec/teams/web.toml",
            r#"version = 1

[[images]]
reference = "ghcr.io/acme/web:3.0.1@sha256:abc"
prune = "superseeded"

[[images]]
reference = "oci:./images:app"
"#,
        ),
    ]);
    insta::assert_snapshot!(rendered(&files, &LoadOptions::default()), @r###"
    spec::unreadable

      × the file cannot be read: there is no such file
       ╭─[spec/countersign.toml:5:7]
     4 │ [signers.release]
     5 │ key = "release.key"
       ·       ──────┬──────
       ·             ╰── there is no such file
     6 │ pasword_env = "RELEASE_PASSWORD"
       ╰────
      help: paths are relative to the file that names them
    spec::unknown_key

      × a signer has no key `pasword_env`
       ╭─[spec/countersign.toml:6:1]
     5 │ key = "release.key"
     6 │ pasword_env = "RELEASE_PASSWORD"
       · ─────┬─────
       ·      ╰── unknown key
     7 │ transparency_log = false
       ╰────
      help: did you mean `password_env`?
    spec::unknown_signer

      × there is no signer `relaese`
        ╭─[spec/countersign.toml:10:14]
      9 │ [defaults]
     10 │ sign_with = ["relaese"]
        ·              ────┬────
        ·                  ╰── unknown signer
     11 │ recursive = "yes"
        ╰────
      help: did you mean `release`?
    spec::wrong_type

      × `recursive` takes true or false
        ╭─[spec/countersign.toml:11:13]
     10 │ sign_with = ["relaese"]
     11 │ recursive = "yes"
        ·             ──┬──
        ·               ╰── this is a string
     12 │
        ╰────
      help: write, for example: recursive = true
    spec::tag

      × `v 2` is no tag: a tag is at most 128 letters, digits, `_`, `.` and `-`, not beginning with
      │ `.` or `-`
        ╭─[spec/countersign.toml:15:18]
     14 │ repository = "ghcr.io/acme/api"
     15 │ tags = ["1.4.2", "v 2"]
        ·                  ──┬──
        ·                    ╰── no tag
     16 │ digests = []
        ╰────
      help: write a tag, or a pattern with `*`, `?` or `[…]`
    spec::conflict

      × `tags` and `digests` exclude each other
        ╭─[spec/countersign.toml:16:1]
     14 │ repository = "ghcr.io/acme/api"
     15 │ tags = ["1.4.2", "v 2"]
        · ──┬─
        ·   ╰── by tag
     16 │ digests = []
        · ───┬───
        ·    ╰── by digest
        ╰────
      help: make two images of them
    spec::empty

      × `digests` names nothing
        ╭─[spec/countersign.toml:16:11]
     15 │ tags = ["1.4.2", "v 2"]
     16 │ digests = []
        ·           ─┬
        ·            ╰── an empty list
        ╰────
      help: name something, or take `digests` out
    spec::reference

      × `ghcr.io/acme/web:3.0.1@sha256:abc` is no reference: after `@` comes a digest: `sha256:` and
      │ 64 lower-case hexadecimal digits
       ╭─[spec/teams/web.toml:4:13]
     3 │ [[images]]
     4 │ reference = "ghcr.io/acme/web:3.0.1@sha256:abc"
       ·             ─────────────────┬─────────────────
       ·                              ╰── no reference
     5 │ prune = "superseeded"
       ╰────
      help: write REPOSITORY:TAG, REPOSITORY@DIGEST or REPOSITORY:TAG@DIGEST
    spec::unknown_value

      × `prune` takes no `superseeded`
       ╭─[spec/teams/web.toml:5:9]
     4 │ reference = "ghcr.io/acme/web:3.0.1@sha256:abc"
     5 │ prune = "superseeded"
       ·         ──────┬──────
       ·               ╰── unknown value
     6 │
       ╰────
      help: did you mean `superseded`?
    spec::layout_identity

      × an image in a layout has no name that its payload could give
       ╭─[spec/teams/web.toml:7:1]
     6 │
     7 │ [[images]]
       · ─────┬────
       ·      ╰── `container_identity` is missing
     8 │ reference = "oci:./images:app"
       ╰────
      help: add the name that verifiers will see: container_identity = "registry.example.com/app"
    "###);
}

#[test]
fn a_second_place_is_shown_beside_the_first() {
    let files = MemoryFiles::from([
        (
            "spec/countersign.toml",
            r#"version = 1

[signers.release]
key = "env://RELEASE_KEY"
transparency_log = false

[signers."release"]
public_key = "release.pub"

[[images]]
reference = "ghcr.io/acme/api:1.4.2"
sign_with = ["release"]

[[images]]
repository = "ghcr.io/acme/api"
reference = "ghcr.io/acme/api:1.4.2"
sign_with = ["release"]
"#,
        ),
        ("spec/release.key", ""),
    ]);
    insta::assert_snapshot!(rendered(&files, &LoadOptions::default()), @r###"
    spec::env_not_allowed

      × the environment variable `RELEASE_KEY` is not allowed
       ╭─[spec/countersign.toml:4:7]
     3 │ [signers.release]
     4 │ key = "env://RELEASE_KEY"
       ·       ─────────┬─────────
       ·                ╰── names an environment variable
     5 │ transparency_log = false
       ╰────
      help: if this spec may have it, add: --allow-env RELEASE_KEY
    spec::defined_twice

      × `"release"` is defined twice
       ╭─[spec/countersign.toml:7:10]
     6 │
     7 │ [signers."release"]
       ·          ────┬────
       ·              ╰── defined again
     8 │ public_key = "release.pub"
       ╰────
      help: take one of them out, or give it another name
    spec::unreadable

      × the file cannot be read: there is no such file
       ╭─[spec/countersign.toml:8:14]
     7 │ [signers."release"]
     8 │ public_key = "release.pub"
       ·              ──────┬──────
       ·                    ╰── there is no such file
     9 │
       ╰────
      help: paths are relative to the file that names them
    spec::conflict

      × `repository` and `reference` exclude each other
        ╭─[spec/countersign.toml:16:1]
     14 │ [[images]]
     15 │ repository = "ghcr.io/acme/api"
        · ─────┬────
        ·      ╰── names the repository
     16 │ reference = "ghcr.io/acme/api:1.4.2"
        · ────┬────
        ·     ╰── names the repository too
     17 │ sign_with = ["release"]
        ╰────
      help: make two images of them
    "###);
}

#[test]
fn what_is_wrong_with_identities_and_services_is_said() {
    let root = r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","tlogs":[],"certificateAuthorities":[],"ctlogs":[],"timestampAuthorities":[]}"#;
    let files = MemoryFiles::from([
        (
            "spec/countersign.toml",
            r#"version = 1

[sigstore]
trusted_root = "root.json"

[signers.release]
key = "release.key"

[signers.ci]
keyless = { issuer = "https://token.actions.githubusercontent.com", identity_regexp = "acme)|(" }

[[images]]
reference = "ghcr.io/acme/api:1.4.2"
sign_with = ["release", "ci"]
formats = ["bundle"]
"#,
        ),
        ("spec/release.key", ""),
        ("spec/root.json", root),
    ]);
    insta::assert_snapshot!(rendered(&files, &LoadOptions::default()), @r###"
    spec::no_signing_config

      × `release` needs services that `[sigstore]` does not name
       ╭─[spec/countersign.toml:6:10]
     5 │
     6 │ [signers.release]
       ·          ───┬───
       ·             ╰── asks for a log entry or a certificate
     7 │ key = "release.key"
       ╰────
      help: add `signing_config` to `[sigstore]`; or, for a key, write: transparency_log = false
    spec::regexp

      × `acme)|(` is no regular expression that is taken
        ╭─[spec/countersign.toml:10:87]
      9 │ [signers.ci]
     10 │ keyless = { issuer = "https://token.actions.githubusercontent.com", identity_regexp = "acme)|(" }
        ·                                                                                       ────┬────
        ·                                                                                           ╰── no regular expression
     11 │
        ╰────
      help: write it in RE2's syntax, as cosign takes it; it must match the whole text
    "###);
}

#[test]
fn a_file_that_is_no_spec_is_not_quoted() {
    let files = MemoryFiles::from([
        (
            "spec/countersign.toml",
            "version = 1\ninclude = [\"/etc/passwd\", \"/root/credentials.toml\"]\n",
        ),
        ("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"),
        ("root/credentials.toml", "[registry]\ntoken = \"hunter2\"\n"),
    ]);
    insta::assert_snapshot!(rendered(&files, &LoadOptions::default()), @r###"
    spec::syntax

      × this is not TOML (/etc/passwd, line 1, column 32)
    spec::version

      × the file does not say `version = 1`, so it is not read as a spec (/root/credentials.toml, line
      │ 1, column 1)
      help: begin the file with: version = 1
    "###);
}

#[test]
fn an_untrusted_spec_is_told_what_is_refused() {
    let files = MemoryFiles::from([
        (
            "spec/countersign.toml",
            r#"version = 1

[registries."*"]
username_env = "GHCR_USER"
password_env = "GHCR_TOKEN"
plain_http = true

[signers.release]
key = "evil://key"
public_key = "/etc/ssl/cosign.pub"
transparency_log = false

[[images]]
reference = "ghcr.io/acme/api:1.4.2"
sign_with = ["release"]
annotations = { leak = "${env:GHCR_TOKEN}" }
"#,
        ),
        ("etc/ssl/cosign.pub", ""),
    ]);
    let options = LoadOptions {
        untrusted: Untrusted::Yes,
        allow_env: vec!["GHCR_TOKEN@ghcr.io".parse().unwrap()],
        ..LoadOptions::default()
    };
    insta::assert_snapshot!(rendered(&files, &options), @r###"
    spec::env_not_allowed

      × the environment variable `GHCR_USER` is not allowed
       ╭─[spec/countersign.toml:4:16]
     3 │ [registries."*"]
     4 │ username_env = "GHCR_USER"
       ·                ─────┬─────
       ·                     ╰── names an environment variable
     5 │ password_env = "GHCR_TOKEN"
       ╰────
      help: name one registry instead of a pattern; if every host that matches may have it, add:
            --allow-env 'GHCR_USER@*'
    spec::env_not_allowed

      × the environment variable `GHCR_TOKEN` is not allowed here
       ╭─[spec/countersign.toml:5:16]
     4 │ username_env = "GHCR_USER"
     5 │ password_env = "GHCR_TOKEN"
       ·                ──────┬─────
       ·                      ╰── names an environment variable
     6 │ plain_http = true
       ╰────
      help: name one registry instead of a pattern; if every host that matches may have it, add:
            --allow-env 'GHCR_TOKEN@*'
    spec::untrusted

      × `plain_http` is refused with `--untrusted-spec`
       ╭─[spec/countersign.toml:6:1]
     5 │ password_env = "GHCR_TOKEN"
     6 │ plain_http = true
       · ─────┬────
       ·      ╰── not from a spec that is not trusted
     7 │
       ╰────
    spec::untrusted

      × a plugin is refused with `--untrusted-spec`
        ╭─[spec/countersign.toml:9:7]
      8 │ [signers.release]
      9 │ key = "evil://key"
        ·       ──────┬─────
        ·             ╰── not from a spec that is not trusted
     10 │ public_key = "/etc/ssl/cosign.pub"
        ╰────
    spec::untrusted

      × a path outside the spec's folder is refused with `--untrusted-spec`
        ╭─[spec/countersign.toml:10:14]
      9 │ key = "evil://key"
     10 │ public_key = "/etc/ssl/cosign.pub"
        ·              ──────────┬──────────
        ·                        ╰── leads out of the folder
     11 │ transparency_log = false
        ╰────
    spec::env_not_allowed

      × the environment variable `GHCR_TOKEN` is not allowed here
        ╭─[spec/countersign.toml:16:25]
     15 │ sign_with = ["release"]
     16 │ annotations = { leak = "${env:GHCR_TOKEN}" }
        ·                         ────────┬────────
        ·                                 ╰── names an environment variable
        ╰────
      help: if this spec may have it, add: --allow-env GHCR_TOKEN
    "###);
}

#[test]
fn problems_have_a_form_for_programs() {
    let files = MemoryFiles::from([("spec/countersign.toml", "version = 1\ncolour = \"red\"\n")]);
    let json = serde_json::to_string_pretty(&problems(&files, &LoadOptions::default())).unwrap();
    insta::assert_snapshot!(json, @r###"
    [
      {
        "code": "spec::unknown_key",
        "severity": "error",
        "message": "the spec has no key `colour`",
        "label": "unknown key",
        "help": "the spec has: `version`, `include`, `variables`, `sigstore`, `registries`, `signers`, `defaults`, `images`, `images_from`",
        "file": "spec/countersign.toml",
        "line": 2,
        "column": 1
      }
    ]
    "###);
}
