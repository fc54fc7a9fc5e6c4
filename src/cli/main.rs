//! The program around the library: arguments, environment, terminal, signals, exit codes.
//!
//! One file for each command; each turns its arguments into calls of the library and writes the result.

mod apply;
mod args;
mod context;
mod cosign_variables;
mod demo;
mod deployment;
mod environment;
mod error;
mod explain;
mod export;
mod files;
mod identity;
mod import;
mod imported;
mod keys;
mod logging;
mod output;
mod pages;
mod plan;
mod problems;
mod progress;
mod shard;
mod signals;
mod single;
mod terminal;
mod validate;
mod verify;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process;
use std::sync::Arc;

use clap::Parser as _;
use countersign::exit_code::ExitCode;

use args::{Cli, Command};
use context::Context;
use environment::Process;
use error::Failed;
use single::args::{AttachArgs, AttachWhat, DownloadArgs, DownloadWhat};
use terminal::Terminal;

fn main() -> process::ExitCode {
    let environment = Arc::new(Process::take());
    let cli = match parsed(&environment) {
        Ok(cli) => cli,
        Err(error) => return told_by_clap(&error).into(),
    };
    let terminal = Terminal::new(&cli.global, &environment);
    logging::install(&cli.global, &terminal);
    let exit = start(cli, environment, terminal).unwrap_or_else(|failed| {
        // Where standard error is gone, the exit code is all that is left to say.
        let _ = failed.write(terminal.stderr, &mut io::stderr().lock());
        failed.exit()
    });
    environment::show_typing();
    exit.into()
}

/// The command line, with cosign's variables where it is one of cosign's commands.
fn parsed(environment: &Process) -> Result<Cli, clap::Error> {
    let line: Vec<OsString> = std::env::args_os().collect();
    let variable = |name: &str| environment.get(name);
    let with = cosign_variables::with_variables(&line, variable);
    let plain = Cli::try_parse_from(line);
    // `verify` without an image is about a spec, and cosign's variables are not.
    let is_of_spec = |cli: &Cli| match &cli.command {
        Command::Verify(args) => args.images.image.is_empty(),
        _ => false,
    };
    match (with, plain) {
        (Some(_), Ok(cli)) if is_of_spec(&cli) => Ok(cli),
        (Some(with), _) => Cli::try_parse_from(with),
        (None, plain) => plain,
    }
}

/// Help and version are answers; everything else that clap says is a wrong command line.
fn told_by_clap(error: &clap::Error) -> ExitCode {
    let wrong = error.use_stderr();
    // A reader that went away does not change what the command line was.
    let _ = error.print().and_then(|()| io::stdout().flush());
    if wrong { ExitCode::Usage } else { ExitCode::Good }
}

fn start(cli: Cli, environment: Arc<Process>, terminal: Terminal) -> Result<ExitCode, Failed> {
    let broken = |error: io::Error| {
        Failed::new(ExitCode::Error, "cli::start", "cannot start").because(&error)
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(broken)?;
    let ended = runtime.block_on(async {
        let context = Context::new(cli.global, environment, terminal).map_err(broken)?;
        dispatch(&cli.command, &context).await
    });
    // A thread that waits for an answer at the terminal must not hold up the end.
    runtime.shutdown_background();
    ended
}

/// Runs one command.
async fn dispatch(command: &Command, context: &Context) -> Result<ExitCode, Failed> {
    match command {
        Command::Plan(args) => plan::run(args, context).await,
        Command::Apply(args) => apply::run(args, context).await,
        Command::Verify(args) => verify::run(args, &context.uncached()).await,
        Command::Validate(args) => validate::run(args, context),
        Command::Explain(args) => explain::run(args, &context.uncached()).await,
        Command::Export(args) => export::run(args, context).await,
        Command::Import(args) => import::run(args, context).await,
        Command::Sign(args) => single::sign::run(args, context).await,
        Command::Generate(args) => single::generate::run(args, context).await,
        Command::Attach(AttachArgs { what: AttachWhat::Signature(args) }) => {
            single::attach::run(args, context).await
        }
        Command::Download(DownloadArgs { what: DownloadWhat::Signature(args) }) => {
            single::tree::download(args, context).await
        }
        Command::Triangulate(args) => single::tree::triangulate(args, context).await,
        Command::Tree(args) => single::tree::tree(args, context).await,
        Command::Clean(args) => single::clean::run(args, context).await,
        Command::Copy(args) => single::copy::run(args, context).await,
        Command::Init(args) => pages::init(args, context),
        Command::Demo(args) => demo::run(args, context).await,
        Command::GenerateKeyPair(args) => keys::generate(args, context).await,
        Command::ImportKeyPair(args) => keys::import(args, context).await,
        Command::PublicKey(args) => keys::public_key(args, context).await,
        Command::Schema(args) => pages::schema(args),
        Command::Completions(args) => pages::completions(args),
        Command::Man(args) => pages::man(args),
    }
}
