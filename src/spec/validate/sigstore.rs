//! `[sigstore]`. Pure.

use crate::spec::access::Access;
use crate::spec::not_yet;
use crate::spec::problem::Problems;
use crate::spec::section::Section;

/// Checks the section, where there is one.
pub(super) fn check(spec: &Section, access: &Access<'_>, problems: &mut Problems) {
    let Some(section) = spec.section("sigstore") else { return };
    access.refuse_untrusted("`[sigstore]`", spec.key_place("sigstore"), problems);
    for key in ["signing_config", "trusted_root"] {
        if let Some(path) = section.text(key) {
            access.existing(path, problems);
        }
    }
    not_yet::sigstore(spec, problems);
}
