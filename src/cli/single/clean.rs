//! `countersign clean IMAGE`: removes what is attached, by the same plan as a spec's `prune`.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, Write as _};

use countersign::apply::{Removed, delete_tag};
use countersign::exit_code::ExitCode;
use countersign::keys::KeySource;
use countersign::model::{ImageRef, Repository, Tag};
use countersign::plan::{Ability, Change, Failure, Making, Plan, Prune, Settings, SignerProfile};
use countersign::store::Intent;
use countersign::transfer::Attached;

use super::args::{CleanArgs, CleanKind};
use super::{
    Answers, Context, Failed, Only, Session, count as count_of, digest_of, entry, failed, not_yet,
    parse, profile, settings, unresolved,
};

/// Removes signatures, attestations and SBOMs; or says what would go.
pub(crate) async fn run(args: &CleanArgs, context: &Context) -> Result<ExitCode, Failed> {
    if args.kind == CleanKind::Referrer {
        return Err(not_yet("--type referrer", "remove bundles with `oras manifest delete`"));
    }
    if args.key.is_some() && !matches!(args.kind, CleanKind::All | CleanKind::Signature) {
        return Err(Failed::usage("--key tells signatures apart, and nothing else")
            .help("leave --key or --type out"));
    }
    let image = parse(&args.image)?;
    let store = super::store(context, &args.registry, &[&image], Intent::Read)?;
    let digest = digest_of(&image, &*store.store).await?;
    let place = super::signature_repository(context)?.unwrap_or_else(|| image.repository.clone());
    let session = session(args, &place, &digest, context).await?;
    let signatures = matches!(args.kind, CleanKind::All | CleanKind::Signature);
    let planned = if signatures { Some(context.plan(&session).await?) } else { None };
    let others: &[Attached] = match (args.kind, &args.key) {
        (CleanKind::All, None) => &[Attached::Attestations, Attached::Sboms],
        (CleanKind::Attestation, _) => &[Attached::Attestations],
        (CleanKind::Sbom, _) => &[Attached::Sboms],
        _ => &[],
    };
    let mut tags: Vec<Tag> = Vec::new();
    for attached in others {
        let tag = attached.tag(&digest).map_err(|it| failed(&it))?;
        match session.store.resolve(&place, &tag.clone().into()).await {
            Ok(_) => tags.push(tag),
            Err(error) if error.kind.is_absent() => {}
            Err(error) => {
                let text = format!("cannot read {place}:{tag}");
                return Err(unresolved(&text, &error));
            }
        }
    }
    let count = planned.as_ref().map_or(0, |(plan, _)| removals(plan));
    say(context, &place, &digest, count, &tags);
    let mut failures: Vec<Failure> =
        planned.iter().flat_map(|(plan, _)| plan.failures().cloned()).collect();
    if count + tags.len() > 0 && !args.dry_run {
        confirm(args, context).await?;
        if let Some((plan, signers)) = planned {
            let report = super::write_plan(plan, &signers, &session, context).await;
            failures = report.failures().cloned().collect();
        }
        for tag in &tags {
            match delete_tag(&*session.store, &place, tag).await {
                Ok(Removed::Tag | Removed::Nothing) => {}
                Err(failure) => failures.push(failure),
            }
        }
        if failures.is_empty() {
            context.terminal.say("Removed.");
        }
    }
    super::end(failures.iter(), ExitCode::Error, context)
}

/// Nothing is wanted of the image. Without a key, all goes; with one, its signer is retired.
async fn session(
    args: &CleanArgs,
    place: &Repository,
    digest: &countersign::model::Digest,
    context: &Context,
) -> Result<Session, Failed> {
    let key = match &args.key {
        Some(key) => Some(super::public_key(key, context).await?),
        None => None,
    };
    let prune = if key.is_some() { Prune::Retired } else { Prune::Undeclared };
    // The repository of the signatures is all that is looked at.
    let image = ImageRef { repository: place.clone(), tag: None, digest: Some(digest.clone()) };
    let entry = entry(&image, Settings { prune, ..settings() }, None);
    let signer = match key {
        None => None,
        Some(key) => {
            let profile = SignerProfile { retired: true, ..profile(Ability::VerifyOnly)? };
            Some(Only { profile, source: Some(KeySource::PublicKey(key)) })
        }
    };
    let registry = &args.registry;
    super::session(context, registry, signer, vec![entry], Intent::Write, Making::IfMissing)
}

fn removals(plan: &Plan) -> usize {
    let changes = plan.targets.iter().flat_map(|it| &it.changes);
    changes.filter(|it| matches!(it, Change::Clean { .. })).count()
}

fn say(
    context: &Context,
    place: &Repository,
    digest: &countersign::model::Digest,
    count: usize,
    tags: &[Tag],
) {
    let signatures = count_of(count, "signature");
    let mut lines = BTreeSet::new();
    if count > 0 {
        lines.insert(format!("- {signatures} in {place}:{}", Tag::of_signatures(digest)));
    }
    lines.extend(tags.iter().map(|tag| format!("- {place}:{tag}")));
    if lines.is_empty() {
        context.terminal.say(&format!("nothing to remove from {place}@{digest}"));
    }
    for line in lines {
        context.terminal.say(&line);
    }
}

async fn confirm(args: &CleanArgs, context: &Context) -> Result<(), Failed> {
    if args.force {
        return Ok(());
    }
    if context.terminal.answers == Answers::Nobody {
        return Err(Failed::usage("clean asks before it removes, and nobody is there to answer")
            .help("add --force; or look first, with --dry-run"));
    }
    let mut out = io::stderr().lock();
    out.write_all(b"Remove this? [y/N] ").and_then(|()| out.flush())?;
    drop(out);
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    match context.unless_interrupted(answer).await? {
        Ok(Ok(line)) if matches!(line.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => Err(Failed::new(ExitCode::Error, "cli::declined", "nothing was removed")),
    }
}
