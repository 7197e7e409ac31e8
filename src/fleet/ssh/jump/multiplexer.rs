//! The thread that moves the bytes of all forwarded connections of one session.
//!
//! The library's rule (see [`crate::fleet::ssh::transport::link`]) applies to many channels at once here: the library
//! is called only if the socket has room, and a partial write is completed before anything else is sent.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use ssh2::{Channel, Session};

use super::forward::{Forward, Sent, done};
use crate::fleet::ssh::transport::socket::Socket;
use crate::fleet::ssh::transport::tcp::{Keepalive, Liveness};
use crate::fleet::ssh::transport::{error_code, tcp};

const CHUNK: usize = 32 * 1024;
const STACK: usize = 256 * 1024;
/// The interval at which a request that waits for another one checks on it.
const LOOK: Duration = Duration::from_millis(100);
/// How long to wait if data is ready in the library but cannot be moved yet, for example during a key exchange.
const SHORT: Duration = Duration::from_millis(10);

/// Why there is no channel.
#[derive(Debug)]
pub enum Refusal {
    /// Another channel has been opening for too long; the server was not asked.
    Busy,
    /// The server opens no further channel on this session.
    Full(String),
    /// The host behind the jump host cannot be reached, or the server does not permit it.
    Refused(String),
    TimedOut,
    /// The session has ended.
    Over(String),
}

/// The handle of a multiplexer thread. Dropping it ends the session.
pub struct Multiplexer {
    state: Arc<Mutex<State>>,
    wake: UnixStream,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Request>,
    /// Since when a channel has been opening.
    opening: Option<Instant>,
    channels: usize,
    /// Why the session is over.
    over: Option<String>,
    hang_up: bool,
    next: u64,
}

struct Request {
    number: u64,
    host: String,
    port: u16,
    answer: SyncSender<Result<UnixStream, Refusal>>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Multiplexer {
    /// Starts a thread for a session that is logged in.
    pub fn start(session: Session, socket: Socket, keepalive: Keepalive) -> std::io::Result<Multiplexer> {
        let keepalive = Keepalive { every: keepalive.every.max(Duration::from_secs(2)), ..keepalive };
        socket.set_nonblocking()?;
        session.set_blocking(false);
        session.set_keepalive(true, u32::try_from(keepalive.every.as_secs()).unwrap_or(u32::MAX));
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let state = Arc::<Mutex<State>>::default();
        let mut thread = Thread {
            state: state.clone(),
            session,
            socket,
            woken,
            keepalive,
            opening: None,
            channels: Vec::new(),
            closing: Vec::new(),
            part: None,
            buffer: vec![0; CHUNK],
        };
        std::thread::Builder::new().name("jump".into()).stack_size(STACK).spawn(move || thread.run())?;
        Ok(Multiplexer { state, wake })
    }

    /// Why the session is over, if it is.
    pub fn over(&self) -> Option<String> {
        lock(&self.state).over.clone()
    }

    /// How many connections it carries.
    pub fn channels(&self) -> usize {
        lock(&self.state).channels
    }

    /// Whether a channel has been opening for longer than `timeout`.
    pub fn is_stuck(&self, timeout: Duration) -> bool {
        lock(&self.state).opening.is_some_and(|since| since.elapsed() > timeout)
    }

    /// Opens a connection from the remote end of the session. It waits while another one is being opened, until that
    /// one has taken longer than `timeout`.
    pub fn open(&self, host: &str, port: u16, timeout: Duration, until: Instant) -> Result<UnixStream, Refusal> {
        let (answer, answered) = sync_channel(1);
        let number = {
            let mut state = lock(&self.state);
            if let Some(why) = &state.over {
                return Err(Refusal::Over(why.clone()));
            }
            state.next += 1;
            let number = state.next;
            state.waiting.push_back(Request { number, host: host.to_owned(), port, answer });
            number
        };
        self.wake();
        self.await_answer(number, &answered, timeout, until)
    }

    fn await_answer(
        &self,
        number: u64,
        answered: &Receiver<Result<UnixStream, Refusal>>,
        timeout: Duration,
        until: Instant,
    ) -> Result<UnixStream, Refusal> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match answered.recv_timeout(left.min(LOOK)) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Refusal::Over(self.over().unwrap_or_else(|| "it ended".into())));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let mut state = lock(&self.state);
            let stuck = state.opening.is_some_and(|since| since.elapsed() > timeout);
            let waits = state.waiting.iter().position(|request| request.number == number);
            let late = Instant::now() >= until;
            match waits {
                Some(at) if stuck || late => {
                    state.waiting.remove(at);
                    return Err(if stuck { Refusal::Busy } else { Refusal::TimedOut });
                }
                // The answer is not awaited any more. If a channel is opened later, it is closed.
                None if late => return Err(Refusal::TimedOut),
                _ => {}
            }
        }
    }

    fn wake(&self) {
        // If the pipe is full, the thread is woken anyway.
        let _ = (&self.wake).write(&[1]);
    }
}

