//! All services at once, as one user has them: variables, files, a token, a plugin on `PATH`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cryptoki::object::Attribute;
use tempfile::TempDir;

use super::support::aws::{self, AwsServer};
use super::support::fakes::azure::Azure;
use super::support::fakes::gcp::{Gcp, RING};
use super::support::fakes::gitlab::Gitlab;
use super::support::fakes::kubernetes::Kubernetes;
use super::support::fakes::service::Service;
use super::support::fakes::vault::Vault;
use super::support::hsm::{Hsm, Kind, P256, PIN, SECP256K1};
use super::support::tools::{self, Finished, Tool};
use super::{fixture, kubernetes, plugin};

/// The services, each with a key that is called `release`.
pub(super) struct World {
    pub(super) aws: AwsServer,
    pub(super) azure: Service<Azure>,
    pub(super) cluster: Service<Kubernetes>,
    pub(super) gcp: Service<Gcp>,
    pub(super) gitlab: Service<Gitlab>,
    pub(super) vault: Service<Vault>,
    folder: TempDir,
}

impl World {
    /// `None` in the parent of the test's own process, or where a program is missing.
    pub(super) async fn start(test: &str) -> Option<Self> {
        if !tools::have(&[Tool::Python]) {
            return None;
        }
        let hsm = Hsm::of(test)?;
        let slot = hsm.token("release");
        hsm.generate(slot, "release", 1, Kind::Curve(P256), Attribute::Sign(true));
        hsm.generate(slot, "idle", 2, Kind::Curve(P256), Attribute::Sign(false));
        hsm.generate(slot, "koblitz", 3, Kind::Curve(SECP256K1), Attribute::Sign(true));
        let (aws, azure, gcp) = (AwsServer::start(), Azure::start(), Gcp::start());
        aws::create(&aws.url(), "release", "ECC_NIST_P256").await;
        azure.state.create("release", "rsa-2048", "RSA");
        gcp.state.create("release", "ecdsa-p256", "EC_SIGN_P256_SHA256");
        let (cluster, gitlab) = (Kubernetes::start(), Gitlab::start());
        let [key, public] = ["p256.key", "p256.pub"].map(fixture);
        let data =
            [("cosign.key", key.as_str()), ("cosign.password", "test"), ("cosign.pub", &public)];
        cluster.state.put("signing/release", &data);
        gitlab.state.set("COSIGN_PRIVATE_KEY", &fixture("rsa2048.key"));
        gitlab.state.set("COSIGN_PUBLIC_KEY", &fixture("rsa2048.pub"));
        gitlab.state.set("COSIGN_PASSWORD", "test");
        let vault = Vault::start("transit");
        vault.state.create("release", "ed25519");
        let user = format!("{{token: '{}'}}", cluster.state.token);
        let (folder, _) = kubernetes::kubeconfig(&cluster, &user);
        plugin::script(folder.path(), "local", plugin::LOCAL);
        plugin::openssl(folder.path(), "ecparam -name prime256v1 -genkey -noout -out plugin.pem");
        Some(Self { aws, azure, cluster, gcp, gitlab, vault, folder })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A name for each provider, and the reference of its key.
    pub(super) fn keys(&self) -> [(&'static str, String); 8] {
        [
            ("aws", "awskms:///alias/release".into()),
            ("azure", format!("azurekms://{}/release", self.azure.address())),
            ("cluster", "k8s://signing/release".into()),
            ("gcp", format!("gcpkms://{RING}/release")),
            ("plugin", format!("local://{}", self.path().join("plugin.pem").display())),
            ("project", "gitlab://acme/signing".into()),
            ("token", "pkcs11:token=release;object=release".into()),
            ("vault", "hashivault://release".into()),
        ]
    }

    /// Everything that must not be shown.
    pub(super) fn secrets(&self) -> Vec<&str> {
        vec![
            aws::SECRET,
            &self.azure.state.token,
            &self.cluster.state.token,
            &self.gcp.state.token,
            &self.gitlab.state.token,
            PIN,
            &self.vault.state.token,
        ]
    }

    /// `program` in the folder of the user, with the variables for every service.
    pub(super) fn command(&self, program: &Path) -> Command {
        #[expect(clippy::disallowed_methods, reason = "what the parent of this process set")]
        let tokens = std::env::var("SOFTHSM2_CONF").unwrap();
        let aws = self.aws.url();
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(aws::variables(&aws))
            .env("AWS_MAX_ATTEMPTS", "2")
            .env("AZURE_POD_IDENTITY_AUTHORITY_HOST", self.azure.url())
            .env("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS", format!("{}/", self.gcp.url()))
            .env("COSIGN_PKCS11_MODULE_PATH", Tool::SoftHsm.path())
            .env("COSIGN_PKCS11_PIN", PIN)
            .env("GCE_METADATA_HOST", self.gcp.address().to_string())
            .env("GITLAB_HOST", self.gitlab.url())
            .env("GITLAB_TOKEN", &self.gitlab.state.token)
            .env("HOME", self.path())
            .env("KUBECONFIG", self.path().join("config"))
            .env("PATH", format!("{}:/usr/bin:/bin", self.path().display()))
            .env("RUNS", self.runs())
            .env("SOFTHSM2_CONF", tokens)
            .env("VAULT_ADDR", self.vault.url())
            .env("VAULT_TOKEN", &self.vault.state.token)
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end, and looks for secrets in what it says.
    #[track_caller]
    pub(super) fn run(&self, command: &mut Command) -> Finished {
        let finished = Finished::of(command);
        for secret in self.secrets() {
            let said = format!("{}{}", finished.stdout, finished.stderr);
            assert!(!said.contains(secret), "a secret is shown: {said}");
        }
        finished
    }

    /// The program.
    pub(super) fn ours(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_countersign")));
        command.args(arguments);
        command
    }

    /// Where the plugin counts its runs.
    pub(super) fn runs(&self) -> PathBuf {
        self.path().join("runs")
    }
}
