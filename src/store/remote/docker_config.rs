//! Credential files of Docker and podman: what they say of a host. Pure.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::model::Secret;
use crate::store::remote::authority;

/// How Docker names its Hub in credential files.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// A `config.json` or `auth.json`.
///
/// Source: docker/cli `cli/config/configfile`; containers-auth.json(5).
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct DockerConfig {
    auths: BTreeMap<String, Option<Entry>>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    #[serde(deserialize_with = "secret")]
    auth: Option<Secret<String>>,
    username: Option<String>,
    #[serde(deserialize_with = "secret")]
    password: Option<Secret<String>>,
    #[serde(deserialize_with = "secret")]
    identitytoken: Option<Secret<String>>,
    #[serde(deserialize_with = "secret")]
    registrytoken: Option<Secret<String>>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret<String>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|it| !it.is_empty()).map(Secret::new))
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) enum Credentials {
    /// Nobody in particular.
    Anonymous,
    /// A refresh token, for the token server.
    Identity(Secret<String>),
    /// A user.
    Password {
        /// The name.
        username: String,
        /// The password.
        password: Secret<String>,
    },
    /// A bearer token, for the registry itself.
    Token(Secret<String>),
}

/// A helper to ask: `docker-credential-<name> get` with `server` on its input.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct HelperCall {
    pub(super) name: String,
    pub(super) server: String,
}

impl DockerConfig {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// The helper that knows the credentials of a repository, and whether it is only for this host.
    pub(super) fn helper(&self, host: &str, path: &str) -> Option<HelperCall> {
        for candidate in candidates(host, path) {
            let found = self.cred_helpers.iter().find(|(key, _)| normal(key) == candidate);
            if let Some((_, name)) = found.filter(|(_, name)| !name.is_empty()) {
                let server =
                    if authority::is_docker_hub(host) { HUB_KEY.into() } else { candidate };
                return Some(HelperCall { name: name.clone(), server });
            }
        }
        let name = self.creds_store.clone().filter(|it| !it.is_empty())?;
        let server = if authority::is_docker_hub(host) { HUB_KEY } else { host };
        Some(HelperCall { name, server: server.to_owned() })
    }

    /// The credentials that stand in the file itself; the entry with the longest path wins.
    ///
    /// # Errors
    ///
    /// When there is an entry and it cannot be read: it is not taken for absent.
    pub(super) fn credentials(
        &self,
        host: &str,
        path: &str,
    ) -> Result<Option<Credentials>, String> {
        for candidate in candidates(host, path) {
            let found = self.auths.iter().filter(|(key, _)| normal(key) == candidate);
            for (key, entry) in found {
                let Some(entry) = entry else { continue };
                let credentials = entry
                    .read()
                    .ok_or_else(|| format!("the entry `{key}` is not `user:password` in base64"))?;
                if credentials.is_some() {
                    return Ok(credentials);
                }
            }
        }
        Ok(None)
    }
}

impl Entry {
    /// `None` is wrong, `Some(None)` is empty, as Docker leaves entries whose secret a helper keeps.
    fn read(&self) -> Option<Option<Credentials>> {
        if let Some(token) = &self.identitytoken {
            return Some(Some(Credentials::Identity(token.clone())));
        }
        if let Some(token) = &self.registrytoken {
            return Some(Some(Credentials::Token(token.clone())));
        }
        if let Some(auth) = &self.auth {
            let auth = auth.expose().trim();
            let decoded = STANDARD.decode(auth).or_else(|_| STANDARD_NO_PAD.decode(auth)).ok()?;
            let decoded = Zeroizing::new(decoded);
            let (username, password) = str::from_utf8(&decoded).ok()?.split_once(':')?;
            // Docker pads with NUL.
            let password = Secret::new(password.trim_end_matches('\0').to_owned());
            return Some(Some(Credentials::Password { username: username.to_owned(), password }));
        }
        let username = self.username.clone().filter(|it| !it.is_empty());
        let pair = username.zip(self.password.clone());
        Some(pair.map(|(username, password)| Credentials::Password { username, password }))
    }
}

/// `quay.io/org/app`, `quay.io/org`, `quay.io`: the longest first. Docker Hub has one name here.
fn candidates(host: &str, path: &str) -> Vec<String> {
    let host = if authority::is_docker_hub(host) { "docker.io" } else { host };
    let mut all = vec![host.to_owned()];
    let mut prefix = host.to_owned();
    for part in path.split('/').filter(|it| !it.is_empty()) {
        prefix = format!("{prefix}/{part}");
        all.push(prefix.clone());
    }
    all.reverse();
    all
}

