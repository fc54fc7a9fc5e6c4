//! What the values mean together.

use std::sync::Arc;

use crate::model::{Glob, SignerName, Tag};
use crate::payload::Format;
use crate::plan::{Ability, Prune, Selection};
use crate::spec::tests::{DIGEST, GOOD, World, table};

fn name(text: &str) -> SignerName {
    text.parse().unwrap()
}

#[test]
fn defaults_hold_unless_an_image_says_otherwise() {
    let spec = World::new(&format!(
        "{GOOD}annotations = {{ a = \"1\", b = \"1\" }}\nrecursive = true\nprune = \"superseded\"\noptional = true\n\
         [[images]]\nreference = \"h.example/a:1\"\n\
         [[images]]\nreference = \"h.example/b:1\"\nannotations = {{ b = \"2\", c = \"2\" }}\nrecursive = false\nprune = \"keep\"\noptional = false\nformats = [\"simple-signing\"]\n"
    ))
    .spec();
    let [a, b] = &spec.desired.images[..] else { panic!("two images") };
    assert_eq!(a.settings.sign_with, [name("release")]);
    assert_eq!(a.settings.formats, [Format::SimpleSigning]);
    assert!(a.settings.recursive && a.optional && !a.allow_empty);
    assert_eq!(a.settings.prune, Prune::Superseded);
    assert_eq!(a.settings.annotations.len(), 2);
    assert_eq!(a.origin.to_string(), "countersign.toml:11");
    assert!(!b.settings.recursive && !b.optional);
    assert_eq!(b.settings.prune, Prune::Keep);
    let texts: Vec<_> = b.settings.annotations.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(texts, ["a=1", "b=2", "c=2"]);
}

#[test]
fn entries_with_the_same_settings_share_them() {
    let images =
        "[[images]]\nreference = \"h.example/a:1\"\n[[images]]\nreference = \"h.example/b:1\"\n";
    let spec = World::new(&format!("{GOOD}{images}")).spec();
    assert!(Arc::ptr_eq(&spec.desired.images[0].settings, &spec.desired.images[1].settings));
}

#[test]
fn references_become_selections() {
    let spec = World::new(&format!(
        "{GOOD}[[images]]\nreference = \"h.example/a\"\n[[images]]\nreference = \"h.example/a:1@{DIGEST}\"\n\
         [[images]]\nreference = \"h.example/a@{DIGEST}\"\n\
         [[images]]\nrepository = \"h.example/b\"\ntags = [\"1\", \"v*\"]\nexclude_tags = [\"v0\", \"*-rc\"]\n\
         [[images]]\nreference = \"oci:./images:app\"\ncontainer_identity = \"h.example/app\"\n"
    ))
    .spec();
    let shown: Vec<String> = spec
        .desired
        .images
        .iter()
        .map(|image| match &image.selection {
            Selection::Digests(digests) => format!("{} {}", image.repository, digests.len()),
            Selection::Pinned { tag, .. } => format!("{} {tag}@", image.repository),
            Selection::Tags { names, globs, exclude } => {
                let names: Vec<_> = names.iter().map(Tag::as_str).collect();
                let globs: Vec<_> = globs.iter().map(Glob::as_str).collect();
                let exclude: Vec<_> = exclude.iter().map(Glob::as_str).collect();
                format!("{} {names:?} {globs:?} -{exclude:?}", image.repository)
            }
        })
        .collect();
    assert_eq!(
        shown,
        [
            r#"h.example/a ["latest"] [] -[]"#,
            "h.example/a 1@",
            "h.example/a 1",
            r#"h.example/b ["1"] ["v*"] -["v0", "*-rc"]"#,
            r#"oci:images ["app"] [] -[]"#,
        ]
    );
}

#[test]
fn signers_are_known_and_active() {
    table(&[
        (
            "requires = [\"relaese\"]\n[[images]]\nreference = \"a:1\"\nsign_with = [\"realease\", \"nobody\"]",
            &["unknown_signer 1", "unknown_signer 4", "unknown_signer 4"],
        ),
        ("[[images]]\nreference = \"a:1\"\nsign_with = []", &["empty 3"]),
        (
            "[[images]]\nreference = \"a:1\"\nsign_with = [\"release\", \"release\"]",
            &["duplicate 3"],
        ),
        (
            "[[images]]\nreference = \"a:1\"\nsign_with = [\"old\"]\nrequires = [\"old\"]\n[signers.old]\nkey = \"old.key\"\nretired = true",
            &["retired_signer 3", "retired_signer 4"],
        ),
        (
            "[[images]]\nreference = \"a:1\"\n[signers.other]\nkey = \"cosign.key\"\ntransparency_log = false",
            &["unused_signer 3"],
        ),
        (
            "[[images]]\nreference = \"a:1\"\n[signers.\"a b\"]\nkey = \"cosign.key\"",
            &["signer_name 3"],
        ),
        ("[[images]]\nreference = \"a:1\"\n[signers.x]\n", &["missing_key 3"]),
    ]);
    let unsigned = World::new("version = 1\n[[images]]\nreference = \"a:1\"\n");
    assert_eq!(unsigned.problems(), ["missing_key 2"]);
}

