//! The files of a layout: read with bounds, written so that a crash leaves the old or the new.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tempfile::Builder;

use crate::model::Digest;
use crate::store::StoreErrorKind;
use crate::store::layout::index::LayoutIndex;

/// More than any layout marker needs.
const MAX_MARKER: u64 = 64 * 1024;
/// About 200,000 entries.
const MAX_INDEX: u64 = 64 * 1024 * 1024;

/// How much is copied at once, in bytes.
const PIECE: usize = 256 * 1024;

const MARKER: &str = "oci-layout";
const INDEX: &str = "index.json";
/// Held while `index.json` is read, changed and written. It stays: whoever removed it would let two in.
const LOCK: &str = "index.json.lock";
/// Beginning of the names of unfinished files; after a crash they may be deleted.
const UNFINISHED: &str = ".countersign-";

/// Somebody who writes one small file should be done by then.
const LOCK_ATTEMPTS: u32 = 6000;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Why something did not happen, before it is known what was wanted.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: StoreErrorKind,
    pub(super) detail: String,
    pub(super) source: Option<io::Error>,
}

impl Fault {
    pub(super) fn new(kind: StoreErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), source: None }
    }

    /// `file` is relative to the layout.
    fn io(file: &str, source: io::Error) -> Self {
        use io::ErrorKind::{
            FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
        };
        let kind = match source.kind() {
            PermissionDenied | ReadOnlyFilesystem => StoreErrorKind::Forbidden,
            FileTooLarge | QuotaExceeded | StorageFull => StoreErrorKind::Refused,
            _ => StoreErrorKind::Unavailable,
        };
        Self { kind, detail: file.to_owned(), source: Some(source) }
    }
}

/// The folder of a layout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Folder<'a>(pub(super) &'a Path);

