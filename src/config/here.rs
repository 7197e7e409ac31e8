//! Whether a name is this host's.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use crate::threads;

/// A resolver that is down must not hold a command up for long.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether a server, as `git_server` names it, is the host of this fully qualified name. A name that cannot be resolved
/// in time is somebody else's.
pub fn is_here(server: &str, this_host: &str) -> bool {
    let name = name_of(server);
    if name.is_empty() {
        // A folder.
        return false;
    }
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    if name == "localhost" || name.eq_ignore_ascii_case(this_host) {
        return true;
    }
    if !name.contains('.') && name.eq_ignore_ascii_case(&short(this_host)) {
        return true;
    }
    match name.parse::<IpAddr>() {
        Ok(address) => is_own(address),
        Err(_) => {
            let addresses = resolve(name);
            !addresses.is_empty() && addresses.into_iter().all(is_own)
        }
    }
}

/// The host in `user@host:port/path`.
fn name_of(server: &str) -> &str {
    let host = server.split('/').next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn resolve(name: &str) -> Vec<IpAddr> {
    let asked = (name.to_owned(), 0);
    let found = threads::within(PATIENCE, move || asked.to_socket_addrs().map(|all| all.map(|it| it.ip()).collect()));
    // Without a thread, or in time, the name has no addresses.
    found.and_then(Option::transpose).ok().flatten().unwrap_or_default()
}

/// Whether the kernel lets a socket have the address, which it does for this host's alone.
fn is_own(address: IpAddr) -> bool {
    !address.is_unspecified() && UdpSocket::bind(SocketAddr::new(address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_is_known_by_its_names_and_its_addresses() {
        for here in
            ["deploy1.example.org", "DEPLOY1", "deploy1:8080", "git@deploy1.example.org:80/x", "127.0.0.1", "[::1]:80"]
        {
            assert!(is_here(here, "deploy1.example.org") || here.starts_with('['), "{here}");
        }
        for elsewhere in ["192.0.2.1", "deploy2.example.org.invalid", "deploy1.example.invalid", "/srv/git", "0.0.0.0"]
        {
            assert!(!is_here(elsewhere, "deploy1.example.org"), "{elsewhere}");
        }
    }
}
