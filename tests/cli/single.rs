//! The commands for one image: on layouts alone, and on a real registry beside cosign.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use super::sandbox::{PASSWORD, Sandbox};
use super::support::cosign::{Cosign, SignOptions};
use super::support::docker_registry::DockerRegistry;
use super::support::tools::{self, Tool};

const NAME: &str = "registry.example.com/api";
pub(super) const SIGN: [&str; 7] = [
    "sign",
    "--key",
    "release.key",
    "--tlog-upload=false",
    "--sign-container-identity",
    NAME,
    "oci:images:api",
];

pub(super) fn lines(sandbox: &Sandbox, image: &str) -> usize {
    let ended = sandbox.run(&["download", "signature", image]);
    if ended.code == Some(0) { ended.stdout.lines().count() } else { 0 }
}

#[test]
fn signing_twice_adds_nothing_and_force_adds_one() {
    let sandbox = Sandbox::new();
    for expected in [1, 1] {
        sandbox.run_with_password(&SIGN).expect(0);
        assert_eq!(lines(&sandbox, "oci:images:api"), expected);
    }
    for expected in [2, 3] {
        sandbox.run_with_password(&[&SIGN[..], &["--force"]].concat()).expect(0);
        assert_eq!(lines(&sandbox, "oci:images:api"), expected);
    }
    let verified = ["verify", "--key", "release.pub", "--insecure-ignore-tlog", "oci:images:api"];
    assert_eq!(sandbox.run(&verified).expect(0).json().as_array().unwrap().len(), 3);
}

#[test]
fn of_several_images_the_good_ones_are_signed() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run_with_password(&[&SIGN[..], &["oci:images:nope"]].concat()).expect(3);
    assert!(ended.stderr.contains("error[image::not_found]"), "{ended}");
    assert_eq!(lines(&sandbox, "oci:images:api"), 1);
    let mut alone = SIGN;
    alone[6] = "oci:images:nope";
    sandbox.run_with_password(&alone).expect(1);
}

#[test]
fn what_is_not_there_yet_is_told() {
    let sandbox = Sandbox::new();
    let arguments = ["attach", "signature", "--bundle", "b.json", "oci:images:api"];
    let ended = sandbox.run(&arguments).expect(64);
    assert!(ended.stderr.contains("error[cli::not_yet]"), "{ended}");
    assert!(ended.stderr.contains("help: "), "{ended}");
}

#[test]
fn signatures_that_are_wrong_are_not_attached() {
    let sandbox = Sandbox::new();
    let sign = [
        &SIGN[..],
        &["--upload=false", "--output-signature", "sig", "--output-payload", "payload"],
    ]
    .concat();
    sandbox.run_with_password(&sign).expect(0);
    assert_eq!(lines(&sandbox, "oci:images:api"), 0, "nothing was uploaded");
    sandbox.key("rsa2048", "other");
    let attach = |extra: &[&str]| {
        let begin = ["attach", "signature", "--payload", "payload", "--signature"];
        sandbox.run(&[&begin[..], extra].concat())
    };
    for (arguments, code) in [
        (&["sig", "--key", "other.pub", "oci:images:api"][..], "attachment::does_not_verify"),
        (&["sig", "--key", "release.pub", "oci:images:web"], "attachment::other_subject"),
        (&["nonsense!", "oci:images:api"], "attachment::not_base64"),
    ] {
        let ended = attach(arguments).expect(1);
        assert!(ended.stderr.contains(&format!("error[{code}]")), "{ended}");
    }
    assert_eq!(lines(&sandbox, "oci:images:api"), 0);
    for key in [&["--key", "release.pub"][..], &[]] {
        attach(&[&["sig", "oci:images:api"], key].concat()).expect(0);
        assert_eq!(lines(&sandbox, "oci:images:api"), 1, "once, however often");
    }
}

