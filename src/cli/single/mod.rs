//! The commands for one image: cosign's names, flags and outputs.
//!
//! Each makes a spec in memory, and planning and applying do the rest: there is no second way to sign.

pub(crate) mod args;
pub(crate) mod attach;
pub(crate) mod clean;
pub(crate) mod copy;
pub(crate) mod generate;
pub(crate) mod keyless;
mod pairs;
pub(crate) mod sign;
pub(crate) mod tree;
mod trust;
mod verified;
pub(crate) mod verify;
pub(crate) mod verify_args;
mod written;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use countersign::apply::Applier;
use countersign::crypto::{Certificate, Chain, PublicKey};
use countersign::event::Listener;
use countersign::exit_code::ExitCode;
use countersign::keys::{KeyReference, KeySource, KeyringEntry};
use countersign::model::{
    Annotations, Digest, Glob, ImageRef, Locator, Repository, SignerName, Subject,
};
use countersign::plan::{
    Ability, Desired, Failure, Image, Making, Origin, Plan, Prune, Selection, Settings,
    SignerProfile, Signers, Target,
};
use countersign::render;
use countersign::report::Report;
use countersign::sigstore::Deployment;
use countersign::sigstore::identity::IdentitySource;
use countersign::spec::{Problems, RegistryRule, Spec};
use countersign::store::{Intent, ReadStore};

use super::args::LookArgs;
use super::context::{Context, Session};
use super::deployment::ServicesOf;
use super::error::Failed;
use super::explain::unresolved;
use super::identity::{IdentityArgs, Logins};
use super::keys;
use super::problems::count;
use super::terminal::{Answers, print};
use args::RegistryArgs;

/// The name of the only signer of such a run.
const SIGNER: &str = "key";

/// A flag of cosign that is not taken, told in the same words everywhere.
fn not_taken(flag: &str, help: &str) -> Failed {
    Failed::new(ExitCode::Usage, "cli::not_taken", format!("{flag} is not taken")).help(help)
}

/// An image as it was written.
pub(crate) fn parse(text: &str) -> Result<ImageRef, Failed> {
    let image: ImageRef = text.parse().map_err(|error| {
        Failed::usage(format!("{text} is no image"))
            .because(&error)
            .help("write REPOSITORY:TAG, REPOSITORY@DIGEST, or oci:PATH:TAG")
    })?;
    if image.locator().is_none() {
        return Err(Failed::usage(format!("{text} names no image"))
            .help("add a tag or a digest, as in oci:PATH:TAG"));
    }
    Ok(image)
}

/// A failure of the library, as the end of a command.
pub(crate) fn failed(failure: &Failure) -> Failed {
    // It may quote what a registry said, which must not steer the terminal.
    let message = render::escape(&failure.message);
    let error = Failed::coded(ExitCode::of_failure(failure), failure.code.clone(), &message);
    match &failure.help {
        Some(help) => error.help(help),
        None => error,
    }
}

/// Where signatures are, when not beside the image: cosign's variable.
pub(crate) fn signature_repository(context: &Context) -> Result<Option<Repository>, Failed> {
    let text = context.environment.get("COSIGN_REPOSITORY").filter(|it| !it.is_empty());
    let parsed = text.map(|text| {
        text.parse().map_err(|error| {
            Failed::usage(format!("COSIGN_REPOSITORY={text} is no repository")).because(&error)
        })
    });
    parsed.transpose()
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failed> {
    fs::read(path).map_err(|error| Failed::file("read", path, &error))
}

pub(crate) fn read_text(path: &Path) -> Result<String, Failed> {
    String::from_utf8(read(path)?)
        .map_err(|_| Failed::usage(format!("{} is not text", path.display())))
}

pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), Failed> {
    fs::write(path, content).map_err(|error| Failed::file("write", path, &error))
}

/// A public key as cosign finds it: PEM in a file or in a variable, or what a service says of its own.
pub(crate) async fn public_key(text: &str, context: &Context) -> Result<PublicKey, Failed> {
    let reference = keys::reference(text)?;
    let pem = match (&reference, reference.variable()) {
        (KeyReference::File(path), _) => read_text(path)?,
        (_, Some(name)) => context.environment.get(name).ok_or_else(|| {
            Failed::usage(format!("the variable {name} is not set"))
                .help(format!("export {name}=\"$(cat cosign.pub)\""))
        })?,
        _ => {
            let asked = countersign::keys::public_key(&reference, &keys::options(context)).await;
            return asked.map_err(|error| keys::failed(&error));
        }
    };
    PublicKey::from_pem(&pem).map_err(|error| {
        Failed::usage(format!("{reference} holds no public key"))
            .because(&error)
            .help("give the public half in PEM, as in cosign.pub")
    })
}

