//! `countersign sign IMAGE…`: a spec in memory, planned and applied.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign::crypto::{Certificate, Hash, SignatureBytes};
use countersign::exit_code::ExitCode;
use countersign::keys::{KeySource, PasswordSource};
use countersign::model::{Digest, ImageRef, Repository, SignerName};
use countersign::observe::stored;
use countersign::payload::{Claim, Format};
use countersign::plan::{
    Ability, Attachment, Change, Failure, Image, Making, Plan, Settings, SignerProfile, Signers,
    Target,
};
use countersign::report::{Done, Report};
use countersign::store::Intent;

use super::args::SignArgs;
use super::{
    Context, Failed, Only, Session, entry, failed, keys, not_yet, pairs, parse, print, profile,
};

const NO_KEYLESS: &str =
    "give a key: --key cosign.key; or declare the attachment of what cosign signed";
const NO_LOG: &str =
    "add --tlog-upload=false: nothing is published, and verifiers take --insecure-ignore-tlog";

/// Signs images, or only makes the signatures.
pub(crate) async fn run(args: &SignArgs, context: &Context) -> Result<ExitCode, Failed> {
    let job = Job::new(args, context)?;
    if !args.upload.on {
        return job.make().await;
    }
    let making = if args.force { Making::OneMore } else { Making::IfMissing };
    let session = job.session(Intent::Write, making).await?;
    let (plan, signers) = context.plan(&session).await?;
    job.warn(&plan);
    job.announce(&plan);
    let report = super::write_plan(plan, &signers, &session, context).await;
    job.tell(&report);
    job.write_stored(&report, &signers, &session).await?;
    let whole = match (job.images.len(), ExitCode::of_report(&report)) {
        (1, ExitCode::Partial) => ExitCode::Error,
        (_, exit) => exit,
    };
    super::end(report.failures(), whole, context)
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
}

impl<'a> Job<'a> {
    fn new(args: &'a SignArgs, context: &'a Context) -> Result<Self, Failed> {
        let key = args.key.as_deref();
        let key = key.ok_or_else(|| not_yet("signing without a key (keyless)", NO_KEYLESS))?;
        if args.tlog_upload.on {
            return Err(not_yet("publishing in a transparency log", NO_LOG));
        }
        if args.bundle.is_some() {
            return Err(not_yet(
                "--bundle",
                "use --output-signature, --output-payload and --output-certificate",
            ));
        }
        if args.new_bundle_format.on && (args.payload.is_some() || !args.upload.on) {
            return Err(Failed::usage(
                "--new-bundle-format signs a statement of its own, and writes it to the registry",
            )
            .help("leave out --payload and --upload=false, or --new-bundle-format"));
        }
        if args.timestamp_server_url.is_some() {
            return Err(not_yet("--timestamp-server-url", "sign without a timestamp"));
        }
        let reference = keys::reference(key)?;
        let images: Vec<ImageRef> =
            args.image.iter().map(|it| parse(it)).collect::<Result<_, _>>()?;
        let (certificate, chain) =
            super::certificates(args.certificate.as_deref(), args.certificate_chain.as_deref())?;
        let payload = args.payload.as_deref().map(super::read).transpose()?;
        let source = KeySource::Key {
            reference,
            password: PasswordSource::Default,
            // The key itself says whose the signature is, so that a certificate for another is found out.
            public_key: None,
        };
        let profile = SignerProfile { certificate, chain, ..profile(Ability::Sign)? };
        let signatures = super::signature_repository(context)?;
        Ok(Self { args, context, images, profile, source, signatures, payload })
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
                formats: vec![match self.args.new_bundle_format.on {
                    true => Format::Bundle,
                    false => Format::SimpleSigning,
                }],
                annotations: Arc::new(annotations.clone()),
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
        super::session(self.context, registry, Some(signer), images, intent, making)
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
        let session = self.session(Intent::Read, Making::OneMore).await?;
        let (plan, signers) = self.context.plan(&session).await?;
        let applier = super::applier(&session, self.context);
        let mut failures: Vec<Failure> = plan.failures().cloned().collect();
        for target in &plan.targets {
            let digest = &target.target.subject.digest;
            for change in target.changes.iter().filter(|it| it.action().writes()) {
                match applier.make(change, digest, &signers).await {
                    Ok(made) => {
                        let key = public_key_pem(&signers, change);
                        let files = (made.signature.as_str(), &*made.payload, key.as_str());
                        self.write_files(digest, plan.targets.len(), files)?;
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

    /// Writes what is in the registry now into the files that were asked for.
    async fn write_stored(
        &self,
        report: &Report,
        signers: &Signers,
        session: &Session,
    ) -> Result<(), Failed> {
        let args = self.args;
        let asked = [&args.output_signature, &args.output_payload, &args.output_certificate];
        if asked.iter().all(|it| it.is_none()) {
            return Ok(());
        }
        for target in report.targets.iter().filter(|it| it.is_converged()) {
            let found = stored(&target.target, &*session.store).await;
            let found = found.all().map_err(|it| failed(&it))?;
            let state = signers.get(&self.profile.name);
            let key = state.and_then(|it| it.public_key());
            let own = |target: &Target, it: &&countersign::observe::Stored| {
                let payload = Digest::of(&it.payload);
                let wanted = target.wants.iter().any(|want| want.payload == payload);
                let good = it.signature().zip(key).is_some_and(|(signature, key)| {
                    key.verifies(it.signed(), signature, Hash::default())
                });
                wanted && good
            };
            if let Some(last) = found.iter().rfind(|it| own(&target.target, it)) {
                let signature = last.signature().map(SignatureBytes::to_base64).unwrap_or_default();
                let pem = self.profile.certificate.as_ref().map(Certificate::to_pem);
                let pem = pem.or_else(|| key.map(|it| it.to_pem())).unwrap_or_default();
                let files = (signature.as_str(), &*last.payload, pem.as_str());
                let digest = &target.target.subject.digest;
                self.write_files(digest, report.targets.len(), files)?;
            }
        }
        Ok(())
    }

    /// Signature, payload and certificate; with the digest in their names where there are several.
    fn write_files(
        &self,
        digest: &Digest,
        count: usize,
        (signature, payload, certificate): (&str, &[u8], &str),
    ) -> Result<(), Failed> {
        let path = |path: &Path| -> PathBuf {
            if count < 2 {
                return path.to_owned();
            }
            let mut name = path.as_os_str().to_owned();
            name.push(format!("-{}", digest.to_string().replace(':', "-")));
            name.into()
        };
        let args = self.args;
        let files = [
            (&args.output_signature, signature.as_bytes(), "Signature"),
            (&args.output_payload, payload, "Payload"),
            (&args.output_certificate, certificate.as_bytes(), "Certificate"),
        ];
        for (asked, content, what) in files {
            if let Some(asked) = asked {
                let path = path(asked);
                super::write(&path, content)?;
                let text = format!("{what} wrote in the file {}", path.display());
                self.context.terminal.say(&text);
            }
        }
        Ok(())
    }
}

/// The certificate of the signer, or its public key.
fn public_key_pem(signers: &Signers, change: &Change) -> String {
    let state = change.want().and_then(|want| signers.get(&want.signer));
    let certificate = state.and_then(|it| it.profile.certificate.as_ref()).map(|it| it.to_pem());
    certificate.or_else(|| Some(state?.public_key()?.to_pem())).unwrap_or_default()
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
        origin: countersign::plan::Origin { file: "the command line".into(), line: 1 },
        signer,
        path,
        payload,
        claim,
        signature,
        certificate: None,
        chain: None,
        rekor_bundle: None,
        timestamp: None,
    }
}
