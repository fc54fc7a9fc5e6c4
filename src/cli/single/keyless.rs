//! Whom a command for one image believes, and which services it uses: cosign's flags and variables.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgAction, Args};
use countersign::crypto::{Certificate, Chain, PublicKey};
use countersign::plan::{Plan, Publishes};
use countersign::sigstore::{Deployment, SigningConfig};
use countersign::trust::TrustedRoot;
use serde_json::{Value, json};

use super::args::{SignArgs, switch};
use super::{Answers, Context, Failed, IdentityArgs, ServicesOf, count, read, read_text};

/// cosign's own defaults, where it is told to use no signing config.
const FULCIO: &str = "https://fulcio.sigstore.dev";
const REKOR: &str = "https://rekor.sigstore.dev";
const ISSUER: &str = "https://oauth2.sigstore.dev/auth";

switch!(
    /// Whether services come from the public signing config where no flag names them
    UseSigningConfig,
    "use-signing-config",
    true
);
switch!(
    /// Whether a sigstore bundle is written, as cosign 3 does, instead of a `.sig` tag
    NewBundleFormat,
    "new-bundle-format",
    false
);

/// Which services sign.
#[derive(Args, Debug)]
#[group(skip)]
pub(crate) struct ServiceArgs {
    /// The services that sign: what `cosign signing-config create` writes
    #[arg(long, value_name = "FILE", conflicts_with_all = ["fulcio_url", "rekor_url"], help_heading = "Services")]
    pub(crate) signing_config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) use_signing_config: UseSigningConfig,
    /// Who gives certificates, instead of a signing config
    #[arg(long, value_name = "URL", help_heading = "Services")]
    pub(crate) fulcio_url: Option<String>,
    /// The transparency log (Rekor v1), instead of a signing config
    #[arg(long, value_name = "URL", help_heading = "Services")]
    pub(crate) rekor_url: Option<String>,
    /// Who proves the time of each signature
    #[arg(long, value_name = "URL", help_heading = "Services")]
    pub(crate) timestamp_server_url: Option<String>,
    /// Whom to believe: what `cosign trusted-root create` writes
    #[arg(long, value_name = "FILE", help_heading = "Services")]
    pub(crate) trusted_root: Option<PathBuf>,
}

impl ServiceArgs {
    /// The deployment that the flags and variables name; the public instance for the rest. Sends nothing.
    pub(crate) fn deployment(
        &self,
        identity: &IdentityArgs,
        context: &Context,
    ) -> Result<Arc<Deployment>, Failed> {
        let trust = trusted_root(self.trusted_root.as_deref(), context)?;
        let services = match &self.signing_config {
            Some(path) => ServicesOf::Config(config(&read(path)?, path)?),
            None if self.names_services() => {
                let made = self.made(identity.oidc_issuer.as_deref()).to_string();
                ServicesOf::Config(config(made.as_bytes(), Path::new("the command line"))?)
            }
            None => ServicesOf::Public,
        };
        Ok(context.deployment_of(trust, services))
    }

    fn names_services(&self) -> bool {
        !self.use_signing_config.on || self.fulcio_url.is_some() || self.rekor_url.is_some()
    }

    /// A signing config of the flags.
    fn made(&self, issuer: Option<&str>) -> Value {
        let service = |url: &str| {
            json!([{
                "url": url,
                "majorApiVersion": 1,
                "validFor": { "start": "1970-01-01T00:00:00Z" },
                "operator": "the command line",
            }])
        };
        let one = |url: &Option<String>, default| service(url.as_deref().unwrap_or(default));
        let authorities = self.timestamp_server_url.as_deref().map_or(json!([]), service);
        json!({
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": one(&self.fulcio_url, FULCIO),
            "oidcUrls": service(issuer.unwrap_or(ISSUER)),
            "rekorTlogUrls": one(&self.rekor_url, REKOR),
            "rekorTlogConfig": { "selector": "ANY" },
            "tsaUrls": authorities,
            "tsaConfig": { "selector": "ANY" },
        })
    }
}

fn config(json: &[u8], path: &Path) -> Result<Arc<SigningConfig>, Failed> {
    SigningConfig::parse(json).map(Arc::new).map_err(|error| {
        Failed::usage(format!("{} holds no signing config", path.display()))
            .because(&error)
            .help("name what `cosign signing-config create` writes")
    })
}

