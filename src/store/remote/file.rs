//! Bodies that are files: what is too large for memory is read and sent in pieces.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream;
use reqwest::Response;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::model::{Descriptor, Digest};
use crate::store::StoreErrorKind;
use crate::store::remote::failure::Failure;

/// How much is read at once, in bytes.
const PIECE: usize = 256 << 10;

/// A connection that is slower than this, in bytes a second, does not end.
const SLOWEST: u64 = 256 << 10;

/// What is sent.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A file, read anew for each try.
    File(Arc<Path>),
}

impl Body {
    /// As the client sends it.
    pub(super) async fn open(&self) -> Result<reqwest::Body, Failure> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone().into()),
            Self::File(path) => {
                let file = File::open(path).await.map_err(|error| failed("read", path, &error))?;
                let pieces = stream::try_unfold(file, async |mut file| {
                    let mut piece = BytesMut::with_capacity(PIECE);
                    let read = file.read_buf(&mut piece).await?;
                    Ok::<_, io::Error>((read > 0).then(|| (piece.freeze(), file)))
                });
                Ok(reqwest::Body::wrap_stream(pieces))
            }
        }
    }
}

/// How long a body of `size` bytes may take, besides what every request may.
pub(super) fn patience(size: u64) -> Duration {
    Duration::from_secs(size / SLOWEST)
}

/// Writes the body of an answer to `path`, up to `largest` bytes.
pub(super) async fn save(
    mut response: Response,
    path: &Path,
    largest: u64,
) -> Result<(), Result<Failure, reqwest::Error>> {
    let disk = |error: io::Error| Ok(failed("write", path, &error));
    let mut file = File::create(path).await.map_err(disk)?;
    let mut length = 0_u64;
    while let Some(piece) = response.chunk().await.map_err(Err)? {
        length = length.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if length > largest {
            let detail = format!("the answer is larger than {largest} bytes");
            return Err(Ok(Failure::new(StoreErrorKind::TooLarge, detail)));
        }
        file.write_all(&piece).await.map_err(disk)?;
    }
    file.flush().await.map_err(disk)
}

/// Checks the file at `path` against size and digest of `descriptor`.
pub(super) async fn check(path: &Path, descriptor: &Descriptor) -> Result<(), Failure> {
    let disk = |error: io::Error| failed("read", path, &error);
    let mut file = File::open(path).await.map_err(disk)?;
    let mut hasher = Digest::hasher(descriptor.digest.algorithm());
    let (mut piece, mut length) = (vec![0; PIECE], 0_u64);
    loop {
        let read = file.read(&mut piece).await.map_err(disk)?;
        let Some(taken) = piece.get(..read).filter(|it| !it.is_empty()) else { break };
        hasher.update(taken);
        length = length.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
    if length != descriptor.size || !hasher.matches(&descriptor.digest) {
        let detail = format!("the content of {length} bytes is not {}", descriptor.digest);
        return Err(Failure::new(StoreErrorKind::WrongDigest, detail));
    }
    Ok(())
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    let detail = format!("cannot {what} {}: {error}", path.display());
    Failure::new(StoreErrorKind::Unavailable, detail)
}
