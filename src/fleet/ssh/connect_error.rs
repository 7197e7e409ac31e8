//! Why a host cannot be connected to.

use std::fmt;

/// Why there is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectErrorKind {
    /// The name has no address.
    Resolve,
    /// Nobody listens, or there is no way there.
    Refused,
    Timeout,
    HostKeyChanged,
    HostKeyUnknown,
    HostKeyRevoked,
    /// The server takes none of the operator's keys.
    Auth,
    /// The peer hung up before it had shown who it is.
    HungUp,
    /// The peer does not speak SSH properly.
    Protocol,
    /// What the configurations say of the host cannot be done.
    Configuration,
}

/// Why there is no session, with a fragment for the operator that names the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectError {
    pub kind: ConnectErrorKind,
    pub message: String,
}

impl ConnectError {
    pub(super) fn new(kind: ConnectErrorKind, message: impl Into<String>) -> ConnectError {
        ConnectError { kind, message: message.into() }
    }

    /// Whether it stays so even with a host that has let this key in before. One that starts up refuses everybody for a
    /// while, in more ways than one: it has no name yet, nobody listens, its accounts are not there, logins are closed.
    pub fn is_final(&self) -> bool {
        use ConnectErrorKind::*;
        matches!(self.kind, HostKeyChanged | HostKeyRevoked | Configuration)
    }

    /// Whether trying again a little later may end otherwise.
    pub fn may_pass(&self) -> bool {
        use ConnectErrorKind::*;
        matches!(self.kind, Resolve | Refused | Timeout | HungUp | Protocol)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConnectError {}
