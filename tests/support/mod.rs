//! What the tests stand on: real programs, real registries, small real images.
//!
//! Nothing here goes to the network, and everything that is started is stopped when its value is dropped. A test that
//! needs a program begins with `if !tools::have(&[…]) { return; }`; with `CI=true` a missing program is a failure.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test program uses its own part"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests"
)]

pub mod api_registry;
pub mod aws;
pub mod background;
pub mod certificates;
pub mod child;
pub mod cosign;

pub mod delay;
pub mod docker_registry;
pub mod fakes;
#[cfg(feature = "pkcs11")]
pub mod hsm;
pub mod images;
pub mod judge;
pub mod oci_registry;
pub mod python_server;
pub mod registries;
pub mod requests;
pub mod sigstore;
pub mod tokens;
pub mod tools;
pub mod tuf_repository;
