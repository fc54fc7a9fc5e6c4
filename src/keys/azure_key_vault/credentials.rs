//! Who asks Azure: in the order of `DefaultAzureCredential`.
//!
//! The variables of a service principal (secret, then certificate), workload identity, the managed identity of App
//! Service or of the machine, `az`. The first that is there counts; what it answers stays.
//! Source: azure-sdk-for-go, `azidentity/default_azure_credential.go`.

use std::path::PathBuf;
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use url::Url;

use crate::keys::azure_key_vault::parse;
use crate::keys::azure_key_vault::reference::Reference;
use crate::keys::bearer::{Token, TokenCache, assertion, bearer, seconds, secret};
use crate::keys::file::read;
use crate::keys::http::{Call, Failure, Http};
use crate::keys::{KeyErrorKind, OpenOptions};
use crate::model::{Clock as _, Secret, SystemClock, Timestamp};
use crate::wire::program::{self, Program};
use crate::wire::tls::Tls;

const TIMEOUT: Duration = Duration::from_secs(20);

/// Who asks, and the token that shows it.
#[derive(Debug)]
pub(super) struct Credentials {
    options: OpenOptions,
    /// Ends with a slash.
    authority: String,
    resource: String,
    token: TokenCache,
}

impl Credentials {
    /// Reads which cloud it is; asks nobody yet.
    pub(super) fn new(reference: &Reference, options: &OpenOptions) -> Result<Self, Failure> {
        let by_name = |name: &str| match name.to_ascii_uppercase().as_str() {
            "AZURECLOUD" | "AZUREPUBLICCLOUD" => Some("https://login.microsoftonline.com/"),
            "AZUREUSGOVERNMENT" | "AZUREUSGOVERNMENTCLOUD" => {
                Some("https://login.microsoftonline.us/")
            }
            "AZURECHINACLOUD" => Some("https://login.chinacloudapi.cn/"),
            _ => None,
        };
        let authority = match options.variable("AZURE_AUTHORITY_HOST") {
            Some(host) => format!("{}/", host.expose().trim_end_matches('/')),
            None => match options.variable("AZURE_ENVIRONMENT") {
                Some(name) => by_name(name.expose())
                    .ok_or_else(|| malformed("AZURE_ENVIRONMENT names no cloud of Azure"))?
                    .to_owned(),
                None => reference.authority().to_owned(),
            },
        };
        let resource = reference.resource();
        Ok(Self { options: options.clone(), authority, resource, token: TokenCache::default() })
    }

    /// The same call with who asks.
    pub(super) async fn authorize(&self, call: Call) -> Result<Call, Failure> {
        let token = self.token.get(self.fetch()).await?;
        Ok(call.secret_header("authorization", &bearer(&token))?)
    }

    async fn fetch(&self) -> Result<Token, Failure> {
        let variable = |name| self.options.variable(name);
        let client = variable("AZURE_CLIENT_ID");
        let principal = client.clone().zip(variable("AZURE_TENANT_ID"));
        if let Some((client, tenant)) = principal {
            if let Some(secret) = variable("AZURE_CLIENT_SECRET") {
                let proof = [("client_secret", secret.expose().as_str())];
                let token = self.principal(&tenant, &client, &proof).await;
                return token.map_err(|it| refused("client secret", it));
            }
            if let Some(path) = variable("AZURE_CLIENT_CERTIFICATE_PATH") {
                let token = self.certificate(&tenant, &client, path.expose()).await;
                return token.map_err(|it| refused("client certificate", it));
            }
            if let Some(path) = variable("AZURE_FEDERATED_TOKEN_FILE") {
                let token = self.workload(&tenant, &client, path.expose()).await;
                return token.map_err(|it| refused("workload identity", it));
            }
        }
        match self.managed_identity(client.as_ref()).await {
            Ok(token) => Ok(token),
            Err(failure) if self.has_no_identity(&failure, client.as_ref()) => {
                self.cli().await.map_err(|it| refused("az", it))
            }
            Err(failure) => Err(refused("managed identity", failure)),
        }
    }

    /// Says whether the machine has none: nobody answers, or (400) none is assigned to it and none was asked for.
    fn has_no_identity(&self, failure: &Failure, client: Option<&Secret<String>>) -> bool {
        let is_asked_for = client.is_some() || self.options.variable("IDENTITY_ENDPOINT").is_some();
        failure.kind == KeyErrorKind::Unavailable
            || (failure.status.is_some_and(|it| it.as_u16() == 400) && !is_asked_for)
    }

    /// OAuth 2.0 client credentials, with a proof that this is the client.
    async fn principal(
        &self,
        tenant: &Secret<String>,
        client: &Secret<String>,
        proof: &[(&str, &str)],
    ) -> Result<Token, Failure> {
        let url = self.token_url(tenant)?;
        let scope = format!("{}/.default", self.resource);
        let mut fields = vec![
            ("grant_type", "client_credentials"),
            ("client_id", client.expose().as_str()),
            ("scope", scope.as_str()),
        ];
        fields.extend_from_slice(proof);
        let call = Call::new(Method::POST, url.clone()).form(&fields);
        let http = Http::new(&url, Tls::default(), TIMEOUT, &self.options)?;
        Token::from_answer(&http.send(&call).await?)
    }

    fn token_url(&self, tenant: &Secret<String>) -> Result<Url, Failure> {
        let is_name = |c: u8| c.is_ascii_alphanumeric() || b".-".contains(&c);
        if !tenant.expose().bytes().all(is_name) {
            return Err(malformed("AZURE_TENANT_ID is no tenant"));
        }
        parse(&format!("{}{}/oauth2/v2.0/token", self.authority, tenant.expose()))
    }

