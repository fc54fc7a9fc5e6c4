//! `countersign schema`, `completions`, `man` and `init`: pages that need no spec.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use clap::CommandFactory as _;
use countersign::exit_code::ExitCode;
use countersign::render;
use countersign::spec::json_schema;

use super::args::{Cli, CompletionsArgs, InitArgs, ManArgs, SchemaArgs, SchemaOf};
use super::context::Context;
use super::error::Failed;
use super::terminal::print;

/// The spec that `init` writes.
const STARTER: &str = include_str!("starter.toml");

/// Prints the JSON Schema of a format.
pub(crate) fn schema(args: &SchemaArgs) -> Result<ExitCode, Failed> {
    let schema = match args.of {
        SchemaOf::Events => render::schema::events(),
        SchemaOf::Explanation => render::schema::explanation(),
        SchemaOf::Plan => render::schema::plan(),
        SchemaOf::Report => render::schema::report(),
        SchemaOf::Spec => format!("{:#}\n", json_schema()),
        SchemaOf::Verification => render::schema::verification(),
    };
    print(schema.as_bytes())?;
    Ok(ExitCode::Good)
}

/// Prints the completions of a shell.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<ExitCode, Failed> {
    let mut page = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "countersign", &mut page);
    print(&page)?;
    Ok(ExitCode::Good)
}

/// Prints the manual page, or writes one for each command.
pub(crate) fn man(args: &ManArgs) -> Result<ExitCode, Failed> {
    match &args.dir {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            print(&page)?;
        }
        Some(folder) => {
            let write = fs::create_dir_all(folder)
                .and_then(|()| clap_mangen::generate_to(Cli::command(), folder));
            write.map_err(|error| Failed::file("write manual pages to", folder, &error))?;
        }
    }
    Ok(ExitCode::Good)
}

/// Writes a spec to begin with.
pub(crate) fn init(args: &InitArgs, context: &Context) -> Result<ExitCode, Failed> {
    write_new(&args.path, STARTER.as_bytes()).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failed::new(
            ExitCode::Error,
            "cli::exists",
            format!("{} exists already, and is not overwritten", args.path.display()),
        )
        .help("name another file: countersign init FILE"),
        _ => Failed::file("write", &args.path, &error),
    })?;
    let path = args.path.display();
    context.terminal.say(&format!(
        "wrote {path}\nNext: make a key with `cosign generate-key-pair`, name your images in {path}, and run\n  countersign validate -f {path}\n  countersign plan -f {path}"
    ));
    Ok(ExitCode::Good)
}

/// Writes a file that must not be there yet.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    File::create_new(path)?.write_all(content)
}
