//! Patterns over tags, hosts and image names: `*`, `?`, `[…]`.

use std::fmt;
use std::str::FromStr;

use globset::{GlobBuilder, GlobMatcher};

/// A pattern: `*` any characters, `?` one, `[a-z]` one of a class; everything else is itself.
///
/// A text without any of these is a name, not a pattern: see [`Glob::is_pattern`].
///
/// # Example
///
/// ```
/// use countersign::model::Glob;
///
/// let glob: Glob = "v2.*".parse().unwrap();
/// assert!(glob.matches("v2.10"));
/// assert!(!glob.matches("v20"));
/// assert!(!Glob::is_pattern("1.4.2"));
/// ```
#[derive(Clone)]
pub struct Glob {
    text: String,
    matcher: GlobMatcher,
}

impl Glob {
    /// Says whether `text` has a character that makes it a pattern.
    pub fn is_pattern(text: &str) -> bool {
        text.contains(['*', '?', '['])
    }

    /// Says whether the whole of `text` fits.
    pub fn matches(&self, text: &str) -> bool {
        self.matcher.is_match(text)
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// A text that is no pattern.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is not a pattern: {reason}")]
pub struct GlobError {
    /// What was written.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(text: &str) -> Result<Self, GlobError> {
        // `{a,b}` is not part of the language: a brace stands for itself.
        let escaped = text.replace('{', "[{]").replace('}', "[}]");
        let glob =
            GlobBuilder::new(&escaped).literal_separator(false).backslash_escape(false).build();
        let glob = glob.map_err(|error| GlobError {
            text: text.to_owned(),
            reason: error.kind().to_string(),
        })?;
        Ok(Self { text: text.to_owned(), matcher: glob.compile_matcher() })
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Glob {}
