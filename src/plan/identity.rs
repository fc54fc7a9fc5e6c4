//! What is declared of an identity, as people read and approve it. Pure.

use crate::trust::{IdentityPolicy, Matcher};

/// The whole of a policy in one line; two policies that differ never give the same.
///
/// `"ci@acme.com", by "https://accounts.google.com"`; a pattern is `matching "…"`.
pub fn identity_text(policy: &IdentityPolicy) -> String {
    let told = |matcher: &Matcher| match matcher {
        Matcher::Exact(text) => format!("{text:?}"),
        Matcher::Pattern(_) => format!("matching {:?}", matcher.declared()),
    };
    let mut text = format!("{}, by {}", told(&policy.identity), told(&policy.issuer));
    for (name, claim) in policy.github.named() {
        if let Some(claim) = claim {
            text = format!("{text}, github {name} {claim:?}");
        }
    }
    text
}
