//! `countersign verify IMAGE`: what cosign accepts and prints, ours accepts and prints, and the reverse.

use std::fs;
use std::path::PathBuf;

use super::sandbox::{PASSWORD, Sandbox};
use super::support::certificates::{Authority, Purpose, Validity};
use super::support::cosign::{Cosign, Format, KeyPair, SignOptions};
use super::support::docker_registry::DockerRegistry;
use super::support::tools::{Home, Tool, have};

/// A registry with one image, and a folder with keys.
struct World {
    sandbox: Sandbox,
    image: String,
    registry: DockerRegistry,
}

impl World {
    /// None where a tool is missing.
    fn new() -> Option<Self> {
        let tools = [Tool::Cosign2, Tool::Cosign3, Tool::DockerRegistry];
        let (registry, sandbox) = (have(&tools).then(DockerRegistry::start)?, Sandbox::new());
        let image = registry.reference("acme/app:1");
        sandbox.run(&["copy", "oci:images:api", &image]).expect(0);
        Some(Self { sandbox, image, registry })
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        self.sandbox.write(name, content);
        self.sandbox.path().join(name)
    }

    fn path(&self, name: &str) -> String {
        self.sandbox.path().join(name).display().to_string()
    }

    /// Signs with a key pair of the fixtures, by cosign 2.
    fn signed(&self, key: &str, annotations: &[(&str, &str)]) {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let annotations = annotations.iter().map(own).collect();
        let options = SignOptions { annotations, ..SignOptions::default() };
        Cosign::v2().sign(&[&self.image], &self.pair(key), &options).success();
    }

    fn pair(&self, name: &str) -> KeyPair {
        KeyPair {
            private: self.path(&format!("{name}.key")).into(),
            public: self.path(&format!("{name}.pub")).into(),
            password: PASSWORD.to_owned(),
        }
    }

    /// Says whether both accept, and checks that they print the same; `tools` are asked.
    #[track_caller]
    fn agree(&self, tools: &[Tool], arguments: &[&str]) -> bool {
        let arguments =
            [&["verify", "--insecure-ignore-tlog"], arguments, &[self.image.as_str()]].concat();
        let ours = self.sandbox.run(&arguments);
        for tool in tools {
            let theirs = Home::new().run(*tool, &arguments);
            assert_eq!(
                ours.code == Some(0),
                theirs.is_success(),
                "{arguments:?}: {ours} {theirs:?}"
            );
            assert_eq!(ours.stdout, theirs.stdout, "{arguments:?}");
        }
        if ours.code != Some(0) {
            assert_eq!(ours.code, Some(6), "{ours}");
            assert!(ours.stderr.contains("error[signature::no"), "{ours}");
        }
        ours.code == Some(0)
    }
}

const BOTH: [Tool; 2] = [Tool::Cosign2, Tool::Cosign3];

#[test]
fn keys_annotations_and_outputs_are_judged_as_cosign_judges_them() {
    let Some(world) = World::new() else { return };
    let key = world.path("release.pub");
    assert!(!world.agree(&BOTH, &["--key", &key]), "nothing is signed yet");
    world.signed("release", &[("note", "<b>, & ü"), ("build", "8812")]);
    world.signed("release", &[]);
    for (good, arguments) in [
        (true, &["--key", &key][..]),
        (true, &["--key", &key, "-o", "text"]),
        (true, &["--key", &key, "-a", "build=8812"]),
        (true, &["--key", &key, "-a", "build=8812", "-a", "\"note=<b>, & ü\""]),
        (false, &["--key", &key, "-a", "build=8813"]),
        (false, &["--key", &key, "-a", "other="]),
        (true, &["--key", &key, "--check-claims=false"]),
        (true, &["--key", &key, "--check-claims=false", "-a", "other="]),
        (false, &["--key", &key, "--signature-digest-algorithm", "sha512"]),
    ] {
        assert_eq!(world.agree(&BOTH, arguments), good, "{arguments:?}");
    }
    world.sandbox.key("rsa2048", "other");
    assert!(!world.agree(&BOTH, &["--key", &world.path("other.pub")]));
}

