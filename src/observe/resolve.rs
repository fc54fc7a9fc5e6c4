//! From the entries of a spec to subjects: tags, patterns, digests, indexes; wants joined by digest.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream;

use crate::model::{Digest, Repository, SignerName, Subject, Tag};
use crate::observe::ObserveOptions;
use crate::observe::reach::{Reach, Reached};
use crate::payload::Format;
use crate::plan::{
    Ability, Desired, Failure, Image, Moved, Name, Selection, Target, Unresolved, Want, WantOrigin,
};
use crate::store::ReadStore;

/// What the entries of a spec lead to.
#[derive(Debug, Default)]
pub struct Resolved {
    /// The subjects, in the order of the spec, the images of an index before it.
    pub targets: Vec<Target>,
    /// Entries, or parts of entries, that lead nowhere.
    pub unresolved: Vec<Unresolved>,
}

/// Resolves every entry.
///
/// One request for each tag, one for each page of tags where there is a pattern, one for each index
/// where an entry is recursive or chooses platforms; none for a digest otherwise.
pub async fn resolve(
    desired: &Desired,
    store: &Arc<dyn ReadStore>,
    options: &ObserveOptions,
) -> Resolved {
    let reach = Reach::new(Arc::clone(store));
    let entries = stream::iter(&desired.images)
        .map(|image| resolve_image(image, &reach, options))
        .buffered(options.jobs.max(1))
        .collect::<Vec<_>>()
        .await;
    let mut joined = Joined::new(desired, options);
    for (image, (reached, unresolved)) in desired.images.iter().zip(entries) {
        joined.add(image, reached, unresolved);
    }
    joined.finish()
}

type Entry = (Vec<(Reached, Option<Moved>)>, Vec<Unresolved>);

/// What one entry leads to.
async fn resolve_image(image: &Image, reach: &Reach, options: &ObserveOptions) -> Entry {
    let (mut reached, mut unresolved) = (Vec::new(), Vec::new());
    let roots = match roots(image, reach, options).await {
        Ok(roots) => roots,
        Err(failed) => {
            unresolved.extend(failed);
            return (reached, unresolved);
        }
    };
    let named = |text: &str| Name { text: text.into(), origin: image.origin.clone() };
    let looking = stream::iter(roots)
        .map(|root| async move {
            let found = reach.root(image, &root).await;
            (root, found)
        })
        .buffered(options.jobs.max(1))
        .collect::<Vec<_>>()
        .await;
    for (root, found) in looking {
        match found {
            Ok((found, moved)) => {
                let mut moved = moved;
                // The root comes last, after the images in it; a moved tag is the root's.
                let last = found.len().saturating_sub(1);
                for (position, found) in found.into_iter().enumerate() {
                    reached.push((found, if position == last { moved.take() } else { None }));
                }
            }
            Err(reason) if image.optional && is_absent(&reason) => {}
            Err(reason) => unresolved.push(Unresolved { name: named(&root.name), reason }),
        }
    }
    (reached, unresolved)
}

fn is_absent(reason: &Failure) -> bool {
    reason.code == "image::not_found"
}

/// Something that an entry names: a tag, a digest, or a tag with the digest that it must name.
#[derive(Clone, Debug)]
pub(super) struct Root {
    /// What a person calls it.
    pub(super) name: Arc<str>,
    /// The tag, where there is one.
    pub(super) tag: Option<Tag>,
    /// The digest, where it is declared.
    pub(super) digest: Option<Digest>,
}

