//! What happens during an apply, as it happens: for progress bars and JSON lines.

use std::sync::Arc;

use crate::plan::Target;
use crate::report::TargetReport;

/// Something that just happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The apply begins: so many subjects have something to be written.
    Started {
        /// How many subjects have writes.
        targets: usize,
    },
    /// The work on a subject begins.
    TargetStarted {
        /// Which.
        target: &'a Arc<Target>,
    },
    /// The work on a subject is over.
    TargetFinished {
        /// What came of it.
        report: &'a TargetReport,
    },
    /// The apply is over.
    Finished,
}

/// Hears what happens. Called from several tasks at once; it must not wait.
pub trait Listener: Send + Sync {
    /// Hears one event.
    fn hear(&self, event: &Event<'_>);
}

impl Listener for () {
    fn hear(&self, _event: &Event<'_>) {}
}