#[test]
fn signatures_over_other_hashes_are_accepted_where_that_is_asked_for() {
    let Some(world) = World::new() else { return };
    world.sandbox.key("p384", "wide");
    // cosign 3 signs with the hash that is as wide as the key.
    Cosign::v3().sign(&[&world.image], &world.pair("wide"), &SignOptions::default()).success();
    let key = world.path("wide.pub");
    assert!(!world.agree(&BOTH, &["--key", &key]));
    assert!(world.agree(&BOTH, &["--key", &key, "--signature-digest-algorithm", "sha384"]));
}

#[test]
fn bundles_are_judged_as_cosign_3_judges_them() {
    let Some(world) = World::new() else { return };
    let third = [Tool::Cosign3];
    let bundle =
        |annotations| SignOptions { annotations, format: Format::Bundle, ..SignOptions::default() };
    let annotated = vec![("note".to_owned(), "<b> & ü".to_owned())];
    let (key, pair) = (world.path("release.pub"), world.pair("release"));
    Cosign::v3().sign(&[&world.image], &pair, &bundle(annotated)).success();
    for (good, arguments) in [
        (true, &["--key", &key][..]),
        (true, &["--key", &key, "-o", "text"]),
        (true, &["--key", &key, "-a", "note=<b> & ü"]),
        (false, &["--key", &key, "-a", "note=<b>"]),
    ] {
        assert_eq!(world.agree(&third, arguments), good, "{arguments:?}");
    }
    // A signature behind the tag, where cosign 3 does not look any more.
    world.sandbox.key("rsa2048", "other");
    world.signed("other", &[]);
    let other = world.path("other.pub");
    let verify = ["verify", "--insecure-ignore-tlog", "--key", &other, &world.image];
    let ours = world.sandbox.run(&verify).expect(0);
    assert!(ours.stderr.contains("warning[format::hidden_by_bundle]"), "{ours}");
    assert_eq!(ours.stdout, Home::new().run(Tool::Cosign2, &verify).success().stdout);
    Home::new().run(Tool::Cosign3, &verify).failure();
    // By digest, as the bundle path prints it.
    let digest = world.sandbox.run(&["triangulate", "--type", "digest", &world.image]).expect(0);
    let by_digest = ["verify", "--insecure-ignore-tlog", "--key", &key, digest.stdout.trim()];
    let theirs = Home::new().run(Tool::Cosign3, &by_digest).success();
    assert_eq!(world.sandbox.run(&by_digest).expect(0).stdout, theirs.stdout);
    // What cosign downloads, ours downloads.
    let download = ["download", "signature", &world.image];
    let theirs = Home::new().run(Tool::Cosign3, &download).success().stdout;
    let ours = world.sandbox.run(&download).expect(0).stdout;
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text.trim()).unwrap();
    assert_eq!(json(&ours), json(&theirs));
}

