//! `docs/walkthrough.md`, run from its own code blocks on real registries, with the real cosign as judge.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use support::docker_registry::{Deletion, DockerRegistry, Options};
use support::images::{Image, write_layout};
use support::tools::{self, Tool};

/// A block of code, how it must end, and what it must print.
#[derive(Debug)]
struct Block {
    line: usize,
    code: String,
    exit: u8,
    prints: Option<String>,
}

#[test]
fn the_walkthrough_works_as_it_is_written() {
    let needed = [Tool::Cosign2, Tool::Cosign3, Tool::Crane, Tool::DockerRegistry];
    let openssl = Command::new("openssl").arg("version").output().is_ok();
    if !tools::have(&needed) || !openssl {
        return;
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/walkthrough.md");
    let blocks = blocks(&fs::read_to_string(page).unwrap());
    assert!(blocks.len() > 25, "the page was not read: {blocks:#?}");

    let open = DockerRegistry::start();
    let locked =
        DockerRegistry::with(Options { deletion: Deletion::Refused, ..Options::default() });
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    fs::create_dir_all(&work).unwrap();
    let (app, other) = (Image::oci("app"), Image::oci("other"));
    write_layout(&work.join("images"), [("app", &app), ("other", &other)]);
    let programs = programs(folder.path());
    fs::write(work.join("walkthrough.sh"), script(&blocks)).unwrap();

    let output = Command::new("bash")
        .arg("walkthrough.sh")
        .current_dir(&work)
        .env_clear()
        .env("HOME", folder.path())
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display()))
        .env("REGISTRY", open.host())
        .env("LOCKED_REGISTRY", locked.host())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for (number, block) in blocks.iter().enumerate() {
        let printed = fs::read_to_string(work.join(format!("block-{number}.out"))).unwrap();
        if let Some(expected) = &block.prints {
            assert!(
                matches(expected.trim_end(), printed.trim_end()),
                "line {} prints\n{printed}\nand not\n{expected}",
                block.line
            );
        }
    }
}

/// The blocks of the page.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((line, text)) = lines.next() {
        let Some(language) = text.strip_prefix("```").filter(|it| !it.is_empty()) else { continue };
        let inside = lines.by_ref().map(|(_, text)| text).take_while(|text| *text != "```");
        let content = inside.fold(String::new(), |all, line| all + line + "\n");
        match language.split_once(" exit=").unwrap_or((language, "0")) {
            ("sh", exit) => blocks.push(Block {
                line: line + 1,
                code: content,
                exit: exit.parse().unwrap(),
                prints: None,
            }),
            ("text", _) => blocks.last_mut().unwrap().prints = Some(content),
            other => panic!("line {}: a block of {other:?} is not run", line + 1),
        }
    }
    blocks
}

/// All blocks as one script: variables live on from block to block.
fn script(blocks: &[Block]) -> String {
    let mut script = "set -euo pipefail\n".to_owned();
    for (number, Block { line, code, exit, .. }) in blocks.iter().enumerate() {
        writeln!(script, "echo '=== line {line}' >&2").unwrap();
        if *exit == 0 {
            writeln!(script, "{{\n{code}}} > block-{number}.out").unwrap();
        } else {
            writeln!(
                script,
                "set +e\n( set -e\n{code}) > block-{number}.out; ended=$?\nset -e\n\
                 [ $ended -eq {exit} ] || {{ echo \"ended with $ended, not {exit}\" >&2; exit 1; }}"
            )
            .unwrap();
        }
    }
    script
}

/// A folder with the programs that the page names. `cosign verify` asks both versions.
fn programs(folder: &Path) -> std::path::PathBuf {
    let programs = folder.join("programs");
    fs::create_dir_all(&programs).unwrap();
    symlink(env!("CARGO_BIN_EXE_countersign"), programs.join("countersign")).unwrap();
    symlink(Tool::Crane.path(), programs.join("crane")).unwrap();
    let (second, third) = (Tool::Cosign2.path(), Tool::Cosign3.path());
    let judge = format!(
        "#!/bin/sh\nset -e\nif [ \"$1\" = verify ]; then '{}' \"$@\" > /dev/null; fi\nexec '{}' \"$@\"\n",
        second.display(),
        third.display()
    );
    fs::write(programs.join("cosign"), judge).unwrap();
    fs::set_permissions(programs.join("cosign"), fs::Permissions::from_mode(0o755)).unwrap();
    programs
}

/// Says whether `text` is `pattern`, in which `…` is any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn a_pattern_leaves_only_what_it_says_open() {
    assert!(matches("a…c", "abc") && matches("a…", "a") && matches("a…c…e", "abcde"));
    assert!(!matches("a…c", "abd") && !matches("a", "ab") && !matches("…b", "ba"));
}
