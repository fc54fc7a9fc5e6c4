//! JSON as Go's `encoding/json` writes it: cosign signs those bytes.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// Writes `value` compactly, with `<`, `>`, `&`, U+2028 and U+2029 escaped, and no newline at the end.
///
/// Everything else serde_json and Go (1.22 or later) write alike: `\b \f \n \r \t`, other controls as
/// `\u00xx`, the rest of UTF-8 as it is. The order of members is the order of the value's own.
///
/// Source: Go `encoding/json`, `HTMLEscape`.
#[expect(clippy::expect_used, reason = "maps have string keys and every value is plain data")]
pub fn to_vec(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    let mut serializer = Serializer::with_formatter(&mut bytes, GoFormatter(CompactFormatter));
    value.serialize(&mut serializer).expect("plain data is always JSON");
    bytes
}

struct GoFormatter(CompactFormatter);

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (before, from) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            let mut characters = from.chars();
            if let Some(special) = characters.next() {
                write!(writer, "\\u{:04x}", u32::from(special))?;
            }
            rest = characters.as_str();
        }
        self.0.write_string_fragment(writer, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        // The right-hand sides were printed by Go's json.Marshal.
        for (text, json) in [
            ("<a&b>", r#""\u003ca\u0026b\u003e""#),
            ("\u{2028}\u{2029}", r#""\u2028\u2029""#),
            ("\"\\/", r#""\"\\/""#),
            ("\u{8}\u{c}\n\r\t\u{1}\u{1f}\u{7f}", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\u{7f}\""),
            ("é😀", "\"é😀\""),
        ] {
            assert_eq!(String::from_utf8(to_vec(&text)).unwrap(), json);
        }
    }
}
