//! The schemas are those of the code, and what is written fits them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use countersign::event::{Event, Listener};
use countersign::model::{Clock, Timestamp};
use countersign::plan::{Plan, PlanFile, verify};
use countersign::render::events::{EventLine, JsonLines};
use countersign::render::report_file::{ReportFile, Run};
use countersign::render::verification_file::VerificationFile;
use countersign::render::{explanation_file::ExplanationFile, json, schema};
use countersign::report::Report;
use serde_json::Value;

use crate::{pages, sample};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

#[test]
fn the_schemas_are_those_of_the_code() {
    for (name, generated) in schema::all() {
        let path = folder().join(name);
        if std::env::var_os("UPDATE").is_some() {
            fs::create_dir_all(folder()).unwrap();
            fs::write(&path, &generated).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(written == generated, "{} is stale: UPDATE=1 writes it", path.display());
    }
}

/// Reads `text` as JSON, and checks it against a schema in `schemas/`.
fn check(name: &str, text: &str) -> Value {
    let schema = fs::read_to_string(folder().join(format!("{name}.schema.json"))).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let value: Value = serde_json::from_str(text).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{name}: {}\n{text}", errors.join("\n"));
    // A schema that takes everything would prove nothing.
    assert!(!validator.is_valid(&Value::from("")), "{name} takes a string");
    assert!(!validator.is_valid(&Value::Object(serde_json::Map::new())), "{name} takes {{}}");
    let hostile = |it: char| it != '\n' && (it.is_control() || it == '\u{202e}');
    assert!(!text.chars().any(hostile), "{text}");
    value
}

fn written(write: impl Fn(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn plans_fit_their_schema_and_are_read_back() {
    for plan in [sample::plan(), Plan::default()] {
        let text = written(|out| json::plan(&plan, out));
        let value = check("plan", &text);
        assert_eq!(PlanFile::parse(text.as_bytes()).unwrap(), plan.to_file());
        assert_eq!(value["fingerprint"], plan.fingerprint().to_string());
    }
}

#[test]
fn reports_fit_their_schema_and_are_read_back() {
    let run = Run {
        started: sample::now(),
        finished: Timestamp::from_seconds(sample::now().as_seconds() + 5),
        requests: Some(BTreeMap::from([("GET".to_owned(), 12), ("PUT".to_owned(), 3)])),
    };
    for (report, run) in [
        (sample::report(), run.clone()),
        (Report::default(), Run { requests: None, ..run.clone() }),
    ] {
        let text = written(|out| json::report(&report, &run, out));
        let value = check("report", &text);
        assert_eq!(
            serde_json::from_str::<ReportFile>(&text).unwrap(),
            ReportFile::new(&report, &run)
        );
        assert_eq!(value["started"], "2026-09-21T14:13:20Z");
        assert_eq!(value["finished"], "2026-09-21T14:13:25Z");
        assert_eq!(value.get("requests").is_some(), run.requests.is_some());
    }
    let text = written(|out| json::report(&sample::report(), &run, out));
    let value: Value = serde_json::from_str(&text).unwrap();
    let failed = &value["images"][2]["outcomes"][1];
    assert_eq!(failed["result"], "failed");
    assert_eq!(failed["failure"]["code"], "registry::throttled");
    assert_eq!(failed["failure"]["class"], "temporary");
    assert!(failed["failure"]["help"].is_string() && failed["failure"]["message"].is_string());
    assert_eq!(value["unresolved"][0]["spec"], "countersign.toml:31");
}

#[test]
fn verifications_fit_their_schema_and_are_read_back() {
    let plan = sample::plan();
    let verification = verify(&plan, sample::now());
    let text = written(|out| json::verification(&verification, out));
    let value = check("verification", &text);
    let read: VerificationFile = serde_json::from_str(&text).unwrap();
    assert_eq!(read, VerificationFile::new(&verification));
    assert_eq!(value["good"], false);
    assert_eq!(value["images"][2]["finding"], "fault");
    assert_eq!(value["images"][2]["signatures"][0]["action"], "sign");
}

#[test]
fn explanations_fit_their_schema_and_are_read_back() {
    let explanations = [pages::explanation()];
    let text = written(|out| json::explanations(&explanations, out));
    check("explanation", &text);
    let read: ExplanationFile = serde_json::from_str(&text).unwrap();
    assert_eq!(read, ExplanationFile::new(&explanations));
}

#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        sample::now()
    }
}

#[test]
fn events_are_one_object_a_line_and_fit_their_schema() {
    let report = sample::report();
    let lines = JsonLines::new(Vec::new()).clock(Arc::new(Still));
    lines.hear(&Event::Started { targets: 2 });
    for target in &report.targets {
        lines.hear(&Event::TargetStarted { target: &target.target });
        lines.hear(&Event::TargetFinished { report: target });
    }
    lines.hear(&Event::Finished);
    let text = String::from_utf8(lines.finish().unwrap()).unwrap();
    let values: Vec<Value> = text.lines().map(|line| check("events", line)).collect();
    assert_eq!(values.len(), 2 + 2 * report.targets.len());
    let kinds: Vec<&str> = values.iter().map(|it| it["event"].as_str().unwrap()).collect();
    assert_eq!(kinds[..3], ["started", "target_started", "target_finished"]);
    assert_eq!(kinds.last(), Some(&"finished"));
    assert!(values.iter().all(|it| it["time"] == "2026-09-21T14:13:20Z"));
    for line in text.lines() {
        serde_json::from_str::<EventLine>(line).unwrap();
    }
}

#[test]
fn a_full_disk_is_told_at_the_end() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = JsonLines::new(Full);
    lines.hear(&Event::Finished);
    assert_eq!(lines.take_error().unwrap().kind(), std::io::ErrorKind::StorageFull);
    let lines = JsonLines::new(Full);
    lines.hear(&Event::Finished);
    assert!(lines.finish().is_err());
}
