//! Where the Vault is, and who we are to it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::keys::http::{Call, Failure, Http};
use crate::keys::vault::renewal::Renewal;
use crate::keys::{KeyError, KeyErrorKind, KeyReference, OpenOptions};
use crate::model::Secret;
use crate::wire::program::Program;
use crate::wire::tls::{self, Roots, Tls};

/// What Vault's own client waits.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A token helper may ask a keychain.
const HELPER_TIME: Duration = Duration::from_secs(60);

/// Until a renewal that came to nothing is tried again, twice as long as it takes.
const AGAIN: Duration = Duration::from_secs(60);

/// One Vault, one token, one transit engine.
pub(super) struct Connection {
    http: Http,
    address: Url,
    engine: Vec<String>,
    token: Secret<String>,
    namespace: Option<Secret<String>>,
    headers: Vec<(String, Secret<String>)>,
    renewal: Renewal,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({})", self.engine.join("/"))
    }
}

/// A setting of Vault's client: `VAULT_…`, else OpenBao's `BAO_…`.
fn setting(options: &OpenOptions, name: &str) -> Option<Secret<String>> {
    options.variable(&format!("VAULT_{name}")).or_else(|| options.variable(&format!("BAO_{name}")))
}

impl Connection {
    /// Reads the variables, and finds the token. Costs no request.
    pub(super) async fn open(
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<Self, KeyError> {
        let failed = |failure: Failure| failure.at("open", reference);
        let malformed = |why: &str| {
            KeyError::new("open", reference, KeyErrorKind::Malformed).because(why.to_owned())
        };
        let address = setting(options, "ADDR").ok_or_else(|| {
            KeyError::new("open", reference, KeyErrorKind::NotFound)
                .because("neither VAULT_ADDR nor BAO_ADDR is set")
                .advise(
                    "set VAULT_ADDR to the address of the server: https://vault.example.com:8200",
                )
        })?;
        // What is no URL is not shown: it may hold a password.
        let address = Url::parse(address.expose())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| malformed("VAULT_ADDR is no `https://` address"))?;
        let engine = options.variable("TRANSIT_SECRET_ENGINE_PATH");
        let engine = engine.map_or_else(|| "transit".to_owned(), |it| it.expose().clone());
        let engine: Vec<_> =
            engine.split('/').filter(|it| !it.is_empty()).map(str::to_owned).collect();
        if engine.is_empty() || engine.iter().any(|it| it == "." || it == "..") {
            return Err(malformed("TRANSIT_SECRET_ENGINE_PATH is no path of an engine"));
        }
        let timeout = match setting(options, "CLIENT_TIMEOUT") {
            None => TIMEOUT,
            Some(text) => seconds(text.expose())
                .ok_or_else(|| malformed("VAULT_CLIENT_TIMEOUT is no time, as in `30s`"))?,
        };
        let tls = tls(options).map_err(|failure| failed(*failure))?;
        let http = Http::new(&address, tls, timeout, options).map_err(failed)?;
        let headers = headers(options)
            .ok_or_else(|| malformed("VAULT_HEADERS is no JSON object of texts"))?;
        Ok(Self {
            http,
            address,
            engine,
            token: token(reference, options).await?,
            namespace: setting(options, "NAMESPACE"),
            headers,
            renewal: Renewal::new(),
        })
    }

