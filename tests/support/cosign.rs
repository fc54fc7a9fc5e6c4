//! The real cosign, typed: what tests ask of it, in the words of both its generations.
//!
//! Nothing goes to a log or to the network. Signatures are simple signing unless a test asks for bundles.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::tools::{Credentials, Finished, Home, Tool};

/// A cosign with a home of its own.
pub struct Cosign {
    tool: Tool,
    home: Home,
}

/// Files of a key pair of cosign.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The encrypted private key.
    pub private: PathBuf,
    /// The public key, PEM.
    pub public: PathBuf,
    pub password: String,
}

/// What is signed besides the digest, and how.
#[derive(Clone, Debug, Default)]
pub struct SignOptions {
    pub annotations: Vec<(String, String)>,
    pub certificate: Option<PathBuf>,
    pub certificate_chain: Option<PathBuf>,
    /// `--sign-container-identity`.
    pub container_identity: Option<String>,
    pub format: Format,
    pub recursive: Recursion,
    /// `COSIGN_REPOSITORY`.
    pub signature_repository: Option<String>,
}

/// Where cosign 3 puts a signature.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// A sigstore bundle as OCI referrer. cosign 2 has none.
    Bundle,
    /// The tag `sha256-….sig`.
    #[default]
    SimpleSigning,
}

/// What of an index is signed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Recursion {
    /// It and every image in it.
    All,
    /// Only it.
    #[default]
    Root,
}

/// What a signature is verified against.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Roots, and the owner of the certificate; any issuer.
    Certificate { roots: PathBuf, identity: String },
    /// A public key.
    Key(PathBuf),
    /// What [`Cosign::trusted_root`] made, and the owner of the certificate; any issuer.
    Root { file: PathBuf, identity: String },
}

/// What else a signature must say, and where it lies.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    pub annotations: Vec<(String, String)>,
    /// `--signature-digest-algorithm`.
    pub hash: Option<&'static str>,
    /// `COSIGN_REPOSITORY`.
    pub signature_repository: Option<String>,
}

/// Files of a signature that was made elsewhere.
#[derive(Clone, Debug)]
pub struct Attachment {
    pub payload: PathBuf,
    /// Base64.
    pub signature: PathBuf,
    pub certificate: Option<PathBuf>,
    pub certificate_chain: Option<PathBuf>,
}

impl Cosign {
    /// cosign 2.
    pub fn v2() -> Self {
        Self { tool: Tool::Cosign2, home: Home::new() }
    }

    /// cosign 3.
    pub fn v3() -> Self {
        Self { tool: Tool::Cosign3, home: Home::new() }
    }

    /// Both generations.
    pub fn both() -> [Self; 2] {
        [Self::v2(), Self::v3()]
    }

    /// Stores credentials for `host`.
    pub fn login(&self, host: &str, credentials: Credentials) {
        self.home.login(host, credentials);
    }

    /// Makes a P-256 key pair `NAME.key` and `NAME.pub` in `folder`.
    pub fn generate_key_pair(&self, folder: &Path, name: &str, password: &str) -> KeyPair {
        let prefix = folder.join(name);
        let arguments = ["generate-key-pair".into(), "--output-key-prefix".into(), prefix.into()];
        self.run(&arguments, password).success();
        KeyPair::named(folder, name, password)
    }

    /// Encrypts a PEM private key into a pair `NAME.key` and `NAME.pub` in `folder`.
    ///
    /// Debian's cosign 2.5 cannot do it for EC and RSA keys.
    pub fn import_key_pair(&self, folder: &Path, name: &str, pem: &str, password: &str) -> KeyPair {
        let (plain, prefix) = (folder.join(format!("{name}.plain.pem")), folder.join(name));
        fs::write(&plain, pem).unwrap();
        let key = OsString::from(&plain);
        let arguments = [
            "import-key-pair".into(),
            "--key".into(),
            key,
            "--output-key-prefix".into(),
            prefix.into(),
        ];
        self.run(&arguments, password).success();
        fs::remove_file(plain).unwrap();
        KeyPair::named(folder, name, password)
    }

    /// Makes `FILE`, a trusted root of one authority: `chain` begins with who issues, the root is last. cosign 3 only.
    pub fn trusted_root(&self, chain: &Path, file: &Path) {
        let authority = format!("url=https://ca.example,certificate-chain={}", chain.display());
        let arguments = ["trusted-root", "create", "--fulcio", &authority, "--out"];
        let mut arguments: Vec<OsString> = arguments.into_iter().map(OsString::from).collect();
        arguments.push(file.into());
        self.run(&arguments, "").success();
    }

    /// Signs `images`, all in one run.
    pub fn sign<S: AsRef<str>>(
        &self,
        images: &[S],
        key: &KeyPair,
        options: &SignOptions,
    ) -> Finished {
        let mut arguments: Vec<OsString> = vec!["sign".into(), "--yes".into(), "--key".into()];
        arguments.push((&key.private).into());
        arguments.push("--tlog-upload=false".into());
        if self.tool == Tool::Cosign3 {
            let is_bundle = options.format == Format::Bundle;
            arguments.push(format!("--new-bundle-format={is_bundle}").into());
            arguments.push("--use-signing-config=false".into());
        } else {
            assert_eq!(options.format, Format::SimpleSigning, "cosign 2.5 has no bundles");
        }
        push_annotations(&mut arguments, &options.annotations);
        push_path(&mut arguments, "--certificate", options.certificate.as_deref());
        push_path(&mut arguments, "--certificate-chain", options.certificate_chain.as_deref());
        if let Some(identity) = &options.container_identity {
            arguments.extend(["--sign-container-identity".into(), identity.into()]);
        }
        if options.recursive == Recursion::All {
            arguments.push("--recursive".into());
        }
        arguments.extend(images.iter().map(|it| OsString::from(it.as_ref())));
        self.run_with(&arguments, &key.password, options.signature_repository.as_deref())
    }

