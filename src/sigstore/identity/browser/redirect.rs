//! The port of this machine that a browser comes back to: HTTP/1.1, one page, nothing else.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::{Host, Url};

use crate::model::Secret;
use crate::wire::one_line;

const DEFAULT: &str = "http://localhost:0/auth/callback";
/// How long somebody may take to log in.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long a connection may take to say what it wants: browsers open some that they never use.
const HASTE: Duration = Duration::from_secs(10);
const LARGEST_HEAD: usize = 16 << 10;
const MOST_CONNECTIONS: usize = 32;

/// A port that is open until this is dropped.
#[derive(Debug)]
pub(super) struct Redirect {
    listener: TcpListener,
    url: Url,
}

/// What a request to the port was.
enum Visit {
    /// Something else: a favicon, a guess from another page. It is told so, and waited on.
    Other,
    /// The browser of this login, with a code.
    Code(Secret<String>),
    /// The browser of this login, without.
    Refused(String),
}

impl Redirect {
    /// Opens the port that `wanted` names; port 0, or none wanted, is a free one.
    ///
    /// # Errors
    ///
    /// An address that is not of this machine, a port that is taken.
    pub(super) async fn listen(wanted: Option<&Url>) -> Result<Self, String> {
        let default = || Url::parse(DEFAULT).map_err(|error| error.to_string());
        let mut url = wanted.cloned().map_or_else(default, Ok)?;
        let address = match url.host() {
            Some(Host::Domain("localhost")) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Some(Host::Ipv4(address)) if address.is_loopback() => IpAddr::V4(address),
            Some(Host::Ipv6(address)) if address.is_loopback() => IpAddr::V6(address),
            _ => {
                return Err(
                    "the redirect URL must be on this machine: http://localhost:PORT/PATH".into()
                );
            }
        };
        if url.scheme() != "http" {
            return Err("the redirect URL must begin with http://localhost".into());
        }
        let port = url.port_or_known_default().unwrap_or(0);
        let listener = TcpListener::bind((address, port))
            .await
            .map_err(|error| format!("cannot open port {port} for the browser: {error}"))?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        url.set_port(Some(port)).map_err(|()| "the redirect URL takes no port".to_owned())?;
        Ok(Self { listener, url })
    }

    /// Where the browser is to be sent.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// The code that the browser brings with `state`. Whatever comes without it is not heard.
    ///
    /// # Errors
    ///
    /// What the issuer said through the browser; nobody came within five minutes.
    pub(super) async fn code(&self, state: &Secret<String>) -> Result<Secret<String>, String> {
        let visitors = async {
            let mut visits = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = self.listener.accept(), if visits.len() < MOST_CONNECTIONS => {
                        if let Ok((stream, _)) = accepted {
                            visits.spawn(timeout(HASTE, visit(stream, self.url.path().to_owned(), state.clone())));
                        }
                    }
                    Some(visited) = visits.join_next() => match visited {
                        Ok(Ok(Visit::Code(code))) => return Ok(code),
                        Ok(Ok(Visit::Refused(why))) => return Err(why),
                        _ => {}
                    }
                }
            }
        };
        let late = || format!("nobody logged in within {} s", PATIENCE.as_secs());
        timeout(PATIENCE, visitors).await.map_err(|_| late())?
    }
}

/// Reads one request and answers it.
async fn visit(mut stream: TcpStream, path: String, state: Secret<String>) -> Visit {
    let Some(head) = head(&mut stream).await else { return Visit::Other };
    let visit = visit_of(&head, &path, &state);
    let (status, text) = match &visit {
        Visit::Code(_) => ("200 OK", "You are logged in. This page can be closed."),
        Visit::Refused(_) => ("200 OK", "The login was refused. This page can be closed."),
        Visit::Other => ("404 Not Found", "Nothing is here."),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\nreferrer-policy: no-referrer\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    // A browser that has gone does not need its page.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
    visit
}

/// The request up to its empty line. It holds the code.
async fn head(stream: &mut TcpStream) -> Option<Secret<Vec<u8>>> {
    let mut head = Secret::new(Vec::new());
    let mut buffer = [0_u8; 2048];
    while !head.expose().windows(4).any(|it| it == b"\r\n\r\n") {
        let read = stream.read(&mut buffer).await.ok().filter(|it| *it > 0)?;
        let mut longer = head.expose().clone();
        longer.extend_from_slice(buffer.get(..read)?);
        head = Secret::new(longer);
        if head.expose().len() > LARGEST_HEAD {
            return None;
        }
    }
    Some(head)
}

fn visit_of(head: &Secret<Vec<u8>>, path: &str, state: &Secret<String>) -> Visit {
    parameters(head, path).map_or(Visit::Other, |parameters| {
        let of =
            |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        if of("state") != Some(state.expose()) {
            return Visit::Other;
        }
        match (of("code").filter(|it| !it.is_empty()), of("error")) {
            (Some(code), None) => Visit::Code(Secret::new(code.clone())),
            (_, error) => {
                let said = of("error_description").or(error).and_then(|it| one_line(it));
                let said = said.unwrap_or_else(|| "there is no code".into());
                Visit::Refused(format!("the login was refused: {said}"))
            }
        }
    })
}

/// The parameters of `GET PATH?…`.
fn parameters(head: &Secret<Vec<u8>>, path: &str) -> Option<Vec<(String, String)>> {
    let line = head.expose().split(|it| *it == b'\r').next()?;
    let target = std::str::from_utf8(line).ok()?.strip_prefix("GET ")?.split(' ').next()?;
    let (found, query) = target.split_once('?')?;
    (found == path).then(|| url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
}
