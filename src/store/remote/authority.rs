//! What the names of hosts say: loopback, Docker Hub, same or another origin. Pure.

use std::net::IpAddr;

use url::Url;

/// The names of Docker Hub.
pub(super) const DOCKER_HUB: [&str; 3] = ["index.docker.io", "docker.io", "registry-1.docker.io"];

/// Says whether `host` is Docker Hub.
pub(super) fn is_docker_hub(host: &str) -> bool {
    DOCKER_HUB.contains(&host)
}

/// Says whether `authority`, with or without a port, never leaves this machine.
pub(super) fn is_loopback(authority: &str) -> bool {
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Host and, where it is not the scheme's own, port of `url`.
pub(super) fn of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Says whether both have the same scheme, host and port.
pub(super) fn same_origin(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_by_name_and_address() {
        for host in
            ["localhost", "localhost:5000", "a.localhost:1", "127.0.0.1:80", "127.9.9.9", "[::1]:5"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["ghcr.io", "localhost.example.com", "128.0.0.1", "[::2]:5", "10.0.0.1:5000"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let url = |text: &str| Url::parse(text).unwrap();
        assert!(same_origin(&url("https://a.example/x"), &url("https://a.example:443/y")));
        assert!(!same_origin(&url("https://a.example/"), &url("http://a.example/")));
        assert!(!same_origin(&url("https://a.example/"), &url("https://a.example:444/")));
        assert_eq!(of(&url("https://a.example:443/")), "a.example");
        assert_eq!(of(&url("http://a.example:5000/")), "a.example:5000");
    }
}
