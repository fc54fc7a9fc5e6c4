//! The real programs: found or fetched once by `scripts/fetch-tools`, run with a clean environment.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::{env, fmt, fs};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

/// A real program that the tests talk to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tool {
    Cosign2,
    Cosign3,
    Crane,
    DockerRegistry,
    /// A registry in memory with the referrers API.
    OciRegistry,
    Oras,
    /// Python with moto, Google's client and sigstore's.
    Python,
    /// Rekor v2.
    RekorTiles,
    /// Fulcio, its CT log and Rekor v1.
    Sigstore,
    Skopeo,
    /// A library of PKCS#11, with a token in software.
    SoftHsm,
    /// A timestamp authority.
    Timestamps,
}

impl Tool {
    /// Its name in `.tools/bin`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosign2 => "cosign2",
            Self::Cosign3 => "cosign3",
            Self::Crane => "crane",
            Self::DockerRegistry => "docker-registry",
            Self::OciRegistry => "ociregistry",
            Self::Oras => "oras",
            Self::Python => "python",
            Self::RekorTiles => "rekor-tiles",
            Self::Sigstore => "sigstore",
            Self::Skopeo => "skopeo",
            Self::SoftHsm => "libsofthsm2.so",
            Self::Timestamps => "timestamps",
        }
    }

    /// Where it is.
    pub fn path(self) -> PathBuf {
        self.find()
            .unwrap_or_else(|| panic!("{} is not here: run scripts/fetch-tools", self.name()))
    }

    fn find(self) -> Option<PathBuf> {
        Some(folder().join(self.name())).filter(|path| path.exists())
    }
}

/// Says whether all of `tools` are here; a test that needs more returns at once.
///
/// With `CI=true` nothing is left out: a missing program fails the test.
pub fn have(tools: &[Tool]) -> bool {
    let missing: Vec<_> =
        tools.iter().filter(|it| it.find().is_none()).map(|it| it.name()).collect();
    if missing.is_empty() {
        return true;
    }
    let missing = missing.join(", ");
    assert!(env::var("CI").as_deref() != Ok("true"), "with CI=true these must be here: {missing}");
    eprintln!("left out, because these are not here: {missing}");
    false
}

/// `.tools/bin`, filled at the first use in this process.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let status = Command::new(root.join("scripts/fetch-tools"))
            .stdin(Stdio::null())
            .status()
            .expect("scripts/fetch-tools must run: it needs bash");
        assert!(status.success(), "scripts/fetch-tools: {status}");
        root.join(".tools/bin")
    })
}

/// A home folder of its own: the programs see neither the user's configuration nor the environment of the test.
pub struct Home(TempDir);

impl Home {
    /// An empty home.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Stores credentials for `host` in Docker's configuration, which all the tools read.
    pub fn login(&self, host: &str, credentials: Credentials) {
        let folder = self.path().join(".docker");
        fs::create_dir_all(&folder).unwrap();
        let auth = STANDARD.encode(format!("{}:{}", credentials.user, credentials.password));
        let config = serde_json::json!({ "auths": { host: { "auth": auth } } });
        fs::write(folder.join("config.json"), config.to_string()).unwrap();
    }

    /// `tool` in this home, without network: what is not on this machine is refused at once.
    pub fn command(&self, tool: Tool) -> Command {
        let mut command = Command::new(tool.path());
        command
            .env_clear()
            .env("HOME", self.path())
            .env("TMPDIR", self.path())
            .env("DOCKER_CONFIG", self.path().join(".docker"))
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            // Port 9 (discard) answers nobody; Go never uses a proxy for loopback.
            .env("HTTP_PROXY", "http://127.0.0.1:9")
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .env("NO_PROXY", "127.0.0.1,localhost")
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs `tool` with `arguments` to its end.
    pub fn run<A: AsRef<OsStr>>(&self, tool: Tool, arguments: &[A]) -> Finished {
        Finished::of(self.command(tool).args(arguments))
    }
}

/// A user and a password, as a registry knows them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Credentials {
    pub user: &'static str,
    pub password: &'static str,
}

/// What a command did.
#[derive(Clone)]
pub struct Finished {
    /// The command line, to run it again by hand.
    pub command: String,
    /// Its exit code; nothing where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Runs `command` to its end.
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self {
            command: format!("{command:?}"),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Says whether the exit code is 0.
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }

    /// The same, or a panic that shows command, code and output.
    pub fn success(self) -> Self {
        assert!(self.is_success(), "must succeed: {self:?}");
        self
    }

    /// The same, or a panic that shows command, code and output.
    pub fn failure(self) -> Self {
        assert!(!self.is_success(), "must fail: {self:?}");
        self
    }
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\nexit code {:?}", self.command, self.code)?;
        write!(f, "--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr)
    }
}
