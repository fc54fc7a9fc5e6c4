//! Signatures that were made elsewhere and that no entry of a spec names: they take the places that are owed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::Digest;
use crate::plan::{Attachment, Want, WantOrigin};

/// Signatures by the digest that their payloads name.
#[derive(Clone, Debug, Default)]
pub struct Given(HashMap<Digest, Vec<Arc<Attachment>>>);

impl Given {
    /// Adds one.
    pub fn add(&mut self, attachment: Arc<Attachment>) {
        self.0.entry(attachment.claim.digest.clone()).or_default().push(attachment);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Says whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The want with the given signature where it is owed and one says just that, else as it is.
    pub(super) fn fill(&self, want: Want, digest: &Digest) -> Want {
        let given = self.0.get(digest).filter(|_| matches!(want.origin, WantOrigin::Owed));
        let found = given.into_iter().flatten().find(|attachment| {
            attachment.signer == want.signer
                && attachment.format() == want.format
                && want.is_said_by(&attachment.claim, digest)
        });
        found.map_or_else(|| want.clone(), Want::attach)
    }
}
