//! Several files, includes, variables, lists of images, attachments without keys.

use crate::plan::Selection;
use crate::spec::tests::{DIGEST, GOOD, World, all, short};
use crate::spec::{Code, Spec};

const TEAM: &str = "version = 1\n[[images]]\nreference = \"h.example/team:1\"\n";

fn references(spec: &Spec) -> Vec<String> {
    let images = spec.desired.images.iter();
    images.map(|it| format!("{} {}", it.origin, it.repository)).collect()
}

#[test]
fn includes_join_files_and_defaults_come_from_the_nearest() {
    let world = World::new(&format!(
        "{}[[images]]\nreference = \"h.example/own:1\"\n",
        GOOD.replace("version = 1", "version = 1\ninclude = [\"teams/*.toml\", \"more.toml\"]")
            + "annotations = { a = \"root\", b = \"root\" }\n"
    ))
    .file("teams/b.toml", "version = 1\n[defaults]\nannotations = { b = \"team\" }\nrecursive = true\n[[images]]\nreference = \"h.example/b:1\"\n")
    .file("teams/a.toml", TEAM)
    .file("more.toml", "version = 1\ninclude = [\"deep/x.toml\"]\n[defaults]\nprune = \"retired\"")
    .file("deep/x.toml", "version = 1\n[[images]]\nreference = \"oci:layout:app\"\ncontainer_identity = \"a\"\n");
    let spec = world.spec();
    assert_eq!(
        references(&spec),
        [
            "countersign.toml:9 h.example/own",
            "teams/a.toml:2 h.example/team",
            "teams/b.toml:5 h.example/b",
            "deep/x.toml:2 oci:deep/layout",
        ]
    );
    let [own, team, b, deep] = &spec.desired.images[..] else { panic!("four images") };
    assert!(!own.settings.recursive && b.settings.recursive);
    assert_eq!(team.settings, own.settings);
    let texts: Vec<_> = b.settings.annotations.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(texts, ["a=root", "b=team"]);
    assert_eq!(deep.settings.prune, crate::plan::Prune::Retired);
    assert_eq!(deep.settings.sign_with, own.settings.sign_with);
}

#[test]
fn several_files_join_and_do_not_share_defaults() {
    let world = World::new(&format!("{GOOD}[[images]]\nreference = \"h.example/own:1\""));
    let world = world.file("team.toml", TEAM);
    let problems = world.load_files(&["countersign.toml", "team.toml"]).unwrap_err();
    assert_eq!(short(&problems), ["missing_key 2"]);
    let world = world.file("team.toml", &format!("{TEAM}sign_with = [\"release\"]"));
    let spec = world.load_files(&["countersign.toml", "team.toml"]).unwrap();
    assert_eq!(spec.desired.images.len(), 2);
}

#[test]
fn wrong_includes_are_told_where_they_stand() {
    let cases: &[(&str, &[&str])] = &[
        ("\"missing.toml\"", &["unreadable 2"]),
        ("\"teams/*.toml\"", &["include_empty 2"]),
        ("\"countersign.toml\"", &["include_cycle 2"]),
        ("\"loop.toml\"", &["include_cycle 2"]),
        ("\"team.toml\", \"team.toml\"", &["include_cycle 2"]),
        ("\"sections.toml\"", &["first_file_only 2", "first_file_only 3", "first_file_only 4"]),
        ("\"twice.toml\"", &["defined_twice 2"]),
        ("\"binary.toml\"", &["syntax 1"]),
    ];
    for (include, expected) in cases {
        let mut world = World::new(
            &GOOD.replace("version = 1", &format!("version = 1\ninclude = [{include}]")),
        )
        .file("loop.toml", "version = 1\ninclude = [\"countersign.toml\"]\n")
        .file("team.toml", TEAM)
        .file("sections.toml", "version = 1\nvariables = {}\nregistries = {}\nsigstore = {}\n")
        .file(
            "twice.toml",
            "version = 1\n[signers.release]\nkey = \"cosign.key\"\ntransparency_log = false\n",
        );
        world.files.add("binary.toml", b"version = 1 \xff".to_vec());
        assert_eq!(&world.problems(), expected, "{include}");
    }
    let world = World::new(GOOD);
    let problems = world.load_files(&["missing.toml"]).unwrap_err();
    assert_eq!(
        problems.iter().next().unwrap().to_string(),
        "missing.toml cannot be read: there is no such file"
    );
    assert_eq!(
        short(&world.load_files(&["countersign.toml", "./countersign.toml"]).unwrap_err()),
        ["include_cycle"]
    );
}

