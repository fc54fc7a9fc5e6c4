//! How to talk to registries: rules for hosts, credentials, limits, retries.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::{Glob, SafeUrl, Secret};
use crate::store::remote::authority;

/// How a [`RemoteStore`](crate::store::RemoteStore) talks to registries.
///
/// The default knows no credentials, no proxy and no rule; it waits and tries again for longer than the
/// quota window of the large registries (one minute).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RemoteOptions {
    /// For each host the rule with the longest pattern that matches holds.
    pub rules: Vec<RegistryRule>,
    /// Docker's and podman's credential files, the first that knows a host wins; see [`credential_files`].
    pub credential_files: Vec<PathBuf>,
    /// The environment that credential helpers run in; its `PATH` is where they are looked for.
    pub helper_environment: ProcessEnvironment,
    /// How long a credential helper may take.
    pub helper_timeout: Duration,
    /// What the run will do: tokens are asked for once, wide enough.
    pub intent: Intent,
    /// Whose proxies to use where no rule names one. Loopback is never proxied by these.
    pub proxies: Proxies,
    /// What the client calls itself.
    pub user_agent: String,
    /// How long one request may take, its body included.
    pub request_timeout: Duration,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// The largest manifest that is read, in bytes.
    pub largest_manifest: u64,
    /// The largest blob that is read, in bytes.
    pub largest_blob: u64,
    /// How long failures that may pass are tried again.
    pub retry: RetryPolicy,
    /// At most so many requests at once to a host, where no rule says another number.
    pub concurrency: NonZeroU32,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            credential_files: Vec::new(),
            helper_environment: ProcessEnvironment::default(),
            helper_timeout: Duration::from_secs(60),
            intent: Intent::Read,
            proxies: Proxies::default(),
            user_agent: concat!("countersign/", env!("CARGO_PKG_VERSION")).to_owned(),
            request_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            // What OCI distribution-spec 1.1 asks every registry to take at least.
            largest_manifest: 4 << 20,
            largest_blob: 128 << 20,
            retry: RetryPolicy::default(),
            concurrency: NonZeroU32::MIN.saturating_add(15),
        }
    }
}

impl RemoteOptions {
    /// The rule for `host`: the longest pattern that matches, a name before a pattern of its length.
    pub fn rule(&self, host: &str) -> Option<&RegistryRule> {
        RegistryRule::of(&self.rules, host)
    }
}

/// How to talk to the registries whose host matches.
#[derive(Clone)]
pub struct RegistryRule {
    /// The hosts: a name with its port, or a pattern.
    pub host: Glob,
    /// At most so many requests a second.
    pub requests_per_second: Option<f64>,
    /// At most so many writes a second.
    pub writes_per_second: Option<f64>,
    /// At most so many requests at once.
    pub concurrency: Option<NonZeroU32>,
    /// The authorities to trust besides the machine's.
    pub ca_file: Option<PathBuf>,
    /// The client certificate and its key, for mTLS.
    pub client_identity: Option<(PathBuf, PathBuf)>,
    /// HTTP instead of HTTPS.
    pub plain_http: bool,
    /// Do not check the registry's certificate.
    pub skip_tls_verify: bool,
    /// The proxy to use.
    pub proxy: Option<String>,
    /// The credentials, looked up already.
    pub credentials: Option<(String, Secret<String>)>,
    /// A bearer token that the registry itself takes, before all other credentials.
    pub token: Option<Secret<String>>,
    /// The name in the registry's certificate, where it is not that of the host.
    pub server_name: Option<String>,
    /// The registry refuses to overwrite tags: a second write of a signature tag is planned as blocked.
    pub immutable_tags: bool,
}

impl RegistryRule {
    /// A rule for `host` that changes nothing yet.
    pub fn new(host: Glob) -> Self {
        Self {
            host,
            requests_per_second: None,
            writes_per_second: None,
            concurrency: None,
            ca_file: None,
            client_identity: None,
            plain_http: false,
            skip_tls_verify: false,
            proxy: None,
            credentials: None,
            token: None,
            server_name: None,
            immutable_tags: false,
        }
    }

    /// The rule of `rules` for `host`: the longest pattern that matches, a name before a pattern of its
    /// length.
    pub fn of<'a>(rules: &'a [Self], host: &str) -> Option<&'a Self> {
        rules.iter().filter(|rule| rule.holds_for(host)).max_by_key(|rule| {
            let pattern = rule.host.as_str();
            (pattern.len(), !Glob::is_pattern(pattern))
        })
    }

    /// Says whether the rule holds for `host`. Docker Hub is one registry under its three names.
    pub fn holds_for(&self, host: &str) -> bool {
        self.host.matches(host)
            || authority::is_docker_hub(host)
                && authority::DOCKER_HUB.iter().any(|name| self.host.matches(name))
    }

    /// Says whether the rule speaks of TLS, so that HTTP cannot be meant.
    pub(super) fn wants_tls(&self) -> bool {
        self.ca_file.is_some()
            || self.client_identity.is_some()
            || self.server_name.is_some()
            || self.skip_tls_verify
    }
}

