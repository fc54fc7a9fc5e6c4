//! What only looks: `triangulate`, `tree`, `download signature`.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::crypto::Certificate;
use countersign::exit_code::ExitCode;
use countersign::model::{Descriptor, Digest, Locator, Manifest, Repository, go_json};
use countersign::observe::{Stored, StoredAt, stored};
use countersign::payload::{Format, annotation, listing_of};
use countersign::render;
use countersign::store::{Intent, ReadStore, Referrers};
use countersign::transfer::Attached;
use serde::Serialize;
use serde_json::{Value, json};

use super::args::{ImageArgs, Kind, TriangulateArgs};
use super::{
    Context, Failed, bare, digest_of, failed, parse, print, signature_repository, store, unresolved,
};

/// Where something of an image is.
pub(crate) async fn triangulate(
    args: &TriangulateArgs,
    context: &Context,
) -> Result<ExitCode, Failed> {
    let image = parse(&args.image.image)?;
    let session = store(context, &args.image.registry, &[&image], Intent::Read)?;
    let digest = context.unless_interrupted(digest_of(&image, &*session.store)).await??;
    let place = signature_repository(context)?.unwrap_or_else(|| image.repository.clone());
    let tag = |attached: Attached| attached.tag(&digest).map_err(|it| failed(&it));
    let text = match args.kind {
        Kind::Signature => format!("{place}:{}", tag(Attached::Signatures)?),
        Kind::Attestation => format!("{place}:{}", tag(Attached::Attestations)?),
        Kind::Referrer => format!("{place}:{}", tag(Attached::Referrers)?),
        Kind::Sbom => format!("{place}:{}", tag(Attached::Sboms)?),
        Kind::Digest => format!("{}@{digest}", image.repository),
    };
    print(format!("{text}\n").as_bytes())?;
    Ok(ExitCode::Good)
}

/// Everything that is attached to an image.
pub(crate) async fn tree(args: &ImageArgs, context: &Context) -> Result<ExitCode, Failed> {
    let image = parse(&args.image)?;
    let session = store(context, &args.registry, &[&image], Intent::Read)?;
    let digest = context.unless_interrupted(digest_of(&image, &*session.store)).await??;
    let place = signature_repository(context)?.unwrap_or_else(|| image.repository.clone());
    let mut text =
        format!("📦 Supply Chain Security Related artifacts for an image: {}\n", args.image);
    let empty = text.len();
    for (attached, what) in [
        (Attached::Attestations, "💾 Attestations for an image tag"),
        (Attached::Signatures, "🔐 Signatures for an image tag"),
        (Attached::Sboms, "📦 SBOMs for an image tag"),
    ] {
        let tag = attached.tag(&digest).map_err(|it| failed(&it))?;
        if let Some(bytes) = manifest(&*session.store, &place, &tag.clone().into()).await? {
            // Writing to a string does not fail.
            let _ = writeln!(text, "└── {what}: {place}:{tag}");
            let layers = Manifest::parse(&bytes).map(|it| it.layers).unwrap_or_default();
            branches(&mut text, layers.iter().map(|it| &it.digest));
        }
    }
    let referrers = session.store.referrers(&place, &digest).await;
    let referrers = match referrers {
        Err(error) if error.kind.is_absent() => Referrers::default(),
        other => other
            .map_err(|error| unresolved(&format!("cannot list what refers to {image}"), &error))?,
    };
    for entry in &referrers.entries {
        let locator = Locator::Digest(entry.digest.clone());
        // A list may name what is gone.
        let Some(bytes) = manifest(&*session.store, &place, &locator).await? else { continue };
        let read = Manifest::parse(&bytes).ok();
        // What the list says of an entry is often wrong: its manifest knows.
        let own = read.as_ref().map(|it| listing_of(entry, it));
        let own = own.as_ref().unwrap_or(entry);
        let kind = own.annotation("dev.sigstore.bundle.predicateType");
        let kind = kind.or(own.artifact_type.as_deref()).unwrap_or(&entry.media_type);
        // It is anybody's text, and must not steer the terminal.
        let kind = render::escape(kind);
        let _ =
            writeln!(text, "└── 🔗 {kind} artifacts via OCI referrer: {place}@{}", entry.digest);
        let layers = read.map(|it| it.layers).unwrap_or_default();
        branches(&mut text, layers.iter().map(|it| &it.digest));
    }
    if text.len() == empty {
        let _ =
            writeln!(text, "No Supply Chain Security Related Artifacts found for image {image}");
    }
    print(text.as_bytes())?;
    Ok(ExitCode::Good)
}

