//! Talking to an SSH agent (draft-miller-ssh-agent), within a limit of time.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
/// OpenSSH's own limit for an agent's message.
const LONGEST_MESSAGE: usize = 256 * 1024;

/// A key that an agent holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentKey {
    /// The public half in SSH's wire format.
    pub blob: Vec<u8>,
    pub comment: String,
}

/// The agent that the environment names.
pub fn usual_agent() -> Option<PathBuf> {
    std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// A locked agent lists none, and does not say why.
pub fn no_keys(socket: &Path) -> String {
    format!("the ssh agent at {} holds no keys, or is locked (ssh-add -X unlocks it)", socket.display())
}

/// The keys of the agent that listens on `socket`, in its order.
///
/// # Errors
/// There is no agent, or it does not answer within `patience`, or not as an agent does.
pub fn list(socket: &Path, patience: Duration) -> anyhow::Result<Vec<AgentKey>> {
    let ask = || -> anyhow::Result<Vec<AgentKey>> {
        let mut agent = connect(socket, patience)?;
        let answer = exchange(&mut agent, &[REQUEST_IDENTITIES], patience)?;
        parse(&answer).context("its list of keys is truncated")
    };
    ask().with_context(|| format!("cannot use the ssh agent at {}", socket.display()))
}

/// Connects to an agent. One that takes in no more connections is waited for as long as for an answer.
pub fn connect(socket: &Path, patience: Duration) -> io::Result<UnixStream> {
    let agent = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&agent, Timeout::Send, Some(patience))?;
    rustix::net::connect(&agent, &SocketAddrUnix::new(socket)?).map_err(|errno| in_words(errno.into(), patience))?;
    Ok(UnixStream::from(agent))
}

/// Asks the agent something, and gives its answer. Both are messages without their lengths.
pub fn exchange(agent: &mut UnixStream, question: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + patience;
    agent.set_write_timeout(Some(patience))?;
    let asked = agent.write_all(&framed(question));
    asked.and_then(|()| read_message(agent, Some(deadline))).map_err(|error| in_words(error, patience))
}

/// A message with its length ahead.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), message].concat()
}

/// Reads a message, whole, until the deadline.
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

/// Fills the buffer. A limit on each read alone would never end with a peer that drips.
fn read_until(from: &mut UnixStream, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            // Zero would be no limit at all.
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

fn in_words(error: io::Error, patience: Duration) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            io::Error::new(ErrorKind::TimedOut, format!("no answer within {patience:?}"))
        }
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
            io::Error::new(error.kind(), "it closed the connection")
        }
        _ => error,
    }
}

fn parse(answer: &[u8]) -> anyhow::Result<Vec<AgentKey>> {
    let (&kind, mut rest) = answer.split_first().context("no answer")?;
    if kind != IDENTITIES_ANSWER {
        bail!("it refused to list its keys (message {kind})");
    }
    let count = take_u32(&mut rest).context("the number of keys is missing")?;
    let mut keys = Vec::new();
    for _ in 0..count {
        let blob = take_string(&mut rest).context("a key")?.to_vec();
        let comment = String::from_utf8_lossy(take_string(&mut rest).context("a comment")?).into_owned();
        keys.push(AgentKey { blob, comment });
    }
    Ok(keys)
}

fn take_u32(data: &mut &[u8]) -> Option<u32> {
    let (number, rest) = data.split_first_chunk::<4>()?;
    *data = rest;
    Some(u32::from_be_bytes(*number))
}

/// Takes a string with its length ahead, as SSH's wire format has them (RFC 4251, section 5).
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
    fn an_answer_that_is_cut_short_or_refuses_is_an_error() {
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
