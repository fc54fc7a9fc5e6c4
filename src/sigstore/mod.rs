//! The conversation with sigstore's services: who signs, and who witnesses it.

mod error;
pub mod identity;

pub use error::ServiceError;
