//! `[signers.…]`. Pure.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::crypto::{Certificate, Chain, Hash, KeyAlgorithm, PublicKey};
use crate::keys::{KeySource, KeyringEntry, PublicKeySource};
use crate::model::SignerName;
use crate::plan::{Ability, SignerProfile, TimestampAuthority};
use crate::spec::access::Access;
use crate::spec::code::Code;
use crate::spec::load::LoadedFile;
use crate::spec::place::Place;
use crate::spec::problem::{Problem, Problems};
use crate::spec::section::{Section, Text};
use crate::spec::suggest::nearest;
use crate::spec::validate::evidence;
use crate::spec::validate::identity;
use crate::spec::validate::pem;
use crate::spec::validate::signer_key;
use crate::trust::IdentityPolicy;

/// The signers of all files.
pub(super) struct Signers {
    pub(super) profiles: BTreeMap<SignerName, Arc<SignerProfile>>,
    pub(super) keyring: Vec<KeyringEntry>,
    known: BTreeMap<SignerName, Known>,
    used: RefCell<BTreeSet<SignerName>>,
}

/// What is known of a signer even where something in it is wrong.
struct Known {
    place: Place,
    retired: bool,
    /// The declared public key; without one, that of its key.
    public_key: Option<PublicKeySource>,
    hash: Hash,
}

impl Signers {
    /// Reads the signers of all files: a name may be used once.
    pub(super) fn read(files: &[LoadedFile], access: &Access<'_>, problems: &mut Problems) -> Self {
        let mut made = Self {
            profiles: BTreeMap::new(),
            keyring: Vec::new(),
            known: BTreeMap::new(),
            used: RefCell::default(),
        };
        for (name, section) in files.iter().flat_map(|file| file.section.named("signers")) {
            made.add(name, section, access, problems);
        }
        made.keyring.sort_by(|one, other| one.name.cmp(&other.name));
        made.compare_keys(problems);
        made
    }

    fn add(
        &mut self,
        text: &Text,
        section: &Section,
        access: &Access<'_>,
        problems: &mut Problems,
    ) {
        let name: SignerName = match text.value().parse() {
            Ok(name) => name,
            Err(_) => {
                let problem = Problem::error(
                    Code::SignerName,
                    &text.place,
                    format!("{text} cannot name a signer"),
                );
                let help = "use letters, digits, `-`, `_` and `.`, at most 64, beginning with a letter or a digit";
                return problems.add(problem.label("no name").help(help));
            }
        };
        if let Some(first) = self.known.get(&name) {
            let message = format!("the signer {text} is defined twice");
            let problem = Problem::error(Code::DefinedTwice, &text.place, message);
            let problem = problem.label("defined again").help("give one of them another name");
            return problems.add(problem.and(&first.place, "defined first"));
        }
        let draft = Draft::read(text, section, access, problems);
        let known = Known {
            place: text.place.clone(),
            retired: draft.retired,
            public_key: draft.identity(),
            hash: draft.hash,
        };
        self.known.insert(name.clone(), known);
        if let Some(source) = draft.source {
            let ability = match source {
                KeySource::Key { .. } | KeySource::Keyless(_) => Ability::Sign,
                KeySource::PublicKey(_) => Ability::VerifyOnly,
            };
            let profile = SignerProfile {
                name: name.clone(),
                ability,
                identity: draft.identity,
                retired: draft.retired,
                hash: draft.hash,
                certificate: draft.certificate,
                chain: draft.chain,
                renew_before: draft.renew_before,
                transparency_log: draft.transparency_log,
                timestamp_authorities: draft.timestamp_authorities,
            };
            self.profiles.insert(name.clone(), Arc::new(profile));
            self.keyring.push(KeyringEntry { name, source });
        }
    }

