//! An identity token: a JWT that is read, not verified. Pure.
//!
//! Fulcio verifies it. What is read here serves to choose what is signed as proof of possession, to refuse early what
//! Fulcio would refuse, and to say who signs before anything is published. Source: OpenID Connect Core 1.0 §2,
//! RFC 7519; Fulcio's `docs/oidc.md`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::model::{Secret, Timestamp};

/// The largest token that is read, in bytes: those of the large issuers have one to four kilobytes.
const LARGEST: usize = 64 << 10;

/// A token that says who signs. It cannot be printed: whoever has it can sign as that one until it ends.
#[derive(Clone)]
pub struct IdentityToken {
    raw: Secret<String>,
    issuer: String,
    connector: Option<String>,
    subject: String,
    email: Option<Email>,
    audiences: Vec<String>,
    nonce: Option<String>,
    expires: Timestamp,
}

/// An address, and whether the issuer has seen that it is the subject's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Email {
    /// The address.
    pub address: String,
    /// Whether the issuer vouches for it.
    pub is_verified: bool,
}

/// Why a text is no identity token. Never quotes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is longer than any token.
    #[error("it is longer than 64 KiB")]
    TooLong,
    /// It has not the form of a JWT.
    #[error("it is no JWT: three parts in base64url, joined by dots")]
    NoJwt,
    /// Its middle part is no JSON object.
    #[error("its claims are no JSON object")]
    NoClaims,
    /// A claim is missing, or not of its type.
    #[error("its claim `{0}` is missing or of the wrong type")]
    Claim(&'static str),
}

impl IdentityToken {
    /// Reads `raw`; spaces and line breaks around it are not part of it.
    ///
    /// # Errors
    ///
    /// When it is no JWT with `iss`, `sub` and `exp`.
    pub fn parse(raw: &Secret<String>) -> Result<Self, TokenError> {
        let text = raw.expose().trim();
        if text.len() > LARGEST {
            return Err(TokenError::TooLong);
        }
        let parts: Vec<&str> = text.split('.').collect();
        let [header, payload, signature] = parts.as_slice() else { return Err(TokenError::NoJwt) };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok().filter(|it| !it.is_empty());
        let (Some(_), Some(payload), Some(_)) =
            (decode(header), decode(payload), decode(signature))
        else {
            return Err(TokenError::NoJwt);
        };
        let claims: Value = serde_json::from_slice(&payload).map_err(|_| TokenError::NoClaims)?;
        if !claims.is_object() {
            return Err(TokenError::NoClaims);
        }
        Ok(Self {
            raw: Secret::new(text.to_owned()),
            issuer: text_of(&claims, "iss")?.ok_or(TokenError::Claim("iss"))?,
            connector: connector(&claims),
            subject: text_of(&claims, "sub")?.ok_or(TokenError::Claim("sub"))?,
            email: email(&claims)?,
            audiences: audiences(&claims)?,
            nonce: text_of(&claims, "nonce")?,
            expires: expires(&claims)?,
        })
    }

    /// The token itself, for the service that it is shown to.
    pub fn raw(&self) -> &Secret<String> {
        &self.raw
    }

    /// Who made it: the claim `iss`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The issuer as Fulcio is expected to write it into the certificate.
    ///
    /// Sigstore's own issuer (a dex) stands before others, which it names in `federated_claims.connector_id`; Fulcio
    /// writes that one. Fulcio's configuration decides, so this is a forecast to show, not to rely on.
    pub fn issuer_in_certificate(&self) -> &str {
        self.connector.as_deref().unwrap_or(&self.issuer)
    }

    /// Whom it is about: the claim `sub`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The address of the subject, where the token has one.
    pub fn email(&self) -> Option<&Email> {
        self.email.as_ref()
    }

    /// When it ends.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Says whether it is over at `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires <= now
    }

    /// Says whether it was made for `audience`. A token that names none is for anyone.
    pub fn is_for(&self, audience: &str) -> bool {
        self.audiences.is_empty() || self.audiences.iter().any(|it| it == audience)
    }

    /// What the request to Fulcio is signed over as proof of possession: the address, else the subject.
    ///
    /// `None` where there is an address that the issuer has not verified: Fulcio gives no certificate for it.
    pub fn subject_for_proof(&self) -> Option<&str> {
        match &self.email {
            Some(email) => email.is_verified.then_some(&email.address),
            None => Some(&self.subject),
        }
    }

    /// The claim `nonce`, which ties the token to one login.
    pub fn nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }
}

/// Shows who it is and until when, and not the token.
impl fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityToken")
            .field("issuer", &self.issuer)
            .field("subject", &self.subject)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// A text that may be missing, and is not empty.
fn text_of(claims: &Value, name: &'static str) -> Result<Option<String>, TokenError> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|it| !it.is_empty())),
        Some(_) => Err(TokenError::Claim(name)),
    }
}

/// Dex names the issuer behind it; the ids that an operator chose freely are no URLs.
fn connector(claims: &Value) -> Option<String> {
    let id = claims.get("federated_claims")?.get("connector_id")?.as_str()?;
    id.contains("://").then(|| id.to_owned())
}

fn email(claims: &Value) -> Result<Option<Email>, TokenError> {
    let Some(address) = text_of(claims, "email")? else { return Ok(None) };
    // Some issuers write the truth as a text.
    let is_verified = match claims.get("email_verified") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(is_verified)) => *is_verified,
        Some(Value::String(text)) => text == "true",
        Some(_) => return Err(TokenError::Claim("email_verified")),
    };
    Ok(Some(Email { address, is_verified }))
}

fn audiences(claims: &Value) -> Result<Vec<String>, TokenError> {
    let wrong = TokenError::Claim("aud");
    match claims.get("aud") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(all)) => {
            all.iter().map(|it| it.as_str().map(str::to_owned).ok_or(wrong)).collect()
        }
        Some(_) => Err(wrong),
    }
}

/// Seconds since 1970, which may have a fraction.
fn expires(claims: &Value) -> Result<Timestamp, TokenError> {
    let value = claims.get("exp").ok_or(TokenError::Claim("exp"))?;
    let whole = value.as_i64().or_else(|| value.as_f64().and_then(whole_seconds));
    whole.map(Timestamp::from_seconds).ok_or(TokenError::Claim("exp"))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a number out of range becomes the nearest end"
)]
fn whole_seconds(seconds: f64) -> Option<i64> {
    seconds.is_finite().then(|| seconds.floor() as i64)
}

#[cfg(test)]
mod tests;
