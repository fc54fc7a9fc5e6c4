//! docker-registry 2.8 on a free loopback port, with its access log as a counter of requests.
//!
//! It has no referrers API, deletes by digest only, and keeps its content in a temporary folder.

use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use super::certificates::{Authority, Purpose, Validity};
use super::requests::{Request, Requests};
use super::tokens::{ISSUER, SERVICE, TokenServer};
use super::tools::{Credentials, Tool};

/// The only user of a registry that has users.
pub const USER: Credentials = Credentials { user: "ci", password: "pw" };

/// [`USER`] as bcrypt, the only hash that docker-registry takes: `htpasswd -nbB -C 4 ci pw`.
const HTPASSWD: &str = "ci:$2b$04$abcdefghijklmnopqrstuuyvPXIbu7xe6/CED2DzX8z6Si09MlzlW\n";

/// In the target of the requests that only ask how fast it logs.
const MARK: &str = "mark-of-the-log";

/// Who may do what.
#[derive(Clone, Copy, Debug, Default)]
pub enum Access {
    /// Everybody everything.
    #[default]
    Open,
    /// [`USER`] everything, by basic authentication; others nothing.
    Password,
    /// [`USER`] everything, by bearer tokens of this lifetime; others may pull.
    Token(Duration),
}

/// Whether manifests can be deleted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Deletion {
    /// By digest.
    #[default]
    Allowed,
    /// 405 for all.
    Refused,
}

/// How it is reached.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Transport {
    #[default]
    Plain,
    /// With a certificate of an authority of its own.
    Tls,
    /// The same, and clients need a certificate too.
    TlsBothSides,
}

/// What kind of registry to start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub access: Access,
    pub deletion: Deletion,
    pub transport: Transport,
}

/// A running registry. It is killed when this is dropped, and when the test program dies in any other way.
pub struct DockerRegistry {
    guard: Child,
    folder: TempDir,
    address: SocketAddr,
    options: Options,
    tokens: Option<TokenServer>,
    /// How much of the access log was taken.
    taken: Mutex<usize>,
    /// How many requests of our own were made to see how fast it logs.
    marks: AtomicUsize,
}

