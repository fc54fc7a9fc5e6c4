//! The command line: what can be said, and nothing about what is done.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use countersign::model::{Digest, Glob};
use countersign::spec::AllowEnv;

use super::identity::IdentityArgs;
use super::keys::{GenerateKeyPairArgs, ImportKeyPairArgs, PublicKeyArgs};
use super::shard::ShardArg;
use super::single::args::{
    AttachArgs, CleanArgs, CopyArgs, DownloadArgs, GenerateArgs, ImageArgs, RegistryArgs, SignArgs,
    TriangulateArgs,
};
use super::single::verify_args::VerifyImageArgs;

/// The spec where none is named.
pub(crate) const DEFAULT_SPEC: &str = "countersign.toml";

const AFTER_HELP: &str = "\
Exit codes:
    0  done, or nothing to do
    1  error, or something could not be read
    2  plan --detailed-exitcode: changes are pending
    3  apply: some images failed, the rest converged
    4  refused by a guard, before the first write
    5  the saved plan or the expected fingerprint is stale
    6  verify: an image is not as declared
   64  wrong command line          65  wrong spec
   75  only temporary failures are left: run again
   77  credentials or permission
  130  interrupted (SIGINT)       143  interrupted (SIGTERM)";

/// Keeps the signatures of container images as a TOML file declares them.
#[derive(Debug, Parser)]
#[command(
    name = "countersign",
    version,
    propagate_version = false,
    after_help = AFTER_HELP,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What holds for every command.
#[derive(Args, Clone, Debug)]
pub(crate) struct GlobalArgs {
    /// When to use colors
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        help_heading = "Output"
    )]
    pub(crate) color: ColorArg,
    /// Say more on stderr: -v what is done, -vv each request, -vvv its headers
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    pub(crate) verbose: u8,
    /// How log lines are written
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        help_heading = "Output"
    )]
    pub(crate) log_format: LogFormat,
    /// Say only what is wrong
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Output")]
    pub(crate) quiet: bool,
    /// Ask the registries for everything, as `verify` and `explain` do: keep nothing of them on disk
    #[arg(long, global = true)]
    pub(crate) no_cache: bool,
    /// Show no progress bars
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) no_progress: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum ColorArg {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// How a result is written to stdout.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people
    #[default]
    Human,
    /// For programs; see `countersign schema`
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows what is missing and what would change; writes nothing
    Plan(PlanArgs),
    /// Signs, attaches and cleans until the registries are as declared
    Apply(Box<ApplyArgs>),
    /// Checks that every image is as declared, or with --key the images that are named; reads only
    Verify(Box<VerifyArgs>),
    /// Checks a spec, without any registry and any key
    Validate(ValidateArgs),
    /// Shows every signature of an image, whose it is, and why it counts or not
    Explain(ExplainArgs),
    /// Writes every payload that is to be signed elsewhere, and scripts that sign them
    Export(ExportArgs),
    /// Writes a spec of what is in repositories now
    Import(ImportArgs),
    /// Signs images with a key or an identity, without a spec
    Sign(Box<SignArgs>),
    /// Prints what would be signed, for another tool to sign
    Generate(GenerateArgs),
    /// Attaches what another tool made
    Attach(AttachArgs),
    /// Prints what is attached to an image
    Download(DownloadArgs),
    /// Prints where the signatures of an image are
    Triangulate(TriangulateArgs),
    /// Shows what is attached to an image
    Tree(ImageArgs),
    /// Removes what is attached to an image
    Clean(CleanArgs),
    /// Copies an image with what is attached to it
    Copy(CopyArgs),
    /// Writes a spec to begin with
    Init(InitArgs),
    /// Makes a folder with images, a key and a spec, and shows plan and apply on it
    Demo(DemoArgs),
    /// Makes a key pair: in two files, or where a service keeps keys
    GenerateKeyPair(GenerateKeyPairArgs),
    /// Encrypts a private key of another tool, so that it can sign
    ImportKeyPair(ImportKeyPairArgs),
    /// Prints the public half of a key
    PublicKey(PublicKeyArgs),
    /// Prints the JSON Schema of a format
    Schema(SchemaArgs),
    /// Prints the completions of a shell
    Completions(CompletionsArgs),
    /// Prints the manual page, or writes one for each command
    Man(ManArgs),
}

/// Where the spec comes from, and what it may do.
#[derive(Args, Clone, Debug)]
pub(crate) struct SpecArgs {
    /// The spec; several are joined
    #[arg(
        short,
        long,
        default_value = DEFAULT_SPEC,
        value_name = "FILE",
        help_heading = "Spec"
    )]
    pub(crate) file: Vec<PathBuf>,
    /// Sets a variable of the spec
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable, help_heading = "Spec")]
    pub(crate) var: Vec<(String, String)>,
    /// Sets the variables that a TOML file holds
    #[arg(long, value_name = "FILE", help_heading = "Spec")]
    pub(crate) var_file: Vec<PathBuf>,
    /// Lets the spec name an environment variable; with a host, as credentials for it. Also COUNTERSIGN_ALLOW_ENV, with commas
    #[arg(long, value_name = "NAME[@HOST]", help_heading = "Spec")]
    pub(crate) allow_env: Vec<AllowEnv>,
    /// Refuses everything that a spec from a stranger could misuse: plugins, paths outside its folder, HTTP, …
    #[arg(long, help_heading = "Spec")]
    pub(crate) untrusted_spec: bool,
}

