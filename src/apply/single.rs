//! Parts of an apply that can be had alone: a signature that is written nowhere, a tag that is removed.

use std::sync::Arc;

use crate::apply::Applier;
use crate::apply::make::Makers;
use crate::apply::prepare::prepare;
use crate::apply::remove::{TagsByDigest, delete};
use crate::apply::turn::Turn;
use crate::model::{Digest, Locator, Repository, Tag};
use crate::observe::failure_of;
use crate::payload::annotation;
use crate::plan::{Change, Failure, Signers};
use crate::store::Store;

/// A signature that was made and verified, and written nowhere.
#[derive(Clone, Debug)]
pub struct Made {
    /// The bytes that are signed.
    pub payload: Arc<[u8]>,
    /// The signature, in base64.
    pub signature: String,
    /// The certificate that came with it, in PEM.
    pub certificate: Option<String>,
}

/// Whether there was something to remove.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Removed {
    /// There was nothing.
    Nothing,
    /// It is gone.
    Tag,
}

impl Applier {
    /// Makes the signature of `change`, as [`apply`](Self::apply) does before it uploads it.
    ///
    /// # Errors
    ///
    /// When the key cannot be opened or used, or what it gave does not verify.
    pub async fn make(
        &self,
        change: &Change,
        digest: &Digest,
        signers: &Signers,
    ) -> Result<Made, Failure> {
        let (keyring, witnesses) = (&*self.keyring, &*self.witnesses);
        let makers = Makers { signers, keyring, witnesses, turn: &Turn::alone() };
        let prepared = prepare(change, digest, &makers, None).await?;
        let signature = prepared.addition.annotations.get(annotation::SIGNATURE);
        let signature = signature.cloned().unwrap_or_default();
        let certificate = prepared.addition.annotations.get(annotation::CERTIFICATE).cloned();
        Ok(Made { payload: prepared.payload, signature, certificate })
    }
}

/// Removes a tag and the manifest behind it, unless another tag names that too.
///
/// # Errors
///
/// `registry::delete_refused`, and what the store says.
pub async fn delete_tag(
    store: &dyn Store,
    repository: &Repository,
    tag: &Tag,
) -> Result<Removed, Failure> {
    match store.resolve(repository, &Locator::Tag(tag.clone())).await {
        Ok(found) => delete(store, &TagsByDigest::default(), repository, &found.digest, tag)
            .await
            .map(|()| Removed::Tag),
        Err(error) if error.kind.is_absent() => Ok(Removed::Nothing),
        Err(error) => Err(failure_of(&error)),
    }
}
