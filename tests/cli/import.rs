//! `countersign import`: a spec of what is there, on which `plan` has nothing to do.

use super::sandbox::{Ended, PASSWORD, Sandbox};
use super::single::SIGN;
use super::support::api_registry::ApiRegistry;
use super::support::certificates::{Authority, Leaf, Purpose, Validity};
use super::support::cosign::{Cosign, Format, KeyPair, Recursion, SignOptions};
use super::support::docker_registry::DockerRegistry;
use super::support::tools::{self, Tool};

#[test]
fn plan_has_nothing_to_do_on_what_was_imported() {
    let sandbox = Sandbox::new();
    sandbox.run_with_password(&["apply", "--yes"]).expect(0);
    let more = [&SIGN[..], &["-a", "note=${x},second=yes"]].concat();
    sandbox.run_with_password(&more).expect(0);
    let spec = sandbox.run(&["import", "oci:images", "--key", "release=release.pub"]).expect(0);
    assert!(spec.stdout.contains("[signers.release]"), "{spec}");
    assert!(spec.stdout.matches("[[images]]").count() == 3, "{spec}");
    sandbox.write("imported.toml", &spec.stdout);
    let plan = sandbox.run(&["plan", "-f", "imported.toml", "--detailed-exitcode"]).expect(0);
    assert!(plan.stdout.contains("Nothing to do"), "{plan}");
}

/// A registry, and keys that sign in it.
struct World {
    sandbox: Sandbox,
    registry: DockerRegistry,
}

impl World {
    /// None where a tool is missing.
    fn new() -> Option<Self> {
        let tools = [Tool::Cosign2, Tool::Cosign3, Tool::Crane, Tool::DockerRegistry];
        let registry = tools::have(&tools).then(DockerRegistry::start)?;
        Some(Self { sandbox: Sandbox::new(), registry })
    }

    /// Copies an image of the layout.
    fn image(&self, name: &str, from: &str) -> String {
        let image = self.registry.reference(name);
        self.sandbox.run(&["copy", &format!("oci:images:{from}"), &image]).expect(0);
        image
    }

    fn pair(&self, name: &str) -> KeyPair {
        let path = |suffix: &str| self.sandbox.path().join(format!("{name}.{suffix}"));
        KeyPair { private: path("key"), public: path("pub"), password: PASSWORD.to_owned() }
    }

    /// Imports, and checks that the spec wants nothing more.
    fn imported(&self, arguments: &[&str]) -> String {
        let imported = self.sandbox.run(&[&["import"], arguments].concat()).expect(0);
        self.sandbox.write("imported.toml", &imported.stdout);
        let plan = self.plan();
        assert_eq!(plan.code, Some(0), "{plan}\n{}", imported.stdout);
        assert!(plan.stdout.contains("Nothing to do"), "{plan}\n{}", imported.stdout);
        imported.stdout
    }

    fn plan(&self) -> Ended {
        self.sandbox.run(&["plan", "-f", "imported.toml", "--detailed-exitcode"])
    }
}

fn annotated(key: &str, value: &str) -> SignOptions {
    let annotations = vec![(key.to_owned(), value.to_owned())];
    SignOptions { annotations, ..SignOptions::default() }
}

#[test]
fn formats_hashes_retired_and_foreign_signatures_are_told_apart() {
    let Some(world) = World::new() else { return };
    for (fixture, name) in [("p384", "wide"), ("rsa2048", "old"), ("p521", "stranger")] {
        world.sandbox.key(fixture, name);
    }
    // It keeps the list of referrers itself: the one that cosign 3 keeps behind a tag is to be mended.
    let with_api = ApiRegistry::start();
    let (one, both) = (world.image("one/app:1", "api"), with_api.reference("two/app:1"));
    world.sandbox.run(&["copy", &one, &both]).expect(0);
    let (second, third) = (Cosign::v2(), Cosign::v3());
    let bundle = |options| SignOptions { format: Format::Bundle, ..options };
    // cosign 3 signs with the hash that is as wide as the key.
    third.sign(&[&one], &world.pair("wide"), &SignOptions::default()).success();
    second.sign(&[&one], &world.pair("release"), &annotated("note", "${x}")).success();
    second.sign(&[&one], &world.pair("old"), &SignOptions::default()).success();
    second.sign(&[&one], &world.pair("stranger"), &SignOptions::default()).success();
    for options in [annotated("a", "1"), bundle(annotated("a", "1")), bundle(annotated("b", "2"))] {
        third.sign(&[&both], &world.pair("release"), &options).success();
    }
    let (one, both) = (world.registry.reference("one/app"), with_api.reference("two/app"));
    let keys =
        ["--key", "release=release.pub", "--key", "wide=wide.pub", "--retired", "old=old.pub"];
    let spec = world.imported(&[&[one.as_str(), &both], &keys[..]].concat());
    for expected in [
        "hash = \"sha384\"",
        "public_key = \"old.pub\"\nretired = true",
        "formats = [\"simple-signing\", \"bundle\"]",
        "formats = [\"bundle\"]",
        "1 signature of other keys",
        "1 signature that a spec need not want",
    ] {
        assert!(spec.contains(expected), "{expected} is not in\n{spec}");
    }
    // It is as strict as any: what is gone is missed.
    let clean = ["clean", "--force", "--key", "wide.pub", &format!("{one}:1")];
    world.sandbox.run(&clean).expect(0);
    world.plan().expect(1);
}