/// A certificate and what stands above it.
pub(crate) fn certificates(
    certificate: Option<&Path>,
    chain: Option<&Path>,
) -> Result<(Option<Certificate>, Option<Chain>), Failed> {
    let wrong = |path: &Path, error: &dyn std::error::Error| {
        Failed::usage(format!("cannot take the certificate in {}", path.display())).because(error)
    };
    let certificate = certificate
        .map(|path| Certificate::from_pem(&read_text(path)?).map_err(|it| wrong(path, &it)));
    let chain = chain.map(|path| Chain::from_pem(&read_text(path)?).map_err(|it| wrong(path, &it)));
    Ok((certificate.transpose()?, chain.transpose()?))
}

/// The only signer of a run, and what it has.
pub(crate) struct Only {
    pub(crate) profile: SignerProfile,
    pub(crate) source: Option<KeySource>,
}

/// The name of the only signer.
pub(crate) fn signer_name() -> Result<SignerName, Failed> {
    SIGNER
        .parse()
        .map_err(|error| Failed::new(ExitCode::Error, "cli::start", "cannot start").because(&error))
}

/// A signer that declares nothing but what it can do.
pub(crate) fn profile(ability: Ability) -> Result<SignerProfile, Failed> {
    Ok(SignerProfile::new(signer_name()?, ability))
}

/// What every image of such a run must carry: nothing, to begin with.
pub(crate) fn settings() -> Settings {
    Settings {
        sign_with: Vec::new(),
        requires: Vec::new(),
        formats: vec![countersign::payload::Format::SimpleSigning],
        annotations: Arc::new(Annotations::new()),
        recursive: false,
        prune: Prune::Keep,
    }
}

/// An entry of the spec in memory.
pub(crate) fn entry(image: &ImageRef, settings: Settings, signatures: Option<Repository>) -> Image {
    let selection = match (&image.digest, &image.tag) {
        (Some(digest), _) => Selection::Digests(vec![digest.clone()]),
        (None, tag) => Selection::Tags {
            names: tag.iter().cloned().collect(),
            globs: Vec::new(),
            exclude: Vec::new(),
        },
    };
    Image {
        origin: Origin { file: "the command line".into(), line: 1 },
        repository: image.repository.clone(),
        selection,
        platforms: Vec::new(),
        settings: Arc::new(settings),
        container_identity: Vec::new(),
        signature_repository: signatures,
        optional: false,
        allow_empty: false,
        attachments: Vec::new(),
    }
}

/// Makes ready for the spec in memory.
pub(crate) fn session(
    context: &Context,
    registry: &RegistryArgs,
    signer: Option<Only>,
    images: Vec<Image>,
    intent: Intent,
    making: Making,
) -> Result<Session, Failed> {
    let services = (context.deployment(None), None);
    session_as(context, registry, signer, images, (intent, making), services)
}

/// Which deployment, and who signs where there is no key.
pub(crate) type SignedBy = (Arc<Deployment>, Option<Arc<dyn IdentitySource>>);

/// The same with this deployment.
pub(crate) fn session_as(
    context: &Context,
    registry: &RegistryArgs,
    signer: Option<Only>,
    images: Vec<Image>,
    (intent, making): (Intent, Making),
    (deployment, identity): SignedBy,
) -> Result<Session, Failed> {
    let hosts: Vec<&Repository> = images.iter().map(|it| &it.repository).collect();
    let registries = rules(registry, &hosts)?;
    let (mut signers, mut keyring) = (BTreeMap::new(), Vec::new());
    if let Some(Only { profile, source }) = signer {
        let name = profile.name.clone();
        keyring.extend(source.map(|source| KeyringEntry { name: name.clone(), source }));
        signers.insert(name, Arc::new(profile));
    }
    let desired = Desired { signers, images };
    let spec = Spec { desired, keyring, sigstore: None, registries, warnings: Problems::default() };
    let look = LookArgs { target: Vec::new(), shard: None, attachments: Vec::new(), jobs: 16 };
    let mut session = context.session_as(spec, &look, intent, deployment, identity)?;
    session.observer.options.making = making;
    Ok(session)
}

/// Only a store: for what reads or copies without a signer.
pub(crate) fn store(
    context: &Context,
    registry: &RegistryArgs,
    images: &[&ImageRef],
    intent: Intent,
) -> Result<Session, Failed> {
    let entries = images.iter().map(|it| entry(it, settings(), None)).collect();
    session(context, registry, None, entries, intent, Making::IfMissing)
}

