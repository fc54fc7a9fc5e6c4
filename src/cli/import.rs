//! `countersign import REPOSITORY…`: what is there now, as a spec on which `plan` has nothing to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use countersign::crypto::{Hash, PublicKey};
use countersign::exit_code::ExitCode;
use countersign::model::{Annotations, ImageRef, Repository, SignerName, Tag};
use countersign::observe::{failure_of, stored};
use countersign::store::{Intent, ReadStore};

use super::args::ImportArgs;
use super::context::Context;
use super::error::Failed;
use super::single::{self, failed};
use super::terminal::print;

/// One signer of the spec to be.
struct Known {
    name: SignerName,
    path: String,
    key: PublicKey,
}

/// What the signatures of an image say besides who signed: one entry for each.
type Said = (String, Annotations);

/// Prints a spec.
pub(crate) async fn run(args: &ImportArgs, context: &Context) -> Result<ExitCode, Failed> {
    let mut signers: Vec<Known> = Vec::new();
    for (name, key) in &args.key {
        signers.push(known(name, key, context).await?);
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
    let (mut entries, mut used) = (String::new(), BTreeSet::new());
    for repository in &repositories {
        let work = import(repository, &signers, &*session.store, &mut used);
        entries += &context.unless_interrupted(work).await??;
    }
    let mut page = "version = 1\n".to_owned();
    for signer in signers.iter().filter(|it| used.contains(&it.name)) {
        // Writing to a string does not fail.
        let _ = write!(
            page,
            "\n[signers.{}]\npublic_key = {}\n# With a `key` here, countersign signs what is missing.\n",
            quoted_key(signer.name.as_str()),
            quoted(&signer.path)
        );
    }
    page += &entries;
    print(page.as_bytes())?;
    Ok(ExitCode::Good)
}

async fn known(name: &str, path: &str, context: &Context) -> Result<Known, Failed> {
    let key = single::public_key(path, context).await?;
    let name = name
        .parse()
        .map_err(|error| Failed::usage(format!("`{name}` cannot name a signer")).because(&error))?;
    Ok(Known { name, path: path.to_owned(), key })
}

/// The entries of one repository.
async fn import(
    repository: &Repository,
    signers: &[Known],
    store: &dyn ReadStore,
    used: &mut BTreeSet<SignerName>,
) -> Result<String, Failed> {
    let tags = store.tags(repository).await.map_err(|error| failed(&failure_of(&error)))?;
    let mut page = String::new();
    for tag in tags.iter().filter(|it| !it.is_of_digest()) {
        let image =
            ImageRef { repository: repository.clone(), tag: Some(tag.clone()), digest: None };
        let digest = single::digest_of(&image, store).await?;
        let target = single::bare(&image, digest.clone(), None);
        let mut found: BTreeMap<Said, BTreeSet<SignerName>> = BTreeMap::new();
        let mut strangers = 0_usize;
        for signature in stored(&target, store).await.all().map_err(|it| failed(&it))? {
            let claim = signature.claim().cloned();
            let claim = claim.filter(|it| it.digest == digest && it.other.is_empty());
            let whose = signature.signature().and_then(|bytes| {
                signers
                    .iter()
                    .find(|it| it.key.verifies(signature.signed(), bytes, Hash::default()))
            });
            match (whose, claim) {
                (Some(signer), Some(claim)) => {
                    let said = (claim.identity, claim.annotations);
                    found.entry(said).or_default().insert(signer.name.clone());
                }
                _ => strangers += 1,
            }
        }
        used.extend(found.values().flatten().cloned());
        write_image(&mut page, repository, tag, &digest, &found, strangers);
    }
    Ok(page)
}

fn write_image(
    page: &mut String,
    repository: &Repository,
    tag: &Tag,
    digest: &countersign::model::Digest,
    found: &BTreeMap<Said, BTreeSet<SignerName>>,
    strangers: usize,
) {
    // Writing to a string does not fail.
    if found.is_empty() {
        let _ = writeln!(page, "\n# {repository}:{tag} has no signature of these keys.");
    }
    if strangers > 0 {
        let number = super::problems::count(strangers, "signature");
        let _ = writeln!(page, "\n# {repository}:{tag} has {number} of other keys, too.");
    }
    for (number, ((identity, annotations), signers)) in found.iter().enumerate() {
        let signers: Vec<String> = signers.iter().map(|it| quoted(it.as_str())).collect();
        // The first entry follows the tag; the others are about the same digest.
        let reference = match number {
            0 => format!("{repository}:{tag}"),
            _ => format!("{repository}@{digest}"),
        };
        // Another tag of the same digest has said it already.
        if page.contains(&format!("reference = {}\n", quoted(&reference))) && number > 0 {
            continue;
        }
        let _ = write!(
            page,
            "\n[[images]]\nreference = {}\nsign_with = [{}]\n",
            quoted(&reference),
            signers.join(", ")
        );
        if *identity != repository.to_string() {
            let _ = writeln!(page, "container_identity = {}", quoted(identity));
        }
        if !annotations.is_empty() {
            let pairs = annotations.iter();
            let pairs: Vec<String> = pairs
                .map(|(key, value)| format!("{} = {}", quoted_key(key), quoted(value)))
                .collect();
            let _ = writeln!(page, "annotations = {{ {} }}", pairs.join(", "));
        }
    }
}

/// A string of TOML that no variable is filled into.
fn quoted(text: &str) -> String {
    toml::Value::String(text.replace("${", "$${")).to_string()
}

fn quoted_key(text: &str) -> String {
    let bare = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_');
    if !text.is_empty() && text.chars().all(bare) {
        text.to_owned()
    } else {
        toml::Value::String(text.to_owned()).to_string()
    }
}
