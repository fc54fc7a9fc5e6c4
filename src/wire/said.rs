//! What strangers say, made fit to print; and why a connection failed. Pure.

use std::error::Error;
use std::io;

use url::Url;

use crate::model::SafeUrl;

/// Details of errors are cut here, in characters.
pub(crate) const LONGEST_DETAIL: usize = 300;

/// Makes text of a stranger fit to print: one line, bounded, no control characters, no queries of URLs,
/// nothing that is long enough to be a token.
pub(crate) fn one_line(text: &str) -> Option<String> {
    let visible: String = text
        .chars()
        .take(8 * LONGEST_DETAIL)
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .collect();
    let mut line = String::new();
    for word in visible.split(' ').filter(|it| !it.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&harmless(word));
    }
    if line.chars().count() > LONGEST_DETAIL {
        line = line.chars().take(LONGEST_DETAIL - 1).chain(['…']).collect();
    }
    if line.is_empty() { None } else { Some(line) }
}

fn harmless(word: &str) -> String {
    if let Some(start) = word.find("http://").or_else(|| word.find("https://")) {
        let (before, rest) = word.split_at(start);
        let end = rest.find(['"', '\'', '>', ')', ',']).unwrap_or(rest.len());
        let (url, after) = rest.split_at(end);
        if let Ok(url) = Url::parse(url) {
            return format!("{before}{}{after}", SafeUrl::new(url));
        }
    }
    // Digests have 71 characters; the tokens of registries hundreds.
    let is_long = word.chars().count() > 160;
    if is_long {
        format!("{}…", word.chars().take(16).collect::<String>())
    } else {
        word.to_owned()
    }
}

/// Characters that change how the text around them looks.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}')
}

/// Why a request got no whole answer.
pub(crate) enum Cause {
    Other,
    Tls(String),
    Truncated,
}

/// Looks for TLS and for an early end among the causes.
pub(crate) fn cause_of(error: &reqwest::Error) -> Cause {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Cause::Tls(error.to_string());
        }
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if kind == Some(io::ErrorKind::UnexpectedEof) {
            return Cause::Truncated;
        }
        next = cause_below(error);
    }
    Cause::Other
}

/// The cause that says most: the last one.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    let (mut text, mut next) = (String::from("the connection failed"), error.source());
    while let Some(error) = next {
        text = error.to_string();
        next = cause_below(error);
    }
    text
}

/// The next cause. An [`io::Error`] leaves out the one that it was made of.
fn cause_below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match inner {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}
