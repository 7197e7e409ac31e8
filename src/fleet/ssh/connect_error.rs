//! Why a host cannot be connected to.

use std::fmt;

/// Why there is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectErrorKind {
    /// The name has no address.
    Resolve,
    /// Nothing listens there, or there is no route.
    Refused,
    Timeout,
    HostKeyChanged,
    HostKeyUnknown,
    HostKeyRevoked,
    /// The server accepts none of the operator's keys.
    Auth,
    /// The peer closed the connection before its host key was checked.
    HungUp,
    /// The peer does not speak SSH properly.
    Protocol,
    /// The configuration requires something that is not possible.
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

    /// Whether retrying is of no use even if the host has accepted this key before. A host that boots refuses
    /// connections in several ways: its name does not resolve, nothing listens, its accounts are missing, logins are
    /// disabled.
    pub fn is_final(&self) -> bool {
        use ConnectErrorKind::*;
        matches!(self.kind, HostKeyChanged | HostKeyRevoked | Configuration)
    }

    /// Whether a retry may succeed.
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
