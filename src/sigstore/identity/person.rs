//! The person who logs in, as far as the library knows one.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use url::Url;

/// Somebody who can be asked to log in.
pub trait Person: fmt::Debug + Send + Sync {
    /// Shows what to do. Returns at once: that it was done is heard from the issuer.
    fn invite(&self, invitation: &Invitation);
}

/// What somebody is asked to do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Invitation {
    /// Open this address in a browser of this machine.
    Browser {
        /// Where to log in.
        url: Url,
    },
    /// Open an address in any browser, and type a code there.
    Code {
        /// The code.
        code: String,
        /// Where to type it; it may hold the code already.
        url: Url,
        /// How long the code is good.
        valid_for: Duration,
    },
}

/// How to wait between two questions; tests do not.
#[async_trait]
pub trait Pause: fmt::Debug + Send + Sync {
    /// Waits for `time`.
    async fn wait(&self, time: Duration);
}

/// Waits as long as it is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sleep;

#[async_trait]
impl Pause for Sleep {
    async fn wait(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