impl fmt::Debug for RegistryRule {
    /// Without credentials, and without the proxy: its URL may hold some.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryRule")
            .field("host", &self.host)
            .field("requests_per_second", &self.requests_per_second)
            .field("writes_per_second", &self.writes_per_second)
            .field("concurrency", &self.concurrency)
            .field("ca_file", &self.ca_file)
            .field("client_identity", &self.client_identity)
            .field("plain_http", &self.plain_http)
            .field("skip_tls_verify", &self.skip_tls_verify)
            .field("immutable_tags", &self.immutable_tags)
            .finish_non_exhaustive()
    }
}

/// What a run will do with the repositories that it meets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Intent {
    /// Read only: tokens are asked for with `pull`.
    #[default]
    Read,
    /// Read, then write: tokens are asked for with `pull,push` from the start, one exchange for each
    /// repository. Where a registry does not give such a token, reading asks for `pull`.
    Write,
}

/// How long failures that may pass are tried again.
///
/// Waits double from `first_delay` to `longest_delay`, less up to half of each at random; what the
/// registry asks for in `Retry-After` is waited in full.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// The wait after the first failure.
    pub first_delay: Duration,
    /// The longest wait between two tries.
    pub longest_delay: Duration,
    /// For how long 429 is tried again.
    pub throttled_for: Duration,
    /// For how long 5xx, lost connections and missing answers are tried again.
    pub unavailable_for: Duration,
    /// For how long a host that cannot be connected to is tried again.
    pub unreachable_for: Duration,
    /// How often an answer that ends early is asked for again.
    pub truncated_times: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(250),
            longest_delay: Duration::from_secs(20),
            throttled_for: Duration::from_secs(180),
            unavailable_for: Duration::from_secs(75),
            unreachable_for: Duration::from_secs(15),
            truncated_times: 2,
        }
    }
}

impl RetryPolicy {
    /// Gives up at the first failure.
    pub fn never() -> Self {
        Self {
            first_delay: Duration::ZERO,
            longest_delay: Duration::ZERO,
            throttled_for: Duration::ZERO,
            unavailable_for: Duration::ZERO,
            unreachable_for: Duration::ZERO,
            truncated_times: 0,
        }
    }
}

/// The proxies of the machine, as `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name them.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Proxies {
    /// For `http://` registries.
    pub http: Option<SafeUrl>,
    /// For `https://` registries.
    pub https: Option<SafeUrl>,
    /// Hosts that are talked to directly, with commas between them.
    pub except: Option<String>,
}

/// The environment of a child process. It may hold secrets, so it is never shown.
#[derive(Clone, Default)]
pub struct ProcessEnvironment(pub(super) BTreeMap<OsString, OsString>);

impl FromIterator<(OsString, OsString)> for ProcessEnvironment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl fmt::Debug for ProcessEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProcessEnvironment({} variables)", self.0.len())
    }
}

/// Where Docker and podman keep their credentials, in the order in which they are asked.
///
/// That is `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`, then `$REGISTRY_AUTH_FILE`, then
/// `$XDG_RUNTIME_DIR/containers/auth.json` and `~/.config/containers/auth.json`. `variable` looks up
/// the environment.
pub fn credential_files(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let set = |name: &str| variable(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    let home = set("HOME").or_else(|| set("USERPROFILE"));
    let docker = set("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
    let configuration =
        set("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
    [
        docker.map(|folder| folder.join("config.json")),
        set("REGISTRY_AUTH_FILE"),
        set("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
        configuration.map(|folder| folder.join("containers/auth.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pattern_wins() {
        let rule = |host: &str| RegistryRule::new(host.parse().unwrap());
        let options = RemoteOptions {
            rules: vec![rule("*"), rule("*.example.com"), rule("docker.io"), rule("a.example.com")],
            ..Default::default()
        };
        let found = |host| options.rule(host).map(|it| it.host.as_str());
        assert_eq!(found("a.example.com"), Some("a.example.com"));
        assert_eq!(found("b.example.com"), Some("*.example.com"));
        assert_eq!(found("ghcr.io"), Some("*"));
        assert_eq!(found("index.docker.io"), Some("docker.io"));
    }

    #[test]
    fn credential_files_come_in_the_order_of_the_tools() {
        let files = credential_files(|name| match name {
            "HOME" => Some("/home/me".into()),
            "XDG_RUNTIME_DIR" => Some("/run/user/1".into()),
            "REGISTRY_AUTH_FILE" => Some("/auth.json".into()),
            _ => None,
        });
        let expected = [
            "/home/me/.docker/config.json",
            "/auth.json",
            "/run/user/1/containers/auth.json",
            "/home/me/.config/containers/auth.json",
        ];
        assert_eq!(files, expected.map(PathBuf::from));
        assert_eq!(credential_files(|_| None), Vec::<PathBuf>::new());
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut rule = RegistryRule::new("ghcr.io".parse().unwrap());
        rule.proxy = Some("http://me:hunter2@proxy.example".to_owned());
        rule.credentials = Some(("me".to_owned(), "hunter2".to_owned().into()));
        assert!(!format!("{rule:?}").contains("hunter2"));
        let environment: ProcessEnvironment =
            [("TOKEN".into(), "hunter2".into())].into_iter().collect();
        assert!(!format!("{environment:?}").contains("hunter2"));
    }
}