/// The right to change `index.json`, until it is dropped or its process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Folder<'_> {
    /// Reads `index.json` of a folder that is a layout.
    pub(super) fn index(self) -> Result<LayoutIndex, Fault> {
        if self.state()? == State::Blank {
            return Err(Fault::new(StoreErrorKind::RepositoryUnknown, "there is no layout"));
        }
        let bytes = self.read(INDEX, MAX_INDEX)?.ok_or_else(|| missing(INDEX))?;
        LayoutIndex::parse(&bytes)
            .map_err(|detail| Fault::new(StoreErrorKind::InvalidAnswer, detail))
    }

    /// Replaces `index.json`. Only with the [`Lock`].
    pub(super) fn write_index(self, _lock: &Lock, index: &LayoutIndex) -> Result<(), Fault> {
        self.write(INDEX, &index.to_bytes())
    }

    /// Waits for the right to change `index.json`.
    pub(super) fn lock(self) -> Result<Lock, Fault> {
        let path = self.0.join(LOCK);
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true).open(path);
        let file = file.map_err(|error| Fault::io(LOCK, error))?;
        for _ in 0..LOCK_ATTEMPTS {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(error)) => return Err(Fault::io(LOCK, error)),
            }
        }
        let detail = "index.json.lock has been held by another process for a minute";
        Err(Fault::new(StoreErrorKind::Unavailable, detail))
    }

    /// Makes an empty layout where there is no folder or an empty one.
    ///
    /// It is made in its place, since that may be where a volume is mounted.
    pub(super) fn create(self) -> Result<(), Fault> {
        if self.state()? == State::Layout {
            return Ok(());
        }
        let fault = |error| Fault::io(".", error);
        fs::create_dir_all(self.0).map_err(fault)?;
        let _lock = self.lock()?;
        if self.state()? == State::Layout {
            return Ok(());
        }
        self.write(MARKER, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        self.write(INDEX, &LayoutIndex::empty().to_bytes())?;
        fs::create_dir_all(self.0.join("blobs/sha256")).map_err(fault)
    }

    /// Reads a blob of at most `limit` bytes and checks its digest; `None` where there is none.
    pub(super) fn blob(self, digest: &Digest, limit: u64) -> Result<Option<Bytes>, Fault> {
        let file = blob_file(digest);
        let Some(bytes) = self.read(&file, limit)? else { return Ok(None) };
        if digest.matches(&bytes) {
            return Ok(Some(bytes.into()));
        }
        let detail = format!("{file} has other content than its name says");
        Err(Fault::new(StoreErrorKind::WrongDigest, detail))
    }

    /// Says whether there is a blob; its content is not looked at.
    pub(super) fn has_blob(self, digest: &Digest) -> bool {
        self.0.join(blob_file(digest)).is_file()
    }

    /// Writes a blob, unless it is there and good.
    pub(super) fn write_blob(self, digest: &Digest, content: &[u8]) -> Result<(), Fault> {
        let length = u64::try_from(content.len()).unwrap_or(u64::MAX);
        match self.blob(digest, length) {
            Ok(Some(_)) => Ok(()),
            _ => self.write(&blob_file(digest), content),
        }
    }

    /// Copies a blob to a file, and checks it on the way; `None` where there is none.
    pub(super) fn blob_to_file(
        self,
        digest: &Digest,
        size: u64,
        path: &Path,
    ) -> Result<Option<()>, Fault> {
        let file = blob_file(digest);
        let from = match File::open(self.0.join(&file)) {
            Ok(from) => from,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Fault::io(&file, error)),
        };
        let copied = File::create(path).and_then(|mut to| copy(from, &mut to, digest));
        match copied.map_err(|error| Fault::io(&file, error))? {
            Some(length) if length == size => Ok(Some(())),
            _ => {
                let detail = format!("{file} has other content than its name says");
                Err(Fault::new(StoreErrorKind::WrongDigest, detail))
            }
        }
    }

    /// Takes the content of a file as a blob, unless that is there.
    pub(super) fn take_blob(self, digest: &Digest, path: &Path) -> Result<(), Fault> {
        let file = blob_file(digest);
        if self.has_blob(digest) {
            return Ok(());
        }
        let taken = fill(&self.0.join(&file), |to| copy(File::open(path)?, to, digest));
        match taken.map_err(|error| Fault::io(&file, error))? {
            Some(_) => Ok(()),
            None => {
                let detail = format!("{} is not {digest}", path.display());
                Err(Fault::new(StoreErrorKind::WrongDigest, detail))
            }
        }
    }

    /// Deletes a blob. Absent is done.
    pub(super) fn delete_blob(self, digest: &Digest) -> Result<(), Fault> {
        let file = blob_file(digest);
        match fs::remove_file(self.0.join(&file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Fault::io(&file, error)),
            _ => Ok(()),
        }
    }

    /// Tells what the folder is; what is neither a layout nor nothing is an error.
    fn state(self) -> Result<State, Fault> {
        // Once more, because somebody may have made the layout between the two looks.
        for _ in 0..2 {
            let marker = self.read(MARKER, MAX_MARKER)?;
            if let Some(marker) = marker
                && self.0.join(INDEX).exists()
            {
                check_version(&marker)?;
                return Ok(State::Layout);
            }
            if self.is_blank()? {
                return Ok(State::Blank);
            }
        }
        let file = if self.0.join(MARKER).exists() { INDEX } else { MARKER };
        Err(missing(file))
    }

    /// Says whether there is no folder, or nothing in it but a layout that was just begun.
    fn is_blank(self) -> Result<bool, Fault> {
        let fault = |error| Fault::io(".", error);
        let entries = match fs::read_dir(self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                let detail = "it is a file, and a layout is a folder";
                return Err(Fault::new(StoreErrorKind::InvalidAnswer, detail));
            }
            entries => entries.map_err(fault)?,
        };
        for entry in entries {
            let name = entry.map_err(fault)?.file_name();
            let name = name.to_string_lossy();
            if name != LOCK && name != MARKER && !name.starts_with(UNFINISHED) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads a file of at most `limit` bytes; `None` where there is none.
    fn read(self, file: &str, limit: u64) -> Result<Option<Vec<u8>>, Fault> {
        let path = self.0.join(file);
        let fault = |error| Fault::io(file, error);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(fault(error)),
        };
        // Opening a pipe would wait for its writer.
        if !metadata.is_file() {
            return Err(Fault::new(StoreErrorKind::InvalidAnswer, format!("{file} is no file")));
        }
        let opened = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(fault)?,
        };
        let mut bytes = Vec::new();
        opened.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(fault)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
            let detail = format!("{file} is larger than {limit} bytes");
            return Err(Fault::new(StoreErrorKind::TooLarge, detail));
        }
        Ok(Some(bytes))
    }

    /// Writes a file: beside, synced, renamed, and the folder synced.
    fn write(self, file: &str, content: &[u8]) -> Result<(), Fault> {
        let path = self.0.join(file);
        replace(&path, content).map_err(|error| Fault::io(file, error))
    }
}