#[test]
fn includes_have_a_depth() {
    let mut world = World::new("version = 1\ninclude = [\"0.toml\"]\n");
    for number in 0..50 {
        let text = format!("version = 1\ninclude = [\"{}.toml\"]\n", number + 1);
        world.files.add(format!("{number}.toml"), text);
    }
    assert_eq!(world.problems(), ["include_cycle 2"]);
}

#[test]
fn problems_of_several_files_come_in_their_order() {
    let world = World::new("version = 1\ninclude = [\"b.toml\", \"a.toml\"]\ncolour = 1\n")
        .file("a.toml", "version = 1\n[[images]]\n")
        .file("b.toml", "version = 1\nx = 1\ny = 1\n");
    let problems = world.load().unwrap_err();
    let places: Vec<_> = problems
        .iter()
        .map(|it| format!("{}:{} {}", it.file().unwrap(), it.position().unwrap().0, it.code()))
        .collect();
    assert_eq!(
        places,
        [
            "countersign.toml:3 spec::unknown_key",
            "b.toml:2 spec::unknown_key",
            "b.toml:3 spec::unknown_key",
            "a.toml:2 spec::missing_key",
            "a.toml:2 spec::missing_key",
        ]
    );
}

#[test]
fn variables_are_filled_into_texts() {
    let spec = format!(
        "{GOOD}annotations = {{ price = \"$${{X}}\", plain = \"$5 {{}}\" }}\n[variables]\nHOST = \"h.example\"\nTAG = \"1\"\nREV = \"${{env:REV}}\"\n\
         [[images]]\nreference = \"${{HOST}}/a:${{TAG}}-${{NEW}}-${{FILE}}-${{REV}}-${{env:B.C}}\"\n"
    );
    let world = World::new(&spec)
        .variable("TAG", "2")
        .variable("NEW", "n")
        .file("vars.toml", "FILE = \"f\"\nTAG = \"3\"\nNEW = \"x\"")
        .set("REV", "r")
        .set("B.C", "b")
        .allow("REV")
        .allow("B.C");
    let mut world = world;
    world.options.variable_files.push("vars.toml".into());
    let spec = world.spec();
    let Selection::Tags { names, .. } = &spec.desired.images[0].selection else { panic!("a tag") };
    assert_eq!(names[0].as_str(), "2-n-f-r-b");
    assert_eq!(spec.desired.images[0].settings.annotations["price"], "${X}");
    assert_eq!(spec.desired.images[0].settings.annotations["plain"], "$5 {}");
}

#[test]
fn a_value_cannot_add_toml() {
    let world = World::new(&format!(
        "{GOOD}[[images]]\nreference = \"a:1\"\nannotations = {{ a = \"${{V}}\" }}"
    ))
    .variable("V", "x\" }\n[[images]]\nreference = \"evil:1\" # ${OTHER}");
    let spec = world.spec();
    assert_eq!(spec.desired.images.len(), 1);
    assert!(spec.desired.images[0].settings.annotations["a"].ends_with("# ${OTHER}"));
}

#[test]
fn wrong_variables_are_underlined() {
    let world = World::new(&format!(
        "{GOOD}[[images]]\nreference = \"a:${{TGA}}\"\nannotations = {{ a = \"${{\", b = \"${{}}\", c = \"${{a b}}\", d = \"${{env:}}\" }}\n[variables]\nTAG = \"1\"\nLOOP = \"${{TAG}}\"\nNUMBER = 1\n"
    ))
    .variable("unused", "x");
    assert_eq!(
        world.problems(),
        [
            "unused_variable",
            "unknown_variable 8",
            "variable 9",
            "variable 9",
            "variable 9",
            "variable 9",
            "unknown_variable 12",
            "wrong_type 13",
        ]
    );
    let problems = world.load().unwrap_err();
    let unknown = problems.iter().find(|it| it.code() == Code::UnknownVariable).unwrap();
    assert_eq!(unknown.position(), Some((8, 16)));
    assert_eq!(unknown.help_text(), Some("did you mean `${TAG}`?"));
}

