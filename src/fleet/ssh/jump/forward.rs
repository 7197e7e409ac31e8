//! One connection that a session forwards: a channel of the session, and a local socket.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::PollFlags;
use ssh2::{BlockDirections, Channel, Session};

use crate::fleet::ssh::transport::socket::Socket;
use crate::fleet::ssh::transport::{error_code, tcp};

/// How many chunks of one connection are moved before it is the next one's turn.
const TURN: usize = 8;

/// The result of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    Nothing,
    Some,
    /// A packet was sent in part: this connection must send next, before anything else uses the session.
    Part,
}

/// One forwarded connection.
pub struct Forward {
    pub channel: Channel,
    pub local: UnixStream,
    /// Data from the local side, and how much of it was sent.
    out: Vec<u8>,
    gone: usize,
    /// Data from the remote side.
    inward: Vec<u8>,
    taken: usize,
    /// The local side has ended, and the remote side was told.
    local_over: bool,
    told: bool,
    /// The remote side has ended.
    far_over: bool,
    broken: bool,
}

impl Forward {
    pub fn new(channel: Channel, local: UnixStream) -> Forward {
        let (out, inward) = (Vec::new(), Vec::new());
        Forward {
            channel,
            local,
            out,
            gone: 0,
            inward,
            taken: 0,
            local_over: false,
            told: false,
            far_over: false,
            broken: false,
        }
    }

    /// Moves data from the remote side to the local one; returns whether anything moved.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<bool, String> {
        let mut moved = false;
        for _ in 0..TURN {
            if self.taken < self.inward.len() {
                match self.local.write(&self.inward[self.taken..]) {
                    Ok(bytes) => self.taken += bytes,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(moved),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => {
                        self.broken = true;
                        self.taken = self.inward.len();
                    }
                }
                moved = true;
                continue;
            }
            if self.far_over || self.broken {
                return Ok(moved);
            }
            match self.channel.read(buffer) {
                Ok(0) if self.channel.eof() => {
                    self.far_over = true;
                    let _ = self.local.shutdown(Shutdown::Write);
                    return Ok(true);
                }
                Ok(0) => return Ok(moved),
                Ok(bytes) => {
                    self.inward.clear();
                    self.inward.extend_from_slice(&buffer[..bytes]);
                    self.taken = 0;
                    moved = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(moved),
                Err(error) => return Err(error.to_string().to_lowercase()),
            }
        }
        Ok(moved)
    }

    /// Moves data from the local side to the remote one. Called only if the session's socket has room.
    pub fn send(&mut self, session: &Session, socket: &Socket, buffer: &mut [u8]) -> Result<Sent, String> {
        let mut sent = Sent::Nothing;
        for turn in 0..TURN {
            if self.gone == self.out.len() {
                if self.told {
                    return Ok(sent);
                }
                if self.local_over {
                    self.told = done(self.channel.send_eof())?;
                    return Ok(if self.told { Sent::Some } else { sent });
                }
                match self.local.read(buffer) {
                    Ok(0) => self.local_over = true,
                    Ok(bytes) => {
                        self.out.clear();
                        self.out.extend_from_slice(&buffer[..bytes]);
                        self.gone = 0;
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(sent),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => self.local_over = true,
                }
                sent = Sent::Some;
                continue;
            }
            // There was room for the first write; for a later one there may be none.
            if turn > 0 && !tcp::wait(socket, false, true, Duration::ZERO).unwrap_or(true) {
                return Ok(sent);
            }
            match self.channel.write(&self.out[self.gone..]) {
                Ok(0) => return Ok(sent),
                Ok(bytes) => {
                    self.gone += bytes;
                    sent = Sent::Some;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // If only the inbound direction is blocked, the peer's window is full.
                    let part = matches!(session.block_directions(), BlockDirections::Outbound | BlockDirections::Both);
                    return Ok(if part { Sent::Part } else { sent });
                }
                Err(error) => return Err(error.to_string().to_lowercase()),
            }
        }
        Ok(sent)
    }

    /// Whether the library has data for it, or accepts data from it.
    pub fn is_ready(&self) -> bool {
        let readable = !self.far_over && !self.broken && self.taken == self.inward.len();
        let unread = readable && (self.channel.read_window().available > 0 || self.channel.eof());
        unread || self.gone < self.out.len() && self.channel.write_window().remaining > 0
    }

    /// The poll events that it waits for on its local socket.
    pub fn wanted(&self) -> PollFlags {
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, self.gone == self.out.len() && !self.local_over);
        wanted.set(PollFlags::OUT, self.taken < self.inward.len() && !self.broken);
        wanted
    }

    pub fn is_finished(&self) -> bool {
        // The local end is closed, so nobody reads what still comes from the remote side.
        self.told || self.far_over && self.taken == self.inward.len()
    }
}

/// Whether a call has completed, or has to be repeated later.
pub fn done(result: Result<(), ssh2::Error>) -> Result<bool, String> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error_code::of(&error) == error_code::EAGAIN => Ok(false),
        Err(error) => Err(error_code::text(&error, || "the connection broke".to_owned())),
    }
}
