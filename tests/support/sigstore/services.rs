//! The processes: started once in a test program, ended with it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Issuer;
use crate::support::tools::Tool;

/// Running services.
pub struct Services {
    pub people: Issuer,
    pub workflows: Issuer,
    pub report: Report,
    pub timestamps: [Timestamps; 2],
    /// They end when their standard input does: with this process, however it ends.
    _processes: Vec<Child>,
}

/// Addresses, and what a client must trust, PEM: tests/servers/sigstore.
#[derive(Deserialize)]
pub struct Report {
    pub fulcio: String,
    /// The authority's certificate, and its root.
    pub fulcio_chain: String,
    pub certificate_log: String,
    pub certificate_log_key: String,
    pub rekor_v1: String,
    pub rekor_v1_key: String,
    pub rekor_v2: String,
    pub rekor_v2_key: String,
}

/// The same of a timestamp authority: tests/servers/timestamps.
#[derive(Deserialize)]
pub struct Timestamps {
    pub timestamp_authority: String,
    /// The authority's certificate, and its root.
    pub timestamp_authority_chain: String,
}

/// The services that the tests trust.
pub fn ours() -> &'static Services {
    static OURS: OnceLock<Services> = OnceLock::new();
    OURS.get_or_init(start)
}

/// Services with other keys.
pub fn strangers() -> &'static Services {
    static STRANGERS: OnceLock<Services> = OnceLock::new();
    STRANGERS.get_or_init(start)
}

fn start() -> Services {
    let (people, workflows) = (Issuer::start(), Issuer::start());
    let mut sigstore = Command::new(Tool::Sigstore.path());
    sigstore.arg("-rekor-tiles").arg(Tool::RekorTiles.path());
    for (kind, issuer) in [("email", &people), ("github-workflow", &workflows)] {
        sigstore.arg("-issuer").arg(format!("{kind}={}", issuer.url()));
    }
    let (sigstore, report) = spawn(&mut sigstore);
    let (first, first_report) = spawn(&mut Command::new(Tool::Timestamps.path()));
    let (second, second_report) = spawn(&mut Command::new(Tool::Timestamps.path()));
    Services {
        people,
        workflows,
        report,
        timestamps: [first_report, second_report],
        _processes: vec![sigstore, first, second],
    }
}

/// Starts a program and reads its first line, which it prints when it serves.
fn spawn<R: DeserializeOwned>(command: &mut Command) -> (Child, R) {
    let mut child = command
        .env_clear()
        .env("TMPDIR", std::env::temp_dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let report = serde_json::from_str(&line)
        .unwrap_or_else(|error| panic!("{command:?} must say where it serves: {error}: {line:?}"));
    (child, report)
}
