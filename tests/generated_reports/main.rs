//! Everything that is shown: pages for people word for word, JSON against the schemas in `schemas/`.
//!
//! `UPDATE=1 cargo test --test generated_reports` writes the schemas anew.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod pages;
mod sample;
mod schemas;
