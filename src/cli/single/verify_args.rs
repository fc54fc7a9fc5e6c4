//! What can be said to `verify IMAGE`: cosign's flags.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use countersign::crypto::Hash;

use super::args::{RegistryArgs, switch};

switch!(
    /// Does not ask for an entry in the transparency log
    IgnoreTlog,
    "insecure-ignore-tlog",
    false
);
switch!(
    /// Does not ask for the promise that the certificate is in a log of certificates
    IgnoreSct,
    "insecure-ignore-sct",
    false
);
switch!(
    /// Asks for a timestamp, and believes its time
    UseSignedTimestamps,
    "use-signed-timestamps",
    false
);
switch!(
    /// Entries are always verified offline, with the proofs that they carry
    Offline,
    "offline",
    true
);
switch!(
    /// Whether the payload must name this digest and these annotations
    CheckClaims,
    "check-claims",
    true
);

/// `verify IMAGE`: cosign's form.
#[derive(Args, Debug)]
pub(crate) struct VerifyImageArgs {
    /// Verifies these images as cosign does, with --key or an identity, instead of a spec
    pub(crate) image: Vec<String>,
    /// The public key: a file, env://NAME, or where a service keeps it
    #[arg(long, value_name = "KEY", requires = "image", help_heading = "Images")]
    pub(crate) key: Option<String>,
    /// Annotations that the payload must have; with commas, or repeated
    #[arg(short, long, value_name = "KEY=VALUE,…", requires = "image", help_heading = "Images")]
    pub(crate) annotations: Vec<String>,
    #[command(flatten)]
    pub(crate) check_claims: CheckClaims,
    #[command(flatten)]
    pub(crate) ignore_tlog: IgnoreTlog,
    /// How the payloads are written
    #[arg(short, long, value_enum, default_value_t, help_heading = "Images")]
    pub(crate) output: VerifyOutput,
    /// The hash that signatures are made over
    #[arg(long, value_enum, default_value_t, value_name = "HASH", help_heading = "Images")]
    pub(crate) signature_digest_algorithm: DigestAlgorithm,
    /// Verifies this signature instead of those of the image: a file, or the text itself
    #[arg(long, value_name = "FILE|TEXT", requires = "image", help_heading = "Images")]
    pub(crate) signature: Option<String>,
    /// What --signature is over; without it, what `generate` prints
    #[arg(long, value_name = "FILE", requires = "signature", help_heading = "Images")]
    pub(crate) payload: Option<PathBuf>,
    /// IMAGE is the folder of a layout that holds one image, as `cosign save` writes it
    #[arg(long, requires = "image", help_heading = "Images")]
    pub(crate) local_image: bool,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// Whom to believe for logs, timestamps and identities.
#[derive(Args, Debug)]
#[group(skip)]
pub(crate) struct TrustArgs {
    /// Whom to believe: what `cosign trusted-root create` writes; else the public instance
    #[arg(long, value_name = "FILE", requires = "image", help_heading = "Trust")]
    pub(crate) trusted_root: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) use_signed_timestamps: UseSignedTimestamps,
    /// Asks for a timestamp of this authority: its certificates in PEM, the root last
    #[arg(long, value_name = "FILE", requires = "image", help_heading = "Trust")]
    pub(crate) timestamp_certificate_chain: Option<PathBuf>,
    /// Taken from cosign's command lines: no log is asked, its key is in the trusted root
    #[arg(long, value_name = "URL", requires = "image", help_heading = "Trust")]
    pub(crate) rekor_url: Option<String>,
    #[command(flatten)]
    pub(crate) offline: Offline,
}

/// Whose certificate it must be, and who may certify.
#[derive(Args, Debug)]
#[group(skip)]
pub(crate) struct IdentityArgs {
    /// Whom the certificate must name
    #[arg(long, value_name = "TEXT", requires = "image", help_heading = "Certificates")]
    pub(crate) certificate_identity: Option<String>,
    /// The same as a regular expression, found anywhere in it
    #[arg(long, value_name = "REGEXP", requires = "image", help_heading = "Certificates")]
    pub(crate) certificate_identity_regexp: Option<String>,
    /// Who must have said so
    #[arg(long, value_name = "URL", requires = "image", help_heading = "Certificates")]
    pub(crate) certificate_oidc_issuer: Option<String>,
    /// The same as a regular expression; `.*` where certificates have no issuer
    #[arg(long, value_name = "REGEXP", requires = "image", help_heading = "Certificates")]
    pub(crate) certificate_oidc_issuer_regexp: Option<String>,
    /// What GitHub's workflow must have been started by
    #[arg(long, value_name = "EVENT", requires = "image", help_heading = "Certificates")]
    pub(crate) certificate_github_workflow_trigger: Option<String>,
    /// The commit that it must have run on
    #[arg(long, value_name = "SHA", requires = "image", help_heading = "Certificates")]
    pub(crate) certificate_github_workflow_sha: Option<String>,
    /// Its name
    #[arg(long, value_name = "NAME", requires = "image", help_heading = "Certificates")]
    pub(crate) certificate_github_workflow_name: Option<String>,
    /// Its repository
    #[arg(long, value_name = "NAME", requires = "image", help_heading = "Certificates")]
    pub(crate) certificate_github_workflow_repository: Option<String>,
    /// Its branch or tag
    #[arg(long, value_name = "REF", requires = "image", help_heading = "Certificates")]
    pub(crate) certificate_github_workflow_ref: Option<String>,
    /// The certificate that signed, in PEM, where it is not beside the signature
    #[arg(long, value_name = "FILE", requires = "image", help_heading = "Certificates")]
    pub(crate) certificate: Option<PathBuf>,
    /// The certificates above it, in PEM, the root last
    #[arg(
        long,
        value_name = "FILE",
        requires = "image",
        conflicts_with_all = ["ca_roots", "ca_intermediates"],
        help_heading = "Certificates"
    )]
    pub(crate) certificate_chain: Option<PathBuf>,
    /// Authorities that are trusted, in PEM
    #[arg(long, value_name = "FILE", requires = "image", help_heading = "Certificates")]
    pub(crate) ca_roots: Option<PathBuf>,
    /// Certificates that may stand between them and the one that signed, in PEM
    #[arg(long, value_name = "FILE", requires = "ca_roots", help_heading = "Certificates")]
    pub(crate) ca_intermediates: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) ignore_sct: IgnoreSct,
}

/// How verified payloads are written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum VerifyOutput {
    /// One array
    #[default]
    Json,
    /// One payload a line
    Text,
}

/// A hash, by cosign's names.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum DigestAlgorithm {
    /// SHA-256
    #[default]
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

impl DigestAlgorithm {
    pub(crate) fn hash(self) -> Hash {
        match self {
            Self::Sha256 => Hash::Sha256,
            Self::Sha384 => Hash::Sha384,
            Self::Sha512 => Hash::Sha512,
        }
    }
}
