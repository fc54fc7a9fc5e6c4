//! What can be said to the commands for one image: cosign's names and habits.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand, ValueEnum};
use countersign::model::Secret;

use super::IdentityArgs;
use super::keyless::{NewBundleFormat, ServiceArgs};

/// How to reach the registry.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RegistryArgs {
    /// Does not check the registry's certificate
    #[arg(long, help_heading = "Registry")]
    pub(crate) allow_insecure_registry: bool,
    /// Speaks HTTP with the registry; with loopback it does so anyway
    #[arg(long, help_heading = "Registry")]
    pub(crate) allow_http_registry: bool,
    /// Authorities to trust besides the machine's, in PEM
    #[arg(long, value_name = "FILE", help_heading = "Registry")]
    pub(crate) registry_cacert: Option<PathBuf>,
    /// The client certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "registry_client_key", help_heading = "Registry")]
    pub(crate) registry_client_cert: Option<PathBuf>,
    /// The key of the client certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "registry_client_cert", help_heading = "Registry")]
    pub(crate) registry_client_key: Option<PathBuf>,
    /// The user; better is `docker login`
    #[arg(long, value_name = "USER", requires = "registry_password", help_heading = "Registry")]
    pub(crate) registry_username: Option<String>,
    /// The password: everybody on this machine sees it in the list of processes
    #[arg(
        long,
        value_name = "TEXT",
        value_parser = secret,
        requires = "registry_username",
        help_heading = "Registry"
    )]
    pub(crate) registry_password: Option<Secret<String>>,
    /// A bearer token, as it is sent to the registry: everybody on this machine sees it in the list of processes
    #[arg(
        long,
        value_name = "TOKEN",
        value_parser = secret,
        conflicts_with = "registry_username",
        help_heading = "Registry"
    )]
    pub(crate) registry_token: Option<Secret<String>>,
    /// The name in the registry's certificate, where it is not that of the host
    #[arg(long, value_name = "NAME", help_heading = "Registry")]
    pub(crate) registry_server_name: Option<String>,
    /// Not here: credentials of clouds come from credential helpers in Docker's configuration
    #[arg(long, hide = true, help_heading = "Registry")]
    pub(crate) k8s_keychain: bool,
    /// Not here: signatures are kept apart with COSIGN_REPOSITORY
    #[arg(long, hide = true, value_name = "PREFIX", help_heading = "Registry")]
    pub(crate) attachment_tag_prefix: Option<String>,
}

/// What is never shown again.
fn secret(text: &str) -> Result<Secret<String>, std::convert::Infallible> {
    Ok(Secret::new(text.to_owned()))
}

/// `--flag`, `--flag=true` and `--flag=false`, as in cosign.
macro_rules! switch {
    ($(#[$doc:meta])* $name:ident, $long:literal, $default:literal) => {
        $(#[$doc])*
        #[derive(Args, Clone, Copy, Debug)]
        pub(crate) struct $name {
            $(#[$doc])*
            #[arg(
                id = $long,
                long = $long,
                action = ArgAction::Set,
                value_name = "BOOL",
                num_args = 0..=1,
                require_equals = true,
                default_value_t = $default,
                default_missing_value = "true",
            )]
            pub(crate) on: bool,
        }
    };
}
pub(super) use switch;

switch!(
    /// Whether the signature goes to the registry
    Upload,
    "upload",
    true
);
switch!(
    /// Whether it is published in the transparency log
    TlogUpload,
    "tlog-upload",
    true
);

#[derive(Args, Debug)]
pub(crate) struct SignArgs {
    /// The images: REPOSITORY:TAG, REPOSITORY@DIGEST or oci:PATH:TAG
    #[arg(required = true)]
    pub(crate) image: Vec<String>,
    /// The private key: a file in cosign's format, env://NAME, or where a service keeps it; without, an identity signs
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Annotations of the payload; with commas, or repeated
    #[arg(short, long, value_name = "KEY=VALUE,…")]
    pub(crate) annotations: Vec<String>,
    /// Signs this payload instead of a new one
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) payload: Option<PathBuf>,
    /// The certificate to attach, in PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) certificate: Option<PathBuf>,
    /// The certificates above it, in PEM, the root last
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) certificate_chain: Option<PathBuf>,
    /// What the payload names instead of the repository; with commas, or repeated: a signature for each
    #[arg(long, value_name = "NAME,…")]
    pub(crate) sign_container_identity: Vec<String>,
    /// An index and every image in it
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Signs once more, also where a signature is there
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Does not ask; nothing is asked where nothing is published
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) upload: Upload,
    #[command(flatten)]
    pub(crate) tlog_upload: TlogUpload,
    /// Writes the signature, in base64; of several images with the digest at its end
    #[arg(long, value_name = "FILE")]
    pub(crate) output_signature: Option<PathBuf>,
    /// Writes what is signed
    #[arg(long, value_name = "FILE")]
    pub(crate) output_payload: Option<PathBuf>,
    /// Writes the certificate, or the public key where there is none
    #[arg(long, value_name = "FILE")]
    pub(crate) output_certificate: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) new_bundle_format: NewBundleFormat,
    /// Writes the sigstore bundle; with --new-bundle-format
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) services: ServiceArgs,
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