#[test]
fn certificates_of_own_authorities_are_judged_as_cosign_judges_them() {
    let Some(world) = World::new() else { return };
    let root = Authority::root("root");
    let between = root.intermediate("between");
    let leaf = between.leaf(Purpose::CodeSigning("release@acme.example"), Validity::LONG);
    let (chain, roots) = (format!("{}{}", between.pem(), root.pem()), root.pem().to_owned());
    let certificate = world.file("leaf.pem", leaf.pem());
    let chain = world.file("chain.pem", &chain);
    let (other, roots) =
        (world.file("other.pem", Authority::root("other").pem()), world.file("roots.pem", &roots));
    let between = world.file("between.pem", between.pem());
    world.sandbox.write("leaf.pk8", leaf.key_pem());
    let import = ["import-key-pair", "--key", "leaf.pk8", "--output-key-prefix", "leaf"];
    world.sandbox.run_with_password(&import).expect(0);
    let options = SignOptions {
        certificate: Some(certificate.clone()),
        certificate_chain: Some(chain.clone()),
        ..SignOptions::default()
    };
    Cosign::v2().sign(&[&world.image], &world.pair("leaf"), &options).success();
    let text = |path: &PathBuf| path.display().to_string();
    let (certificate, chain, roots) = (text(&certificate), text(&chain), text(&roots));
    let (other, between) = (text(&other), text(&between));
    let named = [
        "--insecure-ignore-sct",
        "--certificate-identity",
        "release@acme.example",
        "--certificate-oidc-issuer-regexp",
        ".*",
    ];
    let by = |identity: &'static str, issuer: &'static str| {
        [
            "--insecure-ignore-sct",
            "--certificate-identity-regexp",
            identity,
            "--certificate-oidc-issuer-regexp",
            issuer,
        ]
    };
    for (good, who, arguments) in [
        (true, named, &["--ca-roots", &roots][..]),
        (true, named, &["--ca-roots", &roots, "--ca-intermediates", &between]),
        (true, named, &["--certificate-chain", &chain]),
        (true, named, &["--certificate", &certificate, "--certificate-chain", &chain]),
        (true, named, &["--ca-roots", &roots, "-o", "text"]),
        (false, named, &["--ca-roots", &other]),
        (false, named, &["--ca-roots", &roots, "--ca-intermediates", &other]),
        (true, by("@acme", ".*"), &["--ca-roots", &roots]),
        (false, by("^acme", ".*"), &["--ca-roots", &roots]),
        (false, by(".*", "https"), &["--ca-roots", &roots]),
        (false, named, &["--certificate", &certificate, "--certificate-chain", &other]),
        (
            false,
            named,
            &["--ca-roots", &roots, "--certificate-github-workflow-ref", "refs/heads/main"],
        ),
    ] {
        let arguments = [&who[..], arguments].concat();
        assert_eq!(world.agree(&BOTH, &arguments), good, "{arguments:?}");
    }
    assert!(world.agree(&BOTH, &["--key", &world.path("leaf.pub")]));
    world.signed("release", &[]);
    assert!(world.agree(&BOTH, &[&named[..], &["--ca-roots", &roots]].concat()), "one is enough");
}

#[test]
fn a_certificate_that_is_over_is_not_accepted() {
    let Some(world) = World::new() else { return };
    let root = Authority::root("root");
    let leaf = root.leaf(Purpose::CodeSigning("release@acme.example"), Validity::OVER);
    world.sandbox.write("leaf.pem", leaf.pem());
    let roots = world.file("roots.pem", root.pem()).display().to_string();
    world.sandbox.write("leaf.pk8", leaf.key_pem());
    let import = ["import-key-pair", "--key", "leaf.pk8", "--output-key-prefix", "leaf"];
    world.sandbox.run_with_password(&import).expect(0);
    let pair = world.pair("leaf");
    let payload = world.sandbox.run(&["generate", &world.image]).expect(0).stdout;
    world.sandbox.write("payload", payload);
    let sign = ["sign", "--key", "leaf.key", "--tlog-upload=false", "--upload=false"];
    let sign = [&sign[..], &["--output-signature", "sig", &world.image]].concat();
    world.sandbox.run_with_password(&sign).expect(0);
    let attachment = super::support::cosign::Attachment {
        payload: world.path("payload").into(),
        signature: world.path("sig").into(),
        certificate: Some(world.path("leaf.pem").into()),
        certificate_chain: Some(roots.clone().into()),
    };
    Cosign::v2().attach_signature(&world.image, &attachment).success();
    // Whoever has the key hears no either.
    assert!(!world.agree(&BOTH, &["--key", &pair.public.display().to_string()]));
    let named = ["--certificate-identity-regexp", ".", "--certificate-oidc-issuer-regexp", ".*"];
    let roots = ["--ca-roots", &roots, "--insecure-ignore-sct"];
    assert!(!world.agree(&BOTH, &[&named[..], &roots].concat()));
}

