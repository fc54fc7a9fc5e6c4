//! Nothing secret is ever written: not in pages, not in files, not in the most talkative logs.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::sandbox::Sandbox;
use super::support::images::digest;

#[test]
fn passwords_and_keys_are_in_no_output() {
    let sandbox = Sandbox::new();
    const SECRET: &str = "correct-horse-battery";
    sandbox.write("password", format!("{SECRET}\n"));
    sandbox.edit("transparency_log", "password_file = \"password\"\ntransparency_log");
    let mut outputs = Vec::new();
    let mut run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = sandbox.command(arguments);
        let ended = sandbox.ended(command.envs(variables.iter().copied()));
        outputs.push(format!("{arguments:?}\n{}\n{}", ended.stdout, ended.stderr));
        ended.code
    };
    let talk = ["-vvv", "--log-format", "json"];
    let apply = ["apply", "--yes", "--events", "events.jsonl", "--report", "report.json"];
    // The password in the file is wrong, so its error is told too.
    assert_eq!(run(&[&apply[..], &talk[..]].concat(), &[]), Some(77));
    outputs.extend([sandbox.read("events.jsonl"), sandbox.read("report.json")]);
    sandbox.edit("password_file = \"password\"\n", "");
    let mut run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = sandbox.command(arguments);
        let ended = sandbox.ended(command.envs(variables.iter().copied()));
        outputs.push(format!("{arguments:?}\n{}\n{}", ended.stdout, ended.stderr));
        ended.code
    };
    assert_eq!(run(&["apply", "--yes", "-vvv"], &[("COSIGN_PASSWORD", SECRET)]), Some(77));
    let good = [("COSIGN_PASSWORD", super::sandbox::PASSWORD)];
    assert_eq!(run(&[&apply[..], &["-vvv"]].concat(), &good), Some(0));
    assert_eq!(run(&["plan", "-vvv", "--out", "plan.json"], &good), Some(0));
    assert_eq!(run(&["explain", "oci:images:api", "-vvv"], &good), Some(0));
    outputs.extend(["events.jsonl", "report.json", "plan.json"].map(|it| sandbox.read(it)));
    let key = sandbox.read("release.key");
    let lines = key.lines().filter(|line| !line.starts_with("-----"));
    let secrets: Vec<&str> = lines.chain([SECRET]).collect();
    for output in &outputs {
        for secret in &secrets {
            assert!(!output.contains(secret), "a secret is in: {output}");
        }
        assert!(!output.contains(&digest(SECRET.as_bytes())), "a digest tells too much: {output}");
    }
}

#[test]
fn credentials_and_proxies_are_in_no_output() {
    let (address, sent) = suspicious_registry();
    let sandbox = Sandbox::with(&format!(
        r#"
version = 1
[registries."{address}"]
username_env = "WHO"
password_env = "TOKEN"
[signers.release]
public_key = "release.pub"
transparency_log = false
[[images]]
reference = "{address}/app:1"
sign_with = ["release"]
"#
    ));
    let (who, token) = (format!("WHO@{address}"), format!("TOKEN@{address}"));
    let mut command = sandbox.command(&["plan", "-vvv", "--format", "json"]);
    command.args(["--allow-env", &who, "--allow-env", &token]).envs([
        ("WHO", "somebody-secret"),
        ("TOKEN", "token-secret"),
        ("HTTPS_PROXY", "http://user:proxy-secret@127.0.0.1:9"),
    ]);
    let ended = sandbox.ended(&mut command).expect(77);
    let basic = sent.recv().unwrap();
    assert!(!basic.is_empty(), "the registry was given the credentials");
    for secret in ["somebody-secret", "token-secret", "proxy-secret", &basic] {
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{ended}");
    }
    assert!(ended.stderr.contains("TRACE"), "the log talks: {ended}");
}

/// A registry that asks for a password and then refuses it; it tells what it was given.
fn suspicious_registry() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (give, given) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut basic = None;
            let head = BufReader::new(&stream).lines().map_while(Result::ok);
            for line in head.take_while(|line| !line.is_empty()) {
                let line = line.to_ascii_lowercase().starts_with("authorization: ").then_some(line);
                basic = basic.or(line.and_then(|it| it.rsplit(' ').next().map(str::to_owned)));
            }
            let status = match &basic {
                Some(_) => "403 Forbidden",
                None => "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"here\"",
            };
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
            if let Some(basic) = basic {
                let _ = give.send(basic);
            }
        }
    });
    (address, given)
}
