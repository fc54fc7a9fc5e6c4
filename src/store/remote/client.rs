//! The HTTP client of one host: its pool, its proxy, its TLS.

use reqwest::redirect::Policy;
use reqwest::{Client, NoProxy, Proxy};
use url::Url;

use crate::store::StoreErrorKind;
use crate::store::remote::failure::Failure;
use crate::store::remote::options::{RegistryRule, RemoteOptions};
use crate::store::remote::{authority, tls};

/// Makes the client for the origin of `url`. Redirects are not followed, the environment is not read.
pub(super) fn client(
    options: &RemoteOptions,
    rule: Option<&RegistryRule>,
    url: &Url,
) -> Result<Client, Failure> {
    let tls = if url.scheme() == "http" { tls::no_tls()? } else { tls::client_config(rule)? };
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(&options.user_agent)
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(options.connect_timeout)
        .timeout(options.request_timeout)
        .tcp_nodelay(true)
        .no_proxy();
    if let Some(proxy) = proxy(options, rule, url)? {
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| {
        Failure::new(StoreErrorKind::Unavailable, format!("cannot make an HTTP client: {error}"))
    })
}

fn proxy(
    options: &RemoteOptions,
    rule: Option<&RegistryRule>,
    url: &Url,
) -> Result<Option<Proxy>, Failure> {
    let wrong = |error: reqwest::Error| {
        let detail = format!("cannot use the proxy: {}", error.without_url());
        Failure::new(StoreErrorKind::Unavailable, detail)
    };
    if let Some(proxy) = rule.and_then(|it| it.proxy.as_deref()) {
        return if proxy.is_empty() {
            Ok(None)
        } else {
            Proxy::all(proxy).map(Some).map_err(wrong)
        };
    }
    if authority::is_loopback(&authority::of(url)) {
        return Ok(None);
    }
    let proxies = &options.proxies;
    let proxy = if url.scheme() == "http" { &proxies.http } else { &proxies.https };
    let Some(proxy) = proxy else { return Ok(None) };
    let except = proxies.except.as_deref().and_then(NoProxy::from_string);
    let proxy = Proxy::all(proxy.expose().clone()).map_err(wrong)?;
    Ok(Some(proxy.no_proxy(except)))
}
