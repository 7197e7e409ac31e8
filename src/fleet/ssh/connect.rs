//! From the route to a host to a session that is logged in.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ssh2::{MethodType, Session};

use super::connect_error::{ConnectError, ConnectErrorKind};
use super::jump::proxy_command;
use super::keys::auth::{Login, Progress};
use super::route::{Route, Way};
use super::transport::disagreement::Disagreement;
use super::transport::link::Link;
use super::transport::login_limit::LoginPermit;
use super::transport::socket::Socket;
use super::transport::{error_code, server_text, tcp};
use crate::timings;
use crate::timings::Part;

/// The pause after the first connection that the peer closed, and the longest pause.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(800);

/// Opens a session and logs in, for commands. It ends within a few times `connect_timeout`, whatever the peer does.
pub(super) fn link(route: &Route) -> Result<Link, ConnectError> {
    let timed = timings::during(Part::Connect);
    let (session, socket) = open(route)?;
    drop(timed);
    Link::new(session, socket, route.keepalive).map_err(|error| Attempt { route }.broken(error))
}

/// Opens a session and logs in.
pub(super) fn open(route: &Route) -> Result<(Session, Socket), ConnectError> {
    let account = format!("{}@{}:{}", route.user, route.host, route.port);
    let memory = &route.network.keys;
    // A host behind a jump host does not wait: others may be waiting for the login to the jump host itself.
    let timeout = if matches!(route.way, Way::Behind(_)) { Duration::ZERO } else { route.connect_timeout };
    let mut progress = route.keys.begin(memory, &account, timeout);
    let opened = log_in(route, &mut progress);
    route.keys.end(&progress, memory, &account);
    opened
}

fn log_in(route: &Route, progress: &mut Progress) -> Result<(Session, Socket), ConnectError> {
    loop {
        let attempt = Attempt { route };
        let (session, socket, permit) = attempt.handshake_with_retries()?;
        let timed = timings::during(Part::Authentication);
        let login = route.keys.log_in(&session, &route.user, progress, route.connect_timeout);
        drop(timed);
        match login {
            Login::In => return Ok((session, socket)),
            Login::Again(pause) => {
                hang_up(session, &socket);
                drop(permit);
                if !pause.is_zero() {
                    route.debug(&format!(
                        "waiting {pause:?} before the next keys, so that the server does not block this host"
                    ));
                    std::thread::sleep(pause);
                }
            }
            Login::Refused(refusal) => {
                hang_up(session, &socket);
                let message = refusal.message(&route.name, &route.user);
                return Err(ConnectError::new(ConnectErrorKind::Auth, message));
            }
            Login::Broken(error) => {
                let failed = attempt.failed("logging in to", error, Instant::now(), Some(&socket));
                hang_up(session, &socket);
                return Err(failed);
            }
        }
    }
}

/// Ends a session without waiting for the other side: after its socket is shut down, dropping it takes microseconds.
fn hang_up(session: Session, socket: &Socket) {
    socket.shutdown();
    drop(session);
}

fn is_hung_up(error: &ssh2::Error) -> bool {
    matches!(error_code::of(error), error_code::SOCKET_DISCONNECT | error_code::SOCKET_RECV)
}

/// Whether the peer has sent its SSH version. It may send other lines before that.
fn has_version(session: &Session) -> bool {
    session.banner().is_some_and(|line| line.starts_with("SSH-"))
}

/// From 0 to 1; only good enough to spread connections.
fn random_share() -> f64 {
    let seed = std::collections::hash_map::RandomState::new();
    f64::from(std::hash::BuildHasher::hash_one(&seed, 0u8) as u32) / f64::from(u32::MAX)
}

