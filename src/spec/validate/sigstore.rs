//! `[sigstore]`: the files of a private deployment. Pure.

use std::sync::Arc;

use crate::sigstore::SigningConfig;
use crate::spec::Sigstore;
use crate::spec::access::{Access, MAX_SMALL};
use crate::spec::code::Code;
use crate::spec::problem::{Problem, Problems};
use crate::spec::section::Section;
use crate::trust::TrustedRoot;

/// The deployment of the spec, where it declares one.
pub(super) fn read(
    spec: &Section,
    access: &Access<'_>,
    problems: &mut Problems,
) -> Option<Sigstore> {
    let section = spec.section("sigstore")?;
    access.refuse_untrusted("`[sigstore]`", spec.key_place("sigstore"), problems);
    if !section.has("trusted_root") {
        let message = "`[sigstore]` needs `trusted_root`: without it nothing could be verified";
        let problem = Problem::error(Code::MissingKey, spec.key_place("sigstore"), message);
        let help =
            "add: trusted_root = \"trusted_root.json\" (`cosign trusted-root create` writes one)";
        problems.add(problem.label("`trusted_root` is missing").help(help));
    }
    let trusted_root = trusted_root(section, access, problems);
    let signing_config = signing_config(section, access, problems);
    Some(Sigstore { trusted_root: trusted_root?, signing_config })
}

/// Says whether the spec has a deployment that names no services.
pub(super) fn only_verifies(spec: &Section) -> bool {
    spec.section("sigstore").is_some_and(|it| !it.has("signing_config"))
}

fn signing_config(
    section: &Section,
    access: &Access<'_>,
    problems: &mut Problems,
) -> Option<Arc<SigningConfig>> {
    let text = section.text("signing_config")?;
    let json = access.read(text, MAX_SMALL, problems)?;
    match SigningConfig::parse(&json) {
        Ok(config) => Some(Arc::new(config)),
        Err(_) => {
            let message = "the file holds no signing config of version 0.2";
            let problem = Problem::error(Code::SigningConfig, &text.place, message);
            let help = "name the JSON that `cosign signing-config create` writes, of media type `application/vnd.dev.sigstore.signingconfig.v0.2+json`";
            problems.refuse(problem.label("no signing config").help(help))
        }
    }
}

fn trusted_root(
    section: &Section,
    access: &Access<'_>,
    problems: &mut Problems,
) -> Option<Arc<TrustedRoot>> {
    let text = section.text("trusted_root")?;
    let json = access.read(text, MAX_SMALL, problems)?;
    match TrustedRoot::parse(&json) {
        Ok(root) => Some(Arc::new(root)),
        Err(_) => {
            let message = "the file holds no trusted root";
            let problem = Problem::error(Code::TrustedRoot, &text.place, message);
            let help = "name the JSON that `cosign trusted-root create` writes, of media type `application/vnd.dev.sigstore.trustedroot+json`";
            problems.refuse(problem.label("no trusted root").help(help))
        }
    }
}
