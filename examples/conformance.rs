//! The client protocol of sigstore's conformance suite, so that an outside suite can judge the verifier.
//!
//! ```sh
//! cargo build --locked --example conformance
//! pytest test --entrypoint=target/debug/examples/conformance     # in a clone of sigstore/sigstore-conformance
//! ```
//!
//! Source: sigstore-conformance, `docs/cli_protocol.md`.
#![allow(clippy::print_stderr, reason = "it is a program")]
#![allow(clippy::indexing_slicing, reason = "a member of JSON that is not there is null")]

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::signature::{self, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::crypto::{Certificate, Hash, KeyAlgorithm, PublicKey, SignatureBytes};
use countersign::keys::memory::MemoryEnvironment;
use countersign::keys::{KeylessSigner, Signer as _};
use countersign::model::{Clock, Secret, SystemClock, Timestamp};
use countersign::payload::{Bundle, Format, LogEntry, NewBundle, statement_signed_bytes};
use countersign::sigstore::identity::{IdentitySource, IdentityToken};
use countersign::sigstore::{
    Called, Fulcio, Network, ServiceError, SigningConfig, Witness, WitnessPool,
};
use countersign::trust::{
    Content, GithubClaims, IdentityPolicy, Matcher, Proof, Signed, TrustedRoot, Verifier,
};
use serde_json::{Value, json};
use x509_cert::der::Decode as _;

/// What went wrong, for a person.
pub(crate) type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Does what the arguments of a command line ask.
pub(crate) fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), Failure> {
    let command = arguments.next().unwrap_or_default();
    let arguments = Arguments::read(arguments)?;
    match command.as_str() {
        "sign-bundle" => tokio::runtime::Runtime::new()?.block_on(sign(&arguments)),
        "verify-bundle" => verify(&arguments),
        other => Err(format!("`{other}` is no command of the protocol").into()),
    }
}

/// `--name VALUE` pairs, `--name` alone, and one argument without a name.
struct Arguments {
    named: HashMap<String, String>,
    last: String,
}

impl Arguments {
    fn read(arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let (mut named, mut last, mut arguments) = (HashMap::new(), None, arguments);
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix("--") {
                Some(flag @ ("staging" | "in-toto")) => {
                    named.insert(flag.to_owned(), String::new());
                }
                Some(name) => {
                    let value = arguments.next().ok_or("a flag has no value")?;
                    named.insert(name.to_owned(), value);
                }
                None => last = Some(argument),
            }
        }
        Ok(Self { named, last: last.ok_or("there is no file")? })
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.named.get(name).map(String::as_str)
    }

    fn wanted(&self, name: &str) -> Result<&str, Failure> {
        self.value(name).ok_or_else(|| format!("`--{name}` is missing").into())
    }

    fn trusted_root(&self) -> Result<TrustedRoot, Failure> {
        let json = match self.value("trusted-root") {
            Some(path) => fs::read(path)?,
            None if self.value("staging").is_some() => {
                sigstore_trust_root::SIGSTORE_STAGING_TRUSTED_ROOT.into()
            }
            None => sigstore_trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT.into(),
        };
        Ok(TrustedRoot::parse(&json)?)
    }
}

/// What is verified: a file, or its digest alone.
struct Artifact {
    digest: [u8; 32],
    content: Option<Vec<u8>>,
}

impl Artifact {
    fn read(text: &str) -> Result<Self, Failure> {
        let digest_of = |hex: &str| <[u8; 32]>::try_from(hex::decode(hex).ok()?).ok();
        let named = text.strip_prefix("sha256:").and_then(digest_of);
        if let Some(digest) = named.filter(|_| !Path::new(text).exists()) {
            return Ok(Self { digest, content: None });
        }
        let content = fs::read(text)?;
        let digest = Hash::Sha256.digest(&content).try_into().map_err(|_| "no digest")?;
        Ok(Self { digest, content: Some(content) })
    }

    fn is_signed(&self, key: &PublicKey, signature: &SignatureBytes) -> bool {
        if let Some(content) = &self.content {
            return key.verifying_hash(content, signature, Hash::Sha256).is_some();
        }
        let algorithm: &'static dyn signature::VerificationAlgorithm = match key.algorithm() {
            KeyAlgorithm::EcdsaP256 => &signature::ECDSA_P256_SHA256_ASN1,
            KeyAlgorithm::EcdsaP384 => &signature::ECDSA_P384_SHA256_ASN1,
            KeyAlgorithm::EcdsaP521 => &signature::ECDSA_P521_SHA256_ASN1,
            KeyAlgorithm::Rsa(_) => &signature::RSA_PKCS1_2048_8192_SHA256,
            KeyAlgorithm::Ed25519 => return false,
        };
        let Ok(digest) = Digest::import_less_safe(&self.digest, &SHA256) else { return false };
        ParsedPublicKey::new(algorithm, key.as_der())
            .is_ok_and(|key| key.verify_digest_sig(&digest, signature.as_bytes()).is_ok())
    }
}