/// How and what is looked at.
#[derive(Args, Clone, Debug)]
pub(crate) struct LookArgs {
    /// Only images of which a name matches; then nothing is cleaned
    #[arg(long, value_name = "GLOB", help_heading = "Scope")]
    pub(crate) target: Vec<Glob>,
    /// Only part I of N (from 0); /N takes I from JOB_COMPLETION_INDEX
    #[arg(long, value_name = "I/N", help_heading = "Scope")]
    pub(crate) shard: Option<ShardArg>,
    /// Takes the signatures in this folder for what is owed; see `export`
    #[arg(long, value_name = "DIR", help_heading = "Scope")]
    pub(crate) attachments: Vec<PathBuf>,
    /// How many images are worked on side by side
    #[arg(long, visible_alias = "concurrency", value_name = "N", default_value = "64", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Scope")]
    pub(crate) jobs: u16,
}

#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// Saves the plan, to be reviewed and given to `apply`
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Exits with 2 when changes are pending
    #[arg(long)]
    pub(crate) detailed_exitcode: bool,
    /// How the plan is written
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: OutputFormat,
}

#[derive(Args, Debug)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
    #[command(flatten)]
    pub(crate) look: LookArgs,
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,
    /// A plan saved by `plan --out`: only what it and a fresh plan both say is done
    pub(crate) plan: Option<PathBuf>,
    /// Does not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Lifts the guard on removals of retired and undeclared signatures, up to this number
    #[arg(long, value_name = "N", help_heading = "Guards")]
    pub(crate) allow_clean: Option<usize>,
    /// Lifts the guard on signatures that are made anew, up to this number
    #[arg(long, value_name = "N", help_heading = "Guards")]
    pub(crate) allow_resign: Option<usize>,
    /// Refuses a plan that makes more entries in transparency logs
    #[arg(long, value_name = "N", help_heading = "Guards")]
    pub(crate) max_log_entries: Option<usize>,
    /// Refuses any plan but the one with this fingerprint
    #[arg(long, value_name = "FINGERPRINT", help_heading = "Guards")]
    pub(crate) expect: Option<Digest>,
    /// Writes what happens as it happens, one JSON object a line; `-` is stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    /// Writes the report as JSON, even when images failed or the run was interrupted; `-` is stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
    #[command(flatten)]
    pub(crate) look: LookArgs,
    #[command(flatten)]
    pub(crate) images: VerifyImageArgs,
    /// How the result is written
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: OutputFormat,
}

#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// The folder that payloads, index and scripts go to
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// The repositories, or layouts as oci:PATH
    #[arg(required = true)]
    pub(crate) repository: Vec<String>,
    /// A signer that may have signed: its name in the spec, and its public key, a file or a reference
    #[arg(long, value_name = "NAME=KEY", value_parser = variable, required_unless_present = "retired")]
    pub(crate) key: Vec<(String, String)>,
    /// The same of a signer whose signatures are no longer wanted
    #[arg(long, value_name = "NAME=KEY", value_parser = variable)]
    pub(crate) retired: Vec<(String, String)>,
    /// Writes the certificates that signatures carry into this folder, and declares them
    #[arg(long, value_name = "FOLDER")]
    pub(crate) certificates: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ValidateArgs {
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
    /// How problems are written: for people to stderr, as JSON to stdout
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: OutputFormat,
}

#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
    /// The image, as the spec names it, or any other
    pub(crate) image: String,
    /// How the explanation is written
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: OutputFormat,
}

#[derive(Args, Debug)]
pub(crate) struct InitArgs {
    /// Where to write it; nothing is overwritten
    #[arg(default_value = DEFAULT_SPEC)]
    pub(crate) path: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// The folder to make
    #[arg(default_value = "countersign-demo")]
    pub(crate) folder: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct SchemaArgs {
    /// Of what
    #[arg(value_enum, default_value_t)]
    pub(crate) of: SchemaOf,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// A line of `apply --events`
    Events,
    /// `explain --format json`
    Explanation,
    /// `plan --format json`, and saved plans
    Plan,
    /// `apply --report`
    Report,
    /// The spec, for editors
    #[default]
    Spec,
    /// `verify --format json`
    Verification,
}

#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// Writes the pages of all commands into this folder
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_variable_may_hold_an_equals_sign() {
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(variable("A").is_err() && variable("=b").is_err());
    }
}
