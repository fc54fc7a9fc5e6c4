use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_800_000_000;

fn service(url: &str, version: u32, from: &str, operator: &str) -> Value {
    json!({"url": url, "majorApiVersion": version, "validFor": {"start": from}, "operator": operator})
}

fn ended(mut service: Value) -> Value {
    service["validFor"]["end"] = json!("2024-06-01T00:00:00Z");
    service
}

fn config(logs: &[Value], selector: &Value) -> SigningConfig {
    let json = json!({
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "caUrls": [service("https://old", 1, "2023-01-01T00:00:00Z", "o"),
                   service("https://new", 1, "2025-01-01T00:00:00Z", "o"),
                   service("https://future", 1, "2999-01-01T00:00:00Z", "o"),
                   service("https://other", 7, "2025-01-01T00:00:00Z", "o")],
        "rekorTlogUrls": logs, "rekorTlogConfig": selector, "tsaUrls": [], "tsaConfig": {"selector": "ANY"},
    });
    SigningConfig::parse(json.to_string().as_bytes()).unwrap()
}

fn logs(config: &SigningConfig, format: Format) -> Result<Vec<String>, String> {
    let found = config.logs(format, Timestamp::from_seconds(NOW));
    let found = found.map_err(|error| error.to_string())?;
    Ok(found.into_iter().map(|it| it.url).collect())
}

#[test]
fn the_newest_that_is_valid_now_is_taken() {
    let config = config(&[], &json!({"selector": "ANY"}));
    let now = Timestamp::from_seconds(NOW);
    assert_eq!(config.certificate_authority(now).unwrap().url, "https://new");
    let then = Timestamp::from_seconds(1_700_000_000);
    assert_eq!(config.certificate_authority(then).unwrap().url, "https://old");
    assert!(config.issuer(now).is_err());
    assert_eq!(config.timestamp_authorities(now).unwrap(), []);
    let error = config.certificate_authority(Timestamp::from_seconds(0)).unwrap_err();
    assert_eq!(Failure::from(&error).code, "sigstore::no_service");
}

#[test]
fn as_many_logs_as_the_selector_says_of_one_version_and_different_operators() {
    let all = [
        service("https://a1", 1, "2023-01-01T00:00:00Z", "a"),
        service("https://a2-old", 2, "2024-01-01T00:00:00Z", "a"),
        service("https://b2", 2, "2024-02-01T00:00:00Z", "b"),
        service("https://a2", 2, "2025-01-01T00:00:00Z", "a"),
        ended(service("https://c2", 2, "2024-01-01T00:00:00Z", "c")),
        service("https://d3", 3, "2024-01-01T00:00:00Z", "d"),
    ];
    for (selector, bundle, simple) in [
        (json!({"selector": "ANY"}), Ok(vec!["https://a2"]), Ok(vec!["https://a1"])),
        (json!({}), Ok(vec!["https://a2"]), Ok(vec!["https://a1"])),
        (json!({"selector": "ALL"}), Ok(vec!["https://a2", "https://b2"]), Ok(vec!["https://a1"])),
        (
            json!({"selector": "EXACT", "count": 2}),
            Ok(vec!["https://a2", "https://b2"]),
            Err("asks for 2"),
        ),
        (json!({"selector": "EXACT", "count": 3}), Err("asks for 3"), Err("asks for 3")),
        (json!({"selector": "EXACT"}), Err("no selector"), Err("no selector")),
        (json!({"selector": "SERVICE_SELECTOR_UNDEFINED"}), Err("no selector"), Err("no selector")),
    ] {
        let config = config(&all, &selector);
        for (format, expected) in [(Format::Bundle, bundle), (Format::SimpleSigning, simple)] {
            match (logs(&config, format), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{selector} {format}"),
                (Err(found), Err(part)) => assert!(found.contains(part), "{found}"),
                (found, expected) => panic!("{selector} {format}: {found:?}, not {expected:?}"),
            }
        }
    }
    let second = config(&all[1..], &json!({"selector": "ANY"}));
    let error = logs(&second, Format::SimpleSigning).unwrap_err();
    assert!(error.contains("a simple signature cannot carry"), "{error}");
}

#[test]
fn what_is_no_signing_config_is_told() {
    for text in
        ["", "{}", r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.1+json"}"#]
    {
        let error = SigningConfig::parse(text.as_bytes()).unwrap_err();
        assert_eq!(Failure::from(&error).code, "sigstore::signing_config", "{text}");
    }
    assert!(SigningConfig::parse(b"\xff").is_err());
}
