//! Values that must never be shown: they cannot be printed, and are wiped when dropped.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// A value that cannot be printed and is wiped from memory when it is dropped.
///
/// `Debug` shows `Secret(…)`; there is no `Display`, no `Serialize` and no `Deref`. The content is seen
/// only through [`Secret::expose`], so every use can be found by searching for that word.
///
/// # Example
///
/// ```
/// use countersign::model::Secret;
///
/// let password = Secret::new(String::from("hunter2"));
/// assert_eq!(format!("{password:?}"), "Secret(…)");
/// assert_eq!(password.expose(), "hunter2");
/// ```
#[derive(Clone)]
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Hides `value`.
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The content, for the one call that needs it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// A URL that shows neither user information, nor query, nor fragment.
///
/// Upload locations and redirects of registries carry signed queries; proxies carry passwords. What is
/// shown is `scheme://host[:port]/path`, with `?…` where a query was left out.
#[derive(Clone, Eq, PartialEq)]
pub struct SafeUrl(url::Url);

impl SafeUrl {
    /// Wraps `url`.
    pub fn new(url: url::Url) -> Self {
        Self(url)
    }

    /// The whole URL, for the request that needs it.
    pub fn expose(&self) -> &url::Url {
        &self.0
    }
}

impl fmt::Display for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())?;
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(self.0.path())?;
        if self.0.query().is_some() { f.write_str("?…") } else { Ok(()) }
    }
}

impl fmt::Debug for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_shows_no_credentials() {
        let url =
            url::Url::parse("https://user:pass@proxy.example:8080/a/b?token=abc#frag").unwrap();
        let safe = SafeUrl::new(url);
        assert_eq!(safe.to_string(), "https://proxy.example:8080/a/b?…");
        assert_eq!(format!("{safe:?}"), "https://proxy.example:8080/a/b?…");
    }
}
