//! "Did you mean …?". Pure.

/// The candidate nearest to `wrong`, where one is near enough to be meant.
pub(super) fn nearest<'a>(
    wrong: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = (wrong.chars().count() / 3).clamp(1, 3);
    let measured = candidates.into_iter().map(|candidate| (distance(wrong, candidate), candidate));
    measured.filter(|(distance, _)| *distance <= limit).min().map(|(_, candidate)| candidate)
}

/// How many letters must be put in, left out, changed or exchanged with their neighbour to make one text
/// of the other.
///
/// Long texts are cut: a name that people mistype is short, and the cost grows with the product.
fn distance(from: &str, to: &str) -> usize {
    let letters = |text: &str| -> Vec<char> {
        text.to_lowercase().replace('-', "_").chars().take(64).collect()
    };
    let (from, to) = (letters(from), letters(to));
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    let at = |rows: &[Vec<usize>], row: usize, column: usize| {
        rows.get(row).and_then(|it| it.get(column)).copied().unwrap_or(usize::MAX / 2)
    };
    for (row, letter) in (1..).zip(&from) {
        let mut next = vec![row];
        for (column, other) in (1..).zip(&to) {
            let change = at(&rows, row - 1, column - 1) + usize::from(letter != other);
            let left_out = at(&rows, row - 1, column) + 1;
            let put_in = next.get(column - 1).copied().unwrap_or(usize::MAX / 2) + 1;
            let exchanged = row > 1
                && column > 1
                && from.get(row - 2) == Some(other)
                && to.get(column - 2) == Some(letter);
            let exchange = if exchanged { at(&rows, row - 2, column - 2) + 1 } else { usize::MAX };
            next.push(change.min(left_out).min(put_in).min(exchange));
        }
        rows.push(next);
    }
    at(&rows, from.len(), to.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        let keys = ["sign_with", "requires", "tags", "recursive"];
        for (wrong, right) in [
            ("sign-with", Some("sign_with")),
            ("signwith", Some("sign_with")),
            ("tag", Some("tags")),
            ("atgs", Some("tags")),
            ("recursiv", Some("recursive")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, keys), right, "{wrong}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
