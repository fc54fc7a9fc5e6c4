//! Public keys, certificates and signatures that the spec names.

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

use crate::crypto::{Hash, PrivateKey};
use crate::keys::{KeySource, PublicKeySource};
use crate::model::{Annotations, Digest, Secret};
use crate::payload::{Format, NewBundle, SignStatement, SimpleSigning, statement_signed_bytes};
use crate::plan::Ability;
use crate::spec::tests::{DIGEST, World, all};

/// Signed by nobody in particular; made once for all tests of a run.
struct Room {
    key: PrivateKey,
    pair: KeyPair,
}

impl Room {
    fn new() -> Self {
        let pair = KeyPair::generate().unwrap();
        let key = PrivateKey::from_pkcs8(&Secret::new(pair.serialize_der())).unwrap();
        Self { key, pair }
    }

    fn public(&self) -> String {
        self.key.public_key().to_pem()
    }

    /// A certificate for code signing from an authority of its own, and that authority's.
    fn certificate(&self) -> (String, String) {
        let mut root = CertificateParams::new(vec![]).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_pair = KeyPair::generate().unwrap();
        let root_pem = root.self_signed(&root_pair).unwrap().pem();
        let mut leaf = CertificateParams::new(vec!["room.example".to_owned()]).unwrap();
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        let issuer = Issuer::new(root, root_pair);
        (leaf.signed_by(&self.pair, &issuer).unwrap().pem(), root_pem)
    }

    /// A payload over `DIGEST` and its signature in base64.
    fn attachment(&self) -> (String, String) {
        let digest = DIGEST.parse().unwrap();
        let annotations = Annotations::new();
        let payload =
            SimpleSigning { identity: "h.example/a", digest: &digest, annotations: &annotations };
        let payload = payload.to_bytes();
        let signature = self.key.sign(&payload, Hash::Sha256).unwrap();
        (String::from_utf8(payload).unwrap(), signature.to_base64() + "\n")
    }
}

const ROOM: &str = "version = 1\n[signers.room]\npublic_key = \"room.pub\"\n";
const IMAGE: &str = "[[images]]\nreference = \"h.example/a:1\"\nsign_with = [\"room\"]\n";

const ED25519: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

#[test]
fn a_public_key_alone_verifies_and_asks_for_no_log() {
    let room = Room::new();
    let spec = World::new(&format!("{ROOM}{IMAGE}")).file("room.pub", &room.public()).spec();
    assert_eq!(spec.keyring[0].source, KeySource::PublicKey(room.key.public_key().clone().into()));
    assert_eq!(spec.desired.signers.values().next().unwrap().ability, Ability::VerifyOnly);
    let log = World::new(&format!("{ROOM}transparency_log = true\n{IMAGE}"))
        .file("room.pub", &room.public());
    assert!(log.spec().desired.signers.values().all(|it| it.transparency_log));
    assert!(spec.desired.signers.values().all(|it| !it.transparency_log));
}

#[test]
fn a_file_without_a_public_key_is_told_once() {
    let world = World::new(&format!("{ROOM}{IMAGE}")).file("room.pub", "no key");
    assert_eq!(world.problems(), ["public_key 3"]);
}

#[test]
fn ed25519_has_neither_log_nor_hash() {
    for (text, expected) in [
        ("", vec![]),
        ("transparency_log = true\n", vec!["ed25519_log 4"]),
        ("key = \"cosign.key\"\n", vec!["ed25519_log 2"]),
        ("key = \"cosign.key\"\ntransparency_log = false\n", vec![]),
        ("hash = \"sha512\"\n", vec!["hash 4"]),
    ] {
        let world = World::new(&format!("{ROOM}{text}{IMAGE}")).file("room.pub", ED25519);
        assert_eq!(world.problems(), expected, "{text}");
    }
}

#[test]
fn certificates_belong_to_the_key_and_chain_to_the_root() {
    let (room, other) = (Room::new(), Room::new());
    let (leaf, root) = room.certificate();
    let (_, other_root) = other.certificate();
    let text =
        format!("{ROOM}certificate = \"leaf.pem\"\ncertificate_chain = \"chain.pem\"\n{IMAGE}");
    let world = |public: &Room, chain: &str| {
        World::new(&text)
            .file("room.pub", &public.public())
            .file("leaf.pem", &leaf)
            .file("chain.pem", chain)
    };
    let spec = world(&room, &root).spec();
    let profile = spec.desired.signers.values().next().unwrap();
    assert_eq!(profile.certificate.as_ref().unwrap().public_key(), room.key.public_key());
    assert_eq!(profile.chain.as_ref().unwrap().certificates().len(), 1);
    assert_eq!(world(&other, &root).problems(), ["certificate_mismatch 4"]);
    assert_eq!(world(&room, &other_root).problems(), ["chain 5"]);
    assert_eq!(world(&room, "").problems(), ["certificate 5"]);
}

