//! Name look-ups. The system's resolver has no time limit and cannot be cancelled. So names are looked up on separate
//! threads, several at once, and a connection waits only for its own name, within a limit.
//!
//! The result of a look-up is used for one connection. A later connection looks the name up again, since the address
//! may have changed.

use std::collections::{HashMap, VecDeque};
use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many names are looked up at once. A waiting thread costs little, and a name without an answer keeps its thread
/// until the resolver gives up.
const LOOKUPS: usize = 128;
/// A result that was not used for this long is looked up again.
const FRESH: Duration = Duration::from_secs(300);
/// The stack size: the system's resolver needs more than a session does.
const STACK: usize = 512 * 1024;
/// The pause before a failed look-up is repeated.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a name may be queued, as a multiple of the limit of one look-up.
const TURNS: u32 = 4;

/// Which addresses of a host are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    #[default]
    Any,
    Inet,
    Inet6,
}

impl Family {
    fn has(self, address: &SocketAddr) -> bool {
        match self {
            Family::Any => true,
            Family::Inet => address.is_ipv4(),
            Family::Inet6 => address.is_ipv6(),
        }
    }
}

/// The state of a look-up.
#[derive(Debug)]
enum LookUp {
    Waiting,
    Asked(Instant),
    Found(Instant, Vec<SocketAddr>),
    /// When, and why.
    Failed(Instant, String),
}

#[derive(Debug)]
struct Name {
    look_up: LookUp,
    /// How many connections wait for it. The last one removes the result.
    waiters: usize,
}

#[derive(Debug, Default)]
struct LookUps {
    waiting: VecDeque<String>,
    names: HashMap<String, Name>,
    threads: usize,
}

