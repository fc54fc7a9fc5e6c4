//! PEM text (RFC 7468), as lenient as Go's reader and as strict as cosign's writer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One block of a PEM text; its body is decoded on demand, so that a refused label is never decoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Block<'a> {
    /// What stands after `BEGIN`: `PUBLIC KEY`.
    pub(crate) label: &'a str,
    body: &'a str,
}

impl Block<'_> {
    /// The bytes, or `None` where the body is no base64.
    ///
    /// White space is skipped, and so are header lines (`Name: value`), as in Go's reader.
    pub(crate) fn decode(&self) -> Option<Vec<u8>> {
        let lines = self.body.lines().filter(|line| !line.contains(':'));
        let compact: String =
            lines.flat_map(str::chars).filter(|c| !c.is_ascii_whitespace()).collect();
        STANDARD.decode(compact).ok()
    }
}

/// Every block of `text`, in order; what stands between blocks is skipped.
pub(crate) fn blocks(text: &str) -> Vec<Block<'_>> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let Some((label, after)) = after.split_once("-----") else { break };
        if label.contains('\n') {
            rest = after;
            continue;
        }
        let Some((body, end)) = after.split_once("-----END ") else { break };
        match end.strip_prefix(label).and_then(|end| end.strip_prefix("-----")) {
            Some(end) => {
                found.push(Block { label, body });
                rest = end;
            }
            None => rest = after,
        }
    }
    found
}

/// One block with 64 columns and a newline at the end, as Go writes it.
pub(crate) fn encode(label: &str, content: &[u8]) -> String {
    let body = STANDARD.encode(content);
    let mut text = format!("-----BEGIN {label}-----\n");
    for (index, character) in body.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    if !body.is_empty() {
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_around_blocks_is_skipped_and_order_is_kept() {
        let text = "subject=CN = a\n-----BEGIN A-----\r\nAAEC\r\n-----END A-----\r\nissuer\n\
                    -----BEGIN B C-----\nProc-Type: 4,ENCRYPTED\n\nAw==\n-----END B C-----";
        let found: Vec<_> =
            blocks(text).iter().map(|it| (it.label, it.decode().unwrap())).collect();
        assert_eq!(found, [("A", vec![0, 1, 2]), ("B C", vec![3])]);
    }

    #[test]
    fn broken_blocks_are_no_blocks() {
        for text in ["", "-----BEGIN A-----\nAAEC\n", "-----BEGIN A-----\n-----END B-----\n"] {
            assert_eq!(blocks(text), [], "{text:?}");
        }
        assert_eq!(blocks("-----BEGIN A-----\n%%%\n-----END A-----")[0].decode(), None);
    }

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 47, 48, 49, 96, 200] {
            let content: Vec<u8> = (0..length).collect();
            let text = encode("X", &content);
            assert!(
                text.lines().all(|line| line.len() <= 64) && text.ends_with("-----END X-----\n")
            );
            assert_eq!(blocks(&text)[0].decode().unwrap(), content);
        }
    }
}
