//! `countersign generate-key-pair`, `import-key-pair` and `public-key`, with cosign's flags and file names.

use std::fs::OpenOptions as Opening;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use countersign::crypto::PublicKey;
use countersign::exit_code::ExitCode;
use countersign::keys::{
    self, KeyError, KeyErrorKind, KeyPair, KeyReference, OpenOptions, new_password,
};
use countersign::model::Secret;

use super::context::Context;
use super::error::Failed;
use super::terminal::print;

#[derive(Args, Debug)]
pub(crate) struct GenerateKeyPairArgs {
    /// Makes the key in a service: hashivault://NAME, a plugin's, …
    #[arg(long, value_name = "KEY", conflicts_with = "store")]
    pub(crate) kms: Option<String>,
    /// The files are PREFIX.key and PREFIX.pub
    #[arg(long, value_name = "PREFIX", default_value = "cosign")]
    pub(crate) output_key_prefix: String,
    /// Keeps the encrypted key there: k8s://NAMESPACE/SECRET or gitlab://PROJECT
    #[arg(value_name = "KEY")]
    pub(crate) store: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ImportKeyPairArgs {
    /// The private key: PEM of PKCS#8, PKCS#1 or SEC 1, unencrypted
    #[arg(short, long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The files are PREFIX.key and PREFIX.pub
    #[arg(short, long, value_name = "PREFIX", default_value = "import-cosign")]
    pub(crate) output_key_prefix: String,
}

#[derive(Args, Debug)]
pub(crate) struct PublicKeyArgs {
    /// The key, as a spec names it: a file, env://NAME, hashivault://NAME, …
    #[arg(long, value_name = "KEY")]
    pub(crate) key: String,
    /// Writes it to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) outfile: Option<PathBuf>,
}

/// Makes a key pair in files, or where the reference says.
pub(crate) async fn generate(
    args: &GenerateKeyPairArgs,
    context: &Context,
) -> Result<ExitCode, Failed> {
    let files = Files::of(&args.output_key_prefix);
    let Some(key) = args.kms.as_ref().or(args.store.as_ref()) else {
        files.are_free(&[&files.private, &files.public])?;
        let name = files.private.display().to_string();
        let password = new_password(&name, &options(context)).await.map_err(|it| failed(&it))?;
        let pair = KeyPair::generate(&password).await.map_err(|it| failed(&it))?;
        return files.write(&pair, context);
    };
    // Before there is a key that nobody has the public half of.
    files.are_free(&[&files.public])?;
    let reference = reference(key)?;
    let made = keys::create(&reference, &options(context)).await.map_err(|it| failed(&it))?;
    context.terminal.say(&format!("Key made at {reference}"));
    files.write_public(&made, context)?;
    Ok(ExitCode::Good)
}

/// Encrypts a private key of another tool.
pub(crate) async fn import(
    args: &ImportKeyPairArgs,
    context: &Context,
) -> Result<ExitCode, Failed> {
    let files = Files::of(&args.output_key_prefix);
    files.are_free(&[&files.private, &files.public])?;
    let pem = std::fs::read_to_string(&args.key).map(Secret::new);
    let pem = pem.map_err(|error| Failed::file("read", &args.key, &error))?;
    let name = files.private.display().to_string();
    let password = new_password(&name, &options(context)).await.map_err(|it| failed(&it))?;
    let pair = KeyPair::import(&pem, &password).await.map_err(|it| failed(&it))?;
    files.write(&pair, context)
}

/// Prints the public half of a key.
pub(crate) async fn public_key(
    args: &PublicKeyArgs,
    context: &Context,
) -> Result<ExitCode, Failed> {
    let reference = reference(&args.key)?;
    let key = keys::public_key(&reference, &options(context)).await.map_err(|it| failed(&it))?;
    match &args.outfile {
        None => print(key.to_pem().as_bytes())?,
        Some(path) => {
            let written = std::fs::write(path, key.to_pem());
            written.map_err(|error| Failed::file("write", path, &error))?;
            context.terminal.say(&format!("Public key written to {}", path.display()));
        }
    }
    Ok(ExitCode::Good)
}

pub(crate) fn options(context: &Context) -> OpenOptions {
    OpenOptions::new(Arc::<super::environment::Process>::clone(&context.environment))
}

/// The person at the command line chose the reference, so every variable may be named.
pub(crate) fn reference(text: &str) -> Result<KeyReference, Failed> {
    KeyReference::parse(text, Path::new("")).map_err(|error| failed(&error))
}

/// What a key said, as the end of a command.
pub(crate) fn failed(error: &KeyError) -> Failed {
    let exit = match error.kind {
        _ if error.is_transient() => ExitCode::Temporary,
        KeyErrorKind::NoPassword | KeyErrorKind::Permission | KeyErrorKind::WrongPassword => {
            ExitCode::Permission
        }
        _ => ExitCode::Error,
    };
    let told = Failed::new(exit, error.code(), error.to_string());
    let told = match &error.source {
        Some(cause) => told.because(&**cause),
        None => told,
    };
    match error.help() {
        Some(help) => told.help(help),
        None => told,
    }
}

/// The two files of a pair: `PREFIX.key`, `PREFIX.pub`.
struct Files {
    private: PathBuf,
    public: PathBuf,
}

impl Files {
    fn of(prefix: &str) -> Self {
        Self { private: format!("{prefix}.key").into(), public: format!("{prefix}.pub").into() }
    }

    /// Nothing is overwritten: a key that is lost cannot be had again.
    fn are_free(&self, paths: &[&Path]) -> Result<(), Failed> {
        let taken = paths.iter().find(|path| path.symlink_metadata().is_ok());
        taken.map_or(Ok(()), |path| Err(exists(path)))
    }

    fn write(&self, pair: &KeyPair, context: &Context) -> Result<ExitCode, Failed> {
        write_new(&self.private, pair.private_pem.expose().as_bytes(), Readers::Owner)?;
        context.terminal.say(&format!("Private key written to {}", self.private.display()));
        self.write_public(&pair.public_key, context)?;
        Ok(ExitCode::Good)
    }

    fn write_public(&self, key: &PublicKey, context: &Context) -> Result<(), Failed> {
        write_new(&self.public, key.to_pem().as_bytes(), Readers::Everybody)?;
        context.terminal.say(&format!("Public key written to {}", self.public.display()));
        Ok(())
    }
}

/// Who may read a new file.
#[derive(Clone, Copy)]
enum Readers {
    Everybody,
    Owner,
}

fn write_new(path: &Path, content: &[u8], readers: Readers) -> Result<(), Failed> {
    let mut opening = Opening::new();
    opening.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        opening.mode(match readers {
            Readers::Everybody => 0o644,
            Readers::Owner => 0o600,
        });
    }
    #[cfg(not(unix))]
    let _ = readers;
    let written = opening.open(path).and_then(|mut file| file.write_all(content));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        _ => Failed::file("write", path, &error),
    })
}

fn exists(path: &Path) -> Failed {
    let text = format!("{} exists already, and is not overwritten", path.display());
    Failed::new(ExitCode::Error, "cli::exists", text)
        .help("choose another name with --output-key-prefix, or move the old file away")
}