impl DockerRegistry {
    /// Starts one that is open to everybody, over plain HTTP.
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// Starts one of this kind. It has answered when this returns (60 ms).
    pub fn with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tokens = match options.access {
            Access::Token(lifetime) => Some(TokenServer::start(USER, lifetime)),
            Access::Open | Access::Password => None,
        };
        let config = configuration(folder.path(), options, tokens.as_ref());
        let file = folder.path().join("config.yml");
        // JSON is YAML.
        fs::write(&file, config.to_string()).unwrap();
        let mut guard = spawn(folder.path(), &file);
        let address = wait_until_up(&mut guard, &folder.path().join("log"));
        Self {
            guard,
            folder,
            address,
            options,
            tokens,
            taken: Mutex::default(),
            marks: AtomicUsize::default(),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What kind of registry it is.
    pub fn options(&self) -> Options {
        self.options
    }

    /// Host and port, as they stand in a reference.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Scheme, host and port, without a slash at the end.
    pub fn url(&self) -> String {
        let is_plain = self.options.transport == Transport::Plain;
        format!("{}://{}", if is_plain { "http" } else { "https" }, self.address)
    }

    /// The reference of `name` (`acme/api:1.0`, `acme/api@sha256:…`) in this registry.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// The authority of its certificate, PEM; with TLS only.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate and a key for a client, PEM; with [`Transport::TlsBothSides`] only.
    pub fn client_files(&self) -> (PathBuf, PathBuf) {
        (self.folder.path().join("client.pem"), self.folder.path().join("client.key"))
    }

    /// The server of its tokens; with [`Access::Token`] only.
    pub fn tokens(&self) -> &TokenServer {
        self.tokens.as_ref().expect("a registry with tokens")
    }

    /// The requests since the last call, or since the start, as the registry itself logged them, in the order of their ends.
    pub fn take_requests(&self) -> Requests {
        let mut taken = self.taken.lock().unwrap();
        let log = self.settled_log();
        let complete = log.rfind('\n').map_or(0, |at| at + 1);
        let lines = log[*taken..complete].lines().filter(|it| !it.contains(MARK));
        let requests = lines.filter_map(request_in).collect();
        *taken = complete;
        Requests(requests)
    }

    /// What it wrote to its log besides: to be shown when a test fails.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A client may have its answer a moment before the line is there. How long that moment is on this machine now, a
    /// request of our own tells: the log must stand still for twice as long.
    fn settled_log(&self) -> String {
        let read = || fs::read_to_string(self.folder.path().join("access.log")).unwrap();
        let asked = Instant::now();
        if self.options.transport == Transport::Plain {
            let number = self.marks.fetch_add(1, Ordering::Relaxed);
            let mark = format!("/v2/?{MARK}={number} ");
            let mut stream = TcpStream::connect(self.address).unwrap();
            write!(stream, "GET {mark}HTTP/1.0\r\n\r\n").unwrap();
            stream.read_to_end(&mut Vec::new()).unwrap();
            while !read().contains(&mark) {
                sleep(Duration::from_millis(1));
            }
        }
        let moment = (asked.elapsed() * 2).max(Duration::from_millis(20));
        let mut log = read();
        loop {
            sleep(moment);
            let again = read();
            if again.len() == log.len() {
                return log;
            }
            log = again;
        }
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        // The end of its input tells the guard to kill the registry.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// Reads a line of the combined log format: `HOST - USER [TIME] "METHOD PATH PROTO" STATUS SIZE "REFERER" "AGENT"`.
fn request_in(line: &str) -> Option<Request> {
    let mut quoted = line.split('"');
    let (_, request, numbers) = (quoted.next()?, quoted.next()?, quoted.next()?);
    let mut words = request.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    Some(Request {
        status: numbers.split_whitespace().next()?.parse().ok()?,
        user_agent: quoted.nth(2).unwrap_or_default().to_owned(),
        ..Request::new(method, target)
    })
}

fn configuration(
    folder: &Path,
    options: Options,
    tokens: Option<&TokenServer>,
) -> serde_json::Value {
    let mut config = json!({
        "version": "0.1",
        "log": { "level": "info", "accesslog": { "disabled": false } },
        "storage": {
            "filesystem": { "rootdirectory": folder.join("data") },
            "delete": { "enabled": options.deletion == Deletion::Allowed },
            "maintenance": { "uploadpurging": { "enabled": false } },
        },
        // Port 0: the system chooses, and the log says what. Nobody can take the port in between.
        "http": { "addr": "127.0.0.1:0", "secret": "of-a-test" },
    });
    let path = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    match options.access {
        Access::Open => {}
        Access::Password => {
            let file = path("htpasswd", HTPASSWD);
            config["auth"] = json!({ "htpasswd": { "realm": "test", "path": file } });
        }
        Access::Token(_) => {
            let tokens = tokens.expect("a token server");
            config["auth"] = json!({ "token": {
                "realm": tokens.realm(), "service": SERVICE, "issuer": ISSUER,
                "rootcertbundle": path("tokens.pem", tokens.certificate()),
            } });
        }
    }
    if options.transport != Transport::Plain {
        let authority = Authority::root("test registry authority");
        let server = authority.leaf(Purpose::Server, Validity::LONG);
        let ca = path("ca.pem", authority.pem());
        config["http"]["tls"] = json!({
            "certificate": path("server.pem", server.pem()),
            "key": path("server.key", &server.key_pem()),
        });
        if options.transport == Transport::TlsBothSides {
            let client = authority.leaf(Purpose::Client, Validity::LONG);
            path("client.pem", client.pem());
            path("client.key", &client.key_pem());
            config["http"]["tls"]["clientcas"] = json!([ca]);
        }
    }
    config
}

/// Starts the registry below a shell that kills it when the shell's input ends: when we close it, or when we die.
fn spawn(folder: &Path, config: &Path) -> Child {
    let script = r#""$@" </dev/null & child=$!; read -r _; kill -9 "$child"; wait "$child""#;
    Command::new("/bin/sh")
        .args(["-c", script, "registry-guard"])
        .arg(Tool::DockerRegistry.path())
        .arg("serve")
        .arg(config)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(File::create(folder.join("access.log")).unwrap())
        .stderr(File::create(folder.join("log")).unwrap())
        // An interrupt from the terminal is for the test program; the guard follows it.
        .process_group(0)
        .spawn()
        .unwrap()
}

/// Waits for the line that names the address: it is written once the port is open.
fn wait_until_up(guard: &mut Child, log: &Path) -> SocketAddr {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let mut text = String::new();
        File::open(log).unwrap().read_to_string(&mut text).unwrap();
        let address = text.split("listening on ").nth(1).and_then(|rest| {
            let end = rest.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit())?;
            rest[..end].parse().ok()
        });
        match address {
            Some(address) => return address,
            None if Instant::now() < deadline && !text.contains("level=fatal") => {
                sleep(Duration::from_millis(5));
            }
            None => {
                let _ = guard.kill();
                panic!("docker-registry does not start:\n{text}");
            }
        }
    }
}
