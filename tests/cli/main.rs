//! The program as people and pipelines see it: whole output, exit codes, files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

#[path = "../support/mod.rs"]
mod support;

mod apply;
mod clean;
mod command_line;
mod copy;
mod demo;
mod explain;
mod keyless;
mod keys;
mod plan;
mod sandbox;
mod secrets;
#[cfg(unix)]
mod signals;
mod single;
mod validate;
mod verify;
mod verify_image;