#[test]
fn an_unknown_signer_in_the_defaults_is_told_once() {
    table(&[(
        "requires = [\"nobody\"]\n[[images]]\nreference = \"a:1\"\n[[images]]\nreference = \"b:1\"",
        &["unknown_signer 1"],
    )]);
}

#[test]
fn keys_that_exclude_each_other_are_told() {
    let digests =
        format!("[[images]]\nrepository = \"a\"\ndigests = [\"{DIGEST}\"]\nexclude_tags = [\"1\"]");
    table(&[
        ("[[images]]\nreference = \"a:1\"\nrepository = \"a\"\ntags = [\"1\"]", &["conflict 2"]),
        (
            "[[images]]\nreference = \"a:1\"\ntags = [\"1\"]\nexclude_tags = [\"1\"]",
            &["conflict 3", "conflict 4"],
        ),
        (
            "[[images]]\nrepository = \"a\"\ntags = [\"1\"]\ndigests = [\"x\"]",
            &["conflict 4", "digest 4"],
        ),
        ("[[images]]\nrepository = \"a\"", &["missing_key 1"]),
        ("[[images]]\n", &["missing_key 1"]),
        (&digests, &["conflict 4"]),
        ("[[images]]\nreference = \"oci:x:app\"", &["layout_identity 1"]),
        (
            "[[images]]\nreference = \"oci:x:app\"\ncontainer_identity = \"a\"\nsignature_repository = \"h.example/s\"",
            &["conflict 4"],
        ),
        (
            "[signers.x]\nkey = \"cosign.key\"\ntransparency_log = false\npassword_env = \"COSIGN_PASSWORD\"\npassword_file = \"cosign.key\"\n[[images]]\nreference = \"a:1\"\nsign_with = [\"x\"]",
            &["conflict 5"],
        ),
        (
            "[signers.x]\nkey = \"old.key\"\ntransparency_log = false\ncertificate_chain = \"cosign.key\"\nretired = true\n[[images]]\nreference = \"a:1\"",
            &["conflict 4", "certificate 4"],
        ),
    ]);
}

#[test]
fn digests_only_asks_for_digests() {
    let pinned = format!(
        "digests_only = true\n[[images]]\nreference = \"a:1@{DIGEST}\"\n[[images]]\nreference = \"b@{DIGEST}\""
    );
    table(&[
        (&pinned, &[]),
        (
            "digests_only = true\n[[images]]\nreference = \"a:1\"\n[[images]]\nrepository = \"b\"\ntags = [\"1\", \"2\"]",
            &["digest_needed 3", "digest_needed 6"],
        ),
    ]);
}

#[test]
fn the_same_image_twice_is_an_error_only_with_the_same_settings() {
    table(&[
        (
            "[[images]]\nreference = \"alpine:1\"\n[[images]]\nreference = \"docker.io/library/alpine:1\"",
            &["duplicate 4"],
        ),
        (
            "[[images]]\nreference = \"a:1\"\n[[images]]\nrepository = \"a\"\ntags = [\"1\", \"2\"]",
            &["duplicate 5"],
        ),
        ("[[images]]\nrepository = \"a\"\ntags = [\"1\", \"2\", \"1\"]", &["duplicate 3"]),
        (
            "[[images]]\nreference = \"a:1\"\n[[images]]\nreference = \"a:1\"\nannotations = { a = \"b\" }",
            &[],
        ),
        (
            "[[images]]\nreference = \"a:1\"\n[[images]]\nreference = \"a:1\"\ncontainer_identity = \"b\"",
            &[],
        ),
        (
            "[[images]]\nreference = \"a:1\"\n[[images]]\nreference = \"b:1\"\n[[images]]\nreference = \"a:2\"",
            &[],
        ),
    ]);
}

#[test]
fn a_bundle_that_is_none_and_a_payload_beside_it_are_both_told() {
    table(&[(
        "[[images]]\nreference = \"a:1\"\n[[images.attachments]]\nsigner = \"release\"\nbundle = \"cosign.key\"\npayload = \"x\"",
        &["bundle 5", "conflict 6"],
    )]);
}

#[test]
fn key_references_that_are_not_taken_say_what_to_use() {
    for key in [
        "https://keys.example/cosign.key",
        "http://k.example",
        "github://acme/app",
        "file://cosign.key",
        "env://",
        "env://A=B",
    ] {
        let text = format!(
            "[[images]]\nreference = \"a:1\"\n[signers.x]\nretired = true\nkey = \"{key}\""
        );
        table(&[(&text, &["key_reference 5"])]);
    }
}

#[test]
fn a_signer_with_a_key_signs() {
    let spec = World::new(&format!(
        "{GOOD}[[images]]\nreference = \"a:1\"\n[signers.a-first]\nkey = \"env://SECRET\"\ntransparency_log = false\nretired = true\nrenew_before = \"14d\"\nhash = \"sha384\"\n"
    ))
    .allow("SECRET")
    .spec();
    let names: Vec<_> = spec.keyring.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["a-first", "release"]);
    let profile = &spec.desired.signers[&name("a-first")];
    assert_eq!(profile.ability, Ability::Sign);
    assert!(profile.retired);
    assert_eq!(profile.renew_before.as_secs(), 14 * 24 * 60 * 60);
    assert_eq!(profile.hash.name(), "sha384");
}
