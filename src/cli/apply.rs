//! `countersign apply`: plans afresh, shows it, asks, and writes what the plan says.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use countersign::apply::Applier;
use countersign::event::Listener;
use countersign::exit_code::ExitCode;
use countersign::plan::{Limits, Plan, PlanFile, Signers, narrow};
use countersign::render::events::JsonLines;
use countersign::render::report_file::Run;
use countersign::render::{self, Style};
use countersign::report::Report;
use countersign::store::{Intent, RequestCounts};

use super::args::ApplyArgs;
use super::context::{Context, Session};
use super::error::Failed;
use super::identity::Logins;
use super::output::Output;
use super::progress::{All, Bar};
use super::terminal::{Answers, print};

/// Where a run writes what it says.
struct Outputs {
    events: Option<Arc<JsonLines<Box<dyn Write + Send>>>>,
    report: Option<Output>,
    pages: Pages,
}

/// Where pages for people go.
#[derive(Clone, Copy)]
enum Pages {
    /// To standard output, as data.
    Stdout,
    /// To standard error, because standard output carries JSON.
    Stderr,
}

/// Makes the registries as declared.
pub(crate) async fn run(args: &ApplyArgs, context: &Context) -> Result<ExitCode, Failed> {
    let started = context.clock.now();
    if !args.yes && args.plan.is_none() && context.terminal.answers == Answers::Nobody {
        return Err(Failed::usage("apply asks before it writes, and nobody is there to answer")
            .help("add --yes, or give it a saved plan: countersign plan --out plan.json, then countersign apply plan.json"));
    }
    let saved = args.plan.as_deref().map(read_saved).transpose()?;
    let mut spec = context.load(&args.spec)?;
    let deployment = context.deployment(spec.sigstore.take());
    let logins = if args.spec.untrusted_spec { Logins::Refused } else { Logins::Allowed };
    let identity = args.identity.source(logins, &deployment, context);
    let look = &args.look;
    let mut session = context.session_as(spec, look, Intent::Write, deployment, Some(identity))?;
    super::export::give(&args.look.attachments, &mut session, context).await?;
    let mut outputs = Outputs::new(args, context)?;
    let (fresh, signers) = context.plan(&session).await?;
    let fingerprint = fresh.fingerprint();
    let plan = match &saved {
        Some(saved) => narrow(fresh, saved),
        None => fresh,
    };
    outputs.page(context, |style, page| render::human::changes(&plan, style, page))?;
    if let Some(expected) = args.expect.as_ref().filter(|it| **it != fingerprint) {
        let text = format!("the plan is {fingerprint}, and {expected} is expected");
        return Err(Failed::new(ExitCode::Stale, "plan::stale", text)
            .help("review the plan above, and expect its fingerprint"));
    }
    check_guards(args, &plan)?;
    let summary = plan.summary();
    if summary.is_pending() && !args.yes && context.terminal.answers == Answers::Person {
        context.confirmed("Write this? Only `yes` is taken: ").await?;
    }
    let report = write(plan, &signers, &session, &outputs, context).await;
    outputs.page(context, |style, page| match (summary.is_pending(), summary.blocked) {
        (false, 0) => writeln!(page, "Nothing to do: every image is as declared."),
        (false, _) => writeln!(page, "Nothing was written: mend what is blocked, and apply again."),
        (true, _) => {
            page.push(b'\n');
            render::human::report(&report, style, page)
        }
    })?;
    if let Some(output) = outputs.report.take() {
        let run = Run {
            started,
            finished: context.clock.now(),
            requests: Some(requests(session.registries.requests())),
        };
        output.write(&report_file(&report, &run)?)?;
    }
    outputs.check_events(args)?;
    Ok(context.signals.received().unwrap_or_else(|| ExitCode::of_report(&report)))
}

