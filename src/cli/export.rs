//! `countersign export DIR`: the payloads that signers elsewhere still owe, with scripts that sign them; and the
//! way back, `--attachments DIR`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign::crypto::{PublicKey, SignatureBytes};
use countersign::exit_code::ExitCode;
use countersign::model::{Digest, SignerName};
use countersign::observe::Given;
use countersign::payload::{
    Claim, Format, MadeBundle, NewBundle, Statement, statement_in, statement_signed_bytes,
};
use countersign::plan::{Ability, Attachment, Change, Plan, Want};
use countersign::store::Intent;
use serde_json::{Value, json};

use super::args::ExportArgs;
use super::context::{Context, Session};
use super::error::Failed;
use super::problems::count;

/// The scripts, by name.
const SCRIPTS: [(&str, &str); 3] = [
    ("sign-with-openssl.sh", include_str!("export/openssl.sh")),
    ("sign-with-gcloud-kms.sh", include_str!("export/gcloud.sh")),
    ("sign-with-aws-kms.sh", include_str!("export/aws.sh")),
];

/// No payload and no signature is longer.
const LONGEST: u64 = 1 << 20;

/// Writes every payload that is owed.
pub(crate) async fn run(args: &ExportArgs, context: &Context) -> Result<ExitCode, Failed> {
    let spec = context.load(&args.spec)?;
    let mut session = context.session(spec, &args.look, Intent::Read)?;
    give(&args.look.attachments, &mut session, context).await?;
    let (plan, signers) = context.plan(&session).await?;
    let folder = &args.folder;
    let mut index: BTreeMap<(SignerName, Digest), Value> = BTreeMap::new();
    for (subject, want) in owed(&plan) {
        let payload = want.payload_bytes(&subject.digest);
        // What is signed of a bundle is its statement in an envelope's encoding.
        let (payload, extension) = match want.format {
            Format::Bundle => (statement_signed_bytes(&payload), "pae"),
            _ => (payload, "json"),
        };
        let (signer, digest) = (want.signer.clone(), Digest::of(&payload));
        let name = format!("{signer}/{}", digest.hex());
        let path = folder.join(format!("{name}.{extension}"));
        make_folder(path.parent().unwrap_or(folder))?;
        fs::write(&path, &payload).map_err(|error| Failed::file("write", &path, &error))?;
        let key = signers.get(&signer).and_then(|it| it.fingerprint());
        let entry = json!({
            "signer": signer,
            "public_key": key,
            "image": subject.to_string(),
            "hash": signers.get(&signer).map(|it| it.profile.hash.name()),
            "format": want.format,
            "payload": format!("{name}.{extension}"),
            "payload_digest": digest,
            "signature": format!("{name}.sig"),
        });
        index.insert((signer, digest), entry);
    }
    make_folder(folder)?;
    let entries: Vec<Value> = index.into_values().collect();
    let page = json!({ "format_version": "1.0", "owed": entries });
    let path = folder.join("index.json");
    fs::write(&path, format!("{page:#}\n")).map_err(|it| Failed::file("write", &path, &it))?;
    for (name, content) in SCRIPTS {
        let path = folder.join(name);
        fs::write(&path, content).map_err(|it| Failed::file("write", &path, &it))?;
    }
    let number = count(entries.len(), "payload");
    context.terminal.say(&format!("{number} to be signed, in {}", folder.display()));
    if !entries.is_empty() {
        let text = format!(
            "sign them with a script there, as in: sh {0}/sign-with-openssl.sh SIGNER KEY.pem; then: {1} apply --attachments {0}",
            folder.display(),
            context.program
        );
        context.terminal.say(&text);
    }
    let others = plan.failures().filter(|it| it.code != "signature::owed");
    super::single::end(others, ExitCode::Error, context)
}

fn owed(plan: &Plan) -> impl Iterator<Item = (&countersign::model::Subject, &Want)> {
    plan.targets.iter().flat_map(|target| {
        target.changes.iter().filter_map(|change| match change {
            Change::Blocked { want: Some(want), reason } if reason.code == "signature::owed" => {
                Some((&target.target.subject, want))
            }
            _ => None,
        })
    })
}

fn make_folder(path: &Path) -> Result<(), Failed> {
    fs::create_dir_all(path).map_err(|error| Failed::file("make the folder", path, &error))
}

