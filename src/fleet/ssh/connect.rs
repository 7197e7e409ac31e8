//! From a target's name to a session that is logged in.

use std::fmt;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ssh2::{ErrorCode, MethodType, Session};

use super::auth::{Login, Refusal};
use super::gate::Pass;
use super::known_hosts::{KeyType, Verdict, fingerprint, lookup_name};
use super::link::Link;
use super::route::{Route, Way};
use super::socket::Socket;
use super::{Algorithms, Ssh, proxy_command, tcp};
use crate::targets::Target;

/// The pause after the first connection that the peer hung up on, and the longest one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(800);

/// Why there is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectErrorKind {
    /// The name has no address.
    Resolve,
    /// Nobody listens, or there is no way there.
    Refused,
    Timeout,
    HostKeyChanged,
    HostKeyUnknown,
    HostKeyRevoked,
    /// The server takes none of the operator's keys.
    Auth,
    /// The peer hung up before it had shown who it is.
    HungUp,
    /// The peer does not speak SSH properly.
    Protocol,
    /// What the configurations say of the host cannot be done.
    Configuration,
}

/// Why there is no session, with a fragment for the operator that names the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectError {
    pub kind: ConnectErrorKind,
    pub message: String,
}

impl ConnectError {
    pub(super) fn new(kind: ConnectErrorKind, message: impl Into<String>) -> ConnectError {
        ConnectError { kind, message: message.into() }
    }

    /// Whether it stays so even with a host that has let this key in before. One that starts up refuses everybody for a
    /// while, in more ways than one: it has no name yet, nobody listens, its accounts are not there, logins are closed.
    pub fn is_final(&self) -> bool {
        use ConnectErrorKind::*;
        matches!(self.kind, HostKeyChanged | HostKeyRevoked | Configuration)
    }

    /// Whether trying again a little later may end otherwise.
    pub fn may_pass(&self) -> bool {
        use ConnectErrorKind::*;
        matches!(self.kind, Resolve | Refused | Timeout | HungUp | Protocol)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConnectError {}

impl Ssh {
    /// Opens a session with `target` and logs in. It ends within a few times `connect_timeout`, whatever the peer does.
    pub fn connect(&self, target: &Target) -> Result<Link, ConnectError> {
        let refused = |error| ConnectError::new(ConnectErrorKind::Configuration, format!("{error:#}"));
        let route = self.routes.to(&self.options, target).map_err(refused)?;
        let (session, socket) = route.open()?;
        Link::new(session, socket, route.keepalive).map_err(|error| Attempt { route: &route }.broken(error))
    }
}

impl Route {
    /// Opens a session and logs in.
    pub(super) fn open(&self) -> Result<(Session, Socket), ConnectError> {
        let mut progress = self.keys.begin();
        loop {
            let attempt = Attempt { route: self };
            let (session, socket, _pass) = attempt.patient_handshake()?;
            match self.keys.log_in(&session, &self.user, &mut progress, self.connect_timeout) {
                Login::In => return Ok((session, socket)),
                Login::Again => hang_up(session, &socket),
                Login::Refused(refusal) => {
                    hang_up(session, &socket);
                    return Err(ConnectError::new(ConnectErrorKind::Auth, refused(&self.name, &self.user, &refusal)));
                }
                Login::Broken(error) => {
                    hang_up(session, &socket);
                    return Err(attempt.failed("logging in to", error, Instant::now()));
                }
            }
        }
    }
}

/// Why `host` let nobody in, in words.
fn refused(host: &str, user: &str, refusal: &Refusal) -> String {
    let troubles = refusal.troubles.join("; ");
    if refusal.tried.is_empty() {
        return format!("cannot log in to {host} as {user}: {troubles}");
    }
    let besides = if troubles.is_empty() { troubles } else { format!("; not tried: {troubles}") };
    format!(
        "{host} lets {user} in with none of the keys tried ({}): add one to the authorized_keys of {user} there{besides}",
        refusal.tried.join(", ")
    )
}

/// Ends a session without waiting for the other side: with its socket shut, dropping it is a matter of microseconds.
fn hang_up(session: Session, socket: &Socket) {
    socket.shutdown();
    drop(session);
}

/// From 0 to 1; good enough to spread connections, and no more.
fn random_share() -> f64 {
    let seed = std::collections::hash_map::RandomState::new();
    f64::from(std::hash::BuildHasher::hash_one(&seed, 0u8) as u32) / f64::from(u32::MAX)
}

/// One connection that is being made.
struct Attempt<'a> {
    route: &'a Route,
}

impl Attempt<'_> {
    fn timeout(&self) -> Duration {
        self.route.connect_timeout
    }