    /// Reports every signer that signs with services, where nothing names any.
    pub(super) fn need_services(&self, problems: &mut Problems) {
        for (name, profile) in &self.profiles {
            let signs = profile.ability == Ability::Sign && !profile.retired;
            let needs = profile.identity.is_some() || profile.transparency_log;
            if let Some(known) = self.known.get(name).filter(|_| signs && needs) {
                let message = format!("`{name}` needs services that `[sigstore]` does not name");
                let problem = Problem::error(Code::NoSigningConfig, &known.place, message);
                let help = "add `signing_config` to `[sigstore]`; or, for a key, write: transparency_log = false";
                problems.add(problem.label("asks for a log entry or a certificate").help(help));
            }
        }
    }

    /// A retired signer with the key of one that signs would have its signatures removed.
    fn compare_keys(&self, problems: &mut Problems) {
        for retired in self.known.values().filter(|it| it.retired && it.public_key.is_some()) {
            let same = |it: &&Known| !it.retired && it.public_key == retired.public_key;
            if let Some(signing) = self.known.values().find(same) {
                let message = "a retired signer has the key of one that still signs";
                let problem = Problem::error(Code::SameKey, &retired.place, message);
                let problem = problem.label("its signatures may be removed");
                let problem = problem.help("declare the key that was used before");
                problems.add(problem.and(&signing.place, "the same key"));
            }
        }
    }

    /// The signer that `text` names.
    pub(super) fn named(&self, text: &Text, problems: &mut Problems) -> Option<SignerName> {
        let found = self.known.keys().find(|name| name.as_str() == text.value());
        if let Some(name) = found {
            self.used.borrow_mut().insert(name.clone());
            return Some(name.clone());
        }
        let names: Vec<&str> = self.known.keys().map(SignerName::as_str).collect();
        let help = match nearest(text.value(), names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "define it: [signers.NAME]".to_owned(),
            None => format!("the spec has: {}", names.join(", ")),
        };
        let problem =
            Problem::error(Code::UnknownSigner, &text.place, format!("there is no signer {text}"));
        problems.refuse(problem.label("unknown signer").help(help))
    }

    /// The signer that `text` names, where it may sign or be asked for.
    pub(super) fn active(&self, text: &Text, problems: &mut Problems) -> Option<SignerName> {
        let name = self.named(text, problems)?;
        if self.known.get(&name).is_some_and(|it| it.retired) {
            let problem = Problem::error(
                Code::RetiredSigner,
                &text.place,
                format!("the signer {text} is retired"),
            );
            let problem = problem.label("signs no more");
            return problems.refuse(problem.help("take it out of this list, or out of retirement"));
        }
        Some(name)
    }

    /// The public key and the hash of a signer, where the spec declares the key.
    pub(super) fn verifier(&self, name: &SignerName) -> Option<(&PublicKey, Hash)> {
        let known = self.known.get(name)?;
        match known.public_key.as_ref()? {
            PublicKeySource::Known(key) => Some((key, known.hash)),
            PublicKeySource::Of(_) => None,
        }
    }

    /// Warns of signers that are neither used nor retired.
    pub(super) fn warn_unused(&self, problems: &mut Problems) {
        let used = self.used.borrow();
        for (name, known) in
            self.known.iter().filter(|(name, it)| !it.retired && !used.contains(*name))
        {
            let message = format!("the signer `{name}` is never used");
            let problem = Problem::warning(Code::UnusedSigner, &known.place, message);
            let help = format!(
                "name it in `sign_with`, or write `retired = true` so that its signatures may go: [signers.{name}]"
            );
            problems.add(problem.label("never used").help(help));
        }
    }
}

/// A signer of which everything that can be read has been read.
struct Draft {
    source: Option<KeySource>,
    identity: Option<Arc<IdentityPolicy>>,
    public_key: Option<PublicKey>,
    certificate: Option<Certificate>,
    chain: Option<Chain>,
    retired: bool,
    hash: Hash,
    renew_before: Duration,
    transparency_log: bool,
    timestamp_authorities: Option<Vec<TimestampAuthority>>,
}

