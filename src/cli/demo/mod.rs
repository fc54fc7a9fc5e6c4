//! `countersign demo`: a folder with images, a key and a spec, and what the commands make of it.

mod images;

use std::fs;
use std::io;
use std::path::Path;

use clap::Parser as _;
use countersign::crypto::PrivateKey;
use countersign::exit_code::ExitCode;
use countersign::model::Secret;

use images::Layout;

use super::args::{Cli, DemoArgs};
use super::context::Context;
use super::error::Failed;
use super::terminal::print;

/// The spec of the demo.
const SPEC: &str = include_str!("spec.toml");
/// Shows that a folder is an earlier demo.
const MARK: &str = ".countersign-demo";
/// The password of the demo's key: it protects nothing, and says so.
const PASSWORD: &str = "only-for-the-demo";

/// Makes the folder, then runs plan, apply and plan on it.
pub(crate) async fn run(args: &DemoArgs, context: &Context) -> Result<ExitCode, Failed> {
    let folder = &args.folder;
    make(folder)?;
    let program = context.program.as_str();
    let spec = folder.join("countersign.toml").display().to_string();
    say(&format!("A demo of countersign, in {}:\n", folder.display()))?;
    say(
        "  images/           an OCI layout with three small images: api, web (two platforms), worker\n\
         \x20 single/           api again, alone in its layout\n\
         \x20 keys/             a key pair in cosign's format, and its password: for this demo only\n\
         \x20 countersign.toml  the spec: who signs which images, and how\n",
    )?;
    for (what, arguments) in [
        ("What is missing?", &["plan"][..]),
        ("Make it so.", &["apply", "--yes"]),
        ("And now?", &["plan"]),
    ] {
        let mut line = vec![arguments.first().copied().unwrap_or_default(), "-f", &spec];
        line.extend(arguments.iter().skip(1));
        let shown = format!("$ {program} {}", line.join(" "));
        say(&format!("{what}\n{}\n", context.terminal.stdout.strong(&shown)))?;
        let exit = command(&line, context).await?;
        if exit != ExitCode::Good {
            return Ok(exit);
        }
        say("")?;
    }
    say(&next(folder, program))?;
    Ok(ExitCode::Good)
}

/// Runs a command line as if it had been typed.
async fn command(line: &[&str], context: &Context) -> Result<ExitCode, Failed> {
    let words = std::iter::once("countersign").chain(line.iter().copied());
    let cli = Cli::try_parse_from(words).map_err(|error| {
        Failed::new(ExitCode::Error, "cli::demo", "the demo has a wrong command").because(&error)
    })?;
    // Boxed, because a command of the demo could be the demo.
    Box::pin(super::dispatch(&cli.command, context)).await
}

/// Makes the folder, or makes an earlier demo anew.
fn make(folder: &Path) -> Result<(), Failed> {
    let failed = |error: io::Error| Failed::file("make the demo in", folder, &error);
    let earlier = folder.join(MARK).is_file();
    let taken = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if folder.is_file() || (taken && !earlier) {
        let text = format!("{} exists already, and is no earlier demo", folder.display());
        return Err(Failed::new(ExitCode::Error, "cli::exists", text)
            .help("name another folder: countersign demo FOLDER"));
    }
    if earlier {
        say(&format!("{} is an earlier demo: it is made anew.\n", folder.display()))?;
        for old in ["images", "single", "keys"] {
            match fs::remove_dir_all(folder.join(old)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
    }
    fs::create_dir_all(folder.join("keys")).map_err(failed)?;
    fs::write(folder.join(MARK), "").map_err(failed)?;
    fs::write(folder.join("countersign.toml"), SPEC).map_err(failed)?;
    make_images(folder).map_err(failed)?;
    make_key(&folder.join("keys"))
}

fn make_images(folder: &Path) -> io::Result<()> {
    let mut images = Layout::default();
    images.image("api")?;
    images.multi_platform("web")?;
    images.image("worker")?;
    images.write(&folder.join("images"))?;
    let mut single = Layout::default();
    single.image("api")?;
    single.write(&folder.join("single"))
}

fn make_key(folder: &Path) -> Result<(), Failed> {
    let failed = |error: &dyn std::error::Error| {
        Failed::new(ExitCode::Error, "cli::demo", "cannot make the key of the demo").because(error)
    };
    let key = PrivateKey::generate_p256().map_err(|error| failed(&error))?;
    let password = Secret::new(PASSWORD.to_owned());
    let sealed = key.to_encrypted_pem(&password).map_err(|error| failed(&error))?;
    for (name, content) in [
        ("demo.key", sealed.as_str()),
        ("demo.pub", key.public_key().to_pem().as_str()),
        ("demo.password", &format!("{PASSWORD}\n")),
    ] {
        let path = folder.join(name);
        fs::write(&path, content).map_err(|error| Failed::file("write", &path, &error))?;
    }
    Ok(())
}

/// What to try next.
fn next(folder: &Path, program: &str) -> String {
    let folder = folder.display();
    format!(
        "\
What to try next:
  Let cosign itself check an image that was just signed:
    $ cosign verify --key {folder}/keys/demo.pub --insecure-ignore-tlog=true --local-image {folder}/single
  See what is known of one image:
    $ {program} explain -f {folder}/countersign.toml oci:{folder}/images:web
  Change `demo` to `production` in {folder}/countersign.toml; each image is then signed anew,
  and the old signature goes, because of `prune = \"superseded\"`. (Re-signing everything is unusual: a
  guard stops it where ten images or more carry such signatures.)
    $ {program} plan -f {folder}/countersign.toml
  Take a registry of your own: write a spec for it, and plan; nothing is written before `apply`.
    $ {program} init
"
    )
}

fn say(text: &str) -> Result<(), Failed> {
    Ok(print(format!("{text}\n").as_bytes())?)
}
