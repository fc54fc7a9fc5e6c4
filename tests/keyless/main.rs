//! Signing without a key, log entries and timestamps, from end to end: the program, sigstore's real services, a real
//! registry, and others' programs as judges.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

mod faults;
mod fleet;
mod interrupted;
mod judges;
mod later;
mod page;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/mod.rs"]
mod support;
mod world;
