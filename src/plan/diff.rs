//! The diff: the heart of the crate, and a pure function.
//!
//! In order: each want takes the first found signature that satisfies it; what is left of the wants is
//! paired with what is left of their signers' signatures; what is left of those is superseded, retired
//! or foreign. DESIGN "What counts as already signed" and "Changes" are this file, in words.

use crate::model::{Digest, SignerName, Timestamp};
use crate::payload::Format;
use crate::plan::compare::{self, CertificateState};
use crate::plan::making;
use crate::plan::{
    Change, Difference, Failure, Field, Found, IndexFault, Making, Observed, Prune, SeenReferrers,
    SignerState, Signers, Standing, Target, Verdict, Want, WantOrigin,
};

/// What the diff takes besides what is wanted and what is there.
#[derive(Clone, Copy, Debug)]
pub struct DiffOptions {
    /// The time now: certificates end.
    pub now: Timestamp,
    /// Whether anything may be removed in this run.
    pub cleaning: Cleaning,
}

/// Whether a run may remove what it does not want.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cleaning {
    /// As the images' `prune` says.
    AsDeclared,
    /// Nothing: the run sees only a part of the images.
    Never,
}

/// Compares what is wanted of one target with what was found of it.
///
/// Never fails: what cannot be decided becomes [`Change::Blocked`]. The changes come in the order of
/// the wants, then the order in which the rest was found. Costs no request; verifies no signature but
/// those of attachments.
pub fn diff(
    target: &Target,
    observed: &Observed,
    signers: &Signers,
    options: &DiffOptions,
) -> Vec<Change> {
    let mut changes: Vec<Change> = target.moved.iter().cloned().map(Change::Moved).collect();
    let blocked = target.blocked.iter().cloned();
    changes.extend(blocked.map(|reason| Change::Blocked { want: None, reason }));
    match observed {
        Observed::Missing if target.optional => {}
        Observed::Missing => changes.push(Change::Blocked { want: None, reason: missing(target) }),
        Observed::Unreadable(reason) => {
            changes.push(Change::Blocked { want: None, reason: reason.clone() });
        }
        Observed::Read { carrier, referrers, found } => {
            let carrier = carrier.as_ref();
            let matching = Matching { target, signers, options, carrier, referrers, found };
            matching.run(&mut changes);
        }
    }
    changes
}

fn missing(target: &Target) -> Failure {
    Failure::error("image::not_found", format!("{} does not exist", target.subject))
        .help("push the image first, or mark the entry `optional = true`")
}

struct Matching<'a> {
    target: &'a Target,
    signers: &'a Signers,
    options: &'a DiffOptions,
    carrier: Option<&'a Digest>,
    referrers: &'a SeenReferrers,
    found: &'a [Found],
}

