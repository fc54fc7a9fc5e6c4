//! `countersign import REPOSITORY…`: what is there now, as a spec on which `plan` has nothing to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use countersign::crypto::{Certificate, Chain, Hash, PublicKey};
use countersign::exit_code::ExitCode;
use countersign::model::{
    Annotations, Digest, ImageRef, Index, Locator, Repository, SignerName, Tag, Timestamp,
    media_type,
};
use countersign::observe::{Stored, failure_of, stored};
use countersign::payload::Format;
use countersign::plan::Failure;
use countersign::store::{Intent, ReadStore};

use super::args::ImportArgs;
use super::context::Context;
use super::error::Failed;
use super::imported::{self, Entry, Signer};
use super::single::{self, failed};
use super::terminal::print;

/// How deep indexes are followed.
const MAX_DEPTH: usize = 8;

/// One signer of the spec to be.
struct Known {
    name: SignerName,
    /// A file or a reference.
    source: String,
    key: PublicKey,
    retired: bool,
}

/// A signature of a known signer that says something about its image.
struct Found {
    signer: SignerName,
    format: Format,
    hash: Hash,
    identity: String,
    annotations: Annotations,
    certificate: Option<Certificate>,
    chain: Option<Chain>,
    counts: bool,
}

/// One tag with what was found behind it.
struct Seen {
    repository: Repository,
    tag: Tag,
    digest: Digest,
    found: Vec<Found>,
    strangers: usize,
    recursive: bool,
}

/// What a signature is told by.
type Said<'a> = (Format, &'a str, &'a Annotations, &'a SignerName, Hash);

/// Prints a spec.
pub(crate) async fn run(args: &ImportArgs, context: &Context) -> Result<ExitCode, Failed> {
    let mut known: Vec<Known> = Vec::new();
    for (name, key) in &args.key {
        known.push(signer(name, key, context).await?);
    }
    for (name, key) in &args.retired {
        known.push(Known { retired: true, ..signer(name, key, context).await? });
    }
    let mut repositories: Vec<Repository> = Vec::new();
    for text in &args.repository {
        let repository = text.parse().map_err(|error| {
            Failed::usage(format!("{text} is no repository"))
                .because(&error)
                .help("write HOST/PATH without a tag, or oci:PATH")
        })?;
        repositories.push(repository);
    }
    let of = |it: &Repository| ImageRef { repository: it.clone(), tag: None, digest: None };
    let images: Vec<ImageRef> = repositories.iter().map(of).collect();
    let images: Vec<&ImageRef> = images.iter().collect();
    let session = single::store(context, &args.registry, &images, Intent::Read)?;
    let reader = Reader {
        store: &*session.store,
        signers: &known,
        place: single::signature_repository(context)?,
        now: context.clock.now(),
    };
    let mut seen = Vec::new();
    for repository in &repositories {
        let read = context.unless_interrupted(reader.repository(repository)).await?;
        seen.extend(read.map_err(|it| failed(&it))?);
    }
    let signers = signers(&known, &seen, args.certificates.as_deref())?;
    let entries = entries(&seen, &signers, reader.place.as_ref());
    print(imported::page(&signers, &entries).as_bytes())?;
    Ok(ExitCode::Good)
}

async fn signer(name: &str, source: &str, context: &Context) -> Result<Known, Failed> {
    let key = single::public_key(source, context).await?;
    let name = name
        .parse()
        .map_err(|error| Failed::usage(format!("`{name}` cannot name a signer")).because(&error))?;
    Ok(Known { name, source: source.to_owned(), key, retired: false })
}

struct Reader<'a> {
    store: &'a dyn ReadStore,
    signers: &'a [Known],
    /// Where signatures are, when not beside the image.
    place: Option<Repository>,
    now: Timestamp,
}

