//! `gcpkms://` references. Pure.
//!
//! Source: cosign's `pkg/signature/kms/gcp/client.go`.

/// `gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K[/cryptoKeyVersions/N]`; `versions` for short.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Reference {
    /// `projects/…/cryptoKeys/K`.
    pub(super) key: String,
    pub(super) version: Option<String>,
}

impl Reference {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix("gcpkms://").ok_or("it does not begin with `gcpkms://`")?;
        let parts: Vec<&str> = rest.split('/').collect();
        // What stands in a URL path as it is; `domain.com:project` is an old form of a project.
        let is_name = |(place, name): (usize, &&str)| {
            let more: &[u8] = if place == 1 { b"-_.:" } else { b"-_" };
            name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-')
                && name.bytes().all(|c| c.is_ascii_alphanumeric() || more.contains(&c))
        };
        if !parts.iter().enumerate().all(is_name) {
            return Err("a part of it is empty, or no name");
        }
        let (key, version) = match parts.as_slice() {
            ["projects", _, "locations", _, "keyRings", _, "cryptoKeys", _] => (rest, None),
            [
                "projects",
                _,
                "locations",
                _,
                "keyRings",
                _,
                "cryptoKeys",
                _,
                "cryptoKeyVersions" | "versions",
                version,
            ] => {
                let key = rest.rsplitn(3, '/').last().unwrap_or(rest);
                (key, Some((*version).to_owned()))
            }
            _ => return Err("it does not name a project, a location, a key ring and a key"),
        };
        Ok(Self { key: key.to_owned(), version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_with_or_without_version() {
        let key = "projects/p/locations/global/keyRings/r/cryptoKeys/k";
        for (suffix, version) in [
            ("", None),
            ("/cryptoKeyVersions/12", Some("12".to_owned())),
            ("/versions/1", Some("1".to_owned())),
        ] {
            let found = Reference::parse(&format!("gcpkms://{key}{suffix}"));
            assert_eq!(found, Ok(Reference { key: key.to_owned(), version }));
        }
    }

    #[test]
    fn what_is_none_says_why() {
        let key = "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k";
        for text in [
            "gcpkms://".to_owned(),
            "gcpkms://projects/p".to_owned(),
            format!("{key}/"),
            format!("{key}/versions"),
            format!("{key}/versions/1/x"),
            format!("{key}/versions/1:destroy"),
            format!("{key}.x"),
            key.replace("/p/", "/./"),
            format!("{key}?alt=x"),
            key.replace("/p/", "/../"),
            key.replace("keyRings", "rings"),
        ] {
            assert!(Reference::parse(&text).is_err(), "{text}");
        }
    }
}
