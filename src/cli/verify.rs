//! `countersign verify`.

use countersign::exit_code::ExitCode;
use countersign::observe::UndeclaredBundles;
use countersign::plan::verify;
use countersign::render;
use countersign::store::Intent;

use super::args::{OutputFormat, VerifyArgs};
use super::context::Context;
use super::error::Failed;
use super::terminal::print;

/// Says whether a verifier would be content with what is there.
pub(crate) async fn run(args: &VerifyArgs, context: &Context) -> Result<ExitCode, Failed> {
    if !args.images.image.is_empty() {
        return super::single::verify::run(&args.images, context).await;
    }
    let spec = context.load(&args.spec)?;
    let mut session = context.session(spec, &args.look, Intent::Read)?;
    session.observer.options.undeclared_bundles = UndeclaredBundles::Sought;
    super::export::give(&args.look.attachments, &mut session, context).await?;
    let (plan, _) = context.plan(&session).await?;
    let verification = verify(&plan, context.clock.now());
    let mut page = Vec::new();
    match args.format {
        OutputFormat::Human => {
            render::human::verification(&verification, &context.style(), &mut page)?;
        }
        OutputFormat::Json => render::json::verification(&verification, &mut page)?,
    }
    print(&page)?;
    Ok(ExitCode::of_verification(&verification))
}
