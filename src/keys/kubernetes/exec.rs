//! Exec plugins: programs that print the credentials for a cluster.
//!
//! Source: kubernetes.io, "client-go credential plugins".

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::keys::OpenOptions;
use crate::keys::kubernetes::kubeconfig::{Context, Exec};
use crate::model::Secret;
use crate::wire::one_line;
use crate::wire::program::{Program, find};

/// A plugin may ask a cloud.
const TIME: Duration = Duration::from_secs(60);

/// What a plugin gave.
#[derive(Default)]
pub(super) struct Credentials {
    pub(super) token: Option<Secret<String>>,
    /// PEM texts of a certificate and its key.
    pub(super) identity: Option<(Secret<String>, Secret<String>)>,
}

/// Runs the plugin of a context.
pub(super) async fn run(
    exec: &Exec,
    context: &Context,
    options: &OpenOptions,
) -> Result<Credentials, String> {
    let name = exec.command.display();
    let failed = |what: String| format!("the exec plugin `{name}`: {what}");
    let is_name = exec.command.parent() == Some(Path::new(""));
    let path = if is_name {
        let folders = options.variable("PATH");
        folders.and_then(|it| find(&exec.command.to_string_lossy(), it.expose()))
    } else {
        Some(exec.command.clone()).filter(|it| it.is_file())
    };
    let path = path.ok_or_else(|| {
        let hint = exec.install_hint.as_deref().and_then(one_line);
        failed(format!(
            "there is no such program{}",
            hint.map_or(String::new(), |it| format!(": {it}"))
        ))
    })?;
    let mut spec = json!({ "interactive": false });
    if exec.wants_cluster {
        spec["cluster"] = json!({ "server": context.server });
    }
    let asked = json!({ "apiVersion": exec.api_version, "kind": "ExecCredential", "spec": spec });
    let own = exec.variables.iter().map(|(name, value)| (name.into(), value.into()));
    let told = ("KUBERNETES_EXEC_INFO".into(), asked.to_string().into());
    let program = Program {
        path,
        arguments: exec.arguments.iter().map(Into::into).collect(),
        environment: options.environment.child_variables(),
        variables: own.chain([told]).collect(),
        time: TIME,
    };
    let output = program.run(b"").await.map_err(|error| failed(error.to_string()))?;
    if !output.is_success {
        let said = one_line(&String::from_utf8_lossy(&output.stderr));
        return Err(failed(said.unwrap_or_else(|| "it failed".into())));
    }
    // The parser's error could quote the token.
    let answer: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed("its answer is no ExecCredential".into()))?;
    let text = |key: &str| {
        let value = answer.get("status")?.get(key)?.as_str().filter(|it| !it.is_empty())?;
        Some(Secret::new(value.to_owned()))
    };
    let credentials = Credentials {
        token: text("token"),
        identity: text("clientCertificateData").zip(text("clientKeyData")),
    };
    if credentials.token.is_none() && credentials.identity.is_none() {
        return Err(failed("its answer has neither token nor certificate".into()));
    }
    Ok(credentials)
}
