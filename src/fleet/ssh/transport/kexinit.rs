//! What a server offers for the key exchange: the lists of its SSH_MSG_KEXINIT (RFC 4253, section 7.1). The library does
//! not show them, and they are wanted where nothing is in common.

use std::io::{Error, ErrorKind, Result, Write};
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::socket::Socket;
use super::tcp;
use crate::fleet::ssh::keys::agent::take_string;

/// Lines ahead of the version, and the longest packet (RFC 4253, sections 4.2 and 6.1), with room to spare.
const MOST: usize = 64 * 1024;
const KEXINIT: u8 = 20;

/// The names that a server offers, where there is a list for each direction from the client to the server first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    pub kex: Vec<String>,
    pub host_keys: Vec<String>,
    pub ciphers: [Vec<String>; 2],
    pub macs: [Vec<String>; 2],
}

impl Offer {
    /// Asks a server over a fresh connection, which is of no use afterwards.
    pub fn of(socket: &Socket, patience: Duration) -> Result<Offer> {
        let until = Instant::now() + patience;
        let mut hello = Vec::new();
        write!(hello, "SSH-2.0-hoist_{}\r\n", env!("CARGO_PKG_VERSION"))?;
        send(socket, &hello, SendFlags::NOSIGNAL)?;
        let mut heard = Vec::new();
        loop {
            match read(&heard) {
                Step::Done(offer) => return Ok(offer),
                Step::Strange => return Err(Error::new(ErrorKind::InvalidData, "it does not speak SSH")),
                Step::More => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || heard.len() > MOST {
                return Err(ErrorKind::TimedOut.into());
            }
            if tcp::wait(socket, true, false, left)? {
                let mut buffer = [0; 4096];
                match recv(socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                    Ok((_, 0)) => return Err(ErrorKind::UnexpectedEof.into()),
                    Ok((_, count)) => heard.extend_from_slice(&buffer[..count]),
                    Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}

/// What has come of reading so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    More,
    Strange,
    Done(Offer),
}

/// Finds the offer in what a server has said so far.
pub fn read(heard: &[u8]) -> Step {
    let mut rest = heard;
    // Lines of other kinds may stand ahead of the version.
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
    if length > MOST {
        return Step::Strange;
    }
    let Some(packet) = packet.get(..length) else { return Step::More };
    payload(packet).map_or(Step::Strange, Step::Done)
}

/// A packet that is not encrypted: the length of its padding, what it says, the padding.
fn payload(packet: &[u8]) -> Option<Offer> {
    let (&padding, rest) = packet.split_first()?;
    let payload = rest.get(..rest.len().checked_sub(padding.into())?)?;
    let (&kind, rest) = payload.split_first()?;
    // A cookie of sixteen bytes stands ahead of the lists.
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
    fn the_lists_are_found_behind_any_lines_and_nothing_short_or_strange_is_taken_for_them() {
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
                // Whatever comes of it, it comes to an end.
                let _ = read(&damaged);
            }
        }
        assert_eq!(read(b"SSH-2.0-x\n\xff\xff\xff\xff"), Step::Strange);
        assert_eq!(read(b"SSH-2.0-x\n\0\0\0\x02\0\x14"), Step::Strange);
    }
}
