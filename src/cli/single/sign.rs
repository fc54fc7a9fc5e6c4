//! `countersign sign IMAGE…`: a spec in memory, planned and applied.

use std::path::PathBuf;
use std::sync::Arc;

use countersign::crypto::{Hash, SignatureBytes};
use countersign::exit_code::ExitCode;
use countersign::keys::{KeySource, PasswordSource};
use countersign::model::{ImageRef, Repository, SignerName};
use countersign::payload::{Claim, Format};
use countersign::plan::{
    Ability, Attachment, Change, Failure, Image, Making, Origin, Plan, Settings, SignerProfile,
    Signers, TimestampAuthority,
};
use countersign::render;
use countersign::report::{Done, Report};
use countersign::sigstore::Deployment;
use countersign::sigstore::identity::{AUDIENCE, IdentitySource};
use countersign::store::Intent;
use countersign::trust::{GithubClaims, IdentityPolicy, Matcher};

use super::args::SignArgs;
use super::keyless::confirm;
use super::written::{self, Files};
use super::{
    Context, Failed, Logins, Only, Session, entry, failed, keys, pairs, parse, print, profile,
};

/// Signs images, or only makes the signatures.
pub(crate) async fn run(args: &SignArgs, context: &Context) -> Result<ExitCode, Failed> {
    let job = Job::new(args, context)?;
    if !args.upload.on {
        return job.make().await;
    }
    let who = job.who().await?;
    // Who signs is not declared, so that no signature that is there is known to be the one that is wanted.
    let making = if args.force || who.is_some() { Making::OneMore } else { Making::IfMissing };
    let session = job.session(Intent::Write, making).await?;
    let (plan, signers) = context.plan(&session).await?;
    job.warn(&plan);
    confirm(&plan, who.as_deref(), args, context).await?;
    job.announce(&plan);
    let report = super::write_plan(plan, &signers, &session, context).await;
    job.tell(&report);
    written::write_stored(args, &report, &signers, &session, context).await?;
    let whole = match (job.images.len(), ExitCode::of_report(&report)) {
        (1, ExitCode::Partial) => ExitCode::Error,
        (_, exit) => exit,
    };
    super::end(report.failures(), whole, context)
}

/// What cannot be done together.
fn check(args: &SignArgs) -> Result<(), Failed> {
    let usage = |text: &str, help: &str| Err(Failed::usage(text).help(help));
    if args.payload.is_some() && args.tlog_upload.on {
        return usage("a payload of your own is not published", "add --tlog-upload=false");
    }
    if args.bundle.is_some() && !args.new_bundle_format.on {
        return usage("--bundle writes a sigstore bundle", "add --new-bundle-format");
    }
    let is_witnessed = args.tlog_upload.on || args.services.timestamp_server_url.is_some();
    if is_witnessed && !args.upload.on {
        return usage(
            "with --upload=false the log entry and the timestamp would be published and lost",
            "add --tlog-upload=false, without --timestamp-server-url; or upload, and take it with `download signature`",
        );
    }
    if args.new_bundle_format.on && args.payload.is_some() {
        return usage(
            "--new-bundle-format signs a statement of its own",
            "leave out --payload, or --new-bundle-format",
        );
    }
    if args.new_bundle_format.on && !args.upload.on {
        return usage(
            "a bundle is made only to be uploaded",
            "leave out --upload=false, and take it with --bundle; or leave out --new-bundle-format",
        );
    }
    Ok(())
}

/// Whoever the certificate names.
fn anybody() -> Result<IdentityPolicy, Failed> {
    let all = || {
        Matcher::pattern("(?s).*").map_err(|error| {
            Failed::new(ExitCode::Error, "cli::start", "cannot start").because(&error)
        })
    };
    Ok(IdentityPolicy { issuer: all()?, identity: all()?, github: GithubClaims::default() })
}

/// What is to be done, checked as far as that goes without a registry.
struct Job<'a> {
    args: &'a SignArgs,
    context: &'a Context,
    images: Vec<ImageRef>,
    profile: SignerProfile,
    source: KeySource,
    signatures: Option<Repository>,
    payload: Option<Vec<u8>>,
    deployment: Arc<Deployment>,
    identity: Arc<dyn IdentitySource>,
}