impl Reader<'_> {
    async fn repository(&self, repository: &Repository) -> Result<Vec<Seen>, Failure> {
        let tags = self.store.tags(repository).await.map_err(|error| failure_of(&error))?;
        let mut all = Vec::new();
        for tag in tags.iter().filter(|it| !it.is_of_digest()) {
            let locator = Locator::Tag(tag.clone());
            let fetched = self.store.manifest(repository, &locator).await;
            let descriptor = fetched.map_err(|error| failure_of(&error))?.descriptor;
            let (found, strangers) = self.signatures(repository, &descriptor.digest).await?;
            let recursive = media_type::is_index(&descriptor.media_type)
                && self.is_recursive(repository, &descriptor.digest, &found).await?;
            let (repository, tag, digest) = (repository.clone(), tag.clone(), descriptor.digest);
            all.push(Seen { repository, tag, digest, found, strangers, recursive });
        }
        Ok(all)
    }

    /// The signatures of known signers on one digest, and how many others there are.
    async fn signatures(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(Vec<Found>, usize), Failure> {
        let image = ImageRef { repository: repository.clone(), tag: None, digest: None };
        let target = single::bare(&image, digest.clone(), self.place.clone());
        let (mut found, mut strangers) = (Vec::new(), 0);
        for signature in stored(&target, self.store).await.all()? {
            match self.known(&signature, digest) {
                Some(known) => found.push(known),
                None => strangers += 1,
            }
        }
        Ok((found, strangers))
    }

    fn known(&self, stored: &Stored, digest: &Digest) -> Option<Found> {
        let claim = stored.claim().filter(|it| it.digest == *digest && it.other.is_empty())?;
        let signature = stored.signature()?;
        let (signer, hash) = self.signers.iter().find_map(|it| {
            let hash = it.key.verifying_hash(stored.signed(), signature, Hash::default())?;
            Some((it, hash))
        })?;
        let certificate = stored.certificate().cloned();
        let is_valid = certificate.as_ref().is_none_or(|it| it.check_valid(self.now).is_ok());
        Some(Found {
            signer: signer.name.clone(),
            format: stored.format(),
            hash,
            identity: claim.identity.clone(),
            annotations: claim.annotations.clone(),
            chain: stored.chain().cloned(),
            counts: is_valid && stored.presented().passed_over.is_none() && !signer.retired,
            certificate,
        })
    }

    /// Says whether every image below an index carries what the index carries.
    async fn is_recursive(
        &self,
        repository: &Repository,
        index: &Digest,
        root: &[Found],
    ) -> Result<bool, Failure> {
        let said = said(root);
        if said.is_empty() {
            return Ok(false);
        }
        let (mut pending, mut seen) = (vec![(index.clone(), 0)], BTreeSet::new());
        while let Some((digest, depth)) = pending.pop() {
            if depth > MAX_DEPTH || !seen.insert(digest.clone()) {
                continue;
            }
            if depth > 0 {
                let (found, _) = self.signatures(repository, &digest).await?;
                if !said.is_subset(&self::said(&found)) {
                    return Ok(false);
                }
            }
            let fetched = self.store.manifest(repository, &Locator::Digest(digest)).await;
            let fetched = fetched.map_err(|error| failure_of(&error))?;
            if media_type::is_index(&fetched.descriptor.media_type)
                && let Ok(index) = Index::parse(&fetched.bytes)
            {
                pending.extend(index.manifests.into_iter().map(|it| (it.digest, depth + 1)));
            }
        }
        Ok(true)
    }
}

fn said(found: &[Found]) -> BTreeSet<Said<'_>> {
    let counted = found.iter().filter(|it| it.counts);
    counted
        .map(|it| (it.format, it.identity.as_str(), &it.annotations, &it.signer, it.hash))
        .collect()
}

/// The signers that have signed something, with what all their signatures have in common.
fn signers(known: &[Known], seen: &[Seen], folder: Option<&Path>) -> Result<Vec<Signer>, Failed> {
    let mut signers = Vec::new();
    for signer in known {
        let own = || {
            let found = seen.iter().flat_map(|it| &it.found);
            found.filter(|it| it.signer == signer.name)
        };
        if own().next().is_none() {
            continue;
        }
        let mut hashes: BTreeMap<Hash, usize> = BTreeMap::new();
        for found in own() {
            *hashes.entry(found.hash).or_default() += 1;
        }
        // Of several the one that most have, and of these the first.
        let most = hashes.iter().max_by_key(|(hash, count)| (**count, std::cmp::Reverse(**hash)));
        let hash = most.map(|(hash, _)| *hash).unwrap_or_default();
        let certificate = certificate(own().filter(|it| it.counts && it.hash == hash));
        let files = match (&certificate, folder) {
            (Some((certificate, chain)), Some(folder)) => {
                Some(write(folder, signer, certificate, chain.as_ref())?)
            }
            _ => None,
        };
        signers.push(Signer {
            name: signer.name.clone(),
            public_key: signer.source.clone(),
            hash,
            several_hashes: hashes.len() > 1,
            retired: signer.retired,
            certified: own().any(|it| it.certificate.is_some()),
            files,
        });
    }
    Ok(signers)
}

