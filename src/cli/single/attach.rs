//! `countersign attach signature`: what another tool signed.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign::crypto::{Hash, SignatureBytes, SignatureError};
use countersign::exit_code::ExitCode;
use countersign::keys::KeySource;
use countersign::model::{Annotations, Digest, ImageRef, SignerName, Tag};
use countersign::payload::{Bundle, Claim, Format, LogEntry, MadeBundle, timestamp_to_annotation};
use countersign::plan::{Ability, Attachment, Change, Image, Making, SignerProfile, Target};
use countersign::store::Intent;
use serde_json::Value;

use super::args::AttachSignatureArgs;
use super::{Context, Failed, Only, digest_of, entry, parse, profile, settings};

/// No signature is longer: RSA 4096 in base64 has 684 letters.
const LONGEST: u64 = 1 << 20;

/// Attaches a signature, once however often it is called.
pub(crate) async fn run(args: &AttachSignatureArgs, context: &Context) -> Result<ExitCode, Failed> {
    let image = parse(&args.image)?;
    let (certificate, chain) =
        super::certificates(args.certificate.as_deref(), args.certificate_chain.as_deref())?;
    let store = super::store(context, &args.registry, &[&image], Intent::Read)?;
    let digest = digest_of(&image, &*store.store).await?;
    let mut profile = SignerProfile { certificate, chain, ..profile(Ability::VerifyOnly)? };
    let name = profile.name.clone();
    let attachment = match bundle(args)? {
        Some((path, made)) => Attachment::of_bundle(super::sign::origin(), name, path, made),
        None => of_parts(args, &image, &digest, name)?,
    };
    same_subject(&attachment.claim, &digest, &attachment.path)?;

    let carried = profile.certificate.as_ref().or(attachment.certificate.as_ref());
    let key = match &args.key {
        Some(key) => Some(super::public_key(key, context).await?),
        None => carried.map(|it| it.public_key().clone()),
    };
    let signed = attachment.signed_bytes();
    if let Some(key) = &key
        && key.verifying_hash(&signed, &attachment.signature, Hash::default()).is_none()
    {
        let path = attachment.path.display();
        let text = format!("the signature is not one of this key over {path}");
        return Err(Failed::new(ExitCode::Error, "attachment::does_not_verify", text)
            .help("check that payload, signature and key belong together"));
    }
    if key.is_none() {
        profile.ability = Ability::AttachOnly;
        context.terminal.say("the signature was not checked: give the public key with --key");
    }
    let image = Image {
        attachments: vec![Arc::new(attachment)],
        ..entry(&image, settings(), super::signature_repository(context)?)
    };
    let signer = Only { profile, source: key.map(|it| KeySource::PublicKey(it.into())) };
    let session = super::session(
        context,
        &args.registry,
        Some(signer),
        vec![image],
        Intent::Write,
        Making::IfMissing,
    )?;
    let (plan, signers) = context.plan(&session).await?;
    for target in &plan.targets {
        for change in &target.changes {
            say(change, &target.target, context);
        }
    }
    let report = super::write_plan(plan, &signers, &session, context).await;
    super::end(report.failures(), ExitCode::Error, context)
}

fn say(change: &Change, target: &Target, context: &Context) {
    let word = match change {
        Change::Attach { .. } => "Pushing signature to",
        Change::Keep { .. } => "The signature is there already",
        _ => return,
    };
    let (to, digest) = (&target.signatures, &target.subject.digest);
    let place = match change.want().map(|it| it.format) {
        Some(Format::Bundle) => to.to_string(),
        _ => format!("{to}:{}", Tag::of_signatures(digest)),
    };
    context.terminal.say(&format!("{word}: {place}"));
}

/// The bundle, where one is given; as with cosign 3, it may stand in the place of the payload.
fn bundle(args: &AttachSignatureArgs) -> Result<Option<(PathBuf, MadeBundle)>, Failed> {
    let Some(path) = args.bundle.as_ref().or(args.payload.as_ref()) else { return Ok(None) };
    let content = super::read(path)?;
    if args.bundle.is_none() && Bundle::parse(&content).is_err() {
        return Ok(None);
    }
    match MadeBundle::read(&content) {
        Ok(made) => Ok(Some((path.clone(), made))),
        Err(error) => {
            let text = format!("{} cannot be attached to an image", path.display());
            Err(Failed::new(ExitCode::Error, "attachment::no_claim", text)
                .because(&error)
                .help("give a sigstore bundle of version 0.3 that signs an image"))
        }
    }
}