    fn place(&self) -> String {
        self.route.place()
    }

    fn tcp(&self) -> Result<(TcpStream, Pass<'_>), ConnectError> {
        let place = self.place();
        let addresses = self.route.network.names.addresses(&self.route.host, self.route.port).map_err(|error| {
            ConnectError::new(ConnectErrorKind::Resolve, format!("cannot resolve {}: {error}", self.route.host))
        })?;
        let mut last = ConnectError::new(ConnectErrorKind::Resolve, format!("{} has no address", self.route.host));
        for address in addresses {
            let pass = self.route.network.gate.enter(address.ip().to_string());
            match TcpStream::connect_timeout(&address, self.timeout()) {
                Ok(stream) => return Ok((stream, pass)),
                Err(error) => {
                    let kind = match error.kind() {
                        ErrorKind::TimedOut | ErrorKind::WouldBlock => ConnectErrorKind::Timeout,
                        _ => ConnectErrorKind::Refused,
                    };
                    let why = match kind {
                        ConnectErrorKind::Timeout => format!("no answer within {:?}", self.timeout()),
                        _ => error.to_string().to_lowercase(),
                    };
                    last = ConnectError::new(kind, format!("cannot connect to {place} ({}): {why}", address.ip()));
                }
            }
        }
        Err(last)
    }

    /// What the session runs over, and leave to log in over it.
    fn socket(&self) -> Result<(Socket, Option<Pass<'_>>), ConnectError> {
        let route = self.route;
        match &route.way {
            Way::Direct => {
                let (stream, pass) = self.tcp()?;
                tcp::prepare(&stream, route.keepalive).map_err(|error| self.broken(error))?;
                Ok((stream.into(), Some(pass)))
            }
            Way::Behind(bastion) => {
                let socket = bastion.open(&route.host, route.port, &self.place(), route.connect_timeout)?;
                Ok((socket, None))
            }
            Way::Command(command) => {
                // Where the command logs in itself, and at one host for all, that host is spared.
                let pass = proxy_command::is_ssh(command).then(|| route.network.gate.enter("ssh".into()));
                let socket = proxy_command::start(command, &route.name);
                Ok((socket.map_err(|error| self.not_carried(&error.to_string()))?, pass))
            }
        }
    }

    fn not_carried(&self, why: &str) -> ConnectError {
        ConnectError::new(ConnectErrorKind::Refused, format!("cannot connect to {}: {why}", self.place()))
    }

