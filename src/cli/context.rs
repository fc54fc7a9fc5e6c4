//! What a command runs in: environment, terminal, clock; and from a spec to stores and keys.

use std::io::{self, BufRead as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use countersign::exit_code::ExitCode;
use countersign::keys::{Keyless, Keyring};
use countersign::model::{Clock, SafeUrl, SystemClock};
use countersign::observe::{Immutable, ObserveOptions, Observer, Shard};
use countersign::plan::{Desired, Plan, Signers};
use countersign::render::{Detail, Style};
use countersign::sigstore::identity::IdentitySource;
use countersign::sigstore::{Deployment, Network, Witnesses};
use countersign::spec::{AllowEnv, LoadOptions, Spec, Untrusted};
use countersign::store::{
    CachedStore, Intent, LayoutStore, ProcessEnvironment, Proxies, RegistryRule, RemoteOptions,
    RemoteStore, Store, Stores, credential_files,
};

use super::args::{DEFAULT_SPEC, GlobalArgs, LookArgs, SpecArgs};
use super::environment::Process;
use super::error::Failed;
use super::files::DiskFiles;
use super::progress::Bar;
use super::signals::Signals;
use super::terminal::Terminal;

/// As much as the cache keeps on disk, in bytes: about 100,000 bundles.
const LARGEST_CACHE: u64 = 256 << 20;

/// What every command has.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) global: GlobalArgs,
    /// How the program was called: what a person can type again.
    pub(crate) program: String,
    pub(crate) environment: Arc<Process>,
    pub(crate) terminal: Terminal,
    pub(crate) signals: Signals,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What a command that looks at images has besides.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) desired: Desired,
    pub(crate) store: Arc<dyn Store>,
    /// The part of the store that sends requests, which are counted.
    pub(crate) registries: Arc<RemoteStore>,
    pub(crate) observer: Observer,
    /// How sigstore's services are reached.
    network: Network,
}

impl Session {
    /// Who bears witness to the new signatures of `signers`.
    pub(crate) async fn witnesses(&self, signers: &Signers) -> Arc<Witnesses> {
        let Observer { deployment, clock, .. } = &self.observer;
        let network = self.network.clone();
        Arc::new(Witnesses::of_signers(signers, deployment, network, clock).await)
    }
}

impl Context {
    /// What there is now.
    ///
    /// # Errors
    ///
    /// When the system takes no signal handler.
    pub(crate) fn new(
        global: GlobalArgs,
        environment: Arc<Process>,
        terminal: Terminal,
    ) -> io::Result<Self> {
        let (signals, clock) = (Signals::listen()?, Arc::new(SystemClock));
        Ok(Self { global, program: called(), environment, terminal, signals, clock })
    }

    /// How pages on standard output look.
    pub(crate) fn style(&self) -> Style {
        let everything = self.global.verbose > 0;
        let detail = if everything { Detail::Everything } else { Detail::Changes };
        self.terminal.stdout.style(detail)
    }

    /// Reads the spec, and says on standard error what is probably not meant.
    pub(crate) fn load(&self, args: &SpecArgs) -> Result<Spec, Failed> {
        let listed = self.environment.get("COUNTERSIGN_ALLOW_ENV").unwrap_or_default();
        let listed = AllowEnv::parse_list(&listed);
        let mut allow_env = listed.map_err(|error| {
            Failed::usage("COUNTERSIGN_ALLOW_ENV cannot be read").because(&error)
        })?;
        allow_env.extend(args.allow_env.iter().cloned());
        if let [file] = args.file.as_slice()
            && file.as_os_str() == DEFAULT_SPEC
            && !file.exists()
        {
            let text = format!("there is no {DEFAULT_SPEC} here");
            return Err(Failed::new(ExitCode::Spec, "spec::unreadable", text)
                .help("name the spec with -f FILE, or begin one: countersign init"));
        }
        let options = LoadOptions {
            variables: args.var.iter().cloned().collect(),
            variable_files: args.var_file.clone(),
            allow_env,
            untrusted: if args.untrusted_spec { Untrusted::Yes } else { Untrusted::No },
        };
        let spec = Spec::load(&args.file, &DiskFiles, &*self.environment, &options)?;
        if !spec.warnings.is_empty() && !self.global.quiet {
            let mut page = Vec::new();
            super::problems::write(&spec.warnings, self.terminal.stderr, &mut page)?;
            self.terminal.say(String::from_utf8_lossy(&page).trim_end());
        }
        Ok(spec)
    }

    /// Makes ready to look at the images of a spec, and with [`Intent::Write`] to sign them with keys.
    ///
    /// Sends no request and opens no key.
    pub(crate) fn session(
        &self,
        mut spec: Spec,
        look: &LookArgs,
        intent: Intent,
    ) -> Result<Session, Failed> {
        let deployment = self.deployment(spec.sigstore.take());
        self.session_as(spec, look, intent, deployment, None)
    }

