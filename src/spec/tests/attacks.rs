//! A spec from a pull request must not be able to steal or run anything: each attack of DESIGN §2.

use crate::spec::tests::{DIGEST, GOOD, World, all, short};

const SECRET: &str = "hunter2";

/// A spec with `text` behind a good beginning, in an environment that has a secret.
fn world(text: &str) -> World {
    let spec = format!("{GOOD}[[images]]\nreference = \"a:1\"\n{text}");
    World::new(&spec).set("TOKEN", SECRET).set("USER_NAME", "ci").set("COSIGN_PASSWORD", SECRET)
}

fn refused(world: &World, expected: &[&str]) {
    let problems = world.load().unwrap_err();
    assert_eq!(short(&problems), expected, "{}", all(&problems));
    assert!(!all(&problems).contains(SECRET), "{}", all(&problems));
}

#[test]
fn an_environment_variable_in_a_text_must_be_allowed() {
    let text = "annotations = { a = \"${env:TOKEN}\" }";
    refused(&world(text), &["env_not_allowed 9"]);
    refused(&world(text).allow("OTHER"), &["env_not_allowed 9"]);
    // Allowed for a registry is not allowed for an annotation that everybody can read.
    refused(&world(text).allow("TOKEN@ghcr.io"), &["env_not_allowed 9"]);
    let spec = world(text).allow("TOKEN").spec();
    assert_eq!(spec.desired.images[0].settings.annotations["a"], SECRET);
    refused(&world("annotations = { a = \"${env:MISSING}\" }").allow("MISSING"), &["env_unset 9"]);
    refused(&world("annotations = { a = \"${env:COSIGN_PASSWORD}\" }"), &["env_not_allowed 9"]);
    refused(&world("[variables]\nA = \"${env:TOKEN}\""), &["env_not_allowed 10"]);
}

#[test]
fn an_allowed_value_is_never_quoted() {
    let text = "exclude_tags = [\"${env:TOKEN}\"]\nprune = \"${env:TOKEN}\"\nsign_with = [\"${env:TOKEN}\"]\nplatforms = [\"${env:TOKEN}\"]\n\
                [[images]]\nreference = \"${env:TOKEN}/UPPER\"\n[[images]]\nrepository = \"b\"\ntags = [\"${env:TOKEN} \"]\n\
                [[images]]\nrepository = \"b\"\ndigests = [\"${env:TOKEN}\"]\n\
                [signers.x]\nkey = \"${env:TOKEN}://x\"\nhash = \"${env:TOKEN}\"\nrenew_before = \"${env:TOKEN}\"\n[signers.y]\nkey = \"${env:TOKEN}\"\n\
                [signers.z]\nkeyless = { issuer = \"${env:TOKEN}\", identity_regexp = \"[${env:TOKEN}\" }\n\
                [registries.\"a.example\"]\nproxy = \"${env:TOKEN}\"\n[[images]]\nrepository = \"b\"\ntags = [\"1\"]\nsignature_repository = \"${env:TOKEN}:x\"\n";
    let problems = world(text).allow("TOKEN").load().unwrap_err();
    assert!(problems.len() >= 14, "{}", all(&problems));
    assert!(!all(&problems).contains(SECRET), "{}", all(&problems));
}

#[test]
fn a_duplicate_of_an_allowed_value_is_not_quoted() {
    let text =
        "[[images]]\nreference = \"b:${env:TOKEN}\"\n[[images]]\nreference = \"b:${env:TOKEN}\"\n";
    refused(&world(text).allow("TOKEN"), &["duplicate 12"]);
}

#[test]
fn keys_and_passwords_in_the_environment_must_be_allowed() {
    let signer =
        |text: &str| format!("sign_with = [\"x\"]\n[signers.x]\ntransparency_log = false\n{text}");
    refused(&world(&signer("key = \"env://TOKEN\"")), &["env_not_allowed 12"]);
    refused(
        &world(&signer("key = \"env://TOKEN\"")).allow("TOKEN@ghcr.io"),
        &["env_not_allowed 12"],
    );
    refused(
        &world(&signer("key = \"cosign.key\"\npassword_env = \"TOKEN\"")).allow("TOKEN@ghcr.io"),
        &["env_not_allowed 13"],
    );
    world(&signer("key = \"env://TOKEN\"")).allow("TOKEN").spec();
    world(&signer("key = \"cosign.key\"\npassword_env = \"COSIGN_PASSWORD\"")).spec();
}

