//! What a signer signs with: a key, an identity, or nothing but a public key. Pure.

use std::path::Path;

use url::Url;

use crate::keys::{self, KeyError, KeyReference, KeySource, PasswordSource, PublicKeySource};
use crate::spec::access::Access;
use crate::spec::code::Code;
use crate::spec::problem::{Problem, Problems};
use crate::spec::section::{Section, Text};
use crate::spec::validate::pem;

/// What the signer signs with, where that can be told.
pub(super) fn source(
    name: &Text,
    section: &Section,
    public_key: Option<PublicKeySource>,
    access: &Access<'_>,
    problems: &mut Problems,
) -> Option<KeySource> {
    if !["key", "public_key", "keyless"].iter().any(|key| section.has(key)) {
        let problem = Problem::error(
            Code::MissingKey,
            &name.place,
            format!("the signer {name} has nothing to sign or verify with"),
        );
        let help = "add: key = \"cosign.key\" (or public_key = \"cosign.pub\" for signatures that are made elsewhere)";
        problems.add(problem.label("no `key`, no `public_key`").help(help));
    }
    let password = password(section, access, problems);
    if !section.has("key") {
        return public_key.map(KeySource::PublicKey);
    }
    // With a public key beside it, the key itself may be where only `apply` runs.
    let elsewhere = section.has("public_key");
    let file = |it: &Text, problems: &mut Problems| {
        if elsewhere { access.path(it, problems) } else { access.existing(it, problems) }
    };
    let reference = section.text("key").and_then(|it| match scheme(it) {
        None => file(it, problems).map(KeyReference::File),
        Some(scheme) => reference(it, scheme, KEY, access, problems),
    });
    // A public key that could not be read has been reported: without it, the source is another one.
    if section.has("public_key") && public_key.is_none() {
        return None;
    }
    Some(KeySource::Key { reference: reference?, password, public_key })
}

fn password(section: &Section, access: &Access<'_>, problems: &mut Problems) -> PasswordSource {
    for key in ["password_env", "password_file"] {
        if section.has(key) && !section.has("key") {
            let message = format!("`{key}` needs a `key` beside it");
            let problem = Problem::error(Code::Conflict, section.key_place(key), message);
            problems
                .add(problem.label("the password of nothing").help("add `key`, or take this out"));
        }
    }
    if section.has("password_env") && section.has("password_file") {
        let place = section.key_place("password_file");
        let problem = Problem::error(Code::Conflict, place, "the password comes from two places");
        let problem = problem.label("and from a file").help("keep one of the two");
        problems.add(problem.and(section.key_place("password_env"), "from the environment"));
    }
    if let Some(name) = section.text("password_env") {
        // Every key may have it without being asked: it is where cosign takes the password from.
        if name.value() != "COSIGN_PASSWORD" {
            access.allowed(name.value(), None, &name.place, problems);
        }
        return PasswordSource::Environment(name.value().to_owned());
    }
    let file = section.text("password_file").and_then(|it| access.existing(it, problems));
    file.map_or(PasswordSource::Default, PasswordSource::File)
}

/// The public key that is declared: in a file, or wherever a reference leads.
pub(super) fn public_key(
    section: &Section,
    access: &Access<'_>,
    problems: &mut Problems,
) -> Option<PublicKeySource> {
    let text = section.text("public_key")?;
    match scheme(text) {
        None => pem::public_key(text, access, problems).map(PublicKeySource::Known),
        Some(scheme) => {
            reference(text, scheme, PUBLIC_KEY, access, problems).map(PublicKeySource::Of)
        }
    }
}

/// What takes a reference in the spec, with a file and a variable that it could name.
#[derive(Clone, Copy)]
struct Taker {
    key: &'static str,
    file: &'static str,
    variable: &'static str,
}

const KEY: Taker = Taker { key: "key", file: "cosign.key", variable: "COSIGN_PRIVATE_KEY" };
const PUBLIC_KEY: Taker =
    Taker { key: "public_key", file: "cosign.pub", variable: "COSIGN_PUBLIC_KEY" };