/// Signs as whom the token says, with the services of the signing config.
async fn sign(arguments: &Arguments) -> Result<(), Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let now = clock.now();
    let root = Arc::new(arguments.trusted_root()?);
    let config = match arguments.value("signing-config") {
        Some(path) => fs::read(path)?,
        None if arguments.value("staging").is_some() => {
            sigstore_trust_root::SIGSTORE_STAGING_SIGNING_CONFIG.into()
        }
        None => sigstore_trust_root::SIGSTORE_PRODUCTION_SIGNING_CONFIG.into(),
    };
    let config = SigningConfig::parse(&config)?;
    let network = Network::new(Arc::new(MemoryEnvironment::default()));

    let token = Secret::new(arguments.wanted("identity-token")?.to_owned());
    let anybody = IdentityPolicy {
        issuer: Matcher::pattern(".*")?,
        identity: Matcher::pattern(".*")?,
        github: GithubClaims::default(),
    };
    let signer = KeylessSigner::new(
        "conformance".parse()?,
        Arc::new(anybody),
        Arc::new(Token(IdentityToken::parse(&token)?)),
        Arc::new(Fulcio::new(&config.certificate_authority(now)?.url, &network)?),
        Arc::clone(&root),
        Arc::clone(&clock),
    );
    let file = fs::read(&arguments.last)?;
    let is_statement = arguments.value("in-toto").is_some();
    let (content, message) = match is_statement {
        true => (Content::Statement(&file), statement_signed_bytes(&file)),
        false => (Content::Message(&file), file.clone()),
    };
    let made = signer.sign(&message, Hash::Sha256).await?;
    let (certificate, _) = made.certificate.as_ref().ok_or("there is no certificate")?;

    let mut pool = WitnessPool::new(network, Arc::clone(&root));
    let logs = pool.logs(&config.logs(Format::Bundle, now)?)?;
    let authorities = config.timestamp_authorities(now)?;
    let authorities = pool.authorities(authorities.iter().map(|it| it.url.as_str()))?;
    let called = Called { logs, authorities };
    let witness = Witness::new(Ok(Called::default()), Ok(called), root, clock);
    let verifier = Verifier::Certificate(certificate);
    let signed = Signed { content, signature: &made.signature, verifier };
    let evidence = witness.witness(&signed, Hash::Sha256, Format::Bundle).await;
    let evidence = evidence.map_err(|failure| failure.message)?;
    let bundle = NewBundle {
        key: &made.public_key,
        certificate: Some(certificate),
        statement: &file,
        signature: &made.signature,
        log_entries: &evidence.log_entries,
        timestamps: &evidence.timestamps,
    };
    let mut bundle: Value = serde_json::from_slice(&bundle.to_bytes())?;
    if !is_statement {
        // The writer of the product makes envelopes; the rest of a bundle is the same.
        bundle.as_object_mut().ok_or("the bundle is no object")?.remove("dsseEnvelope");
        let digest = STANDARD.encode(Hash::Sha256.digest(&file));
        bundle["messageSignature"] = json!({
            "messageDigest": { "algorithm": "SHA2_256", "digest": digest },
            "signature": made.signature.to_base64(),
        });
    }
    fs::write(arguments.wanted("bundle")?, bundle.to_string())?;
    Ok(())
}

/// The one token that the suite gives.
#[derive(Debug)]
struct Token(IdentityToken);

#[async_trait]
impl IdentitySource for Token {
    async fn token(&self, _audience: &str) -> Result<IdentityToken, ServiceError> {
        Ok(self.0.clone())
    }
}

fn verify(arguments: &Arguments) -> Result<(), Failure> {
    let artifact = Artifact::read(&arguments.last)?;
    let bytes = fs::read(arguments.wanted("bundle")?)?;
    let bundle = Evidence::read(&bytes)?;
    let root = arguments.trusted_root()?;
    let now = SystemClock.now();
    match arguments.value("key") {
        Some(path) => {
            let key = PublicKey::from_pem(&fs::read_to_string(path)?)?;
            if bundle.certificate.is_some() {
                return Err("the bundle names a certificate, and not a key".into());
            }
            bundle.check(&artifact, Verifier::Key(&key), &root, now)?;
        }
        None => {
            let certificate = bundle.certificate.as_ref().ok_or("the bundle has no certificate")?;
            let proof = bundle.check(&artifact, Verifier::Certificate(certificate), &root, now)?;
            let time = proof.earliest.ok_or("nothing proves when the signature was made")?;
            let identity = root
                .identity_of(certificate, None, time)
                .map_err(|error| format!("{}: {error}", error.code))?;
            let exact = |name| arguments.wanted(name).map(|it| Matcher::Exact(it.to_owned()));
            let policy = IdentityPolicy {
                issuer: exact("certificate-oidc-issuer")?,
                identity: exact("certificate-identity")?,
                github: GithubClaims::default(),
            };
            policy.accepts(&identity)?;
        }
    }
    Ok(())
}