#[test]
fn credentials_go_only_to_the_host_that_they_are_allowed_for() {
    let registry = |host: &str| {
        format!("[registries.\"{host}\"]\nusername_env = \"USER_NAME\"\npassword_env = \"TOKEN\"")
    };
    let both = ["env_not_allowed 10", "env_not_allowed 11"];
    refused(&world(&registry("evil.example")), &both);
    // A bare name does not say where to.
    refused(&world(&registry("ghcr.io")).allow("TOKEN").allow("USER_NAME"), &both);
    let allowed =
        |host: &str| world(&registry(host)).allow("TOKEN@ghcr.io").allow("USER_NAME@ghcr.io");
    for host in [
        "evil.example",
        "*",
        "ghcr.io*",
        "*ghcr.io",
        "GHCR.IO",
        "ghcr.io:443",
        "ghcr.io.evil.example",
        "gh[c]r.io",
    ] {
        refused(&allowed(host), &both);
    }
    let spec = allowed("ghcr.io").spec();
    let (user, password) = spec.registries[0].credentials.as_ref().unwrap();
    assert_eq!((user.as_str(), password.expose().as_str()), ("ci", SECRET));
    assert!(!format!("{spec:?}").contains(SECRET));
    // A pattern can be allowed as such.
    let pattern = "*.dkr.ecr.*.amazonaws.com";
    let ecr = world(&registry(pattern))
        .allow(&format!("TOKEN@{pattern}"))
        .allow(&format!("USER_NAME@{pattern}"));
    ecr.spec();
    refused(
        &world(&registry("ghcr.io").replace("TOKEN", "COSIGN_PASSWORD")).allow("USER_NAME@ghcr.io"),
        &["env_not_allowed 11"],
    );
}

#[test]
fn files_that_are_no_specs_are_not_quoted() {
    let passwd = "root:x:0:0:hunter2:/root:/bin/sh\nversion:x\n";
    let toml = "[registry]\ntoken = \"hunter2\"\n";
    let other_version = "version = 3\ntoken = \"hunter2\"\n";
    for content in [passwd, toml, other_version, "token = hunter2", "version = \"hunter2\"\n"] {
        let world =
            World::new("version = 1\ninclude = [\"/etc/secret\"]\n").file("etc/secret", content);
        let problems = world.load().unwrap_err();
        assert!(!all(&problems).contains(SECRET), "{}", all(&problems));
        let named = world.load_files(&["/etc/secret"]).unwrap_err();
        assert!(!all(&named).contains(SECRET), "{}", all(&named));
        assert!(named.iter().all(|it| it.file() == Some("/etc/secret")));
    }
}

#[test]
fn the_content_of_keys_and_certificates_is_not_quoted() {
    let text = "sign_with = [\"x\"]\n[signers.x]\nkey = \"cosign.key\"\ntransparency_log = false\npublic_key = \"/etc/secret\"\ncertificate = \"/etc/secret\"\ncertificate_chain = \"/etc/secret\"\n";
    for content in [
        SECRET,
        "-----BEGIN PUBLIC KEY-----\nhunter2\n-----END PUBLIC KEY-----\n",
        "-----BEGIN hunter2-----",
    ] {
        let world = world(text).file("etc/secret", content);
        refused(&world, &["public_key 13", "certificate 14", "certificate 15"]);
    }
}

#[test]
fn an_untrusted_spec_runs_and_weakens_nothing() {
    for (text, expected) in [
        ("[registries.\"ghcr.io\"]\nplain_http = true", vec!["untrusted 10"]),
        ("[registries.\"ghcr.io\"]\nskip_tls_verify = true", vec!["untrusted 10"]),
        ("[registries.\"ghcr.io\"]\nproxy = \"http://evil.example\"", vec!["untrusted 10"]),
        ("[sigstore]", vec!["missing_key 9", "untrusted 9"]),
        ("[signers.x]\nretired = true\nkey = \"evil://x\"", vec!["untrusted 11"]),
        (
            "[signers.x]\nretired = true\nkey = \"pkcs11:token=a?module-path=/tmp/evil.so\"",
            vec!["untrusted 11"],
        ),
    ] {
        let mut found = world(text).untrusted().problems();
        found.sort();
        assert_eq!(found, expected, "{text}");
        let trusted = world(text).problems();
        assert!(!trusted.iter().any(|it| it.starts_with("untrusted")), "{trusted:?}");
    }
    assert_eq!(world("").untrusted().problems(), [""; 0]);
}

