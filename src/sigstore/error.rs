//! What can go wrong with a service.

use std::fmt;

use crate::plan::{Failure, FailureClass};

/// A service that gave nothing, or nothing good.
///
/// The message is fit to print: it holds neither a token nor anything else that is secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ServiceError {
    /// The stable code: `oidc::expired`, `fulcio::refused`.
    pub code: &'static str,
    /// Which way out there is.
    pub class: FailureClass,
    /// What was being done, with which service, and what it said.
    pub message: String,
    /// How to mend it, in the imperative.
    pub advice: Option<String>,
}

impl ServiceError {
    /// A failure of `class`.
    pub fn new(code: &'static str, class: FailureClass, message: impl Into<String>) -> Self {
        Self { code, class, message: message.into(), advice: None }
    }

    /// The same with what to do, in the imperative.
    pub fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    /// Says whether trying again later can help.
    pub fn is_transient(&self) -> bool {
        self.class == FailureClass::Temporary
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        let failure = Self::new(error.code, error.message, error.class);
        Self { help: error.advice, ..failure }
    }
}

impl miette::Diagnostic for ServiceError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.advice.as_deref().map(|text| Box::new(text) as Box<dyn fmt::Display>)
    }
}
