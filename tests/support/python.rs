//! Vendors' clients that are Python packages: installed once, into a folder of the build.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A Python that has `package` from PyPI; `None` where none is to be had.
///
/// With `CI=true` that is a failure. The folder is kept between runs: `pip` costs some seconds.
pub fn with(package: &str) -> Option<PathBuf> {
    let _turn = ONE_AT_A_TIME.lock().unwrap();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{package}"));
    let python = folder.join("bin/python");
    let has = |python: &PathBuf| {
        let imported = Command::new(python).args(["-c", &format!("import {package}")]).output();
        imported.is_ok_and(|it| it.status.success())
    };
    if has(&python) {
        return Some(python);
    }
    let run = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    };
    let made =
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder)).and_then(|()| {
            run(Command::new(&python).args(["-m", "pip", "install", "--quiet", package]))
        });
    match made {
        Ok(()) => Some(python),
        Err(error) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "no {package}: {error}");
            eprintln!("left out, because {package} is not to be had: {error}");
            None
        }
    }
}