impl<'a> Job<'a> {
    fn new(args: &'a SignArgs, context: &'a Context) -> Result<Self, Failed> {
        check(args)?;
        let images: Vec<ImageRef> =
            args.image.iter().map(|it| parse(it)).collect::<Result<_, _>>()?;
        let (certificate, chain) =
            super::certificates(args.certificate.as_deref(), args.certificate_chain.as_deref())?;
        let payload = args.payload.as_deref().map(super::read).transpose()?;
        let anybody = Arc::new(anybody()?);
        let source = match args.key.as_deref() {
            None => KeySource::Keyless(Arc::clone(&anybody)),
            Some(key) => KeySource::Key {
                reference: keys::reference(key)?,
                password: PasswordSource::Default,
                // The key itself says whose the signature is, so that a certificate for another is found out.
                public_key: None,
            },
        };
        let authority = args.services.timestamp_server_url.clone();
        let profile = SignerProfile {
            certificate,
            chain,
            identity: args.key.is_none().then_some(anybody),
            transparency_log: args.tlog_upload.on,
            timestamp_authorities: authority
                .map(|url| vec![TimestampAuthority { url, chain: None }]),
            ..profile(Ability::Sign)?
        };
        let signatures = super::signature_repository(context)?;
        let deployment = args.services.deployment(&args.identity, context)?;
        let identity = args.identity.source(Logins::Allowed, &deployment, context);
        Ok(Self {
            args,
            context,
            images,
            profile,
            source,
            signatures,
            payload,
            deployment,
            identity,
        })
    }

    /// Who signs where there is no key: the token is fetched, and kept for the certificate.
    async fn who(&self) -> Result<Option<String>, Failed> {
        if self.args.key.is_some() {
            return Ok(None);
        }
        let token = self.context.unless_interrupted(self.identity.token(AUDIENCE)).await?;
        let token = token.map_err(|error| failed(&Failure::from(&error)))?;
        let subject =
            render::escape(token.subject_for_proof().unwrap_or(token.subject())).to_string();
        let issuer = render::escape(token.issuer_in_certificate()).to_string();
        self.context.terminal.say(&format!("Signing as {subject} ({issuer})"));
        Ok(Some(format!("{subject} ({issuer})")))
    }

    fn format(&self) -> Format {
        if self.args.new_bundle_format.on { Format::Bundle } else { Format::SimpleSigning }
    }

    /// The spec in memory. With `--payload` the signature over it is made first, and attached.
    async fn session(&self, intent: Intent, making: Making) -> Result<Session, Failed> {
        let annotations = pairs::annotations(&self.args.annotations)?;
        let identities = self.args.sign_container_identity.iter();
        let identities: Vec<String> = identities.flat_map(|it| pairs::fields(it)).collect();
        let mut images = Vec::new();
        for image in &self.images {
            let layout = matches!(image.repository, Repository::Layout(_));
            let is_named = !identities.is_empty() || self.args.new_bundle_format.on;
            if layout && !is_named && self.payload.is_none() {
                return Err(Failed::usage(format!("{image} is in a layout, which has no name"))
                    .help(
                        "say which image it is: --sign-container-identity registry.example.com/app",
                    ));
            }
            let settings = Settings {
                sign_with: vec![self.profile.name.clone()],
                annotations: Arc::new(annotations.clone()),
                formats: vec![self.format()],
                recursive: self.args.recursive,
                ..super::settings()
            };
            let container_identity = identities.clone();
            let entry = entry(image, settings, self.signatures.clone());
            images.push(Image { container_identity, ..entry });
        }
        let session = self.open(images, intent, making)?;
        match &self.payload {
            None => Ok(session),
            Some(payload) => self.with_payload(payload, session, intent, making).await,
        }
    }

    fn open(&self, images: Vec<Image>, intent: Intent, making: Making) -> Result<Session, Failed> {
        let signer = Only { profile: self.profile.clone(), source: Some(self.source.clone()) };
        let registry = &self.args.registry;
        let by = (Arc::clone(&self.deployment), Some(Arc::clone(&self.identity)));
        super::session_as(self.context, registry, Some(signer), images, (intent, making), by)
    }

