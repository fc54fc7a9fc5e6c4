//! `azurekms://` references and the cloud that they are in. Pure.
//!
//! Source: cosign's `pkg/signature/kms/azure/client.go`.

/// `azurekms://VAULT-HOST/KEY[/VERSION]`.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Reference {
    /// `HOST` or `HOST:PORT`, in lower case.
    pub(super) host: String,
    pub(super) key: String,
    pub(super) version: Option<String>,
}

impl Reference {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let rest =
            text.strip_prefix("azurekms://").ok_or("it does not begin with `azurekms://`")?;
        let mut parts = rest.splitn(3, '/');
        let (host, key, version) = (parts.next(), parts.next(), parts.next());
        let host = host.filter(|it| {
            let is_host = |c: u8| c.is_ascii_alphanumeric() || b".-:[]".contains(&c);
            !it.is_empty() && it.bytes().all(is_host)
        });
        let host = host.ok_or("it names no host of a vault")?.to_ascii_lowercase();
        // A token for all vaults goes there: nobody else may get it.
        let is_vault = host.split_once('.').is_some_and(|(_, domain)| DOMAINS.contains(&domain));
        if !is_vault && !is_loopback(&host) {
            return Err("the host is in no domain of Azure's vaults");
        }
        let is_key = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        let key = key.filter(|it| !it.is_empty() && it.bytes().all(is_key));
        let key = key.ok_or("it names no key: letters, digits and dashes")?;
        // cosign takes an empty version as none.
        let version = version.filter(|it| !it.is_empty());
        if version
            .is_some_and(|it| !it.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
        {
            return Err("the version is not of small letters and digits");
        }
        Ok(Self { host, key: key.to_owned(), version: version.map(str::to_owned) })
    }

    /// Where the vault is: HTTPS, but for an emulator on loopback.
    pub(super) fn base(&self) -> String {
        let scheme = if is_loopback(&self.host) { "http" } else { "https" };
        format!("{scheme}://{}/", self.host)
    }

    /// Says whether it is a Managed HSM, which has keys of its own types.
    pub(super) fn is_hsm(&self) -> bool {
        self.host.contains(".managedhsm.")
    }

    /// For whom a token must be: the domain of all vaults of a cloud.
    pub(super) fn resource(&self) -> String {
        match self.host.split_once('.') {
            Some((_, domain)) if DOMAINS.contains(&domain) => format!("https://{domain}"),
            _ => "https://vault.azure.net".into(),
        }
    }

    /// Who gives tokens in the cloud of the vault.
    pub(super) fn authority(&self) -> &'static str {
        match self.host.rsplit('.').next() {
            Some("cn") => "https://login.chinacloudapi.cn/",
            _ if self.host.ends_with(".usgovcloudapi.net") => "https://login.microsoftonline.us/",
            _ => "https://login.microsoftonline.com/",
        }
    }
}

/// Source: Azure, "Key Vault DNS suffixes" and those of Managed HSM, by cloud.
const DOMAINS: [&str; 6] = [
    "managedhsm.azure.cn",
    "managedhsm.azure.net",
    "managedhsm.usgovcloudapi.net",
    "vault.azure.cn",
    "vault.azure.net",
    "vault.usgovcloudapi.net",
];

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_with_or_without_version_in_each_cloud() {
        for (text, version, resource, authority) in [
            ("V.vault.azure.net/k-1", None, "https://vault.azure.net", "microsoftonline.com"),
            ("v.vault.azure.net/k-1/", None, "https://vault.azure.net", "microsoftonline.com"),
            ("v.vault.azure.cn/k-1/0a1", Some("0a1"), "https://vault.azure.cn", "chinacloudapi.cn"),
            (
                "v.vault.usgovcloudapi.net/k-1",
                None,
                "https://vault.usgovcloudapi.net",
                "microsoftonline.us",
            ),
            (
                "v.managedhsm.azure.net/k-1",
                None,
                "https://managedhsm.azure.net",
                "microsoftonline.com",
            ),
        ] {
            let found = Reference::parse(&format!("azurekms://{text}")).unwrap();
            assert_eq!((found.key.as_str(), found.version.as_deref()), ("k-1", version), "{text}");
            assert_eq!(found.resource(), resource);
            assert!(found.authority().contains(authority), "{text}");
            assert!(found.base().starts_with("https://v."), "{}", found.base());
        }
        let local = Reference::parse("azurekms://127.0.0.1:8443/k").unwrap();
        assert_eq!(local.base(), "http://127.0.0.1:8443/");
    }

    #[test]
    fn what_is_none_says_why() {
        for text in [
            "",
            "v.example",
            "v.example/",
            "/k",
            "u@v/k",
            "v.vault.azure.net/k_1",
            "v.vault.azure.net/k/A",
            "v.vault.azure.net/k/1/2",
            "v.vault.azure.net/k?x",
        ] {
            assert!(Reference::parse(&format!("azurekms://{text}")).is_err(), "{text}");
        }
    }
}
