//! From a target's name to a session that is logged in.

use std::fmt;
use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use ssh2::{ErrorCode, MethodType, Session};

use super::auth::{Login, Refusal};
use super::known_hosts::{KeyType, Verdict, fingerprint, lookup_name};
use super::link::Link;
use super::{Ssh, tcp};
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
}

/// Why there is no session, with a fragment for the operator that names the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectError {
    pub kind: ConnectErrorKind,
    pub message: String,
}

impl ConnectError {
    fn new(kind: ConnectErrorKind, message: impl Into<String>) -> ConnectError {
        ConnectError { kind, message: message.into() }
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
        let mut progress = self.keys.begin();
        loop {
            let attempt = Attempt { ssh: self, target, port: target.port.unwrap_or(self.options.port) };
            let (session, stream) = attempt.patient_handshake()?;
            let user = target.user.as_deref().unwrap_or(&self.user);
            match self.keys.log_in(&session, user, &mut progress, self.options.connect_timeout) {
                Login::In => return Link::new(session, stream, self.options.keepalive).map_err(|e| attempt.broken(e)),
                Login::Again => hang_up(session, &stream),
                Login::Refused(refusal) => {
                    hang_up(session, &stream);
                    return Err(ConnectError::new(ConnectErrorKind::Auth, refused(&target.host, user, &refusal)));
                }
                Login::Broken(error) => {
                    hang_up(session, &stream);
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
fn hang_up(session: Session, stream: &TcpStream) {
    let _ = stream.shutdown(std::net::Shutdown::Both);
    drop(session);
}

/// From 0 to 1; good enough to spread connections, and no more.
fn random_share() -> f64 {
    let seed = std::collections::hash_map::RandomState::new();
    f64::from(std::hash::BuildHasher::hash_one(&seed, 0u8) as u32) / f64::from(u32::MAX)
}

/// One connection that is being made.
struct Attempt<'a> {
    ssh: &'a Ssh,
    target: &'a Target,
    port: u16,
}

impl Attempt<'_> {
    fn timeout(&self) -> Duration {
        self.ssh.options.connect_timeout
    }

    fn place(&self) -> String {
        format!("{} port {}", self.target.host, self.port)
    }

    fn tcp(&self) -> Result<TcpStream, ConnectError> {
        let place = self.place();
        let addresses = (self.target.host.as_str(), self.port).to_socket_addrs().map_err(|error| {
            ConnectError::new(ConnectErrorKind::Resolve, format!("cannot resolve {}: {error}", self.target.host))
        })?;
        let mut last = ConnectError::new(ConnectErrorKind::Resolve, format!("{} has no address", self.target.host));
        for address in addresses {
            match TcpStream::connect_timeout(&address, self.timeout()) {
                Ok(stream) => return Ok(stream),
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

    /// A handshake that is tried again when the peer hangs up on it: a server drops connections at random while more
    /// than so many are not logged in yet (MaxStartups in sshd_config(5); by default from 10 on).
    fn patient_handshake(&self) -> Result<(Session, TcpStream), ConnectError> {
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
    fn handshake(&self) -> Result<(Session, TcpStream), ConnectError> {
        let stream = self.tcp()?;
        tcp::prepare(&stream, self.ssh.options.keepalive).map_err(|error| self.broken(error))?;
        let (types, known) = self.ssh.known_hosts.key_types(&self.target.host, self.port);
        let wanted = if types.is_empty() { KeyType::ALL.to_vec() } else { types };
        let algorithms: Vec<&str> = wanted.iter().map(|kind| kind.algorithms()).collect();
        let began = Instant::now();
        let prepared = Session::new().and_then(|session| {
            session.method_pref(MethodType::HostKey, &algorithms.join(","))?;
            Ok(session)
        });
        let mut session = prepared.map_err(|error| self.failed("preparing a session with", error, began))?;
        session.set_timeout(u32::try_from(self.timeout().as_millis().max(1)).unwrap_or(u32::MAX));
        let kept = stream.try_clone().map_err(|error| self.broken(error))?;
        session.set_tcp_stream(stream);
        let checked = match session.handshake() {
            Ok(()) => self.judge(&session),
            // LIBSSH2_ERROR_KEX_FAILURE: no algorithm in common, which for a known host is most likely its key's.
            Err(error) if known && error.code() == ErrorCode::Session(-5) => Err(ConnectError::new(
                ConnectErrorKind::HostKeyUnknown,
                format!(
                    "no algorithm in common with {}: known_hosts has it with {} only, which it may no longer offer \
                     (ssh-keyscan shows what it offers)",
                    self.place(),
                    wanted.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
                ),
            )),
            Err(error) => Err(self.failed("the SSH handshake with", error, began)),
        };
        match checked {
            Ok(()) => Ok((session, kept)),
            Err(error) => {
                hang_up(session, &kept);
                Err(error)
            }
        }
    }

    fn judge(&self, session: &Session) -> Result<(), ConnectError> {
        let (host, port) = (&self.target.host, self.port);
        let Some((key, _)) = session.host_key() else {
            return Err(ConnectError::new(ConnectErrorKind::Protocol, format!("{} showed no host key", self.place())));
        };
        let print = fingerprint(key);
        let name = lookup_name(host, port);
        let at = |file: &std::path::Path, line| match line {
            0 => format!("{} (added in this run)", file.display()),
            line => format!("{}:{line}", file.display()),
        };
        match self.ssh.known_hosts.check(host, port, key) {
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
            Verdict::Unknown if self.ssh.options.accept_new => {
                if let Err(error) = self.ssh.known_hosts.accept(host, port, key) {
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