/// Gives a session the signatures that are in the folders: each is told by its content, never by its name.
///
/// A name only says what is tried first.
pub(crate) async fn give(
    folders: &[PathBuf],
    session: &mut Session,
    context: &Context,
) -> Result<(), Failed> {
    if folders.is_empty() {
        return Ok(());
    }
    let mut keys: Vec<(SignerName, PublicKey)> = Vec::new();
    for (name, profile) in &session.desired.signers {
        if profile.ability == Ability::VerifyOnly {
            let key = session.observer.keyring.public_key(name).await;
            keys.extend(key.ok().map(|key| (name.clone(), key)));
        }
    }
    let (mut payloads, mut bundles, mut signatures) = (Vec::new(), Vec::new(), Vec::new());
    for folder in folders {
        for path in files(folder)? {
            let content = fs::read(&path).map_err(|error| Failed::file("read", &path, &error))?;
            if let Some(says) = Says::of(&content) {
                payloads.push(Payload { path, content, says });
            } else if let Ok(made) = MadeBundle::read(&content) {
                bundles.push((path, made));
            } else {
                signatures.push((path, content));
            }
        }
    }
    let mut given = Given::default();
    let mut unknown = 0_usize;
    for (path, made) in bundles {
        match whose(&made.signed_bytes(), &made.signature, &keys, session) {
            Some((name, _)) => {
                let origin = super::single::sign::origin();
                given.add(Arc::new(Attachment::of_bundle(origin, name.clone(), path, made)));
            }
            None => unknown += 1,
        }
    }
    for (path, content) in &signatures {
        match found(path, content, &payloads, &keys, session) {
            Some(attachment) => given.add(Arc::new(attachment)),
            None if path.extension().is_some_and(|it| it == "sig") => unknown += 1,
            None => {}
        }
    }
    let number = count(given.len(), "signature");
    context.terminal.say(&format!("{number} made elsewhere found in {}", shown(folders)));
    if unknown > 0 {
        let number = count(unknown, "signature");
        let text =
            format!("{number} there verified over no payload there under any key of the spec");
        return Err(Failed::new(ExitCode::Error, "attachment::does_not_verify", text).help(
            "remove it, or check that the key that signed is the `public_key` of the signer",
        ));
    }
    session.observer.options.given = given;
    Ok(())
}

/// A file that says something about an image: what is signed.
struct Payload {
    path: PathBuf,
    content: Vec<u8>,
    says: Says,
}

/// What a file says about an image.
enum Says {
    /// As simple signing does.
    Claim(Claim),
    /// As a bundle does: the statement in it.
    Statement(Vec<u8>),
}

impl Says {
    fn of(content: &[u8]) -> Option<Self> {
        if let Ok(claim) = Claim::parse(content) {
            return Some(Self::Claim(claim));
        }
        let statement = statement_in(content)?;
        Statement::parse(statement)?.first_claim()?;
        Some(Self::Statement(statement.to_vec()))
    }
}

/// Under whose key a signature over `signed` is good.
fn whose<'a>(
    signed: &[u8],
    signature: &SignatureBytes,
    keys: &'a [(SignerName, PublicKey)],
    session: &Session,
) -> Option<&'a (SignerName, PublicKey)> {
    keys.iter().find(|(name, key)| {
        let hash = session.desired.signers.get(name).map(|it| it.hash).unwrap_or_default();
        key.verifies(signed, signature, hash)
    })
}

/// Whose signature it is, and over what.
fn found(
    path: &Path,
    content: &[u8],
    payloads: &[Payload],
    keys: &[(SignerName, PublicKey)],
    session: &Session,
) -> Option<Attachment> {
    let encoded = std::str::from_utf8(content).ok();
    let signature = encoded
        .and_then(|text| SignatureBytes::from_base64(text).ok())
        .unwrap_or_else(|| SignatureBytes::new(content.to_vec()));
    let beside = |it: &&Payload| it.path.with_extension("") == path.with_extension("");
    let first = payloads.iter().filter(beside);
    let others = payloads.iter().filter(|it| !beside(it));
    first.chain(others).find_map(|payload| {
        let (name, key) = whose(&payload.content, &signature, keys, session)?;
        let (name, path) = (name.clone(), path.to_owned());
        match &payload.says {
            Says::Claim(claim) => {
                let (claim, content) = (claim.clone(), payload.content.clone());
                let signature = signature.clone();
                Some(super::single::sign::attachment(name, path, content, claim, signature))
            }
            Says::Statement(statement) => {
                let profile = session.desired.signers.get(&name);
                let certificate = profile.and_then(|it| it.certificate.as_ref());
                let bundle = NewBundle {
                    key,
                    certificate,
                    statement,
                    signature: &signature,
                    log_entries: &[],
                    timestamps: &[],
                };
                let made = MadeBundle::read(&bundle.to_bytes()).ok()?;
                Some(Attachment::of_bundle(super::single::sign::origin(), name, path, made))
            }
        }
    })
}

/// Every file below `folder` that can be a payload or a signature, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failed> {
    let failed = |error: std::io::Error| Failed::file("read the folder", folder, &error);
    let (mut found, mut pending) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(&next).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                pending.push(entry.path());
            } else if kind.is_file() && entry.metadata().map_err(failed)?.len() <= LONGEST {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn shown(folders: &[PathBuf]) -> String {
    let shown: Vec<String> = folders.iter().map(|it| it.display().to_string()).collect();
    shown.join(", ")
}
