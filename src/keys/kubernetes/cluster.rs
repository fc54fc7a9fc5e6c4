//! The API server of a cluster, found as kubectl finds it, else as a pod does.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::Value;
use url::Url;

use crate::keys::http::{Call, Failure, Http};
use crate::keys::kubernetes::exec::{self, Credentials};
use crate::keys::kubernetes::kubeconfig::{self, Content, Context, File};
use crate::keys::{KeyError, KeyErrorKind, KeyReference, OpenOptions};
use crate::model::Secret;
use crate::wire::tls::{self, ClientIdentity, Roots, Tls, TlsError};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A cluster, and who we are to it.
pub(super) struct Cluster {
    http: Http,
    server: Url,
    authorization: Option<Secret<String>>,
}

impl Cluster {
    /// Reads the kubeconfig, runs its exec plugin. Costs no request.
    pub(super) async fn find(
        operation: &'static str,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<Self, KeyError> {
        let error = |kind, why: String| KeyError::new(operation, reference, kind).because(why);
        let files = files(options).await.map_err(|why| error(KeyErrorKind::Malformed, why))?;
        let context = kubeconfig::current(&files);
        let context = match context.map_err(|why| error(KeyErrorKind::Malformed, why))? {
            Some(context) => context,
            None => in_cluster(options).ok_or_else(|| {
                error(
                    KeyErrorKind::NotFound,
                    "there is no kubeconfig with a current context, and this is no pod".into(),
                )
                .advise(
                    "set KUBECONFIG, or choose a context with `kubectl config use-context NAME`",
                )
            })?,
        };
        let credentials = match &context.exec {
            Some(plugin) => exec::run(plugin, &context, options)
                .await
                .map_err(|why| error(KeyErrorKind::Permission, why))?,
            None => Credentials::default(),
        };
        let server = Url::parse(&context.server).ok();
        let server = server.filter(|it| matches!(it.scheme(), "http" | "https") && it.has_host());
        let server = server.ok_or_else(|| {
            error(
                KeyErrorKind::Malformed,
                "the server of the cluster is no `https://` address".into(),
            )
        })?;
        let tls = tls(&context, &credentials);
        let tls = tls.map_err(|why| error(KeyErrorKind::Tls, why.0))?;
        let authorization = authorization(&context, credentials).await;
        let authorization = authorization.map_err(|why| error(KeyErrorKind::Permission, why))?;
        // As kubectl, which then sends nothing and is told `Unauthorized`.
        if server.scheme() == "http" && authorization.is_some() {
            return Err(error(
                KeyErrorKind::Permission,
                "the server of the cluster has no TLS, so no credentials are sent to it".into(),
            )
            .advise("write the server as `https://…` in the kubeconfig"));
        }
        let http = Http::new(&server, tls, TIMEOUT, options);
        let http = http.map_err(|failure| failure.at(operation, reference))?;
        Ok(Self { http, server, authorization })
    }

    /// Asks the API server. The parts of `path` hold no slash.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let mut url = self.server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut call = Call::new(method, url).header("accept", "application/json");
        if let Some(authorization) = &self.authorization {
            call = call.secret_header("authorization", authorization)?;
        }
        if let Some(body) = body {
            call = call.json(body);
        }
        Ok(self.http.send(&call).await?.json()?)
    }
}

