//! Files that a run writes: they are there whole, or not at all.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::error::Failed;
use super::terminal::print;

/// Where something will be written when there is something to write.
///
/// Made before the work: a folder that cannot be written to is found before anything is signed.
#[derive(Debug)]
pub(crate) enum Output {
    /// A file; it appears under its name only when it is whole.
    File { path: PathBuf, beside: NamedTempFile },
    /// Something that is no file of its own: a pipe, a device.
    Special { path: PathBuf, file: File },
    /// `-`
    Standard,
}

impl Output {
    /// Makes ready to write to `path`.
    pub(crate) fn new(path: &Path) -> Result<Self, Failed> {
        if path == Path::new("-") {
            return Ok(Self::Standard);
        }
        let failed = |error: io::Error| Failed::file("write", path, &error);
        if path.metadata().is_ok_and(|it| !it.is_file()) {
            let file = File::options().write(true).open(path).map_err(failed)?;
            return Ok(Self::Special { path: path.to_owned(), file });
        }
        // Through a link the file that it leads to is written, and the link stays.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
        let mut builder = tempfile::Builder::new();
        builder.prefix(".countersign-");
        if let Some(permissions) = usual_permissions() {
            builder.permissions(permissions);
        }
        let beside = builder.tempfile_in(folder.unwrap_or(Path::new(".")));
        // The name of the temporary file means nothing to anybody.
        let beside = beside.map_err(|error| failed(error.kind().into()))?;
        Ok(Self::File { path, beside })
    }

    /// Says whether it goes to standard output.
    pub(crate) fn is_standard(&self) -> bool {
        matches!(self, Self::Standard)
    }

    /// Writes all of it.
    pub(crate) fn write(self, content: &[u8]) -> Result<(), Failed> {
        match self {
            Self::File { path, mut beside } => {
                let written = beside.write_all(content).and_then(|()| beside.as_file().sync_all());
                let kept = written.and_then(|()| beside.persist(&path).map_err(io::Error::from));
                kept.map(drop).map_err(|error| Failed::file("write", &path, &error))
            }
            Self::Special { path, mut file } => {
                file.write_all(content).map_err(|error| Failed::file("write", &path, &error))
            }
            Self::Standard => Ok(print(content)?),
        }
    }
}

/// What the system gives a new file: temporary ones are for the owner alone otherwise.
#[cfg(unix)]
fn usual_permissions() -> Option<Permissions> {
    use std::os::unix::fs::PermissionsExt as _;
    Some(Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
fn usual_permissions() -> Option<Permissions> {
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        drop(Output::new(&path).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
        Output::new(&path).unwrap().write(b"one").unwrap();
        Output::new(&path).unwrap().write(b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert!(Output::new(&folder.path().join("missing/report.json")).is_err());
    }
}
