//! Keys in AWS KMS: `awskms://[ENDPOINT]/KEY`, where KEY is an id, an alias, or the ARN of either.
//!
//! Credentials, region, endpoint and retries are those of AWS's own library, which reads the environment and the
//! shared files by itself. Only digests leave this machine. Source: cosign's `pkg/signature/kms/aws`, KMS API.

mod create;
mod failure;
mod reference;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeyUsageType, MessageType, SigningAlgorithmSpec};

use crate::crypto::{Hash, KeyAlgorithm, PublicKey, SignatureBytes};
use crate::keys::aws_kms::failure::failure;
use crate::keys::aws_kms::reference::Reference;
use crate::keys::remote::{RemoteKey, RemoteSigner};
use crate::keys::{KeyError, KeyErrorKind, KeyReference, OpenOptions, Provider, Signer};

/// The provider of `awskms://`.
#[derive(Clone, Copy, Debug)]
pub(super) struct AwsKms;

const FORM: &str = "write `awskms:///alias/NAME`, `awskms:///KEY-ID` or `awskms:///arn:aws:kms:REGION:ACCOUNT:key/KEY-ID`";

// The default is 3: too few where hundreds of images share the quota of a key. The time is bounded by `patience`.
const ATTEMPTS: u32 = 12;
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

#[async_trait]
impl Provider for AwsKms {
    fn name(&self) -> &'static str {
        "aws-kms"
    }

    fn scheme(&self) -> &'static str {
        "awskms"
    }

    fn refuses(&self, reference: &str) -> Option<(&'static str, &'static str)> {
        Reference::parse(reference).err().map(|why| (why, FORM))
    }

    async fn open(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<Arc<dyn Signer>, KeyError> {
        let (client, parsed) = client("open", reference, options).await?;
        let name: Arc<str> = reference.to_string().into();
        let (key, public_key, hashes) = fetch(client, &name, parsed.key).await?;
        Ok(Arc::new(RemoteSigner::new(name, public_key, hashes, key)))
    }

    async fn create(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<PublicKey, KeyError> {
        let (client, parsed) = client("create", reference, options).await?;
        let name: Arc<str> = reference.to_string().into();
        let alias = parsed.alias().ok_or_else(|| {
            KeyError::new("create", &name, KeyErrorKind::Unsupported)
                .because("AWS gives a new key its id, so it can be made by an alias alone")
                .advise("write `awskms:///alias/NAME`")
        })?;
        let arn = create::create(&client, &name, alias).await?;
        let (_, public_key, _) = fetch(client, &name, arn).await?;
        Ok(public_key)
    }
}

/// The service where the key is, and what the reference says.
async fn client(
    operation: &'static str,
    reference: &KeyReference,
    options: &OpenOptions,
) -> Result<(Client, Reference), KeyError> {
    let parsed = reference.read(operation, Reference::parse, FORM)?;
    let config = configuration(&parsed, options).await;
    if config.region().is_none() {
        return Err(KeyError::new(operation, reference, KeyErrorKind::Malformed)
            .because("the region of the key is not known")
            .advise("set AWS_REGION, or name the key by its ARN"));
    }
    Ok((Client::new(&config), parsed))
}

async fn configuration(reference: &Reference, options: &OpenOptions) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(options.patience.max(Duration::from_millis(1)))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
    if options.variable("AWS_MAX_ATTEMPTS").is_none() {
        loader = loader.retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS));
    }
    if let Some(region) = &reference.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &reference.endpoint {
        loader = loader.endpoint_url(format!("https://{endpoint}"));
    }
    loader.load().await
}

/// The key, its public half, and the hashes that it signs with. One request.
async fn fetch(
    client: Client,
    name: &Arc<str>,
    id: String,
) -> Result<(AwsKey, PublicKey, Vec<Hash>), KeyError> {
    let answer = client.get_public_key().key_id(&id).send().await;
    let answer = answer.map_err(|error| failure("open", name, error))?;
    let unsupported =
        |why: String| KeyError::new("open", name, KeyErrorKind::Unsupported).because(why);
    if answer.key_usage().is_some_and(|usage| *usage != KeyUsageType::SignVerify) {
        return Err(unsupported("the key is not for signing".into())
            .advise("create a key with the usage SIGN_VERIFY"));
    }
    let der = answer.public_key().map(Blob::as_ref).unwrap_or_default();
    let public_key = PublicKey::from_der(der).map_err(|error| {
        let advice = "create a key of ECC_NIST_P256, P384 or P521, or of RSA_2048 to 4096";
        unsupported(error.to_string()).advise(advice)
    })?;
    let offered = answer.signing_algorithms();
    let hashes: Vec<_> = Hash::ALL
        .into_iter()
        .filter(|hash| {
            specification(public_key.algorithm(), *hash).is_some_and(|it| offered.contains(&it))
        })
        .collect();
    if hashes.is_empty() {
        return Err(unsupported(format!(
            "of the algorithms of this {} key none is one that cosign verifies",
            public_key.algorithm()
        )));
    }
    // The ARN of the key itself: an alias that moves during the run changes nothing.
    let id = answer.key_id().map_or(id, str::to_owned);
    let key = AwsKey { name: Arc::clone(name), client, id, algorithm: public_key.algorithm() };
    Ok((key, public_key, hashes))
}

/// PKCS#1 v1.5 for RSA, also where AWS lists PSS first: `cosign verify --key` takes nothing else.
fn specification(algorithm: KeyAlgorithm, hash: Hash) -> Option<SigningAlgorithmSpec> {
    Some(match (algorithm, hash) {
        // The curve fixes the hash.
        (KeyAlgorithm::EcdsaP256, Hash::Sha256) => SigningAlgorithmSpec::EcdsaSha256,
        (KeyAlgorithm::EcdsaP384, Hash::Sha384) => SigningAlgorithmSpec::EcdsaSha384,
        (KeyAlgorithm::EcdsaP521, Hash::Sha512) => SigningAlgorithmSpec::EcdsaSha512,
        (KeyAlgorithm::Rsa(_), Hash::Sha256) => SigningAlgorithmSpec::RsassaPkcs1V15Sha256,
        (KeyAlgorithm::Rsa(_), Hash::Sha384) => SigningAlgorithmSpec::RsassaPkcs1V15Sha384,
        (KeyAlgorithm::Rsa(_), Hash::Sha512) => SigningAlgorithmSpec::RsassaPkcs1V15Sha512,
        _ => return None,
    })
}

/// A private key in AWS KMS.
struct AwsKey {
    name: Arc<str>,
    client: Client,
    id: String,
    algorithm: KeyAlgorithm,
}

impl std::fmt::Debug for AwsKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwsKey").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl RemoteKey for AwsKey {
    async fn sign(&self, message: &[u8], hash: Hash) -> Result<SignatureBytes, KeyError> {
        let answer = self
            .client
            .sign()
            .key_id(&self.id)
            .message_type(MessageType::Digest)
            .message(Blob::new(hash.digest(message)))
            .set_signing_algorithm(specification(self.algorithm, hash))
            .send()
            .await
            .map_err(|error| failure("sign with", &self.name, error))?;
        let signature = answer.signature().map(Blob::as_ref).unwrap_or_default();
        Ok(SignatureBytes::new(signature.to_vec()))
    }
}
