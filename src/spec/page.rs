//! The reference of the language for people, made from the tables that the reader follows. Pure.

use crate::spec::language::SPEC;
use crate::spec::table::{Field, Kind, Need, Table};

/// What no table says: how paths, variables and patterns are read.
const HEAD: &str = "\
# The spec

<!-- Made from src/spec/language.rs: UPDATE=1 cargo test --test generated -->

`countersign.toml` says which images must carry which signatures. It is TOML; the same tables make this page, the
reader and the [JSON Schema](../schemas/spec.schema.json). [examples](../examples) has specs to begin with.

- Paths are relative to the file that names them.
- Unknown keys are errors. Every problem is reported in one run, in file order, with its place, a code and a help text.
- `${NAME}` in a text takes a variable: `--var NAME=value`, `--var-file`, or `[variables]`. It is put in after the TOML
  has been read, so a value cannot add TOML. `$${` is a literal `${`. `${env:NAME}` takes an environment variable, which
  the command line must allow: `--allow-env NAME`.
- Patterns know `*`, `?` and `[…]`. They never match tags that are made from a digest (`sha256-…`).
- A signature needs what the spec says and what verifies: log entries, timestamps and the certificates of identities are
  checked offline with `trusted_root`, else with that of the public instance. More evidence than declared is as good.
";

/// The page `docs/spec.md`: every table and key, with what it takes, its default and its meaning.
pub fn reference_page() -> String {
    let mut page = HEAD.to_owned();
    let mut tables: Vec<(String, &'static Table)> = Vec::new();
    collect("", &SPEC, &mut tables);
    for (path, table) in tables {
        let heading = if path.is_empty() { "The file".to_owned() } else { format!("`{path}`") };
        page.push_str(&format!("\n## {heading}\n\n{}\n\n", table.doc));
        page.push_str("| key | takes | default | meaning |\n| --- | --- | --- | --- |\n");
        for field in table.fields {
            page.push_str(&row(field));
        }
    }
    page
}

/// The tables in the order in which a reader meets them, each once.
fn collect(path: &str, table: &'static Table, tables: &mut Vec<(String, &'static Table)>) {
    if tables.iter().any(|(_, known)| known.name == table.name) {
        return;
    }
    tables.push((path.to_owned(), table));
    for field in table.fields {
        let below = path.trim_matches(['[', ']']);
        let inner =
            if below.is_empty() { field.key.to_owned() } else { format!("{below}.{}", field.key) };
        match field.kind {
            Kind::Named(table) => collect(&format!("[{inner}.NAME]"), table, tables),
            Kind::Section(table) => collect(&format!("[{inner}]"), table, tables),
            Kind::Sections(table) => collect(&format!("[[{inner}]]"), table, tables),
            _ => {}
        }
    }
}

fn row(field: &Field) -> String {
    let takes = match field.kind {
        Kind::Choice(choices) => choices.join(", "),
        Kind::Choices(choices) => format!("a list of {}", choices.join(", ")),
        Kind::Integer(least, most) if least == most => least.to_string(),
        Kind::Integer(least, most) => format!("{least} to {most}"),
        kind => kind.noun().to_owned(),
    };
    let default = match (field.need, field.default) {
        (Need::Required, _) => "required".to_owned(),
        (Need::Optional, Some(default)) => format!("`{default}`"),
        (Need::Optional, None) => String::new(),
    };
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    format!(
        "| `{}` | {} | {} | {} For example `{}`. |\n",
        field.key,
        cell(&takes),
        cell(&default),
        cell(field.doc),
        cell(field.example)
    )
}
