//! The folder of a cache: one file for each digest, the oldest go when it grows too large.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;

use crate::model::Digest;

/// So many bytes are written between two looks at the size of the folder.
const BETWEEN_LOOKS: u64 = 8 << 20;

/// The folder, and how much may be in it.
#[derive(Debug)]
pub(super) struct CacheFolder {
    path: PathBuf,
    largest: u64,
    /// Bytes written since the size was looked at; the first write looks too.
    written: AtomicU64,
}

impl CacheFolder {
    pub(super) fn new(path: PathBuf, largest: u64) -> Self {
        Self { path, largest, written: AtomicU64::new(BETWEEN_LOOKS) }
    }

    fn file(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let first = hex.get(..2).unwrap_or_default().to_owned();
        self.path.join(digest.algorithm().name()).join(first).join(hex)
    }

    /// What is kept under `digest`, if that is what it is.
    pub(super) fn read(&self, digest: &Digest, largest: u64) -> Option<Bytes> {
        let mut content = Vec::new();
        let file = File::open(self.file(digest)).ok()?;
        file.take(largest.saturating_add(1)).read_to_end(&mut content).ok()?;
        digest.matches(&content).then(|| content.into())
    }

    /// Keeps `content` under `digest`: written beside and renamed, so that nobody reads half of it.
    pub(super) fn write(&self, digest: &Digest, content: &[u8]) -> io::Result<()> {
        let file = self.file(digest);
        let folder = file.parent().unwrap_or(&self.path);
        fs::create_dir_all(folder)?;
        let mut beside = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
        beside.write_all(content)?;
        beside.persist(&file).map_err(|error| error.error)?;
        let length = u64::try_from(content.len()).unwrap_or(u64::MAX);
        let written = self.written.fetch_add(length, Ordering::Relaxed).saturating_add(length);
        if written >= BETWEEN_LOOKS {
            self.written.store(0, Ordering::Relaxed);
            self.shrink()?;
        }
        Ok(())
    }

    /// Takes `digest` away.
    pub(super) fn forget(&self, digest: &Digest) {
        let _ = fs::remove_file(self.file(digest));
    }

    /// Takes the oldest files away until four fifths of the limit are left, if it is over the limit.
    fn shrink(&self) -> io::Result<()> {
        let mut files = Vec::new();
        collect(&self.path, 0, &mut files)?;
        let mut size: u64 = files.iter().map(|(_, length, _)| length).sum();
        if size <= self.largest {
            return Ok(());
        }
        files.sort();
        for (_, length, path) in files {
            if size <= self.largest / 5 * 4 {
                break;
            }
            // Another process may have been faster.
            let _ = fs::remove_file(path);
            size = size.saturating_sub(length);
        }
        Ok(())
    }
}

fn collect(
    folder: &Path,
    depth: usize,
    files: &mut Vec<(SystemTime, u64, PathBuf)>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() {
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        } else if metadata.is_dir() && depth < 2 {
            collect(&entry.path(), depth + 1, files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_does_not_outgrow_its_limit() {
        let path = tempfile::tempdir().unwrap();
        let folder = CacheFolder::new(path.path().to_owned(), 1000);
        let contents: Vec<Vec<u8>> = (0..50_u8).map(|byte| vec![byte; 100]).collect();
        for content in &contents {
            // Every write looks.
            folder.written.store(BETWEEN_LOOKS, Ordering::Relaxed);
            folder.write(&Digest::of(content), content).unwrap();
        }
        let kept = contents.iter().filter(|it| folder.read(&Digest::of(it), 100).is_some());
        let kept = kept.count();
        assert!((1..=10).contains(&kept), "{kept} are kept");
        let newest = contents.last().unwrap();
        assert_eq!(folder.read(&Digest::of(newest), 100).unwrap(), newest.as_slice());
    }
}
