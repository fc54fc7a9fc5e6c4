//! Showing: plans, reports, verifications and explanations, for people and for programs.
//!
//! Nothing here prints: everything is written to what the caller gives. The same input always gives the
//! same bytes. Text that came from a registry cannot steer a terminal: see [`escape`].

mod escape;
pub mod events;
pub mod explanation_file;
pub mod human;
pub mod json;
pub mod report_file;
pub mod schema;
mod style;
pub mod verification_file;

pub use escape::escape;
pub use style::{Color, Detail, Style};

use crate::plan::Target;

/// The entries of the spec that reach `target`: `countersign.toml:12`, each once, in order.
fn places(target: &Target) -> Vec<String> {
    let mut places: Vec<String> = Vec::new();
    for name in &target.names {
        let place = name.origin.to_string();
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// Where the signatures of `target` are, where that is not beside the image.
fn elsewhere(target: &Target) -> Option<String> {
    let elsewhere = target.signatures != target.subject.repository;
    elsewhere.then(|| target.signatures.to_string())
}

/// How the spec calls `target`.
fn names(target: &Target) -> Vec<String> {
    target.names.iter().map(|name| name.text.to_string()).collect()
}
