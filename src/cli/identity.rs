//! Who signs without a key: the flags of cosign, and the person at the terminal.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use countersign::keys::{OpenOptions, google_access};
use countersign::model::{Environment, Secret};
use countersign::render;
use countersign::sigstore::Deployment;
use countersign::sigstore::identity::{
    AmbientProvider, AmbientUse, Flow, IdentityOptions, IdentitySource, Invitation, Person, source,
};
use url::Url;

use super::context::Context;
use super::terminal::{Answers, Terminal};

/// Who signs without a key.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub(crate) struct IdentityArgs {
    /// The token that says who signs: better a file that holds it, for everybody on this machine sees the text
    #[arg(long, value_name = "FILE|TOKEN", value_parser = secret, help_heading = "Identity")]
    pub(crate) identity_token: Option<Secret<String>>,
    /// How to log in where nothing else says who signs; a browser on this machine where it is left out
    #[arg(long, value_enum, value_name = "FLOW", help_heading = "Identity")]
    pub(crate) fulcio_auth_flow: Option<FlowArg>,
    /// Where to log in; else the issuer of the signing config
    #[arg(long, value_name = "URL", help_heading = "Identity")]
    pub(crate) oidc_issuer: Option<String>,
    /// Who vouches behind sigstore's issuer, so that nobody has to choose: google, github, microsoft, or an id
    #[arg(long, value_name = "NAME", value_parser = connector, help_heading = "Identity")]
    pub(crate) oidc_connector: Option<String>,
    /// What the issuer calls this program
    #[arg(long, value_name = "ID", default_value = "sigstore", help_heading = "Identity")]
    pub(crate) oidc_client_id: String,
    /// A file with the secret of this program, where the issuer gave it one
    #[arg(long, value_name = "FILE", help_heading = "Identity")]
    pub(crate) oidc_client_secret_file: Option<PathBuf>,
    /// Where the browser comes back to: http://localhost:PORT/PATH
    #[arg(long, value_name = "URL", help_heading = "Identity")]
    pub(crate) oidc_redirect_url: Option<Url>,
    /// Asks this provider of tokens and no other: github-actions, buildkite-agent, envvar, filesystem, google, spiffe, …
    #[arg(long, value_name = "NAME", value_parser = provider, help_heading = "Identity")]
    pub(crate) oidc_provider: Option<ProviderArg>,
    /// Asks no provider of tokens
    #[arg(long, conflicts_with = "oidc_provider", help_heading = "Identity")]
    pub(crate) oidc_disable_ambient_providers: bool,
}

/// How to log in, by cosign's names.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum FlowArg {
    /// With a browser on this machine
    Normal,
    /// With a browser anywhere, where a code is typed
    Device,
    /// Not at all: a token is given
    Token,
    /// As a program with a secret of its own
    #[value(name = "client_credentials")]
    ClientCredentials,
}

/// A provider of tokens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ProviderArg {
    One(AmbientProvider),
    /// Whichever of Google's two the variables ask for.
    Google,
}

/// Whether somebody may be asked to log in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Logins {
    Allowed,
    /// The spec is a stranger's.
    Refused,
}

impl IdentityArgs {
    /// Where tokens come from. Asks nobody yet.
    pub(crate) fn source(
        &self,
        logins: Logins,
        deployment: &Arc<Deployment>,
        context: &Context,
    ) -> Arc<dyn IdentitySource> {
        let environment = Arc::clone(&context.environment) as Arc<dyn Environment>;
        let mut options = IdentityOptions::new(Arc::clone(&environment));
        options.token.clone_from(&self.identity_token);
        options.ambient = self.ambient(&*environment);
        options.login.flow = self.fulcio_auth_flow.map(FlowArg::flow);
        options.login.issuer.clone_from(&self.oidc_issuer);
        options.login.connector.clone_from(&self.oidc_connector);
        options.login.client_id.clone_from(&self.oidc_client_id);
        options.login.client_secret_file.clone_from(&self.oidc_client_secret_file);
        options.login.redirect.clone_from(&self.oidc_redirect_url);
        options.deployment = Some(Arc::clone(deployment));
        options.google = google_access(OpenOptions::new(environment));
        options.clock = Arc::clone(&context.clock);
        let is_asked = logins == Logins::Allowed && context.terminal.answers == Answers::Person;
        options.person = is_asked.then(|| Arc::new(Somebody(context.terminal)) as Arc<dyn Person>);
        source(options)
    }

    fn ambient(&self, environment: &dyn Environment) -> AmbientUse {
        match self.oidc_provider {
            _ if self.oidc_disable_ambient_providers => AmbientUse::Never,
            None => AmbientUse::First,
            Some(ProviderArg::One(provider)) => AmbientUse::Only(provider),
            Some(ProviderArg::Google) => {
                let speaks_for = environment.variable("GOOGLE_SERVICE_ACCOUNT_NAME").is_some();
                AmbientUse::Only(if speaks_for {
                    AmbientProvider::GoogleImpersonate
                } else {
                    AmbientProvider::GoogleWorkloadIdentity
                })
            }
        }
    }
}

impl FlowArg {
    fn flow(self) -> Flow {
        match self {
            Self::Normal => Flow::Normal,
            Self::Device => Flow::Device,
            Self::Token => Flow::Token,
            Self::ClientCredentials => Flow::ClientCredentials,
        }
    }
}

/// The person at the terminal.
#[derive(Debug)]
struct Somebody(Terminal);

impl Person for Somebody {
    fn invite(&self, invitation: &Invitation) {
        match invitation {
            Invitation::Browser { url } => {
                self.0.ask(&format!("Log in, to say who signs. If no browser opens, open:\n{url}"));
                open(url);
            }
            Invitation::Code { code, url, valid_for } => {
                let (code, seconds) = (render::escape(code), valid_for.as_secs());
                self.0.ask(&format!(
                    "Log in, to say who signs: open {url} and type {code} there, within {seconds} s."
                ));
            }
            _ => {}
        }
    }
}

/// Opens a browser with whatever this system opens addresses with. Where there is none, the address is on the screen.
fn open(url: &Url) {
    let (program, arguments): (&str, &[&str]) = if cfg!(target_os = "macos") {
        ("open", &[])
    } else if cfg!(windows) {
        ("rundll32", &["url.dll,FileProtocolHandler"])
    } else {
        ("xdg-open", &[])
    };
    let mut command = Command::new(program);
    command.args(arguments).arg(url.as_str());
    let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    match started {
        // Nobody waits for a browser, and nothing is left of it when it ends.
        Ok(mut child) => drop(std::thread::spawn(move || child.wait())),
        Err(error) => tracing::debug!(program, %error, "identity.browser"),
    }
}

/// What is never shown again.
fn secret(text: &str) -> Result<Secret<String>, std::convert::Infallible> {
    Ok(Secret::new(text.to_owned()))
}

fn provider(text: &str) -> Result<ProviderArg, String> {
    match text {
        "google" => Ok(ProviderArg::Google),
        _ => text.parse().map(ProviderArg::One),
    }
}

/// What sigstore's issuer calls those who stand behind it.
fn connector(text: &str) -> Result<String, std::convert::Infallible> {
    let id = match text {
        "google" => "https://accounts.google.com",
        "github" => "https://github.com/login/oauth",
        "microsoft" => "https://login.microsoftonline.com",
        other => other,
    };
    Ok(id.to_owned())
}
