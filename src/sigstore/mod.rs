//! The conversation with sigstore's services: certificates, logs, timestamps.
//!
//! What a service returns is verified before it is used.

mod error;
pub mod identity;

pub use error::{Service, ServiceError, ServiceErrorKind};
