//! Programs that speak for a service: found on `PATH`, bounded in time and output, never left behind.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use zeroize::Zeroizing;

/// What a program may print, in bytes.
const LARGEST_OUTPUT: u64 = 1 << 20;

/// One run of a program.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// The whole environment; `None`: that of this process.
    pub(crate) environment: Option<Vec<(OsString, OsString)>>,
    /// Variables beside it.
    pub(crate) variables: Vec<(OsString, OsString)>,
    pub(crate) time: Duration,
}

/// Shows the program alone: arguments and variables may be secrets.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program({})", self.path.display())
    }
}

/// What a program said. It may hold secrets.
pub(crate) struct Output {
    pub(crate) is_success: bool,
    pub(crate) stdout: Zeroizing<Vec<u8>>,
    pub(crate) stderr: Zeroizing<Vec<u8>>,
}

/// Why a program did not say anything.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    /// It could not be started, or broke a pipe.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It printed without end.
    #[error("it printed more than 1 MiB")]
    TooMuch,
    /// It took too long, and was killed.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TooSlow(Duration),
}

impl Program {
    /// Runs it with `input`. It is killed when it takes too long, or when this is dropped.
    pub(crate) async fn run(&self, input: &[u8]) -> Result<Output, ProgramError> {
        let mut command = Command::new(&self.path);
        if let Some(environment) = &self.environment {
            command.env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
        }
        let mut child = command
            .args(&self.arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let talked = timeout(self.time, talk(&mut child, input)).await;
        talked.map_err(|_| ProgramError::TooSlow(self.time))?
    }
}

async fn talk(child: &mut Child, input: &[u8]) -> Result<Output, ProgramError> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        // A program that ends without reading has said what it had to say.
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(input).await;
        }
        Ok::<_, ProgramError>(())
    };
    let read_out = async {
        match stdout {
            Some(pipe) => read(pipe).await,
            None => Ok(Zeroizing::default()),
        }
    };
    let read_error = async {
        match stderr {
            Some(pipe) => read(pipe).await,
            None => Ok(Zeroizing::default()),
        }
    };
    let ((), stdout, stderr) = tokio::try_join!(write, read_out, read_error)?;
    Ok(Output { is_success: child.wait().await?.success(), stdout, stderr })
}

async fn read(pipe: impl tokio::io::AsyncRead + Unpin) -> Result<Zeroizing<Vec<u8>>, ProgramError> {
    let mut content = Zeroizing::default();
    let length = pipe.take(LARGEST_OUTPUT + 1).read_to_end(&mut *content).await?;
    let fits = u64::try_from(length).is_ok_and(|it| it <= LARGEST_OUTPUT);
    if fits { Ok(content) } else { Err(ProgramError::TooMuch) }
}

/// Looks a program up in the folders of `path`, a `PATH`; relative folders do not count.
pub(crate) fn find(program: &str, path: &str) -> Option<PathBuf> {
    let extensions: &[&str] = if cfg!(windows) { &[".exe", ".cmd", ".bat"] } else { &[""] };
    std::env::split_paths(path).filter(|folder| folder.is_absolute()).find_map(|folder| {
        extensions
            .iter()
            .map(|extension| folder.join(format!("{program}{extension}")))
            .find(|it| is_program(it))
    })
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}
