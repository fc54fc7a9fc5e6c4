//! The TOML file: from text to meaning, with every problem at its place. Pure.
//!
//! ```text
//! text ── toml ──▶ tokens with places ── raw ──▶ sections of the language ── validate ──▶ Spec
//!                                         │                                    │
//!                              table, language, variables            access (files, environment)
//! ```

mod access;
mod code;
mod images_from;
mod language;
mod load;
mod memory_files;
mod options;
mod page;
mod place;
mod problem;
mod raw;
mod schema;
mod section;
mod suggest;
mod table;
mod validate;
mod variables;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use code::{CODES, Code};
pub use memory_files::MemoryFiles;
pub use options::{AllowEnv, AllowEnvError, LoadOptions, Untrusted};
pub use page::reference_page;
pub use problem::{Problem, Problems};
pub use schema::json_schema;

pub use crate::store::RegistryRule;

use crate::keys::{Environment, KeyringEntry};
use crate::plan::Desired;
use crate::sigstore::SigningConfig;
use crate::trust::TrustedRoot;

/// A spec that has been read and found right: nothing in it needs checking any more.
#[derive(Debug)]
pub struct Spec {
    /// Which images must carry which signatures.
    pub desired: Desired,
    /// What the signers sign and verify with, in the order of their names.
    pub keyring: Vec<KeyringEntry>,
    /// The private sigstore deployment; none for the public instance.
    pub sigstore: Option<Sigstore>,
    /// How to talk to registries: for each host the rule with the longest pattern that matches.
    pub registries: Vec<RegistryRule>,
    /// What is probably not meant, but no error.
    pub warnings: Problems,
}

/// The files of a private sigstore deployment, read and understood.
#[derive(Clone, Debug)]
pub struct Sigstore {
    /// The keys and certificates to trust.
    pub trusted_root: Arc<TrustedRoot>,
    /// The services that sign; none where the spec only verifies.
    pub signing_config: Option<Arc<SigningConfig>>,
}

impl Spec {
    /// Reads the files of a spec, in this order, with everything that they include and name.
    ///
    /// Reads no registry and opens no key. Costs one read for each file.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, in the order of the files and lines, warnings included.
    ///
    /// # Example
    ///
    /// ```
    /// use countersign::spec::{Code, LoadOptions, MemoryFiles, Spec};
    /// # #[derive(Debug)]
    /// # struct NoEnvironment;
    /// # impl countersign::keys::Environment for NoEnvironment {
    /// #     fn variable(&self, _: &str) -> Option<countersign::model::Secret<String>> { None }
    /// #     fn prompt_password(&self, _: &str) -> Option<countersign::model::Secret<String>> { None }
    /// # }
    ///
    /// let files = MemoryFiles::from([
    ///     ("cosign.key", ""),
    ///     (
    ///         "countersign.toml",
    ///         r#"
    ///         version = 1
    ///         [signers.release]
    ///         key = "cosign.key"
    ///         transparency_log = false
    ///         [[images]]
    ///         reference = "ghcr.io/acme/api:1.4.2"
    ///         sign_with = ["release"]
    ///         "#,
    ///     ),
    ///     ("wrong.toml", "version = 1\ncolour = 'red'"),
    /// ]);
    /// let options = LoadOptions::default();
    /// let spec = Spec::load(&["countersign.toml"], &files, &NoEnvironment, &options).unwrap();
    /// assert_eq!(spec.desired.images.len(), 1);
    ///
    /// let problems = Spec::load(&["wrong.toml"], &files, &NoEnvironment, &options).unwrap_err();
    /// assert_eq!(problems.iter().next().unwrap().code(), Code::UnknownKey);
    /// ```
    pub fn load<P: AsRef<Path>>(
        paths: &[P],
        files: &dyn Files,
        environment: &dyn Environment,
        options: &LoadOptions,
    ) -> Result<Self, Problems> {
        let paths: Vec<_> = paths.iter().map(AsRef::as_ref).collect();
        load::load(&paths, &access::Access { files, environment, options })
    }
}

/// Reads files for a spec; the program around the library decides what may be read.
pub trait Files: fmt::Debug {
    /// The content of the file, at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// `FileTooLarge` for a longer one, found out without reading it all; `IsADirectory` for a folder.
    fn read(&self, path: &Path, limit: u64) -> std::io::Result<Vec<u8>>;
    /// The files that a pattern matches, in the order of their names.
    ///
    /// `*`, `?` and `[…]` stay within one part of a path and match no leading dot; `**` is any number of
    /// folders. The paths begin with `folder` where the pattern is relative.
    fn glob(&self, folder: &Path, pattern: &str) -> std::io::Result<Vec<PathBuf>>;
    /// The path with every link resolved; an error where there is nothing.
    fn canonical(&self, path: &Path) -> std::io::Result<PathBuf>;
}