/// What payload and signature make.
fn of_parts(
    args: &AttachSignatureArgs,
    image: &ImageRef,
    digest: &Digest,
    signer: SignerName,
) -> Result<Attachment, Failed> {
    let signature = signature(&args.signature)?;
    let path = args.payload.clone().unwrap_or_else(|| "the payload of `generate`".into());
    let payload = match &args.payload {
        Some(path) => super::read(path)?,
        None => super::generate::payload(image, digest, None, &Annotations::new())?,
    };
    let claim = claim(&payload, &path)?;
    Ok(Attachment {
        rekor_bundle: args.rekor_response.as_deref().map(log_entry).transpose()?,
        timestamp: args.tsr.as_deref().map(timestamp).transpose()?,
        ..super::sign::attachment(signer, path, payload, claim, signature)
    })
}

/// The entry in a log, as its annotation has it: the file is that, or has it in `rekorBundle`.
fn log_entry(path: &Path) -> Result<String, Failed> {
    let text = super::read_text(path)?;
    let whole: Value = serde_json::from_str(&text).unwrap_or_default();
    let text = whole.get("rekorBundle").map_or(text, Value::to_string);
    let entry = LogEntry::from_annotation(&text).map(|it| it.to_annotation());
    entry.ok().flatten().ok_or_else(|| {
        Failed::usage(format!("{} holds no entry with the promise of its log", path.display()))
            .help(
                "name what `cosign sign --bundle` of cosign 2 wrote, or the text of the annotation",
            )
    })
}

/// The timestamp, as its annotation has it.
fn timestamp(path: &Path) -> Result<String, Failed> {
    Ok(timestamp_to_annotation(&super::read(path)?))
}

/// What a payload says.
pub(crate) fn claim(payload: &[u8], path: &Path) -> Result<Claim, Failed> {
    Claim::parse(payload).map_err(|error| {
        let text = format!("{} cannot be signed for an image", path.display());
        Failed::new(ExitCode::Error, "attachment::no_claim", text)
            .because(&error)
            .help("make it with: countersign generate IMAGE > payload.json")
    })
}

/// A payload for another image is refused.
pub(crate) fn same_subject(claim: &Claim, digest: &Digest, path: &Path) -> Result<(), Failed> {
    if claim.digest == *digest {
        return Ok(());
    }
    let text = format!("{} is about {}, and the image is {digest}", path.display(), claim.digest);
    Err(Failed::new(ExitCode::Error, "attachment::other_subject", text)
        .help("give the payload that was made for this image, or name the image by that digest"))
}

/// What `--signature` names: standard input, a file, or the text itself.
pub(crate) fn content(given: &str) -> Result<Vec<u8>, Failed> {
    let path = Path::new(given);
    if given == "-" {
        let mut content = Vec::new();
        std::io::stdin().lock().take(LONGEST).read_to_end(&mut content)?;
        Ok(content)
    } else if path.exists() {
        super::read(path)
    } else {
        Ok(given.as_bytes().to_vec())
    }
}

/// The signature, out of base64.
fn signature(given: &str) -> Result<SignatureBytes, Failed> {
    let content = content(given)?;
    let read = std::str::from_utf8(&content).map_err(|_| SignatureError::NotBase64);
    read.and_then(SignatureBytes::from_base64).map_err(|error| {
        let wrong = |text: String| Failed::new(ExitCode::Error, "attachment::not_base64", text);
        let from = if given == "-" { "standard input".to_owned() } else { shown(given) };
        match error {
            SignatureError::Empty => {
                wrong(format!("there is no signature in {from}")).help("give it in base64")
            }
            SignatureError::NotBase64 if is_raw(&content) => wrong(format!(
                "the signature in {from} is raw, as `openssl dgst` writes it, and no base64"
            ))
            .help(format!(
                "encode it: base64 -w0 {0} > {0}.b64",
                if given == "-" { "payload.sig" } else { given }
            )),
            SignatureError::NotBase64 | SignatureError::NotFixedWidth => {
                wrong(format!("the signature in {from} is no base64"))
                    .help("check the name of the file; or encode it: base64 -w0 payload.sig")
            }
        }
    })
}

/// Bytes that are no text: DER, or the block of an RSA key.
fn is_raw(content: &[u8]) -> bool {
    std::str::from_utf8(content).is_err()
        || content.iter().any(|it| *it < b' ' && !it.is_ascii_whitespace())
}

fn shown(given: &str) -> String {
    let short: String = given.chars().take(60).collect();
    if short.len() < given.len() { format!("{short}…") } else { short }
}
