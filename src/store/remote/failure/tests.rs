use bytes::Bytes;

use super::*;
use crate::wire::LONGEST_DETAIL;

fn answer(status: u16, body: &'static str) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(body.as_bytes()),
        retry_after: None,
    }
}

fn kind(status: u16, body: &'static str, purpose: Purpose) -> StoreErrorKind {
    of_answer(&answer(status, body), purpose).kind
}

#[test]
fn each_status_has_one_meaning() {
    use StoreErrorKind as Kind;
    let unknown = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}"#;
    let immutable = r#"{"errors":[{"code":"DENIED","message":"Tag is IMMUTABLE"}]}"#;
    let blob = r#"{"errors":[{"code":"DIGEST_INVALID"},{"code":"MANIFEST_BLOB_UNKNOWN"}]}"#;
    for (status, body, purpose, expected) in [
        (400, blob, Purpose::Tag, Kind::BlobUnknown),
        (400, blob, Purpose::Read, Kind::Refused),
        (404, blob, Purpose::Write, Kind::BlobUnknown),
        (503, blob, Purpose::Write, Kind::Unavailable),
        (301, "", Purpose::Read, Kind::Redirect),
        (400, "", Purpose::Read, Kind::Refused),
        (401, "", Purpose::Read, Kind::Unauthorized),
        (403, "", Purpose::Read, Kind::Forbidden),
        (403, immutable, Purpose::Read, Kind::Forbidden),
        (403, immutable, Purpose::Tag, Kind::ImmutableTag),
        (403, immutable, Purpose::Write, Kind::Forbidden),
        (404, "", Purpose::Read, Kind::NotFound),
        (404, unknown, Purpose::Read, Kind::RepositoryUnknown),
        (404, unknown, Purpose::Write, Kind::RepositoryUnknown),
        (405, "", Purpose::Delete, Kind::Refused),
        (408, "", Purpose::Read, Kind::Unavailable),
        (409, immutable, Purpose::Tag, Kind::ImmutableTag),
        (409, "", Purpose::Tag, Kind::Refused),
        (412, "", Purpose::Tag, Kind::ImmutableTag),
        (412, "", Purpose::TagIf, Kind::Precondition),
        (412, immutable, Purpose::TagIf, Kind::ImmutableTag),
        (413, "", Purpose::Write, Kind::TooLarge),
        (429, immutable, Purpose::Tag, Kind::Throttled),
        (500, immutable, Purpose::Tag, Kind::Unavailable),
        (501, "", Purpose::Read, Kind::Refused),
        (503, "", Purpose::Read, Kind::Unavailable),
    ] {
        assert_eq!(kind(status, body, purpose), expected, "{status} {body} {purpose:?}");
    }
}

#[test]
fn what_registries_say_is_told_in_one_line() {
    for (body, expected) in [
        (
            r#"{"errors":[{"code":"DENIED","message":"no"},{"code":"X","message":""}]}"#,
            "403 DENIED: no; X",
        ),
        (r#"{"error":"invalid_grant","error_description":"ended"}"#, "403 invalid_grant: ended"),
        (r#"{"details":"incorrect username or password"}"#, "403 incorrect username or password"),
        (r#"{"message":"a\n\tb\u001b[31m\u202e"}"#, "403 a b[31m"),
        (r#"{"errors":"what"}"#, "403 Forbidden"),
        ("<html>", "403 Forbidden"),
        ("", "403 Forbidden"),
    ] {
        let detail = of_answer(&answer(403, body), Purpose::Read).detail;
        assert_eq!(detail.as_deref(), Some(expected), "{body}");
    }
}

#[test]
fn details_hold_no_secrets_and_are_bounded() {
    let line = |text: &str| one_line(text).unwrap_or_default();
    assert_eq!(
        line("see https://u:p@s3.example/x?X-Amz-Signature=abc, \"http://a/b?c\""),
        "see https://s3.example/x?…, \"http://a/b?…\""
    );
    let token = "e".repeat(400);
    assert_eq!(line(&format!("token {token} ended")), "token eeeeeeeeeeeeeeee… ended");
    assert_eq!(line(&"word ".repeat(1000)).chars().count(), LONGEST_DETAIL);
    let digest = format!("sha256:{}", "a".repeat(64));
    assert_eq!(line(&digest), digest);
    assert_eq!(one_line(" \n\u{200b} "), None);
}

#[test]
fn web_pages_are_told_from_registries() {
    let mut page = answer(404, "<html>");
    page.headers.insert("content-type", "Text/HTML; charset=utf-8".parse().unwrap());
    assert_eq!(of_answer(&page, Purpose::Read).kind, StoreErrorKind::InvalidAnswer);
    // Some registries let their web server write the page.
    page.headers.insert("docker-distribution-api-version", "registry/2.0".parse().unwrap());
    assert_eq!(of_answer(&page, Purpose::Read).kind, StoreErrorKind::NotFound);
}

proptest::proptest! {
    #[test]
    fn whatever_is_said_is_one_bounded_line(text in r#"([a-z "'<>]|https?://|[?@:/#]|\PC|\p{Cc}|\p{Cf}){0,400}"#) {
        let line = one_line(&text).unwrap_or_default();
        assert!(line.chars().count() <= LONGEST_DETAIL);
        assert!(!line.chars().any(char::is_control));
        Envelope::read(text.as_bytes());
    }
}