#[test]
fn a_file_of_variables_holds_nothing_but_texts() {
    for content in ["A = 1", "A = \"hunter2", "hunter2", "[A]\nb = \"x\""] {
        let mut world = World::new(&format!("{GOOD}[[images]]\nreference = \"a:1\""))
            .file("vars.toml", content);
        world.options.variable_files.push("vars.toml".into());
        let problems = world.load().unwrap_err();
        assert_eq!(short(&problems), ["variable"]);
        assert!(!all(&problems).contains("hunter2"));
    }
}

#[test]
fn variables_cannot_fill_the_memory() {
    let long = "x".repeat(1 << 20);
    let spec = format!(
        "version = 1\n[variables]\nA = \"{long}\"\n[defaults]\nannotations = {{ a = \"{}\" }}",
        "${A}".repeat(100)
    );
    assert!(World::new(&spec).problems().contains(&"variable 5".to_owned()));
}

#[test]
fn lists_of_a_build_become_images() {
    let list = format!("h.example/a@{DIGEST}\nh.example/b:1@{DIGEST}\n");
    let world = World::new(&format!(
        "{GOOD}[[images]]\nreference = \"first:1\"\n[[images_from]]\nfile = \"out/images.txt\"\nformat = \"lines\"\nrecursive = true\n[[images]]\nreference = \"last:1\"\n"
    ))
    .file("out/images.txt", &list);
    let spec = world.spec();
    assert_eq!(
        references(&spec),
        [
            "countersign.toml:7 index.docker.io/library/first",
            "countersign.toml:9 h.example/a",
            "countersign.toml:9 h.example/b",
            "countersign.toml:13 index.docker.io/library/last",
        ]
    );
    assert!(
        matches!(&spec.desired.images[2].selection, Selection::Pinned { tag, .. } if tag.as_str() == "1")
    );
    assert!(
        spec.desired.images[1].settings.recursive && !spec.desired.images[3].settings.recursive
    );
}

#[test]
fn lists_that_cannot_be_used_are_told() {
    for (content, format, more, expected) in [
        ("", "lines", "", vec!["images_from_empty 8"]),
        ("# none\n", "lines", "allow_empty = true", vec!["no_images"]),
        ("hunter2:1:2\nx:1", "ko", "", vec!["images_from 8", "images_from 8"]),
        ("hunter2", "buildx", "", vec!["images_from 8"]),
        ("{}", "buildx", "", vec!["images_from_empty 8"]),
    ] {
        let world = World::new(&format!(
            "{GOOD}[[images_from]]\nfile = \"list\"\nformat = \"{format}\"\n{more}\n"
        ))
        .file("list", content);
        assert_eq!(world.problems(), expected, "{content}");
        let shown = world.load().map_or_else(|it| all(&it), |it| all(&it.warnings));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let missing =
        World::new(&format!("{GOOD}[[images_from]]\nfile = \"list\"\nformat = \"lines\"\n"));
    assert_eq!(missing.problems(), ["unreadable 8"]);
    let neither = World::new(&format!("{GOOD}[[images_from]]\nrepository = \"a\"\n"));
    assert_eq!(neither.problems(), ["missing_key 7", "missing_key 7", "unknown_key 8"]);
}

#[test]
fn attachments_need_their_files() {
    let spec = format!(
        "{GOOD}[[images]]\nreference = \"a:1\"\n[[images.attachments]]\nsigner = \"nobody\"\npayload = \"p\"\nsignature = \"s\"\nrekor_bundle = \"s\"\n[[images.attachments]]\nsigner = \"release\"\n"
    );
    let world = World::new(&spec).file("p", "{\"critical\": \"hunter2\"}");
    let world = world.file("s", "not base64: hunter2");
    assert_eq!(
        world.problems(),
        [
            "unknown_signer 10",
            "payload 11",
            "signature 12",
            "evidence 13",
            "missing_key 14",
            "missing_key 14"
        ]
    );
    assert!(!all(&world.load().unwrap_err()).contains("hunter2"));
    assert_eq!(
        World::new(&spec).problems().iter().filter(|it| it.starts_with("unreadable")).count(),
        3
    );
}