/// The flags as rules, each bound to a host that the command names: a password goes nowhere else.
fn rules(args: &RegistryArgs, repositories: &[&Repository]) -> Result<Vec<RegistryRule>, Failed> {
    if args.k8s_keychain {
        return Err(not_taken(
            "--k8s-keychain",
            "name the credential helper of the cloud in Docker's configuration: `credHelpers`",
        ));
    }
    if args.attachment_tag_prefix.as_ref().is_some_and(|it| !it.is_empty()) {
        return Err(not_taken(
            "--attachment-tag-prefix",
            "keep signatures apart with COSIGN_REPOSITORY=HOST/REPOSITORY",
        ));
    }
    let identity = args.registry_client_cert.clone().zip(args.registry_client_key.clone());
    let credentials = args.registry_username.clone().zip(args.registry_password.clone());
    let silent = !args.allow_http_registry
        && !args.allow_insecure_registry
        && args.registry_cacert.is_none()
        && identity.is_none()
        && credentials.is_none()
        && args.registry_token.is_none()
        && args.registry_server_name.is_none();
    let mut hosts: Vec<&str> = repositories.iter().filter_map(|it| it.host()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    if silent {
        hosts.clear();
    }
    let rule = |host: &str| -> Result<RegistryRule, Failed> {
        let host: Glob = host.parse().map_err(|error| {
            Failed::usage(format!("the registry flags cannot be used with {host}")).because(&error)
        })?;
        Ok(RegistryRule {
            ca_file: args.registry_cacert.clone(),
            client_identity: identity.clone(),
            plain_http: args.allow_http_registry,
            skip_tls_verify: args.allow_insecure_registry,
            credentials: credentials.clone(),
            token: args.registry_token.clone(),
            server_name: args.registry_server_name.clone(),
            ..RegistryRule::new(host)
        })
    };
    hosts.into_iter().map(rule).collect()
}

/// The digest that is meant: the one that is written, else the one that the tag names now.
pub(crate) async fn digest_of(image: &ImageRef, store: &dyn ReadStore) -> Result<Digest, Failed> {
    let locator = match image.locator() {
        Some(Locator::Digest(digest)) => return Ok(digest),
        Some(locator) => locator,
        None => return Err(Failed::usage(format!("{image} names no image"))),
    };
    match store.resolve(&image.repository, &locator).await {
        Ok(descriptor) => Ok(descriptor.digest),
        Err(error) if error.kind.is_absent() => {
            let text = format!("{image} does not exist");
            Err(Failed::new(ExitCode::Error, "image::not_found", text)
                .help("check the reference, and push the image first"))
        }
        Err(error) => Err(unresolved(&format!("cannot read {image}"), &error)),
    }
}

/// The image as a subject of which nothing is wanted.
pub(crate) fn bare(image: &ImageRef, digest: Digest, signatures: Option<Repository>) -> Target {
    let signatures = signatures.unwrap_or_else(|| image.repository.clone());
    Target::bare(Subject { repository: image.repository.clone(), digest }, signatures)
}

/// The applier of a session.
pub(crate) async fn applier(session: &Session, signers: &Signers, context: &Context) -> Applier {
    Applier {
        store: Arc::clone(&session.store),
        keyring: Arc::clone(&session.observer.keyring),
        witnesses: session.witnesses(signers).await,
        clock: Arc::clone(&context.clock),
        jobs: session.observer.options.jobs,
        stop: context.signals.stop.clone(),
    }
}

/// Writes what `plan` says; a signal lets it finish what is under way.
pub(crate) async fn write_plan(
    plan: Plan,
    signers: &Arc<Signers>,
    session: &Session,
    context: &Context,
) -> Report {
    context.signals.announce();
    let listener: Arc<dyn Listener> = Arc::new(());
    applier(session, signers, context).await.apply_for_good(plan, signers, &listener).await
}

/// Tells every failure on standard error; how the command ends.
pub(crate) fn end<'a>(
    failures: impl Iterator<Item = &'a Failure>,
    whole: ExitCode,
    context: &Context,
) -> Result<ExitCode, Failed> {
    let mut last: Option<(Failed, ExitCode)> = None;
    let (mut told, mut page) = (Vec::new(), Vec::new());
    for failure in failures {
        if told.contains(&failure) {
            continue;
        }
        told.push(failure);
        if let Some((failed, _)) = last.replace((failed(failure), ExitCode::of_failure(failure))) {
            failed.write(context.terminal.stderr, &mut page)?;
        }
    }
    if !page.is_empty() {
        use std::io::Write as _;
        std::io::stderr().lock().write_all(&page)?;
    }
    match last {
        None => Ok(context.signals.received().unwrap_or(ExitCode::Good)),
        Some((failed, exit)) if told.len() == 1 && exit != ExitCode::Error => {
            Err(failed.ending(exit))
        }
        Some((failed, _)) => Err(failed.ending(whole)),
    }
}
