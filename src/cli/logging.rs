//! Log lines on standard error.

use tracing_subscriber::EnvFilter;

use super::args::{GlobalArgs, LogFormat};
use super::terminal::{Paint, Terminal};

/// Sends the log lines of the library to standard error. The only global thing that the program installs.
///
/// Those of other crates stay at warnings: what they trace may hold credentials.
pub(crate) fn install(args: &GlobalArgs, terminal: &Terminal) {
    let own = match (args.quiet, args.verbose) {
        (true, _) => "error",
        (_, 0) => "warn",
        (_, 1) => "info",
        (_, 2) => "debug",
        (_, _) => "trace",
    };
    let filter = EnvFilter::new(format!("warn,countersign={own}"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(terminal.stderr == Paint::Colored);
    // A second subscriber in one process is refused, and there is none.
    let _ = match args.log_format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.compact().try_init(),
    };
}
