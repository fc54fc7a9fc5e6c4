//! Text from registries, made harmless for terminals and reviewers. Pure.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Shows characters that steer a terminal, or hide or reorder text, as what they are.
///
/// Control characters (newlines and the C1 range among them), bidirectional marks, invisible characters
/// and tags become `\u{1b}` and the like; a newline becomes `\n`, a tab `\t`. Everything else stays. Costs
/// no allocation where there is nothing to show.
///
/// # Example
///
/// ```
/// use countersign::render::escape;
///
/// assert_eq!(escape("v1.0 größer"), "v1.0 größer");
/// assert_eq!(escape("a\u{1b}[2Jb\nc"), r"a\u{1b}[2Jb\nc");
/// ```
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            _ if steers(character) => escaped.extend(character.escape_unicode()),
            _ => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

/// The same for JSON that is complete already: the characters become `\uXXXX`.
///
/// In JSON such characters stand only in strings, but for the newlines between its parts, which stay.
pub(super) fn escape_json(json: &str) -> Cow<'_, str> {
    let hidden = |character: char| character != '\n' && steers(character);
    if !json.chars().any(hidden) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 8);
    for character in json.chars() {
        if hidden(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Says whether a terminal would obey it, or a reader not see it.
///
/// Source: Unicode, general categories Cc and Cf, Zl, Zp; UTR 36 "Bidirectional Text Spoofing".
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown() {
        for (text, shown) in [
            ("plain", "plain"),
            ("\u{1b}[31mred", r"\u{1b}[31mred"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("a\r\nb\tc", r"a\r\nb\tc"),
            ("bell\u{7}\u{7f}", r"bell\u{7}\u{7f}"),
            ("user\u{202e}gpj.exe", r"user\u{202e}gpj.exe"),
            ("zero\u{200b}width", r"zero\u{200b}width"),
            ("tag\u{e0041}", r"tag\u{e0041}"),
        ] {
            assert_eq!(escape(text), shown);
        }
    }

    #[test]
    fn json_stays_json_and_means_the_same() {
        let text = "\u{1b}[31m \u{9b}31m \u{202e} \u{e0041} \u{7f} größer \"\\";
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let escaped = escape_json(&json);
        assert!(!escaped.chars().any(|it| it != '\n' && steers(it)), "{escaped}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&escaped).unwrap(), [text]);
    }
}
