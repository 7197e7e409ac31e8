//! libssh2's error numbers, with the names from its header.

use ssh2::ErrorCode;

/// A socket error; also used for errors without a number of their own.
pub const SOCKET_NONE: ErrorCode = ErrorCode::Session(-1);
/// The two sides have no algorithm in common.
pub const KEX_FAILURE: ErrorCode = ErrorCode::Session(-5);
pub const SOCKET_SEND: ErrorCode = ErrorCode::Session(-7);
pub const KEY_EXCHANGE_FAILURE: ErrorCode = ErrorCode::Session(-8);
pub const TIMEOUT: ErrorCode = ErrorCode::Session(-9);
/// The peer closed the connection.
pub const SOCKET_DISCONNECT: ErrorCode = ErrorCode::Session(-13);
/// The server does not know the key.
pub const AUTHENTICATION_FAILED: ErrorCode = ErrorCode::Session(-18);
/// The server knows the key, but refused its signature.
pub const PUBLICKEY_UNVERIFIED: ErrorCode = ErrorCode::Session(-19);
/// The server opens no channel.
pub const CHANNEL_FAILURE: ErrorCode = ErrorCode::Session(-21);
/// The server refused a request on a channel, a command for instance.
pub const CHANNEL_REQUEST_DENIED: ErrorCode = ErrorCode::Session(-22);
/// The call would block and has to be repeated later.
pub const EAGAIN: ErrorCode = ErrorCode::Session(-37);
pub const AGENT_PROTOCOL: ErrorCode = ErrorCode::Session(-42);
pub const SOCKET_RECV: ErrorCode = ErrorCode::Session(-43);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_the_meaning_that_the_ssh2_crate_gives_it() {
        for (code, meaning) in [
            (KEX_FAILURE, "kex failure"),
            (SOCKET_SEND, "socket send failure"),
            (KEY_EXCHANGE_FAILURE, "key exchange failure"),
            (TIMEOUT, "timed out"),
            (SOCKET_DISCONNECT, "socket disconnected"),
            (AUTHENTICATION_FAILED, "authentication failed"),
            (PUBLICKEY_UNVERIFIED, "public key unverified"),
            (CHANNEL_FAILURE, "channel failure"),
            (CHANNEL_REQUEST_DENIED, "request denied"),
            (EAGAIN, "operation would block"),
            (AGENT_PROTOCOL, "invalid agent protocol"),
            (SOCKET_RECV, "error receiving on socket"),
        ] {
            assert_eq!(ssh2::Error::from_errno(code).message(), meaning);
        }
    }
}
