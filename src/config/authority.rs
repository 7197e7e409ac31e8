//! The server that an address of a gate names.

use std::net::Ipv6Addr;

/// What is wrong with an address up to its path, where something is. Variables may stand in it.
pub fn fault(url: &str) -> Option<&'static str> {
    let rest = ["http://", "https://"].into_iter().find_map(|scheme| url.strip_prefix(scheme));
    let Some(rest) = rest else { return Some("it does not begin with http:// or https://") };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Some("it contains a user name or a password: write username and password_file instead");
    }
    if authority.contains("{{") {
        let is_list = authority.contains("new_hosts") || authority.contains("old_hosts");
        return is_list.then_some("the name of a server cannot contain a list of hosts");
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if host.parse::<Ipv6Addr>().is_ok() => (host, port),
            _ => return Some("what is in brackets is not an IPv6 address"),
        },
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    if host.is_empty() {
        return Some("it has no host");
    }
    match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some(port) if port.contains(':') => Some("an IPv6 address has to be in brackets"),
        Some(port) if port.parse::<u16>().is_ok_and(|port| port > 0) => None,
        _ => Some("the port is not a number from 1 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn a_server_has_a_name_or_an_address_and_maybe_a_port() {
        for url in [
            "http://h",
            "https://h.example.org:9090/x:y",
            "http://[::1]:80/",
            "http://[fe80::1]",
            "http://{{ group }}:1/",
        ] {
            assert_eq!(fault(url), None, "{url}");
        }
        for (url, why) in [
            ("h:9090", "does not begin"),
            ("http://", "no host"),
            ("http:///x", "no host"),
            ("http://:80/", "no host"),
            ("http://[::1/", "not an IPv6 address"),
            ("http://[h]/", "not an IPv6 address"),
            ("http://::1/", "no host"),
            ("http://fe80::1/", "in brackets"),
            ("http://h:99999/", "the port"),
            ("http://h:x", "the port"),
            ("http://h:", "the port"),
            ("http://h:0", "the port"),
            ("http://[::1]80", "the port"),
            ("http://me:s3cret@h/", "a password"),
            ("http://{{ new_hosts }}/", "a list of hosts"),
        ] {
            assert!(fault(url).is_some_and(|fault| fault.contains(why)), "{url}: {:?}", fault(url));
        }
    }
}
