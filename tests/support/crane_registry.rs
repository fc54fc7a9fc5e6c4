//! A registry with the referrers API: the one of crane, in memory.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::tools::Tool;

/// A running registry on a free loopback port; it is ended when this is dropped.
pub struct CraneRegistry {
    child: Child,
    port: u16,
}

impl CraneRegistry {
    pub fn start() -> Self {
        let mut child = Command::new(Tool::Crane.path())
            .args(["registry", "serve", "--address", "127.0.0.1:0"])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let port = line.trim().rsplit(' ').next().and_then(|it| it.parse().ok());
        let port = port.unwrap_or_else(|| panic!("crane said {line:?}"));
        // It logs every request, and would stop when nobody reads.
        std::thread::spawn(move || said.lines().count());
        Self { child, port }
    }

    /// The reference of `name` (`acme/api:1.0`) in this registry.
    pub fn reference(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for CraneRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