#[test]
fn a_retired_signer_must_not_have_the_key_of_another() {
    let (room, other) = (Room::new(), Room::new());
    let text = format!("{ROOM}[signers.old]\npublic_key = \"old.pub\"\nretired = true\n{IMAGE}");
    let world = |old: &Room| {
        World::new(&text).file("room.pub", &room.public()).file("old.pub", &old.public())
    };
    assert_eq!(world(&other).problems(), [""; 0]);
    assert_eq!(world(&room).problems(), ["same_key 4"]);
}

#[test]
fn attachments_are_read_and_verified() {
    let (room, other) = (Room::new(), Room::new());
    let (payload, signature) = room.attachment();
    let text = format!(
        "{ROOM}{IMAGE}[[images.attachments]]\nsigner = \"room\"\npayload = \"out/p\"\nsignature = \"out/s\"\nrekor_bundle = \"out/r\"\n"
    );
    let world = |public: &Room, signature: &str| {
        World::new(&text)
            .file("room.pub", &public.public())
            .file("out/p", &payload)
            .file("out/s", signature)
            .file("out/r", "{\"SignedEntryTimestamp\": \"x\"}\n")
    };
    let spec = world(&room, &signature).spec();
    let attachment = &spec.desired.images[0].attachments[0];
    assert_eq!(attachment.origin.to_string(), "countersign.toml:7");
    assert_eq!(attachment.claim.digest.to_string(), DIGEST);
    assert_eq!(attachment.signature.to_base64(), signature.trim());
    assert_eq!(attachment.path, std::path::Path::new("out/p"));
    assert_eq!(attachment.rekor_bundle.as_deref(), Some("{\"SignedEntryTimestamp\": \"x\"}"));
    assert_eq!(world(&other, &signature).problems(), ["signature_mismatch 10"]);
    let (_, wrong) = other.attachment();
    assert_eq!(world(&room, &wrong).problems(), ["signature_mismatch 10"]);

    let mut raw = world(&room, "");
    raw.files.add("out/s", room.key.sign(payload.as_bytes(), Hash::Sha256).unwrap().as_bytes());
    let problems = raw.load().unwrap_err();
    assert!(all(&problems).contains("base64 -w0"), "{}", all(&problems));
}

#[test]
fn bundles_are_read_and_verified() {
    let (room, other) = (Room::new(), Room::new());
    let digest: Digest = DIGEST.parse().unwrap();
    let annotations = Annotations::from([("build".to_owned(), "7".to_owned())]);
    let statement = SignStatement { digest: &digest, annotations: &annotations }.to_bytes();
    let signature = room.key.sign(&statement_signed_bytes(&statement), Hash::Sha256).unwrap();
    let key = room.key.public_key();
    let bundle = NewBundle {
        key,
        certificate: None,
        statement: &statement,
        signature: &signature,
        log_entries: &[],
        timestamps: &[],
    };
    let bundle = String::from_utf8(bundle.to_bytes()).unwrap();
    let text =
        format!("{ROOM}{IMAGE}[[images.attachments]]\nsigner = \"room\"\nbundle = \"out/b\"\n");
    let world = |public: &Room, bundle: &str| {
        World::new(&text).file("room.pub", &public.public()).file("out/b", bundle)
    };
    let spec = world(&room, &bundle).spec();
    let attachment = &spec.desired.images[0].attachments[0];
    assert_eq!(attachment.format(), Format::Bundle);
    assert_eq!(attachment.claim.annotations, annotations);
    assert_eq!(attachment.claim.digest, digest);
    assert_eq!(attachment.bundle.as_deref(), Some(bundle.as_bytes()));
    assert_eq!(world(&other, &bundle).problems(), ["signature_mismatch 9"]);
    assert_eq!(world(&room, "{}").problems(), ["bundle 9"]);
    let older = bundle.replace(".v0.3+json", "+json;version=0.2");
    assert_eq!(world(&room, &older).problems(), ["bundle 9"]);

    let beside = format!("{text}certificate = \"out/b\"\n");
    let world = World::new(&beside).file("room.pub", &room.public()).file("out/b", &bundle);
    assert!(world.problems().contains(&"conflict 10".to_owned()));
}