impl Drop for Multiplexer {
    fn drop(&mut self) {
        lock(&self.state).hang_up = true;
        self.wake();
    }
}

struct Thread {
    state: Arc<Mutex<State>>,
    session: Session,
    socket: Socket,
    woken: UnixStream,
    keepalive: Keepalive,
    opening: Option<Request>,
    channels: Vec<Forward>,
    /// Channels that are being closed, until the peer has confirmed it.
    closing: Vec<Channel>,
    /// The channel with a partial write.
    part: Option<usize>,
    buffer: Vec<u8>,
}

impl Thread {
    fn run(&mut self) {
        let why = match self.serve() {
            Ok(()) => "closed".to_owned(),
            Err(why) => why,
        };
        self.socket.shutdown();
        // Dropping the forwards closes their local sockets, so that the sessions over them notice the end.
        self.channels.clear();
        let waiting = {
            let mut state = lock(&self.state);
            (state.over, state.channels, state.opening) = (Some(why.clone()), 0, None);
            std::mem::take(&mut state.waiting)
        };
        for request in self.opening.take().into_iter().chain(waiting) {
            let _ = request.answer.try_send(Err(Refusal::Over(why.clone())));
        }
    }

    /// Serves all channels in turn, and waits if nothing moved, until the handle is dropped. An error ends the session.
    fn serve(&mut self) -> Result<(), String> {
        let mut liveness = Liveness::start();
        let mut idle = 0;
        loop {
            let _ = (&self.woken).read(&mut [0; 64]);
            if lock(&self.state).hang_up {
                return Ok(());
            }
            let moved = self.has_room() && self.round()?;
            if moved {
                idle = 0;
                continue;
            }
            idle += 1;
            // A call may have read data for another channel from the socket. That must not wait until the peer sends
            // more.
            let ready = self.part.is_none() && self.has_room() && self.channels.iter().any(Forward::is_ready);
            if ready && idle < 3 {
                continue;
            }
            self.pause(&mut liveness, ready)?;
        }
    }

    fn has_room(&self) -> bool {
        tcp::wait(&self.socket, false, true, Duration::ZERO).unwrap_or(true)
    }

    /// Moves what can be moved; returns whether anything was.
    fn round(&mut self) -> Result<bool, String> {
        let mut moved = false;
        let first = self.part.take();
        for at in first.into_iter().chain(0..self.channels.len()) {
            let forward = &mut self.channels[at];
            if first != Some(at) {
                moved |= forward.receive(&mut self.buffer)?;
            }
            let sent = forward.send(&self.session, &self.socket, &mut self.buffer)?;
            moved |= sent != Sent::Nothing;
            if sent == Sent::Part {
                self.part = Some(at);
            }
            if self.part.is_some() || !self.has_room() {
                return Ok(moved);
            }
        }
        self.drop_finished();
        // Last, so that data that it reads for other channels is processed before any wait.
        moved |= self.close_finished()?;
        moved |= self.open_next()?;
        Ok(moved)
    }

