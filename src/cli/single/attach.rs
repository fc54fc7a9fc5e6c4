//! `countersign attach signature`: what another tool signed.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use countersign::crypto::{Hash, SignatureBytes, SignatureError};
use countersign::exit_code::ExitCode;
use countersign::keys::KeySource;
use countersign::model::{Annotations, Digest, Tag};
use countersign::payload::{Claim, LogEntry, timestamp_to_annotation};
use countersign::plan::{Ability, Attachment, Change, Image, Making, SignerProfile};
use countersign::store::Intent;
use serde_json::Value;

use super::args::AttachSignatureArgs;
use super::{Context, Failed, Only, digest_of, entry, not_yet, parse, profile, settings};

/// No signature is longer: RSA 4096 in base64 has 684 letters.
const LONGEST: u64 = 1 << 20;

/// Attaches a signature, once however often it is called.
pub(crate) async fn run(args: &AttachSignatureArgs, context: &Context) -> Result<ExitCode, Failed> {
    if args.bundle.is_some() {
        return Err(not_yet("--bundle", "attach the signature without it"));
    }
    let image = parse(&args.image)?;
    let (certificate, chain) =
        super::certificates(args.certificate.as_deref(), args.certificate_chain.as_deref())?;
    let key = match &args.key {
        Some(key) => Some(super::public_key(key, context).await?),
        None => None,
    };
    let key = key.or_else(|| certificate.as_ref().map(|it| it.public_key().clone()));
    let signature = signature(&args.signature)?;
    let store = super::store(context, &args.registry, &[&image], Intent::Read)?;
    let digest = digest_of(&image, &*store.store).await?;
    let path = args.payload.clone().unwrap_or_else(|| "the payload of `generate`".into());
    let payload = match &args.payload {
        Some(path) => super::read(path)?,
        None => super::generate::payload(&image, &digest, None, &Annotations::new())?,
    };
    let claim = claim(&payload, &path)?;
    same_subject(&claim, &digest, &path)?;

    if let Some(key) = &key
        && key.verifying_hash(&payload, &signature, Hash::default()).is_none()
    {
        let text = format!("the signature is not one of this key over {}", path.display());
        return Err(Failed::new(ExitCode::Error, "attachment::does_not_verify", text)
            .help("check that payload, signature and key belong together"));
    }
    let ability = if key.is_some() { Ability::VerifyOnly } else { Ability::AttachOnly };
    if key.is_none() {
        context.terminal.say("the signature was not checked: give the public key with --key");
    }
    let profile = SignerProfile { certificate, chain, ..profile(ability)? };
    let signatures = super::signature_repository(context)?;
    let name = profile.name.clone();
    let attachment = Attachment {
        rekor_bundle: args.rekor_response.as_deref().map(log_entry).transpose()?,
        timestamp: args.tsr.as_deref().map(timestamp).transpose()?,
        ..super::sign::attachment(name, path, payload, claim, signature)
    };
    let image = Image {
        attachments: vec![Arc::new(attachment)],
        ..entry(&image, settings(), signatures.clone())
    };
    let signer = Only { profile, source: key.map(KeySource::PublicKey) };
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
        let (to, digest) = (&target.target.signatures, &target.target.subject.digest);
        let word = target.changes.iter().find_map(|change| match change {
            Change::Attach { .. } => Some("Pushing signature to"),
            Change::Keep { .. } => Some("The signature is there already"),
            _ => None,
        });
        if let Some(word) = word {
            context.terminal.say(&format!("{word}: {to}:{}", Tag::of_signatures(digest)));
        }
    }
    let report = super::write_plan(plan, &signers, &session, context).await;
    super::end(report.failures(), ExitCode::Error, context)
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
