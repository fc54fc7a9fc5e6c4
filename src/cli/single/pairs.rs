//! `-a key=value,other=value`, as cosign reads it: a line of CSV, and any number of them.

use countersign::model::Annotations;

use super::Failed;

/// The annotations of all `-a`; of the same key the last counts.
pub(crate) fn annotations(lines: &[String]) -> Result<Annotations, Failed> {
    let mut found = Annotations::new();
    for pair in lines.iter().flat_map(|line| fields(line)) {
        let (key, value) =
            pair.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
                Failed::usage(format!("`{pair}` is no annotation")).help(
                    "write -a KEY=VALUE; a value with a comma goes into quotes: -a '\"KEY=A,B\"'",
                )
            })?;
        found.insert(key.to_owned(), value.to_owned());
    }
    Ok(found)
}

/// The fields of a line of CSV: commas part them, quotes hold commas, two quotes in quotes are one.
pub(crate) fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field) = (Vec::new(), String::new());
    let (mut quoted, mut letters) = (false, line.chars().peekable());
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            letter => field.push(letter),
        }
    }
    fields.push(field);
    fields.retain(|it| !it.is_empty());
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_lines_of_csv() {
        let found = annotations(&["a=1,b=x=y".into(), "\"c=1,2\",d=".into(), "a=2".into()]);
        let found: Vec<_> = found.unwrap().into_iter().collect();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(found, [pair("a", "2"), pair("b", "x=y"), pair("c", "1,2"), pair("d", "")]);
        assert!(annotations(&["a".into()]).is_err() && annotations(&["=a".into()]).is_err());
        assert_eq!(fields("\"say \"\"a\"\"\",b"), ["say \"a\"", "b"]);
    }
}
