//! `countersign plan`.

use countersign::exit_code::ExitCode;
use countersign::plan::Plan;
use countersign::render;
use countersign::store::Intent;

use super::args::{OutputFormat, PlanArgs};
use super::context::Context;
use super::error::Failed;
use super::output::Output;
use super::terminal::print;

/// Shows the difference between what is declared and what is there.
pub(crate) async fn run(args: &PlanArgs, context: &Context) -> Result<ExitCode, Failed> {
    let out = args.out.as_deref().map(Output::new).transpose()?;
    let spec = context.load(&args.spec)?;
    let session = context.session(spec, &args.look, Intent::Read)?;
    let (plan, _) = context.plan(&session).await?;
    let mut page = Vec::new();
    match args.format {
        OutputFormat::Human => render::human::plan(&plan, &context.style(), &mut page)?,
        OutputFormat::Json => render::json::plan(&plan, &mut page)?,
    }
    // With `--out -` the saved plan is the data.
    if !out.as_ref().is_some_and(Output::is_standard) {
        print(&page)?;
    }
    if let (Some(out), Some(path)) = (out, &args.out) {
        let standard = out.is_standard();
        save(&plan, out)?;
        if !standard {
            let path = path.display();
            let text = format!("saved to {path}; to do this and no more: countersign apply {path}");
            context.terminal.say(&text);
        }
    }
    Ok(if args.detailed_exitcode {
        ExitCode::of_plan_detailed(&plan)
    } else {
        ExitCode::of_plan(&plan)
    })
}

fn save(plan: &Plan, out: Output) -> Result<(), Failed> {
    let mut file = Vec::new();
    render::json::plan(plan, &mut file)?;
    out.write(&file)
}
