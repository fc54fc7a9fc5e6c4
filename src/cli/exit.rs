//! How the process ends.

/// DESIGN: exit codes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit { Error, Usage, Spec, BrokenPipe }
