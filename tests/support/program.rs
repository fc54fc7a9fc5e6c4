//! The program itself, run as a user or a pipeline runs it: in a folder of its own, against a registry, with a spec.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::tools::Finished;

/// The password of the keys in `tests/fixtures/keys`.
pub const PASSWORD: &str = "test";

/// A folder with a spec, keys and what else a run needs.
pub struct Workshop(TempDir);

impl Workshop {
    /// A folder with this spec.
    pub fn new(spec: &str) -> Self {
        let workshop = Self(tempfile::tempdir().unwrap());
        workshop.spec(spec);
        workshop
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes another spec.
    pub fn spec(&self, spec: &str) {
        self.write("countersign.toml", spec);
    }

    /// Changes the spec.
    pub fn edit(&self, from: &str, to: &str) {
        let spec = self.read("countersign.toml");
        assert!(spec.contains(from), "{from} is not in the spec");
        self.spec(&spec.replace(from, to));
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(path);
        fs::write(&path, content).unwrap();
        path
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path().join(path)).unwrap()
    }

    pub fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.read(path)).unwrap()
    }

    /// Copies a key pair of the fixtures to `NAME.key` and `NAME.pub`; tells where the public one is.
    pub fn key(&self, fixture: &str, name: &str) -> PathBuf {
        for extension in ["key", "pub"] {
            let from = fixture_key(&format!("{fixture}.{extension}"));
            fs::copy(from, self.path().join(format!("{name}.{extension}"))).unwrap();
        }
        self.path().join(format!("{name}.pub"))
    }

    /// The program, with nothing of the user's environment and no password.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path())
            // Port 9 (discard) answers nobody: what is not on this machine is refused at once.
            .env("HTTP_PROXY", "http://127.0.0.1:9")
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs the program without a password.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        Finished::of(&mut self.command(arguments))
    }

    /// Runs the program with the password of the keys.
    pub fn run_with_password(&self, arguments: &[&str]) -> Finished {
        Finished::of(self.command(arguments).env("COSIGN_PASSWORD", PASSWORD))
    }

    /// Applies, without a question; everything must succeed.
    #[track_caller]
    pub fn apply(&self) -> Finished {
        self.run_with_password(&["apply", "--yes"]).success()
    }

    /// The plan as JSON, made without a password; it must end with `code`.
    #[track_caller]
    pub fn plan(&self, code: i32) -> Plan {
        let done = self.run(&["plan", "--format", "json"]).ends(code);
        Plan(serde_json::from_str(&done.stdout).unwrap())
    }
}

/// A file of `tests/fixtures/keys`.
pub fn fixture_key(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys").join(name)
}

/// A plan as programs see it.
#[derive(Clone, Debug)]
pub struct Plan(pub Value);

impl Plan {
    /// Every change, in order: `keep release`, `foreign foreign`, `blocked image::not_found`, `resign release hash`.
    pub fn changes(&self) -> Vec<String> {
        let images = self.0["images"].as_array().unwrap().iter();
        let mut shown: Vec<String> = images
            .flat_map(|image| image["changes"].as_array().unwrap())
            .map(|change| {
                let text = |key: &str| change[key].as_str();
                let mut line = text("action").unwrap().to_owned();
                let code = change["reason"]["code"].as_str();
                for word in [code, text("standing"), text("signer")].into_iter().flatten() {
                    write!(line, " {word}").unwrap();
                }
                for difference in change["differences"].as_array().into_iter().flatten() {
                    write!(line, " {}", difference["field"].as_str().unwrap()).unwrap();
                }
                line
            })
            .collect();
        let unresolved = self.0["unresolved"].as_array().into_iter().flatten();
        shown.extend(
            unresolved.map(|it| format!("unresolved {}", it["reason"]["code"].as_str().unwrap())),
        );
        shown
    }

    /// How many changes there are of one kind.
    pub fn count(&self, kind: &str) -> u64 {
        self.0["summary"][kind].as_u64().unwrap_or_else(|| panic!("no {kind} in {}", self.0))
    }
}

/// What the exit code says.
pub trait Ends {
    /// The same, if it ended with `code`; or a panic that shows command, code and output.
    #[track_caller]
    fn ends(self, code: i32) -> Self;
}

impl Ends for Finished {
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}