impl Matching<'_> {
    fn run(&self, changes: &mut Vec<Change>) {
        let mut order: Vec<usize> = (0..self.found.len()).collect();
        order.sort_by_key(|index| self.rank(*index));
        let mut taken = vec![false; self.found.len()];
        let mut kept: Vec<Option<usize>> = Vec::with_capacity(self.target.wants.len());
        for want in &self.target.wants {
            let free = order.iter().copied().find(|index| {
                !is_set(&taken, *index)
                    && self.found.get(*index).is_some_and(|found| self.satisfies(found, want))
            });
            if let Some(index) = free {
                set(&mut taken, index);
            }
            kept.push(free);
        }
        let mut paired = taken.clone();
        for (want, kept) in self.target.wants.iter().zip(kept) {
            let change = match kept.and_then(|index| self.found.get(index)) {
                Some(found) => Change::Keep { want: want.clone(), found: found.clone() },
                None => self.left_over(want, &order, &mut paired),
            };
            changes.push(change);
        }
        let wants_blocked = changes.iter().any(|it| matches!(it, Change::Blocked { .. }));
        let hold = wants_blocked || self.holds_cleaning();
        let cleaning = if hold { Cleaning::Never } else { self.options.cleaning };
        changes.extend(self.repair(changes, cleaning));
        for index in order {
            let Some(found) = self.found.get(index).filter(|_| !is_set(&taken, index)) else {
                continue;
            };
            changes.push(self.unwanted(found, cleaning));
        }
    }

    /// Earliest proven time, then manifest order, then digest.
    fn rank(&self, index: usize) -> (Timestamp, usize, Option<&Digest>) {
        let found = self.found.get(index);
        let proven = found.and_then(|it| it.proven).unwrap_or(Timestamp::from_seconds(i64::MAX));
        (proven, found.map_or(0, |it| it.position), found.map(|it| &it.id.payload))
    }

    fn state(&self, signer: &SignerName) -> Option<&SignerState> {
        self.signers.get(signer)
    }

    fn satisfies(&self, found: &Found, want: &Want) -> bool {
        let counts = want.making == Making::IfMissing;
        counts
            && self.state(&want.signer).is_some_and(|state| {
                compare::differences(
                    found,
                    want,
                    state,
                    &self.target.subject.digest,
                    self.options.now,
                )
                .is_some_and(|differences| differences.is_empty())
            })
    }

    /// What to do about a want that nothing satisfies.
    fn left_over(&self, want: &Want, order: &[usize], paired: &mut [bool]) -> Change {
        let blocked = |reason| Change::Blocked { want: Some(want.clone()), reason };
        let Some(state) = self.state(&want.signer) else {
            return blocked(Failure::error(
                "signer::unknown",
                format!("no signer is called `{}`", want.signer),
            ));
        };
        if let Some(reason) = state.unknown() {
            return blocked(reason.clone());
        }
        if let Some(reason) = self.target.blocked.first() {
            let message = format!("not signed because the image is blocked: {}", reason.message);
            return blocked(Failure { message, ..reason.clone() });
        }
        let declared = compare::declared(want, state);
        if let CertificateState::Unusable(reason) = declared.state(state, self.options.now) {
            return blocked(reason);
        }
        if let Some(reason) = making::refused(want, state, self.options.now) {
            return blocked(reason);
        }
        if let Some(reason) = self.unmet_requirement() {
            return blocked(reason);
        }
        if want.format == Format::Bundle
            && let Some(reason) = self.unread_bundle()
        {
            return blocked(reason.clone());
        }
        if self.target.immutable_tags && self.has_tag(want.format) {
            return blocked(
                Failure::error(
                    "registry::immutable_tag",
                    format!("{} already has signatures, and the registry does not overwrite tags", self.target.subject),
                )
                .help("exclude tags that begin with `sha256-` from the registry's immutability rule, or set `signature_repository`"),
            );
        }
        let nearest = self.nearest(want, state, order, paired);
        let pair = nearest.as_ref().and_then(|(index, _)| self.found.get(*index));
        if let (Some(found), Some((index, differences))) = (pair, &nearest) {
            let certificate_only = differences.iter().all(|difference| {
                matches!(
                    difference.field,
                    Field::Certificate | Field::CertificateChain | Field::Expiry
                )
            });
            if certificate_only && found.carried.is_none() && declared.certificate.is_some() {
                set(paired, *index);
                return Change::Attach { want: want.clone(), to: Some(found.clone()) };
            }
        }
        match &want.origin {
            WantOrigin::Attach(_) => Change::Attach { want: want.clone(), to: None },
            WantOrigin::Owed => blocked(
                Failure::error(
                    "signature::owed",
                    format!(
                        "{} has not signed it yet: there is only a public key here",
                        want.signer
                    ),
                )
                .help("sign it elsewhere and declare it under `[[images.attachments]]`"),
            ),
            WantOrigin::Sign => match (pair, nearest) {
                (Some(found), Some((index, differences))) => {
                    set(paired, index);
                    Change::Resign { want: want.clone(), found: found.clone(), differences }
                }
                _ => Change::Sign { want: want.clone() },
            },
        }
    }

    /// Says whether there is a tag already that a signature in this format must overwrite.
    fn has_tag(&self, format: Format) -> bool {
        match format {
            Format::Bundle => self.referrers.index.is_some(),
            Format::SimpleSigning => self.carrier.is_some(),
        }
    }

    /// Why a bundle could not be read: it may be any that is wanted.
    fn unread_bundle(&self) -> Option<&Failure> {
        self.found.iter().find_map(|found| match &found.verdict {
            Verdict::Unreadable(reason) if found.format == Format::Bundle => Some(reason),
            _ => None,
        })
    }

    /// Mends the index behind the referrers tag, where bundles are declared; takes entries away only
    /// where something may be removed, and what is listed and not there before a list is written: registries
    /// refuse lists that name it.
    fn repair(&self, changes: &[Change], cleaning: Cleaning) -> Option<Change> {
        let declared = self.target.wants.iter().any(|it| it.format == Format::Bundle);
        if !declared || self.target.immutable_tags || !self.target.blocked.is_empty() {
            return None;
        }
        let removes = cleaning == Cleaning::AsDeclared && self.target.prune > Prune::Keep;
        let writes = changes.iter().filter(|it| it.action().writes());
        let adds = writes.filter_map(Change::want).any(|it| it.format == Format::Bundle);
        let faults = self.referrers.faults.iter().filter(|fault| match fault {
            IndexFault::Described(_) => true,
            IndexFault::Dangling(_) => removes || adds,
            IndexFault::Stranger(_) => removes,
        });
        let faults: Vec<IndexFault> = faults.cloned().collect();
        (!faults.is_empty()).then_some(Change::Repair { faults })
    }

    /// The unpaired signature of the same signer that differs least.
    fn nearest(
        &self,
        want: &Want,
        state: &SignerState,
        order: &[usize],
        paired: &[bool],
    ) -> Option<(usize, Vec<Difference>)> {
        if want.making == Making::OneMore {
            return None;
        }
        let digest = &self.target.subject.digest;
        let candidates =
            order.iter().filter(|index| !is_set(paired, **index)).filter_map(|index| {
                // In a shared place, what names another image is that image's.
                let found = self.found.get(*index).filter(|it| !self.names_another_identity(it))?;
                let differences =
                    compare::differences(found, want, state, digest, self.options.now)?;
                Some((*index, differences))
            });
        candidates.min_by_key(|(_, differences)| differences.len())
    }

    fn unmet_requirement(&self) -> Option<Failure> {
        self.target.requires.iter().find_map(|signer| {
            let state = self.state(signer);
            if let Some(reason) = state.and_then(SignerState::unknown) {
                return Some(reason.clone());
            }
            let signed = self.found.iter().any(|found| {
                found.signer() == Some(signer)
                    && state.is_some_and(|it| compare::is_witnessed(found, it, self.options.now))
                    && found
                        .claim
                        .as_ref()
                        .is_some_and(|claim| claim.digest == self.target.subject.digest)
            });
            (!signed).then(|| {
                Failure::error(
                    "signature::requires",
                    format!("{signer} has not signed it, and `requires` names {signer}"),
                )
                .help(format!("run again when {signer} has signed it"))
            })
        })
    }

    /// Says whether something that is not known keeps everything in place.
    fn holds_cleaning(&self) -> bool {
        let unknown_signer = self.signers.values().any(|state| !state.is_known());
        let unreadable = self
            .found
            .iter()
            .any(|found| matches!(found.verdict, Verdict::Unreadable(_) | Verdict::Unexamined));
        unknown_signer || unreadable || self.target.incomplete || !self.target.blocked.is_empty()
    }

    /// What to do about a signature that no want took.
    fn unwanted(&self, found: &Found, cleaning: Cleaning) -> Change {
        if let Verdict::Unreadable(reason) = &found.verdict {
            return Change::Blocked { want: None, reason: reason.clone() };
        }
        let standing = self.standing(found);
        let prune = self.target.prune;
        let goes = match standing {
            Standing::Superseded => prune >= Prune::Superseded,
            Standing::Retired => prune >= Prune::Retired,
            // Nothing but cosign 2 itself knows what reads those.
            Standing::Foreign if matches!(found.verdict, Verdict::Experimental { .. }) => false,
            Standing::Foreign => prune >= Prune::Undeclared && !self.names_another_identity(found),
            Standing::Unexamined => false,
        };
        if goes && cleaning == Cleaning::AsDeclared {
            Change::Clean { found: found.clone(), standing }
        } else {
            Change::Foreign { found: found.clone(), standing }
        }
    }

    fn standing(&self, found: &Found) -> Standing {
        match &found.verdict {
            Verdict::Unexamined => Standing::Unexamined,
            Verdict::Experimental { .. } | Verdict::Stranger | Verdict::Unreadable(_) => {
                Standing::Foreign
            }
            Verdict::Signed { .. } if self.names_another_identity(found) => Standing::Foreign,
            Verdict::Signed { signer, .. } if self.target.signers.contains(signer) => {
                Standing::Superseded
            }
            Verdict::Signed { signer, .. } => {
                let retired = self.state(signer).is_some_and(|state| state.profile.retired);
                if retired { Standing::Retired } else { Standing::Foreign }
            }
        }
    }

    /// In a shared signature repository another identity means another image: it is not ours to touch.
    fn names_another_identity(&self, found: &Found) -> bool {
        self.target.signatures != self.target.subject.repository
            && found.format == Format::SimpleSigning
            && found.claim.as_ref().is_none_or(|claim| {
                let wanted = self.target.wants.iter().map(|want| &want.identity);
                !wanted.chain(&self.target.identities).any(|identity| **identity == *claim.identity)
            })
    }
}

fn is_set(flags: &[bool], index: usize) -> bool {
    flags.get(index).copied().unwrap_or(false)
}

fn set(flags: &mut [bool], index: usize) {
    if let Some(flag) = flags.get_mut(index) {
        *flag = true;
    }
}

#[cfg(test)]
mod tests;
