//! Key services that are not to be had as programs: real cryptography behind the documented API.
//!
//! Each is itself checked by the vendor's own client where one is to be had: see `tests/providers`.

pub mod azure;
pub mod gcp;
#[cfg(feature = "github")]
pub mod github;
pub mod gitlab;
pub mod identity;
pub mod key;
pub mod kubernetes;
pub mod service;
pub mod vault;
