//! What is not in the file, but on the command line. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// What is not in the file.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// `--var NAME=value`; these come over those of the files.
    pub variables: BTreeMap<String, String>,
    /// `--var-file`: TOML with nothing but `NAME = "value"`; a later file comes over an earlier one.
    pub variable_files: Vec<PathBuf>,
    /// `--allow-env` and `COUNTERSIGN_ALLOW_ENV`: the environment variables that the spec may name.
    pub allow_env: Vec<AllowEnv>,
    /// `--untrusted-spec`.
    pub untrusted: Untrusted,
}

/// Whether the spec may have been written by somebody who must not run or read anything.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Untrusted {
    /// The spec is the operator's own.
    #[default]
    No,
    /// Refuses plugins, `module-path`, paths outside the spec's folder (links resolved),
    /// `skip_tls_verify`, `plain_http`, `proxy`, `[sigstore]` and interactive logins.
    Yes,
}

/// An environment variable that a spec may name: `NAME`, or `NAME@HOST` for the credentials of a registry.
///
/// A variable that is allowed for a host is good for the credentials of just that host or pattern, as it
/// is written in `[registries."…"]`, and for nothing else. A bare name is good for everything but
/// credentials.
///
/// # Example
///
/// ```
/// use countersign::spec::AllowEnv;
///
/// let allowed: AllowEnv = "GHCR_TOKEN@ghcr.io".parse().unwrap();
/// assert_eq!(allowed.host.as_deref(), Some("ghcr.io"));
/// assert!("GHCR TOKEN".parse::<AllowEnv>().is_err());
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AllowEnv {
    /// The name of the variable.
    pub name: String,
    /// The host or pattern that its value may be sent to.
    pub host: Option<String>,
}

impl AllowEnv {
    /// Reads a list with commas, as `COUNTERSIGN_ALLOW_ENV` holds it. Spaces around a name are skipped.
    ///
    /// # Errors
    ///
    /// When one of the texts names no variable.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, AllowEnvError> {
        text.split(',').map(str::trim).filter(|it| !it.is_empty()).map(str::parse).collect()
    }
}

impl FromStr for AllowEnv {
    type Err = AllowEnvError;

    fn from_str(text: &str) -> Result<Self, AllowEnvError> {
        let (name, host) = match text.split_once('@') {
            Some((name, host)) => (name, Some(host)),
            None => (text, None),
        };
        let wrong = |text: &str| text.is_empty() || text.contains(char::is_whitespace);
        if wrong(name) || name.contains('=') || host.is_some_and(wrong) {
            return Err(AllowEnvError { text: text.to_owned() });
        }
        Ok(Self { name: name.to_owned(), host: host.map(str::to_owned) })
    }
}

impl fmt::Display for AllowEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.host.as_ref().map_or(Ok(()), |host| write!(f, "@{host}"))
    }
}

/// A text that allows no environment variable.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{text}` allows no environment variable: write NAME, or NAME@HOST for the credentials of a registry"
)]
pub struct AllowEnvError {
    /// What was written.
    pub text: String,
}
