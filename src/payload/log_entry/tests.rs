use super::*;

use std::fs;
use std::path::Path;

use crate::payload::{annotation, timestamp_from_annotation, timestamp_to_annotation};

/// The files of cosign: see the README there.
fn files(prefix: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/evidence");
    let names = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let names = names.filter(|it| it.file_name().unwrap().to_string_lossy().starts_with(prefix));
    names.map(|it| serde_json::from_slice(&fs::read(it).unwrap()).unwrap()).collect()
}

#[test]
fn annotations_are_cosigns() {
    let files = files("simple-");
    assert!(files.len() > 5);
    for file in files {
        let text = file["annotations"][annotation::BUNDLE].as_str().unwrap();
        let entry = LogEntry::from_annotation(text).unwrap();
        assert_eq!(entry.kind.name, "hashedrekord");
        assert_eq!(entry.to_annotation().unwrap(), text);
        // A bundle of a bundle's entry goes back and forth too.
        assert_eq!(LogEntry::from_json(&entry.to_json()).unwrap(), entry);
        if let Some(text) = file["annotations"][annotation::TIMESTAMP].as_str() {
            let token = timestamp_from_annotation(text).unwrap();
            assert_eq!(timestamp_to_annotation(&token), text);
        }
    }
}

#[test]
fn entries_of_bundles_are_cosigns() {
    let files = files("bundle-");
    assert!(files.len() > 8);
    for file in files {
        let value = &file["verificationMaterial"]["tlogEntries"][0];
        let entry = LogEntry::from_json(value).unwrap();
        assert_eq!(entry.to_json().to_string(), value.to_string());
        let has_promise = value.get("inclusionPromise").is_some();
        assert_eq!(entry.to_annotation().is_some(), has_promise);
    }
}

#[test]
fn what_is_no_entry_is_told() {
    let file = &files("bundle-p256-v1")[0];
    let good = &file["verificationMaterial"]["tlogEntries"][0];
    let change = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        LogEntry::from_json(&changed).map_err(|error| error.reason)
    };
    for (name, value, reason) in [
        ("logIndex", json!("-1"), "`logIndex` is no number from 0"),
        ("logIndex", json!(1.5), "`logIndex` is no number from 0"),
        ("logIndex", json!("18446744073709551616"), "`logIndex` is no number from 0"),
        ("integratedTime", json!("9999999999999999999"), "`integratedTime` is no time"),
        ("logId", json!({}), "`logId` is no base64"),
        ("kindVersion", Value::Null, "it has no `kindVersion`"),
        ("canonicalizedBody", json!(""), "it has no `canonicalizedBody`"),
        ("inclusionProof", json!({}), "its proof has no checkpoint"),
        ("inclusionProof", json!({ "hashes": vec![""; 65] }), "its proof has more hashes"),
        ("inclusionProof", json!({ "hashes": [1] }), "a hash of its proof is no base64"),
    ] {
        let error = change(name, value.clone()).unwrap_err();
        assert!(error.starts_with(reason), "{name} {value}: {error}");
    }
    for text in ["", "{}", "[]", r#"{"Payload":{}}"#, r#"{"Payload":{"body":"","logID":"x"}}"#] {
        assert!(LogEntry::from_annotation(text).is_err(), "{text}");
    }
    // Zero is none, as protobuf has it.
    assert_eq!(change("integratedTime", json!("0")).unwrap().integrated_time, None);
    assert_eq!(change("inclusionPromise", json!({})).unwrap().promise, None);
}