/// The certificate and the chain that all of them carry; none where one has none or another.
fn certificate<'a>(
    mut found: impl Iterator<Item = &'a Found>,
) -> Option<(Certificate, Option<Chain>)> {
    let first = found.next()?;
    let mut common = (first.certificate.clone()?, first.chain.clone());
    for found in found {
        if found.certificate.as_ref() != Some(&common.0) {
            return None;
        }
        match (found.format, &common.1) {
            // A bundle has no chain: that of the others counts.
            (Format::Bundle, _) => {}
            (_, None) => common.1.clone_from(&found.chain),
            (_, Some(chain)) if found.chain.as_ref() == Some(chain) => {}
            (_, Some(_)) => return None,
        }
    }
    Some(common)
}

/// Writes certificate and chain; their paths, as the spec names them.
fn write(
    folder: &Path,
    signer: &Known,
    certificate: &Certificate,
    chain: Option<&Chain>,
) -> Result<(String, Option<String>), Failed> {
    fs::create_dir_all(folder).map_err(|it| Failed::file("make the folder", folder, &it))?;
    let put = |suffix: &str, pem: String| {
        let path = folder.join(format!("{}{suffix}", signer.name));
        single::write(&path, pem.as_bytes()).map(|()| path.display().to_string())
    };
    let own = put(".pem", certificate.to_pem())?;
    let chain = chain.map(|it| put(".chain.pem", it.to_pem())).transpose()?;
    Ok((own, chain))
}

/// The entries: one for each thing that is said, its signers and formats joined.
fn entries(seen: &[Seen], signers: &[Signer], place: Option<&Repository>) -> Vec<Entry> {
    let hashes: BTreeMap<&SignerName, Hash> =
        signers.iter().map(|it| (&it.name, it.hash)).collect();
    let (mut entries, mut written) = (Vec::new(), BTreeSet::new());
    for image in seen {
        let mut said: BTreeMap<(Format, &str, &Annotations), BTreeSet<&SignerName>> =
            BTreeMap::new();
        let counted = |it: &&Found| it.counts && hashes.get(&it.signer) == Some(&it.hash);
        for found in image.found.iter().filter(counted) {
            let key = (found.format, found.identity.as_str(), &found.annotations);
            said.entry(key).or_default().insert(&found.signer);
        }
        let passed = image.found.iter().filter(|it| !counted(it)).count();
        let mut rows: Vec<Entry> = Vec::new();
        for ((format, identity, annotations), signers) in said {
            let same = rows.iter_mut().find(|it| {
                format == Format::Bundle
                    && it.annotations == *annotations
                    && it.signers.iter().eq(signers.iter().copied())
            });
            if let Some(row) = same {
                row.formats.push(format);
                continue;
            }
            rows.push(Entry {
                repository: image.repository.clone(),
                reference: String::new(),
                signers: signers.into_iter().cloned().collect(),
                formats: vec![format],
                identity: (format == Format::SimpleSigning).then(|| identity.to_owned()),
                annotations: annotations.clone(),
                recursive: image.recursive,
                signature_repository: place.cloned(),
                comments: Vec::new(),
            });
        }
        let name = format!("{}:{}", image.repository, image.tag);
        let mut comments = Vec::new();
        if rows.is_empty() {
            comments.push(format!("{name} has no signature of these keys that counts."));
        }
        let count = super::problems::count;
        if image.strangers > 0 {
            let number = count(image.strangers, "signature");
            comments.push(format!("{name} has {number} of other keys, too."));
        }
        if passed > 0 {
            let number = count(passed, "signature");
            comments.push(format!("{name} has {number} that a spec need not want: retired, over another hash, or with a certificate that is over."));
        }
        if rows.is_empty() {
            entries.push(Entry::comment(&image.repository, comments));
            continue;
        }
        for (number, mut row) in rows.into_iter().enumerate() {
            // The first entry follows the tag; the others are about the same digest.
            row.reference = match number {
                0 => name.clone(),
                _ => format!("{}@{}", image.repository, image.digest),
            };
            if number == 0 {
                row.comments = std::mem::take(&mut comments);
            }
            // Another tag of the same digest has said it already.
            if number == 0 || written.insert(row.to_string()) {
                entries.push(row);
            }
        }
    }
    entries
}