    /// Closes forwards of which both sides have ended.
    fn drop_finished(&mut self) {
        let mut at = 0;
        let before = self.channels.len();
        while at < self.channels.len() {
            if self.channels[at].is_finished() {
                self.closing.push(self.channels.swap_remove(at).channel);
            } else {
                at += 1;
            }
        }
        if before != self.channels.len() {
            lock(&self.state).channels = self.channels.len();
        }
    }

    fn close_finished(&mut self) -> Result<bool, String> {
        let before = self.closing.len();
        let mut open = Vec::new();
        for mut channel in std::mem::take(&mut self.closing) {
            if !self.has_room() || !done(channel.close())? {
                open.push(channel);
            }
        }
        self.closing = open;
        Ok(self.closing.len() != before)
    }

    fn open_next(&mut self) -> Result<bool, String> {
        if self.opening.is_none() {
            let mut state = lock(&self.state);
            self.opening = state.waiting.pop_front();
            state.opening = self.opening.as_ref().map(|_| Instant::now());
        }
        let Some(request) = &self.opening else { return Ok(false) };
        if !self.has_room() {
            return Ok(false);
        }
        let answer = match self.session.channel_direct_tcpip(&request.host, request.port, None) {
            Ok(mut channel) => match UnixStream::pair().and_then(|(ours, theirs)| {
                ours.set_nonblocking(true)?;
                Ok((ours, theirs))
            }) {
                Ok((ours, theirs)) => {
                    self.channels.push(Forward::new(channel, ours));
                    Ok(theirs)
                }
                Err(error) => {
                    let _ = channel.close();
                    self.closing.push(channel);
                    Err(Refusal::Refused(format!("no sockets are left here: {error}")))
                }
            },
            Err(error) => match error_code::of(&error) {
                error_code::EAGAIN => return Ok(false),
                error_code::CHANNEL_FAILURE => {
                    let why = error.message().to_lowercase();
                    let why =
                        why.strip_prefix("channel open failure ").unwrap_or(&why).trim_matches(['(', ')']).to_owned();
                    // An unreachable host does not affect the session.
                    let of_host = ["connect failed", "administratively prohibited", "unknown channel type"];
                    Err(if of_host.contains(&why.as_str()) { Refusal::Refused(why) } else { Refusal::Full(why) })
                }
                // The library gives up opening a channel after a minute.
                error_code::TIMEOUT => Err(Refusal::TimedOut),
                _ => return Err(error_code::text(&error, || tcp::how_it_ended(&self.socket))),
            },
        };
        let request = self.opening.take();
        {
            let mut state = lock(&self.state);
            (state.opening, state.channels) = (None, self.channels.len());
        }
        // If nobody waits for it any more, its local socket is closed here, and the channel with it.
        request.map(|request| request.answer.try_send(answer));
        Ok(true)
    }

    /// Waits for any socket. `soon`: data is ready that could not be moved yet.
    fn pause(&self, liveness: &mut Liveness, soon: bool) -> Result<(), String> {
        let room = self.has_room();
        if room && self.part.is_none() {
            let why = |error: ssh2::Error| error_code::text(&error, || tcp::how_it_ended(&self.socket));
            self.session.keepalive_send().map_err(why)?;
        }
        tcp::acknowledge_at_once(&self.socket);
        // Nothing is read either until there is room again.
        let flags = if self.part.is_some() || !room { PollFlags::OUT } else { PollFlags::IN };
        let mut fds = vec![PollFd::new(&self.socket, flags), PollFd::new(&self.woken, PollFlags::IN)];
        if flags == PollFlags::IN {
            for forward in &self.channels {
                let wanted = forward.wanted();
                if !wanted.is_empty() {
                    fds.push(PollFd::new(&forward.local, wanted));
                }
            }
        }
        let longest = self.keepalive.every / 4;
        let timeout = if soon { longest.min(SHORT) } else { longest };
        let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.to_string()),
        }
        self.keepalive.check(liveness, &self.socket, flags == PollFlags::IN)
    }
}