/// The scheme of a reference in cosign's grammar, in lower case; what has none is a file.
fn scheme(text: &Text) -> Option<String> {
    match text.value().split_once("://") {
        _ if text.value().starts_with("pkcs11:") => Some("pkcs11".to_owned()),
        Some((scheme, _)) => Some(scheme.to_ascii_lowercase()),
        None => None,
    }
}

/// The key that `text` refers to.
fn reference(
    text: &Text,
    scheme: String,
    taker: Taker,
    access: &Access<'_>,
    problems: &mut Problems,
) -> Option<KeyReference> {
    let (value, Taker { key, file, variable }) = (text.value(), taker);
    let wrong = |message: &str, help: &str| {
        let problem = Problem::error(Code::KeyReference, &text.place, message);
        problem.label("no key").help(help)
    };
    match scheme.as_str() {
        "env" => {
            let name = value.split_once("://").map(|(_, name)| name).unwrap_or_default();
            if name.is_empty() || name.contains(['=', '/']) {
                return problems.refuse(wrong(
                    "`env://` needs the name of a variable",
                    &format!("write: {key} = \"env://NAME\""),
                ));
            }
            access.allowed(name, None, &text.place, problems)?;
            Some(KeyReference::Uri { scheme, text: format!("env://{name}") })
        }
        "file" => problems.refuse(wrong(
            "there are no `file://` keys",
            &format!("write the path alone: {key} = \"{file}\""),
        )),
        "http" | "https" => problems.refuse(wrong(
            "a key from the network is not taken: the network would decide whose key it is",
            &format!("save it to a file, and write: {key} = \"{file}\""),
        )),
        "github" => problems.refuse(wrong(
            "secrets of GitHub cannot be read back",
            &format!(
                "pass the secret to the job as a variable, and write: {key} = \"env://{variable}\""
            ),
        )),
        provider => {
            // Each would run what the spec names, read it, or show it who asks.
            let runs = match provider {
                "awskms" if !value.starts_with("awskms:///") => Some("an endpoint"),
                // A token for all vaults would go there in the clear.
                "azurekms" if !value.contains(".vault.") && !value.contains(".managedhsm.") => {
                    Some("an emulator")
                }
                "pkcs11" if value.contains("pin-source") => Some("`pin-source`"),
                "pkcs11" if value.contains("module-path") => Some("`module-path`"),
                other if keys::is_plugin(other) => Some("a plugin"),
                _ => None,
            };
            if let Some(runs) = runs.filter(|_| access.is_untrusted()) {
                access.refuse_untrusted(runs, &text.place, problems);
                return None;
            }
            match KeyReference::parse(value, Path::new("")) {
                Ok(reference) => Some(reference),
                Err(error) => problems.refuse(refused(text, provider, &error)),
            }
        }
    }
}

/// A reference that no provider of this build takes. A scheme that a variable brought is not shown.
fn refused(text: &Text, scheme: &str, error: &KeyError) -> Problem {
    let is_written = text.place.written().to_ascii_lowercase().contains(scheme);
    let message = match &error.source {
        Some(cause) if is_written => cause.to_string(),
        _ => "the reference to the key is not taken".to_owned(),
    };
    let help = error.help().unwrap_or("write a key reference as cosign does").to_owned();
    Problem::error(Code::KeyReference, &text.place, message).label("no key").help(help)
}

/// Checks that a text is a URL with a host, over HTTPS or HTTP.
pub(super) fn web_address(text: &Text, problems: &mut Problems) {
    let url = Url::parse(text.value()).ok();
    if !url.is_some_and(|url| matches!(url.scheme(), "https" | "http") && url.has_host()) {
        let problem = Problem::error(Code::Url, &text.place, format!("{text} is no URL"));
        problems.add(problem.label("no URL").help("write it whole: https://host/path"));
    }
}