/// The key of an entry without what Docker has put around hosts: scheme, `/v1/`, the names of its Hub.
fn normal(key: &str) -> String {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let text = match bare {
        // With a scheme it is a host, whatever follows.
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None => key.trim_end_matches('/').trim_end_matches("/v1").trim_end_matches("/v2"),
    };
    let (host, path) = text.split_once('/').map_or((text, ""), |(host, path)| (host, path));
    let host = if authority::is_docker_hub(host) { "docker.io" } else { host };
    if path.is_empty() { host.to_owned() } else { format!("{host}/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(config: &str, host: &str, path: &str) -> Option<String> {
        let config = DockerConfig::parse(config.as_bytes()).unwrap();
        config.credentials(host, path).unwrap().map(|found| match found {
            Credentials::Password { username, password } => {
                format!("{username}/{}", password.expose())
            }
            Credentials::Identity(token) => format!("identity {}", token.expose()),
            Credentials::Token(token) => format!("token {}", token.expose()),
            Credentials::Anonymous => unreachable!(),
        })
    }

    #[test]
    fn entries_are_found_under_every_form_of_their_key() {
        // `u:p:q`
        for key in
            ["ghcr.io", "https://ghcr.io", "https://ghcr.io/v1/", "http://ghcr.io/v2/", "ghcr.io/"]
        {
            let config = format!(r#"{{"auths":{{"{key}":{{"auth":"dTpwOnE="}}}}}}"#);
            assert_eq!(user(&config, "ghcr.io", "a/b").as_deref(), Some("u/p:q"), "{key}");
            assert_eq!(user(&config, "ghcr.io.evil.example", "a/b"), None, "{key}");
        }
        for key in ["https://index.docker.io/v1/", "docker.io", "index.docker.io"] {
            let config = format!(r#"{{"auths":{{"{key}":{{"username":"u","password":"p"}}}}}}"#);
            assert_eq!(user(&config, "index.docker.io", "library/x").as_deref(), Some("u/p"));
        }
    }

    #[test]
    fn the_longest_path_of_podman_wins() {
        let config = r#"{"auths":{"quay.io":{"username":"h","password":"1"},
            "quay.io/org":{"username":"o","password":"2"},"quay.io/org/app":{"username":"a","password":"3"}}}"#;
        assert_eq!(user(config, "quay.io", "org/app").as_deref(), Some("a/3"));
        assert_eq!(user(config, "quay.io", "org/other").as_deref(), Some("o/2"));
        assert_eq!(user(config, "quay.io", "organ").as_deref(), Some("h/1"));
    }

    #[test]
    fn tokens_are_told_apart() {
        let config = r#"{"auths":{"a.io":{"auth":"dTpw","identitytoken":"I"},"b.io":{"registrytoken":"R"},"c.io":{},"d.io":null}}"#;
        assert_eq!(user(config, "a.io", "x").as_deref(), Some("identity I"));
        assert_eq!(user(config, "b.io", "x").as_deref(), Some("token R"));
        assert_eq!(user(config, "c.io", "x"), None);
        assert_eq!(user(config, "d.io", "x"), None);
    }

    #[test]
    fn a_broken_entry_is_no_missing_entry() {
        for auth in ["%%%", "bm9jb2xvbg=="] {
            let config = format!(r#"{{"auths":{{"a.io":{{"auth":"{auth}"}}}}}}"#);
            let error = DockerConfig::parse(config.as_bytes()).unwrap().credentials("a.io", "x");
            assert!(error.unwrap_err().contains("a.io"), "{auth}");
        }
    }

    #[test]
    fn helpers_of_a_host_come_before_the_store() {
        let config =
            r#"{"credsStore":"desktop","credHelpers":{"a.io":"ecr-login","docker.io":"hub"}}"#;
        let config = DockerConfig::parse(config.as_bytes()).unwrap();
        let call = |host| config.helper(host, "x/y").map(|it| (it.name, it.server)).unwrap();
        assert_eq!(call("a.io"), ("ecr-login".into(), "a.io".into()));
        assert_eq!(call("b.io"), ("desktop".into(), "b.io".into()));
        assert_eq!(call("index.docker.io"), ("hub".into(), "https://index.docker.io/v1/".into()));
    }
}
