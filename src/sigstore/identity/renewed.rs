//! Tokens that are kept until they end, and fetched once by however many tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::model::Clock;
use crate::sigstore::identity::failure::failed;
use crate::sigstore::identity::{IdentitySource, IdentityToken};
use crate::sigstore::{ServiceError, ServiceErrorKind};

// Long enough for a request to Fulcio that is tried again. Sigstore's own issuer gives tokens for one minute.
const EARLY_SECONDS: i64 = 15;

/// A source whose tokens are used until shortly before they end.
#[derive(Debug)]
pub(super) struct Renewed<S> {
    source: S,
    clock: Arc<dyn Clock>,
    flights: AtomicU64,
    last: Mutex<Option<(String, Result<IdentityToken, ServiceError>)>>,
}

impl<S: IdentitySource> Renewed<S> {
    pub(super) fn new(source: S, clock: Arc<dyn Clock>) -> Self {
        Self { source, clock, flights: AtomicU64::new(0), last: Mutex::new(None) }
    }

    /// A token that says who signs, and that has not ended.
    async fn fetch(&self, audience: &str) -> Result<IdentityToken, ServiceError> {
        let token = self.source.token(audience).await?;
        let now = self.clock.now();
        if token.is_expired(now) {
            let said =
                format!("the token that it gave ended at {}, and now is {now}", token.expires());
            return Err(failed(ServiceErrorKind::Untrusted, token.issuer(), said)
                .advise("set the clock of this machine; if it is right, get a new token"));
        }
        if token.subject_for_proof().is_none() {
            let said = "it does not vouch for the address in its token (`email_verified`)";
            return Err(failed(ServiceErrorKind::Permission, token.issuer(), said)
                .advise("verify the address with the issuer, then log in again"));
        }
        tracing::debug!(
            issuer = token.issuer_in_certificate(),
            subject = token.subject_for_proof(),
            expires = %token.expires(),
            "identity.token"
        );
        Ok(token)
    }
}

#[async_trait]
impl<S: IdentitySource> IdentitySource for Renewed<S> {
    /// The lock is held while a token is fetched: the other tasks wait for that one flight, and take what it brings,
    /// be it a failure. It guards nothing else.
    async fn token(&self, audience: &str) -> Result<IdentityToken, ServiceError> {
        let before = self.flights.load(Ordering::Acquire);
        let mut last = self.last.lock().await;
        let landed_meanwhile = self.flights.load(Ordering::Acquire) != before;
        let soon = self.clock.now().as_seconds() + EARLY_SECONDS;
        match last.as_ref().filter(|(of, _)| of == audience) {
            Some((_, Ok(token))) if token.expires().as_seconds() > soon => return Ok(token.clone()),
            Some((_, landed)) if landed_meanwhile => return landed.clone(),
            _ => {}
        }
        let fetched = self.fetch(audience).await;
        self.flights.fetch_add(1, Ordering::Release);
        *last = Some((audience.to_owned(), fetched.clone()));
        fetched
    }
}
