//! `awskms://` keys in moto, with the AWS library as it is shipped.
#![cfg(feature = "aws-kms")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_kms::Client;
use aws_sdk_kms::types::{KeySpec, KeyUsageType};
use countersign::crypto::{Hash, KeyAlgorithm, PublicKey};
use countersign::keys::memory::MemoryEnvironment;
use countersign::keys::{
    KeyError, KeyErrorKind, KeyReference, OpenOptions, Signer, conformance, create, open,
};
use support::aws::{self, AwsServer, ID, SECRET, variables};
use support::child::{self, is_child};
use support::judge::{JUDGES, Judge};
use support::tools::{self, Finished, Home, Tool};

/// moto's KMS, with credentials in the environment of a process of its own.
struct Aws {
    url: String,
    client: Client,
}

impl Aws {
    /// `None` in the parent, which starts the server and the child and waits.
    async fn of(test: &str, more: &[(&str, &str)]) -> Option<Self> {
        if !tools::have(&[Tool::Python]) {
            return None;
        }
        let server = (!child::is_running(test)).then(AwsServer::start);
        let url = server.as_ref().map(AwsServer::url).unwrap_or_default();
        let mut variables = variables(&url);
        variables.extend_from_slice(more);
        if !is_child(test, &variables) {
            return None;
        }
        #[expect(clippy::disallowed_methods, reason = "what the parent set")]
        let url = std::env::var("AWS_ENDPOINT_URL").unwrap();
        let credentials = aws_sdk_kms::config::Credentials::new(ID, SECRET, None, None, "test");
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(credentials)
            .load()
            .await;
        Some(Self { url, client: Client::new(&config) })
    }

    /// A key and its alias; gives its ARN.
    async fn create(&self, alias: &str, spec: KeySpec, usage: KeyUsageType) -> String {
        let key = self.client.create_key().key_spec(spec).key_usage(usage).send().await.unwrap();
        let key = key.key_metadata.unwrap();
        let alias = format!("alias/{alias}");
        let named = self.client.create_alias().alias_name(alias).target_key_id(&key.key_id);
        named.send().await.unwrap();
        key.arn.unwrap()
    }

    async fn signing(&self, alias: &str, spec: KeySpec) -> String {
        self.create(alias, spec, KeyUsageType::SignVerify).await
    }

    /// The next requests are refused with these codes.
    async fn refuse(&self, codes: &[&str]) {
        aws::refuse(&self.url, codes).await;
    }
}

async fn opened(reference: &str) -> Result<Arc<dyn Signer>, KeyError> {
    #[expect(clippy::disallowed_methods, reason = "what the parent set")]
    let attempts = std::env::var("AWS_MAX_ATTEMPTS").unwrap_or_default();
    let environment = MemoryEnvironment::default().with_variable("AWS_MAX_ATTEMPTS", &attempts);
    let options = OpenOptions::new(Arc::new(environment)).with_patience(Duration::from_secs(20));
    open(&KeyReference::parse(reference, Path::new(""))?, &options).await
}

async fn created(reference: &str) -> Result<PublicKey, KeyError> {
    let options = OpenOptions::new(Arc::new(MemoryEnvironment::default()))
        .with_patience(Duration::from_secs(20));
    create(&KeyReference::parse(reference, Path::new(""))?, &options).await
}

