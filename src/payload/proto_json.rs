//! Members of protobuf's JSON: either spelling of a name, `null` for absent. Pure.

use serde_json::Value;

/// The member `name`, which is written `lowerCamelCase` and taken as `snake_case` too.
///
/// Source: protobuf, "ProtoJSON format": "Parsers accept both the lowerCamelCase name … and the original".
pub(super) fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let found = value.get(name).or_else(|| value.get(original(name)));
    found.filter(|it| !it.is_null())
}

/// Says whether an object has no members but `names`, in either spelling; what is no object has none.
pub(super) fn has_only(value: &Value, names: &[&str]) -> bool {
    let is_known = |key: &str| names.iter().any(|name| *name == key || original(name) == key);
    value.as_object().is_none_or(|it| it.keys().all(|key| is_known(key)))
}

/// `lowerCamelCase` as `snake_case`.
fn original(name: &str) -> String {
    let mut original = String::with_capacity(name.len() + 2);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            original.push('_');
        }
        original.push(c.to_ascii_lowercase());
    }
    original
}

/// The member `name`, where it is text.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    member(value, name)?.as_str()
}
