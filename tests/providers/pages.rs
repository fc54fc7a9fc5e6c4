//! Every provider has a page, and every page the same sections.

use std::collections::BTreeSet;
use std::path::Path;

use countersign::keys::PROVIDERS;

const SECTIONS: [&str; 5] =
    ["## Reference", "## Credentials", "## Least permissions", "## Limits", "## Example"];

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/providers/{name}.md"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_provider_has_a_page_with_the_same_sections() {
    let names: BTreeSet<_> = PROVIDERS.iter().map(|it| it.name()).collect();
    for name in names {
        let text = page(name);
        let found: Vec<_> = text.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(found, SECTIONS, "docs/providers/{name}.md");
        let schemes = PROVIDERS.iter().filter(|it| it.name() == name).map(|it| it.scheme());
        for scheme in schemes.filter(|it| *it != "file") {
            let shown = if scheme.contains('<') { scheme.to_owned() } else { format!("{scheme}:") };
            assert!(text.contains(&shown), "{name}.md does not name `{scheme}:`");
        }
    }
}

#[test]
fn the_example_of_every_page_is_a_key_that_is_taken() {
    let names: BTreeSet<_> = PROVIDERS.iter().map(|it| it.name()).collect();
    for name in names {
        let text = page(name);
        let example = text.split("## Example").nth(1).unwrap();
        let spec = example.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let spec: toml::Table = spec.parse().unwrap_or_else(|error| panic!("{name}.md: {error}"));
        let signers = spec["signers"].as_table().unwrap();
        let keys = signers.values().filter_map(|it| it.get("key")?.as_str());
        let schemes: Vec<_> = PROVIDERS.iter().filter(|it| it.name() == name).collect();
        let taken = keys.map(|key| super::reference(key).scheme().to_owned());
        let taken: Vec<_> = taken.collect();
        assert!(
            // What GitHub keeps comes back as a variable.
            taken.iter().any(|scheme| schemes.iter().any(|it| it.opens(scheme)))
                || (name == "github" && taken == ["env"]),
            "{name}.md shows {taken:?}"
        );
    }
}