/// Makes a key pair of the leaf's key, and its files.
fn certified(world: &World, leaf: &Leaf, chain: &str) -> (KeyPair, SignOptions) {
    world.sandbox.write("leaf.pem", leaf.pem());
    world.sandbox.write("chain.pem", chain);
    world.sandbox.write("leaf.pk8", leaf.key_pem());
    let import = ["import-key-pair", "--key", "leaf.pk8", "--output-key-prefix", "leaf"];
    world.sandbox.run_with_password(&import).expect(0);
    let path = |name: &str| Some(world.sandbox.path().join(name));
    let options = SignOptions {
        certificate: path("leaf.pem"),
        certificate_chain: path("chain.pem"),
        ..SignOptions::default()
    };
    (world.pair("leaf"), options)
}

#[test]
fn certificates_are_written_and_declared() {
    let Some(world) = World::new() else { return };
    let root = Authority::root("root");
    let between = root.intermediate("between");
    let leaf = between.leaf(Purpose::CodeSigning("release@acme.example"), Validity::LONG);
    let chain = format!("{}{}", between.pem(), root.pem());
    let (pair, options) = certified(&world, &leaf, &chain);
    let image = world.image("one/app:1", "api");
    Cosign::v2().sign(&[&image], &pair, &options).success();
    let repository = world.registry.reference("one/app");
    let spec = world.imported(&[&repository, "--key", "release=leaf.pub"]);
    assert!(spec.contains("# Some signatures carry a certificate"), "{spec}");
    let written = ["--certificates", "certificates"];
    let spec =
        world.imported(&[&[&*repository, "--key", "release=leaf.pub"], &written[..]].concat());
    assert!(spec.contains("certificate = \"certificates/release.pem\""), "{spec}");
    assert!(spec.contains("certificate_chain = \"certificates/release.chain.pem\""), "{spec}");
    assert_eq!(world.sandbox.read("certificates/release.pem"), leaf.pem());
    assert_eq!(world.sandbox.read("certificates/release.chain.pem"), chain);
    // Another certificate is another thing to ask for: then there is none for all.
    let other = root.leaf(Purpose::CodeSigning("other@acme.example"), Validity::LONG);
    world.sandbox.write("certificates/release.pem", other.pem());
    world.plan().expect(65);
}

#[test]
fn indexes_and_other_places_are_recognised() {
    let Some(world) = World::new() else { return };
    let (web, part) = (world.image("one/web:1", "web"), world.image("two/web:1", "web"));
    let all = SignOptions { recursive: Recursion::All, ..SignOptions::default() };
    Cosign::v2().sign(&[&web], &world.pair("release"), &all).success();
    Cosign::v2().sign(&[&part], &world.pair("release"), &SignOptions::default()).success();
    let [web, part] = ["one/web", "two/web"].map(|it| world.registry.reference(it));
    let spec = world.imported(&[&web, "--key", "release=release.pub"]);
    assert!(spec.contains("recursive = true"), "{spec}");
    let spec = world.imported(&[&part, "--key", "release=release.pub"]);
    assert!(!spec.contains("recursive"), "{spec}");
    // COSIGN_REPOSITORY
    let place = world.registry.reference("signatures");
    let image = world.image("three/app:1", "api");
    let elsewhere =
        SignOptions { signature_repository: Some(place.clone()), ..SignOptions::default() };
    Cosign::v2().sign(&[&image], &world.pair("release"), &elsewhere).success();
    let three = world.registry.reference("three/app");
    let import = ["import", &three, "--key", "release=release.pub"];
    let mut command = world.sandbox.command(&import);
    let imported = world.sandbox.ended(command.env("COSIGN_REPOSITORY", &place)).expect(0);
    assert!(imported.stdout.contains("signature_repository"), "{imported}");
    world.sandbox.write("imported.toml", &imported.stdout);
    world.plan().expect(0);
}
