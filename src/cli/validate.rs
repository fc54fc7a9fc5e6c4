//! `countersign validate`: no registry, no key.

use std::fmt::Write as _;

use countersign::exit_code::ExitCode;
use countersign::plan::Ability;
use countersign::spec::{Problems, Spec};
use serde_json::json;

use super::args::{OutputFormat, ValidateArgs};
use super::context::Context;
use super::error::Failed;
use super::problems::count;
use super::terminal::print;

/// Checks a spec, and says what stands in it.
pub(crate) fn run(args: &ValidateArgs, context: &Context) -> Result<ExitCode, Failed> {
    let spec = match (context.load(&args.spec), args.format) {
        (Ok(spec), _) => spec,
        (Err(Failed::Spec(problems)), OutputFormat::Json) => {
            print_json(None, &problems)?;
            return Ok(ExitCode::Spec);
        }
        (Err(failed), _) => return Err(failed),
    };
    match args.format {
        OutputFormat::Human => print(summary(args, &spec).as_bytes())?,
        OutputFormat::Json => print_json(Some(&spec), &spec.warnings)?,
    }
    Ok(ExitCode::Good)
}

fn summary(args: &ValidateArgs, spec: &Spec) -> String {
    let files: Vec<String> = args.spec.file.iter().map(|file| file.display().to_string()).collect();
    let (images, signers) = (spec.desired.images.len(), spec.desired.signers.len());
    let retired = spec.desired.signers.values().filter(|it| it.retired).count();
    let elsewhere = spec
        .desired
        .signers
        .values()
        .filter(|it| it.ability == Ability::VerifyOnly && !it.retired)
        .count();
    let mut text = format!(
        "{}: good. {}, {}",
        files.join(", "),
        count(images, "image entry").replace("entrys", "entries"),
        count(signers, "signer")
    );
    // Writing to a string does not fail.
    let _ = match (elsewhere, retired) {
        (0, 0) => Ok(()),
        (0, retired) => write!(text, " ({retired} retired)"),
        (elsewhere, 0) => write!(text, " ({elsewhere} signing elsewhere)"),
        (elsewhere, retired) => {
            write!(text, " ({elsewhere} signing elsewhere, {retired} retired)")
        }
    };
    text + "\n"
}

fn print_json(spec: Option<&Spec>, problems: &Problems) -> Result<(), Failed> {
    let page = json!({
        "format_version": "1.0",
        "valid": spec.is_some(),
        "images": spec.map(|it| it.desired.images.len()),
        "signers": spec.map(|it| it.desired.signers.keys().collect::<Vec<_>>()),
        "problems": problems,
    });
    Ok(print(format!("{page:#}\n").as_bytes())?)
}
