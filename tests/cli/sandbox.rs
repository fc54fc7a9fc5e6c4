//! A folder with images and keys, and the program run in it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::support::images::{Image, write_layout};

/// The password of the keys in `tests/fixtures/keys`.
pub(crate) const PASSWORD: &str = "test";

/// A spec with one signer and images of the layout `images`.
pub(crate) const SPEC: &str = r#"
version = 1

[signers.release]
key = "release.key"
public_key = "release.pub"
transparency_log = false

[defaults]
sign_with = ["release"]
annotations = { env = "production" }
prune = "superseded"

[[images]]
reference = "oci:images:api"
container_identity = "registry.example.com/api"

[[images]]
reference = "oci:images:web"
container_identity = "registry.example.com/web"
recursive = true
"#;

/// A folder of its own, with a layout `images` (`api`, and `web` for two platforms) and a key.
pub(crate) struct Sandbox(TempDir);

impl Sandbox {
    /// With [`SPEC`].
    pub(crate) fn new() -> Self {
        Self::with(SPEC)
    }

    /// With another spec.
    pub(crate) fn with(spec: &str) -> Self {
        let sandbox = Self(tempfile::tempdir().unwrap());
        sandbox.write("countersign.toml", spec);
        let api = Image::oci("api");
        let images = ["amd64", "arm64"].map(|it| Image::for_platform("web", "linux", it));
        let web = Image::index(images.into_iter().collect());
        write_layout(&sandbox.path().join("images"), [("api", &api), ("web", &web)]);
        sandbox.key("p256", "release");
        sandbox
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path().join(path), content).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path().join(path)).unwrap()
    }

    pub(crate) fn json(&self, path: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(path)).unwrap()
    }

    /// Changes the spec.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let spec = self.read("countersign.toml");
        assert!(spec.contains(from), "{from} is not in the spec");
        self.write("countersign.toml", spec.replace(from, to));
    }

    /// Copies a key pair of the fixtures to `name.key` and `name.pub`.
    pub(crate) fn key(&self, fixture: &str, name: &str) {
        for extension in ["key", "pub"] {
            let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys");
            let from: PathBuf = fixtures.join(format!("{fixture}.{extension}"));
            fs::copy(from, self.path().join(format!("{name}.{extension}"))).unwrap();
        }
    }

    /// The program, in this folder, with nothing of the user's environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path())
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs the program without a password.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.ended(&mut self.command(arguments))
    }

    /// Runs the program with the password of the key.
    pub(crate) fn run_with_password(&self, arguments: &[&str]) -> Ended {
        self.ended(self.command(arguments).env("COSIGN_PASSWORD", PASSWORD))
    }

    /// What `command` did.
    pub(crate) fn ended(&self, command: &mut Command) -> Ended {
        let output = command.output().unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// How a run of the program ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The same, if it ended with `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// What was written to standard output, as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

/// As a snapshot shows it: digests keep their width and lose their value.
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or("signal".to_owned(), |code| code.to_string());
        writeln!(f, "exit {code}")?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                write!(f, "--- {name}\n{}", redacted(text))?;
            }
        }
        Ok(())
    }
}

/// Replaces the digits of digests, whole ones and short ones.
pub(crate) fn redacted(text: &str) -> String {
    let after = |text: &str, mark: &str| -> String {
        let mut pieces = text.split(mark);
        let first = pieces.next().unwrap_or_default().to_owned();
        pieces.fold(first, |shown, piece| {
            let digits = piece.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(piece.len());
            let (hex, rest) = piece.split_at(digits);
            let hidden = if hex.len() < 12 { hex.to_owned() } else { "#".repeat(12) };
            format!("{shown}{mark}{hidden}{rest}")
        })
    };
    after(&after(text, "sha256:"), "sha256-")
}