/// What an entry names, patterns included.
async fn roots(
    image: &Image,
    reach: &Reach,
    options: &ObserveOptions,
) -> Result<Vec<Root>, Vec<Unresolved>> {
    let repository = &image.repository;
    let of_tag = |tag: &Tag| Root {
        name: format!("{repository}:{tag}").into(),
        tag: Some(tag.clone()),
        digest: None,
    };
    let mut roots: Vec<Root> = match &image.selection {
        Selection::Digests(digests) => {
            let roots = digests.iter().map(|digest| Root {
                name: format!("{repository}@{digest}").into(),
                tag: None,
                digest: Some(digest.clone()),
            });
            roots.collect()
        }
        Selection::Pinned { tag, digest } => {
            vec![Root { digest: Some(digest.clone()), ..of_tag(tag) }]
        }
        Selection::Tags { names, .. } => names.iter().map(of_tag).collect(),
    };
    if let Selection::Tags { names, globs, exclude } = &image.selection
        && !globs.is_empty()
    {
        let excluded = |tag: &Tag| exclude.iter().any(|glob| glob.matches(tag.as_str()));
        roots.retain(|root| root.tag.as_ref().is_none_or(|tag| !excluded(tag)));
        let patterns: Vec<&str> = globs.iter().map(|glob| glob.as_str()).collect();
        let name: Arc<str> = format!("{repository}:{}", patterns.join(",")).into();
        let unresolved = |reason| {
            vec![Unresolved {
                name: Name { text: Arc::clone(&name), origin: image.origin.clone() },
                reason,
            }]
        };
        let tags = match reach.tags(repository).await {
            Ok(tags) => tags,
            Err(reason) if image.optional && is_absent(&reason) => Arc::default(),
            Err(reason) => return Err(unresolved(reason)),
        };
        let matching = tags.iter().filter(|tag| {
            !tag.is_of_digest()
                && !names.contains(tag)
                && globs.iter().any(|glob| glob.matches(tag.as_str()))
                && !excluded(tag)
        });
        let before = roots.len();
        roots.extend(matching.map(of_tag));
        if roots.len() == before && !image.allow_empty && !image.optional {
            let reason = Failure::error(
                "image::no_tag_matches",
                format!("no tag of {repository} matches {}", patterns.join(", ")),
            );
            return Err(unresolved(
                reason.help("push the image first, mend the pattern, or set `allow_empty = true`"),
            ));
        }
    }
    roots.retain(|root| is_targeted(root, image, options));
    Ok(roots)
}

/// Says whether `--target` lets this root through.
fn is_targeted(root: &Root, image: &Image, options: &ObserveOptions) -> bool {
    let repository = image.repository.to_string();
    let pinned = root.digest.as_ref().map(|digest| format!("{repository}@{digest}"));
    options.targets.is_empty()
        || options.targets.iter().any(|glob| {
            glob.matches(&root.name)
                || glob.matches(&repository)
                || pinned.as_ref().is_some_and(|name| glob.matches(name))
        })
}

/// The subjects so far, joined by signature repository and digest.
struct Joined<'a> {
    desired: &'a Desired,
    options: &'a ObserveOptions,
    targets: Vec<Target>,
    places: HashMap<(Repository, Digest), usize>,
    unresolved: Vec<Unresolved>,
    /// Repositories of which something could not be read.
    incomplete: BTreeSet<Repository>,
}

impl<'a> Joined<'a> {
    fn new(desired: &'a Desired, options: &'a ObserveOptions) -> Self {
        Self {
            desired,
            options,
            targets: Vec::with_capacity(desired.images.len()),
            places: HashMap::with_capacity(desired.images.len()),
            unresolved: Vec::new(),
            incomplete: BTreeSet::new(),
        }
    }

    fn add(
        &mut self,
        image: &Image,
        reached: Vec<(Reached, Option<Moved>)>,
        unresolved: Vec<Unresolved>,
    ) {
        let signatures = image.signature_repository.as_ref().unwrap_or(&image.repository);
        let complete = unresolved.is_empty();
        if unresolved.iter().any(|it| !is_absent(&it.reason)) {
            self.incomplete.insert(image.repository.clone());
            self.incomplete.insert(signatures.clone());
        }
        self.unresolved.extend(unresolved);
        let digests: BTreeSet<Digest> = reached.iter().map(|(it, _)| it.digest.clone()).collect();
        for (reached, moved) in reached {
            self.reach(image, signatures, reached, moved);
        }
        for attachment in &image.attachments {
            if complete && !digests.contains(&attachment.claim.digest) {
                let reason = Failure::error(
                    "attachment::other_subject",
                    format!(
                        "{} is about {}, which this entry does not have",
                        attachment.path.display(),
                        attachment.claim.digest
                    ),
                );
                let name = Name {
                    text: image.repository.to_string().into(),
                    origin: attachment.origin.clone(),
                };
                let help = "declare it at the image that it was made for";
                self.unresolved.push(Unresolved { name, reason: reason.help(help) });
            }
        }
    }

