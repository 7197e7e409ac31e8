//! Asking an SSH agent which keys it holds (draft-miller-ssh-agent, section 4.4).
//!
//! The transport library can do this too, but without a time limit: an agent that hangs is found out here, before
//! anything is connected.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
/// OpenSSH's own limit for an agent's message.
const LONGEST_ANSWER: usize = 256 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

/// A key that an agent holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentKey {
    /// The public half in SSH's wire format.
    pub blob: Vec<u8>,
    pub comment: String,
}

/// The keys of the agent that listens on `socket`, in its order.
pub fn list(socket: &Path) -> anyhow::Result<Vec<AgentKey>> {
    ask(socket).with_context(|| format!("the ssh agent at {} does not answer properly", socket.display()))
}

fn ask(socket: &Path) -> anyhow::Result<Vec<AgentKey>> {
    let mut agent = UnixStream::connect(socket)?;
    agent.set_read_timeout(Some(PATIENCE))?;
    agent.set_write_timeout(Some(PATIENCE))?;
    agent.write_all(&[0, 0, 0, 1, REQUEST_IDENTITIES])?;
    let mut length = [0; 4];
    agent.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    ensure!((1..=LONGEST_ANSWER).contains(&length), "its answer has {length} bytes");
    let mut answer = vec![0; length];
    agent.read_exact(&mut answer)?;
    parse(&answer).context("its list of keys is cut short")
}

fn parse(answer: &[u8]) -> anyhow::Result<Vec<AgentKey>> {
    let (&kind, mut rest) = answer.split_first().context("no answer")?;
    if kind != IDENTITIES_ANSWER {
        bail!("it refused to list its keys (message {kind})");
    }
    let count = take_u32(&mut rest).context("no number of keys")?;
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
pub(super) fn take_string<'a>(data: &mut &'a [u8]) -> Option<&'a [u8]> {
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
