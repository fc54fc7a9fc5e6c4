//! Access tokens of key services: kept until shortly before they end, asked for once by however many tasks.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::crypto::{Hash, PrivateKey};
use crate::keys::KeyErrorKind;
use crate::keys::http::{Answer, Failure};
use crate::model::{Clock as _, Secret, SystemClock, Timestamp};

/// A token and when it ends.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) value: Secret<String>,
    pub(super) until: Timestamp,
}

// Long enough for a request that is tried again; metadata servers themselves renew five minutes before the end.
const EARLY_SECONDS: i64 = 120;

/// The token of one key.
#[derive(Debug, Default)]
pub(super) struct TokenCache(Mutex<Option<Token>>);

impl TokenCache {
    /// The token, from `fetch` where there is none that lasts.
    ///
    /// The lock is held while it is fetched: the other tasks wait for that one request. It guards nothing else.
    pub(super) async fn get(
        &self,
        fetch: impl Future<Output = Result<Token, Failure>>,
    ) -> Result<Secret<String>, Failure> {
        let mut slot = self.0.lock().await;
        let soon = SystemClock.now().as_seconds() + EARLY_SECONDS;
        if let Some(token) = slot.as_ref().filter(|it| it.until.as_seconds() > soon) {
            return Ok(token.value.clone());
        }
        Ok(slot.insert(fetch.await?).value.clone())
    }
}

impl Token {
    /// Reads an answer of OAuth 2.0: `access_token`, `expires_in` in seconds.
    pub(super) fn from_answer(answer: &Answer) -> Result<Self, Failure> {
        let body = answer.json()?;
        let value = secret(&body, "access_token")?;
        let lifetime = seconds(&body, "expires_in").unwrap_or(0);
        let until =
            Timestamp::from_seconds(SystemClock.now().as_seconds().saturating_add(lifetime));
        Ok(Self { value, until })
    }
}

/// A text that must be there; it is not shown.
pub(super) fn secret(body: &Value, name: &str) -> Result<Secret<String>, Failure> {
    let text = body.get(name).and_then(Value::as_str).filter(|it| !it.is_empty());
    text.map(|it| Secret::new(it.to_owned()))
        .ok_or_else(|| Failure::new(KeyErrorKind::Malformed, format!("the answer has no `{name}`")))
}

/// A number, or a number as text: services write both.
pub(super) fn seconds(body: &Value, name: &str) -> Option<i64> {
    let value = body.get(name)?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// The header `Authorization` with a token.
pub(super) fn bearer(token: &Secret<String>) -> Secret<String> {
    Secret::new(format!("Bearer {}", token.expose()))
}

/// A signed assertion: RFC 7519, RS256.
///
/// # Errors
///
/// [`KeyErrorKind::Malformed`] when `pem` holds no RSA key in PKCS#8.
pub(super) fn assertion(
    pem: &Secret<String>,
    mut header: Value,
    claims: &Value,
) -> Result<Secret<String>, Failure> {
    let malformed = |why: String| Failure::new(KeyErrorKind::Malformed, why);
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose().as_bytes())
        .map_err(|_| malformed("the private key is no PEM `PRIVATE KEY` (PKCS#8)".into()))?;
    let key = PrivateKey::from_pkcs8(&Secret::new(der.secret_pkcs8_der().to_vec()))
        .map_err(|error| malformed(error.to_string()))?;
    if let Some(header) = header.as_object_mut() {
        header.insert("alg".into(), "RS256".into());
        header.insert("typ".into(), "JWT".into());
    }
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encoded(&header), encoded(claims));
    let signature =
        key.sign(signed.as_bytes(), Hash::Sha256).map_err(|error| malformed(error.to_string()))?;
    Ok(Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_bytes()))))
}
