//! `countersign clean IMAGE`: removes what is attached, by the same plan as a spec's `prune`.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, Write as _};
use std::sync::Arc;

use countersign::apply::{Removed, delete_referrers, delete_tag};
use countersign::exit_code::ExitCode;
use countersign::keys::KeySource;
use countersign::model::{Digest, ImageRef, Repository, Tag};
use countersign::observe::stored;
use countersign::payload::Format;
use countersign::plan::{
    Ability, Change, Failure, Making, Plan, Prune, Settings, SignerProfile, Signers,
};
use countersign::store::Intent;
use countersign::transfer::Attached;

use super::args::{CleanArgs, CleanKind};
use super::{
    Answers, Context, Failed, Only, Session, bare, digest_of, entry, failed, parse, profile,
    settings, unresolved,
};

/// Removes signatures, attestations and SBOMs; or says what would go.
pub(crate) async fn run(args: &CleanArgs, context: &Context) -> Result<ExitCode, Failed> {
    if args.key.is_some() && !matches!(args.kind, CleanKind::All | CleanKind::Signature) {
        return Err(Failed::usage("--key tells signatures apart, and nothing else")
            .help("leave --key or --type out"));
    }
    let image = parse(&args.image)?;
    let store = super::store(context, &args.registry, &[&image], Intent::Read)?;
    let digest = context.unless_interrupted(digest_of(&image, &*store.store)).await??;
    let place = super::signature_repository(context)?.unwrap_or_else(|| image.repository.clone());
    let session = session(args, &place, &digest, context).await?;
    let doomed = context.unless_interrupted(doomed(args, &place, &digest, &session, context));
    let doomed = doomed.await??;
    doomed.say(&place, &digest, context);
    let count = doomed.count();
    let planned = doomed.planned.iter().flat_map(|(plan, _)| plan.failures().cloned());
    let mut failures: Vec<Failure> = planned.collect();
    if count > 0 && !args.dry_run {
        confirm(args, count, context).await?;
        failures = doomed.remove(&place, &digest, &session, context).await;
        if failures.is_empty() {
            context.terminal.say("Removed.");
        }
    }
    super::end(failures.iter(), ExitCode::Error, context)
}

/// What is to be removed.
struct Doomed {
    /// The plan of the signatures.
    planned: Option<(Plan, Arc<Signers>)>,
    /// Attestations and SBOMs.
    tags: Vec<Tag>,
    /// Bundles that no plan removes.
    referrers: BTreeSet<Digest>,
}

async fn doomed(
    args: &CleanArgs,
    place: &Repository,
    digest: &Digest,
    session: &Session,
    context: &Context,
) -> Result<Doomed, Failed> {
    let signatures = matches!(args.kind, CleanKind::All | CleanKind::Signature);
    let planned = if signatures { Some(context.plan(session).await?) } else { None };
    let others: &[Attached] = match (args.kind, &args.key) {
        (CleanKind::All, None) => &[Attached::Attestations, Attached::Sboms],
        (CleanKind::Attestation, _) => &[Attached::Attestations],
        (CleanKind::Sbom, _) => &[Attached::Sboms],
        _ => &[],
    };
    let mut tags: Vec<Tag> = Vec::new();
    for attached in others {
        let tag = attached.tag(digest).map_err(|it| failed(&it))?;
        match session.store.resolve(place, &tag.clone().into()).await {
            Ok(_) => tags.push(tag),
            Err(error) if error.kind.is_absent() => {}
            Err(error) => {
                let text = format!("cannot read {place}:{tag}");
                return Err(unresolved(&text, &error));
            }
        }
    }
    let all = matches!((args.kind, &args.key), (CleanKind::All, None));
    let mut referrers = BTreeSet::new();
    if all || matches!(args.kind, CleanKind::Attestation | CleanKind::Referrer) {
        let image = ImageRef { repository: place.clone(), tag: None, digest: None };
        let found = stored(&bare(&image, digest.clone(), None), &*session.store).await;
        if let Some(failure) = found.unreadable.first() {
            return Err(failed(failure));
        }
        match args.kind {
            CleanKind::Referrer => referrers.extend(found.referrers().cloned()),
            _ => referrers.extend(found.attestations),
        }
    }
    Ok(Doomed { planned, tags, referrers })
}

impl Doomed {
    fn signatures(&self) -> usize {
        self.planned.as_ref().map_or(0, |(plan, _)| removals(plan))
    }

    fn count(&self) -> usize {
        self.signatures() + self.tags.len() + self.referrers.len()
    }

    fn say(&self, place: &Repository, digest: &Digest, context: &Context) {
        let mut lines = Vec::new();
        let changes = self.planned.iter().flat_map(|(plan, _)| &plan.targets);
        for change in changes.flat_map(|it| &it.changes) {
            let Change::Clean { found, .. } = change else { continue };
            lines.push(match found.format {
                Format::Bundle => format!("- signature in {place}@{}", found.id.annotations),
                _ => format!("- signature in {place}:{}", Tag::of_signatures(digest)),
            });
        }
        lines.extend(self.tags.iter().map(|tag| format!("- {place}:{tag}")));
        lines.extend(self.referrers.iter().map(|it| format!("- bundle in {place}@{it}")));
        if lines.is_empty() {
            context.terminal.say(&format!("nothing to remove from {place}@{digest}"));
        }
        for line in lines {
            context.terminal.say(&line);
        }
    }

    async fn remove(
        self,
        place: &Repository,
        digest: &Digest,
        session: &Session,
        context: &Context,
    ) -> Vec<Failure> {
        let mut failures: Vec<Failure> = Vec::new();
        if let Some((plan, signers)) = self.planned {
            let report = super::write_plan(plan, &signers, session, context).await;
            failures.extend(report.failures().cloned());
        }
        for tag in &self.tags {
            match delete_tag(&*session.store, place, tag).await {
                Ok(Removed::Tag | Removed::Nothing) => {}
                Err(failure) => failures.push(failure),
            }
        }
        if !self.referrers.is_empty() {
            let gone = delete_referrers(&*session.store, place, digest, &self.referrers).await;
            failures.extend(gone.err());
        }
        failures
    }
}

/// Nothing is wanted of the image. Without a key, all goes; with one, its signer is retired.
async fn session(
    args: &CleanArgs,
    place: &Repository,
    digest: &Digest,
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

async fn confirm(args: &CleanArgs, count: usize, context: &Context) -> Result<(), Failed> {
    if args.force && count > args.allow_clean {
        let text = format!("{count} would be removed, more than {}", args.allow_clean);
        return Err(Failed::new(ExitCode::Guarded, "guard::clean", text).help(format!(
            "nothing was removed; if all of it is meant, add --allow-clean {count}"
        )));
    }
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