    /// A handshake that is tried again when the peer hangs up on it: a server drops connections at random while more
    /// than so many are not logged in yet (MaxStartups in sshd_config(5); by default from 10 on).
    fn patient_handshake(&self) -> Result<(Session, Socket, Option<Pass<'_>>), ConnectError> {
        let until = Instant::now() + self.timeout();
        let mut pause = FIRST_PAUSE;
        loop {
            let attempt = self.handshake();
            let again = attempt.as_ref().is_err_and(|error| error.kind == ConnectErrorKind::HungUp);
            if !again || Instant::now() + pause * 2 > until {
                return attempt;
            }
            // Spread out, or all that were dropped at once come back at once.
            std::thread::sleep(pause + pause.mul_f64(random_share()));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Connects, exchanges keys, and makes sure that the host is who it should be.
    fn handshake(&self) -> Result<(Session, Socket, Option<Pass<'_>>), ConnectError> {
        let (socket, pass) = self.socket()?;
        let route = self.route;
        let (known_host, known_port) = (&route.known_as.0, route.known_as.1);
        let (types, known) = route.known_hosts.key_types(known_host, known_port);
        // Of a host that is known, nothing but the key that it is known by will do.
        let wanted: Vec<KeyType> = match known && !types.is_empty() {
            true => route.key_types.iter().copied().filter(|kind| types.contains(kind)).collect(),
            false => route.key_types.clone(),
        };
        // None in common: then the host is asked for what it is known by, which the operator should hear of.
        let wanted = if wanted.is_empty() { types } else { wanted };
        let host_keys: Vec<&str> = wanted.iter().map(|kind| kind.algorithms()).collect();
        let began = Instant::now();
        let prepared = Session::new().and_then(|session| {
            session.method_pref(MethodType::HostKey, &host_keys.join(","))?;
            route.algorithms.prefer(&session)?;
            Ok(session)
        });
        let mut session = prepared.map_err(|error| self.failed("preparing a session with", error, began))?;
        session.set_timeout(u32::try_from(self.timeout().as_millis().max(1)).unwrap_or(u32::MAX));
        session.set_tcp_stream(socket.clone());
        let checked = match session.handshake() {
            Ok(()) => self.judge(&session),
            // LIBSSH2_ERROR_KEX_FAILURE.
            Err(error) if error.code() == ErrorCode::Session(-5) => {
                Err(self.nothing_in_common(&session, &wanted, known))
            }
            Err(error) => Err(self.failed("the SSH handshake with", error, began)),
        };
        match checked {
            Ok(()) => Ok((session, socket, pass)),
            Err(error) => {
                hang_up(session, &socket);
                match socket.trouble() {
                    Some(why) if error.may_pass() => Err(self.not_carried(&why)),
                    _ => Err(error),
                }
            }
        }
    }

    /// The server and we have no algorithm in common, which for a known host is most likely its key's.
    fn nothing_in_common(&self, session: &Session, wanted: &[KeyType], known: bool) -> ConnectError {
        let (place, algorithms) = (self.place(), &self.route.algorithms);
        let types = wanted.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
        if session.methods(MethodType::HostKey).is_some() {
            let (ciphers, macs) = (algorithms.ciphers.join(", "), algorithms.macs.join(", "));
            let message = format!(
                "no algorithm in common with {place}: it has none of the ciphers {ciphers}, or none of the MACs {macs}"
            );
            return ConnectError::new(ConnectErrorKind::Protocol, message);
        }
        let exchanges = match *algorithms == Algorithms::default() {
            true => String::new(),
            false => format!(", or it has none of the key exchanges {}", algorithms.kex.join(", ")),
        };
        if known {
            return ConnectError::new(
                ConnectErrorKind::HostKeyUnknown,
                format!(
                    "no algorithm in common with {place}: known_hosts has it with {types} only, which it may no longer \
                     offer (ssh-keyscan shows what it offers){exchanges}"
                ),
            );
        }
        let message = format!("no algorithm in common with {place}: it has none of the host keys {types}{exchanges}");
        ConnectError::new(ConnectErrorKind::Protocol, message)
    }

    fn judge(&self, session: &Session) -> Result<(), ConnectError> {
        let (host, port) = (&self.route.known_as.0, self.route.known_as.1);
        let Some((key, _)) = session.host_key() else {
            return Err(ConnectError::new(ConnectErrorKind::Protocol, format!("{} showed no host key", self.place())));
        };
        let print = fingerprint(key);
        let name = lookup_name(host, port);
        let at = |file: &std::path::Path, line| match line {
            0 => format!("{} (added in this run)", file.display()),
            line => format!("{}:{line}", file.display()),
        };
        match self.route.known_hosts.check(host, port, key) {
            Verdict::Match => Ok(()),
            Verdict::Changed { file, line } => Err(ConnectError::new(
                ConnectErrorKind::HostKeyChanged,
                format!(
                    "host key of {name} has CHANGED: it offers the {print}, and {} has another. Someone may be \
                     listening in; if the host was set up anew, take the old key out with ssh-keygen -R '{name}'",
                    at(&file, line)
                ),
            )),
            Verdict::Revoked { file, line } => Err(ConnectError::new(
                ConnectErrorKind::HostKeyRevoked,
                format!("host key of {name} is REVOKED: it offers the {print}, which {} revokes", at(&file, line)),
            )),
            Verdict::Unknown if self.route.accept_new => {
                if let Err(error) = self.route.known_hosts.accept(host, port, key) {
                    log::warn!("the {print} of {name} is accepted for this run only: {error:#}");
                }
                Ok(())
            }
            Verdict::Unknown => Err(ConnectError::new(
                ConnectErrorKind::HostKeyUnknown,
                format!(
                    "host key of {name} is not known: it offers the {print}. Check it and add what \
                     ssh-keyscan -p {port} {host} prints to known_hosts, or accept new hosts"
                ),
            )),
        }
    }

    fn failed(&self, doing: &str, error: ssh2::Error, began: Instant) -> ConnectError {
        let place = self.place();
        let why = error.message().to_lowercase();
        let timed_out = error.code() == ErrorCode::Session(-9) || began.elapsed() >= self.timeout();
        if timed_out {
            let limit = self.timeout();
            return ConnectError::new(ConnectErrorKind::Timeout, format!("{doing} {place} took longer than {limit:?}"));
        }
        // LIBSSH2_ERROR_SOCKET_DISCONNECT and LIBSSH2_ERROR_SOCKET_RECV.
        let kind = match error.code() {
            ErrorCode::Session(-13 | -43) => ConnectErrorKind::HungUp,
            _ => ConnectErrorKind::Protocol,
        };
        ConnectError::new(kind, format!("{doing} {place} failed: {why}"))
    }

    fn broken(&self, error: std::io::Error) -> ConnectError {
        ConnectError::new(ConnectErrorKind::Protocol, format!("cannot use the connection to {}: {error}", self.place()))
    }
}
