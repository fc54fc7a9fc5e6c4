//! The words of the crate: digests, references, manifests, names, time, secrets. Pure.

mod digest;
mod environment;
mod glob;
pub mod go_json;
mod manifest;
mod name;
mod reference;
mod repository;
mod secret;
mod time;

pub use digest::{Algorithm, Digest, DigestError, DigestHasher};
pub use environment::Environment;
pub use glob::{Glob, GlobError};
pub use manifest::{Annotations, Descriptor, Index, Manifest, ManifestError, Platform, media_type};
pub use name::{NameError, SignerName};
pub use reference::{ImageRef, Locator, ReferenceError, Subject, Tag};
pub use repository::{LayoutPath, RemoteRepository, Repository};
pub use secret::{SafeUrl, Secret};
pub use time::{Clock, SystemClock, Timestamp};
