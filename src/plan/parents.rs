//! An index is signed after the images in it, and only if they can be.

use std::collections::HashMap;

use crate::model::{Digest, Repository, SignerName};
use crate::plan::{Change, Failure, FailureClass, TargetPlan};

/// For which signer an image is blocked (none: as a whole), and by which kind of failure.
type Block = (Option<SignerName>, FailureClass);

/// Blocks the writes of every index of which an image is blocked.
///
/// An image that is blocked as a whole blocks its index; one that is blocked for one signer blocks the
/// index for that signer. Plans must come with the images of an index before it, so that nested indexes
/// are held too.
pub fn hold_parents(plans: &mut [TargetPlan]) {
    let mut blocked: HashMap<(Repository, Digest), Vec<Block>> = HashMap::new();
    for plan in plans {
        let target = &plan.target;
        let below: Vec<(&Digest, &Block)> = target
            .children
            .iter()
            .filter_map(|child| {
                let place = (target.signatures.clone(), child.clone());
                Some(blocked.get(&place)?.iter().map(move |block| (child, block)))
            })
            .flatten()
            .collect();
        if !below.is_empty() {
            for change in plan.changes.iter_mut().filter(|it| it.action().writes()) {
                let signer = change.want().map(|want| want.signer.clone());
                let cause = below.iter().find(|(_, (by, _))| by.is_none() || *by == signer);
                let Some((child, (_, class))) =
                    cause.or_else(|| below.first().filter(|_| signer.is_none()))
                else {
                    continue;
                };
                if matches!(change, Change::Repair { .. }) {
                    continue;
                }
                *change = match change {
                    Change::Clean { found, standing } => {
                        Change::Foreign { found: found.clone(), standing: *standing }
                    }
                    _ => Change::Blocked {
                        want: change.want().cloned(),
                        reason: Failure::new(
                            "image::child_blocked",
                            format!("not signed because {} in it is blocked", child.short()),
                            *class,
                        )
                        .help("mend what blocks that image first"),
                    },
                };
            }
        }
        let own: Vec<Block> = plan
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::Blocked { want, reason } => {
                    Some((want.as_ref().map(|it| it.signer.clone()), reason.class))
                }
                _ => None,
            })
            .collect();
        if !own.is_empty() {
            blocked.insert((target.signatures.clone(), target.subject.digest.clone()), own);
        }
    }
}
