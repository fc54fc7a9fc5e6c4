//! The files of this machine, for specs.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read as _, Result};
use std::path::{Component, Path, PathBuf};

use countersign::model::Glob;
use countersign::spec::Files;

/// Files on disk. Relative paths are relative to the folder that the process was started in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskFiles;

impl Files for DiskFiles {
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        let mut content = Vec::new();
        // One byte more shows that there is more, also of a device that has no length.
        file.take(limit.saturating_add(1)).read_to_end(&mut content)?;
        let fits = u64::try_from(content.len()).is_ok_and(|length| length <= limit);
        if fits { Ok(content) } else { Err(ErrorKind::FileTooLarge.into()) }
    }

    fn glob(&self, folder: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
        let mut found = vec![folder.to_owned()];
        for part in Path::new(pattern).components() {
            found = match part {
                Component::Prefix(_) | Component::RootDir => vec![part.as_os_str().into()],
                Component::CurDir => found,
                Component::ParentDir => found.into_iter().map(|it| it.join("..")).collect(),
                Component::Normal(name) => step(found, &name.to_string_lossy())?,
            };
        }
        found.retain(|path| path.is_file());
        found.sort();
        found.dedup();
        Ok(found)
    }

    fn canonical(&self, path: &Path) -> Result<PathBuf> {
        path.canonicalize()
    }
}

/// What one part of a pattern leads to from `folders`.
fn step(folders: Vec<PathBuf>, part: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if part == "**" {
        for folder in folders {
            below(folder, &mut found)?;
        }
        return Ok(found);
    }
    if !Glob::is_pattern(part) {
        let named = folders.into_iter().map(|folder| folder.join(part));
        return Ok(named.filter(|path| path.exists()).collect());
    }
    let glob: Glob = part.parse().map_err(|error| Error::new(ErrorKind::InvalidInput, error))?;
    for folder in folders {
        for name in names(&folder)? {
            if glob.matches(&name) && (part.starts_with('.') || !name.starts_with('.')) {
                found.push(folder.join(name));
            }
        }
    }
    Ok(found)
}

/// The folder and every folder below it. Links to folders are not followed: they may lead back.
fn below(folder: PathBuf, found: &mut Vec<PathBuf>) -> Result<()> {
    for name in names(&folder)? {
        let path = folder.join(&name);
        if !name.starts_with('.') && fs::symlink_metadata(&path)?.is_dir() {
            below(path, found)?;
        }
    }
    found.push(folder);
    Ok(())
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let shown = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = match fs::read_dir(shown) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_find_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("teams/web/deep")).unwrap();
        fs::create_dir_all(at("teams/.git")).unwrap();
        for path in ["teams/b.toml", "teams/a.toml", "teams/.hidden.toml", "teams/web/c.toml"] {
            fs::write(at(path), "").unwrap();
        }
        fs::write(at("teams/web/deep/d.toml"), "").unwrap();
        fs::write(at("teams/.git/e.toml"), "").unwrap();
        let found = |pattern: &str| -> Vec<String> {
            let paths = DiskFiles.glob(folder.path(), pattern).unwrap();
            let names = paths
                .iter()
                .map(|it| it.strip_prefix(folder.path()).unwrap().display().to_string());
            names.collect()
        };
        assert_eq!(found("teams/*.toml"), ["teams/a.toml", "teams/b.toml"]);
        assert_eq!(found("teams/*/?.toml"), ["teams/web/c.toml"]);
        assert_eq!(found("./teams/web/../a.toml"), ["teams/web/../a.toml"]);
        assert_eq!(
            found("**/*.toml"),
            ["teams/a.toml", "teams/b.toml", "teams/web/c.toml", "teams/web/deep/d.toml"]
        );
        assert_eq!(found("nothing/*.toml"), Vec::<String>::new());
        assert_eq!(found("teams/*"), ["teams/a.toml", "teams/b.toml"], "folders do not count");
    }

    #[test]
    fn a_file_that_is_too_long_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "12345").unwrap();
        assert_eq!(DiskFiles.read(&path, 5).unwrap(), b"12345");
        assert_eq!(DiskFiles.read(&path, 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
        let error = DiskFiles.read(folder.path(), 4).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IsADirectory);
    }
}
