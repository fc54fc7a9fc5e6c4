//! How a command ends before its work is done: a code, a message, its causes, a way out.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use countersign::exit_code::ExitCode;
use countersign::spec::Problems;

use super::terminal::Paint;

/// Why a command stopped.
#[derive(Debug)]
pub(crate) enum Failed {
    /// A signal came before anything was written.
    Interrupted(ExitCode),
    /// Something that a person can read.
    Message(Box<Message>),
    /// Everything that is wrong with the spec.
    Spec(Problems),
}

/// An error for people.
#[derive(Debug)]
pub(crate) struct Message {
    exit: ExitCode,
    code: &'static str,
    text: String,
    causes: Vec<String>,
    help: Option<String>,
}

impl Failed {
    /// An error with a stable code that ends the run with `exit`.
    pub(crate) fn new(exit: ExitCode, code: &'static str, text: impl Into<String>) -> Self {
        let (text, causes) = (text.into(), Vec::new());
        Self::Message(Box::new(Message { exit, code, text, causes, help: None }))
    }

    /// A command line that cannot be meant.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, "cli::usage", text)
    }

    /// A file that cannot be read or written.
    pub(crate) fn file(operation: &str, path: &Path, error: &io::Error) -> Self {
        let text = format!("cannot {operation} {}", path.display());
        Self::new(ExitCode::Error, "cli::file", text).because(error)
    }

    /// The same with everything that led to it.
    pub(crate) fn because(mut self, error: &dyn Error) -> Self {
        if let Self::Message(message) = &mut self {
            let mut next = Some(error);
            while let Some(cause) = next {
                message.causes.push(cause.to_string());
                next = cause.source();
            }
        }
        self
    }

    /// The same with a way out, in the imperative.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        if let Self::Message(message) = &mut self {
            message.help = Some(help.into());
        }
        self
    }

    /// How the process ends.
    pub(crate) fn exit(&self) -> ExitCode {
        match self {
            Self::Interrupted(exit) => *exit,
            Self::Message(message) => message.exit,
            Self::Spec(_) => ExitCode::Spec,
        }
    }

    /// Writes it for people.
    pub(crate) fn write(&self, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Interrupted(_) => writeln!(out, "interrupted: nothing was written"),
            Self::Message(message) => message.write(paint, out),
            Self::Spec(problems) => super::problems::write(problems, paint, out),
        }
    }
}

impl Message {
    fn write(&self, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
        let title = paint.error(&format!("error[{}]", self.code));
        writeln!(out, "{title}: {}", self.text)?;
        for cause in &self.causes {
            writeln!(out, "  caused by: {cause}")?;
        }
        match &self.help {
            Some(help) => writeln!(out, "  {}: {help}", paint.hint("help")),
            None => Ok(()),
        }
    }
}

impl From<io::Error> for Failed {
    /// A failure to write to standard output or standard error.
    fn from(error: io::Error) -> Self {
        Self::new(ExitCode::Error, "cli::output", "cannot write the output").because(&error)
    }
}

impl From<Problems> for Failed {
    fn from(problems: Problems) -> Self {
        Self::Spec(problems)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        self.write(Paint::Plain, &mut text).map_err(|_| fmt::Error)?;
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_why_and_what_to_do() {
        let error = io::Error::from(io::ErrorKind::PermissionDenied);
        let failed = Failed::file("write", Path::new("plan.json"), &error).help("choose another");
        assert_eq!(
            failed.to_string(),
            "error[cli::file]: cannot write plan.json\n  caused by: permission denied\n  help: choose another\n"
        );
        assert_eq!(failed.exit(), ExitCode::Error);
    }
}
