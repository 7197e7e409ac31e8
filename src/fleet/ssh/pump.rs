//! One session's thread that moves the bytes of all its forwarded connections.
//!
//! The library's rule (see [`super::link`]) holds here for many channels at once: nothing is asked of it unless the
//! socket has room, and a write that went in part is finished before anything else is said.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use ssh2::{BlockDirections, Channel, ErrorCode, Session};

use super::socket::Socket;
use super::tcp::{self, Keepalive, Pulse};

const CHUNK: usize = 32 * 1024;
/// Chunks of one channel that are moved before the next one has its turn.
const TURN: usize = 8;
const STACK: usize = 256 * 1024;
/// How often a request that waits for another one looks at how that is getting on.
const LOOK: Duration = Duration::from_millis(100);
/// Something that the library holds ready cannot be moved on yet: a key exchange is under way, say.
const SHORT: Duration = Duration::from_millis(10);

/// Why there is no channel.
#[derive(Debug)]
pub enum Refusal {
    /// Another one has been opening for too long; nothing was asked of the server.
    Busy,
    /// The server opens no further one on this session.
    Full(String),
    /// The host behind it cannot be reached, or may not be.
    Refused(String),
    TimedOut,
    /// The session is over.
    Over(String),
}

/// The handle of a thread. Dropping it hangs up.
pub struct Pump {
    state: Arc<Mutex<State>>,
    wake: UnixStream,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Request>,
    /// Since when a channel is being opened.
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

impl Pump {
    /// Takes a session that is logged in.
    pub fn start(session: Session, socket: Socket, keepalive: Keepalive) -> std::io::Result<Pump> {
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
        Ok(Pump { state, wake })
    }

    /// Why the session is over, if it is.
    pub fn over(&self) -> Option<String> {
        lock(&self.state).over.clone()
    }

    /// Connections that it carries.
    pub fn channels(&self) -> usize {
        lock(&self.state).channels
    }

    /// Whether a channel has been opening for longer than `patience`.
    pub fn is_stuck(&self, patience: Duration) -> bool {
        lock(&self.state).opening.is_some_and(|since| since.elapsed() > patience)
    }

    /// Opens a connection from the session's far side. As long as another one is being opened it waits, but for no longer
    /// than that one takes `patience`.
    pub fn open(&self, host: &str, port: u16, patience: Duration, until: Instant) -> Result<UnixStream, Refusal> {
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
        self.await_answer(number, &answered, patience, until)
    }

    fn await_answer(
        &self,
        number: u64,
        answered: &Receiver<Result<UnixStream, Refusal>>,
        patience: Duration,
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
            let stuck = state.opening.is_some_and(|since| since.elapsed() > patience);
            let waits = state.waiting.iter().position(|request| request.number == number);
            let late = Instant::now() >= until;
            match waits {
                Some(at) if stuck || late => {
                    state.waiting.remove(at);
                    return Err(if stuck { Refusal::Busy } else { Refusal::TimedOut });
                }
                // Its answer is not awaited any more; a channel that comes of it is closed.
                None if late => return Err(Refusal::TimedOut),
                _ => {}
            }
        }
    }

    fn wake(&self) {
        // A full pipe wakes as well.
        let _ = (&self.wake).write(&[1]);
    }
}

impl Drop for Pump {
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
    /// Told to close; the peer has not agreed yet.
    closing: Vec<Channel>,
    /// The channel whose write went in part.
    part: Option<usize>,
    buffer: Vec<u8>,
}

/// One forwarded connection.
struct Forward {
    channel: Channel,
    local: UnixStream,
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

/// Whether anything moved.
type Moved = bool;

impl Thread {
    fn run(&mut self) {
        let why = loop {
            if lock(&self.state).hang_up {
                break "closed".to_owned();
            }
            if let Err(why) = self.turn() {
                break why;
            }
        };
        self.socket.shutdown();
        // The local ends close with their forwards: that is how their sessions hear of it.
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

    /// One round over everything, and a wait when nothing moved. An error is the end of the session.
    fn turn(&mut self) -> Result<(), String> {
        let mut pulse = Pulse::start();
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
            // What one call took off the socket for another channel must not wait for the peer to say more.
            let ready = self.part.is_none() && self.has_room() && self.channels.iter().any(Forward::is_ready);
            if ready && idle < 3 {
                continue;
            }
            self.pause(&mut pulse, ready)?;
        }
    }

    fn has_room(&self) -> bool {
        tcp::wait(&self.socket, false, true, Duration::ZERO).unwrap_or(true)
    }

    fn round(&mut self) -> Result<Moved, String> {
        let mut moved = false;
        if let Some(at) = self.part {
            moved |= self.send(at)?;
            if self.part.is_some() {
                return Ok(moved);
            }
        }
        for at in 0..self.channels.len() {
            moved |= self.receive(at)?;
            moved |= self.send(at)?;
            if self.part.is_some() || !self.has_room() {
                return Ok(moved);
            }
        }
        self.drop_finished();
        // Last, so that what it takes off the socket for others is looked at before any wait.
        moved |= self.close_finished()?;
        moved |= self.open_next()?;
        Ok(moved)
    }

