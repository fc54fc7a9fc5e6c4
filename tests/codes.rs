//! Every diagnostic code of the program has a section in `docs/errors.md`, and every section a code.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What follows a heading of a section.
type Section = (String, String);

#[test]
fn every_code_has_a_section_and_every_section_a_code() {
    let codes = codes();
    let sections: BTreeSet<String> = sections().into_iter().map(|(code, _)| code).collect();
    let mut wrong: Vec<String> = Vec::new();
    for (code, places) in codes.iter().filter(|(code, _)| !sections.contains(*code)) {
        let places: Vec<String> = places.iter().map(|it| it.display().to_string()).collect();
        wrong.push(format!("docs/errors.md has no section ### `{code}` ({})", places.join(", ")));
    }
    for code in sections.iter().filter(|code| !codes.contains_key(*code)) {
        wrong.push(format!("docs/errors.md explains `{code}`, which nothing in src says"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_sections_are_in_order_and_say_how_to_mend_it() {
    let sections = sections();
    let codes: Vec<&String> = sections.iter().map(|(code, _)| code).collect();
    let mut sorted = codes.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(codes, sorted, "sections must be sorted, each once");
    for (code, text) in &sections {
        let (what, mend) = text.split_once("**Mend it:**").unwrap_or((text, ""));
        assert!(what.trim().len() > 20, "`{code}` does not say what happened");
        assert!(mend.trim().len() > 10, "`{code}` does not say how to mend it");
    }
}

#[test]
fn codes_are_found_in_both_spellings() {
    let text = r#"
        Failure::error("image::not_found", "…")   // "comment::code"
        #[diagnostic(code(spec::bad_key_2), help("…"))]
        Some("not a code: a::b") "tokio::" "Std::env" format!("{area}::name")
        // "whole::comment"
    "#;
    let found: Vec<String> = codes_of(text).into_iter().collect();
    assert_eq!(found, ["image::not_found", "spec::bad_key_2"]);
}

/// The codes in the sources, with the files that say them; tests do not count.
fn codes() -> BTreeMap<String, BTreeSet<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut codes, mut pending) = (BTreeMap::<_, BTreeSet<_>>::new(), vec![root.clone()]);
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                pending.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") && name != "tests" {
                let text = fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                for code in codes_of(text) {
                    let path = path.strip_prefix(&root).unwrap().to_owned();
                    codes.entry(code).or_default().insert(path);
                }
            }
        }
    }
    assert!(codes.len() > 50, "the sources were not read");
    codes
}

/// The codes of a source: string literals, and the attributes of `miette`.
fn codes_of(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.map(|line| line.split_once(" // ").map_or(line, |(code, _)| code));
    let mut found = BTreeSet::new();
    for line in code {
        found
            .extend(line.split('"').skip(1).step_by(2).filter(|it| is_code(it)).map(str::to_owned));
        let attributes = line.split("code(").skip(1).filter_map(|rest| rest.split(')').next());
        found.extend(attributes.filter(|it| is_code(it)).map(str::to_owned));
    }
    found
}

/// `area::name`, in lower case.
fn is_code(text: &str) -> bool {
    let is_name = |part: &str| {
        part.starts_with(|it: char| it.is_ascii_lowercase())
            && part.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_')
    };
    text.split_once("::").is_some_and(|(area, name)| is_name(area) && is_name(name))
}

/// The sections of the document, in its order: the code, and the text below it.
fn sections() -> Vec<Section> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    let text = fs::read_to_string(path).unwrap();
    let mut sections: Vec<Section> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            let code = title.strip_prefix('`').and_then(|it| it.strip_suffix('`'));
            let code =
                code.unwrap_or_else(|| panic!("a section is `### \\`area::name\\``: {line}"));
            sections.push((code.to_owned(), String::new()));
            open = true;
        } else if line.starts_with('#') {
            open = false;
        } else if let (true, Some((_, text))) = (open, sections.last_mut()) {
            text.push_str(line);
            text.push('\n');
        }
    }
    sections
}
