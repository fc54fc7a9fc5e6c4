//! What talking to registries and to services have in common: TLS, waits, HTTP, what strangers say.

pub(crate) mod http;
#[cfg(any(
    feature = "azure-key-vault",
    feature = "kubernetes",
    feature = "plugin",
    feature = "vault"
))]
pub(crate) mod program;
mod said;
pub(crate) mod tls;
mod wait;

#[cfg(test)]
pub(crate) use said::LONGEST_DETAIL;
pub(crate) use said::{Cause, cause_of, innermost, one_line};
pub(crate) use wait::{backoff, retry_after};
