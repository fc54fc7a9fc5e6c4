//! The TOML file: from text to meaning, with every problem at its place. Pure.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use crate::keys::KeyringEntry;
use crate::model::{Glob, Secret};
use crate::plan::Desired;

/// A spec that has been read and found right: nothing in it needs checking any more.
#[derive(Debug)]
pub struct Spec {
    /// Which images must carry which signatures.
    pub desired: Desired,
    /// What the signers sign and verify with, in the order of their names.
    pub keyring: Vec<KeyringEntry>,
    /// How to talk to registries: for each host the rule with the longest pattern that matches.
    pub registries: Vec<RegistryRule>,
}

/// How to talk to the registries whose host matches.
#[derive(Clone, Debug)]
pub struct RegistryRule {
    /// The hosts: a name with its port, or a pattern.
    pub host: Glob,
    /// At most so many requests a second.
    pub requests_per_second: Option<f64>,
    /// At most so many writes a second.
    pub writes_per_second: Option<f64>,
    /// At most so many requests at once.
    pub concurrency: Option<NonZeroU32>,
    /// The authorities to trust besides the machine's.
    pub ca_file: Option<PathBuf>,
    /// The client certificate and its key, for mTLS.
    pub client_identity: Option<(PathBuf, PathBuf)>,
    /// HTTP instead of HTTPS.
    pub plain_http: bool,
    /// Do not check the registry's certificate.
    pub skip_tls_verify: bool,
    /// The proxy to use.
    pub proxy: Option<String>,
    /// The credentials, looked up already.
    pub credentials: Option<(String, Secret<String>)>,
    /// The registry refuses to overwrite tags: a second write of a signature tag is planned as blocked.
    pub immutable_tags: bool,
}

/// Reads files for a spec; the program around the library decides what may be read.
pub trait Files {
    /// The content of the file.
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>>;
    /// The files that a pattern matches, in order.
    fn glob(&self, folder: &Path, pattern: &str) -> std::io::Result<Vec<PathBuf>>;
    /// The path with every link resolved.
    fn canonical(&self, path: &Path) -> std::io::Result<PathBuf>;
}

/// What is not in the file.
#[derive(Debug, Default)]
pub struct LoadOptions {
    /// `--var NAME=value`, and the content of `--var-file`.
    pub variables: BTreeMap<String, String>,
}
