//! Every signature of a subject as it is stored: what `download signature` and `import` read.

use bytes::Bytes;

use crate::model::Descriptor;
use crate::observe::examine::{read_carrier, read_payload};
use crate::payload::{CarrierLayer, annotation};
use crate::plan::{Failure, Target};
use crate::store::ReadStore;

/// A signature as it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The layer: digest and size of the payload, and the annotations.
    pub layer: Descriptor,
    /// The payload.
    pub payload: Bytes,
}

impl Stored {
    /// The signature as it was written, in base64; empty where there is none.
    pub fn signature(&self) -> &str {
        self.layer.annotation(annotation::SIGNATURE).unwrap_or_default()
    }
}

/// Reads the signatures of `target` with their payloads, in the order of the manifest.
///
/// One request for the manifest and one for each signature; nothing there is an empty list.
///
/// # Errors
///
/// When the manifest or one of the payloads cannot be read.
pub async fn stored(target: &Target, store: &dyn ReadStore) -> Result<Vec<Stored>, Failure> {
    let Some(read) = read_carrier(target, store).await? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for CarrierLayer { position, descriptor } in read.carrier.layers() {
        let layer = CarrierLayer { position, descriptor };
        let payload = read_payload(target, store, layer.descriptor).await?;
        found.push(Stored { layer: descriptor.clone(), payload: payload.into() });
    }
    Ok(found)
}
