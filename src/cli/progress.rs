//! Progress bars on a terminal.

use std::sync::Arc;

use countersign::event::{Event, Listener};
use countersign::observe::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal::{Bars, Terminal};

/// A bar, or nothing where none is drawn.
///
/// It appears with the first step: before it, a key may ask for its password on the same line.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
    bars: Bars,
}

impl Bar {
    /// A bar for `what`.
    pub(crate) fn new(what: &'static str, terminal: &Terminal) -> Self {
        let style = ProgressStyle::with_template("{msg:>10} {bar:32} {pos}/{len} {per_sec} {eta}");
        // A template that cannot be read is a defect that a look at the terminal shows.
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::hidden().with_style(style.progress_chars("━╸─"));
        bar.set_message(what);
        Self { bar, bars: terminal.bars }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Bar {
    fn total(&self, targets: usize) {
        self.bar.set_length(u64::try_from(targets).unwrap_or(u64::MAX));
    }

    fn advance(&self) {
        if self.bars == Bars::Drawn && self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.inc(1);
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
