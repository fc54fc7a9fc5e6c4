//! What did not hold, with its code.

/// A certificate or a trusted root that is not to be trusted, and why.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct TrustError {
    /// `trust::…`, with a section in `docs/errors.md`.
    pub code: &'static str,
    /// What is wrong, with what.
    pub message: String,
}

impl TrustError {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// A log entry or timestamp that was there and does not hold.
pub type EvidenceProblem = TrustError;

pub(super) mod code {
    /// A log entry, or its body, has not the form of one.
    pub(crate) const ENTRY_MALFORMED: &str = "trust::entry_malformed";
    pub(crate) const ENTRY_OF_ANOTHER: &str = "trust::entry_of_another";
    pub(crate) const ENTRY_TWICE: &str = "trust::entry_twice";
    pub(crate) const ENTRY_UNPROVEN: &str = "trust::entry_unproven";
    pub(crate) const LOG_UNKNOWN: &str = "trust::log_unknown";
    pub(crate) const LOG_NOT_VALID: &str = "trust::log_not_valid";
    pub(crate) const PROMISE_WRONG: &str = "trust::promise_wrong";
    pub(crate) const PROOF_WRONG: &str = "trust::proof_wrong";
    pub(crate) const CHECKPOINT_WRONG: &str = "trust::checkpoint_wrong";
    pub(crate) const TIME_OUTSIDE_CERTIFICATE: &str = "trust::time_outside_certificate";
    pub(crate) const TIME_IN_FUTURE: &str = "trust::time_in_future";
    pub(crate) const TOO_MUCH_EVIDENCE: &str = "trust::too_much_evidence";
    pub(crate) const TIMESTAMP_MALFORMED: &str = "trust::timestamp_malformed";
    pub(crate) const TIMESTAMP_OF_ANOTHER: &str = "trust::timestamp_of_another";
    pub(crate) const TIMESTAMP_TWICE: &str = "trust::timestamp_twice";
    pub(crate) const AUTHORITY_UNKNOWN: &str = "trust::timestamp_authority_unknown";
    pub(crate) const AUTHORITY_NOT_VALID: &str = "trust::timestamp_authority_not_valid";
    pub(crate) const TIMESTAMP_WRONG: &str = "trust::timestamp_wrong";
    pub(crate) const CERTIFICATE_UNTRUSTED: &str = "trust::certificate_untrusted";
    pub(crate) const CERTIFICATE_NOT_VALID: &str = "trust::certificate_not_valid";
    pub(crate) const CERTIFICATE_USE: &str = "trust::certificate_use";
    pub(crate) const CERTIFICATE_LOG_MISSING: &str = "trust::certificate_not_logged";
    pub(crate) const CERTIFICATE_LOG_UNKNOWN: &str = "trust::certificate_log_unknown";
    pub(crate) const CERTIFICATE_LOG_WRONG: &str = "trust::certificate_log_wrong";
    pub(crate) const NO_IDENTITY: &str = "trust::no_identity";
    pub(crate) const ROOT_MALFORMED: &str = "trust::root_malformed";
}
