//! Pages for people: what a release engineer reviews before and after a run.

mod explanation;
mod lines;
mod plan;
mod report;
mod sections;
mod verification;

pub use explanation::explanation;
pub use plan::{changes, plan};
pub use report::report;
pub use verification::verification;
