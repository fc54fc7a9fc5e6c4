//! A registry with images, a deployment of sigstore, and a folder with a spec that names both.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::program::{PASSWORD, Workshop};
use crate::support::docker_registry::DockerRegistry;
use crate::support::images::{Image, Publisher};
use crate::support::sigstore::{Front, Log, SERVICES, Sigstore};
use crate::support::tools::{self, Finished, Home, Tool};

/// Who signs without a key.
pub(crate) const WHO: &str = "release@example.com";

/// What all tests here need.
pub(crate) fn is_ready() -> bool {
    tools::have(&[SERVICES, &[Tool::Cosign2, Tool::Cosign3, Tool::DockerRegistry]].concat())
}

/// Who signs in a spec.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Who {
    /// [`WHO`], with certificates.
    Keyless,
    /// A key pair of cosign.
    Key,
}

/// What the signatures of a spec are, and what they need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) who: Who,
    /// `bundle` or `simple-signing`.
    pub(crate) format: &'static str,
    pub(crate) log: Option<Log>,
    /// How many timestamp authorities, 0 to 2.
    pub(crate) timestamps: usize,
}

impl Wanted {
    /// Keyless bundles, with Rekor v2 and a timestamp.
    pub(crate) const BUNDLE: Self =
        Self { who: Who::Keyless, format: "bundle", log: Some(Log::RekorV2), timestamps: 1 };
    /// Keyless simple signatures, with Rekor v1.
    pub(crate) const SIMPLE: Self = Self {
        who: Who::Keyless,
        format: "simple-signing",
        log: Some(Log::RekorV1),
        timestamps: 0,
    };
}

/// Images, each in a repository of its own, and a spec that declares all of them.
pub(crate) struct World {
    pub(crate) sigstore: Sigstore,
    /// Runs as long as somebody needs it.
    _registry: Arc<DockerRegistry>,
    pub(crate) workshop: Workshop,
    /// Every image, by its digest.
    pub(crate) images: Vec<String>,
    wanted: Wanted,
}

impl World {
    /// So many images on a registry of their own.
    pub(crate) async fn new(wanted: Wanted, images: usize) -> Self {
        Self::on(Arc::new(DockerRegistry::start()), wanted, images).await
    }

    /// The same on a registry that others use too.
    pub(crate) async fn on(registry: Arc<DockerRegistry>, wanted: Wanted, images: usize) -> Self {
        static WORLDS: AtomicUsize = AtomicUsize::new(0);
        // What one run has had recorded another finds again: each world has images of its own.
        let folder = format!("team-{}", WORLDS.fetch_add(1, Ordering::Relaxed));
        let publisher = Publisher::new(&registry);
        let mut references = Vec::new();
        for number in 0..images {
            let repository = format!("{folder}/service-{number}");
            let image = Image::oci(&repository);
            publisher.push(&repository, &image, None).await;
            references.push(registry.reference(&format!("{repository}@{}", image.digest())));
        }
        let workshop = Workshop::new("");
        workshop.key("p256", "release");
        let sigstore = Sigstore::start();
        let mut world =
            Self { sigstore, _registry: registry, workshop, images: references, wanted };
        world.declare(wanted);
        world
    }

    /// Declares the images anew.
    pub(crate) fn declare(&mut self, wanted: Wanted) {
        self.wanted = wanted;
        self.workshop.spec(&spec(&self.sigstore, wanted, &self.images));
    }

    /// Plans, without a token and without a password.
    pub(crate) fn plan(&self) -> Finished {
        self.workshop.run(&["plan", "--detailed-exitcode"])
    }

    /// Applies as [`WHO`].
    pub(crate) fn apply(&self) -> Finished {
        self.apply_as(&self.sigstore.token(WHO))
    }

    /// Applies with this token.
    pub(crate) fn apply_as(&self, token: &str) -> Finished {
        let mut command = self.workshop.command(&["apply", "--yes"]);
        command.env("SIGSTORE_ID_TOKEN", token).env("COSIGN_PASSWORD", PASSWORD);
        Finished::of(&mut command)
    }

    /// What was asked to be made since the last time: certificates, log entries, timestamps.
    pub(crate) fn made(&self) -> [usize; 3] {
        let log = self.wanted.log.unwrap_or(Log::RekorV2);
        let recorded = self.sigstore.log(log).made();
        [self.sigstore.fulcio.made(), recorded, self.sigstore.timestamps.made()]
    }

