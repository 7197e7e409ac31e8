//! The algorithms that a server offers, from its SSH_MSG_KEXINIT (RFC 4253, section 7.1). The library does not expose
//! them, and they are needed for the message if client and server have nothing in common.

use std::io::{Error, ErrorKind, Result, Write};
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::socket::Socket;
use super::tcp;
use crate::fleet::ssh::keys::agent::take_string;

/// More than the lines before the version and the longest packet need (RFC 4253, sections 4.2 and 6.1).
const MAX_BYTES: usize = 64 * 1024;
const KEXINIT: u8 = 20;

/// The names that a server offers. If there is a list for each direction, the one from client to server comes first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    pub kex: Vec<String>,
    pub host_keys: Vec<String>,
    pub ciphers: [Vec<String>; 2],
    pub macs: [Vec<String>; 2],
}

impl Offer {
    /// Reads the offer of a server over a new connection, which cannot be used for anything else.
    pub fn of(socket: &Socket, timeout: Duration) -> Result<Offer> {
        let until = Instant::now() + timeout;
        let mut version = Vec::new();
        write!(version, "SSH-2.0-hoist_{}\r\n", env!("CARGO_PKG_VERSION"))?;
        send(socket, &version, SendFlags::NOSIGNAL)?;
        let mut received = Vec::new();
        loop {
            match read(&received) {
                Step::Done(offer) => return Ok(offer),
                Step::Invalid => return Err(Error::new(ErrorKind::InvalidData, "it does not speak SSH")),
                Step::More => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || received.len() > MAX_BYTES {
                return Err(ErrorKind::TimedOut.into());
            }
            if tcp::wait(socket, true, false, left)? {
                let mut buffer = [0; 4096];
                match recv(socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                    Ok((_, 0)) => return Err(ErrorKind::UnexpectedEof.into()),
                    Ok((_, count)) => received.extend_from_slice(&buffer[..count]),
                    Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}

/// The result of parsing what was received so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    More,
    Invalid,
    Done(Offer),
}

/// Parses what a server has sent so far.
pub fn read(received: &[u8]) -> Step {
    let mut rest = received;
    // The version may be preceded by other lines.
    loop {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return Step::More };
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        if line.starts_with(b"SSH-") {
            break;
        }
    }
    let Some((length, packet)) = rest.split_first_chunk::<4>() else { return Step::More };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_BYTES {
        return Step::Invalid;
    }
    let Some(packet) = packet.get(..length) else { return Step::More };
    payload(packet).map_or(Step::Invalid, Step::Done)
}

/// Parses an unencrypted packet: the length of its padding, the payload, the padding.
fn payload(packet: &[u8]) -> Option<Offer> {
    let (&padding, rest) = packet.split_first()?;
    let payload = rest.get(..rest.len().checked_sub(padding.into())?)?;
    let (&kind, rest) = payload.split_first()?;
    // The lists are preceded by a cookie of 16 bytes.
    let mut rest = rest.get(16..).filter(|_| kind == KEXINIT)?;
    let mut names = || {
        let list = String::from_utf8_lossy(take_string(&mut rest)?).into_owned();
        let names = list.split(',').filter(|name| !name.is_empty()).filter_map(super::server_text::in_one_line);
        Some(names.collect::<Vec<_>>())
    };
    Some(Offer { kex: names()?, host_keys: names()?, ciphers: [names()?, names()?], macs: [names()?, names()?] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Vec<u8> {
        let mut payload = vec![KEXINIT];
        payload.extend([7; 16]);
        for list in ["kex-a,kex-b", "ssh-ed25519", "c1", "c2", "m1", "m2,m3", "none", "none", "", ""] {
            payload.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
            payload.extend(list.bytes());
        }
        payload.extend([0; 5]);
        let mut packet = u32::try_from(payload.len() + 1 + 4).unwrap().to_be_bytes().to_vec();
        packet.push(4);
        packet.extend(payload);
        packet.extend([0; 4]);
        packet
    }

    #[test]
    fn the_lists_are_found_after_any_lines_and_nothing_truncated_or_invalid_is_taken_for_them() {
        let whole = [b"Welcome\r\nSSH-2.0-x y\r\n".as_slice(), &packet()].concat();
        let Step::Done(offer) = read(&whole) else { panic!("{:?}", read(&whole)) };
        assert_eq!(offer.kex, ["kex-a", "kex-b"]);
        assert_eq!(offer.host_keys, ["ssh-ed25519"]);
        assert_eq!(offer.ciphers, [["c1"], ["c2"]]);
        assert_eq!(offer.macs[1], ["m2", "m3"]);
        for cut in 0..whole.len() {
            assert_eq!(read(&whole[..cut]), Step::More, "{cut} bytes");
        }
        let start = whole.len() - packet().len();
        for at in start..whole.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                // Any result will do: it must not panic.
                let _ = read(&damaged);
            }
        }
        assert_eq!(read(b"SSH-2.0-x\n\xff\xff\xff\xff"), Step::Invalid);
        assert_eq!(read(b"SSH-2.0-x\n\0\0\0\x02\0\x14"), Step::Invalid);
    }
}