    /// From the far side to the local one.
    fn receive(&mut self, at: usize) -> Result<Moved, String> {
        let forward = &mut self.channels[at];
        let mut moved = false;
        for _ in 0..TURN {
            if forward.taken < forward.inward.len() {
                match forward.local.write(&forward.inward[forward.taken..]) {
                    Ok(bytes) => forward.taken += bytes,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(moved),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => {
                        forward.broken = true;
                        return Ok(moved);
                    }
                }
                moved = true;
                continue;
            }
            if forward.far_over || forward.broken {
                return Ok(moved);
            }
            match forward.channel.read(&mut self.buffer) {
                Ok(0) if forward.channel.eof() => {
                    forward.far_over = true;
                    let _ = forward.local.shutdown(Shutdown::Write);
                    return Ok(true);
                }
                Ok(0) => return Ok(moved),
                Ok(bytes) => {
                    forward.inward.clear();
                    forward.inward.extend_from_slice(&self.buffer[..bytes]);
                    forward.taken = 0;
                    moved = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(moved),
                Err(error) => return Err(error.to_string().to_lowercase()),
            }
        }
        Ok(moved)
    }

    /// From the local side to the far one.
    fn send(&mut self, at: usize) -> Result<Moved, String> {
        let resumes = self.part.take().is_some();
        let forward = &mut self.channels[at];
        let mut moved = false;
        for turn in 0..TURN {
            if forward.gone == forward.out.len() {
                if forward.told {
                    return Ok(moved);
                }
                if forward.local_over {
                    forward.told = done(forward.channel.send_eof())?;
                    return Ok(forward.told);
                }
                match forward.local.read(&mut self.buffer) {
                    Ok(0) => forward.local_over = true,
                    Ok(bytes) => {
                        forward.out.clear();
                        forward.out.extend_from_slice(&self.buffer[..bytes]);
                        forward.gone = 0;
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(moved),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => forward.local_over = true,
                }
                moved = true;
                continue;
            }
            // The first write was asked for with room; a later one may find none.
            if turn > 0 && !tcp::wait(&self.socket, false, true, Duration::ZERO).unwrap_or(true) {
                return Ok(moved);
            }
            match forward.channel.write(&forward.out[forward.gone..]) {
                Ok(0) => return Ok(moved),
                Ok(bytes) => {
                    forward.gone += bytes;
                    moved = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // Blocked inbound, it is the peer's window that is full.
                    let directions = self.session.block_directions();
                    if matches!(directions, BlockDirections::Outbound | BlockDirections::Both) {
                        self.part = Some(at);
                    }
                    return Ok(moved);
                }
                // The peer has closed this channel. A write that went in part was of the session itself.
                Err(_) if !resumes && forward.channel.eof() => {
                    (forward.gone, forward.local_over, forward.told) = (forward.out.len(), true, true);
                    return Ok(true);
                }
                Err(error) => return Err(error.to_string().to_lowercase()),
            }
        }
        Ok(moved)
    }

    /// Forwards whose both sides are done with are closed.
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

    fn close_finished(&mut self) -> Result<Moved, String> {
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

    fn open_next(&mut self) -> Result<Moved, String> {
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
            Err(error) => match error.code() {
                ErrorCode::Session(-37) => return Ok(false),
                ErrorCode::Session(-21) => {
                    let why = error.message().to_lowercase();
                    let why =
                        why.strip_prefix("channel open failure ").unwrap_or(&why).trim_matches(['(', ')']).to_owned();
                    // A host that is not there, or is not to be reached from there, is no matter of the session.
                    let of_host = ["connect failed", "administratively prohibited", "unknown channel type"];
                    Err(if of_host.contains(&why.as_str()) { Refusal::Refused(why) } else { Refusal::Full(why) })
                }
                // The library gives a channel up after a minute.
                ErrorCode::Session(-9) => Err(Refusal::TimedOut),
                _ => return Err(error.message().to_lowercase()),
            },
        };
        let request = self.opening.take();
        {
            let mut state = lock(&self.state);
            (state.opening, state.channels) = (None, self.channels.len());
        }
        // Nobody may wait for it any more: then its local end closes right here, and it with it.
        request.map(|request| request.answer.try_send(answer));
        Ok(true)
    }

    /// Waits for any side. `soon`: something is ready that could not be moved on.
    fn pause(&self, pulse: &mut Pulse, soon: bool) -> Result<(), String> {
        let room = self.has_room();
        if room && self.part.is_none() {
            self.session.keepalive_send().map_err(|error| error.message().to_lowercase())?;
        }
        tcp::acknowledge_at_once(&self.socket);
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, self.part.is_some() || !room);
        if self.part.is_some() || !room {
            // Until there is room again nothing is read either.
            flags = PollFlags::OUT;
        }
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
        let silent = pulse.silent_for(&self.socket, flags == PollFlags::IN);
        if silent > self.keepalive.patience() {
            return Err(format!("the host has been silent for {} s", silent.as_secs()));
        }
        Ok(())
    }
}

impl Forward {
    fn new(channel: Channel, local: UnixStream) -> Forward {
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

    /// Whether the library holds something for it, or would take something from it.
    fn is_ready(&self) -> bool {
        let readable = !self.far_over && !self.broken && self.taken == self.inward.len();
        let unread = readable && (self.channel.read_window().available > 0 || self.channel.eof());
        unread || self.gone < self.out.len() && self.channel.write_window().remaining > 0
    }

    /// What it waits for at its local end.
    fn wanted(&self) -> PollFlags {
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, self.gone == self.out.len() && !self.local_over);
        wanted.set(PollFlags::OUT, self.taken < self.inward.len() && !self.broken);
        wanted
    }

    fn is_finished(&self) -> bool {
        // Whoever closed the local end reads no more, so what would come from the far side is nobody's.
        let nobody_reads = self.broken || self.told;
        let all_said = self.gone == self.out.len() && self.local_over;
        nobody_reads && all_said || self.far_over && self.taken == self.inward.len()
    }
}

/// Whether a call is done, or has to be called again later.
fn done(result: Result<(), ssh2::Error>) -> Result<bool, String> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.code() == ErrorCode::Session(-37) => Ok(false),
        Err(error) => Err(error.message().to_lowercase()),
    }
}