    /// Asks the engine. `path` is below it; its parts hold no slash.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        if self.renewal.is_due() {
            self.renewal.after(self.renew().await);
        }
        let engine = self.engine.iter().map(String::as_str);
        self.send(method, engine.chain(path.iter().copied()), body).await
    }

    /// Renews the token, and gives how long it lasts. What the token may not do is not needed: it may last anyway.
    async fn renew(&self) -> Option<Duration> {
        let (path, body) = (["auth", "token", "renew-self"], json!({}));
        match self.send(Method::POST, path, Some(&body)).await {
            Ok(answer) => {
                let auth = answer.get("auth")?;
                let seconds = auth.get("lease_duration").and_then(Value::as_u64);
                let is_renewable = auth.get("renewable").and_then(Value::as_bool) == Some(true);
                seconds.filter(|it| is_renewable && *it > 0).map(Duration::from_secs)
            }
            Err(failure) => {
                tracing::debug!(failure = failure.said, "the token of Vault is not renewed");
                let may_pass =
                    matches!(failure.kind, KeyErrorKind::Throttled | KeyErrorKind::Unavailable);
                may_pass.then_some(AGAIN)
            }
        }
    }

    async fn send<'a>(
        &self,
        method: Method,
        path: impl IntoIterator<Item = &'a str>,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let mut url = self.address.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        let mut call = Call::new(method, url).header("x-vault-request", "true");
        for (name, value) in &self.headers {
            call = call.secret_header(name, value)?;
        }
        if let Some(namespace) = &self.namespace {
            call = call.secret_header("x-vault-namespace", namespace)?;
        }
        call = call.secret_header("x-vault-token", &self.token)?;
        if let Some(body) = body {
            call = call.json(body);
        }
        let answer = self.http.send(&call).await?;
        if answer.body.expose().is_empty() {
            return Ok(Value::Null);
        }
        Ok(answer.json()?)
    }

    /// The path of the engine.
    pub(super) fn engine(&self) -> String {
        self.engine.join("/")
    }

    /// What an error of the engine means, with what to do.
    pub(super) fn explain(
        &self,
        failure: Failure,
        operation: &'static str,
        reference: &KeyReference,
    ) -> KeyError {
        let said = failure.said.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|it| said.contains(it));
        let engine = self.engine();
        // 400 has many meanings: `builtin/logical/transit/path_sign_verify.go`.
        let (kind, advice) = if says(&["no handler for route", "unsupported path"]) {
            let advice =
                format!("there is no transit engine at `{engine}`: set TRANSIT_SECRET_ENGINE_PATH");
            (KeyErrorKind::NotFound, Some(advice))
        } else if says(&["key not found"]) || failure.kind == KeyErrorKind::NotFound {
            let advice =
                format!("check the name; `vault list {engine}/keys` shows the keys of the engine");
            (KeyErrorKind::NotFound, Some(advice))
        } else if says(&["minimum encryption key version", "is disabled", "deleted"]) {
            (KeyErrorKind::Disabled, Some("raise `min_encryption_version` no further than the latest version, or run again to take the new one".to_owned()))
        } else if failure.kind == KeyErrorKind::Permission {
            let advice = format!(
                "give the token's policy `read` on {engine}/keys/NAME and `update` on {engine}/sign/NAME and {engine}/sign/NAME/*; a token may also have ended"
            );
            (KeyErrorKind::Permission, Some(advice))
        } else {
            (failure.kind, None)
        };
        let error = Failure { kind, ..failure }.at(operation, reference);
        match advice {
            Some(advice) => error.advise(advice),
            None => error,
        }
    }
}

fn tls(options: &OpenOptions) -> Result<Tls, Box<Failure>> {
    let set = |name: &str| setting(options, name);
    let failed = |error: tls::TlsError| Box::new(Failure::new(KeyErrorKind::Tls, error.0));
    // Vault's client trusts these instead of the machine's, and in this order.
    let own = match (set("CACERT_BYTES"), set("CACERT"), set("CAPATH")) {
        (Some(pem), _, _) => Some(tls::certificates_in(pem.expose().as_bytes()).map_err(failed)?),
        (_, Some(file), _) => Some(tls::certificates(Path::new(file.expose())).map_err(failed)?),
        (_, _, Some(folder)) => Some(folder_of(Path::new(folder.expose())).map_err(failed)?),
        _ => None,
    };
    let skips = set("SKIP_VERIFY").is_some_and(|it| is_true(it.expose()));
    let roots = match own {
        _ if skips => Roots::Anyone,
        Some(own) => Roots::Only(own),
        None => Roots::MachineAnd(Vec::new()),
    };
    let identity = match (set("CLIENT_CERT"), set("CLIENT_KEY")) {
        (Some(certificate), Some(key)) => Some(
            tls::identity(Path::new(certificate.expose()), Path::new(key.expose()))
                .map_err(failed)?,
        ),
        (None, None) => None,
        _ => {
            let why = "VAULT_CLIENT_CERT and VAULT_CLIENT_KEY go together";
            return Err(failed(tls::TlsError(why.into())));
        }
    };
    let server_name = set("TLS_SERVER_NAME").map(|it| it.expose().clone());
    Ok(Tls { roots, identity, server_name })
}

