//! What a session's socket is told and asked, beyond the standard library. What is asked of TCP alone has an answer for
//! other sockets too.

use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, recv, sockopt};

/// The most that Linux takes for TCP_KEEPCNT.
const MOST_PROBES: u32 = 127;

/// How a dead peer is detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// The keepalive interval of an idle connection; at least two seconds.
    pub every: Duration,
    /// After this many unanswered keepalives the peer is considered dead.
    pub count: u32,
}

impl Keepalive {
    /// How long a peer may be silent. It is looked at every quarter of the interval, so that silence is noticed before
    /// the last interval is over.
    pub fn silence_limit(self) -> Duration {
        self.every * self.count - self.every / 2
    }

    /// Checks that the peer has not been silent for too long; `read` as for [`Liveness::silent_for`].
    ///
    /// # Errors
    /// The peer has been silent for too long.
    pub fn check(self, liveness: &mut Liveness, stream: &impl AsFd, read: bool) -> Result<(), String> {
        let silent = liveness.silent_for(stream, read);
        match silent > self.silence_limit() {
            true => Err(format!("the host has been silent for {} s", silent.as_secs())),
            false => Ok(()),
        }
    }
}

/// Sets what a session's socket needs: small writes leave at once, a parked session is kept alive by the kernel (which
/// also keeps its entry in firewalls on the way), and data that nobody acknowledges in the time that `keepalive` gives
/// a silent peer ends it.
pub fn prepare(stream: &TcpStream, keepalive: Keepalive) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    let every = keepalive.every.max(Duration::from_secs(1));
    sockopt::set_tcp_keepidle(stream, every)?;
    sockopt::set_tcp_keepintvl(stream, every)?;
    sockopt::set_tcp_keepcnt(stream, keepalive.count.min(MOST_PROBES))?;
    let limit = u32::try_from(keepalive.silence_limit().as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(stream, limit)?;
    Ok(())
}

/// Makes the kernel acknowledge at once. The kernel resets this option by itself, so it is set before every wait.
///
/// Without it, opening a channel pays for a delayed acknowledgement: 44 ms on loopback in place of 2.
pub fn acknowledge_at_once(stream: &impl AsFd) {
    let _ = sockopt::set_tcp_quickack(stream, true);
}

/// Waits until the socket can be read, or (`write`) written; whether it can. A signal ends the wait early.
pub fn wait(stream: &impl AsFd, read: bool, write: bool, timeout: Duration) -> std::io::Result<bool> {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, read);
    flags.set(PollFlags::OUT, write);
    let mut fds = [PollFd::new(stream, flags)];
    let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
    match poll(&mut fds, Some(&timeout)) {
        // An error condition counts as ready: the read or write that follows tells what it is.
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether the peer has closed the connection, or it broke. Last words of the peer may still wait to be read then.
pub fn is_closed(stream: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(stream, PollFlags::RDHUP)];
    let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    if poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok() && fds[0].revents().intersects(gone) {
        return true;
    }
    match recv(stream, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, bytes)) => bytes == 0,
        Err(error) => error != rustix::io::Errno::AGAIN,
    }
}

/// How a connection ended that is no longer usable, as far as the kernel tells. It tells an error once: to whoever reads or
/// writes first.
pub fn how_it_ended(stream: &impl AsFd) -> String {
    let error = sockopt::socket_error(stream).ok().and_then(Result::err);
    match error {
        Some(rustix::io::Errno::TIMEDOUT) => return "the host did not acknowledge what was sent to it".to_owned(),
        Some(rustix::io::Errno::CONNRESET) => return "the connection was reset".to_owned(),
        Some(rustix::io::Errno::PIPE) | None => {}
        Some(error) => return format!("the connection broke: {}", std::io::Error::from(error)),
    }
    match tcp_info(stream) {
        // A socket pair, whose other end something else relays.
        None => "the connection was closed".to_owned(),
        Some(info) if HOST_CLOSED.contains(&info.tcpi_state) => "the host closed the connection".to_owned(),
        Some(info) => match info.tcpi_last_data_recv / 1000 {
            0 => "the connection broke".to_owned(),
            silent => format!("the connection broke, {silent} s after the host was last heard"),
        },
    }
}

/// The states of a TCP connection whose peer has closed it: CLOSE_WAIT, LAST_ACK, CLOSING and TIME_WAIT, by Linux's numbers
/// (include/net/tcp_states.h).
const HOST_CLOSED: [u8; 4] = [8, 9, 11, 6];

/// A queue of this many bytes is long: a keepalive alone, which even a stopped peer's kernel acknowledges, is not.
const LONG_QUEUE: usize = 16 * 1024;

