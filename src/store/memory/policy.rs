//! How a store in memory treats writes: what real registries allow and refuse. Pure.

use crate::store::MemoryStore;

/// Whether a tag may be written again.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TagPolicy {
    /// A tag that names another manifest is refused ([`ImmutableTag`](crate::store::StoreErrorKind::ImmutableTag)).
    Immutable,
    /// The last write holds.
    #[default]
    Mutable,
}

/// Whether manifests may be deleted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DeletePolicy {
    /// They may.
    #[default]
    Allow,
    /// They may not ([`Refused`](crate::store::StoreErrorKind::Refused)), as in docker-registry's default configuration.
    Refuse,
}

/// Whether [`Expected`](crate::store::Expected) is looked at.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum VersionPolicy {
    /// Versions are given and checked.
    #[default]
    Check,
    /// No versions are given and none is checked, as in most registries.
    Ignore,
}

/// Who lists referrers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ReferrersPolicy {
    /// The store does, as registries with the referrers API.
    #[default]
    Api,
    /// Clients do, behind a tag, as with docker-registry 2.
    Tag,
}

/// How a [`MemoryStore`](crate::store::MemoryStore) treats writes. The default allows everything and checks versions.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Policies {
    /// Whether manifests may be deleted.
    pub deletes: DeletePolicy,
    /// Who lists referrers.
    pub referrers: ReferrersPolicy,
    /// Whether a tag may be written again.
    pub tags: TagPolicy,
    /// Whether [`Expected`](crate::store::Expected) is looked at.
    pub versions: VersionPolicy,
}

impl MemoryStore {
    /// How writes are treated.
    pub fn policies(&self) -> Policies {
        self.state().policies
    }

    /// Sets how writes are treated from now on.
    pub fn set_policies(&self, policies: Policies) {
        self.state().policies = policies;
    }
}