/// Every certificate of a folder.
fn folder_of(
    folder: &Path,
) -> Result<Vec<rustls_pki_types::CertificateDer<'static>>, tls::TlsError> {
    let wrong =
        |error: std::io::Error| tls::TlsError(format!("cannot read {}: {error}", folder.display()));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.is_file() {
            found.extend(tls::certificates(&path)?);
        }
    }
    Ok(found)
}

/// As Go's `strconv.ParseBool`.
fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

/// `60`, `60s`, `2m`, `500ms`.
fn seconds(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    match text.get(digits.len()..)? {
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "ms" => Some(Duration::from_millis(number)),
        _ => None,
    }
}

/// `VAULT_HEADERS`: a JSON object.
fn headers(options: &OpenOptions) -> Option<Vec<(String, Secret<String>)>> {
    let Some(text) = setting(options, "HEADERS") else { return Some(Vec::new()) };
    let Ok(Value::Object(object)) = serde_json::from_str(text.expose()) else { return None };
    let pairs = object.into_iter();
    pairs.map(|(name, value)| Some((name, Secret::new(value.as_str()?.to_owned())))).collect()
}

/// The token: a variable, the helper that `~/.vault` names, `~/.vault-token`.
async fn token(
    reference: &KeyReference,
    options: &OpenOptions,
) -> Result<Secret<String>, KeyError> {
    if let Some(token) = setting(options, "TOKEN") {
        return Ok(token);
    }
    let error = |why: String| {
        KeyError::new("open", reference, KeyErrorKind::Permission)
            .because(why)
            .advise("log in with `vault login`, which writes ~/.vault-token, or set VAULT_TOKEN")
    };
    let home = options.environment.home_folder();
    let configuration = setting(options, "CONFIG_PATH").map(|it| PathBuf::from(it.expose()));
    let configuration = configuration.or_else(|| Some(home.as_ref()?.join(".vault")));
    let helper = match configuration {
        Some(path) => tokio::fs::read_to_string(path).await.ok().and_then(|it| helper_in(&it)),
        None => None,
    };
    let text = match (helper, home) {
        (Some(helper), _) => ask(&helper, options).await.map_err(error)?,
        (None, Some(home)) => {
            let read = tokio::fs::read_to_string(home.join(".vault-token")).await;
            read.map(Secret::new).unwrap_or_else(|_| Secret::new(String::new()))
        }
        (None, None) => Secret::new(String::new()),
    };
    match text.expose().trim() {
        "" => Err(error("there is no token for Vault".into())),
        token => Ok(Secret::new(token.to_owned())),
    }
}

/// `token_helper = "/path"` of Vault's configuration (HCL, of which only this line is read).
fn helper_in(configuration: &str) -> Option<PathBuf> {
    let line = configuration.lines().find_map(|line| line.trim().strip_prefix("token_helper"))?;
    let path = line.trim().strip_prefix('=')?.trim().strip_prefix('"')?.split_once('"')?.0;
    Some(PathBuf::from(path)).filter(|it| it.is_absolute())
}

/// Runs `HELPER get`, which prints the token.
async fn ask(helper: &Path, options: &OpenOptions) -> Result<Secret<String>, String> {
    let program = Program {
        path: helper.to_owned(),
        arguments: vec!["get".into()],
        environment: options.environment.child_variables(),
        variables: Vec::new(),
        time: HELPER_TIME,
    };
    let failed = |what: &str| format!("the token helper {}: {what}", helper.display());
    let output = program.run(b"").await.map_err(|error| failed(&error.to_string()))?;
    if !output.is_success {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(failed(&crate::wire::one_line(&said).unwrap_or_else(|| "it failed".into())));
    }
    let text = std::str::from_utf8(&output.stdout).map_err(|_| failed("it printed no text"))?;
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_vault_reads_them() {
        assert_eq!(seconds("60"), Some(Duration::from_secs(60)));
        assert_eq!(seconds("2m"), Some(Duration::from_secs(120)));
        assert_eq!(seconds("500ms"), Some(Duration::from_millis(500)));
        for bad in ["", "s", "1h2", "-1", "1.5s"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
        let text = "# helper\n  token_helper = \"/usr/local/bin/helper\" # x\n";
        assert_eq!(helper_in(text), Some("/usr/local/bin/helper".into()));
        for bad in ["", "token_helper = 1", "token_helper = \"helper\"", "token_helper \"/a\""] {
            assert_eq!(helper_in(bad), None, "{bad}");
        }
    }
}