    /// Every request to every service since the last time.
    pub(crate) fn requests(&self) -> Vec<String> {
        let Sigstore { fulcio, rekor_v1, rekor_v2, timestamps, other_timestamps, .. } =
            &self.sigstore;
        let fronts: [&Front; 5] = [fulcio, rekor_v1, rekor_v2, timestamps, other_timestamps];
        fronts.into_iter().flat_map(Front::requests).collect()
    }

    /// cosign 3, told to trust the trusted root and nothing less.
    pub(crate) fn cosign_3_verifies(&self, image: &str) -> Finished {
        let mut arguments: Vec<OsString> =
            vec!["verify".into(), "--trusted-root".into(), self.sigstore.trusted_root().into()];
        arguments.extend(self.expected_of_cosign());
        if self.wanted.timestamps > 0 {
            arguments.push("--use-signed-timestamps".into());
        }
        if self.wanted.format == "simple-signing" {
            arguments.push("--new-bundle-format=false".into());
        }
        arguments.push(image.into());
        Home::new().run(Tool::Cosign3, &arguments)
    }

    /// cosign 2, told to trust files of keys, and to look at the log where there is one.
    pub(crate) fn cosign_2_verifies(&self, image: &str) -> Finished {
        let home = Home::new();
        let mut command = home.command(Tool::Cosign2);
        command.arg("verify");
        match self.wanted.log {
            Some(_) => command.args(["--rekor-url", &self.sigstore.rekor_v1.url()]),
            None => command.arg("--insecure-ignore-tlog"),
        };
        command.args(self.expected_of_cosign());
        if self.wanted.timestamps > 0 {
            let chain = self.sigstore.folder().join("timestamps.pem");
            command.arg("--timestamp-certificate-chain").arg(chain).arg("--use-signed-timestamps");
        }
        Finished::of(command.arg(image).envs(self.sigstore.environment_of_cosign2()))
    }

    fn expected_of_cosign(&self) -> Vec<OsString> {
        match self.wanted.who {
            Who::Key => vec!["--key".into(), self.public_key().into()],
            Who::Keyless => vec![
                "--certificate-identity".into(),
                WHO.into(),
                "--certificate-oidc-issuer".into(),
                self.sigstore.issuer().into(),
            ],
        }
    }

    /// The public key of the signer that has one.
    pub(crate) fn public_key(&self) -> PathBuf {
        self.workshop.path().join("release.pub")
    }
}

fn spec(sigstore: &Sigstore, wanted: Wanted, images: &[String]) -> String {
    let logs: Vec<Log> = wanted.log.into_iter().collect();
    let config = sigstore.signing_config(&logs, 0);
    let mut spec = format!(
        "version = 1\n[sigstore]\nsigning_config = {config:?}\ntrusted_root = {:?}\n",
        sigstore.trusted_root()
    );
    match wanted.who {
        Who::Key => {
            spec += "[signers.release]\nkey = \"release.key\"\npublic_key = \"release.pub\"\n";
        }
        Who::Keyless => writeln!(
            spec,
            "[signers.release]\nkeyless = {{ issuer = {:?}, identity = {WHO:?} }}",
            sigstore.issuer()
        )
        .unwrap(),
    }
    writeln!(spec, "transparency_log = {}", wanted.log.is_some()).unwrap();
    spec += &timestamp_authorities(sigstore, wanted.timestamps);
    writeln!(spec, "[defaults]\nsign_with = [\"release\"]\nformats = [{:?}]", wanted.format)
        .unwrap();
    for image in images {
        writeln!(spec, "[[images]]\nreference = {image:?}").unwrap();
    }
    spec
}

fn timestamp_authorities(sigstore: &Sigstore, count: usize) -> String {
    let all = [
        (&sigstore.timestamps, "timestamps.pem"),
        (&sigstore.other_timestamps, "other_timestamps.pem"),
    ];
    let tables: Vec<String> = all
        .into_iter()
        .take(count)
        .map(|(front, chain)| {
            let chain: &Path = &sigstore.folder().join(chain);
            format!(
                "{{ url = \"{}/api/v1/timestamp\", certificate_chain = {chain:?} }}",
                front.url()
            )
        })
        .collect();
    format!("timestamp_authorities = [{}]\n", tables.join(", "))
}
