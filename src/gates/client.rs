//! The HTTP client of gates, hooks and downloads: one request, with a time limit and a limit on the size of the response.

use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::{Response, Uri};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    ConnectProxyConnector, Connector as _, NextTimeout, SocksConnector, TcpConnector, time,
};
use ureq::{Agent, Body, Proxy, Timeout};

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
    /// Where a redirect that was not followed leads, as it may be shown.
    pub redirects_to: Option<String>,
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

/// Sends a GET request, and follows redirects. `url` is the endpoint's URL with a path and query appended.
pub fn get(endpoint: &Endpoint, url: &str, timeout: Duration) -> Result<Answer, Failure> {
    request(endpoint, url, None, timeout)
}

/// Sends a request with a body to the endpoint. No redirect is followed: what is sent is meant for this server alone.
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
    let place = authority(url);
    let failed = |error: ureq::Error| match error {
        // These say something of this host alone.
        ureq::Error::Io(error) if threads::is_refusal(&error) => Failure::Setup(error.to_string()),
        ureq::Error::Http(error) => Failure::Setup(redact(&format!("bad request for {place}: {error}"))),
        ureq::Error::BadUri(_) => Failure::Silent(format!("{place}{via} redirects {NO_ADDRESS}")),
        other => Failure::Silent(redact(&format!("no answer from {place}{via}: {}", why(&other, timeout)))),
    };
    let authorization_header = authorization.as_ref().map(|it| ("Authorization", it.header.clone()));
    let called = match outgoing {
        None => {
            let request = Get { url, header: None, authorization: authorization_header.map(|(_, value)| value) };
            request.follow(&agent, timeout, None)
        }
        Some(outgoing) => {
            let request = ureq::http::Request::builder().method(outgoing.method).uri(url);
            let headers = outgoing.headers.iter().map(|(name, value)| (name.as_str(), value.clone()));
            let headers = authorization_header.into_iter().chain(headers);
            let request = headers.fold(request, |request, (name, value)| request.header(name, value));
            request.body(outgoing.body).map_err(ureq::Error::from).and_then(|request| agent.run(request))
        }
    };
    let mut response = called.map_err(failed)?;
    let redirects_to = location(&response).map(|to| match redirected(url, to) {
        Some(to) => redact(&crate::url::place(&to)),
        None => NO_ADDRESS.to_owned(),
    });
    let body = response.body_mut().with_config().limit(LARGEST).read_to_vec().map_err(failed)?;
    let body = redact(&String::from_utf8_lossy(&body));
    Ok(Answer { status: response.status().as_u16(), body, redirects_to })
}

/// What is said of a redirect that cannot be followed.
const NO_ADDRESS: &str = "to no address of http or https";

/// A GET request.
struct Get<'a> {
    url: &'a str,
    header: Option<(&'a str, String)>,
    /// It is sent only to the server of `url`: the same scheme, host and port.
    authorization: Option<String>,
}

impl Get<'_> {
    /// Sends it, and follows redirects. `stall` limits each thing that is waited for.
    fn follow(self, agent: &Agent, timeout: Duration, stall: Option<Duration>) -> Result<Response<Body>, ureq::Error> {
        let begin = Instant::now();
        let mut url = self.url.to_owned();
        for _ in 0..=REDIRECTS {
            let mut request = ureq::http::Request::builder().method("GET").uri(&url);
            if let Some(authorization) = self.authorization.as_ref().filter(|_| same_server(&url, self.url)) {
                request = request.header("Authorization", authorization);
            }
            if let Some((name, value)) = &self.header {
                request = request.header(*name, value);
            }
            let left = timeout.saturating_sub(begin.elapsed());
            let mut request = agent.configure_request(request.body(())?).timeout_global(Some(left));
            if stall.is_some() {
                request = request
                    .timeout_resolve(stall)
                    .timeout_connect(stall)
                    .timeout_recv_response(stall)
                    .timeout_per_read(stall);
            }
            let response = agent.run(request.build())?;
            match location(&response) {
                None if is_redirect(&response) => {
                    return Err(ureq::Error::Other("redirect is missing a location header".into()));
                }
                None => return Ok(response),
                Some(to) => url = redirected(&url, to).ok_or_else(|| ureq::Error::BadUri(String::new()))?,
            }
        }
        Err(ureq::Error::TooManyRedirects)
    }
}

