//! `[[images.attachments]]`: signatures made elsewhere. Pure.

use std::path::PathBuf;
use std::sync::Arc;

use crate::crypto::SignatureBytes;
use crate::payload::{Claim, MadeBundle};
use crate::plan::Attachment;
use crate::spec::access::MAX_SMALL;
use crate::spec::code::Code;
use crate::spec::problem::{Problem, Problems};
use crate::spec::section::{Section, Text};
use crate::spec::validate::Context;
use crate::spec::validate::pem;

/// What a bundle has in itself.
const BESIDE_BUNDLE: [&str; 6] =
    ["payload", "signature", "certificate", "certificate_chain", "rekor_bundle", "timestamp"];

/// The attachments of an entry.
pub(super) fn read(
    entry: &Section,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Vec<Arc<Attachment>> {
    let sections = entry.sections("attachments").iter();
    sections.filter_map(|it| one(it, context, problems)).map(Arc::new).collect()
}

fn one(section: &Section, context: &Context<'_>, problems: &mut Problems) -> Option<Attachment> {
    let signer = section.text("signer").and_then(|it| context.signers.active(it, problems));
    let (certificate, chain) = pem::certificates(section, context.access, problems);
    let rekor_bundle = evidence(section, "rekor_bundle", context, problems);
    let timestamp = evidence(section, "timestamp", context, problems);
    if section.has("bundle") {
        for other in BESIDE_BUNDLE.into_iter().filter(|it| section.has(it)) {
            let message = format!("`bundle` and `{other}` exclude each other");
            let problem = Problem::error(Code::Conflict, section.key_place(other), message);
            let problem = problem.label("the bundle has it").help("keep one of the two");
            problems.add(problem.and(section.key_place("bundle"), "a bundle"));
        }
        let (path, made) = section.text("bundle").and_then(|it| bundle(it, context, problems))?;
        let attachment = Attachment::of_bundle(section.place.origin(), signer?, path, made);
        belong_together(section, ["bundle", "bundle"], &attachment, context, problems);
        return Some(attachment);
    }
    for key in ["payload", "signature"].into_iter().filter(|it| !section.has(it)) {
        let message = format!("an attachment needs `{key}`");
        let problem = Problem::error(Code::MissingKey, &section.place, message);
        let problem = problem.label(format!("`{key}` is missing"));
        problems.add(problem.help(format!("add: {key} = \"out/web.{key}\"")));
    }
    let payload = section.text("payload").and_then(|it| payload(it, context, problems));
    let signature = section.text("signature").and_then(|it| signature(it, context, problems));
    let (signer, (path, payload, claim), signature) = (signer?, payload?, signature?);
    let attachment = Attachment {
        origin: section.place.origin(),
        signer,
        path,
        payload,
        claim,
        signature,
        certificate,
        chain,
        bundle: None,
        rekor_bundle,
        timestamp,
    };
    let keys = ["signature", "payload"];
    belong_together(section, keys, &attachment, context, problems);
    Some(attachment)
}

/// Checks the signature and the certificate under the signer's key, where that is known; `keys` name the
/// signature and what it is over.
fn belong_together(
    section: &Section,
    [signature, payload]: [&str; 2],
    attachment: &Attachment,
    context: &Context<'_>,
    problems: &mut Problems,
) {
    let signer = &attachment.signer;
    let Some((key, hash)) = context.signers.verifier(signer) else { return };
    let signed = attachment.signed_bytes();
    if key.verifying_hash(&signed, &attachment.signature, hash).is_none() {
        let message = format!("the signature is not one of `{signer}` over this {payload}");
        let place = section.value_place(signature);
        let problem = Problem::error(Code::SignatureMismatch, place, message);
        let help = match attachment.bundle {
            Some(_) => "check that bundle and public key belong together",
            None => "check that payload, signature and public key belong together",
        };
        let mut problem = problem.label("does not verify").help(help);
        if signature != payload {
            problem = problem.and(section.value_place(payload), "the payload");
        }
        problems.add(problem);
    }
    if let Some(certificate) = attachment.certificate.as_ref().filter(|it| it.public_key() != key) {
        let names = certificate.names().join(", ");
        let message =
            format!("the certificate of {names} is for another key than that of `{signer}`");
        let own = if section.has("certificate") { "certificate" } else { "bundle" };
        let problem = Problem::error(Code::CertificateMismatch, section.value_place(own), message);
        problems.add(problem.label("another key"));
    }
}

fn bundle(
    text: &Text,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Option<(PathBuf, MadeBundle)> {
    let path = context.access.path(text, problems)?;
    let content = context.access.read(text, MAX_SMALL, problems)?;
    match MadeBundle::read(&content) {
        Ok(made) => Some((path, made)),
        // The reason may quote the file, which may be any file.
        Err(_) => {
            let message = "the file holds no bundle of a signature on an image that cosign takes";
            let problem = Problem::error(Code::Bundle, &text.place, message);
            problems.refuse(problem.label("no such bundle").help(
                "name a sigstore bundle of version 0.3 with a DSSE envelope of a statement \
                 `https://sigstore.dev/cosign/sign/v1`, one signature, no `keyid` and no chain",
            ))
        }
    }
}

fn payload(
    text: &Text,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Option<(PathBuf, Vec<u8>, Claim)> {
    let path = context.access.path(text, problems)?;
    let content = context.access.read(text, MAX_SMALL, problems)?;
    match Claim::parse(&content) {
        Ok(claim) => Some((path, content, claim)),
        // The reason may quote the file, which may be any file.
        Err(_) => {
            let message = "the payload is no simple-signing claim about an image";
            let problem = Problem::error(Code::Payload, &text.place, message);
            problems.refuse(problem.label("no claim").help("make it with: cosign generate IMAGE"))
        }
    }
}

fn signature(
    text: &Text,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Option<SignatureBytes> {
    let content = context.access.read_text(text, MAX_SMALL, problems)?;
    SignatureBytes::from_base64(&content).ok().or_else(|| {
        let problem = Problem::error(Code::Signature, &text.place, "the signature is not base64");
        let problem = problem.label("not base64");
        problems.refuse(
            problem.help("of raw bytes, as openssl writes them: base64 -w0 web.sig > web.sig.b64"),
        )
    })
}

/// A log entry or a timestamp, as it will stand in an annotation.
fn evidence(
    section: &Section,
    key: &str,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Option<String> {
    let text = section.text(key)?;
    let content = context.access.read_text(text, MAX_SMALL, problems)?;
    let content = content.trim();
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(content) {
        Ok(_) => Some(content.to_owned()),
        Err(_) => {
            let message = format!("`{key}` takes a file with a JSON object");
            let problem = Problem::error(Code::Evidence, &text.place, message);
            problems.refuse(problem.label("no JSON object").help(format!(
                "leave `{key}` out, or name the JSON of the annotation that cosign writes"
            )))
        }
    }
}
