//! PKCE as its RFC has it.

use super::*;

#[test]
fn the_challenge_is_that_of_the_rfc() {
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let pkce = Pkce::new(Secret::new(verifier.to_owned()));
    assert_eq!(pkce.challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

#[test]
fn random_texts_differ() {
    let (one, other) = (random().unwrap(), random().unwrap());
    assert_eq!(one.expose().len(), 43);
    assert_ne!(one.expose(), other.expose());
}
