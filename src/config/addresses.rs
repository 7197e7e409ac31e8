//! Addresses of servers and proxies, as values of keys.

use crate::targets::{Target, is_name_character};
use crate::url;

use super::values;

/// A git server: what stands between `scheme://` and the repository's name.
pub fn server(value: &str) -> Result<String, String> {
    let fit = |c: char| c.is_ascii_alphanumeric() || "._-:@/[]~+".contains(c);
    if value.is_empty() || value.starts_with('-') || value.contains("://") || !value.chars().all(fit) {
        return Err(format!(
            "{:?} is not a server: write its name, with :PORT if necessary; git_scheme sets the protocol",
            url::masked(value)
        ));
    }
    Ok(value.trim_end_matches('/').to_owned())
}

/// A proxy: `http://` or `https://`, a name or `user:password` ahead of it, a port. The errors do not show a password.
pub fn proxy(value: &str) -> Result<String, String> {
    let shown = url::masked(value);
    let fit = |c: char| c.is_ascii_alphanumeric() || "._~!$&'()*+,;=%-".contains(c);
    let rest = value.strip_prefix("http://").or_else(|| value.strip_prefix("https://"));
    let host_and_port = |rest: &str| {
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, place) = rest.rsplit_once('@').unwrap_or(("", rest));
        let user_fits = user.chars().all(|c| fit(c) || c == ':');
        let (host, port_fits) = match place.rsplit_once(':') {
            Some((host, number)) if !number.ends_with(']') => (host, values::port(number).is_ok()),
            _ => (place, true),
        };
        let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host_fits = match inside {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(is_name_character),
        };
        user_fits && port_fits && host_fits
    };
    if !rest.is_some_and(host_and_port) {
        return Err(format!(
            "{shown:?} is not a proxy: write http://HOST:PORT, with USER:PASSWORD@ before the host if necessary, and \
             %40 for an @ in either"
        ));
    }
    Ok(value.to_owned())
}

/// Definitions of the command line as they are shown and kept: without passwords. What stands ahead of a server by http may
/// be a token, even without a colon.
pub fn kept_defines(defines: &[String], git_scheme: &str) -> Vec<String> {
    let by_http = git_scheme.starts_with("http");
    let kept = |define: &String| match url::key_and_value(define) {
        Some((key, value)) if key == "git_server" && by_http && !value.contains("://") => {
            let masked = url::masked(&format!("{git_scheme}://{}", value.trim_start()));
            format!("{}{}", &define[..define.len() - value.trim_start().len()], &masked[git_scheme.len() + 3..])
        }
        _ => url::masked_define(define),
    };
    defines.iter().map(kept).collect()
}

/// A name to be looked up, without user and port.
pub fn host(value: &str) -> Result<String, String> {
    let named: Target =
        value.trim_end_matches('.').parse().map_err(|why| format!("{value:?} is not a name to look up: {why}"))?;
    match named.user.is_some() || named.port.is_some() {
        true => Err(format!("{value:?} has a user or a port: write a name only")),
        false => Ok(named.host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ahead_of_a_git_server_by_http_may_be_a_token_and_is_not_kept() {
        let kept = |define: &str, scheme| kept_defines(&[define.to_owned()], scheme).remove(0);
        assert_eq!(kept("git_server:t0ken@git.example.org:80", "https"), "git_server:…@git.example.org:80");
        assert_eq!(kept("git_server: git@git.example.org", "ssh"), "git_server: git@git.example.org");
        assert_eq!(kept("git_server=me:p@git", "ssh"), "git_server=…@git");
    }

    #[test]
    fn a_proxy_is_a_url_and_its_password_is_never_shown() {
        for good in ["http://proxy:3128", "https://p.example.org/", "http://me:s3cret@10.0.0.1:80", "http://[::1]:3128"]
        {
            assert_eq!(proxy(good).as_deref(), Ok(good));
        }
        for bad in [
            "proxy:3128",
            "ftp://p",
            "http://",
            "http://p:0",
            "http://p:x",
            "http://p/x",
            "http://a b",
            "http://me:s3cret@",
            "http://me:s3cret@p@q:x",
            "me:s3cret@p",
            "http://[::g]",
            "http://p?me:s3cret@x",
        ] {
            let why = proxy(bad).expect_err(bad);
            assert!(!why.contains("s3cret"), "{why}");
        }
    }
}
