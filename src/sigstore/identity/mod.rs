//! Who signs without a key: identity tokens, and where they come from.
//!
//! A token that is given wins, then what the surroundings offer (a CI system, a cloud), then a person who logs in.
//! Tokens are read, not verified: Fulcio verifies them. Why nothing here is a crate of sigstore's: ADR 29.

mod ambient;
mod browser;
mod client_credentials;
mod device;
mod failure;
mod given;
mod issuer;
mod person;
mod renewed;
#[cfg(unix)]
mod spiffe;
mod token;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use url::Url;

pub use ambient::{AmbientProvider, Places};
pub use person::{Invitation, Pause, Person, Sleep};
pub use token::{Email, IdentityToken, TokenError};

use crate::model::{Clock, Environment, Secret, SystemClock};
use crate::sigstore::identity::failure::no_identity;
use crate::sigstore::identity::issuer::Issuer;
use crate::sigstore::identity::renewed::Renewed;
use crate::sigstore::{Deployment, ServiceError};

/// The audience that Fulcio asks for.
pub const AUDIENCE: &str = "sigstore";

/// The issuer of sigstore's public instance, which lets Google, GitHub and Microsoft say who somebody is.
pub const PUBLIC_ISSUER: &str = "https://oauth2.sigstore.dev/auth";

/// Gives tokens that say who signs.
#[async_trait]
pub trait IdentitySource: fmt::Debug + Send + Sync {
    /// A token for `audience` that has not ended, and that says who signs.
    ///
    /// # Errors
    ///
    /// Codes of the area `oidc`.
    async fn token(&self, audience: &str) -> Result<IdentityToken, ServiceError>;
}

/// Gives access tokens of Google, by whatever credentials a machine has.
#[async_trait]
pub trait GoogleAccess: fmt::Debug + Send + Sync {
    /// An access token with the scope `cloud-platform`.
    ///
    /// # Errors
    ///
    /// What went wrong, fit to print.
    async fn access_token(&self) -> Result<Secret<String>, ServiceError>;
}

/// Where tokens come from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IdentityOptions {
    /// A token, or the path of a file that holds one. It wins.
    pub token: Option<Secret<String>>,
    /// Which of the surroundings are asked.
    pub ambient: AmbientUse,
    /// How somebody logs in, where nothing else says who signs.
    pub login: Login,
    /// Where the issuer is named, where nothing else names one. It is opened only for a login.
    pub deployment: Option<Arc<Deployment>>,
    /// Whom to ask; `None` where there is no terminal, or where nobody may be asked.
    pub person: Option<Arc<dyn Person>>,
    /// Who asks Google in the name of another account.
    pub google: Option<Arc<dyn GoogleAccess>>,
    /// Variables; the library itself never reads the environment.
    pub environment: Arc<dyn Environment>,
    /// Files and sockets at fixed places.
    pub places: Places,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How the device flow waits between two questions.
    pub pause: Arc<dyn Pause>,
    /// How long a service that limits requests or fails on its side is asked again.
    pub patience: Duration,
}

/// Which of the surroundings are asked for a token.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AmbientUse {
    /// The first that there is, in the order of [`AmbientProvider::ALL`].
    #[default]
    First,
    /// This one, whether it seems to be there or not.
    Only(AmbientProvider),
    /// None.
    Never,
}

/// How somebody logs in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Login {
    /// The way; `None`: the browser.
    pub flow: Option<Flow>,
    /// The issuer, exactly as its tokens name it; `None`: that of the deployment, else [`PUBLIC_ISSUER`].
    pub issuer: Option<String>,
    /// What the issuer calls this program.
    pub client_id: String,
    /// A file with the secret of the client, where it has one.
    pub client_secret_file: Option<PathBuf>,
    /// Where the browser is sent back to: `http://localhost:PORT/PATH`; port 0 takes a free one.
    pub redirect: Option<Url>,
    /// Who stands behind sigstore's issuer, so that nobody has to choose: `https://accounts.google.com`.
    pub connector: Option<String>,
}

/// The ways to log in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flow {
    /// A browser on this machine: authorization code with PKCE.
    Normal,
    /// A browser anywhere, where somebody types a code.
    Device,
    /// No login: the token must be given.
    Token,
    /// A secret of the program itself; asks nobody.
    ClientCredentials,
}

impl Default for Login {
    /// The browser, at the issuer of the deployment.
    fn default() -> Self {
        Self {
            flow: None,
            issuer: None,
            client_id: "sigstore".to_owned(),
            client_secret_file: None,
            redirect: None,
            connector: None,
        }
    }
}

impl IdentityOptions {
    /// The surroundings of `environment`, nobody to ask, the public issuer, 90 seconds of patience.
    pub fn new(environment: Arc<dyn Environment>) -> Self {
        Self {
            token: None,
            ambient: AmbientUse::First,
            login: Login::default(),
            deployment: None,
            person: None,
            google: None,
            environment,
            places: Places::default(),
            clock: Arc::new(SystemClock),
            pause: Arc::new(Sleep),
            // Longer than the quota window of the large services, one minute.
            patience: Duration::from_secs(90),
        }
    }

    fn variable(&self, name: &str) -> Option<Secret<String>> {
        self.environment.variable(name).filter(|value| !value.expose().is_empty())
    }
}

/// The source that `options` describe. Asks nobody before its first token is wanted.
///
/// Tokens are kept until shortly before they end, then fetched again; however many tasks wait for one, it is
/// fetched once.
pub fn source(options: IdentityOptions) -> Arc<dyn IdentitySource> {
    let clock = Arc::clone(&options.clock);
    Arc::new(Renewed::new(Origin(options), clock))
}

/// Fetches anew each time.
#[derive(Debug)]
struct Origin(IdentityOptions);

#[async_trait]
impl IdentitySource for Origin {
    async fn token(&self, audience: &str) -> Result<IdentityToken, ServiceError> {
        let options = &self.0;
        if let Some(text) = &options.token {
            return given::token(text, options).await;
        }
        if let Some(provider) = ambient::choose(options).await {
            return ambient::token(provider, audience, options).await;
        }
        match (options.login.flow, &options.person) {
            (Some(Flow::ClientCredentials), _) => {
                client_credentials::token(&Issuer::discover(options).await?).await
            }
            (Some(Flow::Device), Some(person)) => {
                device::token(&Issuer::discover(options).await?, &**person).await
            }
            (None | Some(Flow::Normal), Some(person)) => {
                browser::token(&Issuer::discover(options).await?, &**person).await
            }
            (Some(Flow::Token), _) | (_, None) => Err(no_identity(options)),
        }
    }
}
