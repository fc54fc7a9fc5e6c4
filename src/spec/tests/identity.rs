//! Identities, log entries, timestamps and private deployments.

use super::*;
use crate::payload::Format;
use crate::trust::{CertificateIdentity, GithubClaims};

const IMAGE: &str = "[[images]]\nreference = \"h.example/a:1\"\nsign_with = [\"ci\"]\n";
const KEYLESS: &str = "keyless = { issuer = \"https://i.example\", identity = \"ci@acme.com\" }\n";
const ROOT: &str = r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","tlogs":[],"certificateAuthorities":[],"ctlogs":[],"timestampAuthorities":[]}"#;

const CONFIG: &str = r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","caUrls":[],"oidcUrls":[],"rekorTlogUrls":[],"rekorTlogConfig":{"selector":"ANY"},"tsaUrls":[],"tsaConfig":{"selector":"ANY"}}"#;

fn spec(signer: &str) -> String {
    format!("version = 1\n[signers.ci]\n{signer}{IMAGE}")
}

/// Problems of a signer that begins at line 3.
fn found(signer: &str) -> Vec<String> {
    World::new(&spec(signer)).problems()
}

#[test]
fn an_identity_signs_with_a_log_entry_unless_it_says_otherwise() {
    for (text, log, timestamps) in [
        ("", true, 0),
        ("transparency_log = false\n", false, 0),
        ("timestamp_authorities = [{ url = \"https://t.example\" }]\n", true, 1),
        ("timestamp_authorities = []\n", true, 0),
        ("retired = true\n", false, 0),
        ("retired = true\ntransparency_log = true\n", false, 0),
    ] {
        let whole = spec(&format!("{KEYLESS}{text}")).replace("sign_with = [\"ci\"]", "");
        let whole = format!("{whole}sign_with = [\"room\"]\n[signers.room]\npublic_key = \"r\"\n");
        let key = crate::crypto::PrivateKey::generate_p256().unwrap().public_key().to_pem();
        let spec = World::new(&whole).file("r", &key).spec();
        let profile = &spec.desired.signers[&"ci".parse().unwrap()];
        assert_eq!(
            (profile.transparency_log, profile.timestamps(Format::Bundle)),
            (log, timestamps),
            "{text}"
        );
        assert_eq!(profile.ability, crate::plan::Ability::Sign);
        let policy = profile.identity.as_ref().unwrap();
        let identity = |subject: &str| CertificateIdentity {
            subject: subject.to_owned(),
            issuer: "https://i.example".to_owned(),
            github: GithubClaims::default(),
        };
        assert!(policy.accepts(&identity("ci@acme.com")).is_ok());
        assert!(policy.accepts(&identity("ci@acme.com.evil")).is_err());
    }
}

#[test]
fn patterns_are_for_the_whole_text() {
    let text = "keyless = { issuer_regexp = \"https://.*\\\\.example\", identity_regexp = \"a|b\", github = { ref = \"refs/heads/main\", repository = \"acme/app\" } }\n";
    let spec = World::new(&spec(text)).spec();
    let profile = spec.desired.signers.values().next().unwrap();
    let policy = profile.identity.as_ref().unwrap();
    let github = GithubClaims {
        repository: Some("acme/app".to_owned()),
        reference: Some("refs/heads/main".to_owned()),
        ..GithubClaims::default()
    };
    let identity = |issuer: &str, subject: &str, github: &GithubClaims| CertificateIdentity {
        subject: subject.to_owned(),
        issuer: issuer.to_owned(),
        github: github.clone(),
    };
    let good = "https://i.example";
    assert!(policy.accepts(&identity(good, "a", &github)).is_ok());
    assert!(policy.accepts(&identity(good, "ab", &github)).is_err());
    assert!(policy.accepts(&identity("https://i.example.evil", "a", &github)).is_err());
    assert!(policy.accepts(&identity(good, "a", &GithubClaims::default())).is_err());
}