#[derive(Args, Debug)]
pub(crate) struct GenerateArgs {
    /// The image
    pub(crate) image: String,
    /// Annotations of the payload; with commas, or repeated
    #[arg(short, long, value_name = "KEY=VALUE,…")]
    pub(crate) annotations: Vec<String>,
    /// What the payload names instead of the repository
    #[arg(long, value_name = "NAME")]
    pub(crate) sign_container_identity: Option<String>,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

#[derive(Args, Debug)]
pub(crate) struct AttachArgs {
    #[command(subcommand)]
    pub(crate) what: AttachWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AttachWhat {
    /// Attaches a signature that another tool made
    Signature(AttachSignatureArgs),
}

#[derive(Args, Debug)]
pub(crate) struct AttachSignatureArgs {
    /// The image
    pub(crate) image: String,
    /// The signature in base64: a file, the text itself, or `-` for standard input
    #[arg(long, value_name = "FILE|TEXT|-", default_value = "-")]
    pub(crate) signature: String,
    /// What was signed, or a sigstore bundle; without it, what `generate` prints
    #[arg(long, value_name = "FILE")]
    pub(crate) payload: Option<PathBuf>,
    /// The public key: then a signature that is not its own is refused
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// The certificate to attach, in PEM; a signature that is not of its key is refused
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    /// The certificates above it, in PEM, the root last
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) certificate_chain: Option<PathBuf>,
    /// A sigstore bundle, attached as a referrer, instead of payload and signature
    #[arg(long, value_name = "FILE", conflicts_with_all = ["payload", "signature", "certificate"])]
    pub(crate) bundle: Option<PathBuf>,
    /// The entry in the transparency log: what `cosign sign --bundle` wrote, or the annotation
    #[arg(long, value_name = "FILE")]
    pub(crate) rekor_response: Option<PathBuf>,
    /// The timestamp: the response of the authority, DER
    #[arg(long, value_name = "FILE")]
    pub(crate) tsr: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DownloadArgs {
    #[command(subcommand)]
    pub(crate) what: DownloadWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DownloadWhat {
    /// Prints every signature with its payload, one JSON object a line
    Signature(ImageArgs),
}

/// One image and its registry.
#[derive(Args, Debug)]
pub(crate) struct ImageArgs {
    /// The image
    pub(crate) image: String,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

#[derive(Args, Debug)]
pub(crate) struct TriangulateArgs {
    /// Of what
    #[arg(long = "type", value_enum, default_value_t)]
    pub(crate) kind: Kind,
    #[command(flatten)]
    pub(crate) image: ImageArgs,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Kind {
    /// `sha256-….sig`
    #[default]
    Signature,
    /// `sha256-….att`
    Attestation,
    /// `sha256-…`: the list of referrers, where the registry does not keep one itself
    Referrer,
    /// `sha256-….sbom`
    Sbom,
    /// The image itself, by its digest
    Digest,
}

#[derive(Args, Debug)]
pub(crate) struct CleanArgs {
    /// The image
    pub(crate) image: String,
    /// What is removed
    #[arg(long = "type", value_enum, default_value_t)]
    pub(crate) kind: CleanKind,
    /// Only the signatures of this public key
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Does not ask
    #[arg(short, long, visible_alias = "yes")]
    pub(crate) force: bool,
    /// Says what would be removed, and removes nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Without being asked, at most so many are removed
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) allow_clean: usize,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// What is removed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum CleanKind {
    /// Signatures, attestations and SBOMs, behind tags and in bundles
    #[default]
    All,
    /// Signatures, behind the tag and in bundles
    Signature,
    /// Attestations, behind the tag and in bundles
    Attestation,
    /// SBOMs behind the tag; those that other tools attached as referrers stay
    Sbom,
    /// Bundles: signatures and attestations that are referrers
    Referrer,
}

#[derive(Args, Debug)]
pub(crate) struct CopyArgs {
    /// The image or index
    pub(crate) source: String,
    /// Where it goes; without a tag it keeps its own
    pub(crate) destination: String,
    /// What is copied with it, with commas: sig, att, sbom, ref; all of them without this
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND")]
    pub(crate) only: Vec<CopyKind>,
    /// Only the image of an index that is for this platform, as in linux/arm64
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
    /// Replaces what is at the destination
    #[arg(short, long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// What is copied.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum CopyKind {
    /// Signatures
    Sig,
    /// Attestations
    Att,
    /// SBOMs
    Sbom,
    /// What the list of referrers names
    Ref,
}
