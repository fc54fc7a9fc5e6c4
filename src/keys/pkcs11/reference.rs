//! `pkcs11:` references. Pure.
//!
//! Source: RFC 7512, and cosign's `pkg/cosign/pkcs11key/util.go` for what must be there.

use std::fmt;
use std::path::PathBuf;

use crate::model::Secret;

/// `pkcs11:token=LABEL;slot-id=N;id=%XX;object=LABEL?module-path=FILE&pin-value=PIN&pin-source=FILE`.
#[derive(Clone, Debug, Default)]
pub(super) struct Reference {
    /// The label of the token.
    pub(super) token: Option<String>,
    pub(super) slot: Option<u64>,
    pub(super) id: Option<Vec<u8>>,
    /// The label of the key.
    pub(super) object: Option<String>,
    pub(super) module: Option<PathBuf>,
    pub(super) pin: Option<Secret<String>>,
    pub(super) pin_file: Option<PathBuf>,
}

#[derive(Clone, Copy)]
enum Part {
    Path,
    Query,
}

impl Reference {
    /// Reads a reference.
    ///
    /// Attributes that do not choose the key (`manufacturer`, `type=private`, …) may stand there; each at most once.
    ///
    /// # Errors
    ///
    /// What is wrong, without any value of the reference: one of them may be the PIN.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix("pkcs11:").ok_or("it does not begin with `pkcs11:`")?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut found = Self::default();
        let mut seen = Vec::new();
        let path = path.split(';').map(|it| (it, Part::Path));
        let query = query.split('&').map(|it| (it, Part::Query));
        for (attribute, part) in path.chain(query).filter(|(it, _)| !it.is_empty()) {
            let (name, value) = attribute.split_once('=').ok_or("an attribute has no `=`")?;
            if seen.contains(&name) {
                return Err("an attribute stands there twice");
            }
            seen.push(name);
            found.take(part, name, value)?;
        }
        if found.token.is_none() && found.slot.is_none() {
            return Err("it names no token: `token=LABEL` or `slot-id=N` is missing");
        }
        if found.object.is_none() && found.id.is_none() {
            return Err("it names no key: `object=LABEL` or `id=%XX` is missing");
        }
        if found.pin.is_some() && found.pin_file.is_some() {
            return Err("`pin-value` and `pin-source` exclude each other");
        }
        Ok(found)
    }

    fn take(&mut self, part: Part, name: &str, value: &str) -> Result<(), &'static str> {
        let bytes = decoded(value).ok_or("after a `%` come two hexadecimal digits")?;
        let text = || String::from_utf8(bytes.clone()).map_err(|_| "a value is not UTF-8");
        match (part, name) {
            (Part::Path, "token") => self.token = Some(text()?),
            (Part::Path, "object") => self.object = Some(text()?),
            (Part::Path, "id") => self.id = Some(bytes),
            (Part::Path, "slot-id") => {
                let number = text()?.parse();
                self.slot = Some(number.map_err(|_| "`slot-id` is no number")?);
            }
            (Part::Path, "type") if text()? != "private" => {
                return Err("`type` must be `private`, or left out");
            }
            (Part::Query, "module-path") => {
                let path = PathBuf::from(text()?);
                if !path.is_absolute() {
                    return Err("`module-path` must be absolute");
                }
                self.module = Some(path);
            }
            (Part::Query, "pin-value") => self.pin = Some(Secret::new(text()?)),
            (Part::Query, "pin-source") => {
                let source = text()?;
                let path = source.strip_prefix("file:").unwrap_or(&source);
                let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
                if !path.is_absolute() {
                    return Err("`pin-source` must be an absolute path, or `file:` and one");
                }
                self.pin_file = Some(path);
            }
            (Part::Query, "token" | "object" | "id" | "slot-id") => {
                return Err("token, object, id and slot-id belong before the `?`");
            }
            (Part::Path, "module-path" | "pin-value" | "pin-source") => {
                return Err("module-path, pin-value and pin-source belong behind a `?`");
            }
            _ => {}
        }
        Ok(())
    }
}

/// Which key: for messages.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(object) = &self.object {
            parts.push(format!("the label `{object}`"));
        }
        if let Some(id) = &self.id {
            parts.push(format!("the id {}", hex::encode(id)));
        }
        f.write_str(&parts.join(" and "))
    }
}

/// `%XX` become bytes; nothing else changes.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?].map(|it| char::from(it).to_digit(16));
        let [Some(high), Some(low)] = digits else { return None };
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_token_key_module_and_pin() {
        let reference = Reference::parse(
            "pkcs11:token=sig%20nal;slot-id=7;id=%01%aF;object=k1;manufacturer=x?module-path=/usr/lib/m.so&pin-value=12%2534",
        )
        .unwrap();
        assert_eq!(reference.token.as_deref(), Some("sig nal"));
        assert_eq!((reference.slot, reference.id.as_deref()), (Some(7), Some(&[1, 0xaf][..])));
        assert_eq!(reference.object.as_deref(), Some("k1"));
        assert_eq!(reference.module, Some("/usr/lib/m.so".into()));
        assert_eq!(reference.pin.as_ref().unwrap().expose(), "12%34");
        assert!(!format!("{reference:?} {reference}").contains("12%34"));
        for source in ["file:/etc/pin", "/etc/pin", "file:///etc/pin", "file:%2Fetc%2Fpin"] {
            let text = format!("pkcs11:slot-id=0;object=a?pin-source={source}");
            assert_eq!(
                Reference::parse(&text).unwrap().pin_file,
                Some("/etc/pin".into()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_and_no_value_is_shown() {
        for (text, expected) in [
            ("pkcs11:object=a", "names no token"),
            ("pkcs11:token=a", "names no key"),
            ("pkcs11:token=a;token=b;object=c", "stands there twice"),
            ("pkcs11:token=a;object", "has no `=`"),
            ("pkcs11:slot-id=x;object=a", "`slot-id` is no number"),
            ("pkcs11:token=a;id=%0", "after a `%`"),
            ("pkcs11:token=%ff;id=%00", "not UTF-8"),
            ("pkcs11:token=a;object=b;type=cert", "`type` must be `private`"),
            ("pkcs11:token=a;object=b;pin-value=9876", "belong behind a `?`"),
            ("pkcs11:token=a?object=b", "belong before the `?`"),
            ("pkcs11:token=a;object=b?module-path=m.so", "`module-path` must be absolute"),
            ("pkcs11:token=a;object=b?pin-source=|9876", "`pin-source` must be an absolute path"),
            ("pkcs11:token=a;object=b?pin-value=9876&pin-source=/a", "exclude each other"),
            ("pkcs11:token=a;object=b?9876", "has no `=`"),
        ] {
            let error = Reference::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("9876"), "{error}");
        }
    }
}