    /// The same with this deployment, and with who signs where there is no key.
    pub(crate) fn session_as(
        &self,
        spec: Spec,
        look: &LookArgs,
        intent: Intent,
        deployment: Arc<Deployment>,
        identity: Option<Arc<dyn IdentitySource>>,
    ) -> Result<Session, Failed> {
        let shard = look.shard.map(|it| it.resolve(|name| self.environment.get(name)));
        let shard = shard.transpose()?;
        let mut options = ObserveOptions::default();
        options.jobs = usize::from(look.jobs);
        options.targets.clone_from(&look.target);
        options.immutable = Immutable::new(&spec.registries);
        options.shard = shard;
        let remote = self.remote(spec.registries, shard, intent)?;
        let registries = Arc::new(RemoteStore::new(remote));
        let stores = Stores::none()
            .with_layouts(Arc::new(LayoutStore::new()))
            .with_registries(Arc::clone(&registries) as Arc<_>);
        let mut store: Arc<dyn Store> = Arc::new(stores);
        if let Some(folder) = self.cache_folder() {
            store = Arc::new(CachedStore::new(store, folder, LARGEST_CACHE));
        }
        let environment = Arc::clone(&self.environment);
        let network = Network::new(Arc::clone(&environment) as Arc<_>);
        let mut keyring = Keyring::new(spec.keyring, environment);
        if let Some(identity) = identity {
            let (deployment, network) = (Arc::clone(&deployment), network.clone());
            let clock = Arc::clone(&self.clock);
            keyring = keyring.with_keyless(Keyless { deployment, identity, network, clock });
        }
        let observer = Observer {
            store: Arc::clone(&store) as Arc<_>,
            keyring: Arc::new(keyring),
            deployment,
            clock: Arc::clone(&self.clock),
            options,
        };
        Ok(Session { desired: spec.desired, store, registries, observer, network })
    }

    /// Where immutable content is kept: `countersign` in the XDG folder for caches.
    pub(crate) fn cache_folder(&self) -> Option<PathBuf> {
        if self.global.no_cache {
            return None;
        }
        let absolute = |name: &str| {
            let path = PathBuf::from(self.environment.get(name)?);
            path.is_absolute().then_some(path)
        };
        let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        Some(caches?.join("countersign"))
    }

    fn remote(
        &self,
        rules: Vec<RegistryRule>,
        shard: Option<Shard>,
        intent: Intent,
    ) -> Result<RemoteOptions, Failed> {
        let mut options = RemoteOptions::default();
        let parts = shard.map_or(1, |shard| shard.of);
        options.rules = rules.into_iter().map(|rule| share(rule, parts)).collect();
        options.credential_files = credential_files(|name| self.environment.os(name));
        options.helper_environment = self.environment.all().collect::<ProcessEnvironment>();
        options.intent = intent;
        options.proxies = self.proxies()?;
        Ok(options)
    }

    /// The proxies of the machine, lower case first, as curl has it.
    fn proxies(&self) -> Result<Proxies, Failed> {
        let find = |names: &[&str]| {
            let mut values = names.iter().filter_map(|name| self.environment.get(name));
            values.find(|value| !value.is_empty())
        };
        let url = |names: &[&str]| match find(names) {
            None => Ok(None),
            Some(text) => {
                let whole = if text.contains("://") { text } else { format!("http://{text}") };
                let wrong = |_| Failed::usage(format!("{} is no URL of a proxy", names.join(", ")));
                url::Url::parse(&whole).map(SafeUrl::new).map(Some).map_err(wrong)
            }
        };
        let mut proxies = Proxies::default();
        proxies.http = url(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])?;
        proxies.https = url(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])?;
        proxies.except = find(&["no_proxy", "NO_PROXY"]);
        Ok(proxies)
    }

    /// Plans; a signal ends it at once, because nothing is written.
    pub(crate) async fn plan(&self, session: &Session) -> Result<(Plan, Arc<Signers>), Failed> {
        let bar = Bar::new("reading", &self.terminal);
        let plan = self.unless_interrupted(session.observer.plan(&session.desired, &bar)).await;
        bar.clear();
        plan
    }

    /// Asks at the terminal.
    ///
    /// # Errors
    ///
    /// `cli::declined` for every answer but `yes`.
    pub(crate) async fn confirmed(&self, question: &str) -> Result<(), Failed> {
        let mut out = io::stderr().lock();
        out.write_all(question.as_bytes()).and_then(|()| out.flush())?;
        drop(out);
        let answer = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line).map(|_| line)
        });
        match self.unless_interrupted(answer).await? {
            Ok(Ok(line)) if line.trim() == "yes" => Ok(()),
            _ => {
                let text = "not done: nothing was written";
                Err(Failed::new(ExitCode::Error, "cli::declined", text))
            }
        }
    }

    /// Does what only reads; a signal ends it at once.
    pub(crate) async fn unless_interrupted<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, Failed> {
        tokio::select! {
            done = work => Ok(done),
            exit = self.signals.wait() => Err(Failed::Interrupted(exit)),
        }
    }
}

/// As it was typed; only the name, where that says enough.
fn called() -> String {
    let typed = std::env::args_os().next().unwrap_or_default();
    typed.into_string().ok().filter(|it| !it.is_empty()).unwrap_or("countersign".to_owned())
}

/// The part of a registry's rates that one of `parts` processes may take.
fn share(rule: RegistryRule, parts: u32) -> RegistryRule {
    let part = |rate: Option<f64>| rate.map(|rate| rate / f64::from(parts.max(1)));
    RegistryRule {
        requests_per_second: part(rule.requests_per_second),
        writes_per_second: part(rule.writes_per_second),
        ..rule
    }
}
