//! A test in a process of its own, where it may choose the environment variables.

use std::env;
use std::ffi::OsStr;
use std::process::{Command, Stdio};

use super::tools::Finished;

const CHILD: &str = "COUNTERSIGN_TEST_CHILD";

/// Says whether this process is the child that runs `test`.
pub fn is_running(test: &str) -> bool {
    env::var(CHILD).as_deref() == Ok(test)
}

/// Says whether this process is the child that runs `test`. If not, starts it with only these variables, and waits.
///
/// A library that reads the environment by itself (a PKCS#11 module, the AWS SDK) cannot be told otherwise what to read.
pub fn is_child<V: AsRef<OsStr>>(test: &str, variables: &[(&str, V)]) -> bool {
    if is_running(test) {
        return true;
    }
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env_clear();
    for kept in ["PATH", "TMPDIR", "CI", "LLVM_PROFILE_FILE"] {
        command.envs(env::var_os(kept).map(|value| (kept, value)));
    }
    command.envs(variables.iter().map(|(name, value)| (name, value.as_ref()))).env(CHILD, test);
    let finished = Finished::of(command.stdin(Stdio::null())).success();
    assert!(finished.stdout.contains("1 passed"), "the child must run one test: {finished:?}");
    false
}
