//! The spec that `import` prints. Pure.

use std::fmt::{self, Write as _};

use countersign::crypto::Hash;
use countersign::model::{Annotations, Repository, SignerName};
use countersign::payload::Format;

/// A table of `[signers]`.
pub(crate) struct Signer {
    pub(crate) name: SignerName,
    pub(crate) public_key: String,
    pub(crate) hash: Hash,
    pub(crate) several_hashes: bool,
    pub(crate) retired: bool,
    /// Whether any of its signatures carries a certificate.
    pub(crate) certified: bool,
    /// The files of certificate and chain that all of them carry.
    pub(crate) files: Option<(String, Option<String>)>,
}

/// A table of `[[images]]`, or only comments.
pub(crate) struct Entry {
    pub(crate) repository: Repository,
    /// The image; empty for comments alone.
    pub(crate) reference: String,
    pub(crate) signers: Vec<SignerName>,
    pub(crate) formats: Vec<Format>,
    /// What the payloads name; none in bundles.
    pub(crate) identity: Option<String>,
    pub(crate) annotations: Annotations,
    pub(crate) recursive: bool,
    pub(crate) signature_repository: Option<Repository>,
    pub(crate) comments: Vec<String>,
}

impl Entry {
    /// Only comments.
    pub(crate) fn comment(repository: &Repository, comments: Vec<String>) -> Self {
        Self {
            repository: repository.clone(),
            reference: String::new(),
            signers: Vec::new(),
            formats: Vec::new(),
            identity: None,
            annotations: Annotations::new(),
            recursive: false,
            signature_repository: None,
            comments,
        }
    }
}

/// The whole spec.
pub(crate) fn page(signers: &[Signer], entries: &[Entry]) -> String {
    let mut page = "version = 1\n".to_owned();
    for it in signers.iter().map(ToString::to_string).chain(entries.iter().map(ToString::to_string))
    {
        page += &it;
    }
    page
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, key) = (quoted_key(self.name.as_str()), quoted(&self.public_key));
        // A service has the key; a file has only the public half.
        let is_file = !self.public_key.contains("://") && !self.public_key.starts_with("pkcs11:");
        match is_file {
            true => write!(f, "\n[signers.{name}]\npublic_key = {key}\n")?,
            false => {
                write!(f, "\n[signers.{name}]\nkey = {key}\ntransparency_log = false\n")?;
            }
        }
        if self.several_hashes {
            writeln!(f, "# It has signed over several hashes; this is what most signatures have.")?;
        }
        if self.hash != Hash::default() {
            writeln!(f, "hash = {}", quoted(self.hash.name()))?;
        }
        match &self.files {
            Some((certificate, chain)) => {
                writeln!(f, "certificate = {}", quoted(certificate))?;
                if let Some(chain) = chain {
                    writeln!(f, "certificate_chain = {}", quoted(chain))?;
                }
            }
            None if self.certified => {
                writeln!(
                    f,
                    "# Some signatures carry a certificate: `certificate` would ask for it."
                )?;
            }
            None => {}
        }
        if self.retired {
            return writeln!(f, "retired = true");
        }
        if !is_file {
            return Ok(());
        }
        writeln!(f, "# With a `key` here, countersign signs what is missing.")
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for comment in &self.comments {
            // A tag is anybody's text, but has no line ends.
            writeln!(f, "# {comment}")?;
        }
        if self.reference.is_empty() {
            return Ok(());
        }
        let signers: Vec<String> = self.signers.iter().map(|it| quoted(it.as_str())).collect();
        write!(
            f,
            "[[images]]\nreference = {}\nsign_with = [{}]\n",
            quoted(&self.reference),
            signers.join(", ")
        )?;
        if self.formats != [Format::SimpleSigning] {
            let formats: Vec<String> = self.formats.iter().map(|it| quoted(it.name())).collect();
            writeln!(f, "formats = [{}]", formats.join(", "))?;
        }
        if let Some(identity) =
            self.identity.as_ref().filter(|it| **it != self.repository.to_string())
        {
            writeln!(f, "container_identity = {}", quoted(identity))?;
        }
        if !self.annotations.is_empty() {
            let mut pairs = String::new();
            for (key, value) in &self.annotations {
                let comma = if pairs.is_empty() { "" } else { ", " };
                write!(pairs, "{comma}{} = {}", quoted_key(key), quoted(value))?;
            }
            writeln!(f, "annotations = {{ {pairs} }}")?;
        }
        if self.recursive {
            writeln!(f, "recursive = true")?;
        }
        if let Some(place) = &self.signature_repository {
            writeln!(f, "signature_repository = {}", quoted(&place.to_string()))?;
        }
        Ok(())
    }
}

/// A string of TOML that no variable is filled into.
fn quoted(text: &str) -> String {
    toml::Value::String(text.replace("${", "$${")).to_string()
}

fn quoted_key(text: &str) -> String {
    let bare = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_');
    if !text.is_empty() && text.chars().all(bare) {
        text.to_owned()
    } else {
        toml::Value::String(text.to_owned()).to_string()
    }
}
