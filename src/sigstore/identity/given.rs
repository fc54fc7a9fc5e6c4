//! A token that somebody gave: the text itself, or a file that holds it.

use std::path::Path;

use tokio::io::AsyncReadExt as _;

use crate::model::Secret;
use crate::sigstore::identity::failure::failed;
use crate::sigstore::identity::{IdentityOptions, IdentityToken, TokenError};
use crate::sigstore::{ServiceError, ServiceErrorKind};

const PLACE: &str = "`--identity-token`";

/// The token that `text` is, else that of the file that it names.
///
/// A file is read each time, so whoever renews it is heard.
///
/// # Errors
///
/// A token that has ended, or none. Neither text nor path is quoted: a mangled token would be seen.
pub(super) async fn token(
    text: &Secret<String>,
    options: &IdentityOptions,
) -> Result<IdentityToken, ServiceError> {
    let token = match IdentityToken::parse(text) {
        Ok(token) => token,
        Err(_) => {
            let content = content(Path::new(text.expose())).await?;
            IdentityToken::parse(&content).map_err(|error| {
                failed(
                    ServiceErrorKind::Permission,
                    PLACE,
                    format!("the file holds no token: {error}"),
                )
            })?
        }
    };
    if token.is_expired(options.clock.now()) {
        let said = format!("the token ended at {}", token.expires());
        return Err(failed(ServiceErrorKind::Permission, PLACE, said)
            .advise("get a new token and run again: what is done is kept"));
    }
    Ok(token)
}

async fn content(path: &Path) -> Result<Secret<String>, ServiceError> {
    let unreadable = |error: std::io::Error| {
        let said = format!("it is no token, and cannot be read as a file: {}", error.kind());
        failed(ServiceErrorKind::Permission, PLACE, said)
    };
    file(path).await.map_err(unreadable)?.map_err(|error| {
        failed(ServiceErrorKind::Permission, PLACE, format!("the file holds no token: {error}"))
    })
}

/// The text of a file that should hold a token.
pub(super) async fn file(
    path: &Path,
) -> Result<Result<Secret<String>, TokenError>, std::io::Error> {
    let mut content = Vec::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(LARGEST + 1).read_to_end(&mut content).await?;
    if content.len() as u64 > LARGEST {
        return Ok(Err(TokenError::TooLong));
    }
    Ok(String::from_utf8(content).map(Secret::new).map_err(|_| TokenError::NoJwt))
}

/// As large as a token may be, in bytes.
const LARGEST: u64 = 64 << 10;