/// The root that a flag names, else the one that cosign's variables make up; `None` for the public instance.
///
/// With any of the variables set, what they name is believed and nothing else.
pub(crate) fn trusted_root(
    named: Option<&Path>,
    context: &Context,
) -> Result<Option<Arc<TrustedRoot>>, Failed> {
    if let Some(path) = named {
        let root = TrustedRoot::parse(&read(path)?).map_err(|error| {
            Failed::usage(format!("{} holds no trusted root", path.display()))
                .because(&error)
                .help("name what `cosign trusted-root create` writes")
        })?;
        return Ok(Some(Arc::new(root)));
    }
    let variable = |name| context.environment.get(name).filter(|it| !it.is_empty());
    let mut root = None;
    if let Some(path) = variable("SIGSTORE_ROOT_FILE") {
        let mut with: TrustedRoot = root.take().unwrap_or_default();
        for chain in chains(Path::new(&path))? {
            with = with.with_certificate_authority(chain);
        }
        root = Some(with);
    }
    if let Some(path) = variable("SIGSTORE_REKOR_PUBLIC_KEY") {
        let key = public_key(Path::new(&path))?;
        root = Some(root.unwrap_or_default().with_log(key));
    }
    if let Some(path) = variable("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE") {
        let key = public_key(Path::new(&path))?;
        root = Some(root.unwrap_or_default().with_certificate_log(key));
    }
    if let Some(path) = variable("SIGSTORE_TSA_CERTIFICATE_FILE") {
        let chain = chain(Path::new(&path))?;
        root = Some(root.unwrap_or_default().with_timestamp_authority(&chain));
    }
    Ok(root.map(Arc::new))
}

/// A chain for each root of a file, the others of the file between.
fn chains(path: &Path) -> Result<Vec<Chain>, Failed> {
    let all = chain(path)?;
    let is_root = |it: &&Certificate| it.is_self_issued();
    let between = all.certificates().iter().filter(|it| !is_root(it));
    let between: String = between.map(Certificate::to_pem).collect();
    let roots = all.certificates().iter().filter(is_root);
    roots.map(|root| read_chain(&format!("{between}{}", root.to_pem()), path)).collect()
}

/// The certificates of a file.
pub(crate) fn chain(path: &Path) -> Result<Chain, Failed> {
    read_chain(&read_text(path)?, path)
}

fn read_chain(pem: &str, path: &Path) -> Result<Chain, Failed> {
    Chain::from_pem(pem).map_err(|error| {
        Failed::usage(format!("{} holds no certificates", path.display())).because(&error)
    })
}

fn public_key(path: &Path) -> Result<PublicKey, Failed> {
    PublicKey::from_pem(&read_text(path)?).map_err(|error| {
        Failed::usage(format!("{} holds no public key", path.display())).because(&error)
    })
}

/// Says what will be public for good, and asks; with `--yes` it only says it.
pub(crate) async fn confirm(
    plan: &Plan,
    who: Option<&str>,
    args: &SignArgs,
    context: &Context,
) -> Result<(), Failed> {
    let Publishes { log_entries, certificates, .. } = plan.publishes();
    if log_entries + certificates == 0 {
        return Ok(());
    }
    let who = who.map(|it| format!(" It names {it}.")).unwrap_or_default();
    let (entries, certificates) = (entries(log_entries), count(certificates, "certificate"));
    let text = format!(
        "This publishes {entries} and at least {certificates}, for good and for everybody, with the \
         digests of what is signed.{who}"
    );
    match context.terminal.answers {
        _ if args.yes => context.terminal.say(&text),
        Answers::Nobody => {
            return Err(Failed::usage(
                "sign asks before it publishes, and nobody is there to answer",
            )
            .help("add --yes; or publish nothing: --key cosign.key --tlog-upload=false"));
        }
        Answers::Person => {
            context.terminal.ask(&text);
            context.confirmed("Sign and publish this? Only `yes` is taken: ").await?;
        }
    }
    Ok(())
}

fn entries(number: usize) -> String {
    if number == 1 { "1 log entry".to_owned() } else { format!("{number} log entries") }
}
