//! The files that `sign` writes: what is in the registry now.

use std::path::{Path, PathBuf};

use countersign::crypto::{Certificate, Hash, PublicKey, SignatureBytes};
use countersign::model::Digest;
use countersign::observe::{Stored, StoredAt, stored};
use countersign::plan::{Signers, Target};
use countersign::report::Report;

use super::args::SignArgs;
use super::{Context, Failed, Session, failed, signer_name};

/// What there is to write of one signature.
pub(crate) struct Files<'a> {
    /// In base64.
    pub(crate) signature: &'a str,
    /// What is signed.
    pub(crate) payload: &'a [u8],
    /// The certificate, or the public key where there is none, in PEM.
    pub(crate) certificate: &'a str,
    /// The sigstore bundle; empty where there is none.
    pub(crate) bundle: &'a [u8],
}

/// Writes what is in the registry now into the files that were asked for.
pub(crate) async fn write_stored(
    args: &SignArgs,
    report: &Report,
    signers: &Signers,
    session: &Session,
    context: &Context,
) -> Result<(), Failed> {
    let asked =
        [&args.output_signature, &args.output_payload, &args.output_certificate, &args.bundle];
    if asked.iter().all(|it| it.is_none()) {
        return Ok(());
    }
    let state = signers.get(&signer_name()?);
    let key = state.and_then(|it| it.public_key());
    let declared = state.and_then(|it| it.profile.certificate.as_ref());
    for target in report.targets.iter().filter(|it| it.is_converged()) {
        let found = stored(&target.target, &*session.store).await;
        let found = found.all().map_err(|it| failed(&it))?;
        let Some(last) = newest(&found, &target.target, key) else { continue };
        let signature = last.signature().map(SignatureBytes::to_base64).unwrap_or_default();
        let certificate = declared.or(last.certificate()).map(Certificate::to_pem);
        let certificate = certificate.or_else(|| key.map(PublicKey::to_pem)).unwrap_or_default();
        let files = Files {
            signature: &signature,
            payload: &last.payload,
            certificate: &certificate,
            bundle: match &last.place {
                StoredAt::Bundle { text, .. } => text,
                StoredAt::Layer(_) => &[],
            },
        };
        let digest = &target.target.subject.digest;
        write_files(args, digest, report.targets.len(), files, context)?;
    }
    Ok(())
}

/// The last signature that is as wanted: by the key, or without one by that of the certificate beside it.
///
/// A registry may list bundles in any order: of those the one whose certificate began last.
fn newest<'a>(found: &'a [Stored], target: &Target, key: Option<&PublicKey>) -> Option<&'a Stored> {
    let own = |it: &&Stored| {
        let payload = Digest::of(&it.payload);
        let wanted =
            |want: &countersign::plan::Want| want.payload == payload && want.format == it.format();
        let key = key.or_else(|| it.certificate().map(Certificate::public_key));
        let good = it
            .signature()
            .zip(key)
            .is_some_and(|(signature, key)| key.verifies(it.signed(), signature, Hash::default()));
        target.wants.iter().any(wanted) && good
    };
    let begins = |it: &&Stored| it.certificate().map(Certificate::not_before);
    found.iter().filter(own).max_by_key(begins)
}

/// Writes files; with the digest in their names where there are several images.
pub(crate) fn write_files(
    args: &SignArgs,
    digest: &Digest,
    count: usize,
    files: Files<'_>,
    context: &Context,
) -> Result<(), Failed> {
    let path = |path: &Path| -> PathBuf {
        if count < 2 {
            return path.to_owned();
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!("-{}", digest.to_string().replace(':', "-")));
        name.into()
    };
    let files = [
        (&args.output_signature, files.signature.as_bytes(), "Signature"),
        (&args.output_payload, files.payload, "Payload"),
        (&args.output_certificate, files.certificate.as_bytes(), "Certificate"),
        (&args.bundle, files.bundle, "Bundle"),
    ];
    for (asked, content, what) in files {
        if let Some(asked) = asked {
            let path = path(asked);
            super::write(&path, content)?;
            context.terminal.say(&format!("{what} wrote in the file {}", path.display()));
        }
    }
    Ok(())
}