#[test]
fn an_untrusted_spec_reads_nothing_outside_its_folder() {
    let list = format!("h.example/a@{DIGEST}\n");
    let texts = [
        "[registries.\"ghcr.io\"]\nca_file = \"PATH\"",
        "[registries.\"ghcr.io\"]\nclient_certificate = \"PATH\"\nclient_key = \"spec/cosign.key\"",
        "[signers.x]\nretired = true\nkey = \"PATH\"",
        "[signers.x]\nretired = true\nkey = \"cosign.key\"\npassword_file = \"PATH\"",
        "[signers.x]\nretired = true\npublic_key = \"PATH\"",
        "[signers.x]\nretired = true\nkey = \"cosign.key\"\ncertificate = \"PATH\"",
        "[[images_from]]\nfile = \"PATH\"\nformat = \"lines\"",
        "[[images.attachments]]\nsigner = \"release\"\npayload = \"PATH\"\nsignature = \"PATH\"",
        "[[images.attachments]]\nsigner = \"release\"\nbundle = \"PATH\"",
        "[[images]]\nreference = \"oci:PATH:app\"\ncontainer_identity = \"a\"",
        "[[images]]\nrepository = \"oci:PATH\"\ntags = [\"app\"]\ncontainer_identity = \"a\"",
    ];
    for path in
        ["../outside", "/outside", "link", "folder/outside", "./x/../../outside", "${UP}/outside"]
    {
        for text in texts {
            let spec = format!(
                "{GOOD}[[images]]\nreference = \"a:1\"\n{}\n[variables]\nUP = \"..\"",
                text.replace("PATH", path)
            );
            let mut world = World::new("").untrusted();
            world.files.add("spec/countersign.toml", spec);
            world.files.add("spec/cosign.key", "");
            world.files.add("spec/x/y", "");
            world.files.add("outside", list.clone());
            world.files.link("spec/link", "/outside");
            world.files.link("spec/folder", "/");
            let problems = world.load_files(&["spec/countersign.toml"]).unwrap_err();
            assert!(
                short(&problems).iter().any(|it| it.starts_with("untrusted ")),
                "{path} {text} {:?}",
                short(&problems)
            );
        }
    }
}

#[test]
fn an_untrusted_spec_includes_nothing_outside_its_folder() {
    for include in
        ["../outside.toml", "/outside.toml", "link.toml", "../*.toml", "/*.toml", "l*.toml"]
    {
        let mut world = World::new("").untrusted();
        world
            .files
            .add("spec/countersign.toml", format!("version = 1\ninclude = [\"{include}\"]\n"));
        world.files.add("outside.toml", "version = 1\n");
        world.files.link("spec/link.toml", "/outside.toml");
        let problems = world.load_files(&["spec/countersign.toml"]).unwrap_err();
        assert_eq!(short(&problems), ["untrusted 2"], "{include}");
    }
}

#[test]
fn an_untrusted_spec_is_no_link_out_of_its_folder() {
    let mut world = World::new("").untrusted();
    world.files.add("etc/secret.toml", "version = 1\ntoken = \"hunter2\"");
    world.files.add("spec/other", "");
    world.files.link("spec/countersign.toml", "/etc/secret.toml");
    let problems = world.load_files(&["spec/countersign.toml"]).unwrap_err();
    assert_eq!(short(&problems), ["untrusted"]);
    assert!(!all(&problems).contains(SECRET));
}

#[test]
fn an_untrusted_spec_may_use_its_own_folder_and_what_is_below() {
    let list = format!("h.example/a@{DIGEST}\n");
    let mut world = World::new("").untrusted();
    world.files.add(
        "ci/spec/countersign.toml",
        format!("{GOOD}[[images_from]]\nfile = \"out/../out/list\"\nformat = \"lines\"\n")
            .replace("version = 1", "version = 1\ninclude = [\"teams/*.toml\"]"),
    );
    world.files.add("ci/spec/cosign.key", "");
    world.files.add("ci/spec/out/list", list.clone());
    // The folder is that of the first file: an included one may go up as far as that.
    world.files.add(
        "ci/spec/teams/a.toml",
        "version = 1\n[[images_from]]\nfile = \"../out/list\"\nformat = \"lines\"\n",
    );
    let spec =
        world.load_files(&["ci/spec/countersign.toml"]).unwrap_or_else(|it| panic!("{}", all(&it)));
    assert_eq!(spec.desired.images.len(), 2);
}
