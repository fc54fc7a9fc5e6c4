//! Both kinds of real registry: one whose clients keep the lists of referrers behind tags, one that keeps them.

use super::docker_registry::{self, Deletion, DockerRegistry};
use super::images::Publisher;
use super::oci_registry::{self, OciRegistry};
use super::requests::Requests;

/// Who keeps the lists of referrers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The registry: [`OciRegistry`].
    Api,
    /// The clients, behind tags: [`DockerRegistry`].
    Tag,
}

impl Kind {
    /// Both, for a test that says what holds everywhere.
    pub const BOTH: [Self; 2] = [Self::Tag, Self::Api];
}

/// A running registry of either kind, over plain HTTP and open to everybody.
pub enum Registry {
    Api(OciRegistry),
    Tag(DockerRegistry),
}

impl Registry {
    /// Starts one of `kind`.
    pub fn start(kind: Kind) -> Self {
        Self::with(kind, Deletion::Allowed)
    }

    /// Starts one of `kind`, which deletes or not.
    pub fn with(kind: Kind, deletion: Deletion) -> Self {
        match kind {
            Kind::Api => {
                let options = oci_registry::Options { deletion, ..Default::default() };
                Self::Api(OciRegistry::with(options))
            }
            Kind::Tag => {
                let options = docker_registry::Options { deletion, ..Default::default() };
                Self::Tag(DockerRegistry::with(options))
            }
        }
    }

    /// Which of the two.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Api(_) => Kind::Api,
            Self::Tag(_) => Kind::Tag,
        }
    }

    /// Host and port, as they stand in a reference.
    pub fn host(&self) -> String {
        match self {
            Self::Api(registry) => registry.address().to_string(),
            Self::Tag(registry) => registry.host(),
        }
    }

    /// The reference of `name` (`acme/api:1.0`, `acme/api@sha256:…`) in this registry.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.host())
    }

    /// Somebody who pushes to it.
    pub fn publisher(&self) -> Publisher {
        Publisher::open(format!("http://{}", self.host()))
    }

    /// The requests since the last call, or since the start, as the registry counted them.
    pub fn take_requests(&self) -> Requests {
        match self {
            Self::Api(registry) => registry.take_requests(),
            Self::Tag(registry) => registry.take_requests(),
        }
    }
}
