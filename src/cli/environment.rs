//! The environment and the person at the terminal: the only place that reads either.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use countersign::keys::Environment;
use countersign::model::Secret;

/// Whether a password is being typed, and so not shown, right now.
static HIDDEN: AtomicBool = AtomicBool::new(false);

/// The environment as it was when the process began. Its values are never shown.
#[derive(Clone, Default)]
pub(crate) struct Process(BTreeMap<OsString, OsString>);

impl Process {
    /// Takes the environment of this process.
    pub(crate) fn take() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// A variable, where it is set and is text.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.os(name)?.into_string().ok()
    }

    /// A variable as it is.
    pub(crate) fn os(&self, name: &str) -> Option<OsString> {
        self.0.get(std::ffi::OsStr::new(name)).cloned()
    }

    /// Says whether a variable is set to something.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.os(name).is_some_and(|value| !value.is_empty())
    }

    /// All of it, for child processes.
    pub(crate) fn all(&self) -> impl Iterator<Item = (OsString, OsString)> {
        self.0.clone().into_iter()
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({} variables)", self.0.len())
    }
}

impl Environment for Process {
    fn variable(&self, name: &str) -> Option<Secret<String>> {
        self.get(name).map(Secret::new)
    }

    /// Asks on the terminal itself, whatever standard input and output are.
    fn prompt_password(&self, prompt: &str) -> Option<Secret<String>> {
        HIDDEN.store(true, Ordering::Release);
        let typed =
            rpassword::prompt_password(format!("{}: ", prompt.trim_end_matches([':', ' '])));
        HIDDEN.store(false, Ordering::Release);
        typed.ok().map(Secret::new)
    }
}

/// Lets the terminal show again what is typed, when a signal ends the process at the password prompt.
pub(crate) fn show_typing() {
    #[cfg(unix)]
    if HIDDEN.load(Ordering::Acquire)
        && let Ok(terminal) = std::fs::File::open("/dev/tty")
    {
        // Nothing better is left to be done where this fails.
        let _ = std::process::Command::new("stty").arg("echo").stdin(terminal).status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_not_shown() {
        let process = Process([("TOKEN".into(), "hunter2".into())].into());
        assert_eq!(process.get("TOKEN").as_deref(), Some("hunter2"));
        assert!(!format!("{process:?}").contains("hunter2"));
    }
}