    /// Source: Microsoft identity platform, "certificate credentials".
    async fn certificate(
        &self,
        tenant: &Secret<String>,
        client: &Secret<String>,
        path: &str,
    ) -> Result<Token, Failure> {
        let pem = text_of(path).await?;
        let certificate = CertificateDer::from_pem_slice(pem.expose().as_bytes());
        let certificate = certificate
            .map_err(|_| malformed(&format!("{path} has no PEM certificate (PFX is not taken)")))?;
        let thumbprint = digest(&SHA1_FOR_LEGACY_USE_ONLY, &certificate);
        let header = json!({ "x5t": URL_SAFE_NO_PAD.encode(thumbprint) });
        let now = SystemClock.now().as_seconds();
        let claims = json!({
            "aud": self.token_url(tenant)?.as_str(),
            "iss": client.expose(),
            "sub": client.expose(),
            "jti": hex::encode(fastrand::u128(..).to_be_bytes()),
            "nbf": now,
            "exp": now + 600,
        });
        let assertion = assertion(&pem, header, &claims)?;
        self.principal(tenant, client, &with_assertion(&assertion)).await
    }

    /// The token of Kubernetes or of a CI system; it is renewed in the file, so it is read each time.
    async fn workload(
        &self,
        tenant: &Secret<String>,
        client: &Secret<String>,
        path: &str,
    ) -> Result<Token, Failure> {
        let token = Secret::new(text_of(path).await?.expose().trim().to_owned());
        self.principal(tenant, client, &with_assertion(&token)).await
    }

    /// Source: Azure, "managed identities: use an access token", for App Service and for machines.
    async fn managed_identity(&self, client: Option<&Secret<String>>) -> Result<Token, Failure> {
        let variable = |name| self.options.variable(name);
        let app_service = variable("IDENTITY_ENDPOINT").zip(variable("IDENTITY_HEADER"));
        let host = variable("AZURE_POD_IDENTITY_AUTHORITY_HOST");
        let host = host.as_ref().map_or("http://169.254.169.254", |it| it.expose());
        let (mut url, version) = match &app_service {
            Some((endpoint, _)) => (parse(endpoint.expose())?, "2019-08-01"),
            None => {
                let path = "metadata/identity/oauth2/token";
                (parse(&format!("{}/{path}", host.trim_end_matches('/')))?, "2018-02-01")
            }
        };
        url.query_pairs_mut()
            .append_pair("api-version", version)
            .append_pair("resource", &self.resource)
            .extend_pairs(client.map(|it| ("client_id", it.expose())));
        let call = Call::new(Method::GET, url.clone());
        let (call, timeout, patience) = match &app_service {
            Some((_, header)) => {
                (call.secret_header("x-identity-header", header)?, TIMEOUT, self.options.patience)
            }
            // Off Azure nobody answers there.
            None => {
                let second = Duration::from_secs(1);
                (call.header("metadata", "true"), second, self.options.patience.min(second))
            }
        };
        let options = self.options.clone().with_patience(patience);
        let answer = Http::new(&url, Tls::default(), timeout, &options)?.send(&call).await?;
        Token::from_answer(&answer)
    }

    /// Whoever ran `az login` on this machine.
    async fn cli(&self) -> Result<Token, Failure> {
        let none = |why: &str| {
            let none = "no credentials: no AZURE_ variables, no managed identity";
            Failure::new(KeyErrorKind::Permission, format!("{none}, and {why}"))
        };
        let path = self.options.variable("PATH");
        let az = path.and_then(|path| program::find("az", path.expose()));
        let az = az.ok_or_else(|| none("no `az` on PATH"))?;
        let resource = ["--resource", self.resource.as_str()];
        let arguments = ["account", "get-access-token", "--output", "json"];
        let output = Program {
            path: az,
            arguments: arguments.iter().chain(&resource).map(Into::into).collect(),
            environment: None,
            variables: Vec::new(),
            time: Duration::from_secs(30),
        };
        let output = output.run(b"").await.map_err(|error| none(&format!("`az`: {error}")))?;
        if !output.is_success {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(none(&format!("`az account get-access-token` failed: {said}")));
        }
        let body: Value = serde_json::from_slice(&output.stdout)
            .map_err(|_| malformed("`az account get-access-token` wrote no JSON"))?;
        // Older ones say the end in local time only: then it is asked again for each request.
        let until = Timestamp::from_seconds(seconds(&body, "expires_on").unwrap_or(0));
        Ok(Token { value: secret(&body, "accessToken")?, until })
    }
}

fn with_assertion(assertion: &Secret<String>) -> [(&'static str, &str); 2] {
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    [("client_assertion_type", kind), ("client_assertion", assertion.expose().as_str())]
}

async fn text_of(path: &str) -> Result<Secret<String>, Failure> {
    let text = read("read", "the credentials of Azure", &PathBuf::from(path)).await;
    text.map_err(|error| {
        let why = error.source.map(|it| it.to_string()).unwrap_or_default();
        Failure::new(KeyErrorKind::Permission, format!("cannot read {path}: {why}"))
    })
}

fn malformed(why: &str) -> Failure {
    Failure::new(KeyErrorKind::Malformed, why)
}

fn refused(who: &str, failure: Failure) -> Failure {
    // 400 `invalid_request`, 401 `invalid_client`: the proof is not accepted.
    let is_refused = matches!(failure.kind, KeyErrorKind::Unsupported | KeyErrorKind::NotFound);
    let kind = if is_refused && failure.status.is_some() {
        KeyErrorKind::Permission
    } else {
        failure.kind
    };
    Failure {
        kind,
        status: failure.status,
        said: format!("Azure credentials ({who}): {}", failure.said),
    }
}
