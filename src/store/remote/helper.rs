//! Credential helpers: `docker-credential-<name> get`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::model::Secret;
use crate::store::StoreErrorKind;
use crate::store::remote::docker_config::{Credentials, HelperCall};
use crate::store::remote::failure::Failure;
use crate::store::remote::options::ProcessEnvironment;

/// What a helper may print, in bytes.
const LARGEST_OUTPUT: u64 = 1 << 20;

/// What helpers say, on standard output, when they know nothing of a server.
///
/// Source: docker/docker-credential-helpers `credentials/error.go`.
const NOT_FOUND: &str = "credentials not found in native keychain";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Asks the helper; `None` when it says that it has no credentials for the server.
pub(super) async fn get(
    call: &HelperCall,
    environment: &ProcessEnvironment,
    time: Duration,
) -> Result<Option<Credentials>, Failure> {
    let program = format!("docker-credential-{}", call.name);
    let failed = |what: String| {
        Failure::new(
            StoreErrorKind::Credentials,
            format!("`{program} get` for {}: {what}", call.server),
        )
    };
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !call.name.chars().all(safe) {
        return Err(failed("that is no name of a helper".to_owned()));
    }
    let path = find(&program, environment)
        .ok_or_else(|| failed("there is no such program on PATH".to_owned()))?;
    let mut child = Command::new(path)
        .arg("get")
        .env_clear()
        .envs(&environment.0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let output = timeout(time, talk(&mut child, &call.server))
        .await
        .map_err(|_| failed(format!("no answer within {} s", time.as_secs_f64())))?
        .map_err(|error| failed(error.to_string()))?;
    if !output.success {
        let said = String::from_utf8_lossy(&output.stdout);
        if said.trim() == NOT_FOUND {
            return Ok(None);
        }
        // The protocol has errors on standard output; what people wrote goes to the other.
        let other = String::from_utf8_lossy(&output.stderr);
        let said = if said.trim().is_empty() { other.trim() } else { said.trim() };
        return Err(failed(if said.is_empty() { "it failed".to_owned() } else { said.to_owned() }));
    }
    // The error of the parser could quote the secret.
    let answer: Answer = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed("its answer is not `{\"Username\":…,\"Secret\":…}`".to_owned()))?;
    let secret = Secret::new(answer.secret);
    Ok(Some(match answer.username.as_str() {
        "<token>" => Credentials::Identity(secret),
        "" if secret.expose().is_empty() => return Ok(None),
        _ => Credentials::Password { username: answer.username, password: secret },
    }))
}

struct Output {
    success: bool,
    stdout: Zeroizing<Vec<u8>>,
    stderr: Vec<u8>,
}

async fn talk(child: &mut Child, server: &str) -> std::io::Result<Output> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        // A helper that ends without reading has said what it had to say.
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(server.as_bytes()).await;
            let _ = stdin.write_all(b"\n").await;
        }
    };
    let mut output = Output { success: false, stdout: Zeroizing::default(), stderr: Vec::new() };
    let read_out = async {
        match stdout {
            Some(pipe) => pipe.take(LARGEST_OUTPUT).read_to_end(&mut output.stdout).await,
            None => Ok(0),
        }
    };
    let read_error = async {
        match stderr {
            Some(pipe) => pipe.take(LARGEST_OUTPUT).read_to_end(&mut output.stderr).await,
            None => Ok(0),
        }
    };
    let ((), out, error) = tokio::join!(write, read_out, read_error);
    out?;
    error?;
    output.success = child.wait().await?.success();
    Ok(output)
}

/// Looks the program up in the `PATH` of the environment; relative folders do not count.
fn find(program: &str, environment: &ProcessEnvironment) -> Option<PathBuf> {
    let path = environment.0.get(OsStr::new("PATH"))?;
    let names: &[&str] = if cfg!(windows) { &[".exe", ".cmd", ".bat"] } else { &[""] };
    std::env::split_paths(path).filter(|folder| folder.is_absolute()).find_map(|folder| {
        names.iter().find_map(|extension| {
            let mut name = OsString::from(program);
            name.push(extension);
            Some(folder.join(name)).filter(|it| it.is_file())
        })
    })
}
