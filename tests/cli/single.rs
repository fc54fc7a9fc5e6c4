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

#[test]
fn what_is_uploaded_nowhere_is_published_nowhere() {
    let sandbox = Sandbox::new();
    for published in
        [&[][..], &["--tlog-upload=false", "--timestamp-server-url=http://127.0.0.1:1"]]
    {
        let sign = ["sign", "--yes", "--key", "release.key", "--upload=false", "oci:images:api"];
        let ended = sandbox.run_with_password(&[&sign[..], published].concat()).expect(64);
        assert!(ended.stderr.contains("would be published and lost"), "{ended}");
        assert!(ended.stderr.contains("help: add --tlog-upload=false"), "{ended}");
    }
}

#[test]
fn a_bundle_is_signed_once_and_cosign_3_verifies_it() {
    if !tools::have(&[Tool::Cosign3, Tool::DockerRegistry]) {
        return;
    }
    let (registry, sandbox) = (DockerRegistry::start(), Sandbox::new());
    let image = registry.reference("one/app:1");
    sandbox.run(&["copy", "oci:images:api", &image]).expect(0);
    let sign = ["sign", "--new-bundle-format", "--key", "release.key", "--tlog-upload=false"];
    let sign = |more: &[&str]| sandbox.run_with_password(&[&sign[..], more, &[&*image]].concat());
    let key = sandbox.path().join("release.pub").display().to_string();
    let verify = ["verify", "--key", &key, "--insecure-ignore-tlog", "-a", "a=1", &image];
    for (more, expected) in
        [(&["-a", "a=1"][..], 1), (&["-a", "a=1"], 1), (&["-a", "a=1", "-f"], 2)]
    {
        sign(more).expect(0);
        assert_eq!(lines(&sandbox, &image), expected, "{more:?}");
        let theirs = tools::Home::new().run(Tool::Cosign3, &verify).success().stdout;
        assert_eq!(sandbox.run(&verify).expect(0).stdout, theirs);
    }
    sign(&["--upload=false"]).expect(64);
}