/// The kubeconfig files that are there: `KUBECONFIG`, a list, else `~/.kube/config`.
async fn files(options: &OpenOptions) -> Result<Vec<File>, String> {
    let paths: Vec<PathBuf> = match options.variable("KUBECONFIG") {
        Some(list) => std::env::split_paths(list.expose()).collect(),
        None => {
            let home = options.environment.home_folder();
            home.map(|it| it.join(".kube/config")).into_iter().collect()
        }
    };
    let mut files = Vec::new();
    for path in paths.iter().filter(|it| !it.as_os_str().is_empty()) {
        match tokio::fs::read_to_string(path).await {
            Ok(text) => files.push(File::parse(path, &text)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        }
    }
    Ok(files)
}

/// The cluster that a pod runs in.
///
/// Source: kubernetes.io, "Accessing the Kubernetes API from a Pod".
fn in_cluster(options: &OpenOptions) -> Option<Context> {
    let account = options.environment.service_account_folder();
    let host = options.variable("KUBERNETES_SERVICE_HOST")?;
    let port = options.variable("KUBERNETES_SERVICE_PORT")?;
    let host = host.expose();
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let token_file = Some(account.join("token")).filter(|it| it.is_file())?;
    Some(Context {
        server: format!("https://{host}:{}", port.expose()),
        authority: Some(Content::File(account.join("ca.crt"))),
        token_file: Some(token_file),
        ..Context::default()
    })
}

fn tls(context: &Context, credentials: &Credentials) -> Result<Tls, TlsError> {
    let roots = match &context.authority {
        _ if context.skips_verify => Roots::Anyone,
        Some(authority) => Roots::Only(tls::certificates_in(&pem(authority)?)?),
        None => Roots::MachineAnd(Vec::new()),
    };
    let identity: Option<ClientIdentity> = match (&credentials.identity, &context.certificate) {
        (Some((certificate, key)), _) => {
            Some(tls::identity_in(certificate.expose().as_bytes(), key.expose().as_bytes())?)
        }
        (None, Some(certificate)) => {
            let key = context.key.as_ref();
            let key = key.ok_or_else(|| TlsError("the client certificate has no key".into()))?;
            Some(tls::identity_in(&pem(certificate)?, &pem(key)?)?)
        }
        (None, None) => None,
    };
    Ok(Tls { roots, identity, server_name: context.server_name.clone() })
}

fn pem(content: &Content) -> Result<zeroize::Zeroizing<Vec<u8>>, TlsError> {
    let bytes = match content {
        Content::File(path) => std::fs::read(path)
            .map_err(|error| TlsError(format!("cannot read {}: {error}", path.display())))?,
        Content::Inline(text) => {
            let compact: String = text.expose().split_whitespace().collect();
            STANDARD.decode(compact).map_err(|_| {
                TlsError("a certificate or key in the kubeconfig is not base64".into())
            })?
        }
    };
    Ok(bytes.into())
}

/// The `Authorization` header, in the order of client-go: the plugin's token, a file, a token, a password.
async fn authorization(
    context: &Context,
    credentials: Credentials,
) -> Result<Option<Secret<String>>, String> {
    let bearer = |token: &str| Some(Secret::new(format!("Bearer {}", token.trim())));
    if let Some(token) = credentials.token {
        return Ok(bearer(token.expose()));
    }
    if let Some(path) = &context.token_file {
        let text = tokio::fs::read_to_string(path).await.map(Secret::new);
        return match (text, &context.token) {
            (Ok(text), _) => Ok(bearer(text.expose())),
            (Err(_), Some(token)) => Ok(bearer(token.expose())),
            (Err(error), None) => Err(format!("cannot read {}: {error}", path.display())),
        };
    }
    Ok(match (&context.token, &context.user) {
        (Some(token), _) => bearer(token.expose()),
        (None, Some((name, password))) => {
            let pair = Secret::new(format!("{name}:{}", password.expose()));
            Some(Secret::new(format!("Basic {}", STANDARD.encode(pair.expose()))))
        }
        (None, None) => None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::keys::memory::MemoryEnvironment;

    #[test]
    fn a_pod_has_an_address_and_a_token() {
        let account = tempfile::tempdir().unwrap();
        let found = |host: &str| {
            let environment = MemoryEnvironment::default()
                .with_variable("KUBERNETES_SERVICE_HOST", host)
                .with_variable("KUBERNETES_SERVICE_PORT", "443")
                .with_service_account(account.path());
            in_cluster(&OpenOptions::new(Arc::new(environment)))
        };
        assert!(found("10.0.0.1").is_none(), "without a token");
        std::fs::write(account.path().join("token"), "hunter2\n").unwrap();
        assert_eq!(found("10.0.0.1").unwrap().server, "https://10.0.0.1:443");
        assert_eq!(found("fd00::1").unwrap().server, "https://[fd00::1]:443");
    }
}
