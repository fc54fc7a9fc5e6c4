use super::*;

const A: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const B: &str = "sha256:f6b0c25f2de681c2ac53a750fc90bc092b38fb021c5002b8a5f0d559e88f8f6d";

fn names(text: &str, format: ListFormat) -> Result<Vec<String>, Vec<String>> {
    let show = |it: &Listed| {
        let tag = it.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = if it.digest.to_string() == A { "A" } else { "B" };
        format!("{}{tag}@{digest}", it.repository)
    };
    parse(text, format)
        .map(|listed| listed.iter().map(show).collect())
        .map_err(|errors| errors.into_iter().map(|it| it.reason).collect())
}

#[test]
fn lines_have_comments_blanks_tags_and_repetitions() {
    let text = format!(
        "\u{feff}# what the build made\r\n\nghcr.io/acme/api@{A}\n  ghcr.io/acme/web:1.0@{B}  # the web\nghcr.io/acme/api@{A}\n"
    );
    assert_eq!(
        names(&text, ListFormat::Lines).unwrap(),
        ["ghcr.io/acme/api@A", "ghcr.io/acme/web:1.0@B"]
    );
    assert_eq!(names("", ListFormat::Lines).unwrap(), [""; 0]);
}

#[test]
fn every_wrong_line_is_told_by_its_number_and_never_quoted() {
    let text =
        format!("ghcr.io/acme/api:1\nroot:x:0:0:hunter2\noci:images@{A}\nghcr.io/acme/api@{A}\n");
    assert_eq!(
        names(&text, ListFormat::Lines).unwrap_err(),
        [
            "line 1 has no digest",
            "line 2 is no reference",
            "line 3 names a layout, which only the spec itself may do",
        ]
    );
    assert_eq!(names(&"!\n".repeat(1000), ListFormat::Lines).unwrap_err().len(), MAX_ERRORS);
}

#[test]
fn buildx_writes_one_object_with_a_list_of_names() {
    let text = format!(
        r#"{{"buildx.build.ref": "default/default/x", "containerimage.digest": "{A}",
            "image.name": "docker.io/acme/api:1.0, docker.io/acme/api,ghcr.io/acme/api:1.0"}}"#
    );
    assert_eq!(
        names(&text, ListFormat::Buildx).unwrap(),
        ["index.docker.io/acme/api:1.0@A", "index.docker.io/acme/api@A", "ghcr.io/acme/api:1.0@A",]
    );
}

#[test]
fn bake_writes_an_object_for_each_target() {
    let text = format!(
        r#"{{"buildx.build.warnings": [], "api": {{"containerimage.digest": "{A}", "image.name": "h.example/api:1"}},
            "docs": {{"buildx.build.ref": "local"}},
            "web": {{"containerimage.digest": "{B}", "image.name": "h.example/web:1"}}}}"#
    );
    assert_eq!(
        names(&text, ListFormat::Buildx).unwrap(),
        ["h.example/api:1@A", "h.example/web:1@B"]
    );
    assert_eq!(names("{}", ListFormat::Buildx).unwrap(), [""; 0]);
}

#[test]
fn broken_metadata_is_told_without_its_content() {
    for (text, reason) in [
        ("hunter2".to_owned(), "it is no JSON object"),
        (r#"["hunter2"]"#.to_owned(), "it is no JSON object"),
        (
            r#"{"containerimage.digest": "hunter2"}"#.to_owned(),
            "`containerimage.digest` of the build is no digest",
        ),
        (
            format!(r#"{{"hunter2": {{"containerimage.digest": "{A}"}}}}"#),
            "target 1 has no `image.name`: it was pushed under no name",
        ),
        (
            format!(r#"{{"containerimage.digest": "{A}", "image.name": "h.example/HUNTER2"}}"#),
            "`image.name` of the build is no reference",
        ),
    ] {
        assert_eq!(names(&text, ListFormat::Buildx).unwrap_err(), [reason]);
    }
}