#[tokio::test]
async fn every_algorithm_conforms_and_cosign_verifies_it() {
    let test = "every_algorithm_conforms_and_cosign_verifies_it";
    let Some(aws) = Aws::of(test, &[]).await else { return };
    let judge = if tools::have(JUDGES) { Some(Judge::new().await) } else { None };
    for (name, spec, algorithm, hash) in [
        ("p256", KeySpec::EccNistP256, KeyAlgorithm::EcdsaP256, Hash::Sha256),
        ("p384", KeySpec::EccNistP384, KeyAlgorithm::EcdsaP384, Hash::Sha384),
        ("p521", KeySpec::EccNistP521, KeyAlgorithm::EcdsaP521, Hash::Sha512),
        ("rsa2048", KeySpec::Rsa2048, KeyAlgorithm::Rsa(2048), Hash::Sha256),
        ("rsa3072", KeySpec::Rsa3072, KeyAlgorithm::Rsa(3072), Hash::Sha256),
        ("rsa4096", KeySpec::Rsa4096, KeyAlgorithm::Rsa(4096), Hash::Sha256),
    ] {
        let arn = aws.signing(name, spec).await;
        let alias = format!("awskms:///alias/{name}");
        let signer = opened(&alias).await.unwrap();
        let public_key = signer.public_key().unwrap().clone();
        assert_eq!(public_key.algorithm(), algorithm);
        conformance::signer(signer.as_ref(), &public_key).await.unwrap();
        let id = arn.rsplit('/').next().unwrap();
        let alias_arn = arn.replace(&format!("key/{id}"), &format!("alias/{name}"));
        for same in [
            format!("awskms:///{id}"),
            format!("awskms:///{arn}"),
            format!("awskms:///{alias_arn}"),
        ] {
            assert_eq!(opened(&same).await.unwrap().public_key(), Some(&public_key), "{same}");
        }
        if hash != Hash::Sha256 {
            let error = signer.sign(b"", Hash::Sha256).await.unwrap_err();
            assert_eq!(error.kind, KeyErrorKind::Unsupported);
            assert!(error.help().unwrap().contains(&format!("`hash = \"{hash}\"`")), "{error:?}");
        }
        let Some(judge) = &judge else { continue };
        judge.verify(signer.as_ref(), hash).await;
        // The real cosign, with the same reference: it has the same key, and verifies what we signed.
        let home = Home::new();
        let cosign = |arguments: &[&str]| {
            let mut command = home.command(Tool::Cosign3);
            command.envs(variables(&aws.url)).args(arguments).args(["--key", &alias]);
            Finished::of(&mut command).success().stdout
        };
        assert_eq!(cosign(&["public-key"]), public_key.to_pem());
        let reference = judge.reference();
        let verify = ["verify", "--insecure-ignore-tlog", "--output=json", &reference];
        let hash = ["--signature-digest-algorithm", hash.name()];
        let verified = cosign(&[verify.as_slice(), &hash].concat());
        let verified: serde_json::Value = serde_json::from_str(&verified).unwrap();
        assert_eq!(verified.as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn a_new_key_is_p256_under_its_alias_and_none_is_overwritten() {
    let test = "a_new_key_is_p256_under_its_alias_and_none_is_overwritten";
    let Some(aws) = Aws::of(test, &[("AWS_MAX_ATTEMPTS", "2")]).await else { return };
    for alias in ["alias/new", "arn:aws:kms:us-east-1:123456789012:alias/other"] {
        let made = created(&format!("awskms:///{alias}")).await.unwrap();
        assert_eq!(made.algorithm(), KeyAlgorithm::EcdsaP256);
        let signer = opened(&format!("awskms:///{alias}")).await.unwrap();
        assert_eq!(signer.sign(b"a", Hash::Sha256).await.unwrap().public_key, made);
        aws::asked(&aws.url).await;
        let error = created(&format!("awskms:///{alias}")).await.unwrap_err();
        assert_eq!(error.kind, KeyErrorKind::Exists, "{error:?}");
        assert_eq!(aws::asked(&aws.url).await, ["DescribeKey"]);
    }
    let error = created("awskms:///1234abcd-12ab-34cd-56ef-1234567890ab").await.unwrap_err();
    assert_eq!(error.kind, KeyErrorKind::Unsupported, "{error:?}");
    for code in ["AccessDeniedException", "KMSInternalException"] {
        // The first is an answer to DescribeKey that says nothing.
        aws.refuse(&["NotFoundException", code]).await;
        let error = created("awskms:///alias/third").await.unwrap_err();
        assert!(error.kind != KeyErrorKind::NotFound, "{error:?}");
        assert_eq!(aws::asked(&aws.url).await, ["DescribeKey", "CreateKey"], "tried once");
    }
    aws.refuse(&["NotFoundException", "", "AccessDeniedException"]).await;
    let error = created("awskms:///alias/third").await.unwrap_err();
    assert!(error.help().unwrap().contains("aws kms create-alias --alias-name alias/third"));
}

#[tokio::test]
async fn the_region_in_an_arn_is_the_one() {
    let test = "the_region_in_an_arn_is_the_one";
    let Some(aws) = Aws::of(test, &[("AWS_REGION", "eu-west-1")]).await else { return };
    let arn = aws.signing("k", KeySpec::EccNistP256).await;
    opened(&format!("awskms:///{arn}")).await.unwrap();
    let error = opened("awskms:///alias/k").await.unwrap_err();
    assert_eq!(error.kind, KeyErrorKind::NotFound, "{error:?}");
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let Some(aws) = Aws::of("what_passes_is_tried_again", &[]).await else { return };
    aws.signing("k", KeySpec::EccNistP256).await;
    aws.refuse(&["ThrottlingException", "KMSInternalException"]).await;
    let signer = opened("awskms:///alias/k").await.unwrap();
    aws.refuse(&["ThrottlingException", "ThrottlingException", "KeyUnavailableException"]).await;
    signer.sign(b"message", Hash::Sha256).await.unwrap();
}

#[tokio::test]
async fn what_fails_says_why_and_shows_no_secret() {
    let test = "what_fails_says_why_and_shows_no_secret";
    let Some(aws) = Aws::of(test, &[("AWS_MAX_ATTEMPTS", "2")]).await else { return };
    aws.create("encrypts", KeySpec::Rsa2048, KeyUsageType::EncryptDecrypt).await;
    aws.signing("koblitz", KeySpec::EccSecgP256K1).await;
    aws.signing("k", KeySpec::EccNistP256).await;
    let denied = ["AccessDeniedException"];
    let expired = ["ExpiredTokenException"; 2];
    let throttled = ["ThrottlingException"; 2];
    let broken = ["KMSInternalException"; 2];
    for (reference, faults, kind, help) in [
        ("awskms:///alias/nobody", [].as_slice(), KeyErrorKind::NotFound, "AWS_REGION"),
        ("awskms:///alias/encrypts", &[], KeyErrorKind::Unsupported, "SIGN_VERIFY"),
        ("awskms:///alias/koblitz", &[], KeyErrorKind::Unsupported, "ECC_NIST_P256"),
        ("awskms:///alias/k", &denied, KeyErrorKind::Permission, "kms:Sign"),
        ("awskms:///alias/k", &expired, KeyErrorKind::Permission, "kms:Sign"),
        ("awskms:///alias/k", &["DisabledException"], KeyErrorKind::Disabled, "enable-key"),
        ("awskms:///alias/k", &throttled, KeyErrorKind::Throttled, "later"),
        ("awskms:///alias/k", &broken, KeyErrorKind::Unavailable, "later"),
        // HTTPS to a port where nobody listens.
        ("awskms://127.0.0.1:9/alias/k", &[], KeyErrorKind::Unavailable, "later"),
        ("awskms:///k", &[], KeyErrorKind::Malformed, "awskms:///alias/NAME"),
    ] {
        aws.refuse(faults).await;
        let error = opened(reference).await.unwrap_err();
        assert_eq!(error.kind, kind, "{reference} {faults:?}: {error:?}");
        assert!(error.help().unwrap_or_default().contains(help), "{error:?}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(SECRET) && !shown.contains(ID), "{shown}");
    }
    // A key that is disabled during the run; moto itself lets it sign.
    aws.refuse(&[]).await;
    let signer = opened("awskms:///alias/k").await.unwrap();
    aws.refuse(&["DisabledException"]).await;
    let error = signer.sign(b"message", Hash::Sha256).await.unwrap_err();
    assert_eq!(error.kind, KeyErrorKind::Disabled, "{error:?}");
}

#[tokio::test]
async fn without_credentials_or_region_the_error_says_so() {
    let test = "without_credentials_or_region_the_error_says_so";
    if !is_child(test, &[("AWS_EC2_METADATA_DISABLED", "true"), ("HOME", "/nonexistent")]) {
        return;
    }
    let error = opened("awskms:///alias/k").await.unwrap_err();
    assert_eq!(error.kind, KeyErrorKind::Malformed);
    assert!(error.help().unwrap().contains("AWS_REGION"), "{error:?}");
    let arn = "awskms://127.0.0.1:9/arn:aws:kms:us-east-1:111122223333:alias/k";
    let error = opened(arn).await.unwrap_err();
    assert_eq!(error.kind, KeyErrorKind::Permission, "{error:?}");
    assert!(error.help().unwrap().contains("AWS_PROFILE"), "{error:?}");
}
