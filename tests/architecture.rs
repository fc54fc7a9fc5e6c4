//! The architecture, as a test: who may import whom, what must stay pure, how long a file may be.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

/// Lowest first. A module may import those on lines above its own, and nothing else.
const LAYERS: &[&[&str]] = &[
    &["model"],
    &["crypto"],
    &["payload"],
    &["trust"],
    &["plan"],
    &["wire"],
    &["sigstore"],
    &["store", "keys"],
    &["spec"],
    &["report", "disk"],
    &["exit_code"],
    &["event"],
    &["observe"],
    &["apply"],
    &["transfer"],
    &["render"],
    &["cli"],
];

/// Modules with neither IO, nor async, nor a clock.
const PURE: &[&str] = &[
    "model",
    "crypto",
    "payload",
    "trust",
    "plan",
    "spec",
    "report",
    "exit_code",
    "event",
    "render",
];

const IMPURE_WORDS: &[&str] = &[
    "async ",
    "tokio::",
    "std::fs",
    "std::env",
    "TcpStream",
    "UdpSocket",
    "SystemTime::now",
    "Instant::now",
];

const MAX_LINES: usize = 400;

#[test]
fn imports_point_down() {
    let wrong: Vec<String> = sources()
        .into_iter()
        .flat_map(|(path, text)| {
            let from = module(&path);
            imports(&text)
                .into_iter()
                .filter(|to| *to != from && layer(to) >= layer(&from))
                .map(|to| format!("{}: `{from}` must not import `{to}`", path.display()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Forms that would hide an import from [`imports`].
#[test]
fn imports_are_in_plain_sight() {
    let wrong: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| {
            code(text).any(|it| it.contains("crate::{") || it.contains("super::super"))
        })
        .map(|(path, _)| {
            format!("{}: write one `use crate::<module>::…` per module", path.display())
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_modules_are_pure() {
    let wrong: Vec<String> = sources()
        .into_iter()
        .filter(|(path, _)| PURE.contains(&module(path).as_str()) && !is_test(path))
        .flat_map(|(path, text)| {
            let words = IMPURE_WORDS
                .iter()
                .filter(move |word| code(&text).any(|line| line.contains(**word)));
            words
                .map(|word| format!("{}: `{word}` in a pure module", path.display()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_short() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut found, mut pending) = (Vec::new(), vec![root.clone()]);
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|it| it == "rs")
                && path.file_name().unwrap() != "lib.rs"
            {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

fn module(path: &Path) -> String {
    let first = path.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// Tests of a pure module may read fixtures.
fn is_test(path: &Path) -> bool {
    path.file_name().is_some_and(|it| it == "tests.rs")
        || path.components().any(|it| it.as_os_str() == "tests")
}

fn layer(module: &str) -> usize {
    let found = LAYERS.iter().position(|layer| layer.contains(&module));
    found.unwrap_or_else(|| panic!("module `{module}` is in no layer: add it to LAYERS"))
}

fn imports(text: &str) -> Vec<String> {
    let after = code(text)
        .flat_map(|line| line.split("crate::").skip(1).map(str::to_owned).collect::<Vec<_>>());
    after
        .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
        .collect()
}

fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}