    fn reach(
        &mut self,
        image: &Image,
        signatures: &Repository,
        reached: Reached,
        moved: Option<Moved>,
    ) {
        let subject =
            Subject { repository: image.repository.clone(), digest: reached.digest.clone() };
        let name = Name { text: reached.name, origin: image.origin.clone() };
        let place = (signatures.clone(), reached.digest.clone());
        let next = self.targets.len();
        let index = *self.places.entry(place).or_insert(next);
        if index == next {
            self.targets.push(Target {
                prune: image.settings.prune,
                optional: true,
                immutable_tags: self.options.immutable.holds(signatures),
                ..Target::bare(subject, signatures.clone())
            });
        }
        let Some(target) = self.targets.get_mut(index) else { return };
        if !target.names.contains(&name) {
            target.names.push(name);
        }
        target.prune = target.prune.min(image.settings.prune);
        target.optional &= image.optional;
        target.exists |= reached.exists;
        target.children = reached.children;
        target.moved.extend(moved);
        for reason in reached.blocked {
            if !target.blocked.contains(&reason) {
                target.blocked.push(reason);
            }
        }
        for signer in &image.settings.requires {
            if !target.requires.contains(signer) {
                target.requires.push(signer.clone());
            }
        }
        add_wants(target, image, self.desired, self.options);
    }

    fn finish(mut self) -> Resolved {
        for target in &mut self.targets {
            // A fleet of 100,000 images is held as a whole: no room is kept for more.
            target.names.shrink_to_fit();
            target.wants.shrink_to_fit();
            target.signers.shrink_to_fit();
            target.incomplete = self.incomplete.contains(&target.subject.repository)
                || self.incomplete.contains(&target.signatures);
        }
        Resolved { targets: self.targets, unresolved: self.unresolved }
    }
}

/// Adds what `image` wants of `target`.
fn add_wants(target: &mut Target, image: &Image, desired: &Desired, options: &ObserveOptions) {
    let making = options.making;
    let digest = target.subject.digest.clone();
    let attached: Vec<_> =
        image.attachments.iter().filter(|it| it.claim.digest == digest).collect();
    let identities: Vec<Arc<str>> = if image.container_identity.is_empty() {
        match &image.repository {
            Repository::Remote(remote) => vec![remote.as_str().into()],
            Repository::Layout(_) => Vec::new(),
        }
    } else {
        image.container_identity.iter().map(|it| it.as_str().into()).collect()
    };
    for identity in &identities {
        if !target.identities.contains(identity) {
            target.identities.push(Arc::clone(identity));
        }
    }
    let ability = |signer: &SignerName| desired.signers.get(signer).map(|it| it.ability);
    for signer in &image.settings.sign_with {
        let elsewhere = ability(signer) != Some(Ability::Sign);
        if elsewhere && attached.iter().any(|it| it.signer == *signer) {
            // What is attached says what is wanted of this signer.
            continue;
        }
        let origin = || if elsewhere { WantOrigin::Owed } else { WantOrigin::Sign };
        let annotations = &image.settings.annotations;
        for format in &image.settings.formats {
            match format {
                // One, however many identities: a bundle names none.
                Format::Bundle => {
                    let annotations = Arc::clone(annotations);
                    let want = Want::bundle(signer.clone(), &digest, annotations, origin());
                    target.want(Want { making, ..options.given.fill(want, &digest) });
                }
                Format::SimpleSigning => {
                    for identity in identities.iter().map(Arc::clone) {
                        let annotations = Arc::clone(annotations);
                        let signer = signer.clone();
                        let want = Want::sign(signer, &digest, identity, annotations, origin());
                        target.want(Want { making, ..options.given.fill(want, &digest) });
                    }
                }
            }
        }
    }
    for attachment in attached {
        target.want(Want { making, ..Want::attach(attachment) });
    }
}
