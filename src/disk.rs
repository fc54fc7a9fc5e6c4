//! Files on disk, for specs: the only place where the reading of a spec meets the machine.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read as _, Result};
use std::path::{Component, Path, PathBuf};

use crate::model::Glob;
use crate::spec::Files;

/// How deep `**` goes.
const MAX_DEPTH: usize = 16;

/// The files of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        // The length that the machine tells is not asked: a device has none, and never ends.
        file.take(limit.saturating_add(1)).read_to_end(&mut content)?;
        let fits = u64::try_from(content.len()).is_ok_and(|length| length <= limit);
        if fits { Ok(content) } else { Err(ErrorKind::FileTooLarge.into()) }
    }

    fn glob(&self, folder: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
        let mut found = vec![folder.to_owned()];
        for part in Path::new(pattern).components() {
            found = match part {
                Component::CurDir => found,
                Component::Normal(name) => {
                    let name = name.to_str().ok_or_else(|| Error::from(ErrorKind::InvalidInput))?;
                    step(&found, name)?
                }
                other => found.into_iter().map(|path| path.join(other)).collect(),
            };
        }
        found.retain(|path| path.is_file());
        found.sort();
        found.dedup();
        Ok(found)
    }

    fn canonical(&self, path: &Path) -> Result<PathBuf> {
        // The folder of a file that is named alone.
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        fs::canonicalize(path)
    }
}

/// What `name` matches in each of the folders.
fn step(folders: &[PathBuf], name: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if name == "**" {
        for folder in folders {
            descend(folder, MAX_DEPTH, &mut found)?;
        }
    } else if Glob::is_pattern(name) {
        let glob: Glob =
            name.parse().map_err(|error| Error::new(ErrorKind::InvalidInput, error))?;
        for folder in folders.iter().filter(|it| it.is_dir()) {
            for entry in fs::read_dir(folder)? {
                let entry = entry?.file_name();
                let text = entry.to_string_lossy();
                if glob.matches(&text) && (name.starts_with('.') || !text.starts_with('.')) {
                    found.push(folder.join(&entry));
                }
            }
        }
    } else {
        found.extend(folders.iter().map(|folder| folder.join(name)).filter(|it| it.exists()));
    }
    Ok(found)
}

/// The folder and every folder in it, without following links: they may lead back.
fn descend(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    found.push(folder.to_owned());
    if depth == 0 {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if entry.file_type()?.is_dir() && !hidden {
            descend(&entry.path(), depth - 1, found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in
            ["a.toml", ".hidden.toml", "teams/b.toml", "teams/c.toml", "teams/deep/d.toml", "e.txt"]
        {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "version = 1").unwrap();
        }
        folder
    }

    #[test]
    fn patterns_stay_within_a_part_of_the_path() {
        let folder = folder();
        for (pattern, expected) in [
            ("*.toml", vec!["a.toml"]),
            ("./teams/*.toml", vec!["teams/b.toml", "teams/c.toml"]),
            ("teams/../*.txt", vec!["teams/../e.txt"]),
            ("**/*.toml", vec!["a.toml", "teams/b.toml", "teams/c.toml", "teams/deep/d.toml"]),
            ("t*/[bc].toml", vec!["teams/b.toml", "teams/c.toml"]),
            ("nothing/*.toml", vec![]),
            (".*.toml", vec![".hidden.toml"]),
            ("*", vec!["a.toml", "e.txt"]),
        ] {
            let found = Disk.glob(folder.path(), pattern).unwrap();
            let found: Vec<_> =
                found.iter().map(|it| it.strip_prefix(folder.path()).unwrap()).collect();
            assert_eq!(found, expected.iter().map(Path::new).collect::<Vec<_>>(), "{pattern}");
        }
        assert!(Disk.glob(folder.path(), "[").is_err());
    }

    #[test]
    fn a_file_without_end_fills_no_memory() {
        let kind = |path: &Path| Disk.read(path, 10).unwrap_err().kind();
        assert_eq!(kind(Path::new("/dev/zero")), ErrorKind::FileTooLarge);
        let folder = folder();
        assert_eq!(kind(folder.path()), ErrorKind::IsADirectory);
        assert_eq!(kind(&folder.path().join("a.toml")), ErrorKind::FileTooLarge);
        assert_eq!(kind(&folder.path().join("missing")), ErrorKind::NotFound);
        assert_eq!(Disk.read(&folder.path().join("a.toml"), 11).unwrap(), b"version = 1");
    }

    #[derive(Debug)]
    struct NoEnvironment;

    impl crate::keys::Environment for NoEnvironment {
        fn variable(&self, _: &str) -> Option<crate::model::Secret<String>> {
            None
        }

        fn prompt_password(&self, _: &str) -> Option<crate::model::Secret<String>> {
            None
        }
    }

    #[cfg(unix)]
    #[test]
    fn an_untrusted_spec_does_not_follow_links_out_of_its_folder() {
        use crate::spec::{Code, LoadOptions, Spec, Untrusted};
        use std::os::unix::fs::symlink;

        let (inside, outside) = (folder(), folder());
        let secret = outside.path().join("secret.toml");
        fs::write(&secret, "version = 1\ntoken = 'hunter2'\n").unwrap();
        symlink(&secret, inside.path().join("link.toml")).unwrap();
        symlink(outside.path(), inside.path().join("linked")).unwrap();
        let options = LoadOptions { untrusted: Untrusted::Yes, ..LoadOptions::default() };
        for include in
            ["link.toml", "linked/secret.toml", "l*.toml", "linked/*.toml", "linked/**/s*.toml"]
        {
            let spec = inside.path().join("countersign.toml");
            fs::write(&spec, format!("version = 1\ninclude = ['{include}']\n")).unwrap();
            let problems = Spec::load(&[&spec], &Disk, &NoEnvironment, &options).unwrap_err();
            assert!(
                problems.iter().all(|it| it.code() == Code::Untrusted),
                "{include} {problems:?}"
            );
            assert!(!serde_json::to_string(&problems).unwrap().contains("hunter2"));
        }
        let link = inside.path().join("link.toml");
        let problems = Spec::load(&[&link], &Disk, &NoEnvironment, &options).unwrap_err();
        assert_eq!(problems.iter().next().unwrap().code(), Code::Untrusted);
    }
}
