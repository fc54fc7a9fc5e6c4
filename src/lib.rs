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
pub mod spec;
pub mod store;
