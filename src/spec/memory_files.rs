//! Files in memory, for tests and examples. Pure.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::path::{Component, Path, PathBuf};

use crate::model::Glob;
use crate::spec::Files;

/// Files that exist only in memory, with links. Paths are relative to one folder that is called `/`.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    files: BTreeMap<PathBuf, Vec<u8>>,
    links: BTreeMap<PathBuf, PathBuf>,
}

impl<P: Into<PathBuf>, C: Into<Vec<u8>>, const N: usize> From<[(P, C); N]> for MemoryFiles {
    fn from(files: [(P, C); N]) -> Self {
        let mut made = Self::default();
        for (path, content) in files {
            made.add(path, content);
        }
        made
    }
}

impl MemoryFiles {
    /// Adds a file, or replaces it.
    pub fn add(&mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) {
        self.files.insert(Path::new("/").join(path.into()), content.into());
    }

    /// Adds a link from `path` to `target`, which is absolute.
    pub fn link(&mut self, path: impl Into<PathBuf>, target: impl Into<PathBuf>) {
        self.links.insert(Path::new("/").join(path.into()), target.into());
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.range(path.to_owned()..).next().is_some_and(|(it, _)| it.starts_with(path))
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        let path = self.canonical(path)?;
        let content = self.files.get(&path).ok_or_else(|| Error::from(ErrorKind::IsADirectory))?;
        let fits = u64::try_from(content.len()).is_ok_and(|length| length <= limit);
        if fits { Ok(content.clone()) } else { Err(ErrorKind::FileTooLarge.into()) }
    }

    fn glob(&self, folder: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
        let whole = Path::new("/").join(folder).join(pattern);
        let parts: Vec<Glob> = whole
            .components()
            .map(|part| part.as_os_str().to_string_lossy().parse())
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| Error::new(ErrorKind::InvalidInput, error))?;
        let all = self.files.keys().chain(self.links.keys());
        let mut found: Vec<PathBuf> = all
            .filter(|path| {
                let names: Vec<_> =
                    path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
                names.len() == parts.len()
                    && names.iter().zip(&parts).all(|(name, glob)| glob.matches(name))
            })
            .map(|path| match path.strip_prefix(Path::new("/").join(folder)) {
                Ok(rest) => folder.join(rest),
                Err(_) => path.clone(),
            })
            .collect();
        found.sort();
        Ok(found)
    }

    fn canonical(&self, path: &Path) -> Result<PathBuf> {
        let mut real = PathBuf::new();
        for part in Path::new("/").join(path).components() {
            match part {
                Component::ParentDir => drop(real.pop()),
                Component::CurDir => {}
                other => real.push(other),
            }
            // A link to a link is followed as far as the number of links allows: no cycle without end.
            for _ in 0..self.links.len() {
                if let Some(target) = self.links.get(&real) {
                    real.clone_from(target);
                }
            }
        }
        if self.exists(&real) { Ok(real) } else { Err(ErrorKind::NotFound.into()) }
    }
}
