//! The conversation with sigstore's services: certificates, logs, timestamps.
//!
//! What a service returns is verified before it is used.

mod choice;
mod config;
mod connection;
mod deployment;
mod error;
mod fulcio;
pub mod identity;
mod rekor;
mod timestamp;
mod tuf;
mod witnesses;

pub(crate) use choice::Choice;
pub use choice::no_config;
pub use config::{Endpoint, SigningConfig, SigningConfigError};
pub use connection::Network;
pub use deployment::{Deployment, DeploymentSource, Opened};
pub use error::{Service, ServiceError, ServiceErrorKind};
pub use fulcio::Fulcio;
pub use rekor::{Log, Recorded, RekorV1, RekorV2};
pub use timestamp::TimestampAuthority;
pub use tuf::{TrustMaterial, Tuf, TufOptions};
pub use witnesses::{Called, Evidence, Remembered, Witness, WitnessPool, Witnesses};
