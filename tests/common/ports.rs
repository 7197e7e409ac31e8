//! Ports that nobody listens on, also while other tests run.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

/// A port that refuses connections on every address for as long as this lives: it is taken, and nobody listens. The
/// system would give one that is only free to the next test's listener.
pub struct Refusing {
    pub number: u16,
    _socket: OwnedFd,
}

pub fn refusing() -> Refusing {
    let taken = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&taken, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let number = SocketAddrV4::try_from(getsockname(&taken).unwrap()).unwrap().port();
    Refusing { number, _socket: taken }
}

/// A port for a server that a test starts, free on every address, and the one behind it too. It is none of those that the
/// system gives to clients and listeners by itself.
pub fn free() -> u16 {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok();
    (0..1000)
        .map(|_| {
            // Each test program begins somewhere else, and no call of one gets the ports of another.
            let begin = std::process::id().wrapping_mul(7919);
            let port = 10_000 + (begin.wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed)) % 5_000) * 2;
            u16::try_from(port).unwrap()
        })
        .find(|&port| is_free(port) && is_free(port + 1))
        .expect("a free port")
}
