//! Files that are made from the code are up to date; `UPDATE=1 cargo test --test generated` writes them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use countersign::disk::Disk;
use countersign::keys::Environment;
use countersign::model::Secret;
use countersign::spec::{CODES, Code, LoadOptions, Spec, json_schema, reference_page};
use serde_json::{Value, json};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Compares a file of the repository with what it should hold, or writes it.
fn check(path: &str, expected: &str) {
    let file = Path::new(ROOT).join(path);
    if std::env::var("UPDATE").is_ok_and(|it| it == "1") {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, expected).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(found == expected, "{path} is stale: UPDATE=1 cargo test --test generated");
}

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

fn examples() -> Vec<PathBuf> {
    let (mut found, mut pending) = (Vec::new(), vec![Path::new(ROOT).join("examples")]);
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|it| it == "toml") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() >= 5, "the examples are gone");
    found
}

/// TOML as JSON, for a judge that knows nothing of us.
fn as_json(path: &Path) -> Value {
    let table: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
    serde_json::to_value(table).unwrap()
}

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&json_schema()).unwrap()
}

#[test]
fn the_schema_of_specs_is_up_to_date() {
    let schema = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
    check("schemas/spec.schema.json", &schema);
}

#[test]
fn the_reference_of_the_spec_is_up_to_date() {
    check("docs/spec.md", &reference_page());
}

#[test]
fn the_schema_is_a_schema() {
    jsonschema::draft202012::meta::validate(&json_schema()).unwrap();
}

#[test]
fn every_example_fits_the_schema() {
    let validator = validator();
    for path in examples() {
        let document = as_json(&path);
        let errors: Vec<_> = validator
            .iter_errors(&document)
            .map(|it| format!("{}: {it}", it.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}

#[test]
fn every_example_loads_without_a_warning() {
    let mut roots = 0;
    for path in examples().iter().filter(|it| it.ends_with("countersign.toml")) {
        let loaded = Spec::load(&[path], &Disk, &NoEnvironment, &LoadOptions::default());
        let spec =
            loaded.unwrap_or_else(|it| panic!("{}", serde_json::to_string_pretty(&it).unwrap()));
        assert!(
            spec.warnings.is_empty(),
            "{}",
            serde_json::to_string_pretty(&spec.warnings).unwrap()
        );
        assert!(!spec.desired.images.is_empty(), "{}", path.display());
        let readme = path.with_file_name("README.md");
        assert!(readme.is_file(), "{} is missing", readme.display());
        roots += 1;
    }
    assert!(roots >= 4, "{roots}");
}

/// The schema and the reader agree on what is wrong with a shape.
#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let validator = validator();
    let image = |extra: Value| {
        let mut image = json!({ "reference": "ghcr.io/acme/api:1" });
        image.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({ "version": 1, "images": [image] })
    };
    for good in [
        json!({ "version": 1 }),
        image(json!({ "container_identity": "a" })),
        image(json!({ "container_identity": ["a", "b"] })),
        image(json!({ "prune": "${PRUNE}", "formats": ["simple-signing"] })),
        json!({ "version": 1, "signers": { "a": { "keyless": { "github": { "ref": "x" } } } } }),
        json!({ "version": 1, "registries": { "ghcr.io": { "requests_per_second": 0.5 } } }),
    ] {
        assert!(validator.is_valid(&good), "{good}");
    }
    for wrong in [
        json!({}),
        json!({ "version": 2 }),
        json!({ "version": 1, "colour": "red" }),
        json!({ "version": 1, "images": [{ "referense": "a" }] }),
        json!({ "version": 1, "registries": { "ghcr.io": { "concurrency": 0 } } }),
        json!({ "version": 1, "registries": { "ghcr.io": { "requests_per_second": 0 } } }),
        json!({ "version": 1, "images_from": [{ "format": "lines" }] }),
        image(json!({ "prune": "never" })),
        image(json!({ "tags": "1" })),
        image(json!({ "annotations": { "a": 1 } })),
        image(json!({ "attachments": [{ "payload": "p" }] })),
        image(json!({ "digests_only": true })),
    ] {
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
}

#[test]
fn codes_are_unique_and_in_order() {
    let codes: Vec<&str> = CODES.iter().map(|(code, _)| *code).collect();
    let sorted: BTreeSet<&str> = codes.iter().copied().collect();
    assert_eq!(codes, sorted.into_iter().collect::<Vec<_>>());
    for (code, (text, meaning)) in Code::ALL.iter().zip(CODES) {
        assert_eq!((code.as_str(), code.meaning()), (*text, *meaning));
        assert!(meaning.ends_with('.') && text.starts_with("spec::"), "{text}");
    }
}
