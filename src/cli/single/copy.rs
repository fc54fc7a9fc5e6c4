//! `countersign copy SOURCE DESTINATION`.

use countersign::exit_code::ExitCode;
use countersign::model::{ImageRef, Locator};
use countersign::store::Intent;
use countersign::transfer::{Attached, Copy, Overwrite};

use super::args::{CopyArgs, CopyKind};
use super::{Context, Failed, count, failed, parse, store};

/// Copies an image with what is attached to it.
pub(crate) async fn run(args: &CopyArgs, context: &Context) -> Result<ExitCode, Failed> {
    let source = parse(&args.source)?;
    let destination: ImageRef = args.destination.parse().map_err(|error| {
        Failed::usage(format!("{} is no place for an image", args.destination))
            .because(&error)
            .help("write REPOSITORY:TAG, or oci:PATH:TAG")
    })?;
    if destination.digest.is_some() {
        return Err(Failed::usage("the destination has a digest, which the content decides")
            .help("name a tag instead"));
    }
    let session = store(context, &args.registry, &[&source, &destination], Intent::Write)?;
    let locator = source.locator().ok_or_else(|| Failed::usage("the source names no image"))?;
    // `repo` alone is `repo:latest` to every client; here the tag of the source is meant.
    let written = args.destination.rsplit('/').next().is_some_and(|it| it.contains(':'));
    let tag = if written { destination.tag.clone() } else { source.tag.clone() };
    let kinds = args.only.iter().map(|kind| match kind {
        CopyKind::Sig => Attached::Signatures,
        CopyKind::Att => Attached::Attestations,
        CopyKind::Sbom => Attached::Sboms,
        CopyKind::Ref => Attached::Referrers,
    });
    let with: Vec<Attached> = kinds.collect();
    let copy = Copy {
        from: source.repository.clone(),
        locator: match (&source.digest, locator) {
            (Some(digest), _) => Locator::Digest(digest.clone()),
            (None, locator) => locator,
        },
        to: destination.repository.clone(),
        tag,
        platform: args.platform.clone(),
        with: if with.is_empty() { Attached::ALL.to_vec() } else { with },
        overwrite: if args.force { Overwrite::Allowed } else { Overwrite::Never },
        spool: std::env::temp_dir(),
    };
    let copied = context.unless_interrupted(copy.run(&*session.store)).await?;
    let copied = copied.map_err(|it| failed(&it))?;
    context.terminal.say(&format!(
        "Copied {} to {}: {}, {} sent, {} mounted",
        args.source,
        args.destination,
        count(copied.manifests, "manifest"),
        count(copied.sent, "blob"),
        count(copied.mounted, "blob"),
    ));
    Ok(ExitCode::Good)
}