#[test]
fn what_is_wrong_with_an_identity_is_told_at_its_place() {
    for (text, expected) in [
        ("keyless = { issuer = \"https://i.example\" }\n", vec!["missing_key 3"]),
        ("keyless = { issuer = \"i\", identity = \"a\" }\n", vec!["url 3"]),
        (
            "keyless = { issuer = \"https://i.example\", issuer_regexp = \".*\", identity = \"a\" }\n",
            vec!["conflict 3"],
        ),
        (
            "keyless = { issuer = \"https://i.example\", identity_regexp = \"a)|(b\" }\n",
            vec!["regexp 3"],
        ),
        (
            "keyless = { issuer = \"https://i.example\", identity_regexp = \"(((a{1000}){1000}){1000})\" }\n",
            vec!["regexp 3"],
        ),
        ("keyless = { issuer = \"https://i.example\", identity = \"\" }\n", vec!["empty 3"]),
        (
            "keyless = { issuer = \"https://i.example\", identity = \"a\", github = { repo = \"a\" } }\n",
            vec!["unknown_key 3"],
        ),
        (
            "keyless = { issuer = \"https://i.example\", identity = \"a\", github = { name = \"\" } }\n",
            vec!["empty 3"],
        ),
        (
            "keyless = { issuer = \"https://i.example\", identity = \"a\" }\nhash = \"sha384\"\n",
            vec!["hash 4"],
        ),
        (
            "keyless = { issuer = \"https://i.example\", identity = \"a\" }\nkey = \"cosign.key\"\n",
            vec!["conflict 4"],
        ),
        (
            "keyless = { issuer = \"https://i.example\", identity = \"a\" }\ntransparency_log = false\ntimestamp_authorities = []\n",
            vec!["no_proof_of_time 5"],
        ),
        (
            "key = \"cosign.key\"\ntimestamp_authorities = [{ url = \"https://t.example\" }, {}, { url = \"t\" }, { url = \"https://t.example\" }]\n",
            vec!["missing_key 4", "url 4", "duplicate 4"],
        ),
    ] {
        assert_eq!(found(text), expected, "{text}");
    }
}

#[test]
fn a_key_writes_to_the_log_by_default_as_with_cosign() {
    for (text, log) in [("", true), ("transparency_log = false\n", false)] {
        let spec = World::new(&spec(&format!("key = \"cosign.key\"\n{text}"))).spec();
        assert_eq!(spec.desired.signers.values().next().unwrap().transparency_log, log, "{text}");
        assert!(spec.sigstore.is_none());
    }
}

#[test]
fn a_private_deployment_has_a_root_and_the_services_that_are_asked_for() {
    let world = |sigstore: &str, signer: &str| {
        let text = format!("{}[sigstore]\n{sigstore}", spec(signer));
        let world = World::new(&text).file("root.json", ROOT).file("config.json", CONFIG);
        world.file("no.json", "{")
    };
    let root = "trusted_root = \"root.json\"\n";
    let both = "trusted_root = \"root.json\"\nsigning_config = \"config.json\"\n";
    let key = "key = \"cosign.key\"\ntransparency_log = false\n";
    assert!(world(root, key).spec().sigstore.unwrap().signing_config.is_none());
    assert!(world(both, KEYLESS).spec().sigstore.unwrap().signing_config.is_some());
    assert_eq!(world(root, KEYLESS).problems(), ["no_signing_config 2"]);
    assert_eq!(world(root, "key = \"cosign.key\"\n").problems(), ["no_signing_config 2"]);
    assert_eq!(world("", key).problems(), ["missing_key 8"]);
    assert_eq!(world("trusted_root = \"no.json\"\n", key).problems(), ["trusted_root 9"]);
    assert_eq!(world("trusted_root = \"gone.json\"\n", key).problems(), ["unreadable 9"]);
    let config = "trusted_root = \"root.json\"\nsigning_config = \"no.json\"\n";
    assert_eq!(world(config, KEYLESS).problems(), ["signing_config 9"]);
}
