//! What the strict readers of cosign know of a bundle: any other member makes them pass over the whole. Pure.
//!
//! Source: sigstore-go reads bundles with protojson, and in-toto's Go library statements, both without leave for
//! unknown members; measured with cosign 3.1.1.

use serde_json::Value;

use crate::payload::proto_json;

/// Says whether a bundle has no members but those of version 0.3. Log entries and timestamps are not looked into.
pub(super) fn is_known_bundle(bundle: &Value) -> bool {
    let none = Value::Null;
    let in_bundle = |name| proto_json::member(bundle, name).unwrap_or(&none);
    let (material, envelope) = (in_bundle("verificationMaterial"), in_bundle("dsseEnvelope"));
    let in_material = |name| proto_json::member(material, name).unwrap_or(&none);
    let signatures = envelope.get("signatures").and_then(Value::as_array);
    let members = ["mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature"];
    let kinds = ["publicKey", "x509CertificateChain", "certificate"];
    let evidence = ["tlogEntries", "timestampVerificationData"];
    proto_json::has_only(bundle, &members)
        && proto_json::has_only(material, &[&kinds[..], &evidence[..]].concat())
        && proto_json::has_only(in_material("publicKey"), &["hint"])
        && proto_json::has_only(in_material("certificate"), &["rawBytes"])
        // These names are the same in either spelling.
        && has_exactly(envelope, &["payload", "payloadType", "signatures"])
        && signatures.into_iter().flatten().all(|it| has_exactly(it, &["sig", "keyid"]))
}

/// Says whether a statement has no members but those of in-toto.
pub(super) fn is_known_statement(statement: &[u8]) -> bool {
    let Ok(statement) = serde_json::from_slice::<Value>(statement) else { return false };
    let subjects = statement.get("subject").and_then(Value::as_array);
    let of_subject =
        ["name", "uri", "digest", "content", "downloadLocation", "mediaType", "annotations"];
    proto_json::has_only(&statement, &["_type", "type", "subject", "predicateType", "predicate"])
        && subjects.into_iter().flatten().all(|it| proto_json::has_only(it, &of_subject))
}

fn has_exactly(value: &Value, names: &[&str]) -> bool {
    value.as_object().is_none_or(|it| it.keys().all(|key| names.contains(&key.as_str())))
}
