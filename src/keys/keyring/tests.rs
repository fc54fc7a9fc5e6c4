use std::path::{Path, PathBuf};

use super::*;
use crate::crypto::{Hash, ScryptCost};
use crate::keys::memory::{MemoryEnvironment, MemorySigner};

fn name(text: &str) -> SignerName {
    text.parse().unwrap()
}

fn public(seed: &str) -> PublicKey {
    MemorySigner::p256(seed).unwrap().private_key().public_key().clone()
}

/// A signer whose key is in the variable of its name.
fn entry(seed: &str, public_key: Option<PublicKeySource>) -> KeyringEntry {
    let reference = KeyReference::parse(&format!("env://{seed}"), Path::new("")).unwrap();
    let source = KeySource::Key { reference, password: PasswordSource::Default, public_key };
    KeyringEntry { name: name(seed), source }
}

fn environment(seeds: &[&str]) -> MemoryEnvironment {
    let password = Secret::new("pass".to_owned());
    seeds.iter().fold(MemoryEnvironment::default(), |environment, seed| {
        let key = MemorySigner::p256(seed).unwrap();
        let text = key.private_key().to_encrypted_pem_at(&password, ScryptCost::Legacy).unwrap();
        environment.with_variable(seed, &text)
    })
}

fn keyring(entries: Vec<KeyringEntry>, environment: MemoryEnvironment) -> Keyring {
    Keyring::new(entries, Arc::new(environment))
}

#[tokio::test]
async fn a_key_is_opened_once_for_all_tasks() {
    let environment = environment(&["a"]).with_variable("COSIGN_PASSWORD", "pass");
    let keyring = Arc::new(keyring(vec![entry("a", None)], environment));
    assert_eq!(keyring.opened(), 0);
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let keyring = Arc::clone(&keyring);
            tokio::spawn(async move {
                let signer = keyring.signer(&name("a")).await.unwrap();
                signer.sign(b"message", Hash::Sha256).await.unwrap()
            })
        })
        .collect();
    for task in tasks {
        let signed = task.await.unwrap();
        assert!(public("a").verifies(b"message", &signed.signature, Hash::Sha256));
    }
    assert_eq!(keyring.public_key(&name("a")).await.unwrap(), public("a"));
    assert_eq!(keyring.opened(), 1);
}

#[tokio::test]
async fn a_key_that_fails_is_not_tried_again() {
    let environment = environment(&["a"]).with_variable("COSIGN_PASSWORD", "wrong");
    let keyring = keyring(vec![entry("a", None)], environment);
    let first = keyring.signer(&name("a")).await.unwrap_err();
    let second = keyring.public_key(&name("a")).await.unwrap_err();
    assert_eq!(first.kind, KeyErrorKind::WrongPassword);
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(keyring.opened(), 1);
}

#[tokio::test]
async fn a_declared_public_key_never_touches_the_key() {
    let empty = Arc::new(MemoryEnvironment::default().with_answer("pass"));
    let keyring = Keyring::new(
        [
            entry("a", Some(public("a").into())),
            KeyringEntry { name: name("b"), source: KeySource::PublicKey(public("b").into()) },
        ],
        Arc::<MemoryEnvironment>::clone(&empty),
    );
    assert_eq!(keyring.public_key(&name("a")).await.unwrap(), public("a"));
    assert_eq!(keyring.public_key(&name("b")).await.unwrap(), public("b"));
    assert_eq!((keyring.opened(), empty.prompts()), (0, vec![]));
}

#[tokio::test]
async fn another_key_than_declared_is_refused_with_both_fingerprints() {
    let environment = environment(&["a"]).with_variable("COSIGN_PASSWORD", "pass");
    let keyring = keyring(vec![entry("a", Some(public("b").into()))], environment);
    let error = keyring.signer(&name("a")).await.unwrap_err();
    assert_eq!((error.code(), error.to_string()), ("key::mismatch", "cannot use env://a".into()));
    let cause = error.source.as_ref().unwrap().to_string();
    for seed in ["a", "b"] {
        assert!(cause.contains(&public(seed).fingerprint().to_string()), "{cause}");
    }
}