#[test]
fn attachments_of_a_list_go_to_the_image_that_they_name() {
    let room = Room::new();
    let (payload, signature) = room.attachment();
    let other = format!("sha256:{}", "0".repeat(64));
    let text = format!(
        "{ROOM}[[images_from]]\nfile = \"list\"\nformat = \"lines\"\nsign_with = [\"room\"]\n[[images_from.attachments]]\nsigner = \"room\"\npayload = \"p\"\nsignature = \"s\"\n"
    );
    let spec = World::new(&text)
        .file("room.pub", &room.public())
        .file("p", &payload)
        .file("s", &signature)
        .file("list", &format!("h.example/b@{other}\nh.example/a@{DIGEST}\n"))
        .spec();
    let counts: Vec<_> = spec.desired.images.iter().map(|it| it.attachments.len()).collect();
    assert_eq!(counts, [0, 1]);
}

#[test]
fn the_declared_public_key_stands_beside_the_key() {
    let room = Room::new();
    let spec =
        World::new(&format!("{ROOM}key = \"cosign.key\"\ntransparency_log = false\n{IMAGE}"))
            .file("room.pub", &room.public())
            .spec();
    let KeySource::Key { public_key, .. } = &spec.keyring[0].source else { panic!("a key") };
    assert_eq!(*public_key, Some(room.key.public_key().clone().into()));
}

#[test]
fn a_public_key_may_be_wherever_a_reference_leads() {
    let spec = |text: &str| format!("version = 1\n[signers.room]\n{text}{IMAGE}");
    let source = |text: &str| World::new(&spec(text)).allow("PUB").spec().keyring[0].source.clone();
    for (text, reference) in [
        ("public_key = \"env://PUB\"\n", "env://PUB"),
        #[cfg(feature = "all-providers")]
        ("public_key = \"awskms:///alias/room\"\n", "awskms:///alias/room"),
        #[cfg(feature = "all-providers")]
        ("public_key = \"pkcs11:token=a;object=b\"\n", "pkcs11:token=a;object=b"),
    ] {
        let KeySource::PublicKey(PublicKeySource::Of(found)) = source(text) else {
            panic!("{text}")
        };
        assert_eq!(found.to_string(), reference);
        // Beside a key, which may then be elsewhere.
        let text = format!("key = \"room.key\"\n{text}transparency_log = false\n");
        let KeySource::Key { public_key, .. } = source(&text) else { panic!("{text}") };
        assert_eq!(public_key, Some(PublicKeySource::Of(found)));
    }
    for (text, expected) in [
        ("env://PUB", "env_not_allowed 3"),
        ("https://h.example/room.pub", "key_reference 3"),
        ("github://a/b", "key_reference 3"),
    ] {
        let world = World::new(&spec(&format!("public_key = \"{text}\"\n")));
        assert_eq!(world.problems(), [expected], "{text}");
    }
    for text in [
        "acme://room",
        "awskms://evil.example/alias/a",
        "pkcs11:token=a;object=b?module-path=/m.so",
        "azurekms://127.0.0.1:9/k",
    ] {
        let world = World::new(&spec(&format!("public_key = \"{text}\"\n"))).untrusted();
        assert_eq!(world.problems(), ["untrusted 3"], "{text}");
    }
}

#[test]
fn a_retired_signer_must_not_lead_to_the_key_of_another() {
    let text = "version = 1\n[signers.room]\nkey = \"env://KEY\"\ntransparency_log = false\n[signers.old]\nkey = \"env://KEY\"\nretired = true\n";
    let world = World::new(&format!("{text}{IMAGE}")).allow("KEY");
    assert_eq!(world.problems(), ["same_key 5"]);
}

#[test]
fn with_a_public_key_beside_it_the_key_may_be_elsewhere() {
    let room = Room::new();
    let spec = |public: &str| {
        format!(
            "version = 1\n[signers.room]\nkey = \"room.key\"\n{public}transparency_log = false\n{IMAGE}"
        )
    };
    let with = spec("public_key = \"room.pub\"\n");
    let world = World::new(&with).file("room.pub", &room.public());
    assert_eq!(world.problems(), [""; 0]);
    assert_eq!(world.untrusted().problems(), [""; 0]);
    assert_eq!(World::new(&spec("")).problems(), ["unreadable 3"]);
    let outside = with.replace("room.key", "../room.key");
    let world = World::new("").untrusted().file("spec/room.pub", &room.public());
    let world = world.file("spec/countersign.toml", &outside);
    let problems = world.load_files(&["spec/countersign.toml"]).unwrap_err();
    assert_eq!(crate::spec::tests::short(&problems), ["untrusted 3"]);
}
