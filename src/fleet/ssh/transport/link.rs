//! An open session, and waiting for it.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ssh2::Session;

use super::error_code;
use super::memory;
use super::socket::Socket;
use super::tcp;
use super::tcp::{Keepalive, Liveness};
use super::transfer_limit::TransferLimit;
use crate::timings;

/// A session that is logged in. Dropping it closes the connection at once: the socket is shut down first, because the
/// library would otherwise wait for the other side.
///
/// The session is in non-blocking mode. A rule of the library stands behind how it is used: a packet that was sent in
/// part must be finished by the same call, and any other call that sends in between breaks the session. So nothing is
/// asked of the library unless the socket has room, and only bulk writes, which are finished first, can be partial.
pub struct Link {
    pub(in crate::fleet::ssh) session: Session,
    stream: Socket,
    keepalive: Keepalive,
    /// When the library was last asked to send a keepalive if one is due; at first, when the session was opened.
    kept_alive: Cell<Instant>,
    broken: Option<String>,
    /// What files are sent by.
    pub(in crate::fleet::ssh) transfer_limit: Option<Arc<TransferLimit>>,
    /// The fastest answer of the server to a request that takes it no work.
    round_trip: Duration,
}

impl Link {
    pub(in crate::fleet::ssh) fn new(session: Session, stream: Socket, keepalive: Keepalive) -> std::io::Result<Link> {
        let keepalive = Keepalive { every: keepalive.every.max(Duration::from_secs(2)), ..keepalive };
        stream.set_nonblocking()?;
        session.set_blocking(false);
        session.set_keepalive(true, u32::try_from(keepalive.every.as_secs()).unwrap_or(u32::MAX));
        let (kept_alive, broken, transfer_limit) = (Cell::new(Instant::now()), None, None);
        Ok(Link { session, stream, keepalive, kept_alive, broken, transfer_limit, round_trip: Duration::MAX })
    }

    /// Makes a session small that is to be held open. One that ends soon leaves its memory to the next, which takes less
    /// time.
    pub fn hold(&self) {
        memory::give_back_zeros(&self.session);
    }

    /// Why the session is unusable, if it is.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Whether the peer still has the connection open, as far as the kernel has heard.
    pub fn is_alive(&mut self) -> bool {
        if self.broken.is_none() && tcp::is_closed(&self.stream) {
            let why = tcp::how_it_ended(&self.stream);
            self.break_off(&why);
        }
        self.broken.is_none()
    }

    /// The server has answered a request that takes it no work.
    pub(super) fn answered_in(&mut self, time: Duration) {
        self.round_trip = self.round_trip.min(time);
        timings::round_trip(self.round_trip);
    }

    /// How long the server took for the fastest answer to a request that takes it no work; `Duration::MAX`: it was not
    /// asked yet.
    pub fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// Whether files are sent no faster than a limit says.
    pub fn is_limited(&self) -> bool {
        self.transfer_limit.is_some()
    }

    /// What happened when a call failed, for people.
    pub(super) fn why(&self, error: &ssh2::Error) -> String {
        error_code::text(error, || tcp::how_it_ended(&self.stream))
    }

    /// Ends the session.
    pub(in crate::fleet::ssh) fn break_off(&mut self, why: &str) {
        self.broken.get_or_insert_with(|| why.to_owned());
        self.stream.shutdown();
    }

    /// Whether the socket takes a small packet whole.
    pub(in crate::fleet::ssh) fn has_room(&self) -> bool {
        // A failure counts as room: the next call reports the error.
        tcp::wait(&self.stream, false, true, Duration::ZERO).unwrap_or(true)
    }

    /// Waits until the socket takes more, at the latest until `until`.
    pub(in crate::fleet::ssh) fn wait_for_room(&self, until: Instant) -> Result<(), String> {
        let timeout = until.saturating_duration_since(Instant::now());
        tcp::wait(&self.stream, false, true, timeout).map(drop).map_err(|error| error.to_string())
    }

    /// Waits for the peer: until something can be read (`read`) or written (`write`), at the latest until `until`. It
    /// may return earlier.
    ///
    /// # Errors
    /// The peer is considered dead; says why.
    pub(in crate::fleet::ssh) fn pause(
        &self,
        liveness: &mut Liveness,
        read: bool,
        write: bool,
        until: Instant,
    ) -> Result<(), String> {
        let longest = self.keepalive.every / 4;
        // The library counts in seconds, and its first keepalive is due at once: a session that is over by then needs none.
        if self.kept_alive.get().elapsed() >= longest.min(Duration::from_secs(1)) && self.has_room() {
            self.session.keepalive_send().map_err(|error| self.why(&error))?;
            self.kept_alive.set(Instant::now());
        }
        tcp::acknowledge_at_once(&self.stream);
        let timeout = until.saturating_duration_since(Instant::now()).min(longest);
        if tcp::wait(&self.stream, read, write, timeout).map_err(|error| error.to_string())? && read && !write {
            liveness.heard();
            return Ok(());
        }
        self.keepalive.check(liveness, &self.stream, read)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.break_off("closed");
    }
}
