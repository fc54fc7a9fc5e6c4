use std::path::PathBuf;

use super::*;
use crate::crypto::PublicKey;
use crate::keys::memory::MemoryEnvironment;
use crate::keys::{PasswordSource, conformance, open};

const NAMES: [&str; 7] = ["p256", "p384", "p521", "ed25519", "rsa2048", "rsa3072", "rsa4096"];

/// Relative, as cargo runs tests in the folder of the package: the path of a clone may look like a secret in base64.
fn fixture(name: &str) -> PathBuf {
    PathBuf::from("tests/fixtures/keys").join(name)
}

async fn open_with(
    path: PathBuf,
    password: PasswordSource,
    environment: MemoryEnvironment,
) -> Result<Arc<dyn Signer>, KeyError> {
    let options = OpenOptions { password, environment: Arc::new(environment) };
    open(&KeyReference::File(path), &options).await
}

fn with_password(password: &str) -> MemoryEnvironment {
    MemoryEnvironment::default().with_variable("COSIGN_PASSWORD", password)
}

async fn error_of(path: PathBuf) -> KeyError {
    open_with(path, PasswordSource::Default, with_password("test")).await.unwrap_err()
}

fn cause(error: &KeyError) -> String {
    error.source.as_ref().unwrap().to_string()
}

#[tokio::test]
async fn keys_of_every_algorithm_conform() {
    for name in NAMES {
        let path = fixture(&format!("{name}.key"));
        let signer = open_with(path, PasswordSource::Default, with_password("test")).await.unwrap();
        let public = std::fs::read_to_string(fixture(&format!("{name}.pub"))).unwrap();
        let public = PublicKey::from_pem(&public).unwrap();
        conformance::signer(&*signer, &public).await.unwrap();
    }
}

#[tokio::test]
async fn the_password_comes_from_where_the_spec_says() {
    let folder = tempfile::tempdir().unwrap();
    let one_newline = folder.path().join("password");
    std::fs::write(&one_newline, "test\n").unwrap();
    let windows = folder.path().join("windows");
    std::fs::write(&windows, "test\r\n").unwrap();
    let none = MemoryEnvironment::default;
    for (source, environment) in [
        (PasswordSource::Default, with_password("test")),
        (PasswordSource::Default, none().with_answer("test")),
        (PasswordSource::Environment("P".into()), none().with_variable("P", "test")),
        (PasswordSource::File(one_newline.clone()), none()),
        (PasswordSource::File(windows), none()),
        // The variable is before the terminal, and what the spec names is before the variable.
        (PasswordSource::Default, with_password("test").with_answer("wrong")),
        (PasswordSource::File(one_newline), with_password("wrong").with_answer("wrong")),
    ] {
        let opened = open_with(fixture("p256.key"), source.clone(), environment).await;
        assert!(opened.is_ok(), "{source:?}");
    }
    let two_newlines = folder.path().join("two");
    std::fs::write(&two_newlines, "test\n\n").unwrap();
    let error = open_with(fixture("p256.key"), PasswordSource::File(two_newlines), none()).await;
    assert_eq!(error.unwrap_err().kind, KeyErrorKind::WrongPassword);
}

#[tokio::test]
async fn the_terminal_is_asked_with_the_name_of_the_key_and_only_where_needed() {
    let ask = |environment| async move {
        let environment: Arc<MemoryEnvironment> = Arc::new(environment);
        let options = OpenOptions {
            password: PasswordSource::Default,
            environment: Arc::<MemoryEnvironment>::clone(&environment),
        };
        let opened = open(&KeyReference::File(fixture("p256.key")), &options).await;
        (environment.prompts(), opened.map(|_| ()).map_err(|error| error.kind))
    };
    let (prompts, opened) = ask(MemoryEnvironment::default().with_answer("test")).await;
    assert_eq!(prompts, [format!("Password of {}: ", fixture("p256.key").display())]);
    assert_eq!(opened, Ok(()));
    // An empty password is a password.
    let (prompts, opened) = ask(with_password("").with_answer("test")).await;
    assert_eq!((prompts, opened), (vec![], Err(KeyErrorKind::WrongPassword)));
}

#[tokio::test]
async fn no_password_at_all_names_the_three_ways() {
    let error =
        open_with(fixture("p256.key"), PasswordSource::Default, MemoryEnvironment::default());
    let error = error.await.unwrap_err();
    assert_eq!(error.code(), "key::no_password");
    for way in ["COSIGN_PASSWORD", "`password_env`", "`password_file`", "terminal"] {
        assert!(error.help().unwrap().contains(way), "{way}");
    }
    let unset = PasswordSource::Environment("RELEASE_PASSWORD".into());
    let error = open_with(fixture("p256.key"), unset, with_password("test")).await.unwrap_err();
    assert_eq!(error.code(), "key::no_password");
    assert!(error.help().unwrap().contains("RELEASE_PASSWORD"));
    let absent = PasswordSource::File("/nowhere/password".into());
    let error = open_with(fixture("p256.key"), absent, with_password("test")).await.unwrap_err();
    assert_eq!(error.code(), "key::not_found");
    assert!(error.to_string().starts_with("cannot read the password file of "), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_shown() {
    let wrong = with_password("hunter2");
    let error = open_with(fixture("p256.key"), PasswordSource::Default, wrong).await.unwrap_err();
    assert_eq!(error.code(), "key::wrong_password");
    let shown = format!("{error:?} {error} {} {:?}", cause(&error), error.help());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn what_is_no_key_file_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let absent = error_of(folder.path().join("absent.key")).await;
    assert_eq!(absent.kind, KeyErrorKind::NotFound);
    assert!(absent.help().unwrap().contains("absent.key"));
    assert_eq!(error_of(folder.path().to_owned()).await.kind, KeyErrorKind::Malformed);

    let plain = "-----BEGIN EC PRIVATE KEY-----\nc2VjcmV0\n-----END EC PRIVATE KEY-----\n";
    let damaged = std::fs::read_to_string(fixture("p256.key")).unwrap().replacen("eyJ", "AAA", 1);
    for (content, kind, help) in [
        (plain.as_bytes().to_vec(), KeyErrorKind::Unsupported, Some("cosign import-key-pair")),
        (
            std::fs::read(fixture("p256.pub")).unwrap(),
            KeyErrorKind::Malformed,
            Some("`public_key`"),
        ),
        (b"password".to_vec(), KeyErrorKind::Malformed, Some("cosign generate-key-pair")),
        (damaged.into_bytes(), KeyErrorKind::Malformed, Some("all of its lines")),
        (vec![0xff, 0xfe], KeyErrorKind::Malformed, None),
        (vec![b'a'; 2 << 20], KeyErrorKind::Malformed, None),
    ] {
        let path = folder.path().join("key");
        std::fs::write(&path, content).unwrap();
        let error = error_of(path).await;
        assert_eq!(error.kind, kind, "{}", cause(&error));
        match help {
            Some(help) => assert!(error.help().unwrap().contains(help), "{:?}", error.help()),
            None => assert_eq!(error.help(), None),
        }
        assert!(!format!("{error:?}").contains("c2VjcmV0"), "{error:?}");
    }
}
