//! What a registry asks for when it answers 401: `WWW-Authenticate`. Pure.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// How a registry wants to be told who asks.
///
/// Source: RFC 9110 §11.6.1; distribution "Token Authentication Specification".
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Challenge {
    /// User and password with every request.
    Basic,
    /// A token from `realm`.
    Bearer {
        /// Where tokens are had, as written.
        realm: String,
        /// Whom the token is for.
        service: Option<String>,
        /// What the refused request needed: `repository:acme/api:pull`.
        scope: Option<String>,
    },
}

/// The best challenge of an answer: Bearer before Basic.
pub(super) fn of_headers(headers: &HeaderMap) -> Option<Challenge> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|it| it.to_str().ok());
    let mut best = None;
    for challenge in values.flat_map(parse) {
        if matches!(challenge, Challenge::Bearer { .. }) {
            return Some(challenge);
        }
        best = Some(challenge);
    }
    best
}

/// Reads `Bearer realm="…",service="…",scope="…", Basic realm="…"`; schemes that are not known are left out.
fn parse(value: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut scheme: Option<(String, Vec<(String, String)>)> = None;
    for item in items(value) {
        let (name, rest) = item.split_at(item.find([' ', '=']).unwrap_or(item.len()));
        let parameter = match rest.trim_start().strip_prefix('=') {
            Some(value) => Some((name, value)),
            // `Bearer realm="…"`: a scheme, and its first parameter.
            None => {
                found.extend(scheme.take().and_then(challenge));
                scheme = Some((name.to_ascii_lowercase(), Vec::new()));
                rest.trim_start().split_once('=')
            }
        };
        if let (Some((name, value)), Some((_, parameters))) = (parameter, &mut scheme) {
            parameters.push((name.trim().to_ascii_lowercase(), unquoted(value.trim())));
        }
    }
    found.extend(scheme.and_then(challenge));
    found
}

fn challenge((scheme, parameters): (String, Vec<(String, String)>)) -> Option<Challenge> {
    let take = |name: &str| {
        let found = parameters.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.clone())
    };
    match scheme.as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: take("realm")?,
            service: take("service"),
            scope: take("scope"),
        }),
        _ => None,
    }
}

/// Splits at commas outside quotes.
fn items(value: &str) -> Vec<&str> {
    let (mut items, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in value.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                items.push(value.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(value.get(start..).unwrap_or_default());
    items.into_iter().map(str::trim).filter(|it| !it.is_empty()).collect()
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|it| it.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut text = String::new();
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        text.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let both = Some("registry.docker.io");
        for (value, expected) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                vec![bearer(
                    "https://auth.docker.io/token",
                    both,
                    Some("repository:a/b:pull,push"),
                )],
            ),
            (r#"Basic realm="Registry Realm""#, vec![Challenge::Basic]),
            ("Basic", vec![Challenge::Basic]),
            (
                r#"bearer Realm = "https://a/t" , service=plain"#,
                vec![bearer("https://a/t", Some("plain"), None)],
            ),
            (
                r#"Basic realm="a, b", Bearer realm="https://a/\"t""#,
                vec![Challenge::Basic, bearer("https://a/\"t", None, None)],
            ),
            (r#"Negotiate abc==, Basic realm="x""#, vec![Challenge::Basic]),
            (r#"Bearer service="no realm""#, vec![]),
            ("", vec![]),
            ("\"", vec![]),
            (", ,", vec![]),
        ] {
            assert_eq!(parse(value), expected, "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_sent_is_read_without_panic(text in "[a-zA-Z =\",\\\\é]{0,60}|.*") {
            parse(&text);
        }
    }

    #[test]
    fn bearer_is_preferred_in_whatever_header_it_stands() {
        let mut headers = HeaderMap::new();
        headers.append(WWW_AUTHENTICATE, "Basic realm=\"a\"".parse().unwrap());
        headers.append(WWW_AUTHENTICATE, "Bearer realm=\"https://a/t\"".parse().unwrap());
        assert_eq!(of_headers(&headers), Some(bearer("https://a/t", None, None)));
    }
}
