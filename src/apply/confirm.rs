//! A second look at what was written, some time after: registries that check no versions let a writer that read
//! before us overwrite us after we have read back.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::apply::converge::{Converge, Current};
use crate::apply::step::Step;
use crate::model::Digest;
use crate::plan::{Failure, Target};
use crate::report::Done;

/// How often what was written is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Confirm {
    /// Right after it was written.
    Once,
    /// And once more after a time in which every writer that had read before must have written.
    Twice,
}

/// The shortest time that is waited, and the longest.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

impl Converge {
    /// Looks again, after a multiple of the time that our own way from reading to writing took: others are as fast
    /// on the same registry. Where a signature of ours is gone, it is open again, and what is there is given.
    pub(super) async fn lost_later(
        &self,
        target: &Target,
        began: Instant,
        written: Option<&Digest>,
        steps: &mut [Step],
    ) -> Result<Option<Current>, Failure> {
        let ours = |it: &&mut Step| {
            matches!(it.result, Some(Ok(Done::Written))) && matches!(it.prepared, Some(Ok(_)))
        };
        if self.confirm == Confirm::Once || !steps.iter_mut().any(|it| ours(&it)) {
            return Ok(None);
        }
        sleep((began.elapsed() * 3).clamp(SHORTEST, LONGEST)).await;
        let current = self.read(target).await?;
        if current.digest.as_ref() == written {
            return Ok(None);
        }
        let mut lost = false;
        for step in steps.iter_mut().filter(ours) {
            if !step.is_in(&current.carrier) {
                step.result = None;
                lost = true;
            }
        }
        Ok(lost.then_some(current))
    }
}