impl Draft {
    fn read(name: &Text, section: &Section, access: &Access<'_>, problems: &mut Problems) -> Self {
        let retired = section.flag("retired") == Some(true);
        let declared = signer_key::public_key(section, access, problems);
        let public_key = match &declared {
            Some(PublicKeySource::Known(key)) => Some(key.clone()),
            // Only the run asks for it.
            Some(PublicKeySource::Of(_)) | None => None,
        };
        let identity = identity::read(section, problems).map(Arc::new);
        let source = match &identity {
            Some(identity) => Some(KeySource::Keyless(Arc::clone(identity))),
            None => signer_key::source(name, section, declared, access, problems),
        };
        let timestamp_authorities = evidence::authorities(section, access, problems);
        let hash = hash(section, public_key.as_ref(), problems);
        let transparency_log = evidence::log(name, section, public_key.as_ref(), problems);
        if !transparency_log {
            evidence::proves_time(section, problems);
        }
        let (certificate, chain) = pem::certificates(section, access, problems);
        if let (Some(certificate), Some(key), Some(text)) =
            (&certificate, &public_key, section.text("certificate"))
            && certificate.public_key() != key
        {
            let problem = Problem::error(
                Code::CertificateMismatch,
                &text.place,
                "the certificate is for another key than `public_key`",
            );
            let problem = problem
                .label("another key")
                .help("declare the certificate that was issued for this key");
            problems.add(problem.and(section.value_place("public_key"), "the declared key"));
        }
        let renew_before = section.text("renew_before").and_then(|it| duration(it, problems));
        let renew_before = renew_before.unwrap_or_default();
        Self {
            source,
            identity,
            public_key,
            certificate,
            chain,
            retired,
            hash,
            renew_before,
            transparency_log,
            timestamp_authorities,
        }
    }

    /// Whose signatures these are, as far as the spec says.
    fn identity(&self) -> Option<PublicKeySource> {
        match &self.source {
            Some(KeySource::PublicKey(it) | KeySource::Key { public_key: Some(it), .. }) => {
                Some(it.clone())
            }
            Some(KeySource::Key { reference, public_key: None, .. }) => {
                Some(PublicKeySource::Of(reference.clone()))
            }
            Some(KeySource::Keyless(_)) => None,
            None => self.public_key.clone().map(PublicKeySource::Known),
        }
    }
}

fn hash(section: &Section, public_key: Option<&PublicKey>, problems: &mut Problems) -> Hash {
    let Some(text) = section.text("hash") else { return Hash::default() };
    if public_key.is_some_and(|key| key.algorithm() == KeyAlgorithm::Ed25519) {
        let problem = Problem::error(Code::Hash, &text.place, "an Ed25519 key takes no `hash`");
        problems.add(problem.label("means nothing").help("leave `hash` out"));
    }
    if section.has("keyless") && text.value() != Hash::default().name() {
        let message = "an identity signs with SHA-256";
        let problem = Problem::error(Code::Hash, &text.place, message);
        problems.add(problem.label("not with this").help("leave `hash` out"));
    }
    Hash::ALL.into_iter().find(|hash| hash.name() == text.value()).unwrap_or_default()
}

/// A whole number with its unit: `90s`, `30m`, `12h`, `14d`, `2w`.
fn duration(text: &Text, problems: &mut Problems) -> Option<Duration> {
    parse_duration(text.value()).or_else(|| {
        let problem = Problem::error(Code::Duration, &text.place, format!("{text} is no duration"));
        let problem = problem.label("no duration");
        problems.refuse(
            problem.help("write a whole number with s, m, h, d or w: renew_before = \"14d\""),
        )
    })
}

fn parse_duration(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let number = text.strip_suffix(unit)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        'w' => 7 * 24 * 60 * 60,
        _ => return None,
    };
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse::<u64>().ok().filter(|_| digits)?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, seconds) in [
            ("0d", Some(0)),
            ("90s", Some(90)),
            ("30m", Some(1800)),
            ("12h", Some(43_200)),
            ("14d", Some(1_209_600)),
            ("2w", Some(1_209_600)),
            ("", None),
            ("d", None),
            ("14", None),
            ("+1d", None),
            ("1.5h", None),
            ("14 d", None),
            ("14é", None),
            ("99999999999999999999d", None),
            ("9999999999999999999w", None),
        ] {
            assert_eq!(parse_duration(text), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
