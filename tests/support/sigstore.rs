//! Sigstore's real services: Fulcio with its CT log, Rekor v1 and v2, a timestamp authority, issuers of tokens.
//!
//! One set of them serves all tests of a program. Each [`Sigstore`] has its own proxies in front of them, which count what
//! is asked and can be told to be down, slow or wrong, and its own files of what to use and what to trust.

mod files;
mod front;
mod issuer;
mod lies;
mod services;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

#[allow(unused_imports, reason = "each test program uses its own part")]
pub use front::{Fault, Front};
#[allow(unused_imports, reason = "each test program uses its own part")]
pub use issuer::{TokenEndpoint, claims, github_claims};
#[allow(unused_imports, reason = "each test program uses its own part")]
pub use lies::Lie;

use super::tools::Tool;
use issuer::Issuer;
use services::Services;

/// What must be here for any of it.
pub const SERVICES: &[Tool] = &[Tool::RekorTiles, Tool::Sigstore, Tool::Timestamps];

/// One generation of the transparency log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Log {
    RekorV1,
    RekorV2,
}

/// Services behind proxies of this test, and files that name them.
pub struct Sigstore {
    services: &'static Services,
    folder: TempDir,
    pub fulcio: Front,
    pub rekor_v1: Front,
    pub rekor_v2: Front,
    /// The first timestamp authority.
    pub timestamps: Front,
    /// The second one, with other keys.
    pub other_timestamps: Front,
}

impl Sigstore {
    /// Proxies and files for one test. The services are started by the first one in this process (60 ms).
    pub fn start() -> Self {
        Self::before(services::ours())
    }

    /// The same with services of other keys: what they say is not to be believed by those who trust [`Sigstore::start`].
    pub fn strangers() -> Self {
        Self::before(services::strangers())
    }

    fn before(services: &'static Services) -> Self {
        let [first, second] = &services.timestamps;
        let sigstore = Self {
            services,
            folder: tempfile::tempdir().unwrap(),
            fulcio: Front::start(&services.report.fulcio),
            rekor_v1: Front::start(&services.report.rekor_v1),
            rekor_v2: Front::start(&services.report.rekor_v2),
            timestamps: Front::start(&first.timestamp_authority),
            other_timestamps: Front::start(&second.timestamp_authority),
        };
        sigstore.write_keys();
        sigstore.write("trusted_root.json", &files::trusted_root(&sigstore).to_string());
        sigstore
    }

    /// Where its files lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Who issues tokens of people and machines, as certificates name it.
    pub fn issuer(&self) -> &str {
        self.services.people.url()
    }

    /// Who issues tokens of GitHub's workflows.
    pub fn github_issuer(&self) -> &str {
        self.services.workflows.url()
    }

    /// A token for the owner of an e-mail address, good for ten minutes.
    pub fn token(&self, email: &str) -> String {
        self.services.people.token(&claims(email))
    }

    /// A token of [`Sigstore::issuer`] with other claims; `exp` is taken as it stands there.
    pub fn token_with(&self, claims: &serde_json::Value) -> String {
        self.services.people.token(claims)
    }

    /// A token of a workflow of this repository, as GitHub issues them.
    pub fn github_token(&self, repository: &str) -> String {
        self.services.workflows.token(&github_claims(repository))
    }

    /// An endpoint of tokens as a job on GitHub Actions has, for workflows of this repository.
    pub fn github_actions(&self, repository: &str) -> TokenEndpoint {
        TokenEndpoint::start(&self.services.workflows, github_claims(repository))
    }

    /// The front of a log.
    pub fn log(&self, log: Log) -> &Front {
        match log {
            Log::RekorV1 => &self.rekor_v1,
            Log::RekorV2 => &self.rekor_v2,
        }
    }

    /// A file `signing_config.json` with these logs and so many (0 to 2) timestamp authorities; all of them are used.
    pub fn signing_config(&self, logs: &[Log], authorities: usize) -> PathBuf {
        self.write(
            &format!("signing_config-{logs:?}-{authorities}.json"),
            &files::signing_config(self, logs, authorities).to_string(),
        )
    }

    /// The file `trusted_root.json`: every service here, those of the proxies included.
    pub fn trusted_root(&self) -> PathBuf {
        self.folder().join("trusted_root.json")
    }

    /// Writes a file beside the others.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The variables that tell cosign 2 what to trust, with files of PEM.
    pub fn environment_of_cosign2(&self) -> [(&'static str, PathBuf); 4] {
        [
            ("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", "certificate_log.pub"),
            ("SIGSTORE_REKOR_PUBLIC_KEY", "rekor_v1.pub"),
            ("SIGSTORE_ROOT_FILE", "fulcio.pem"),
            ("SIGSTORE_TSA_CERTIFICATE_FILE", "timestamps.pem"),
        ]
        .map(|(variable, name)| (variable, self.folder().join(name)))
    }

    fn write_keys(&self) {
        let report = &self.services.report;
        let [first, second] = &self.services.timestamps;
        self.write("certificate_log.pub", &report.certificate_log_key);
        self.write("fulcio.pem", &report.fulcio_chain);
        self.write("rekor_v1.pub", &report.rekor_v1_key);
        self.write("rekor_v2.pub", &report.rekor_v2_key);
        self.write("timestamps.pem", &first.timestamp_authority_chain);
        self.write("other_timestamps.pem", &second.timestamp_authority_chain);
    }
}
