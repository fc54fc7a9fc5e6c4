//! New keys: a key that signs, and the alias that names it.

use std::sync::Arc;

use aws_config::retry::RetryConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::types::{KeySpec, KeyUsageType};

use crate::keys::aws_kms::failure::failure;
use crate::keys::{KeyError, KeyErrorKind};

/// Makes a P-256 key, and gives it `alias`, which must be free. Gives its ARN. Three requests.
///
/// # Errors
///
/// [`KeyErrorKind::Exists`] where the alias names a key already; those of the service.
pub(super) async fn create(
    client: &Client,
    name: &Arc<str>,
    alias: &str,
) -> Result<String, KeyError> {
    match client.describe_key().key_id(alias).send().await {
        Ok(_) => {
            return Err(KeyError::new("create", name, KeyErrorKind::Exists)
                .because("the alias names a key already"));
        }
        Err(error) => match allowed(failure("create", name, error)) {
            error if error.kind == KeyErrorKind::NotFound => {}
            error => return Err(error),
        },
    }
    // A second try could make a second key, which costs money until somebody finds it.
    let once = aws_sdk_kms::config::Builder::new().retry_config(RetryConfig::disabled());
    let made = client
        .create_key()
        .key_spec(KeySpec::EccNistP256)
        .key_usage(KeyUsageType::SignVerify)
        .description("signs container images")
        .customize()
        .config_override(once)
        .send()
        .await
        .map_err(|error| allowed(failure("create", name, error)))?;
    let metadata = made.key_metadata();
    let arn = metadata.and_then(|it| it.arn().or(Some(it.key_id()))).unwrap_or_default().to_owned();
    let named = client.create_alias().alias_name(alias).target_key_id(&arn).send().await;
    named.map_err(|error| {
        failure("create", name, error).advise(format!(
            "the key is there, and has no name: allow kms:CreateAlias, and run `aws kms create-alias --alias-name {alias} --target-key-id {arn}`"
        ))
    })?;
    Ok(arn)
}

fn allowed(error: KeyError) -> KeyError {
    match error.kind {
        KeyErrorKind::Permission if !says_no_credentials(&error) => error
            .advise("allow kms:DescribeKey, kms:CreateKey, kms:CreateAlias and kms:GetPublicKey"),
        _ => error,
    }
}

fn says_no_credentials(error: &KeyError) -> bool {
    error.source.as_ref().is_some_and(|it| it.to_string().starts_with("no credentials"))
}