/// Detects a silent peer from the kernel's statistics.
///
/// A live peer answers the SSH keepalives, so data comes from it at least that often. While a long queue of ours gets
/// shorter the peer counts as alive too, for the keepalives, and so their answers, may be a long way behind in it.
///
/// For a socket that is not a TCP connection the kernel has no such times; there the bytes that came in count.
#[derive(Debug)]
pub struct Liveness {
    /// When the peer last took something off our queue, or was heard; at first, when the wait began.
    progress: Instant,
    queued: usize,
    unread: usize,
}

impl Liveness {
    pub fn start() -> Liveness {
        Liveness { progress: Instant::now(), queued: 0, unread: 0 }
    }

    /// Something has come in from the peer.
    pub fn heard(&mut self) {
        self.progress = Instant::now();
    }

    /// How long the peer has been silent; at most the time since [`Liveness::start`]. With `read`, whatever has come in
    /// is read between two calls.
    pub fn silent_for(&mut self, stream: &impl AsFd, read: bool) -> Duration {
        let queued = unsent(stream);
        if queued < self.queued && self.queued > LONG_QUEUE {
            self.progress = Instant::now();
        }
        self.queued = queued;
        let Some(silent) = last_data_received(stream) else {
            let unread = unread(stream);
            if unread > 0 && (read || unread != self.unread) {
                self.progress = Instant::now();
            }
            self.unread = unread;
            return self.progress.elapsed();
        };
        silent.min(self.progress.elapsed())
    }
}

/// The time since data last came in; `None` when the kernel does not say.
fn last_data_received(stream: &impl AsFd) -> Option<Duration> {
    tcp_info(stream).map(|info| Duration::from_millis(info.tcpi_last_data_recv.into()))
}

/// What the kernel tells of a TCP connection; `None`: the socket is something else.
fn tcp_info(stream: &impl AsFd) -> Option<libc::tcp_info> {
    // SAFETY: tcp_info is plain numbers, for which all zeroes is a value; the kernel writes at most `length` bytes.
    let (info, told) = unsafe {
        let mut info: libc::tcp_info = std::mem::zeroed();
        let mut length = std::mem::size_of_val(&info) as libc::socklen_t;
        let info_at = (&raw mut info).cast();
        let told =
            libc::getsockopt(stream.as_fd().as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, info_at, &mut length);
        (info, told)
    };
    (told == 0).then_some(info)
}

/// Bytes that were written and that the peer's kernel has not acknowledged.
fn unsent(stream: &impl AsFd) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: TIOCOUTQ writes one int, which is where the pointer leads.
    let told = unsafe { libc::ioctl(stream.as_fd().as_raw_fd(), libc::TIOCOUTQ, &mut bytes) };
    if told == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
}

/// Bytes that have come in and wait to be read.
fn unread(stream: &impl AsFd) -> usize {
    rustix::io::ioctl_fionread(stream).map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    /// Both ends of a connection.
    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (ours, listener.accept().unwrap().0)
    }

    #[test]
    fn how_a_connection_ended_is_told_by_the_kernel() {
        let gone = |ours: &TcpStream| {
            let until = Instant::now() + Duration::from_secs(30);
            while !is_closed(ours) {
                assert!(Instant::now() < until, "nobody noticed");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        let (ours, theirs) = pair();
        drop(theirs);
        gone(&ours);
        assert_eq!(how_it_ended(&ours), "the host closed the connection");
        // Closed with something unread, it is reset.
        let (mut ours, theirs) = pair();
        ours.write_all(b"unread").unwrap();
        assert!(wait(&theirs, true, false, Duration::from_secs(30)).unwrap());
        drop(theirs);
        assert!(wait(&ours, true, false, Duration::from_secs(30)).unwrap());
        assert_eq!(how_it_ended(&ours), "the connection was reset");
        assert!(is_closed(&ours));
        assert_eq!(how_it_ended(&ours), "the connection broke", "the error was told");
        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        drop(other);
        assert_eq!(how_it_ended(&one), "the connection was closed");
    }

    #[test]
    fn a_closed_connection_is_closed_though_the_peers_last_words_wait_to_be_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        ours.set_nonblocking(true).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        assert!(!is_closed(&ours));
        theirs.write_all(b"goodbye").unwrap();
        assert!(wait(&ours, true, false, Duration::from_secs(30)).unwrap());
        assert!(!is_closed(&ours));
        drop(theirs);
        let until = Instant::now() + Duration::from_secs(30);
        while !is_closed(&ours) {
            assert!(Instant::now() < until, "nobody noticed");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
