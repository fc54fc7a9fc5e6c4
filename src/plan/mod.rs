//! Decisions: what should be, what is, and the difference. Pure.

mod desired;

pub use desired::{
    Ability, Attachment, Desired, Image, Origin, Prune, Selection, Settings, SignerProfile,
};
