//! The HTTP client of gates, hooks and downloads: one request, with a time limit and a limit on the size of the response.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use ureq::config::{Config, RedirectAuthHeaders};
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    ConnectProxyConnector, Connector as _, NextTimeout, SocksConnector, TcpConnector, time,
};
use ureq::{Agent, Proxy, Timeout};

use super::gate::Endpoint;
use super::secret::Authorization;
use super::tls::{self, Tls};
use crate::text::plain;
use crate::threads;

/// The maximum number of redirects.
const REDIRECTS: u32 = 5;
/// The maximum size of a response body in bytes.
const LARGEST: u64 = 8 << 20;
/// The maximum size of the response headers in bytes.
const LARGEST_HEAD: usize = 64 << 10;
/// How many characters of a response a message shows.
const SHOWN: usize = 200;

/// A response.
pub struct Answer {
    pub status: u16,
    /// The body, without the secrets of the request.
    pub body: String,
}

impl Answer {
    /// The beginning of the body in one line, for messages.
    pub fn excerpt(&self) -> String {
        excerpt(&self.body)
    }
}

/// The beginning of a text in one line.
pub fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Why there is no response. The messages contain no secret.
#[derive(Debug)]
pub enum Failure {
    /// The request could not be made: a file with a secret or certificates, or the URL of a proxy, is unusable.
    Setup(String),
    /// No response, not in time, or not readable.
    Silent(String),
}

impl Failure {
    /// The message.
    pub fn into_text(self) -> String {
        let (Failure::Setup(why) | Failure::Silent(why)) = self;
        why
    }
}

/// A request with a body.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// POST, PUT or PATCH.
    pub method: &'a str,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Secrets in the headers, which must not be shown.
    pub secrets: Vec<String>,
}

/// Sends a GET request. `url` is the endpoint's URL with a path and query appended.
pub fn get(endpoint: &Endpoint, url: &str, timeout: Duration) -> Result<Answer, Failure> {
    request(endpoint, url, None, timeout)
}

/// Sends a request with a body to the endpoint.
pub fn send(endpoint: &Endpoint, url: &str, outgoing: Outgoing, timeout: Duration) -> Result<Answer, Failure> {
    request(endpoint, url, Some(outgoing), timeout)
}

fn request(endpoint: &Endpoint, url: &str, outgoing: Option<Outgoing>, timeout: Duration) -> Result<Answer, Failure> {
    let authorization = endpoint.auth.as_ref().map(Authorization::of).transpose().map_err(Failure::Setup)?;
    let proxy = proxy(url, |name| std::env::var(name).ok()).map_err(Failure::Setup)?;
    let via = proxy.as_ref().map(|it| format!(" through the proxy {}:{}", it.host(), it.port())).unwrap_or_default();
    let agent = agent(endpoint.ca_file.as_deref(), proxy, timeout).map_err(Failure::Setup)?;
    let secrets = outgoing.as_ref().map(|outgoing| outgoing.secrets.clone()).unwrap_or_default();
    let redact = |text: &str| {
        let text = authorization.as_ref().map_or_else(|| text.to_owned(), |it| it.redact(text));
        secrets.iter().fold(text, |text, secret| text.replace(secret.as_str(), "…"))
    };
    let mut request = ureq::http::Request::builder().uri(url);
    if let Some(authorization) = &authorization {
        request = request.header("Authorization", &authorization.header);
    }
    let place = authority(url);
    let failed = |error: ureq::Error| match error {
        // It says something of this host alone.
        ureq::Error::Io(error) if threads::is_refusal(&error) => Failure::Setup(error.to_string()),
        other => Failure::Silent(redact(&format!("no answer from {place}{via}: {}", why(&other, timeout)))),
    };
    let bad = |error: ureq::http::Error| Failure::Setup(redact(&format!("bad request for {place}: {error}")));
    let called = match outgoing {
        None => agent.run(request.method("GET").body(()).map_err(bad)?),
        Some(outgoing) => {
            let headed = outgoing.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
            agent.run(headed.method(outgoing.method).body(outgoing.body).map_err(bad)?)
        }
    };
    let mut response = called.map_err(failed)?;
    let body = response.body_mut().with_config().limit(LARGEST).read_to_vec().map_err(failed)?;
    Ok(Answer { status: response.status().as_u16(), body: redact(&String::from_utf8_lossy(&body)) })
}

