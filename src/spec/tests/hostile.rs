//! Texts that nobody would write: an answer with a code, never a panic.

use proptest::prelude::*;

use crate::spec::tests::{DIGEST, GOOD, World, all};

/// A spec with most of the language in it.
fn whole() -> String {
    format!(
        r#"{GOOD}annotations = {{ "com.acme.é" = "${{ENV}}ü" }}
include = ["teams/*.toml"]
[variables]
ENV = "prod→"
[registries."*.example.com"]
requests_per_second = 2.5
ca_file = "cosign.key"
[signers.room]
public_key = "room.pub"
retired = true
renew_before = "14d"
[[images]]
repository = "ghcr.io/acme/api"
tags = ["1.4.2", "v2.*", "${{ENV}}"]
platforms = ["linux/arm64/v8"]
[[images]]
reference = "ghcr.io/acme/web:3.0.1@{DIGEST}"
container_identity = ["a", "b"]
[[images.attachments]]
signer = "room"
payload = "cosign.key"
signature = "cosign.key"
[[images_from]]
file = "list"
format = "buildx"
"#
    )
}

fn loads_or_tells(text: &str, list: &str) {
    let world =
        World::new(text).file("list", list).file("room.pub", list).file("teams/a.toml", list);
    if let Err(problems) = world.load() {
        assert!(problems.has_errors());
        // Rendering cuts the text at the places.
        assert!(!all(&problems).is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_spec_with_a_piece_replaced_is_answered(start in 0_usize..1400, length in 0_usize..40, piece in "\\PC{0,12}|[\\[\\]{}\"'=\n.,#$]{0,6}") {
        let mut text: Vec<char> = whole().chars().collect();
        let start = start.min(text.len());
        let end = (start + length).min(text.len());
        text.splice(start..end, piece.chars());
        loads_or_tells(&text.into_iter().collect::<String>(), "{}");
    }

    #[test]
    fn any_text_in_a_value_is_answered(value in "\\PC{0,40}", list in "\\PC{0,60}") {
        let quoted = toml::Value::String(value).to_string();
        let text = format!(
            "version = 1\ninclude = [{quoted}]\n[signers.{quoted}]\nkey = {quoted}\nrenew_before = {quoted}\npassword_env = {quoted}\n\
             [registries.{quoted}]\nproxy = {quoted}\n[[images]]\nreference = {quoted}\nsign_with = [{quoted}]\n\
             [[images]]\nrepository = {quoted}\ntags = [{quoted}]\nexclude_tags = [{quoted}]\n\
             [[images_from]]\nfile = \"list\"\nformat = \"lines\"\n"
        );
        loads_or_tells(&text, &list);
    }
}

#[test]
fn deep_nesting_is_an_error() {
    for text in [
        "[".repeat(100_000),
        format!("a = {}", "[".repeat(100_000)),
        format!("a{} = 1", ".a".repeat(100_000)),
    ] {
        loads_or_tells(&format!("version = 1\n{text}"), "");
    }
}
