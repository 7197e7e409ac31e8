//! The protocol of SSH agents (draft-miller-ssh-agent), with a time limit for each request.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
/// OpenSSH's limit for a message.
const LONGEST_MESSAGE: usize = 256 * 1024;

/// A key that an agent holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentKey {
    /// The public key in SSH's wire format.
    pub blob: Vec<u8>,
    pub comment: String,
}

/// The agent that the environment names.
pub fn default_agent() -> Option<PathBuf> {
    std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The message about an agent that lists no keys. A locked agent lists none, and gives no reason.
pub fn no_keys(socket: &Path) -> String {
    format!("the ssh agent at {} holds no keys, or is locked (ssh-add -X unlocks it)", socket.display())
}

/// The keys of the agent that listens on `socket`, in its order.
///
/// # Errors
/// There is no agent, it does not answer within `timeout`, or its answer is malformed.
pub fn list(socket: &Path, timeout: Duration) -> anyhow::Result<Vec<AgentKey>> {
    let ask = || -> anyhow::Result<Vec<AgentKey>> {
        let mut agent = connect(socket, timeout)?;
        let answer = exchange(&mut agent, &[REQUEST_IDENTITIES], timeout)?;
        parse(&answer).context("its list of keys is truncated")
    };
    ask().with_context(|| format!("cannot use the ssh agent at {}", socket.display()))
}

/// Connects to an agent. If its backlog of connections is full, this waits up to `timeout`.
pub fn connect(socket: &Path, timeout: Duration) -> io::Result<UnixStream> {
    let agent = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&agent, Timeout::Send, Some(timeout))?;
    rustix::net::connect(&agent, &SocketAddrUnix::new(socket)?).map_err(|errno| describe(errno.into(), timeout))?;
    Ok(UnixStream::from(agent))
}

/// Sends a request and returns the answer, both without their length prefixes.
pub fn exchange(agent: &mut UnixStream, request: &[u8], timeout: Duration) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + timeout;
    agent.set_write_timeout(Some(timeout))?;
    let sent = agent.write_all(&with_length_prefix(request));
    sent.and_then(|()| read_message(agent, Some(deadline))).map_err(|error| describe(error, timeout))
}

/// A message with its length prefix.
pub fn with_length_prefix(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), message].concat()
}

/// Reads one whole message before the deadline.
pub fn read_message(from: &mut UnixStream, deadline: Option<Instant>) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    read_until(from, &mut length, deadline)?;
    let length = u32::from_be_bytes(length) as usize;
    if !(1..=LONGEST_MESSAGE).contains(&length) {
        return Err(io::Error::other(format!("its answer has {length} bytes")));
    }
    let mut message = vec![0; length];
    read_until(from, &mut message, deadline)?;
    Ok(message)
}

/// Fills the buffer before the deadline. A limit for each read alone is not enough: a peer could send one byte at a time.
fn read_until(from: &mut UnixStream, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            // A timeout of zero means no limit.
            from.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
        }
        match from.read(&mut buffer[filled..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn describe(error: io::Error, timeout: Duration) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            io::Error::new(ErrorKind::TimedOut, format!("no answer within {timeout:?}"))
        }
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
            io::Error::new(error.kind(), "it closed the connection")
        }
        _ => error,
    }
}

fn parse(answer: &[u8]) -> anyhow::Result<Vec<AgentKey>> {
    let (&kind, mut rest) = answer.split_first().context("the answer is empty")?;
    if kind != IDENTITIES_ANSWER {
        bail!("it refused to list its keys (message {kind})");
    }
    let count = take_u32(&mut rest).context("the number of keys is missing")?;
    let mut keys = Vec::new();
    for _ in 0..count {
        let blob = take_string(&mut rest).context("a key is truncated")?.to_vec();
        let comment = String::from_utf8_lossy(take_string(&mut rest).context("a comment is truncated")?).into_owned();
        keys.push(AgentKey { blob, comment });
    }
    Ok(keys)
}

pub(super) fn take_u32(data: &mut &[u8]) -> Option<u32> {
    let (number, rest) = data.split_first_chunk::<4>()?;
    *data = rest;
    Some(u32::from_be_bytes(*number))
}

/// Takes a string with its length prefix off the front (RFC 4251, section 5).
pub(in crate::fleet::ssh) fn take_string<'a>(data: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut after = *data;
    let length = usize::try_from(take_u32(&mut after)?).ok()?;
    let (string, rest) = after.split_at_checked(length)?;
    *data = rest;
    Some(string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_truncated_or_a_refusal_is_an_error() {
        assert_eq!(parse(&[IDENTITIES_ANSWER, 0, 0, 0, 0]).unwrap(), []);
        let one = [IDENTITIES_ANSWER, 0, 0, 0, 1, 0, 0, 0, 1, 7, 0, 0, 0, 2, b'h', b'i'];
        assert_eq!(parse(&one).unwrap(), [AgentKey { blob: vec![7], comment: "hi".into() }]);
        for cut in 0..one.len() {
            assert!(parse(&one[..cut]).is_err(), "{cut} bytes");
        }
        assert!(parse(&[IDENTITIES_ANSWER, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(parse(&[5]).unwrap_err().to_string().contains("refused"));
    }
}
