//! `countersign explain IMAGE`: every signature there, whose it is, and why it counts or not.

use std::path::{Component, PathBuf};
use std::sync::Arc;

use countersign::exit_code::ExitCode;
use countersign::model::{Digest, ImageRef, LayoutPath, Locator, Repository, Subject};
use countersign::observe::{Opening, examine_closely, open_signers, resolve};
use countersign::plan::{
    Cleaning, Desired, DiffOptions, Explanation, Name, Origin, Target, diff, explain,
};
use countersign::render;
use countersign::store::{Intent, ReadStore, StoreError, StoreErrorKind};

use super::args::{ExplainArgs, LookArgs, OutputFormat};
use super::context::{Context, Session};
use super::error::Failed;
use super::terminal::print;

/// Explains one image: as the spec reaches it, or, where it does not, against all signers of the spec.
pub(crate) async fn run(args: &ExplainArgs, context: &Context) -> Result<ExitCode, Failed> {
    let image = parse(&args.image)?;
    let spec = context.load(&args.spec)?;
    let look = LookArgs { target: Vec::new(), shard: None, attachments: Vec::new(), jobs: 16 };
    let session = context.session(spec, &look, Intent::Read)?;
    let work = explanations(&image, args, &session);
    let explanations = context.unless_interrupted(work).await??;
    let mut page = Vec::new();
    match args.format {
        OutputFormat::Human => {
            for (number, explanation) in explanations.iter().enumerate() {
                if number > 0 {
                    page.push(b'\n');
                }
                render::human::explanation(explanation, &context.style(), &mut page)?;
            }
        }
        OutputFormat::Json => render::json::explanations(&explanations, &mut page)?,
    }
    print(&page)?;
    let failure = explanations.iter().flat_map(|it| &it.failures).next();
    Ok(failure.map_or(ExitCode::Good, ExitCode::of_failure))
}

fn parse(text: &str) -> Result<ImageRef, Failed> {
    let wrong = |error: &dyn std::error::Error| {
        Failed::usage(format!("cannot explain {text}"))
            .because(error)
            .help("write it as the spec does: REPOSITORY:TAG, REPOSITORY@DIGEST, or oci:PATH:TAG")
    };
    let image: ImageRef = text.parse().map_err(|error| wrong(&error))?;
    if image.locator().is_none() {
        return Err(Failed::usage(format!("{text} names no image"))
            .help("add a tag or a digest, as in oci:PATH:TAG"));
    }
    Ok(ImageRef { repository: plain(&image.repository), ..image })
}

/// The same layout, however its path is written.
fn plain(repository: &Repository) -> Repository {
    match repository {
        Repository::Layout(layout) => {
            let parts = layout.as_path().components();
            let path: PathBuf = parts.filter(|part| *part != Component::CurDir).collect();
            Repository::Layout(LayoutPath::new(path))
        }
        Repository::Remote(_) => repository.clone(),
    }
}

async fn explanations(
    image: &ImageRef,
    args: &ExplainArgs,
    session: &Session,
) -> Result<Vec<Explanation>, Failed> {
    let observer = &session.observer;
    let digest = digest_of(image, &*observer.store).await?;
    let images = session.desired.images.iter();
    let near = Desired {
        signers: session.desired.signers.clone(),
        images: images.filter(|it| plain(&it.repository) == image.repository).cloned().collect(),
    };
    let resolved = resolve(&near, &observer.store, &observer.options).await;
    let mut targets = resolved.targets;
    targets.retain(|target| target.subject.digest == digest);
    if targets.is_empty() {
        targets.push(undeclared(image, digest, args));
    }
    let signers = open_signers(&near, &targets, Opening::All, observer.openers()).await;
    let now = observer.clock.now();
    let mut explanations = Vec::new();
    for target in targets {
        let observed = examine_closely(&target, &*observer.store, &signers, now).await;
        let options = DiffOptions { now, cleaning: Cleaning::AsDeclared };
        let changes = diff(&target, &observed, &signers, &options);
        explanations.push(explain(&target, &observed, &signers, &changes, now));
    }
    Ok(explanations)
}

/// The digest that is meant: the one that is written, else the one that the tag names now.
async fn digest_of(image: &ImageRef, store: &dyn ReadStore) -> Result<Digest, Failed> {
    let locator = match image.locator() {
        Some(Locator::Digest(digest)) => return Ok(digest),
        Some(locator) => locator,
        None => return Err(Failed::usage(format!("{image} names no image"))),
    };
    match store.resolve(&image.repository, &locator).await {
        Ok(descriptor) => Ok(descriptor.digest),
        Err(error) => Err(unresolved(&format!("cannot explain {image}"), &error)),
    }
}

/// What a store said when it was asked for the digest of an image.
pub(crate) fn unresolved(text: &str, error: &StoreError) -> Failed {
    let failed = Failed::new(exit(error.kind), error.kind.code(), text).because(error);
    match error.kind.help() {
        Some(help) => failed.help(help),
        None => failed,
    }
}

fn exit(kind: StoreErrorKind) -> ExitCode {
    match kind {
        kind if kind.is_transient() => ExitCode::Temporary,
        StoreErrorKind::Credentials | StoreErrorKind::Forbidden | StoreErrorKind::Unauthorized => {
            ExitCode::Permission
        }
        _ => ExitCode::Error,
    }
}

/// An image that the spec does not reach: nothing is wanted of it, and nothing is removed.
fn undeclared(image: &ImageRef, digest: Digest, args: &ExplainArgs) -> Target {
    let origin = Origin { file: "the command line".into(), line: 1 };
    let subject = Subject { repository: image.repository.clone(), digest };
    let names = vec![Name { text: Arc::from(args.image.as_str()), origin }];
    Target { names, ..Target::bare(subject, image.repository.clone()) }
}
