//! `countersign verify IMAGE… --key KEY`: cosign's form, for images without a spec.

use countersign::crypto::{Certificate, Hash, PublicKey, SignatureBytes};
use countersign::exit_code::ExitCode;
use countersign::model::{Annotations, Digest, ImageRef, Timestamp};
use countersign::observe::{Stored, stored};
use countersign::payload::{Claim, annotation};
use countersign::store::Intent;

use super::args::{VerifyImageArgs, VerifyOutput};
use super::{
    Context, Failed, bare, digest_of, failed, not_yet, pairs, parse, print, signature_repository,
    store,
};

/// What a signature must be to count.
struct Asked<'a> {
    key: &'a PublicKey,
    annotations: Annotations,
    claims: bool,
    now: Timestamp,
}

/// Verifies images one after another, and prints the payloads of what counts.
pub(crate) async fn run(args: &VerifyImageArgs, context: &Context) -> Result<ExitCode, Failed> {
    if args.certificate_identity.is_some() || args.certificate_oidc_issuer.is_some() {
        return Err(not_yet("verifying by identity", "give the public key: --key cosign.pub"));
    }
    let key = args.key.as_deref().ok_or_else(|| {
        not_yet("verifying without a key (keyless)", "give the public key: --key cosign.pub")
    })?;
    if !args.ignore_tlog.on {
        return Err(not_yet(
            "verifying entries in a transparency log",
            "add --insecure-ignore-tlog where that is enough, or ask cosign",
        ));
    }
    let key = super::public_key(key, context).await?;
    let asked = Asked {
        key: &key,
        annotations: pairs::annotations(&args.annotations)?,
        claims: args.check_claims.on,
        now: context.clock.now(),
    };
    let images: Vec<ImageRef> = args.image.iter().map(|it| parse(it)).collect::<Result<_, _>>()?;
    for image in &images {
        let payloads = one(image, &asked, args, context).await?;
        say(image, &asked, context);
        print(&page(&payloads, args.output))?;
    }
    Ok(ExitCode::Good)
}

async fn one(
    image: &ImageRef,
    asked: &Asked<'_>,
    args: &VerifyImageArgs,
    context: &Context,
) -> Result<Vec<Vec<u8>>, Failed> {
    let session = store(context, &args.registry, &[image], Intent::Read)?;
    let digest = context.unless_interrupted(digest_of(image, &*session.store)).await??;
    let target = bare(image, digest.clone(), signature_repository(context)?);
    let found = stored(&target, &*session.store).await.map_err(|it| failed(&it))?;
    let mut reasons = Vec::new();
    let mut payloads: Vec<Vec<u8>> = Vec::new();
    for signature in &found {
        match judge(signature, &digest, asked) {
            Ok(()) => payloads.push(compact(&signature.payload)),
            Err(reason) if reasons.contains(&reason) => {}
            Err(reason) => reasons.push(reason),
        }
    }
    if !payloads.is_empty() {
        return Ok(payloads);
    }
    if found.is_empty() {
        let text = format!("{image} carries no signatures");
        return Err(Failed::new(ExitCode::NotAsDeclared, "signature::none", text)
            .help("sign it: countersign sign --key cosign.key IMAGE"));
    }
    let text = format!("no matching signatures on {image}: {}", reasons.join("; "));
    Err(Failed::new(ExitCode::NotAsDeclared, "signature::no_match", text).help(
        "check the key and the annotations; `countersign download signature` shows what is there",
    ))
}

/// Why a signature does not count.
fn judge(stored: &Stored, digest: &Digest, asked: &Asked<'_>) -> Result<(), String> {
    let signature = SignatureBytes::from_base64(stored.signature()).map_err(|it| it.to_string())?;
    if !asked.key.verifies(&stored.payload, &signature, Hash::default()) {
        return Err("a signature is not by this key".to_owned());
    }
    if asked.claims {
        let claim = Claim::parse(&stored.payload).map_err(|it| it.to_string())?;
        if claim.digest != *digest {
            return Err(format!("a signature is about {}", claim.digest));
        }
        for (key, value) in &asked.annotations {
            if claim.annotations.get(key) != Some(value) {
                return Err(format!("a signature has no annotation {key}={value}"));
            }
        }
    }
    // A certificate without proof of time must hold now, as cosign has it.
    let certificate = stored.layer.annotation(annotation::CERTIFICATE);
    match certificate.map(Certificate::from_pem) {
        Some(Ok(it)) if asked.now > it.not_after() || asked.now < it.not_before() => {
            Err(format!("its certificate is valid from {} to {}", it.not_before(), it.not_after()))
        }
        Some(Err(error)) => Err(format!("its certificate cannot be read: {error}")),
        _ => Ok(()),
    }
}

/// The payload without white space, in its own order of members.
fn compact(payload: &[u8]) -> Vec<u8> {
    let parsed: Option<serde_json::Value> = serde_json::from_slice(payload).ok();
    parsed.map_or_else(|| payload.to_vec(), |it| countersign::model::go_json::to_vec(&it))
}

fn page(payloads: &[Vec<u8>], output: VerifyOutput) -> Vec<u8> {
    match output {
        VerifyOutput::Json => {
            let mut page = b"\n[".to_vec();
            page.extend(payloads.join(&b','));
            page.extend(b"]\n");
            page
        }
        VerifyOutput::Text => {
            let mut page = payloads.join(&b'\n');
            page.push(b'\n');
            page
        }
    }
}

fn say(image: &ImageRef, asked: &Asked<'_>, context: &Context) {
    let mut text = format!(
        "\nVerification for {image} --\nThe following checks were performed on each of these signatures:"
    );
    if !asked.annotations.is_empty() {
        text.push_str("\n  - The specified annotations were verified.");
    }
    if asked.claims {
        text.push_str("\n  - The cosign claims were validated");
    }
    text.push_str("\n  - The signatures were verified against the specified public key");
    context.terminal.say(&text);
}
