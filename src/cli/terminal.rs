//! The terminal, or what stands in its place: colors, and output whose reader may go away.

use std::io::{self, IsTerminal as _, Write};

use countersign::render::{Color, Detail, Style};

use super::args::{ColorArg, GlobalArgs};
use super::environment::Process;

/// Whether text is painted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Paint {
    /// With colors.
    Colored,
    /// Letters only.
    Plain,
}

impl Paint {
    pub(crate) fn error(self, text: &str) -> String {
        self.sgr("1;31", text)
    }

    pub(crate) fn hint(self, text: &str) -> String {
        self.sgr("36", text)
    }

    pub(crate) fn strong(self, text: &str) -> String {
        self.sgr("1", text)
    }

    /// How pages of the library look.
    pub(crate) fn style(self, detail: Detail) -> Style {
        let color = match self {
            Self::Colored => Color::Always,
            Self::Plain => Color::Never,
        };
        Style { color, detail, ..Style::default() }
    }

    fn sgr(self, code: &str, text: &str) -> String {
        match self {
            Self::Colored => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}

/// What is known of the terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    /// Colors of standard output.
    pub(crate) stdout: Paint,
    /// Colors of standard error.
    pub(crate) stderr: Paint,
    /// Whether somebody can answer a question.
    pub(crate) answers: Answers,
    /// Whether progress bars are drawn.
    pub(crate) bars: Bars,
    /// Whether what is not wrong is told on standard error.
    pub(crate) talk: Talk,
}

/// Whether somebody can answer a question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answers {
    /// Standard input is a terminal.
    Person,
    /// It is not.
    Nobody,
}

/// Whether progress bars are drawn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bars {
    Drawn,
    Hidden,
}

/// Whether what is not wrong is told on standard error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Talk {
    Normal,
    Quiet,
}

impl Terminal {
    /// Looks at the terminal and at what the command line says about it.
    pub(crate) fn new(args: &GlobalArgs, environment: &Process) -> Self {
        let dumb = environment.is_set("NO_COLOR")
            || environment.get("TERM").is_some_and(|term| term == "dumb");
        let paint = |terminal: bool| match args.color {
            ColorArg::Always => Paint::Colored,
            ColorArg::Auto if terminal && !dumb => Paint::Colored,
            ColorArg::Auto | ColorArg::Never => Paint::Plain,
        };
        let stderr_terminal = io::stderr().is_terminal();
        // Log lines would tear the bars apart.
        let drawn = stderr_terminal && !args.no_progress && !args.quiet && args.verbose == 0;
        let person = io::stdin().is_terminal();
        Self {
            stdout: paint(io::stdout().is_terminal()),
            stderr: paint(stderr_terminal),
            answers: if person { Answers::Person } else { Answers::Nobody },
            bars: if drawn { Bars::Drawn } else { Bars::Hidden },
            talk: if args.quiet { Talk::Quiet } else { Talk::Normal },
        }
    }

    /// Says what somebody must do, however quiet it is to be.
    #[expect(clippy::unused_self, reason = "there is one terminal, and it is this one")]
    pub(crate) fn ask(&self, text: &str) {
        // Nobody is there to be told that nobody is there.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Says something on standard error that is not wrong.
    pub(crate) fn say(&self, text: &str) {
        if self.talk == Talk::Normal {
            self.ask(text);
        }
    }
}

/// Writes all of `text` to standard output at once, so that a reader sees lines, not pieces.
///
/// A reader that went away has seen enough: that is no error, and an apply goes on without it.
pub(crate) fn print(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
