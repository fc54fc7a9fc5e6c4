//! What is read from a token, and what is not taken for one.

use serde_json::{Value, json};

use super::*;

fn jwt(claims: &Value) -> Secret<String> {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    Secret::new(format!("{}.{}.c2lnbmF0dXJl", part(&json!({"alg": "RS256"})), part(claims)))
}

fn read(claims: &Value) -> Result<IdentityToken, TokenError> {
    IdentityToken::parse(&jwt(claims))
}

#[test]
fn a_workflow_is_named_by_its_subject() {
    let token = read(&json!({
        "iss": "https://token.actions.githubusercontent.com",
        "sub": "repo:acme/app:ref:refs/heads/main",
        "aud": ["sigstore", "other"],
        "exp": 1_800_000_000,
    }))
    .unwrap();
    assert_eq!(token.issuer_in_certificate(), "https://token.actions.githubusercontent.com");
    assert_eq!(token.subject_for_proof(), Some("repo:acme/app:ref:refs/heads/main"));
    assert!(token.is_for("sigstore") && !token.is_for("sts.amazonaws.com"));
    let end = Timestamp::from_seconds(1_800_000_000);
    assert_eq!(token.expires(), end);
    assert!(token.is_expired(end) && !token.is_expired(Timestamp::from_seconds(1_799_999_999)));
}

#[test]
fn a_person_is_named_by_a_verified_address() {
    let person = |verified: Value| {
        read(&json!({
            "iss": "https://oauth2.sigstore.dev/auth",
            "sub": "CgYxMjM0NTYSI2h0dHBz",
            "email": "jane@acme.com",
            "email_verified": verified,
            "federated_claims": {"connector_id": "https://github.com/login/oauth", "user_id": "1"},
            "exp": 1_800_000_000.75,
        }))
    };
    for verified in [json!(true), json!("true")] {
        let token = person(verified).unwrap();
        assert_eq!(token.subject_for_proof(), Some("jane@acme.com"));
        assert_eq!(token.issuer(), "https://oauth2.sigstore.dev/auth");
        assert_eq!(token.issuer_in_certificate(), "https://github.com/login/oauth");
        assert_eq!(token.expires(), Timestamp::from_seconds(1_800_000_000));
    }
    for unverified in [json!(false), json!("yes"), Value::Null] {
        assert_eq!(person(unverified).unwrap().subject_for_proof(), None);
    }
    assert_eq!(person(json!(1)).unwrap_err(), TokenError::Claim("email_verified"));
}

#[test]
fn a_connector_that_is_no_url_is_no_issuer() {
    let token = read(&json!({
        "iss": "https://dex.acme.com", "sub": "a", "exp": 1,
        "federated_claims": {"connector_id": "ldap"},
    }));
    assert_eq!(token.unwrap().issuer_in_certificate(), "https://dex.acme.com");
}

#[test]
fn what_is_no_token_is_told_why() {
    let whole = json!({"iss": "i", "sub": "s", "exp": 1});
    assert!(read(&whole).is_ok());
    for (name, wrong) in [
        ("iss", json!(null)),
        ("iss", json!("")),
        ("iss", json!(7)),
        ("sub", json!(["s"])),
        ("exp", json!("soon")),
        ("exp", json!(null)),
        ("aud", json!({})),
        ("aud", json!([1])),
        ("email", json!(true)),
        ("nonce", json!(4)),
    ] {
        let mut claims = whole.clone();
        claims[name] = wrong;
        assert_eq!(read(&claims).unwrap_err(), TokenError::Claim(name), "{claims}");
    }
    assert_eq!(read(&json!([1, 2])).unwrap_err(), TokenError::NoClaims);
    let parse = |text: &str| IdentityToken::parse(&Secret::new(text.to_owned())).unwrap_err();
    for text in ["", "a", "a.b", "..", "YQ.YQ.", "YQ.Y=.YQ", "YQ.YQ.YQ.YQ", "YQ.YQ YQ.YQ"] {
        assert_eq!(parse(text), TokenError::NoJwt, "{text}");
    }
    assert_eq!(parse("YQ.YQ.YQ"), TokenError::NoClaims);
    assert_eq!(parse(&"a".repeat(LARGEST + 1)), TokenError::TooLong);
    let deep = URL_SAFE_NO_PAD.encode("[".repeat(40_000));
    assert_eq!(parse(&format!("YQ.{deep}.YQ")), TokenError::NoClaims);
}

#[test]
fn an_end_out_of_the_calendar_is_the_end_of_the_calendar() {
    for (end, is_expired) in
        [(json!(1e300), false), (json!(-1e300), true), (json!(i64::MAX), false)]
    {
        let token = read(&json!({"iss": "i", "sub": "s", "exp": end})).unwrap();
        assert_eq!(token.is_expired(Timestamp::from_seconds(1_800_000_000)), is_expired);
    }
}

#[test]
fn a_token_is_never_shown() {
    let raw = jwt(&json!({"iss": "i", "sub": "s", "exp": 1}));
    let around = Secret::new(format!("\n {}\r\n", raw.expose()));
    let token = IdentityToken::parse(&around).unwrap();
    assert_eq!(token.raw().expose(), raw.expose());
    for part in raw.expose().split('.') {
        assert!(!format!("{token:?} {raw:?}").contains(part));
    }
}
