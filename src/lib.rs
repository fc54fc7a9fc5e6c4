//! countersign keeps the signatures of container images as a TOML file declares them.

pub mod apply;
pub mod crypto;
pub mod disk;
pub mod event;
pub mod exit_code;
pub mod keys;
pub mod model;
pub mod observe;
pub mod payload;
pub mod plan;
pub mod render;
pub mod report;
pub mod sigstore;
pub mod spec;
pub mod store;
pub mod transfer;
pub mod trust;
#[cfg_attr(
    not(feature = "all-providers"),
    allow(dead_code, reason = "some parts serve some providers only")
)]
mod wire;
