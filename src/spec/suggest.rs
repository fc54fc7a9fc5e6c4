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

/// How many letters must be put in, left out or changed to make one text of the other.
///
/// Long texts are cut: a name that people mistype is short, and the cost grows with the product.
fn distance(from: &str, to: &str) -> usize {
    let (from, to) = (from.to_lowercase().replace('-', "_"), to.to_lowercase().replace('-', "_"));
    let to: Vec<char> = to.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, letter) in (1_usize..).zip(from.chars().take(64)) {
        let mut next = vec![above];
        let (mut left, mut diagonal) = (above, above - 1);
        for (up, other) in row.iter().skip(1).zip(&to) {
            let change = diagonal + usize::from(letter != *other);
            left = change.min(up + 1).min(left + 1);
            diagonal = *up;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
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
