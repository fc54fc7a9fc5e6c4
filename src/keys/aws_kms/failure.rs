//! From the errors of AWS's library to [`KeyError`].

use std::error::Error;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};

use crate::keys::{KeyError, KeyErrorKind};
use crate::wire::one_line;

/// Says what went wrong: the code and the message of the service, or the last cause of what is no answer.
pub(super) fn failure<E, R>(
    operation: &'static str,
    key: impl fmt::Display,
    error: SdkError<E, R>,
) -> KeyError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: fmt::Debug + Send + Sync + 'static,
{
    let (kind, said) = match &error {
        SdkError::ServiceError(answer) => {
            let code = answer.err().code().unwrap_or("UnknownError");
            let message = answer.err().message().unwrap_or_default();
            (kind_of(code), format!("{code}: {message}"))
        }
        SdkError::ResponseError(_) => {
            (KeyErrorKind::Unavailable, format!("the answer cannot be read: {}", innermost(&error)))
        }
        _ if has_no_credentials(&error) => {
            (KeyErrorKind::Permission, format!("no credentials: {}", innermost(&error)))
        }
        _ => (KeyErrorKind::Unavailable, format!("no answer from AWS KMS: {}", innermost(&error))),
    };
    let described = KeyError::new(operation, key, kind)
        .because(one_line(&said).unwrap_or_else(|| "AWS KMS said nothing".into()));
    match advice(kind, &said) {
        Some(advice) => described.advise(advice),
        None => described,
    }
}

/// Source: AWS KMS API, "Common Errors", and those of `GetPublicKey` and `Sign`.
fn kind_of(code: &str) -> KeyErrorKind {
    match code {
        "NotFoundException" => KeyErrorKind::NotFound,
        "InvalidArnException" => KeyErrorKind::Malformed,
        "ThrottlingException"
        | "Throttling"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "LimitExceededException" => KeyErrorKind::Throttled,
        "InvalidKeyUsageException" | "UnsupportedOperationException" | "ValidationException" => {
            KeyErrorKind::Unsupported
        }
        "DependencyTimeoutException"
        | "KeyUnavailableException"
        | "KMSInternalException"
        | "InternalFailure"
        | "ServiceUnavailable" => KeyErrorKind::Unavailable,
        // Disabled, or waiting for its deletion or its material.
        "DisabledException" | "KMSInvalidStateException" => KeyErrorKind::Disabled,
        _ if code.contains("Denied") || code.contains("NotAuthorized") => KeyErrorKind::Permission,
        _ if code.contains("Token") || code.contains("Client") || code.contains("Signature") => {
            KeyErrorKind::Permission
        }
        _ => KeyErrorKind::Unavailable,
    }
}

fn advice(kind: KeyErrorKind, said: &str) -> Option<&'static str> {
    match kind {
        KeyErrorKind::Disabled if said.starts_with("DisabledException") => {
            Some("enable the key: aws kms enable-key --key-id …")
        }
        KeyErrorKind::Disabled => Some("look at its state: aws kms describe-key --key-id …"),
        KeyErrorKind::Permission if said.starts_with("no credentials") => Some(
            "give AWS credentials: AWS_PROFILE, AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, a role, or `aws sso login`",
        ),
        KeyErrorKind::Permission => Some("allow kms:GetPublicKey and kms:Sign on this key"),
        KeyErrorKind::NotFound => {
            Some("check the key, the account of the credentials, and the region (AWS_REGION)")
        }
        _ => None,
    }
}

fn has_no_credentials(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|it| it.downcast_ref::<CredentialsError>().is_some())
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |it: &&'a (dyn Error + 'static)| (*it).source())
}
