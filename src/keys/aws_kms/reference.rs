//! `awskms://` references. Pure.
//!
//! Source: cosign's `pkg/signature/kms/aws/client.go`; key ids: AWS KMS API, `KeyId`.

/// `awskms://[ENDPOINT]/KEY`.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Reference {
    /// `HOST[:PORT]`, always spoken to with HTTPS.
    pub(super) endpoint: Option<String>,
    /// As KMS takes it: an id, `alias/NAME`, or an ARN.
    pub(super) key: String,
    /// The region of the ARN.
    pub(super) region: Option<String>,
}

impl Reference {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix("awskms://").ok_or("it does not begin with `awskms://`")?;
        let (endpoint, key) =
            rest.split_once('/').ok_or("there is no `/` between the endpoint and the key")?;
        let endpoint = if endpoint.is_empty() {
            None
        } else if endpoint.contains(['@', '?', '#', ' ']) {
            return Err("the endpoint is no `HOST` or `HOST:PORT`");
        } else {
            Some(endpoint.to_owned())
        };
        let region = match key.strip_prefix("arn:") {
            Some(arn) => Some(region(arn)?),
            None if is_alias(key) || is_id(key) => None,
            None => return Err("the key is neither an id, nor `alias/NAME`, nor an ARN"),
        };
        Ok(Self { endpoint, key: key.to_owned(), region })
    }

    /// `alias/NAME`, where the key is named so, in an ARN or not.
    pub(super) fn alias(&self) -> Option<&str> {
        let name = match self.key.strip_prefix("arn:") {
            Some(arn) => arn.splitn(5, ':').last()?,
            None => self.key.as_str(),
        };
        Some(name).filter(|it| is_alias(it))
    }
}

/// `PARTITION:kms:REGION:ACCOUNT:key/ID` or `…:alias/NAME`.
fn region(arn: &str) -> Result<String, &'static str> {
    let parts: Vec<&str> = arn.splitn(5, ':').collect();
    let [partition, "kms", region, account, resource] = parts.as_slice() else {
        return Err("the ARN is not one of KMS");
    };
    let is_word = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-')
    };
    if !partition.starts_with("aws") || !is_word(partition) || !is_word(region) {
        return Err("the ARN has no partition or no region");
    }
    if account.len() != 12 || !account.bytes().all(|it| it.is_ascii_digit()) {
        return Err("the account in the ARN has not 12 digits");
    }
    if !is_alias(resource) && !resource.strip_prefix("key/").is_some_and(is_id) {
        return Err("the ARN names neither `key/ID` nor `alias/NAME`");
    }
    Ok((*region).to_owned())
}

fn is_alias(text: &str) -> bool {
    let allowed = |it: u8| it.is_ascii_alphanumeric() || b"/_-:".contains(&it);
    text.strip_prefix("alias/").is_some_and(|name| !name.is_empty() && name.bytes().all(allowed))
}

/// 32 hexadecimal digits with or without dashes; `mrk-` before those of a key in many regions.
fn is_id(text: &str) -> bool {
    let digits = text.strip_prefix("mrk-").unwrap_or(text);
    let count = digits.bytes().filter(u8::is_ascii_hexdigit).count();
    count == 32 && digits.bytes().all(|it| it.is_ascii_hexdigit() || it == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

    #[test]
    fn each_form_is_read() {
        for (text, endpoint, key, region) in [
            (format!("awskms:///{ID}"), None, ID.to_owned(), None),
            (
                "awskms:///mrk-1234abcd12ab34cd56ef1234567890ab".into(),
                None,
                "mrk-1234abcd12ab34cd56ef1234567890ab".into(),
                None,
            ),
            ("awskms:///alias/a/b_c-d".into(), None, "alias/a/b_c-d".into(), None),
            (
                "awskms://localhost:4566/alias/x".into(),
                Some("localhost:4566"),
                "alias/x".into(),
                None,
            ),
            (
                format!("awskms:///arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/{ID}"),
                None,
                format!("arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/{ID}"),
                Some("us-gov-west-1"),
            ),
            (
                "awskms://kms.example/arn:aws:kms:eu-central-1:111122223333:alias/x".into(),
                Some("kms.example"),
                "arn:aws:kms:eu-central-1:111122223333:alias/x".into(),
                Some("eu-central-1"),
            ),
        ] {
            let (endpoint, region) = (endpoint.map(str::to_owned), region.map(str::to_owned));
            assert_eq!(Reference::parse(&text), Ok(Reference { endpoint, key, region }), "{text}");
        }
    }

    #[test]
    fn an_alias_is_one_in_an_arn_too() {
        let arn = "arn:aws:kms:eu-west-1:111122223333";
        for (key, alias) in [
            ("alias/a/b".to_owned(), Some("alias/a/b")),
            (format!("{arn}:alias/a:b"), Some("alias/a:b")),
            (format!("{arn}:key/{ID}"), None),
            (ID.to_owned(), None),
        ] {
            let found = Reference::parse(&format!("awskms:///{key}")).unwrap();
            assert_eq!(found.alias(), alias, "{key}");
        }
    }

    #[test]
    fn what_is_none_says_why() {
        for (text, expected) in [
            ("awskms://", "no `/`"),
            ("awskms:///", "neither an id"),
            ("awskms:///alias/", "neither an id"),
            ("awskms:///1234", "neither an id"),
            ("awskms://u:p@host/alias/a", "endpoint"),
            ("awskms:///arn:aws:s3:::bucket", "not one of KMS"),
            ("awskms:///arn:aws:kms::111122223333:alias/a", "no region"),
            ("awskms:///arn:aws:kms:eu-west-1:1:alias/a", "12 digits"),
            ("awskms:///arn:aws:kms:eu-west-1:111122223333:key/a", "neither `key/ID`"),
        ] {
            let error = Reference::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