/// What a folder is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Nothing yet.
    Blank,
    /// A layout of the version that is known.
    Layout,
}

/// Source: OCI image-spec 1.1, image-layout.md, "oci-layout file".
fn check_version(marker: &[u8]) -> Result<(), Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Marker {
        image_layout_version: String,
    }
    let detail = match serde_json::from_slice::<Marker>(marker) {
        Ok(marker) if marker.image_layout_version == "1.0.0" => return Ok(()),
        Ok(Marker { image_layout_version: version }) => {
            format!("the layout has version `{version}`, and only `1.0.0` is known")
        }
        Err(error) => format!("{MARKER}: {error}"),
    };
    Err(Fault::new(StoreErrorKind::InvalidAnswer, detail))
}

fn missing(file: &str) -> Fault {
    let detail = format!("the folder is no OCI image layout: it has no `{file}`");
    Fault::new(StoreErrorKind::InvalidAnswer, detail)
}

fn blob_file(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    fill(path, |file| file.write_all(content).map(Some)).map(|_| ())
}

/// Puts a file in its place that `write` has filled; where that gives nothing, all stays as it was.
fn fill<T>(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<Option<T>>,
) -> io::Result<Option<T>> {
    let folder: PathBuf = path.parent().map(Path::to_owned).unwrap_or_default();
    fs::create_dir_all(&folder)?;
    let mut unfinished = builder().tempfile_in(&folder)?;
    if let Ok(old) = fs::metadata(path) {
        unfinished.as_file().set_permissions(old.permissions())?;
    }
    let Some(written) = write(unfinished.as_file_mut())? else { return Ok(None) };
    unfinished.as_file().sync_all()?;
    unfinished.persist(path).map_err(|error| error.error)?;
    sync_folder(&folder)?;
    Ok(Some(written))
}

/// Copies all of `from`: its length, where it has the digest.
fn copy(mut from: File, to: &mut File, digest: &Digest) -> io::Result<Option<u64>> {
    let mut hasher = Digest::hasher(digest.algorithm());
    let (mut piece, mut length) = (vec![0; PIECE], 0_u64);
    loop {
        let read = from.read(&mut piece)?;
        let Some(taken) = piece.get(..read).filter(|it| !it.is_empty()) else { break };
        hasher.update(taken);
        to.write_all(taken)?;
        length = length.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
    Ok(hasher.matches(digest).then_some(length))
}

/// Unfinished files, readable for others as far as the process's mask allows.
#[cfg(unix)]
fn builder() -> Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt;
    let mut builder = Builder::new();
    builder.prefix(UNFINISHED).permissions(fs::Permissions::from_mode(0o666));
    builder
}

#[cfg(not(unix))]
fn builder() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(UNFINISHED);
    builder
}

/// Makes a rename last over a loss of power.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
