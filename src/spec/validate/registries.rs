//! `[registries."…"]`. Pure.

use core::net::Ipv6Addr;
use std::num::NonZeroU32;

use url::Url;

use crate::model::{Glob, Secret};
use crate::spec::RegistryRule;
use crate::spec::access::Access;
use crate::spec::code::Code;
use crate::spec::problem::{Problem, Problems};
use crate::spec::section::{Section, Text};

/// The rules of the file, in its order.
pub(super) fn read(
    spec: &Section,
    access: &Access<'_>,
    problems: &mut Problems,
) -> Vec<RegistryRule> {
    let rules = spec.named("registries").iter();
    rules.filter_map(|(host, section)| rule(host, section, access, problems)).collect()
}

fn rule(
    host: &Text,
    section: &Section,
    access: &Access<'_>,
    problems: &mut Problems,
) -> Option<RegistryRule> {
    let pattern = pattern(host, problems);
    for key in ["plain_http", "skip_tls_verify"] {
        if section.flag(key) == Some(true) {
            access.refuse_untrusted(&format!("`{key}`"), section.key_place(key), problems);
        }
    }
    let (plain_http, skip_tls_verify) =
        (section.flag("plain_http") == Some(true), section.flag("skip_tls_verify") == Some(true));
    if plain_http && skip_tls_verify {
        let place = section.key_place("skip_tls_verify");
        let message = "`skip_tls_verify` means nothing with `plain_http`";
        let problem = Problem::error(Code::Conflict, place, message);
        let problem = problem.label("there is no certificate to check").help("keep one of the two");
        problems.add(problem.and(section.key_place("plain_http"), "HTTP is asked for here"));
    }
    let credentials = credentials(host, section, access, problems);
    Some(RegistryRule {
        requests_per_second: section.number("requests_per_second"),
        writes_per_second: section.number("writes_per_second"),
        concurrency: section
            .integer("concurrency")
            .and_then(|it| u32::try_from(it).ok())
            .and_then(NonZeroU32::new),
        ca_file: section.text("ca_file").and_then(|it| access.existing(it, problems)),
        client_identity: client_identity(section, access, problems),
        plain_http,
        skip_tls_verify,
        proxy: proxy(section, access, problems),
        credentials,
        immutable_tags: section.flag("immutable_tags") == Some(true),
        ..RegistryRule::new(pattern?)
    })
}

type Identity = (std::path::PathBuf, std::path::PathBuf);

fn client_identity(
    section: &Section,
    access: &Access<'_>,
    problems: &mut Problems,
) -> Option<Identity> {
    let certificate = section.text("client_certificate");
    let key = section.text("client_key");
    together(section, ["client_certificate", "client_key"], problems);
    let certificate = certificate.and_then(|it| access.existing(it, problems));
    let key = key.and_then(|it| access.existing(it, problems));
    certificate.zip(key)
}

/// Two keys of which neither makes sense alone.
fn together(section: &Section, pair: [&str; 2], problems: &mut Problems) {
    let [one, other] = pair;
    for (there, missing) in [(one, other), (other, one)] {
        if section.has(there) && !section.has(missing) {
            let message = format!("`{there}` needs `{missing}` beside it");
            let problem = Problem::error(Code::Conflict, section.key_place(there), message);
            problems.add(problem.label("alone").help(format!("add `{missing}`")));
        }
    }
}

fn proxy(section: &Section, access: &Access<'_>, problems: &mut Problems) -> Option<String> {
    let text = section.text("proxy")?;
    // With a `ca_file` of its own, a proxy could read what is sent to the registry.
    access.refuse_untrusted("`proxy`", section.key_place("proxy"), problems);
    let url = Url::parse(text.value()).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") && url.has_host()
    });
    url.map(String::from).or_else(|| {
        let problem = Problem::error(Code::Url, &text.place, "`proxy` takes a URL");
        let problem = problem.label("no URL of a proxy");
        problems
            .refuse(problem.help("write, for example: proxy = \"http://proxy.example.com:3128\""))
    })
}

/// User name and password, where the spec names the variables that hold them.
///
/// Each must be allowed for this very host or pattern: `--allow-env NAME@HOST`.
fn credentials(
    host: &Text,
    section: &Section,
    access: &Access<'_>,
    problems: &mut Problems,
) -> Option<(String, Secret<String>)> {
    together(section, ["username_env", "password_env"], problems);
    let mut look_up = |key| {
        let name = section.text(key)?;
        access.credential(name, host.value(), problems)
    };
    let username = look_up("username_env").map(|name| name.expose().clone());
    let password = look_up("password_env");
    username.zip(password)
}

/// The pattern for hosts as references name them.
fn pattern(host: &Text, problems: &mut Problems) -> Option<Glob> {
    let text = host.value();
    let is_address = text
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok());
    // The bracket of an IPv6 address begins no class of letters.
    let pattern = if is_address { text.replacen('[', "[[]", 1) } else { text.to_owned() };
    let wrong = |message: String| {
        let problem = Problem::error(Code::Glob, &host.place, message);
        problem
            .label("no host")
            .help("write a host with its port, if it has one, or a pattern: \"*.example.com\"")
    };
    if text.is_empty() || text.contains('/') || text.contains(char::is_whitespace) {
        return problems.refuse(wrong(format!("{host} is no registry host")));
    }
    match pattern.parse() {
        Ok(glob) => Some(glob),
        Err(_) => problems.refuse(wrong(format!("{host} is no pattern for registry hosts"))),
    }
}
