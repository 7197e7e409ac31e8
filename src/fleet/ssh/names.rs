//! The addresses of targets, looked up ahead of their connections.
//!
//! A name server that is slow or far away would else hold up a connection at a time in each thread. What was looked up
//! ahead serves one connection: whoever connects again asks again, since the answer may have changed.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Names that are looked up at once.
const LOOKUPS: usize = 16;
/// An answer that nobody fetched for so long is asked for again.
const FRESH: Duration = Duration::from_secs(300);
/// The system's resolver needs more than a session does.
const STACK: usize = 512 * 1024;

type Found = HashMap<String, (Instant, Vec<IpAddr>)>;

/// Addresses that wait for their connections.
#[derive(Debug, Default, Clone)]
pub struct Names(Arc<Mutex<Found>>);

impl Names {
    /// Begins to look up `hosts`, in their order, and returns at once. A name that has no address is left to the
    /// connection, which says so.
    pub fn look_up_ahead(&self, hosts: Vec<String>) {
        let hosts: Vec<String> = hosts.into_iter().filter(|host| host.parse::<IpAddr>().is_err()).collect();
        let threads = LOOKUPS.min(hosts.len());
        let waiting = Arc::new(Mutex::new(hosts.into_iter()));
        for _ in 0..threads {
            let (waiting, found) = (waiting.clone(), self.0.clone());
            let look_up = move || {
                while let Some(host) = { lock(&waiting).next() } {
                    if let Ok(addresses) = resolve(&host, 0) {
                        let addresses = addresses.into_iter().map(|address| address.ip()).collect();
                        lock(&found).insert(host, (Instant::now(), addresses));
                    }
                }
            };
            if let Err(error) = std::thread::Builder::new().name("names".into()).stack_size(STACK).spawn(look_up) {
                log::debug!("names are not looked up ahead: {error}");
            }
        }
    }

    /// The addresses of a host: those that wait for it, or the answer of the system's resolver.
    pub fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match lock(&self.0).remove(host) {
            Some((at, addresses)) if at.elapsed() < FRESH => {
                Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
            }
            _ => resolve(host, port),
        }
    }
}

fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_ahead_for_one_connection_and_asked_for_again_by_the_next() {
        let names = Names::default();
        let other = IpAddr::from([127, 9, 9, 9]);
        lock(&names.0).insert("localhost".into(), (Instant::now(), vec![other]));
        assert_eq!(names.addresses("localhost", 22).unwrap(), [SocketAddr::new(other, 22)]);
        assert!(names.addresses("localhost", 22).unwrap().iter().all(|address| address.ip() != other));
    }

    #[test]
    fn names_wait_for_their_connections_and_addresses_and_unknown_names_do_not() {
        let names = Names::default();
        names.look_up_ahead(vec!["localhost".into(), "127.0.0.1".into(), "no such name".into()]);
        let until = Instant::now() + Duration::from_secs(30);
        while lock(&names.0).is_empty() {
            assert!(Instant::now() < until, "nothing was looked up");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(lock(&names.0).keys().collect::<Vec<_>>(), ["localhost"]);
        assert_eq!(names.addresses("127.0.0.1", 7).unwrap(), [SocketAddr::from(([127, 0, 0, 1], 7))]);
        assert!(names.addresses("no such name", 7).is_err());
    }
}
