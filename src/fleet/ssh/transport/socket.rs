//! The socket of a session: a TCP connection, or one end of a socket pair whose other end is relayed by something else.

use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// What relays a connection that is not a direct TCP connection. It is dropped after the socket is closed.
pub trait Carrier: Send + Sync {
    /// Why it no longer relays anything, if that is so.
    fn error(&self) -> Option<String>;
}

/// An open socket. Clones share the socket; the last one closes it.
#[derive(Clone)]
pub struct Socket(Arc<Inner>);

struct Inner {
    // Fields are dropped in order: the carrier must see the socket close before it is dropped.
    fd: OwnedFd,
    carrier: Option<Box<dyn Carrier>>,
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Socket(Arc::new(Inner { fd: stream.into(), carrier: None }))
    }
}

impl Socket {
    /// Our end of a socket pair.
    pub fn carried(stream: UnixStream, carrier: Box<dyn Carrier>) -> Socket {
        Socket(Arc::new(Inner { fd: stream.into(), carrier: Some(carrier) }))
    }

    /// Why the carrier no longer relays anything, if that is so.
    pub fn error(&self) -> Option<String> {
        self.0.carrier.as_ref().and_then(|carrier| carrier.error())
    }

    pub fn set_nonblocking(&self) -> std::io::Result<()> {
        Ok(rustix::io::ioctl_fionbio(&self.0.fd, true)?)
    }

    /// Shuts the connection down in both directions, for every clone.
    pub fn shutdown(&self) {
        let _ = rustix::net::shutdown(&self.0.fd, rustix::net::Shutdown::Both);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.fd.as_raw_fd()
    }
}