    async fn with_payload(
        &self,
        payload: &[u8],
        session: Session,
        intent: Intent,
        making: Making,
    ) -> Result<Session, Failed> {
        let path = self.args.payload.clone().unwrap_or_default();
        let claim = super::attach::claim(payload, &path)?;
        for image in &self.images {
            let digest = super::digest_of(image, &*session.store).await?;
            super::attach::same_subject(&claim, &digest, &path)?;
        }
        let signature = self.sign(payload, &session).await?;
        let attachment =
            attachment(self.profile.name.clone(), path, payload.to_vec(), claim, signature);
        let attachment = Arc::new(attachment);
        let images = session.desired.images.iter().map(|image| Image {
            settings: Arc::new(super::settings()),
            attachments: vec![Arc::clone(&attachment)],
            ..image.clone()
        });
        self.open(images.collect(), intent, making)
    }

    async fn sign(&self, payload: &[u8], session: &Session) -> Result<SignatureBytes, Failed> {
        let signer = session.observer.keyring.signer(&self.profile.name).await;
        let signer = signer.map_err(|error| keys::failed(&error))?;
        let signed = signer.sign(payload, Hash::default()).await;
        let signed = signed.map_err(|error| keys::failed(&error))?;
        Ok(signed.signature)
    }

    /// Signs and uploads nothing.
    async fn make(&self) -> Result<ExitCode, Failed> {
        let who = self.who().await?;
        let session = self.session(Intent::Read, Making::OneMore).await?;
        let (plan, signers) = self.context.plan(&session).await?;
        confirm(&plan, who.as_deref(), self.args, self.context).await?;
        let applier = super::applier(&session, &signers, self.context).await;
        let mut failures: Vec<Failure> = plan.failures().cloned().collect();
        for target in &plan.targets {
            let digest = &target.target.subject.digest;
            for change in target.changes.iter().filter(|it| it.action().writes()) {
                match applier.make(change, digest, &signers).await {
                    Ok(made) => {
                        let key = made.certificate.clone();
                        let key = key.unwrap_or_else(|| public_key_pem(&signers, change));
                        let files = Files {
                            signature: &made.signature,
                            payload: &made.payload,
                            certificate: &key,
                            bundle: &[],
                        };
                        written::write_files(
                            self.args,
                            digest,
                            plan.targets.len(),
                            files,
                            self.context,
                        )?;
                        if self.args.output_signature.is_none() {
                            print(format!("{}\n", made.signature).as_bytes())?;
                        }
                    }
                    Err(failure) => failures.push(failure),
                }
            }
        }
        super::end(failures.iter(), ExitCode::Error, self.context)
    }

    /// Says, as cosign does, that a tag may move.
    fn warn(&self, plan: &Plan) {
        for image in self.images.iter().filter(|it| it.digest.is_none()) {
            let digest = plan.targets.iter().find(|it| it.target.name() == image.to_string());
            if let Some(digest) = digest.map(|it| &it.target.subject.digest) {
                let text = format!("{image} is {digest} now: that is what is signed");
                self.context.terminal.say(&text);
            }
        }
    }

    fn announce(&self, plan: &Plan) {
        for target in &plan.targets {
            if target.changes.iter().any(|it| it.action().writes()) {
                let text = format!("Pushing signature to: {}", target.target.signatures);
                self.context.terminal.say(&text);
            }
        }
    }

    fn tell(&self, report: &Report) {
        for target in &report.targets {
            let kept = |it: &countersign::report::Outcome| {
                matches!(it.change, Change::Keep { .. }) && matches!(it.result, Ok(Done::Nothing))
            };
            if target.outcomes.iter().any(kept) {
                let text = format!(
                    "{} is signed already: nothing was added (--force adds one)",
                    target.target.subject
                );
                self.context.terminal.say(&text);
            }
        }
    }
}

/// The certificate of the signer, or its public key.
fn public_key_pem(signers: &Signers, change: &Change) -> String {
    let state = change.want().and_then(|want| signers.get(&want.signer));
    let certificate = state.and_then(|it| it.profile.certificate.as_ref()).map(|it| it.to_pem());
    certificate.or_else(|| Some(state?.public_key()?.to_pem())).unwrap_or_default()
}

/// Where the engine is told that something stands.
pub(crate) fn origin() -> Origin {
    Origin { file: "the command line".into(), line: 1 }
}

/// A signature as the engine takes it.
pub(crate) fn attachment(
    signer: SignerName,
    path: PathBuf,
    payload: Vec<u8>,
    claim: Claim,
    signature: SignatureBytes,
) -> Attachment {
    Attachment {
        origin: origin(),
        signer,
        path,
        payload,
        claim,
        signature,
        certificate: None,
        chain: None,
        bundle: None,
        rekor_bundle: None,
        timestamp: None,
    }
}
