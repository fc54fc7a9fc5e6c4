//! Which sigstore a run believes, and which services it uses: files, or the public instance through TUF.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use countersign::model::Clock;
use countersign::plan::Failure;
use countersign::sigstore::{Deployment, DeploymentSource, Opened, SigningConfig, Tuf, TufOptions};
use countersign::spec::Sigstore;
use countersign::trust::TrustedRoot;

use super::context::Context;
use super::environment::Process;

/// How long the repository of trusted roots is asked again where it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which services sign.
#[derive(Clone, Debug)]
pub(crate) enum ServicesOf {
    /// Those of the public instance.
    Public,
    /// Those of this config.
    Config(Arc<SigningConfig>),
    /// None: nothing is signed.
    Nobody,
}

/// Files that were read, and the public instance for what they leave out.
#[derive(Debug)]
struct Sources {
    trust: Option<Arc<TrustedRoot>>,
    services: ServicesOf,
    environment: Arc<Process>,
    folder: Option<PathBuf>,
    clock: Arc<dyn Clock>,
}

impl Context {
    /// The deployment of a spec: its own, else the public instance. Sends and reads nothing.
    pub(crate) fn deployment(&self, sigstore: Option<Sigstore>) -> Arc<Deployment> {
        match sigstore {
            None => self.deployment_of(None, ServicesOf::Public),
            Some(Sigstore { trusted_root: root, signing_config: config, .. }) => {
                Arc::new(Deployment::of(Opened { root, config }))
            }
        }
    }

    /// A deployment of these parts; what is `None` or public is the public instance's.
    pub(crate) fn deployment_of(
        &self,
        trust: Option<Arc<TrustedRoot>>,
        services: ServicesOf,
    ) -> Arc<Deployment> {
        let own = self.environment.get("TUF_ROOT").filter(|it| !it.is_empty()).map(PathBuf::from);
        Arc::new(Deployment::new(Arc::new(Sources {
            trust,
            services,
            environment: Arc::clone(&self.environment),
            folder: own.or_else(|| Some(self.cache_folder()?.join("tuf"))),
            clock: Arc::clone(&self.clock),
        })))
    }
}

impl Sources {
    fn tuf(&self) -> Result<Tuf, Failure> {
        let variable = |name| self.environment.get(name).filter(|it: &String| !it.is_empty());
        let read = |path: String| {
            fs::read(&path).map_err(|error| {
                let text = format!("cannot read {path}, which TUF_ROOT_JSON names: {error}");
                Failure::error("sigstore::tuf_root", text)
                    .help("name the first `root.json` of the repository, or unset TUF_ROOT_JSON")
            })
        };
        let mut options = TufOptions::default();
        options.mirror = variable("TUF_MIRROR");
        options.root = variable("TUF_ROOT_JSON").map(read).transpose()?;
        options.folder.clone_from(&self.folder);
        Ok(Tuf::new(options, Arc::clone(&self.environment) as Arc<_>, PATIENCE))
    }
}

#[async_trait]
impl DeploymentSource for Sources {
    async fn open(&self) -> Result<Opened, Failure> {
        let given = match &self.services {
            ServicesOf::Public => None,
            ServicesOf::Config(config) => Some(Some(Arc::clone(config))),
            ServicesOf::Nobody => Some(None),
        };
        if let (Some(root), Some(config)) = (&self.trust, &given) {
            return Ok(Opened { root: Arc::clone(root), config: config.clone() });
        }
        let tuf = self.tuf()?;
        let public = tuf.load(self.clock.now()).await.map_err(|error| Failure::from(&error))?;
        let config = match (given, &public.signing_config) {
            (Some(given), _) => given,
            (None, Some(json)) => {
                Some(Arc::new(SigningConfig::parse(json).map_err(|it| Failure::from(&it))?))
            }
            (None, None) => None,
        };
        let root = self.trust.as_ref().unwrap_or(&public.trusted_root);
        Ok(Opened { root: Arc::clone(root), config })
    }
}