#[test]
fn a_signature_comes_from_standard_input() {
    let sandbox = Sandbox::new();
    let sign = [&SIGN[..], &["--upload=false", "--output-payload", "payload"]].concat();
    let signature = sandbox.run_with_password(&sign).expect(0).stdout;
    let attach = ["attach", "signature", "--payload", "payload", "--signature", "-"];
    let mut child = sandbox
        .command(&[&attach[..], &["--key", "release.pub", "oci:images:api"]].concat())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(signature.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(lines(&sandbox, "oci:images:api"), 1);
}

#[test]
fn what_is_owed_goes_out_and_comes_back() {
    let sandbox = Sandbox::with(
        r#"
        version = 1
        [signers.vault]
        public_key = "release.pub"
        [[images]]
        reference = "oci:images:api"
        container_identity = "registry.example.com/api"
        sign_with = ["vault"]
        "#,
    );
    sandbox.run(&["export", "out"]).expect(0);
    let index = sandbox.json("out/index.json");
    let owed = index["owed"].as_array().unwrap();
    assert_eq!((owed.len(), &owed[0]["signer"]), (1, &"vault".into()));
    let payload = format!("out/{}", owed[0]["payload"].as_str().unwrap());
    // Another tool signs, and calls the file what it likes.
    let sign = [
        "sign",
        "--key",
        "release.key",
        "--tlog-upload=false",
        "--upload=false",
        "--output-signature",
        "out/what.ever",
        "--payload",
        &payload,
        "oci:images:api",
    ];
    sandbox.run_with_password(&sign).expect(0);
    sandbox.run(&["plan"]).expect(1);
    sandbox.run(&["apply", "--yes", "--attachments", "out"]).expect(0);
    sandbox.run(&["plan", "--detailed-exitcode"]).expect(0);
    sandbox.run(&["export", "again"]).expect(0);
    assert_eq!(sandbox.json("again/index.json")["owed"].as_array().unwrap().len(), 0);

    // A signature that is nobody's is named, and nothing is written.
    sandbox.write("out/wrong.sig", "bm8gc2lnbmF0dXJl");
    let refused = sandbox.run(&["apply", "--yes", "--attachments", "out"]).expect(1);
    assert!(refused.stderr.contains("attachment::does_not_verify"), "{refused}");
}

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

#[test]
fn outputs_are_cosigns_byte_for_byte() {
    if !tools::have(&[Tool::Cosign2, Tool::Cosign3, Tool::DockerRegistry]) {
        return;
    }
    let (registry, sandbox, cosign) = (DockerRegistry::start(), Sandbox::new(), Cosign::v2());
    let image = registry.reference("one/app:1");
    sandbox.run(&["copy", "oci:images:api", &image]).expect(0);
    let key = cosign.generate_key_pair(sandbox.path(), "cosign", "");
    let annotations = vec![("note".to_owned(), "<b>, \"c\" & ü".to_owned())];
    cosign.sign(&[&image], &key, &SignOptions { annotations, ..SignOptions::default() }).success();
    cosign.sign(&[&image], &key, &SignOptions::default()).success();
    let public = key.public.display().to_string();
    for arguments in [
        &["download", "signature", &image][..],
        &["tree", &image],
        &["triangulate", &image],
        &["triangulate", "--type", "attestation", &image],
        &["triangulate", "--type", "digest", &image],
        &["generate", "-a", "b=1,a=<2>", &image],
        &["verify", "--key", &public, "--insecure-ignore-tlog", &image],
        &["verify", "--key", &public, "--insecure-ignore-tlog", "-o", "text", &image],
    ] {
        let theirs = tools::Home::new().run(Tool::Cosign2, arguments).success();
        let ours = sandbox.run(arguments).expect(0);
        assert_eq!(ours.stdout, theirs.stdout, "{arguments:?}");
    }
}

#[test]
fn keys_and_places_come_from_the_environment_as_in_cosign() {
    let sandbox = Sandbox::new();
    let key = fs::read_to_string(sandbox.path().join("release.key")).unwrap();
    let mut arguments = SIGN;
    arguments[2] = "env://A_KEY";
    let mut command = sandbox.command(&arguments);
    command.env("A_KEY", key).env("COSIGN_PASSWORD", PASSWORD);
    command.env("COSIGN_REPOSITORY", "oci:elsewhere");
    sandbox.ended(&mut command).expect(0);
    assert_eq!(lines(&sandbox, "oci:images:api"), 0);
    assert!(Path::new(&sandbox.path().join("elsewhere/index.json")).exists());
    let mut command = sandbox.command(&["download", "signature", "oci:images:api"]);
    let ended = sandbox.ended(command.env("COSIGN_REPOSITORY", "oci:elsewhere")).expect(0);
    assert_eq!(ended.stdout.lines().count(), 1);
}
