//! What a person should know where bundles and `.sig` tags meet. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::crypto::{Hash, KeyAlgorithm};
use crate::model::SignerName;
use crate::payload::Format;
use crate::plan::{Change, SignerState, Signers, TargetPlan, Warning};

/// The signers whose signatures at the tag of a subject are not looked at by cosign 3.
///
/// It ignores the tag as soon as any bundle is there, an attestation by anyone included. A signer is
/// hidden that has a signature at the tag, or is to have one, and none in a bundle.
///
/// Source: cosign `cmd/cosign/cli/verify/verify.go`.
pub fn hidden_by_bundle(plan: &TargetPlan) -> BTreeSet<SignerName> {
    hidden_among(plan.referrers.bundles, &plan.changes)
}

/// The same of `changes`, where so many bundles are there.
pub(crate) fn hidden_among(mut bundles: usize, changes: &[Change]) -> BTreeSet<SignerName> {
    let (mut at_tag, mut in_bundle) = (BTreeSet::new(), BTreeSet::new());
    for change in changes {
        let (format, goes) = match change {
            Change::Clean { found, .. } => (found.format, true),
            Change::Blocked { .. } | Change::Moved(_) | Change::Repair { .. } => continue,
            _ => match change.want().map(|it| it.format).or(change.found().map(|it| it.format)) {
                Some(format) => (format, false),
                None => continue,
            },
        };
        let Some(signer) = change.signer() else { continue };
        match (format, goes) {
            (Format::Bundle, true) => bundles = bundles.saturating_sub(1),
            (Format::Bundle, false) => {
                bundles += usize::from(change.action().writes());
                in_bundle.insert(signer.clone());
            }
            (Format::SimpleSigning, false) => {
                at_tag.insert(signer.clone());
            }
            (Format::SimpleSigning, true) => {}
        }
    }
    if bundles == 0 { BTreeSet::new() } else { &at_tag - &in_bundle }
}

/// The warnings of a plan about bundles: one for each key that is hidden, one for each certificate.
pub fn bundle_warnings(plans: &[TargetPlan], signers: &Signers) -> Vec<Warning> {
    let mut hidden: BTreeMap<SignerName, Vec<&str>> = BTreeMap::new();
    let mut certified = BTreeSet::new();
    for plan in plans {
        for signer in hidden_by_bundle(plan) {
            hidden.entry(signer).or_default().push(plan.target.name());
        }
        let wants = plan.target.wants.iter().filter(|it| it.format == Format::Bundle);
        certified.extend(wants.map(|it| &it.signer));
    }
    let hidden = hidden.into_iter().map(|(signer, names)| {
        let others = names.len().saturating_sub(1);
        let more = if others == 0 { String::new() } else { format!(" and {others} more") };
        let name = names.first().copied().unwrap_or_default();
        let message = format!(
            "cosign 3 does not look at the `.sig` tag of {name}{more}, because bundles are there: \
             `cosign verify` with the key of {signer} fails; add \"bundle\" to the formats, or verify \
             with `--new-bundle-format=false`"
        );
        Warning { code: "format::hidden_by_bundle", message }
    });
    let certified = certified.into_iter().filter_map(|name| signers.get(name));
    hidden.chain(certified.flat_map(certificate_warnings)).collect()
}

/// What verifiers of bundles with the certificate of a signer must know.
///
/// Measured with cosign 3.1.1: with a certificate in the bundle it takes no `--key` and looks for the hash
/// in the certificate: SHA-256, or that of the curve.
fn certificate_warnings(state: &SignerState) -> Vec<Warning> {
    let profile = &state.profile;
    let Some(certificate) = &profile.certificate else { return Vec::new() };
    let message = format!(
        "bundles of {} carry its certificate without the chain above it: verifiers need that chain in \
         their `--trusted-root`, and cannot take `--key`",
        profile.name
    );
    let mut warnings = vec![Warning { code: "format::chain_not_in_bundle", message }];
    let verified = match certificate.public_key().algorithm() {
        KeyAlgorithm::EcdsaP384 => [Hash::Sha256, Hash::Sha384],
        KeyAlgorithm::EcdsaP521 => [Hash::Sha256, Hash::Sha512],
        _ => [Hash::Sha256, Hash::Sha256],
    };
    if !verified.contains(&profile.hash) {
        let message = format!(
            "no cosign verifies bundles of {} with its certificate and {}: leave `hash` or \
             `certificate` out",
            profile.name, profile.hash
        );
        warnings.push(Warning { code: "format::hash_not_in_bundle", message });
    }
    warnings
}
