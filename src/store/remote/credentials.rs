//! Whose credentials go to which host: the rule's, Docker's, podman's, a helper's, nobody's.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::store::StoreErrorKind;
use crate::store::remote::docker_config::{Credentials, DockerConfig, HelperCall};
use crate::store::remote::failure::Failure;
use crate::store::remote::helper;
use crate::store::remote::options::{ProcessEnvironment, RemoteOptions};

/// Looks credentials up, each file and helper once.
#[derive(Debug)]
pub(super) struct CredentialSource {
    files: Vec<PathBuf>,
    environment: ProcessEnvironment,
    helper_timeout: Duration,
    read: OnceCell<Result<Vec<(PathBuf, DockerConfig)>, Failure>>,
    asked: Mutex<HashMap<HelperCall, Arc<OnceCell<HelperAnswer>>>>,
}

type HelperAnswer = Result<Option<Credentials>, Failure>;

impl CredentialSource {
    pub(super) fn new(options: &RemoteOptions) -> Self {
        Self {
            files: options.credential_files.clone(),
            environment: options.helper_environment.clone(),
            helper_timeout: options.helper_timeout,
            read: OnceCell::new(),
            asked: Mutex::default(),
        }
    }

    /// The credentials for a repository.
    ///
    /// # Errors
    ///
    /// `Credentials` when a file is broken or a helper fails: neither is taken for "none".
    pub(super) async fn find(&self, host: &str, path: &str) -> Result<Credentials, Failure> {
        let configs =
            self.read.get_or_init(|| self.read_files()).await.as_ref().map_err(Clone::clone)?;
        for (file, config) in configs {
            if let Some(call) = config.helper(host, path)
                && let Some(found) = self.ask(call).await?
            {
                return Ok(found);
            }
            let found = config.credentials(host, path).map_err(|error| {
                Failure::new(StoreErrorKind::Credentials, format!("{}: {error}", file.display()))
            })?;
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Ok(Credentials::Anonymous)
    }

    /// Forgets what helpers said, because the registry did not take it: their passwords end.
    pub(super) fn forget(&self) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn ask(&self, call: HelperCall) -> HelperAnswer {
        let cell = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(asked.entry(call.clone()).or_default())
        };
        cell.get_or_init(|| helper::get(&call, &self.environment, self.helper_timeout))
            .await
            .clone()
    }

    async fn read_files(&self) -> Result<Vec<(PathBuf, DockerConfig)>, Failure> {
        let mut read = Vec::new();
        for file in &self.files {
            let wrong = |error: &dyn std::fmt::Display| {
                let detail = format!("cannot read {}: {error}", file.display());
                Failure::new(StoreErrorKind::Credentials, detail)
            };
            match tokio::fs::read(file).await {
                Ok(bytes) => {
                    let config = DockerConfig::parse(&bytes).map_err(|error| wrong(&error))?;
                    read.push((file.clone(), config));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(wrong(&error)),
            }
        }
        Ok(read)
    }
}
