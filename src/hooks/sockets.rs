//! Sends announcements to a socket: a local one, UDP or TCP.

use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::text::plain;
use crate::wire::Level;

use super::announcement::{Announcement, EventKind};
use super::variables::{VARIABLES, value};

/// The maximum size of a UDP datagram in bytes.
const LONGEST_DATAGRAM: usize = 65_507;

/// Sends a datagram to a socket of this host.
pub fn datagram(socket: &Path, bytes: &[u8]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {}", socket.display(), plain(&error));
    let own = UnixDatagram::unbound().map_err(failed)?;
    // Do not wait for a receiver that does not read.
    own.set_nonblocking(true).map_err(failed)?;
    own.send_to(bytes, socket).map(drop).map_err(failed)
}

/// Sends datagrams by UDP. Whether they arrive is not known.
pub fn udp(host: &str, port: u16, lines: &[String]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{host}:{port}: {}", plain(&error));
    if lines.is_empty() {
        return Ok(());
    }
    let address = addresses(host, port)?.next().ok_or_else(|| format!("{host} has no address"))?;
    let own = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).map_err(failed)?;
    for line in lines {
        let bytes = line.as_bytes();
        own.send_to(&bytes[..bytes.len().min(LONGEST_DATAGRAM)], address).map_err(failed)?;
    }
    Ok(())
}

/// Connects, sends, and closes the connection.
pub fn tcp(host: &str, port: u16, bytes: &[u8], timeout: Duration) -> Result<(), String> {
    let until = Instant::now() + timeout;
    let mut last = format!("{host} has no address");
    for address in addresses(host, port)? {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let sent = crate::tcp::connect(&address, left).and_then(|mut stream| {
            stream.set_write_timeout(Some(left))?;
            stream.write_all(bytes)
        });
        match sent {
            Ok(()) => return Ok(()),
            Err(error) => last = format!("no answer from {host}:{port}: {}", plain(&error)),
        }
    }
    Err(last)
}

fn addresses(host: &str, port: u16) -> Result<impl Iterator<Item = SocketAddr>, String> {
    (host, port).to_socket_addrs().map_err(|error| format!("{host} is not found: {error}"))
}

/// The severity in syslog.
fn priority(announcement: &Announcement) -> u8 {
    let is_bad = announcement.status.is_some_and(|status| status != 0);
    let gate_fails = announcement.gate.as_ref().is_some_and(|gate| gate.verdict != "pass");
    let level = match announcement.event {
        EventKind::Finished if is_bad => Level::Error,
        EventKind::Gate if gate_fails => Level::Warning,
        event => event.level(),
    };
    match level {
        Level::Error => 3,
        Level::Warning => 4,
        Level::Info => 6,
        Level::Debug => 7,
    }
}

/// A syslog message (RFC 3164) of facility `user`.
pub fn syslog(announcement: &Announcement) -> String {
    let text = one_line(&announcement.text());
    format!("<{}>hoist[{}]: {text}", 8 + priority(announcement), std::process::id())
}

/// An entry for systemd's journal, with a field for each variable.
pub fn journald(announcement: &Announcement) -> Vec<u8> {
    let mut entry = Vec::new();
    let mut field = |name: &str, value: &str| {
        entry.extend(name.as_bytes());
        // The binary format, which allows any bytes.
        entry.push(b'\n');
        entry.extend((value.len() as u64).to_le_bytes());
        entry.extend(value.as_bytes());
        entry.push(b'\n');
    };
    field("MESSAGE", &announcement.text());
    field("PRIORITY", &priority(announcement).to_string());
    field("SYSLOG_IDENTIFIER", "hoist");
    for name in VARIABLES.iter().filter(|name| **name != "text") {
        let value = value(announcement, name);
        if !value.is_empty() {
            field(&format!("HOIST_{}", name.to_uppercase()), &value);
        }
    }
    entry
}

/// The text without line breaks.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