/// A bundle of either content, with the strictness of the suite.
struct Evidence {
    certificate: Option<Certificate>,
    log_entries: Vec<LogEntry>,
    timestamps: Vec<Vec<u8>>,
    signature: SignatureBytes,
    /// The statement; without one the signature is over the artifact.
    statement: Option<Vec<u8>>,
    /// What the bundle says the digest of the artifact is.
    digest: Option<Vec<u8>>,
}

impl Evidence {
    fn read(bytes: &[u8]) -> Result<Self, Failure> {
        let value: Value = serde_json::from_slice(bytes)?;
        let mut text = value.to_string();
        let message = value.get("messageSignature");
        if message.is_some() {
            // The reader of the product wants an envelope; the rest of a bundle is the same.
            let mut other = value.clone();
            other["dsseEnvelope"] = json!({ "payload": "", "signatures": [] });
            text = other.to_string();
        }
        let bundle = Bundle::parse(text.as_bytes())?;
        if !matches!(bundle.version, (0, 1..=3)) {
            return Err("the version of the bundle is not known".into());
        }
        if !bundle.unread.is_empty() {
            return Err(bundle.unread.join("; ").into());
        }
        let material = &value["verificationMaterial"];
        let certificates: Vec<&Value> = match &material["x509CertificateChain"]["certificates"] {
            Value::Array(chain) => chain.iter().collect(),
            _ => material.get("certificate").into_iter().collect(),
        };
        let certificates: Vec<Certificate> = certificates
            .iter()
            .map(|it| Ok(Certificate::from_der(&decode(&it["rawBytes"])?)?))
            .collect::<Result<_, Failure>>()?;
        if has_root(&certificates) {
            return Err("the bundle carries a root certificate".into());
        }
        if bundle.version >= (0, 2) && bundle.log_entries.iter().any(|it| it.inclusion.is_none()) {
            return Err("a log entry of the bundle has no proof of inclusion".into());
        }
        let (signature, statement, digest) = match message {
            Some(message) => {
                let digest = decode(&message["messageDigest"]["digest"])?;
                (SignatureBytes::new(decode(&message["signature"])?), None, Some(digest))
            }
            None => {
                let signature = bundle.signature().ok_or("there must be one signature")?.clone();
                (signature, Some(bundle.envelope.payload), None)
            }
        };
        Ok(Self {
            certificate: certificates.into_iter().next(),
            log_entries: bundle.log_entries,
            timestamps: bundle.timestamps,
            signature,
            statement,
            digest,
        })
    }

    fn check(
        &self,
        artifact: &Artifact,
        verifier: Verifier<'_>,
        root: &TrustedRoot,
        now: Timestamp,
    ) -> Result<Proof, Failure> {
        let key = verifier.public_key();
        let content = match &self.statement {
            Some(statement) => {
                let signed = statement_signed_bytes(statement);
                if key.verifying_hash(&signed, &self.signature, Hash::Sha256).is_none() {
                    return Err("the signature is not good over the envelope".into());
                }
                if !names(statement, &artifact.digest) {
                    return Err("the statement does not name the artifact".into());
                }
                Content::Statement(statement)
            }
            None => {
                if self.digest.as_deref() != Some(&artifact.digest[..]) {
                    return Err("the bundle is for another artifact".into());
                }
                if !artifact.is_signed(key, &self.signature) {
                    return Err("the signature is not good over the artifact".into());
                }
                match &artifact.content {
                    Some(content) => Content::Message(content),
                    None => Content::Digest(artifact.digest),
                }
            }
        };
        let signed = Signed { content, signature: &self.signature, verifier };
        let proof = root.prove(&signed, &self.log_entries, &self.timestamps, now);
        if let Some(problem) = proof.problems.first() {
            return Err(format!("{}: {problem}", problem.code).into());
        }
        if proof.log_entries == 0 {
            return Err("no log entry holds".into());
        }
        Ok(proof)
    }
}

/// A root is its own issuer.
fn has_root(chain: &[Certificate]) -> bool {
    let body = |it: &Certificate| x509_cert::Certificate::from_der(it.as_der()).ok();
    let bodies = chain.iter().filter_map(body).map(|it| it.tbs_certificate);
    bodies.into_iter().any(|it| it.issuer == it.subject)
}

fn names(statement: &[u8], artifact: &[u8; 32]) -> bool {
    let value: Value = serde_json::from_slice(statement).unwrap_or_default();
    let subjects = value["subject"].as_array().map(Vec::as_slice).unwrap_or_default();
    subjects.iter().any(|it| it["digest"]["sha256"].as_str() == Some(&hex::encode(artifact)))
}

fn decode(value: &Value) -> Result<Vec<u8>, Failure> {
    Ok(STANDARD.decode(value.as_str().ok_or("a text is missing")?)?)
}