/// A connection that is being opened.
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

    fn tcp(&self) -> Result<(TcpStream, LoginPermit<'_>), ConnectError> {
        let place = self.place();
        let Route { host, port, family, network, .. } = self.route;
        let addresses = network
            .names
            .addresses(host, *port, *family, self.timeout())
            .map_err(|error| ConnectError::new(ConnectErrorKind::Resolve, format!("cannot resolve {host}: {error}")))?;
        let mut last = ConnectError::new(ConnectErrorKind::Resolve, format!("{} has no address", self.route.host));
        for address in addresses {
            let permit = self.permit(address.ip().to_string());
            match crate::tcp::connect(&address, self.timeout()) {
                Ok(stream) => return Ok((stream, permit)),
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

    fn permit(&self, server: String) -> LoginPermit<'_> {
        let _timed = timings::during(Part::LoginSlot);
        self.route.network.logins.acquire(server)
    }

    /// What carries the session, and the permit to log in over it.
    fn socket(&self) -> Result<(Socket, Option<LoginPermit<'_>>), ConnectError> {
        let route = self.route;
        match &route.way {
            Way::Direct => {
                let (stream, permit) = self.tcp()?;
                tcp::prepare(&stream, route.keepalive).map_err(|error| self.broken(error))?;
                Ok((stream.into(), Some(permit)))
            }
            Way::Behind(bastion) => {
                let socket = bastion.open(&route.host, route.port, &self.place(), route.connect_timeout)?;
                Ok((socket, None))
            }
            Way::Command(command) => {
                // The command itself may log in to the same host for all targets; limit that.
                let permit = proxy_command::is_ssh(command).then(|| self.permit("ssh".into()));
                let socket = proxy_command::start(command, route.listener());
                Ok((socket.map_err(|error| self.not_carried(&error.to_string()))?, permit))
            }
        }
    }

    fn not_carried(&self, why: &str) -> ConnectError {
        ConnectError::new(ConnectErrorKind::Refused, format!("cannot connect to {}: {why}", self.place()))
    }

    /// A handshake that is repeated if the peer closes the connection: a server drops connections at random if too many
    /// are not logged in yet (MaxStartups in sshd_config(5), by default 10).
    fn handshake_with_retries(&self) -> Result<(Session, Socket, Option<LoginPermit<'_>>), ConnectError> {
        let until = Instant::now() + self.timeout();
        let mut pause = FIRST_PAUSE;
        loop {
            let attempt = self.handshake();
            let again = attempt.as_ref().is_err_and(|error| error.kind == ConnectErrorKind::HungUp);
            if !again || Instant::now() + pause * 2 > until {
                return attempt;
            }
            // Random, so that connections that were dropped together do not all come back at the same time.
            std::thread::sleep(pause + pause.mul_f64(random_share()));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Connects, exchanges keys, and checks the host key.
    fn handshake(&self) -> Result<(Session, Socket, Option<LoginPermit<'_>>), ConnectError> {
        let route = self.route;
        let (wanted, known) = route.wanted_keys()?;
        let (socket, mut permit) = self.socket()?;
        let host_keys: Vec<&str> = wanted.iter().map(|kind| kind.algorithms()).collect();
        let _timed = timings::during(Part::Handshake);
        let began = Instant::now();
        let prepared = Session::new().and_then(|session| {
            session.method_pref(MethodType::HostKey, &host_keys.join(","))?;
            route.algorithms.prefer(&session)?;
            server_text::listen(&session);
            Ok(session)
        });
        let mut session = prepared.map_err(|error| self.failed("preparing a session with", error, began, None))?;
        session.set_timeout(u32::try_from(self.timeout().as_millis().max(1)).unwrap_or(u32::MAX));
        session.set_tcp_stream(socket.clone());
        let checked = match session.handshake() {
            Ok(()) => route.judge(&session),
            Err(error)
                if matches!(error_code::of(&error), error_code::KEX_FAILURE | error_code::KEY_EXCHANGE_FAILURE) =>
            {
                let is_gone = tcp::is_closed(&socket);
                // Hold one permit at a time; otherwise the holders could wait for each other.
                drop(permit.take());
                match self.socket().ok().and_then(|(socket, _permit)| {
                    let found = Disagreement::find(&socket, self.timeout(), &route.algorithms, &wanted);
                    socket.shutdown();
                    found
                }) {
                    Some(disagreement) => Err(route.disagrees(&disagreement, &wanted, known)),
                    // A peer that agrees went away in the middle of it.
                    None if is_gone => Err(self.gone_in_key_exchange()),
                    None => Err(self.failed("the SSH handshake with", error, began, Some(&socket))),
                }
            }
            Err(error) if is_hung_up(&error) && !has_version(&session) => Err(self.shut_out(&session)),
            Err(error) => Err(self.failed("the SSH handshake with", error, began, Some(&socket))),
        };
        match checked {
            Ok(()) => Ok((session, socket, permit)),
            Err(error) => {
                hang_up(session, &socket);
                match socket.error() {
                    Some(why) if error.may_pass() => Err(self.not_carried(&why)),
                    _ => Err(error),
                }
            }
        }
    }

    /// The peer closed the connection before it sent its version.
    fn shut_out(&self, session: &Session) -> ConnectError {
        let said = session.banner().and_then(server_text::in_one_line).map(|said| format!(" with the words {said:?}"));
        let message = format!(
            "{} closed the connection before its SSH banner{}: sshd does so for an address with failed logins \
             (PerSourcePenalties) or with too many logins at once (MaxStartups), and so do fail2ban and firewalls",
            self.place(),
            said.unwrap_or_default()
        );
        ConnectError::new(ConnectErrorKind::HungUp, message)
    }

    fn gone_in_key_exchange(&self) -> ConnectError {
        let message = format!("{} closed the connection during the SSH key exchange", self.place());
        ConnectError::new(ConnectErrorKind::HungUp, message)
    }

    fn failed(&self, doing: &str, error: ssh2::Error, began: Instant, socket: Option<&Socket>) -> ConnectError {
        let place = self.place();
        let why = match socket {
            _ if error_code::of(&error) == error_code::BANNER_RECV => "it sent no SSH banner".to_owned(),
            Some(socket) => error_code::text(&error, || tcp::how_it_ended(socket)),
            None => error.message().to_lowercase(),
        };
        let timed_out = error_code::of(&error) == error_code::TIMEOUT || began.elapsed() >= self.timeout();
        if timed_out {
            let limit = self.timeout();
            return ConnectError::new(ConnectErrorKind::Timeout, format!("{doing} {place} took longer than {limit:?}"));
        }
        let kind = if is_hung_up(&error) { ConnectErrorKind::HungUp } else { ConnectErrorKind::Protocol };
        let said = server_text::last_words().map(|said| format!("; the server says {said:?}"));
        ConnectError::new(kind, format!("{doing} {place} failed: {why}{}", said.unwrap_or_default()))
    }

    fn broken(&self, error: std::io::Error) -> ConnectError {
        ConnectError::new(ConnectErrorKind::Protocol, format!("cannot use the connection to {}: {error}", self.place()))
    }
}