impl LookUps {
    fn set(&mut self, host: &str, look_up: LookUp) {
        match self.names.get_mut(host) {
            Some(name) => name.look_up = look_up,
            None => drop(self.names.insert(host.to_owned(), Name { look_up, waiters: 0 })),
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    lookups: Mutex<LookUps>,
    changed: Condvar,
}

/// The name look-ups of a command. Clones share the results.
#[derive(Debug, Default, Clone)]
pub struct Names(Arc<Shared>);

impl Names {
    /// Begins to look up `hosts` in order, and returns at once. If a name has no address, the connection reports it.
    pub fn look_up_ahead(&self, hosts: Vec<String>) {
        let mut lookups = self.lock();
        for host in hosts.into_iter().filter(|host| host.parse::<IpAddr>().is_err()) {
            if !lookups.names.contains_key(&host) {
                self.begin(&mut lookups, &host);
            }
        }
    }

    /// The addresses of a host, in the resolver's order. A failed look-up is repeated once.
    ///
    /// # Errors
    /// It has no address of that family, or there was no answer within `limit`.
    pub fn addresses(&self, host: &str, port: u16, family: Family, limit: Duration) -> Result<Vec<SocketAddr>> {
        let mut addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => match self.wait_for(host, limit) {
                Err(error) if error.kind() != ErrorKind::TimedOut => {
                    log::debug!("{host}: {error}; trying once more");
                    std::thread::sleep(PAUSE.min(limit));
                    self.wait_for(host, limit)?
                }
                answer => answer?,
            },
        };
        addresses.retain(|address| family.has(address));
        addresses.iter_mut().for_each(|address| address.set_port(port));
        match (addresses.is_empty(), family) {
            (false, _) => Ok(addresses),
            (true, Family::Any) => Err(Error::new(ErrorKind::NotFound, "it has no address")),
            (true, Family::Inet) => Err(Error::new(ErrorKind::NotFound, "it has no IPv4 address (AddressFamily inet)")),
            (true, Family::Inet6) => {
                Err(Error::new(ErrorKind::NotFound, "it has no IPv6 address (AddressFamily inet6)"))
            }
        }
    }

    /// Waits for one name.
    fn wait_for(&self, host: &str, limit: Duration) -> Result<Vec<SocketAddr>> {
        let mut lookups = self.lock();
        lookups.names.entry(host.to_owned()).or_insert(Name { look_up: LookUp::Waiting, waiters: 0 }).waiters += 1;
        let (mut lookups, answer) = self.answer(lookups, host, limit);
        if let Some(name) = lookups.names.get_mut(host) {
            name.waiters -= 1;
            if name.waiters == 0 && matches!(name.look_up, LookUp::Found(..) | LookUp::Failed(..)) {
                lookups.names.remove(host);
            }
        }
        answer
    }

    fn answer<'a>(
        &'a self,
        mut lookups: MutexGuard<'a, LookUps>,
        host: &str,
        limit: Duration,
    ) -> (MutexGuard<'a, LookUps>, Result<Vec<SocketAddr>>) {
        let began = Instant::now();
        let mut until = began + limit * TURNS;
        loop {
            match lookups.names.get(host).map(|name| &name.look_up) {
                Some(LookUp::Found(at, addresses)) if at.elapsed() < FRESH => {
                    let addresses = addresses.clone();
                    return (lookups, Ok(addresses));
                }
                // A failure from before this connection waited may be out of date.
                Some(LookUp::Failed(at, why)) if *at >= began => {
                    let error = Error::other(why.clone());
                    return (lookups, Err(error));
                }
                Some(LookUp::Asked(at)) => until = until.min(began.max(*at) + limit),
                _ => self.begin(&mut lookups, host),
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let waited = Duration::from_secs(began.elapsed().as_secs().max(1));
                let why = format!("no answer from a name server within {waited:?}");
                return (lookups, Err(Error::new(ErrorKind::TimedOut, why)));
            }
            lookups = self.0.changed.wait_timeout(lookups, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Queues a name for look-up, unless it is queued already.
    fn begin(&self, lookups: &mut LookUps, host: &str) {
        if lookups.waiting.iter().any(|waiting| waiting == host) {
            return;
        }
        lookups.set(host, LookUp::Waiting);
        lookups.waiting.push_back(host.to_owned());
        if lookups.threads == LOOKUPS {
            return;
        }
        let names = self.clone();
        let thread = std::thread::Builder::new().name("names".into()).stack_size(STACK);
        match thread.spawn(move || names.work()) {
            Ok(_) => lookups.threads += 1,
            Err(error) if lookups.threads > 0 => log::debug!("cannot start another thread to resolve names: {error}"),
            Err(error) => {
                lookups.waiting.clear();
                lookups.set(host, LookUp::Failed(Instant::now(), error.to_string()));
            }
        }
    }

    /// The body of a thread: looks up queued names, and ends when there are none.
    fn work(&self) {
        let mut lookups = self.lock();
        while let Some(host) = lookups.waiting.pop_front() {
            lookups.set(&host, LookUp::Asked(Instant::now()));
            self.0.changed.notify_all();
            drop(lookups);
            let answer = (host.as_str(), 0).to_socket_addrs().map(|addresses| addresses.collect());
            lookups = self.lock();
            let answer = match answer {
                Ok(addresses) => LookUp::Found(Instant::now(), addresses),
                Err(error) => LookUp::Failed(Instant::now(), error.to_string()),
            };
            lookups.set(&host, answer);
            self.0.changed.notify_all();
        }
        lookups.threads -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, LookUps> {
        self.0.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn found(names: &Names, host: &str, port: u16) -> Result<Vec<SocketAddr>> {
        names.addresses(host, port, Family::Any, LIMIT)
    }

    #[test]
    fn a_name_is_looked_up_ahead_for_one_connection_and_asked_for_again_by_the_next() {
        let names = Names::default();
        let other = IpAddr::from([127, 9, 9, 9]);
        let ahead = LookUp::Found(Instant::now(), vec![SocketAddr::new(other, 0)]);
        names.lock().set("localhost", ahead);
        assert_eq!(found(&names, "localhost", 22).unwrap(), [SocketAddr::new(other, 22)]);
        assert!(found(&names, "localhost", 22).unwrap().iter().all(|address| address.ip() != other));
    }

    #[test]
    fn names_are_looked_up_ahead_and_addresses_are_taken_as_they_are() {
        let names = Names::default();
        names.look_up_ahead(vec!["localhost".into(), "127.0.0.1".into(), "no such name".into()]);
        let until = Instant::now() + LIMIT;
        while names.lock().threads > 0 {
            assert!(Instant::now() < until, "the threads do not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(matches!(names.lock().names["localhost"].look_up, LookUp::Found(..)));
        assert!(!names.lock().names.contains_key("127.0.0.1"));
        assert_eq!(found(&names, "127.0.0.1", 7).unwrap(), [SocketAddr::from(([127, 0, 0, 1], 7))]);
        assert!(found(&names, "no such name", 7).is_err());
    }

    #[test]
    fn a_family_leaves_the_addresses_of_the_other_out() {
        let names = Names::default();
        let both: Vec<SocketAddr> = vec!["10.0.0.1:0".parse().unwrap(), "[fd00::1]:0".parse().unwrap()];
        for (family, left) in [(Family::Any, 2), (Family::Inet, 1), (Family::Inet6, 1)] {
            names.lock().set("both", LookUp::Found(Instant::now(), both.clone()));
            assert_eq!(names.addresses("both", 22, family, LIMIT).unwrap().len(), left, "{family:?}");
        }
        let error = names.addresses("127.0.0.1", 22, Family::Inet6, LIMIT).unwrap_err();
        assert!(error.to_string().contains("AddressFamily inet6"), "{error}");
    }

    #[test]
    fn a_name_that_nobody_answers_for_costs_its_own_time_and_no_other_name_s() {
        let names = Names::default();
        names.lock().set("silent", LookUp::Asked(Instant::now()));
        let error = names.addresses("silent", 22, Family::Any, Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        // Nor is it asked for twice at once.
        assert!(names.lock().waiting.is_empty());
        assert!(found(&names, "localhost", 22).is_ok());
    }
}
