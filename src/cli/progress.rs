//! Progress bars on a terminal.

use std::sync::Arc;

use countersign::event::{Event, Listener};
use countersign::observe::Progress;
use indicatif::{ProgressBar, ProgressStyle};

use super::terminal::{Bars, Terminal};

/// A bar, or nothing where none is drawn.
#[derive(Clone, Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar for `what`, which appears once its length is known.
    pub(crate) fn new(what: &'static str, terminal: &Terminal) -> Self {
        if terminal.bars == Bars::Hidden {
            return Self(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template("{msg:>10} {bar:32} {pos}/{len} {per_sec} {eta}");
        // A template that cannot be read is a defect that a look at the terminal shows.
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::no_length().with_style(style.progress_chars("━╸─"));
        bar.set_message(what);
        Self(bar)
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn total(&self, targets: usize) {
        self.0.set_length(u64::try_from(targets).unwrap_or(u64::MAX));
    }

    fn advance(&self) {
        self.0.inc(1);
    }
}

impl Listener for Bar {
    fn hear(&self, event: &Event<'_>) {
        match event {
            Event::Started { targets } => self.total(*targets),
            Event::TargetFinished { .. } => self.advance(),
            Event::Finished => self.clear(),
            _ => {}
        }
    }
}

/// Several listeners as one.
pub(crate) struct All(pub(crate) Vec<Arc<dyn Listener>>);

impl Listener for All {
    fn hear(&self, event: &Event<'_>) {
        for listener in &self.0 {
            listener.hear(event);
        }
    }
}
