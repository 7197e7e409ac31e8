//! One connection that a session forwards: a channel, and a socket here.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::PollFlags;
use ssh2::{BlockDirections, Channel, Session};

use crate::fleet::ssh::transport::socket::Socket;
use crate::fleet::ssh::transport::{error_code, tcp};

/// Chunks of one connection that are moved before the next one has its turn.
const TURN: usize = 8;

/// What came of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    Nothing,
    Some,
    /// A packet went in part: the same connection sends next, and nobody says anything in between.
    Part,
}

/// One forwarded connection.
pub struct Forward {
    pub channel: Channel,
    pub local: UnixStream,
    /// From the local side, on its way out, with how much of it has gone.
    out: Vec<u8>,
    gone: usize,
    /// From the far side, on its way in.
    inward: Vec<u8>,
    taken: usize,
    /// The local side has ended, and so was told.
    local_over: bool,
    told: bool,
    /// The far side has ended.
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

    /// Moves from the far side to the local one; whether anything moved.
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

    /// Moves from the local side to the far one. It is called with room in the session's socket.
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
            // The first write was asked for with room; a later one may find none.
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
                    // Blocked inbound, it is the peer's window that is full.
                    let part = matches!(session.block_directions(), BlockDirections::Outbound | BlockDirections::Both);
                    return Ok(if part { Sent::Part } else { sent });
                }
                Err(error) => return Err(error.to_string().to_lowercase()),
            }
        }
        Ok(sent)
    }

    /// Whether the library holds something for it, or would take something from it.
    pub fn is_ready(&self) -> bool {
        let readable = !self.far_over && !self.broken && self.taken == self.inward.len();
        let unread = readable && (self.channel.read_window().available > 0 || self.channel.eof());
        unread || self.gone < self.out.len() && self.channel.write_window().remaining > 0
    }

    /// What it waits for at its local end.
    pub fn wanted(&self) -> PollFlags {
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, self.gone == self.out.len() && !self.local_over);
        wanted.set(PollFlags::OUT, self.taken < self.inward.len() && !self.broken);
        wanted
    }

    pub fn is_finished(&self) -> bool {
        // Whoever closed the local end reads no more, so what would come from the far side is nobody's.
        self.told || self.far_over && self.taken == self.inward.len()
    }
}

/// Whether a call is done, or has to be called again later.
pub fn done(result: Result<(), ssh2::Error>) -> Result<bool, String> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.code() == error_code::EAGAIN => Ok(false),
        Err(error) => Err(error.message().to_lowercase()),
    }
}
