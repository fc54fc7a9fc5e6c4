use std::path::Path;

use super::*;
use crate::crypto::ScryptCost;
use crate::keys::memory::{MemoryEnvironment, MemorySigner};
use crate::keys::{conformance, open, public_key};
use crate::model::Secret;

fn options(environment: MemoryEnvironment) -> OpenOptions {
    OpenOptions::new(Arc::new(environment))
}

fn reference() -> KeyReference {
    KeyReference::parse("env://RELEASE_KEY", Path::new("")).unwrap()
}

#[tokio::test]
async fn a_key_in_a_variable_conforms() {
    let memory = MemorySigner::p256("release").unwrap();
    let password = Secret::new("pass".to_owned());
    let text = memory.private_key().to_encrypted_pem_at(&password, ScryptCost::Legacy).unwrap();
    let environment = MemoryEnvironment::default()
        .with_variable("RELEASE_KEY", &text)
        .with_variable("COSIGN_PASSWORD", "pass");
    let signer = open(&reference(), &options(environment)).await.unwrap();
    conformance::signer(&*signer, memory.private_key().public_key()).await.unwrap();
}

#[tokio::test]
async fn a_variable_with_a_public_key_serves_to_verify() {
    let expected = MemorySigner::p256("release").unwrap().private_key().public_key().clone();
    let environment = MemoryEnvironment::default().with_variable("RELEASE_KEY", &expected.to_pem());
    let options = options(environment);
    assert_eq!(public_key(&reference(), &options).await.unwrap(), expected);
    let error = open(&reference(), &options).await.unwrap_err();
    assert!(error.help().unwrap().contains("`public_key`"), "{error:?}");
}

#[tokio::test]
async fn a_variable_that_is_not_set_or_holds_no_key_is_told() {
    let error = open(&reference(), &options(MemoryEnvironment::default())).await.unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("key::not_found", "cannot open env://RELEASE_KEY")
    );
    assert_eq!(error.help(), Some("put the text of the key file into RELEASE_KEY"));

    let environment = MemoryEnvironment::default().with_variable("RELEASE_KEY", "hunter2");
    let error = open(&reference(), &options(environment)).await.unwrap_err();
    assert_eq!(error.code(), "key::malformed");
    assert!(!format!("{error:?} {:?}", error.help()).contains("hunter2"), "{error:?}");
}