#[tokio::test]
async fn a_public_key_elsewhere_is_asked_for_once_and_compared() {
    let parse = |text: &str| KeyReference::parse(text, Path::new("")).unwrap();
    let elsewhere = |name: &str| Some(PublicKeySource::Of(parse(&format!("env://{name}"))));
    let environment = environment(&["a", "b"])
        .with_variable("COSIGN_PASSWORD", "pass")
        .with_variable("A_PUB", &public("a").to_pem());
    let alone = KeySource::PublicKey(PublicKeySource::Of(parse("env://A_PUB")));
    let keyring = keyring(
        vec![
            entry("a", elsewhere("A_PUB")),
            entry("b", elsewhere("A_PUB")),
            KeyringEntry { name: name("c"), source: alone },
            // Its own key says it, and is opened for that.
            KeyringEntry { name: name("d"), ..entry("b", elsewhere("b")) },
        ],
        environment,
    );
    for signer in ["a", "b", "c"] {
        assert_eq!(keyring.public_key(&name(signer)).await.unwrap(), public("a"));
    }
    assert_eq!(keyring.opened(), 0, "the public half opens nothing");
    assert_eq!(keyring.public_key(&name("d")).await.unwrap(), public("b"));
    assert_eq!(keyring.opened(), 1);
    assert!(keyring.signer(&name("a")).await.is_ok() && keyring.signer(&name("d")).await.is_ok());
    let error = keyring.signer(&name("b")).await.unwrap_err();
    assert_eq!(error.code(), "key::mismatch");
    assert_eq!(keyring.opened(), 3);
}

#[tokio::test]
async fn a_public_key_that_cannot_be_had_leaves_the_key_alone() {
    let gone = KeyReference::parse("env://GONE", Path::new("")).unwrap();
    let environment = environment(&["a"]).with_variable("COSIGN_PASSWORD", "pass");
    let keyring = keyring(vec![entry("a", Some(PublicKeySource::Of(gone)))], environment);
    assert_eq!(keyring.public_key(&name("a")).await.unwrap_err().code(), "key::not_found");
    assert_eq!(keyring.signer(&name("a")).await.unwrap_err().code(), "key::not_found");
    assert_eq!(keyring.opened(), 0);
}

#[tokio::test]
async fn a_signer_that_cannot_sign_here_says_so() {
    let source = KeySource::PublicKey(public("b").into());
    let keyring =
        keyring(vec![KeyringEntry { name: name("b"), source }], MemoryEnvironment::default());
    let error = keyring.signer(&name("b")).await.unwrap_err();
    assert_eq!(error.code(), "key::unsupported");
    assert!(error.help().unwrap().contains("[[images.attachments]]"));
    assert_eq!(keyring.signer(&name("c")).await.unwrap_err().code(), "key::not_found");
    assert_eq!(keyring.public_key(&name("c")).await.unwrap_err().code(), "key::not_found");
}

#[tokio::test]
async fn a_given_signer_is_used_as_it_is() {
    let signer = Arc::new(MemorySigner::p256("m").unwrap());
    let keyring = keyring(vec![], MemoryEnvironment::default())
        .with_signer(name("m"), Arc::<MemorySigner>::clone(&signer));
    assert_eq!(keyring.public_key(&name("m")).await.unwrap(), public("m"));
    keyring.signer(&name("m")).await.unwrap().sign(b"m", Hash::Sha256).await.unwrap();
    assert_eq!((keyring.opened(), signer.signatures()), (0, 1));
    assert_eq!(keyring.names().map(SignerName::as_str).collect::<Vec<_>>(), ["m"]);
}

/// A terminal at which two questions at the same time would be seen.
#[derive(Debug, Default)]
struct Terminal {
    open: AtomicUsize,
    most: AtomicUsize,
    keys: MemoryEnvironment,
}

impl Environment for Terminal {
    fn variable(&self, name: &str) -> Option<Secret<String>> {
        self.keys.variable(name)
    }

    fn prompt_password(&self, _prompt: &str) -> Option<Secret<String>> {
        let now = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        (0..1000).for_each(|_| std::thread::yield_now());
        self.open.fetch_sub(1, Ordering::SeqCst);
        Some(Secret::new("pass".to_owned()))
    }
}

#[tokio::test]
async fn the_terminal_is_asked_one_question_at_a_time() {
    let seeds = ["a", "b", "c"];
    let terminal = Arc::new(Terminal { keys: environment(&seeds), ..Terminal::default() });
    let entries = seeds.map(|seed| entry(seed, None));
    let keyring = Keyring::new(entries, Arc::<Terminal>::clone(&terminal));
    let names = seeds.map(name);
    let [a, b, c] = &names;
    let opened = tokio::join!(keyring.signer(a), keyring.signer(b), keyring.signer(c));
    assert!(opened.0.is_ok() && opened.1.is_ok() && opened.2.is_ok());
    assert_eq!((terminal.most.load(Ordering::SeqCst), keyring.opened()), (1, 3));
}

#[test]
fn nothing_secret_is_shown() {
    let environment = environment(&["a"]).with_variable("COSIGN_PASSWORD", "hunter2");
    let file = KeySource::Key {
        reference: KeyReference::File(PathBuf::from("a.key")),
        password: PasswordSource::Environment("P".into()),
        public_key: Some(public("a").into()),
    };
    let shown =
        format!("{:?}", keyring(vec![KeyringEntry { name: name("f"), source: file }], environment));
    assert!(!shown.contains("hunter2") && !shown.contains("ENCRYPTED"), "{shown}");
}
