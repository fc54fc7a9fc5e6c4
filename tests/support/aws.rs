//! AWS KMS in moto: a server in Python, and what it is asked with.

use std::sync::Arc;

use serde_json::Value;

use super::python_server::PythonServer;

/// The credentials of everybody.
pub const ID: &str = "AKIAIOSFODNN7EXAMPLE";
pub const SECRET: &str = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY";

/// A running server; it is ended when this is dropped.
pub struct AwsServer(PythonServer);

impl AwsServer {
    pub fn start() -> Self {
        Self(PythonServer::start("aws_kms_server.py"))
    }

    /// `http://…`
    pub fn url(&self) -> String {
        format!("http://{}", self.0.address())
    }
}

/// The variables with which AWS's own library asks the server at `url`.
pub fn variables(url: &str) -> Vec<(&str, &str)> {
    vec![
        ("AWS_ENDPOINT_URL", url),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]
}

/// The next requests to the server at `url` are refused with these codes.
pub async fn refuse(url: &str, codes: &[&str]) {
    let body = serde_json::to_vec(codes).unwrap();
    client().post(format!("{url}/faults")).body(body).send().await.unwrap();
}

/// What the server at `url` was asked for since the last time: `GetPublicKey`, `Sign`, …
pub async fn asked(url: &str) -> Vec<String> {
    let answer = client().get(format!("{url}/asked")).send().await.unwrap();
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

/// Asks the server at `url` for an operation of KMS, as nobody in particular: moto looks at no signature.
pub async fn call(url: &str, operation: &str, body: &Value) -> Value {
    let answer = client()
        .post(url)
        .header("x-amz-target", format!("TrentService.{operation}"))
        .header("content-type", "application/x-amz-json-1.1")
        .header(
            "authorization",
            format!("AWS4-HMAC-SHA256 Credential={ID}/20260101/us-east-1/kms/aws4_request"),
        )
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    let status = answer.status();
    let body = answer.bytes().await.unwrap();
    assert!(status.is_success(), "{operation}: {status} {body:?}");
    serde_json::from_slice(&body).unwrap_or(Value::Null)
}

/// Makes a key that signs, with an alias; gives its ARN.
pub async fn create(url: &str, alias: &str, spec: &str) -> String {
    let body = serde_json::json!({ "KeySpec": spec, "KeyUsage": "SIGN_VERIFY" });
    let key = call(url, "CreateKey", &body).await;
    let metadata = &key["KeyMetadata"];
    let body = serde_json::json!({ "AliasName": format!("alias/{alias}"), "TargetKeyId": metadata["KeyId"] });
    call(url, "CreateAlias", &body).await;
    metadata["Arn"].as_str().unwrap().to_owned()
}

fn client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls).build().unwrap()
}
