//! A session's socket: a TCP connection, or our end of a pair of sockets whose other end somebody carries on.

use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// What carries a connection that is not a TCP connection of our own. It is let go of after the socket is closed.
pub trait Carrier: Send + Sync {
    /// Why it carries nothing any more, if it does not.
    fn error(&self) -> Option<String>;
}

/// An open socket. Clones are the same socket; the last one closes it.
#[derive(Clone)]
pub struct Socket(Arc<Inner>);

struct Inner {
    // Closed ahead of the carrier's end, so that the carrier has heard of it.
    fd: OwnedFd,
    carrier: Option<Box<dyn Carrier>>,
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Socket(Arc::new(Inner { fd: stream.into(), carrier: None }))
    }
}

impl Socket {
    /// Our end of a pair.
    pub fn carried(stream: UnixStream, carrier: Box<dyn Carrier>) -> Socket {
        Socket(Arc::new(Inner { fd: stream.into(), carrier: Some(carrier) }))
    }

    /// Why the carrier carries nothing any more.
    pub fn error(&self) -> Option<String> {
        self.0.carrier.as_ref().and_then(|carrier| carrier.error())
    }

    pub fn set_nonblocking(&self) -> std::io::Result<()> {
        Ok(rustix::io::ioctl_fionbio(&self.0.fd, true)?)
    }

    /// Ends the connection in both directions, for every holder of it.
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