/// A response whose body is read as it comes.
pub struct Incoming {
    pub status: u16,
    /// The position of its first byte, of a response that is a part.
    pub begins: Option<u64>,
    /// The number of bytes in the body, if the server says it.
    pub length: Option<u64>,
    pub body: Box<dyn Read + Send>,
}

/// Sends a GET request for a file, from a byte on. A name and a password in the URL are sent as basic authentication. The
/// limits are for all of it, and for each thing that is waited for: a connection, the response, the next bytes.
pub fn open(
    url: &str,
    through: Option<&str>,
    from: u64,
    (timeout, stall): (Duration, Duration),
) -> Result<Incoming, Failure> {
    let wrong = |_| Failure::Setup("http_proxy is not the address of a proxy".to_owned());
    let proxy = match through {
        Some(address) => Some(Proxy::new(address.trim()).map_err(wrong)?),
        None => proxy(url, |name| std::env::var(name).ok()).map_err(Failure::Setup)?,
    };
    let via = proxy.as_ref().map(|it| format!(" through the proxy {}:{}", it.host(), it.port())).unwrap_or_default();
    let agent = agent(None, proxy, timeout).map_err(Failure::Setup)?;
    let address = crate::url::without_password(url);
    let mut request = ureq::http::Request::builder().method("GET").uri(&address);
    if let Some(login) = crate::url::login(url) {
        request = request.header("Authorization", super::secret::basic(&login.user, &login.password));
    }
    if from > 0 {
        request = request.header("Range", format!("bytes={from}-"));
    }
    let place = authority(&address);
    let failed = |error: ureq::Error| {
        let limit = if matches!(error, ureq::Error::Timeout(Timeout::Global)) { timeout } else { stall };
        match error {
            ureq::Error::TooManyRedirects => {
                Failure::Setup(format!("{place}{via} redirects more than {REDIRECTS} times"))
            }
            // It quotes the address, which may be signed.
            ureq::Error::BadUri(_) => Failure::Setup(format!("{place}{via} redirects to no address of http or https")),
            other => Failure::Silent(format!("no answer from {place}{via}: {}", why(&other, limit))),
        }
    };
    let request = request.body(()).map_err(|error| Failure::Setup(format!("bad request for {place}: {error}")))?;
    let request = agent
        .configure_request(request)
        .timeout_resolve(Some(stall))
        .timeout_connect(Some(stall))
        .timeout_recv_response(Some(stall))
        .timeout_per_read(Some(stall))
        .build();
    let response = agent.run(request).map_err(failed)?;
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let begins =
        header("content-range").and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
    let length = header("content-length").and_then(|length| length.parse().ok());
    let status = response.status().as_u16();
    Ok(Incoming { status, begins, length, body: Box::new(response.into_body().into_reader()) })
}

fn agent(ca_file: Option<&Path>, proxy: Option<Proxy>, timeout: Duration) -> Result<Agent, String> {
    let tls = Tls::new(ca_file)?;
    let config = Agent::config_builder()
        .timeout_global(Some(timeout))
        .max_redirects(REDIRECTS)
        .max_response_header_size(LARGEST_HEAD)
        // A redirect must not carry a token to another server.
        .redirect_auth_headers(RedirectAuthHeaders::SameHost)
        .http_status_as_error(false)
        .user_agent(concat!("hoist/", env!("CARGO_PKG_VERSION")))
        .proxy(proxy)
        .build();
    let chain = ().chain(SocksConnector::default()).chain(ConnectProxyConnector::default());
    let chain = chain.chain(TcpConnector::default()).chain(tls);
    Ok(Agent::with_parts(config, chain, Addresses))
}

/// The library's own resolver, on a thread that may be refused: the library would panic.
#[derive(Debug)]
struct Addresses;

impl Resolver for Addresses {
    fn resolve(&self, url: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let (url, config, reason) = (url.clone(), config.clone(), timeout.reason);
        let found = threads::within(*timeout.after, move || {
            let for_ever = NextTimeout { after: time::Duration::NotHappening, ..timeout };
            DefaultResolver::default().resolve(&url, &config, for_ever)
        });
        found?.unwrap_or(Err(ureq::Error::Timeout(reason)))
    }
}

