//! countersign keeps the signatures of container images as a TOML file declares them.

pub mod crypto;
pub mod keys;
pub mod model;
pub mod observe;
pub mod payload;
pub mod plan;
pub mod spec;
pub mod store;
