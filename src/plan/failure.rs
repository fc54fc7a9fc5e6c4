//! Why something cannot be decided or done, in words for people and a code for programs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What went wrong with one image: the reason of a blocked change, or of a change that did not succeed.
#[derive(
    Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, schemars::JsonSchema,
)]
pub struct Failure {
    /// The stable code: `registry::throttled`, `signature::owed`. See docs/errors.md.
    pub code: String,
    /// What happened, to what.
    pub message: String,
    /// How to mend it, in the imperative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Which way out there is.
    pub class: FailureClass,
}

/// The ways out of a failure; each has an exit code of its own.
#[derive(
    Clone,
    Copy,
    Debug,
    Deserialize,
    Eq,
    Hash,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
    /// Something must be mended.
    Error,
    /// The run was told to stop before this was done.
    Interrupted,
    /// Credentials are missing, wrong or not enough.
    Permission,
    /// The saved plan no longer fits what is there.
    Stale,
    /// A limit or an outage: run again.
    Temporary,
}

impl Failure {
    /// A failure that must be mended.
    pub fn error(code: &str, message: impl Into<String>) -> Self {
        Self::new(code, message, FailureClass::Error)
    }

    /// A failure of `class`.
    pub fn new(code: &str, message: impl Into<String>, class: FailureClass) -> Self {
        Self { code: code.to_owned(), message: message.into(), help: None, class }
    }

    /// The same with a way to mend it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}