#[test]
fn a_signature_of_the_command_line_is_judged_instead() {
    let Some(world) = World::new() else { return };
    let key = world.path("release.pub");
    let (payload, signature) = (world.path("payload"), world.path("sig"));
    let sign = ["sign", "--key", "release.key", "--tlog-upload=false", "--upload=false"];
    let files = ["--output-signature", "sig", "--output-payload", "payload", "-a", "a=1"];
    let sign = [&sign[..], &files, &[world.image.as_str()]].concat();
    world.sandbox.run_with_password(&sign).expect(0);
    let given = ["--key", &key, "--signature", &signature, "--payload", &payload];
    assert!(world.agree(&BOTH, &given));
    assert!(world.agree(&BOTH, &[&given[..], &["-a", "a=1", "-o", "text"]].concat()));
    assert!(!world.agree(&BOTH, &[&given[..], &["-a", "a=2"]].concat()));
    assert!(
        !world.agree(&BOTH, &["--key", &key, "--signature", &signature]),
        "without its payload"
    );
    let text = fs::read_to_string(&signature).unwrap();
    assert!(world.agree(&BOTH, &["--key", &key, "--signature", &text, "--payload", &payload]));
}

#[test]
fn the_image_of_a_saved_layout_is_verified() {
    let Some(world) = World::new() else { return };
    world.signed("release", &[]);
    let (saved, key) = (world.path("saved"), world.path("release.pub"));
    Cosign::v2().save(&world.image, saved.as_ref()).success();
    let verify = ["verify", "--insecure-ignore-tlog", "--key", &key, "--local-image", &saved];
    let ours = world.sandbox.run(&verify).expect(0);
    for tool in BOTH {
        assert_eq!(ours.stdout, Home::new().run(tool, &verify).success().stdout);
    }
    let both = ["verify", "--insecure-ignore-tlog", "--key", &key, "--local-image", "images"];
    let ended = world.sandbox.run(&both).expect(1);
    assert!(ended.stderr.contains("error[image::not_found]"), "{ended}");
}

#[test]
fn public_keys_come_from_variables_and_plugins_too() {
    let Some(world) = World::new() else { return };
    world.signed("release", &[]);
    let verify = ["verify", "--insecure-ignore-tlog", "--key", "env://A_KEY", &world.image];
    let mut command = world.sandbox.command(&verify);
    command.env("A_KEY", world.sandbox.read("release.pub"));
    world.sandbox.ended(&mut command).expect(0);
    let ended = world.sandbox.run(&verify).expect(64);
    assert!(ended.stderr.contains("the variable A_KEY is not set"), "{ended}");
}

#[test]
fn what_makes_no_sense_together_is_told() {
    let sandbox = Sandbox::new();
    let verify = |arguments: &[&str]| {
        let all = [&["verify", "--insecure-ignore-tlog", "oci:images:api"], arguments].concat();
        sandbox.run(&all).expect(64).stderr
    };
    for (arguments, said) in [
        (&["--key", "release.pub", "--certificate-identity", "a"][..], "two ways to say"),
        (&["--certificate-identity", "a"], "--certificate-oidc-issuer"),
        (&["--certificate-oidc-issuer", "a"], "--certificate-identity"),
        (&["--payload", "p", "--key", "release.pub"], "--signature"),
        (&["--key", "release.key"], "holds no public key"),
    ] {
        let ended = verify(arguments);
        assert!(ended.contains(said), "{arguments:?}: {ended}");
    }
    let regexp = ["--certificate-identity-regexp", "(", "--certificate-oidc-issuer", "a"];
    assert!(verify(&regexp).contains("no regular expression"));
}

#[test]
fn what_cannot_be_read_is_no_missing_signature() {
    let Some(world) = World::new() else { return };
    world.signed("release", &[]);
    let (image, sandbox) = (world.image.clone(), world.sandbox);
    drop(world.registry);
    let key = sandbox.path().join("release.pub").display().to_string();
    let verify = ["verify", "--insecure-ignore-tlog", "--key", &key, &image];
    let ended = sandbox.run(&verify);
    assert!(ended.code != Some(0) && ended.code != Some(6), "{ended}");
}
