//! How pages for people look, and the pen that writes them: colours, widths, and nothing harmful.

use std::borrow::Cow;
use std::io::{self, Write};

use crate::render::escape;

/// How a page for people looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Style {
    /// Whether marks are coloured.
    pub color: Color,
    /// Where sentences are broken, in columns; names, digests and values are never broken.
    pub width: usize,
    /// How much is shown.
    pub detail: Detail,
}

impl Default for Style {
    /// No colour, 100 columns, only what changes.
    fn default() -> Self {
        Self { color: Color::Never, width: 100, detail: Detail::Changes }
    }
}

/// Whether marks are coloured; who knows the terminal decides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Color {
    /// With ANSI sequences.
    Always,
    /// Plain text.
    Never,
}

/// How much of a plan or report is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Detail {
    /// What changes, fails or surprises; images that are as declared are only counted.
    Changes,
    /// Every image, with whole digests.
    Everything,
}

/// What a span of text looks like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Paint {
    Blue,
    Bold,
    Dim,
    Green,
    Magenta,
    Plain,
    Red,
    Yellow,
}

impl Paint {
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Blue => Some("34"),
            Self::Bold => Some("1"),
            Self::Dim => Some("2"),
            Self::Green => Some("32"),
            Self::Magenta => Some("35"),
            Self::Plain => None,
            Self::Red => Some("31"),
            Self::Yellow => Some("33"),
        }
    }
}

/// No span is longer than this, in characters: a registry cannot bury a plan under one value.
const LONGEST: usize = 1000;

/// A piece of a line: how it looks, and what it says.
pub(super) type Span<'a> = (Paint, Cow<'a, str>);

/// Writes lines. All text passes through it, so none of it can steer a terminal.
pub(super) struct Pen<'a> {
    style: &'a Style,
    out: &'a mut dyn Write,
}

impl<'a> Pen<'a> {
    pub(super) fn new(style: &'a Style, out: &'a mut dyn Write) -> Self {
        Self { style, out }
    }

    pub(super) fn detail(&self) -> Detail {
        self.style.detail
    }

    /// Writes an empty line.
    pub(super) fn blank(&mut self) -> io::Result<()> {
        self.out.write_all(b"\n")
    }

    /// Writes one line, `indent` columns from the left.
    pub(super) fn line(&mut self, indent: usize, spans: &[Span<'_>]) -> io::Result<()> {
        let mut line = " ".repeat(indent);
        let last = spans.iter().rposition(|(_, text)| !text.trim_end().is_empty());
        let shown = spans.iter().take(last.map_or(0, |last| last + 1)).enumerate();
        for (index, (paint, text)) in shown {
            let text = if Some(index) == last { text.trim_end() } else { text };
            let text = escape(text);
            match paint.code().filter(|_| self.style.color == Color::Always) {
                Some(code) => {
                    line.push_str(&format!("\u{1b}[{code}m{}\u{1b}[0m", clip(&text)));
                }
                None => line.push_str(&clip(&text)),
            }
        }
        line.push('\n');
        self.out.write_all(line.as_bytes())
    }

    /// Writes a sentence after `head`, broken between words; the lines below begin under the first word.
    pub(super) fn prose(
        &mut self,
        indent: usize,
        head: Span<'_>,
        sentence: &str,
    ) -> io::Result<()> {
        let sentence = escape(sentence);
        let sentence = clip(&sentence);
        let start = indent + head.1.chars().count();
        let room = self.style.width.saturating_sub(start).max(20);
        let mut lines: Vec<String> = Vec::new();
        for word in sentence.split(' ') {
            match lines.last_mut() {
                Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        for (index, line) in lines.into_iter().enumerate() {
            if index == 0 {
                self.line(indent, &[head.clone(), plain(line)])?;
            } else {
                self.line(start, &[plain(line)])?;
            }
        }
        Ok(())
    }
}

fn clip(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST) {
        None => Cow::Borrowed(text),
        Some((end, _)) => {
            let shown = text.get(..end).unwrap_or_default();
            let more = text.chars().count() - LONGEST;
            Cow::Owned(format!("{shown}… ({more} more characters)"))
        }
    }
}

pub(super) fn plain<'a>(text: impl Into<Cow<'a, str>>) -> Span<'a> {
    (Paint::Plain, text.into())
}

pub(super) fn dim<'a>(text: impl Into<Cow<'a, str>>) -> Span<'a> {
    (Paint::Dim, text.into())
}

pub(super) fn bold<'a>(text: impl Into<Cow<'a, str>>) -> Span<'a> {
    (Paint::Bold, text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(style: Style, write: impl Fn(&mut Pen<'_>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut Pen::new(&style, &mut out)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_the_pen_writes_sequences() {
        let style = Style { color: Color::Always, ..Style::default() };
        let text = written(style, |pen| pen.line(2, &[(Paint::Red, "x\u{1b}[0m".into())]));
        assert_eq!(text, "  \u{1b}[31mx\\u{1b}[0m\u{1b}[0m\n");
    }

    #[test]
    fn sentences_break_between_words_under_the_first() {
        let style = Style { width: 30, ..Style::default() };
        let text =
            written(style, |pen| pen.prose(2, dim("help: "), "run again later, or wait a little"));
        assert_eq!(text, "  help: run again later, or\n        wait a little\n");
    }

    #[test]
    fn lines_end_without_blanks_and_values_are_bounded() {
        let text = written(Style::default(), |pen| pen.line(0, &[plain("a  "), plain("  ")]));
        assert_eq!(text, "a\n");
        let long = "y".repeat(5000);
        let text = written(Style::default(), |pen| pen.line(0, &[plain(long.as_str())]));
        assert!(text.ends_with("y… (4000 more characters)\n"));
        assert_eq!(text.chars().filter(|it| *it == 'y').count(), 1000);
    }
}
