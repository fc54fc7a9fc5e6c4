//! The key rotation of docs/rotation.md, as it stands there: its specs are run, its plans compared.
//!
//! `UPDATE=1 cargo test --test rotation` writes the plans anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

#[path = "support/program.rs"]
mod program;
#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;

use program::{Ends, Workshop};
use support::cosign::{Cosign, Trust, VerifyOptions};
use support::docker_registry::DockerRegistry;
use support::images::{Image, Publisher, digest};
use support::tools::{self, Tool};

/// As long as `127.0.0.1:32768`, so that lines break at the same places.
const HOST: &str = "reg.example.com";

struct Document {
    text: String,
    registry: String,
}

impl Document {
    fn path() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rotation.md")
    }

    /// Where the content of the block behind `<!-- NAME -->` begins and ends.
    fn block(&self, name: &str) -> (usize, usize) {
        let mark = format!("<!-- {name} -->\n```");
        let mark = self.text.find(&mark).unwrap_or_else(|| panic!("no block {name}")) + mark.len();
        let begin = mark + self.text[mark..].find('\n').unwrap() + 1;
        (begin, begin + self.text[begin..].find("```\n").unwrap())
    }

    fn spec(&self, number: usize) -> String {
        let (begin, end) = self.block(&format!("spec {number}"));
        self.text[begin..end].replace(HOST, &self.registry)
    }

    fn set(&mut self, name: &str, content: &str) {
        let (begin, end) = self.block(name);
        self.text.replace_range(begin..end, content);
    }
}

/// Other digests for those that differ in every run: the same for the same, in all pages.
#[derive(Default)]
struct Disguise(Vec<String>);

impl Disguise {
    /// The page as it stands in the document.
    fn of(&mut self, page: &str, registry: &str) -> String {
        let page = page.replace(registry, HOST);
        let mut pieces = page.split("sha256:");
        let mut text = pieces.next().unwrap().to_owned();
        for piece in pieces {
            let end = piece.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(piece.len());
            let short = &piece[..end.min(12)];
            let at = self.0.iter().position(|it| it == short).unwrap_or_else(|| {
                self.0.push(short.to_owned());
                self.0.len() - 1
            });
            let other = digest(format!("rotation {at}").as_bytes());
            text.push_str(&other[.."sha256:".len() + end]);
            text.push_str(&piece[end..]);
        }
        text
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_replaced_in_three_applies() {
    if !tools::have(&[Tool::Cosign2, Tool::Cosign3, Tool::DockerRegistry]) {
        return;
    }
    let registry = DockerRegistry::start();
    let publisher = Publisher::new(&registry);
    for tag in ["1.4.1", "1.4.2"] {
        publisher.push("acme/api", &Image::oci(tag), Some(tag)).await;
    }
    let text = fs::read_to_string(Document::path()).unwrap();
    let mut document = Document { text: text.clone(), registry: registry.host() };
    let workshop = Workshop::new(&document.spec(0));
    let trust = |name: &str| Trust::Key(workshop.path().join(format!("{name}.pub")));
    workshop.key("p256", "release-2024");
    workshop.key("vector", "release-2025");
    let verified = |old: bool, new: bool| {
        for cosign in Cosign::both() {
            for tag in ["1.4.1", "1.4.2"] {
                let image = registry.reference(&format!("acme/api:{tag}"));
                let options = VerifyOptions::default();
                let by = |name| cosign.verify(&image, &trust(name), &options).is_ok();
                assert_eq!((by("release-2024"), by("release-2025")), (old, new), "{image}");
            }
        }
    };
    let mut disguise = Disguise::default();
    let mut page = |code: i32| {
        let done = workshop.run(&["plan", "--detailed-exitcode"]).ends(code);
        format!("$ countersign plan\n{}", disguise.of(&done.stdout, &registry.host()))
    };
    workshop.apply();
    verified(true, false);

    workshop.spec(&document.spec(1));
    document.set("plan 1", &page(2));
    workshop.apply();
    verified(true, true);

    document.set("plan 2", &page(0));
    registry.take_requests();
    workshop.apply();
    assert!(registry.take_requests().writes().is_empty(), "both are there");
    workshop.run(&["verify"]).success();

    workshop.spec(&document.spec(2));
    fs::remove_file(workshop.path().join("release-2024.key")).unwrap();
    document.set("plan 3", &page(2));
    // Nothing is signed, so no password is needed.
    workshop.run(&["apply", "--yes"]).success();
    verified(false, true);
    assert_eq!(workshop.plan(0).changes(), ["keep release-2025"; 2]);

    if std::env::var_os("UPDATE").is_some() {
        fs::write(Document::path(), &document.text).unwrap();
    } else {
        assert!(
            document.text == text,
            "docs/rotation.md is stale, run: UPDATE=1 cargo test --test rotation\n{}",
            document.text
        );
    }
}