    /// Verifies `image`: the payloads that hold (one JSON object for each signature), or what cosign said.
    pub fn verify(
        &self,
        image: &str,
        trust: &Trust,
        options: &VerifyOptions,
    ) -> Result<Vec<Value>, Finished> {
        let mut arguments = self.verify_arguments(trust, options);
        arguments.push(image.into());
        payloads(self.run_with(&arguments, "", options.signature_repository.as_deref()))
    }

    /// Verifies the image in an OCI layout that holds one.
    pub fn verify_layout(&self, layout: &Path, trust: &Trust) -> Result<Vec<Value>, Finished> {
        let mut arguments = self.verify_arguments(trust, &VerifyOptions::default());
        arguments.extend(["--local-image".into(), layout.into()]);
        payloads(self.run(&arguments, ""))
    }

    /// Attaches a signature that was made elsewhere.
    pub fn attach_signature(&self, image: &str, attachment: &Attachment) -> Finished {
        let mut arguments: Vec<OsString> = vec!["attach".into(), "signature".into()];
        push_path(&mut arguments, "--payload", Some(&attachment.payload));
        push_path(&mut arguments, "--signature", Some(&attachment.signature));
        push_path(&mut arguments, "--certificate", attachment.certificate.as_deref());
        push_path(&mut arguments, "--certificate-chain", attachment.certificate_chain.as_deref());
        arguments.push(image.into());
        self.run(&arguments, "")
    }

    /// Where the signatures of `image` are kept: `HOST/REPOSITORY:sha256-….sig`.
    pub fn triangulate(&self, image: &str) -> String {
        self.run(&["triangulate".into(), image.into()], "").success().stdout.trim().to_owned()
    }

    /// The signatures of `image`, one JSON object each.
    pub fn download_signatures(&self, image: &str) -> Vec<Value> {
        let done = self.run(&["download".into(), "signature".into(), image.into()], "").success();
        done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The payload that `sign` would sign.
    pub fn generate(&self, image: &str, annotations: &[(String, String)]) -> String {
        let mut arguments = vec!["generate".into()];
        push_annotations(&mut arguments, annotations);
        arguments.push(image.into());
        self.run(&arguments, "").success().stdout
    }

    /// Writes `image` and its signatures as an OCI layout.
    pub fn save(&self, image: &str, layout: &Path) -> Finished {
        self.run(&["save".into(), "--dir".into(), layout.into(), image.into()], "")
    }

    /// Runs any other command.
    pub fn run(&self, arguments: &[OsString], password: &str) -> Finished {
        self.run_with(arguments, password, None)
    }

    fn run_with(
        &self,
        arguments: &[OsString],
        password: &str,
        signature_repository: Option<&str>,
    ) -> Finished {
        let mut command = self.home.command(self.tool);
        command.args(arguments).env("COSIGN_PASSWORD", password);
        if let Some(repository) = signature_repository {
            command.env("COSIGN_REPOSITORY", repository);
        }
        Finished::of(&mut command)
    }

    fn verify_arguments(&self, trust: &Trust, options: &VerifyOptions) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            vec!["verify".into(), "--insecure-ignore-tlog".into(), "--output=json".into()];
        match trust {
            Trust::Certificate { roots, identity } => {
                push_path(&mut arguments, "--ca-roots", Some(roots));
                arguments.extend(["--certificate-identity".into(), identity.into()]);
                arguments.extend(["--certificate-oidc-issuer-regexp".into(), ".*".into()]);
                arguments.push("--insecure-ignore-sct".into());
            }
            Trust::Key(key) => push_path(&mut arguments, "--key", Some(key)),
            Trust::Root { file, identity } => {
                push_path(&mut arguments, "--trusted-root", Some(file));
                arguments.extend(["--certificate-identity".into(), identity.into()]);
                arguments.extend(["--certificate-oidc-issuer-regexp".into(), ".*".into()]);
                arguments.push("--insecure-ignore-sct".into());
            }
        }
        push_annotations(&mut arguments, &options.annotations);
        if let Some(hash) = options.hash {
            arguments.extend(["--signature-digest-algorithm".into(), hash.into()]);
        }
        arguments
    }
}

impl KeyPair {
    /// What it is verified against.
    pub fn trust(&self) -> Trust {
        Trust::Key(self.public.clone())
    }

    fn named(folder: &Path, name: &str, password: &str) -> Self {
        Self {
            private: folder.join(format!("{name}.key")),
            public: folder.join(format!("{name}.pub")),
            password: password.to_owned(),
        }
    }
}

fn payloads(done: Finished) -> Result<Vec<Value>, Finished> {
    if !done.is_success() {
        return Err(done);
    }
    Ok(serde_json::from_str(done.stdout.trim()).unwrap_or_else(|error| panic!("{error}: {done:?}")))
}

/// cosign reads `-a` as CSV: a value with a comma or a quote stands in quotes, its own doubled.
fn push_annotations(arguments: &mut Vec<OsString>, annotations: &[(String, String)]) {
    for (key, value) in annotations {
        let pair = format!("{key}={value}").replace('"', "\"\"");
        arguments.extend(["-a".into(), format!("\"{pair}\"").into()]);
    }
}

fn push_path(arguments: &mut Vec<OsString>, flag: &str, path: Option<&Path>) {
    if let Some(path) = path {
        arguments.extend([flag.into(), path.into()]);
    }
}