fn is_redirect(response: &Response<Body>) -> bool {
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a response redirects to, as it says it.
fn location(response: &Response<Body>) -> Option<&str> {
    let header = response.headers().get("location").filter(|_| is_redirect(response))?;
    // What is no text is no address either.
    Some(header.to_str().unwrap_or("\n"))
}

/// The address that a redirect from `url` to `location` leads to; `None`: none of http or https.
fn redirected(url: &str, location: &str) -> Option<String> {
    let before_fragment = |text: &str| text.split('#').next().unwrap_or_default().to_owned();
    let (url, location) = (before_fragment(url), before_fragment(location));
    let (scheme, rest) = url.split_once("://")?;
    let (server, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let path = path.split('?').next().unwrap_or_default();
    let scheme_of = |text: &str| text.split_once(':').is_some_and(|(word, _)| !word.contains(['/', '?']));
    let next = match location.as_str() {
        whole if scheme_of(whole) => whole.to_owned(),
        server if server.starts_with("//") => format!("{scheme}:{server}"),
        query if query.is_empty() || query.starts_with('?') => format!("{scheme}://{server}{path}{query}"),
        place => {
            let folder = &path[..path.rfind('/').unwrap_or_default()];
            let joined = if place.starts_with('/') { place.to_owned() } else { format!("{folder}/{place}") };
            format!("{scheme}://{server}{}", without_dots(&joined))
        }
    };
    let uri: Uri = next.parse().ok()?;
    let is_of_web = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|it| !it.is_empty());
    is_of_web.then_some(next)
}

/// A path, which may have a query, without `.` and `..`.
fn without_dots(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut parts: Vec<&str> = Vec::new();
    let all: Vec<&str> = path.split('/').skip(1).collect();
    for (at, part) in all.iter().enumerate() {
        match *part {
            "." | ".." => {
                if *part == ".." {
                    parts.pop();
                }
                // It names a directory.
                parts.extend((at + 1 == all.len()).then_some(""));
            }
            part => parts.push(part),
        }
    }
    format!("/{}{query}", parts.join("/"))
}

/// Whether two addresses have the same scheme, host and port.
fn same_server(one: &str, other: &str) -> bool {
    let server = |url: &str| {
        let uri: Uri = url.parse().ok()?;
        let scheme = uri.scheme_str()?.to_owned();
        let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        Some((scheme, uri.host()?.to_ascii_lowercase(), port))
    };
    server(one).is_some_and(|one| server(other) == Some(one))
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
    let place = authority(&address);
    let failed = |error: ureq::Error| {
        let limit = if matches!(error, ureq::Error::Timeout(Timeout::Global)) { timeout } else { stall };
        match error {
            ureq::Error::TooManyRedirects => {
                Failure::Setup(format!("{place}{via} redirects more than {REDIRECTS} times"))
            }
            ureq::Error::BadUri(_) => Failure::Setup(format!("{place}{via} redirects {NO_ADDRESS}")),
            ureq::Error::Http(error) => Failure::Setup(format!("bad request for {place}: {error}")),
            other => Failure::Silent(format!("no answer from {place}{via}: {}", why(&other, limit))),
        }
    };
    let request = Get {
        url: &address,
        header: (from > 0).then(|| ("Range", format!("bytes={from}-"))),
        authorization: crate::url::login(url).map(|login| super::secret::basic(&login.user, &login.password)),
    };
    let response = request.follow(&agent, timeout, Some(stall)).map_err(failed)?;
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
        // Followed here, where it is known what may go to which server.
        .max_redirects(0)
        .max_response_header_size(LARGEST_HEAD)
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
    fn a_redirect_leads_where_a_browser_would_go_or_nowhere() {
        let to = |location| redirected("http://h:1/a/b?c", location);
        for (location, address) in [
            ("https://x/y?z#f", "https://x/y?z"),
            ("//x/y", "http://x/y"),
            ("/y?to=http://x", "http://h:1/y?to=http://x"),
            ("y", "http://h:1/a/y"),
            ("./y/../z/.", "http://h:1/a/z/"),
            ("../../../y?../z", "http://h:1/y?../z"),
            ("?y", "http://h:1/a/b?y"),
            ("", "http://h:1/a/b"),
        ] {
            assert_eq!(to(location).as_deref(), Some(address), "{location}");
        }
        assert_eq!(redirected("http://h", "y").as_deref(), Some("http://h/y"));
        for location in ["file:///etc/passwd", "http://[::", "mailto:me@h", "http:///x", "https:", "\n"] {
            assert_eq!(to(location), None, "{location}");
        }
        assert!(same_server("http://H/a", "http://h:80/b") && same_server("https://h:443", "https://h/"));
        for other in ["https://h/", "http://h:81/", "http://i/", "http://h.i/"] {
            assert!(!same_server("http://h/", other), "{other}");
        }
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt(" a\n\n b\tc "), "a b c");
        assert_eq!(excerpt(&"é".repeat(300)), "é".repeat(200) + "…");
    }
}
