//! The JSON Schema of a spec, made from the tables that the reader follows. Pure.

use serde_json::{Map, Value, json};

use crate::spec::language::SPEC;
use crate::spec::table::{Field, Kind, Need, Table};

/// Where the schema is published.
const ID: &str =
    "https://raw.githubusercontent.com/countersign/countersign/main/schemas/spec.schema.json";

/// A text with a variable in it, whose value an editor cannot know.
const VARIABLE: &str = r"\$\{";

/// The JSON Schema (draft 2020-12) of a spec, for editors: `#:schema` at the top of a file.
///
/// It knows keys, types and the texts that a key takes. What only the whole spec can tell (whether a
/// signer exists, which keys exclude each other) is checked by [`Spec::load`](crate::spec::Spec::load).
pub fn json_schema() -> Value {
    let mut definitions = Map::new();
    let mut root = table(&SPEC, &mut definitions);
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("$id".to_owned(), json!(ID));
    schema.insert("title".to_owned(), json!("countersign spec"));
    schema.append(&mut root);
    definitions.sort_keys();
    schema.insert("$defs".to_owned(), Value::Object(definitions));
    Value::Object(schema)
}

fn table(table: &'static Table, definitions: &mut Map<String, Value>) -> Map<String, Value> {
    let mut properties = Map::new();
    for field in table.fields {
        properties.insert(field.key.to_owned(), property(field, definitions));
    }
    let needed: Vec<_> = table.fields.iter().filter(|it| it.need == Need::Required).collect();
    let needed: Vec<_> = needed.iter().map(|it| it.key).collect();
    let mut schema = Map::new();
    schema.insert("description".to_owned(), json!(table.doc));
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), Value::Object(properties));
    if !needed.is_empty() {
        schema.insert("required".to_owned(), json!(needed));
    }
    schema.insert("additionalProperties".to_owned(), json!(false));
    schema
}

fn property(field: &Field, definitions: &mut Map<String, Value>) -> Value {
    let mut schema = Map::new();
    schema.insert("description".to_owned(), json!(field.doc));
    schema.append(&mut kind(field.kind, definitions));
    let default = field.default.and_then(|text| serde_json::from_str::<Value>(text).ok());
    if let Some(default) = default {
        schema.insert("default".to_owned(), default);
    }
    Value::Object(schema)
}

fn kind(kind: Kind, definitions: &mut Map<String, Value>) -> Map<String, Value> {
    let text = || json!({ "type": "string" });
    let schema = match kind {
        Kind::Choice(choices) => choice(choices),
        Kind::Choices(choices) => {
            json!({ "type": "array", "items": choice(choices), "minItems": 1, "uniqueItems": true })
        }
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Integer(least, most) if least == most => json!({ "const": least }),
        Kind::Integer(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::Named(table) => {
            json!({ "type": "object", "additionalProperties": reference(table, definitions) })
        }
        Kind::Number => json!({ "type": "number", "exclusiveMinimum": 0 }),
        Kind::Section(table) => reference(table, definitions),
        Kind::Sections(table) => json!({ "type": "array", "items": reference(table, definitions) }),
        Kind::Text => text(),
        Kind::TextMap | Kind::Variables => {
            json!({ "type": "object", "additionalProperties": text() })
        }
        Kind::TextOrTexts => {
            json!({ "anyOf": [text(), { "type": "array", "items": text(), "minItems": 1 }] })
        }
        Kind::Texts => json!({ "type": "array", "items": text(), "uniqueItems": true }),
    };
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

fn choice(choices: &[&str]) -> Value {
    json!({ "anyOf": [{ "enum": choices }, { "type": "string", "pattern": VARIABLE }] })
}

fn reference(to: &'static Table, definitions: &mut Map<String, Value>) -> Value {
    if !definitions.contains_key(to.name) {
        // The name is taken before the table is walked, so that a table may contain itself.
        definitions.insert(to.name.to_owned(), Value::Null);
        let schema = table(to, definitions);
        definitions.insert(to.name.to_owned(), Value::Object(schema));
    }
    json!({ "$ref": format!("#/$defs/{}", to.name) })
}
