//! Keys, types, values: what one look at a table of the language tells.

use crate::spec::Code;
use crate::spec::tests::{GOOD, World, table};

#[test]
fn every_unknown_key_and_wrong_type_is_told_in_file_order() {
    table(&[(
        "colour = 1\n[[images]]\nreferense = \"a:1\"\nrecursive = \"yes\"\ntags = \"1\"\nsign_with = [1, \"release\", 2]\n\
         [signers.other]\nkey = 5\n[signers]\nflat = 1\n[[images]]\nrepository = { a = 1 }\ntags = [\"1\"]\n",
        &[
            "unknown_key 1",
            "unknown_key 3",
            "wrong_type 4",
            "conflict 5",
            "wrong_type 5",
            "wrong_type 6",
            "wrong_type 6",
            "wrong_type 8",
            "wrong_type 10",
            "wrong_type 12",
        ],
    )]);
}

#[test]
fn a_near_key_is_suggested() {
    let world =
        World::new(&format!("{GOOD}[[images]]\nreference = \"a:1\"\nsign-with = [\"release\"]"));
    let problems = world.load().unwrap_err();
    let problem = problems.iter().next().unwrap();
    assert_eq!(problem.code(), Code::UnknownKey);
    assert_eq!(problem.help_text(), Some("did you mean `sign_with`?"));
}

#[test]
fn several_faults_of_the_syntax_are_told_at_once() {
    let world = World::new("version = 1\n[defaults\nsign_with = [\"a\n[[images]]\nreference = \n");
    let found = world.problems();
    assert!(found.len() >= 3, "{found:?}");
    assert!(found.iter().all(|it| it.starts_with("syntax ")), "{found:?}");
}

#[test]
fn the_version_must_be_1() {
    for (spec, expected) in [
        ("", vec!["version 1"]),
        ("version = 2\ncolour = 1", vec!["version 1"]),
        ("version = \"1\"", vec!["version 1"]),
        ("[defaults]\nversion = 1", vec!["version 1"]),
        ("version = 1", vec!["no_images"]),
    ] {
        assert_eq!(World::new(spec).problems(), expected, "{spec}");
    }
    let odd = World::new("").file("countersign.toml", "");
    assert_eq!(odd.problems(), ["version 1"]);
}

#[test]
fn values_have_their_forms() {
    let image = "[[images]]\nrepository = \"ghcr.io/acme/api\"\n";
    let cases: Vec<(String, Vec<&str>)> = vec![
        (
            format!("{image}tags = [\"1.4.2\", \"v2.*\"]\nexclude_tags = [\"*-rc?\", \"v2.0\"]"),
            vec![],
        ),
        (format!("{image}tags = [\"a b\", \"[\", \"{}-x\"]", "sha256"), vec!["tag 3", "glob 3"]),
        (format!("{image}tags = [\"sha256-{}.sig\"]", "a".repeat(64)), vec!["signature_tag 3"]),
        (format!("{image}tags = []"), vec!["empty 3"]),
        (format!("{image}tags = [\"1\"]\nexclude_tags = []"), vec!["empty 4"]),
        (format!("{image}digests = [\"sha256:abc\"]"), vec!["digest 3"]),
        (format!("{image}digests = []"), vec!["empty 3"]),
        (
            format!(
                "{image}tags = [\"1\"]\nplatforms = [\"linux/amd64\", \"linux\", \"a/b/c/d\", \"linux/arm64/v8\"]"
            ),
            vec!["platform 4", "platform 4"],
        ),
        (format!("{image}tags = [\"1\"]\nprune = \"supersede\""), vec!["unknown_value 4"]),
        (format!("{image}tags = [\"1\"]\nformats = [\"simple\"]"), vec!["unknown_value 4"]),
        (format!("{image}tags = [\"1\"]\nformats = []"), vec!["empty 4"]),
        (
            format!("{image}tags = [\"1\"]\nannotations = {{ \"\" = \"x\", a = 1 }}"),
            vec!["empty 4", "wrong_type 4"],
        ),
        (format!("{image}tags = [\"1\"]\ncontainer_identity = []"), vec!["empty 4"]),
        (format!("{image}tags = [\"1\"]\ncontainer_identity = [\"a\", \"b\"]"), vec![]),
        (format!("{image}tags = [\"1\"]\ncontainer_identity = \"\""), vec!["empty 4"]),
        (
            format!("{image}tags = [\"1\"]\nsignature_repository = \"ghcr.io/acme/signatures:1\""),
            vec!["reference 4"],
        ),
        (format!("{image}tags = [\"1\"]\nsignature_repository = \"oci:out\""), vec!["reference 4"]),
        (
            "[[images]]\nrepository = \"ghcr.io/acme/api:1\"\ntags = [\"1\"]".to_owned(),
            vec!["reference 2"],
        ),
        ("[[images]]\nreference = \"ghcr.io/Acme/api\"".to_owned(), vec!["reference 2"]),
        ("[[images]]\nreference = \"\"".to_owned(), vec!["reference 2"]),
        (
            "[[images]]\nreference = \"oci:out\"\ncontainer_identity = \"a\"".to_owned(),
            vec!["reference 2"],
        ),
    ];
    for (text, expected) in &cases {
        table(&[(text, expected)]);
    }
}

#[test]
fn registries_have_numbers_and_partners() {
    table(&[
        (
            "[registries.\"ghcr.io\"]\nrequests_per_second = 0\nwrites_per_second = -1.5\nconcurrency = 0\nproxy = \"proxy\"\n\
             [registries.\"*.example.com\"]\nrequests_per_second = 0.5\nconcurrency = 8\nproxy = \"http://p.example.com:3128\"\n\
             [registries.\"a/b\"]\n[registries.\"[\"]\n[registries.\"[::1]:5000\"]\n",
            &["out_of_range 2", "out_of_range 3", "out_of_range 4", "url 5", "glob 10", "glob 11"],
        ),
        (
            "[registries.\"ghcr.io\"]\nclient_key = \"cosign.key\"\nplain_http = true\nskip_tls_verify = true\nca_file = \"missing.pem\"",
            &["conflict 2", "conflict 4", "unreadable 5"],
        ),
        (
            "[registries.\"ghcr.io\"]\nrequests_per_second = inf\nconcurrency = 99999999999999999999",
            &["out_of_range 2", "out_of_range 3"],
        ),
    ]);
}

#[test]
fn a_table_can_be_written_in_every_way_that_toml_has() {
    let spec = "version = 1\nsigners.release = { key = \"cosign.key\", transparency_log = false }\n\
                signers.second.key = \"cosign.key\"\nsigners.second.transparency_log = false\n\
                defaults.sign_with = [\"release\", \"second\"]\nimages = [{ reference = \"h.example/a:1\" }]\n";
    let spec = World::new(spec).spec();
    assert_eq!(spec.desired.signers.len(), 2);
    assert_eq!(spec.desired.images.len(), 1);
}

#[test]
fn problems_point_at_the_name_of_a_signer_however_its_table_is_written() {
    for spec in [
        "version = 1\n[signers.release]\nretired = true\n",
        "version = 1\nsigners.release.retired = true\n",
        "version = 1\n[signers]\nrelease = { retired = true }\n",
    ] {
        let problems = World::new(spec).load().unwrap_err();
        let problem = problems.iter().next().unwrap();
        assert_eq!(problem.code(), Code::MissingKey, "{spec}");
        let (line, _) = problem.position().unwrap();
        assert!(spec.lines().nth(line as usize - 1).unwrap().contains("release"), "{spec}");
    }
}
