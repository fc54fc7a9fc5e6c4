//! Events as JSON lines: one object a line, written as it happens.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::event::{Event, Listener};
use crate::model::Clock;
use crate::render::escape::escape_json;
use crate::render::names;
use crate::render::report_file::ReportImage;

/// One line. See `schemas/events.schema.json`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "event")]
#[non_exhaustive]
pub enum EventLine {
    /// The apply is over.
    Finished {
        /// When, as RFC 3339 in UTC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time: Option<String>,
    },
    /// The apply begins.
    Started {
        /// When, as RFC 3339 in UTC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time: Option<String>,
        /// How many subjects have something to be written.
        targets: usize,
    },
    /// The work on a subject is over.
    TargetFinished {
        /// When, as RFC 3339 in UTC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time: Option<String>,
        /// What came of it, as in a report.
        #[serde(flatten)]
        image: ReportImage,
    },
    /// The work on a subject begins.
    TargetStarted {
        /// When, as RFC 3339 in UTC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time: Option<String>,
        /// `ghcr.io/acme/api@sha256:…`
        subject: String,
        /// How the spec reached it.
        names: Vec<String>,
    },
}

impl EventLine {
    /// An event as JSON shows it.
    pub fn new(event: &Event<'_>, time: Option<String>) -> Self {
        match event {
            Event::Finished => Self::Finished { time },
            Event::Started { targets } => Self::Started { time, targets: *targets },
            Event::TargetFinished { report } => {
                Self::TargetFinished { time, image: ReportImage::new(report) }
            }
            Event::TargetStarted { target } => Self::TargetStarted {
                time,
                subject: target.subject.to_string(),
                names: names(target),
            },
        }
    }
}

/// Writes every event that it hears as a line of JSON, whole and at once.
///
/// # Example
///
/// ```
/// use countersign::event::{Event, Listener};
/// use countersign::render::events::JsonLines;
///
/// let lines = JsonLines::new(Vec::new());
/// lines.hear(&Event::Started { targets: 2 });
/// assert_eq!(lines.finish().unwrap(), b"{\"event\":\"started\",\"targets\":2}\n");
/// ```
pub struct JsonLines<W> {
    clock: Option<Arc<dyn Clock>>,
    state: Mutex<State<W>>,
}

struct State<W> {
    out: W,
    failed: Option<io::Error>,
}

impl<W: Write> JsonLines<W> {
    /// Writes to `out`; lines carry no time.
    pub fn new(out: W) -> Self {
        Self { clock: None, state: Mutex::new(State { out, failed: None }) }
    }

    /// The same with the time of `clock` on every line.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Takes the first error that came up; no event after it was written.
    pub fn take_error(&self) -> Option<io::Error> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failed.take()
    }

    /// Ends, and gives back what was written to.
    ///
    /// # Errors
    ///
    /// The first error that came up while writing.
    pub fn finish(self) -> io::Result<W> {
        let State { mut out, failed } =
            self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        match failed {
            Some(error) => Err(error),
            None => out.flush().map(|()| out),
        }
    }
}

impl<W: Write + Send> Listener for JsonLines<W> {
    fn hear(&self, event: &Event<'_>) {
        let time = self.clock.as_ref().map(|clock| clock.now().to_string());
        let line = serde_json::to_string(&EventLine::new(event, time));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failed.is_some() {
            return;
        }
        let written = line.map_err(io::Error::from).and_then(|line| {
            let line = format!("{}\n", escape_json(&line));
            state.out.write_all(line.as_bytes())?;
            state.out.flush()
        });
        state.failed = written.err();
    }
}

impl<W> fmt::Debug for JsonLines<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLines").finish_non_exhaustive()
    }
}