/// The proxy for a URL, from the environment variables that curl uses.
fn proxy(url: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>, String> {
    let set =
        |name: &&str| variable(name).filter(|value| !value.trim().is_empty()).map(|value| (name.to_string(), value));
    let names: &[&str] = match url.starts_with("https:") {
        true => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        // HTTP_PROXY in upper case is not used: a CGI server sets it from the `Proxy` header of a request.
        false => &["http_proxy", "all_proxy", "ALL_PROXY"],
    };
    let Some((name, value)) = names.iter().find_map(set) else { return Ok(None) };
    let spared = ["no_proxy", "NO_PROXY"].iter().find_map(set).map(|(_, list)| list).unwrap_or_default();
    if excludes(&spared, host_of(url)) {
        return Ok(None);
    }
    let wrong = |_| format!("{name} is not the address of a proxy: {}", crate::url::masked(&value));
    Proxy::new(value.trim()).map(Some).map_err(wrong)
}

/// Whether a `no_proxy` list has this host or one of its parent domains.
fn excludes(list: &str, host: &str) -> bool {
    let within = |entry: &str| {
        let entry = entry.trim_start_matches('*').trim_start_matches('.').trim_matches(['[', ']']).to_ascii_lowercase();
        let host = host.to_ascii_lowercase();
        !entry.is_empty() && (host == entry || host.strip_suffix(&entry).is_some_and(|rest| rest.ends_with('.')))
    };
    list.split([',', ' ']).map(str::trim).any(|entry| entry == "*" || within(entry))
}

/// The host of a URL; an IPv6 address is without brackets.
fn host_of(url: &str) -> &str {
    let authority = authority(url);
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.split(':').next().unwrap_or(authority),
    }
}

/// The host and port of a URL.
pub fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

/// Why the rest of a body does not come. `stall`: how long no byte might come.
pub fn interruption(error: &io::Error, stall: Duration) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
        Some(ureq::Error::Timeout(_)) => format!("nothing came for {} s", stall.as_secs_f64()),
        Some(other) => why(other, stall),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "the connection was lost".to_owned(),
        None => io_error(error),
    }
}

fn io_error(error: &io::Error) -> String {
    match tls::why(error) {
        Some(why) => format!("TLS: {}", excerpt(&why)),
        None => plain(error),
    }
}

/// Why there is no response, in the usual terms.
fn why(error: &ureq::Error, timeout: Duration) -> String {
    match error {
        ureq::Error::Io(error) => io_error(error),
        ureq::Error::Timeout(_) => format!("no answer within {} s", (timeout.as_secs_f64() * 10.0).round() / 10.0),
        ureq::Error::BodyExceedsLimit(limit) => format!("the response is larger than {} MiB", limit >> 20),
        ureq::Error::Tls(why) => format!("TLS: {why}"),
        other => excerpt(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_found_as_curl_finds_it() {
        let proxy = |url: &str, set: &[(&str, &str)]| {
            let variable = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            proxy(url, variable).map(|found| found.map(|proxy| proxy.host().to_owned()))
        };
        let some = |host: &str| Ok(Some(host.to_owned()));
        assert_eq!(proxy("http://h/", &[("HTTP_PROXY", "http://p:1")]), Ok(None));
        assert_eq!(proxy("http://h/", &[("http_proxy", "http://p:1"), ("https_proxy", "http://q:1")]), some("p"));
        assert_eq!(proxy("https://h/", &[("http_proxy", "http://p:1"), ("HTTPS_PROXY", "q:1")]), some("q"));
        assert_eq!(proxy("https://h/", &[("ALL_PROXY", "socks5h://s:1")]), some("s"));
        let spared = |list| proxy("http://web.example.org:80/", &[("http_proxy", "http://p:1"), ("no_proxy", list)]);
        for list in ["*", "web.example.org", "a, .example.org", "EXAMPLE.org"] {
            assert_eq!(spared(list), Ok(None), "{list}");
        }
        for list in ["", "ample.org", "web", "other.org"] {
            assert_eq!(spared(list), some("p"), "{list}");
        }
        assert_eq!(proxy("http://[::1]:80/", &[("http_proxy", "http://p:1"), ("no_proxy", "::1")]), Ok(None));
        let error = proxy("http://h/", &[("http_proxy", "ftp://me:s3cret@p")]).unwrap_err();
        assert!(error.starts_with("http_proxy is not") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt(" a\n\n b\tc "), "a b c");
        assert_eq!(excerpt(&"é".repeat(300)), "é".repeat(200) + "…");
    }
}
