//! Workload identity federation: a token of somebody else, exchanged for one of Google.
//!
//! Source: AIP-4117, RFC 8693. Subject tokens come from a file or a URL; not from AWS's signatures and not from
//! programs, which the file would name.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::keys::OpenOptions;
use crate::keys::bearer::{Token, secret};
use crate::keys::file::read;
use crate::keys::gcp_kms::credentials::{impersonate, malformed, post, scope};
use crate::keys::gcp_kms::{parse, text};
use crate::keys::http::{Call, Failure, Http};
use crate::model::Secret;
use crate::wire::tls::Tls;

const TIMEOUT: Duration = Duration::from_secs(20);

/// The token of an `external_account`.
pub(super) async fn account(file: &Value, options: &OpenOptions) -> Result<Token, Failure> {
    let needed = |name| text(file, name).ok_or_else(|| malformed(&format!("it has no `{name}`")));
    let source = file.get("credential_source").unwrap_or(&Value::Null);
    let subject = subject_token(source, options).await?;
    let mut fields = vec![
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("audience", needed("audience")?),
        ("scope", scope()),
        ("subject_token_type", needed("subject_token_type")?),
        ("subject_token", subject.expose()),
    ];
    let project = text(file, "workforce_pool_user_project");
    let project = project.map(|it| json!({ "userProject": it }).to_string());
    fields.extend(project.as_deref().map(|it| ("options", it)));
    let token = Token::from_answer(&post(needed("token_url")?, &fields, options).await?)?;
    match text(file, "service_account_impersonation_url") {
        Some(_) => impersonate(file, &token, &json!([]), options).await,
        None => Ok(token),
    }
}

async fn subject_token(source: &Value, options: &OpenOptions) -> Result<Secret<String>, Failure> {
    let content = if let Some(path) = text(source, "file") {
        let read = read("read", "the subject token", Path::new(path)).await;
        read.map_err(|_| malformed(&format!("its subject token {path} cannot be read")))?
    } else if let Some(url) = text(source, "url") {
        fetch(source, url, options).await?
    } else {
        return Err(malformed("its `credential_source` has neither `file` nor `url`"));
    };
    let format = source.get("format").unwrap_or(&Value::Null);
    if text(format, "type") != Some("json") {
        return Ok(Secret::new(content.expose().trim().to_owned()));
    }
    let name = text(format, "subject_token_field_name")
        .ok_or_else(|| malformed("its `format` has no `subject_token_field_name`"))?;
    let content = serde_json::from_str(content.expose());
    secret(&content.map_err(|_| malformed("its subject token is no JSON"))?, name)
}

async fn fetch(
    source: &Value,
    url: &str,
    options: &OpenOptions,
) -> Result<Secret<String>, Failure> {
    let url = parse(url)?;
    let mut call = Call::new(Method::GET, url.clone());
    for (name, value) in source.get("headers").and_then(Value::as_object).into_iter().flatten() {
        let value = Secret::new(value.as_str().unwrap_or_default().to_owned());
        call = call.secret_header(name, &value)?;
    }
    let answer = Http::new(&url, Tls::default(), TIMEOUT, options)?.send(&call).await?;
    let content = String::from_utf8(answer.body.expose().clone());
    content.map(Secret::new).map_err(|_| malformed("its subject token is no text"))
}
