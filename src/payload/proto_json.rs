//! Members of protobuf's JSON: either spelling of a name, `null` for absent. Pure.

use serde_json::Value;

/// The member `name`, which is written `lowerCamelCase` and taken as `snake_case` too.
///
/// Source: protobuf, "ProtoJSON format": "Parsers accept both the lowerCamelCase name … and the original".
pub(super) fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let found = value.get(name).or_else(|| {
        let mut original = String::with_capacity(name.len() + 2);
        for c in name.chars() {
            if c.is_ascii_uppercase() {
                original.push('_');
            }
            original.push(c.to_ascii_lowercase());
        }
        value.get(&original)
    });
    found.filter(|it| !it.is_null())
}

/// The member `name`, where it is text.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    member(value, name)?.as_str()
}