fn branches<'a>(text: &mut String, digests: impl ExactSizeIterator<Item = &'a Digest>) {
    let last = digests.len().saturating_sub(1);
    for (position, digest) in digests.enumerate() {
        let twig = if position == last { "└──" } else { "├──" };
        // Writing to a string does not fail.
        let _ = writeln!(text, "   {twig} 🍒 {digest}");
    }
}

async fn manifest(
    store: &dyn ReadStore,
    repository: &Repository,
    locator: &Locator,
) -> Result<Option<bytes::Bytes>, Failed> {
    match store.manifest(repository, locator).await {
        Ok(found) => Ok(Some(found.bytes)),
        Err(error) if error.kind.is_absent() => Ok(None),
        Err(error) => Err(unresolved(&format!("cannot read {locator} in {repository}"), &error)),
    }
}

/// A line of `download signature`, as cosign writes it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line<'a> {
    base64_signature: &'a str,
    payload: String,
    cert: Value,
    chain: Value,
    bundle: Value,
    #[serde(rename = "RFC3161Timestamp")]
    timestamp: Value,
}

/// Prints every signature, one JSON object a line.
pub(crate) async fn download(args: &ImageArgs, context: &Context) -> Result<ExitCode, Failed> {
    let image = parse(&args.image)?;
    let session = store(context, &args.registry, &[&image], Intent::Read)?;
    let digest = context.unless_interrupted(digest_of(&image, &*session.store)).await??;
    let target = bare(&image, digest, signature_repository(context)?);
    let found = context.unless_interrupted(stored(&target, &*session.store)).await?;
    let hidden = found.has_bundles();
    let mut found = found.all().map_err(|it| failed(&it))?;
    if hidden {
        // As cosign 3 does: once a bundle is there, it shows bundles.
        found.retain(|it| it.format() == Format::Bundle);
    }
    if found.is_empty() {
        let text = format!("no signatures associated with {image}");
        return Err(Failed::new(ExitCode::Error, "signature::none", text)
            .help("sign it: countersign sign --key cosign.key IMAGE"));
    }
    let mut page = Vec::new();
    for signature in &found {
        match &signature.place {
            StoredAt::Bundle { text, .. } => page.extend_from_slice(text.trim_ascii()),
            StoredAt::Layer(layer) => page.extend(go_json::to_vec(&line(signature, layer))),
        }
        page.push(b'\n');
    }
    print(&page)?;
    Ok(ExitCode::Good)
}

fn line<'a>(stored: &Stored, layer: &'a Descriptor) -> Line<'a> {
    let text = |key: &str| layer.annotation(key);
    let json =
        |key: &str| text(key).and_then(|it| serde_json::from_str(it).ok()).unwrap_or(Value::Null);
    let chain = stored.chain().map(|it| it.certificates().iter().map(raw).collect::<Vec<_>>());
    Line {
        base64_signature: text(annotation::SIGNATURE).unwrap_or_default(),
        payload: STANDARD.encode(&stored.payload),
        cert: stored.certificate().map_or(Value::Null, raw),
        chain: chain.map_or(Value::Null, Value::from),
        bundle: json(annotation::BUNDLE),
        timestamp: json(annotation::TIMESTAMP),
    }
}

/// The member of Go's certificate that holds all the others.
fn raw(certificate: &Certificate) -> Value {
    json!({ "Raw": STANDARD.encode(certificate.as_der()) })
}
