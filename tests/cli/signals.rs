//! SIGINT and SIGTERM.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use super::sandbox::{Ended, PASSWORD, SPEC, Sandbox};

fn send(signal: &str, child: &Child) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

fn ended(child: Child) -> Ended {
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Starts an apply whose first write waits for the lock that the test holds.
fn blocked_apply(sandbox: &Sandbox) -> (File, Child, BufReader<std::process::ChildStdout>) {
    let lock = File::create(sandbox.path().join("images/index.json.lock")).unwrap();
    lock.lock().unwrap();
    let arguments = ["apply", "--yes", "--jobs", "1", "--events", "-", "--report", "report.json"];
    let mut child = sandbox
        .command(&arguments)
        .env("COSIGN_PASSWORD", PASSWORD)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut events = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("target_started") {
        line.clear();
        assert_ne!(events.read_line(&mut line).unwrap(), 0, "the apply ended early");
    }
    (lock, child, events)
}

/// Waits until the program says that it has heard the signal.
fn heard(child: &mut Child) -> BufReader<std::process::ChildStderr> {
    let mut talk = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("interrupted") {
        line.clear();
        assert_ne!(talk.read_line(&mut line).unwrap(), 0, "the apply ended early");
    }
    talk
}

#[test]
fn a_signal_lets_finish_what_is_under_way_and_the_report_is_written() {
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let sandbox = Sandbox::new();
        let (lock, mut child, events) = blocked_apply(&sandbox);
        send(signal, &child);
        let _talk = heard(&mut child);
        lock.unlock().unwrap();
        let rest: Vec<String> = events.lines().map(Result::unwrap).collect();
        assert!(rest.last().unwrap().contains("finished"), "{rest:?}");
        assert_eq!(ended(child).code, Some(code));
        let report = sandbox.json("report.json");
        assert_eq!(report["totals"]["written"], 1, "what was under way is done: {report}");
        assert_eq!(report["totals"]["failed"], 3, "nothing else was begun: {report}");
        let text = sandbox.read("report.json");
        assert!(text.contains("run::interrupted"), "{text}");
        // The next run converges.
        sandbox.run_with_password(&["apply", "--yes"]).expect(0);
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let sandbox = Sandbox::new();
    let (lock, mut child, _events) = blocked_apply(&sandbox);
    send("-TERM", &child);
    let _talk = heard(&mut child);
    send("-TERM", &child);
    // The lock is still held: the work could not have ended by itself.
    assert_eq!(ended(child).code, Some(143));
    drop(lock);
    sandbox.run_with_password(&["apply", "--yes"]).expect(0);
}

#[test]
fn a_plan_ends_at_the_first_signal() {
    // A registry that takes connections and never answers.
    let registry = TcpListener::bind("127.0.0.1:0").unwrap();
    let reference = format!("{}/app", registry.local_addr().unwrap());
    let spec = SPEC.replace("oci:images", &reference).replace("recursive = true", "");
    let sandbox = Sandbox::with(&spec);
    let child =
        sandbox.command(&["plan"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _connection = registry.accept().unwrap();
    send("-INT", &child);
    let ended = ended(child).expect(130);
    assert_eq!(ended.stderr, "interrupted: nothing was written\n");
}
