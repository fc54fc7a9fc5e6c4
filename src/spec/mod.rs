//! The TOML file: from text to meaning, with every problem at its place. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::keys::KeyringEntry;
use crate::plan::Desired;

pub use crate::store::RegistryRule;

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
