//! TCP connections to somebody else.

use std::io::{Error, ErrorKind, Result};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::sockopt;

/// Connects, within a time limit. Where nobody listens, that is [`ErrorKind::ConnectionRefused`], and never a connection
/// of the socket to itself.
///
/// Where a port of this machine is one of those that the system gives to clients (`ip_local_port_range` of Linux's ip(7)),
/// it may give the very port to the socket that connects to it. Its SYN then meets itself, which TCP takes for a
/// simultaneous open (RFC 9293, section 3.5): the connection is there, and whatever is sent comes back.
pub fn connect(address: &SocketAddr, timeout: Duration) -> Result<TcpStream> {
    to_another(TcpStream::connect_timeout(address, timeout)?)
}

fn to_another(stream: TcpStream) -> Result<TcpStream> {
    // The peer may have closed the connection already, and then has no address.
    if !stream.peer_addr().is_ok_and(|peer| stream.local_addr().is_ok_and(|own| own == peer)) {
        return Ok(stream);
    }
    // The port would be in use for another minute, and perhaps keep the one from it who is to listen there.
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
    Err(Error::from(ErrorKind::ConnectionRefused))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

    use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

    #[test]
    fn a_socket_that_is_connected_to_itself_was_refused_and_its_port_is_free_at_once() {
        let own = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&own, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = SocketAddr::try_from(getsockname(&own).unwrap()).unwrap();
        rustix::net::connect(&own, &address).unwrap();
        let refused = to_another(TcpStream::from(own)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        // Rust's listeners would have borne a port that is still waiting for its end.
        let other = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&other, &address).unwrap();
    }

    #[test]
    fn who_listens_is_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(connect(&address, Duration::from_secs(30)).unwrap().peer_addr().unwrap(), address);
    }
}