/// Writes what the plan says; a signal lets it finish what is under way.
async fn write(
    plan: Plan,
    signers: &Arc<Signers>,
    session: &Session,
    outputs: &Outputs,
    context: &Context,
) -> Report {
    context.signals.announce();
    let applier = Applier {
        store: Arc::clone(&session.store),
        keyring: Arc::clone(&session.observer.keyring),
        witnesses: session.witnesses(signers).await,
        clock: Arc::clone(&context.clock),
        jobs: session.observer.options.jobs,
        stop: context.signals.stop.clone(),
    };
    let bar = Bar::new("writing", &context.terminal);
    let mut listeners: Vec<Arc<dyn Listener>> = vec![Arc::new(bar.clone())];
    listeners.extend(outputs.events.iter().map(|it| Arc::clone(it) as Arc<dyn Listener>));
    let listener: Arc<dyn Listener> = Arc::new(All(listeners));
    let report = applier.apply(plan, signers, &listener).await;
    bar.clear();
    report
}

fn check_guards(args: &ApplyArgs, plan: &Plan) -> Result<(), Failed> {
    let limits =
        Limits::new(args.allow_clean, args.allow_resign).with_log_entries(args.max_log_entries);
    limits.check(plan).map_err(|guarded| {
        Failed::new(ExitCode::Guarded, guarded.code(), guarded.to_string())
            .help(format!("nothing was written; if all of it is meant, add {}", guarded.flag()))
    })
}

fn read_saved(path: &Path) -> Result<PlanFile, Failed> {
    let bytes = fs::read(path).map_err(|error| Failed::file("read", path, &error))?;
    PlanFile::parse(&bytes).map_err(|error| {
        let text = format!("cannot use {}", path.display());
        Failed::new(ExitCode::Error, "plan::malformed", text)
            .because(&error)
            .help("save a new one: countersign plan --out plan.json")
    })
}

fn report_file(report: &Report, run: &Run) -> Result<Vec<u8>, Failed> {
    let mut page = Vec::new();
    render::json::report(report, run, &mut page)?;
    Ok(page)
}

fn requests(counts: RequestCounts) -> BTreeMap<String, u64> {
    let named = [
        ("delete", counts.delete),
        ("get", counts.get),
        ("head", counts.head),
        ("post", counts.post),
        ("put", counts.put),
        ("token", counts.token),
    ];
    named.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

impl Outputs {
    /// Opens them all, so that what cannot be written is found before anything is signed.
    fn new(args: &ApplyArgs, context: &Context) -> Result<Self, Failed> {
        let report = args.report.as_deref().map(Output::new).transpose()?;
        let dash = args.events.as_deref() == Some(Path::new("-"));
        if dash && report.as_ref().is_some_and(Output::is_standard) {
            return Err(Failed::usage("events and report cannot both go to standard output"));
        }
        let sink: Option<Box<dyn Write + Send>> = match args.events.as_deref() {
            None => None,
            Some(_) if dash => Some(Box::new(io::stdout())),
            Some(path) => {
                let file = File::create(path).map_err(|it| Failed::file("write", path, &it))?;
                Some(Box::new(file))
            }
        };
        let clock = &context.clock;
        let events = sink.map(|sink| Arc::new(JsonLines::new(sink).clock(Arc::clone(clock))));
        let taken = dash || report.as_ref().is_some_and(Output::is_standard);
        let pages = if taken { Pages::Stderr } else { Pages::Stdout };
        Ok(Self { events, report, pages })
    }

    /// Shows a page to people.
    fn page(
        &self,
        context: &Context,
        write: impl FnOnce(&Style, &mut Vec<u8>) -> io::Result<()>,
    ) -> Result<(), Failed> {
        let (mut page, style) = (Vec::new(), context.style());
        match self.pages {
            Pages::Stdout => {
                write(&style, &mut page)?;
                Ok(print(&page)?)
            }
            Pages::Stderr => {
                write(&context.terminal.stderr.style(style.detail), &mut page)?;
                context.terminal.say(String::from_utf8_lossy(&page).trim_end());
                Ok(())
            }
        }
    }

    /// Says, after the work, that events were lost.
    fn check_events(&self, args: &ApplyArgs) -> Result<(), Failed> {
        let lost = self.events.as_ref().and_then(|it| it.take_error());
        match (lost, &args.events) {
            (Some(error), _) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            (Some(error), Some(path)) => Err(Failed::file("write events to", path, &error)),
            _ => Ok(()),
        }
    }
}
