//! A server in Python on a free loopback port; it is ended when this is dropped.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::tools::Tool;

/// A script of `tests/support` that prints the number of its port on its first line.
pub struct PythonServer {
    child: Child,
    port: u16,
}

impl PythonServer {
    /// Starts the script and waits for its port.
    pub fn start(script: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(script);
        let mut child = Command::new(Tool::Python.path())
            .arg(path)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| panic!("{script} said {line:?}"));
        Self { child, port }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }
}

impl Drop for PythonServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
