//! What may not be in the tree: a second TLS, a second HTTP, a second library of cryptography.
//!
//! `Cargo.lock` is no judge of it: it names optional packages that no build contains. `cargo tree` says what is built.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Packages that have no place, and what stands there instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("hyper-tls", "rustls"),
    ("native-tls", "rustls"),
    ("openssl", "aws-lc-rs and rustls"),
    ("openssl-sys", "aws-lc-rs and rustls"),
    ("ring", "aws-lc-rs"),
];

/// Packages that stand there once, in this version.
const ONCE: &[(&str, &str)] = &[
    ("aws-lc-rs", "1."),
    ("h2", "0.4."),
    ("http", "1."),
    ("hyper", "1."),
    ("reqwest", "0.13."),
    ("rustls", "0.23."),
    ("tokio", "1."),
];

#[test]
fn one_tls_one_http_one_cryptography() {
    let shipped = tree("normal,build");
    let tested = tree("normal,build,dev");
    let scope = |name: &str, version: &str| {
        let is_shipped = shipped.get(name).is_some_and(|them| them.contains(version));
        if is_shipped { "in the product" } else { "by a dev-dependency only" }
    };
    let mut wrong = Vec::new();
    for (name, instead) in FORBIDDEN {
        for version in tested.get(*name).into_iter().flatten() {
            let scope = scope(name, version);
            wrong.push(format!("{name} {version} ({scope}): use {instead} instead"));
        }
    }
    for (name, wanted) in ONCE {
        for version in tested.get(*name).into_iter().flatten() {
            if !version.starts_with(wanted) {
                let scope = scope(name, version);
                wrong.push(format!(
                    "{name} {version} ({scope}): only {name} {wanted}* belongs here"
                ));
            }
        }
        if tested.get(*name).is_some_and(|versions| versions.len() > 1) {
            wrong.push(format!("{name} is there twice: `cargo tree --duplicates` shows why"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(shipped.contains_key("rustls"), "the tree was read: {shipped:?}");
}

/// Name to versions of all that this machine's default build contains, along `edges`.
fn tree(edges: &str) -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--prefix", "none", "--format", "{p}", "--edges"])
        .arg(edges)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut packages = BTreeMap::<String, BTreeSet<String>>::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        // `rustls v0.23.46 (*)`
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            let version = version.trim_start_matches('v').to_owned();
            packages.entry(name.to_owned()).or_default().insert(version);
        }
    }
    packages
}
