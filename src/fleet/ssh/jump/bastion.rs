//! Jump hosts: sessions whose channels carry the connections to the hosts behind them.
//!
//! One session with a jump host serves all hosts behind it. There are more only where one is not enough: the library
//! opens the channels of a session one after the other, so that a host which is down, and lets its jump host wait for
//! it, would hold up all others; and a server may refuse a session any further channel.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ssh2::Session;

use super::multiplexer::{Multiplexer, Refusal};
use crate::fleet::remarks::Remarks;
use crate::fleet::ssh::connect_error::{ConnectError, ConnectErrorKind};
use crate::fleet::ssh::transport::socket::{Carrier, Socket};
use crate::fleet::ssh::transport::tcp::Keepalive;

/// How long a channel may take to open before other hosts go through another session.
const PATIENCE: Duration = Duration::from_secs(1);

/// Opens a session with a jump host and logs in.
pub type Connect = Box<dyn Fn() -> Result<(Session, Socket), ConnectError> + Send + Sync>;

/// A jump host.
pub struct Bastion {
    /// As the operator calls it.
    name: String,
    keepalive: Keepalive,
    remarks: Arc<Remarks>,
    connect: Connect,
    sessions: Mutex<Vec<Arc<JumpSession>>>,
    /// Held while a session is made, so that all who need one wait for the same; with how that failed last.
    making: Mutex<Option<(Instant, ConnectError)>>,
}

struct JumpSession {
    multiplexer: Multiplexer,
    /// It was refused a channel while it had others.
    full: AtomicBool,
}

/// A channel's hold on its session.
struct Channel(Arc<JumpSession>);

impl Carrier for Channel {
    fn error(&self) -> Option<String> {
        self.0.multiplexer.over()
    }
}

impl Bastion {
    pub fn new(name: String, keepalive: Keepalive, remarks: Arc<Remarks>, connect: Connect) -> Bastion {
        Bastion { name, keepalive, remarks, connect, sessions: Mutex::default(), making: Mutex::default() }
    }

    /// As the operator calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Connects to a host as the jump host sees it. `place` is that host's name in messages.
    pub fn open(&self, host: &str, port: u16, place: &str, timeout: Duration) -> Result<Socket, ConnectError> {
        let mut until = Instant::now() + timeout;
        loop {
            let session = match self.usable() {
                Some(session) => session,
                None => {
                    let session = self.make()?;
                    // The time is for this host, not for the way to it.
                    until = Instant::now() + timeout;
                    session
                }
            };
            match session.multiplexer.open(host, port, PATIENCE, until) {
                Ok(stream) => return Ok(Socket::carried(stream, Box::new(Channel(session)))),
                Err(Refusal::Busy) => {}
                Err(Refusal::Over(why)) if Instant::now() < until => {
                    let message = format!("jump host {}: {why}; it is connected to again", self.name);
                    self.remarks.debug(None, message);
                }
                Err(Refusal::Full(_)) if session.multiplexer.channels() > 0 => {
                    session.full.store(true, Ordering::Relaxed);
                }
                Err(Refusal::Full(why) | Refusal::Refused(why)) => {
                    let message = format!("cannot connect to {place}: the jump host says {why}");
                    return Err(ConnectError::new(ConnectErrorKind::Refused, message));
                }
                Err(Refusal::Over(why)) => {
                    let message = format!("cannot connect to {place}: the session with the jump host was lost: {why}");
                    return Err(ConnectError::new(ConnectErrorKind::HungUp, message));
                }
                Err(Refusal::TimedOut) => {
                    let message = format!("cannot connect to {place}: no answer within {timeout:?}");
                    return Err(ConnectError::new(ConnectErrorKind::Timeout, message));
                }
            }
        }
    }

    /// A session that takes a channel now.
    fn usable(&self) -> Option<Arc<JumpSession>> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is stuck on a host that is down, and carries nothing, is of no more use than a new one.
        sessions.retain(|it| {
            it.multiplexer.over().is_none() && !(it.multiplexer.is_stuck(PATIENCE) && it.multiplexer.channels() == 0)
        });
        sessions.iter().find(|it| !it.full.load(Ordering::Relaxed) && !it.multiplexer.is_stuck(PATIENCE)).cloned()
    }

    fn make(&self) -> Result<Arc<JumpSession>, ConnectError> {
        let asked = Instant::now();
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = self.usable() {
            return Ok(session);
        }
        match &*making {
            Some((at, error)) if *at >= asked => return Err(error.clone()),
            _ => {}
        }
        let opened = (self.connect)().and_then(|(session, socket)| {
            Multiplexer::start(session, socket, self.keepalive).map_err(|error| {
                let message = format!("jump host {}: {error}", self.name());
                ConnectError::new(ConnectErrorKind::Protocol, message)
            })
        });
        match opened {
            Ok(multiplexer) => {
                let session = Arc::new(JumpSession { multiplexer, full: AtomicBool::new(false) });
                let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
                sessions.push(session.clone());
                log::debug!("jump host {}: session {} of now", self.name(), sessions.len());
                Ok(session)
            }
            Err(error) => {
                let error = ConnectError { message: format!("jump host: {error}"), ..error };
                *making = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}
