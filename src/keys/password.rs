//! Where the password of an encrypted key comes from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::keys::file::read;
use crate::keys::{Environment, KeyError, KeyErrorKind, OpenOptions};
use crate::model::Secret;

/// Where the password of an encrypted key comes from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum PasswordSource {
    /// `COSIGN_PASSWORD`, else the terminal.
    #[default]
    Default,
    /// The environment variable of this name.
    Environment(String),
    /// This file; one newline at its end is not part of the password.
    File(PathBuf),
}

const VARIABLE: &str = "COSIGN_PASSWORD";

/// The password of `key`. An empty one counts; only what is not there at all is missing.
///
/// # Errors
///
/// [`KeyErrorKind::NoPassword`], and those of reading a file.
pub(super) async fn password(key: &str, options: &OpenOptions) -> Result<Secret<String>, KeyError> {
    match &options.password {
        PasswordSource::Default => match options.environment.variable(VARIABLE) {
            Some(password) => Ok(password),
            None => ask(key, &options.environment).await,
        },
        PasswordSource::Environment(name) => options.environment.variable(name).ok_or_else(|| {
            missing(key, &format!("the variable {name} with its password is not set"))
                .advise(format!("set {name}, or change `password_env`"))
        }),
        PasswordSource::File(path) => from_file(key, path).await,
    }
}

async fn ask(key: &str, environment: &Arc<dyn Environment>) -> Result<Secret<String>, KeyError> {
    let (prompt, environment) = (format!("Password of {key}: "), Arc::clone(environment));
    let answer = tokio::task::spawn_blocking(move || environment.prompt_password(&prompt)).await;
    answer.ok().flatten().ok_or_else(|| {
        missing(
            key,
            "it is encrypted, COSIGN_PASSWORD is not set, and there is no terminal to ask at",
        )
    })
}

async fn from_file(key: &str, path: &Path) -> Result<Secret<String>, KeyError> {
    let text = read("read the password file of", key, path).await?;
    let one_line = text.expose().strip_suffix('\n').map(|it| it.strip_suffix('\r').unwrap_or(it));
    Ok(Secret::new(one_line.unwrap_or(text.expose()).to_owned()))
}

fn missing(key: &str, why: &str) -> KeyError {
    KeyError::new("open", key, KeyErrorKind::NoPassword).because(why)
}

/// The password for a new key: `COSIGN_PASSWORD`, or what the signer names, else asked for twice.
///
/// # Errors
///
/// [`KeyErrorKind::NoPassword`] where there is none, or the two answers differ; those of reading a file.
pub async fn new_password(key: &str, options: &OpenOptions) -> Result<Secret<String>, KeyError> {
    let asks = matches!(options.password, PasswordSource::Default)
        && options.environment.variable(VARIABLE).is_none();
    let first = password(key, options).await?;
    if !asks {
        return Ok(first);
    }
    let environment = Arc::clone(&options.environment);
    let prompt = format!("Password of {key} again: ");
    let second = tokio::task::spawn_blocking(move || environment.prompt_password(&prompt)).await;
    match second.ok().flatten() {
        Some(second) if second.expose() == first.expose() => Ok(first),
        _ => Err(KeyError::new("create", key, KeyErrorKind::NoPassword)
            .because("the two passwords differ")
            .advise("type the same password twice, or set COSIGN_PASSWORD")),
    }
}
