//! What the program around the library lends it of its surroundings.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::model::Secret;

/// Environment variables and the terminal, lent by the program around the library.
///
/// Both may block; `prompt_password` is called from a thread that may.
pub trait Environment: fmt::Debug + Send + Sync {
    /// The variable called `name`, where it is set, even if it is empty.
    fn variable(&self, name: &str) -> Option<Secret<String>>;

    /// Asks the person at the terminal; `None` where there is none. A keyring asks one question at a time.
    fn prompt_password(&self, prompt: &str) -> Option<Secret<String>>;

    /// The home folder of the user: `HOME`, on Windows `USERPROFILE`.
    fn home_folder(&self) -> Option<PathBuf> {
        let set = |name| self.variable(name).filter(|value| !value.expose().is_empty());
        set("HOME").or_else(|| set("USERPROFILE")).map(|value| PathBuf::from(value.expose()))
    }

    /// Where a pod finds the account that it runs as.
    fn service_account_folder(&self) -> PathBuf {
        PathBuf::from("/var/run/secrets/kubernetes.io/serviceaccount")
    }

    /// All variables, for the programs that a provider starts; `None`: those of this process.
    fn child_variables(&self) -> Option<Vec<(OsString, OsString)>> {
        None
    }
}
