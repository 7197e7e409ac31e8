//! libssh2's error numbers, with the names from its header.

use std::ffi::c_int;

use ssh2::{Error, ErrorCode};

pub use libssh2_sys::{
    LIBSSH2_ERROR_AGENT_PROTOCOL as AGENT_PROTOCOL, LIBSSH2_ERROR_ALLOC as ALLOC,
    LIBSSH2_ERROR_AUTHENTICATION_FAILED as AUTHENTICATION_FAILED, LIBSSH2_ERROR_BANNER_RECV as BANNER_RECV,
    LIBSSH2_ERROR_CHANNEL_FAILURE as CHANNEL_FAILURE, LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED as CHANNEL_REQUEST_DENIED,
    LIBSSH2_ERROR_EAGAIN as EAGAIN, LIBSSH2_ERROR_KEX_FAILURE as KEX_FAILURE,
    LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE as KEY_EXCHANGE_FAILURE,
    LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED as PUBLICKEY_UNVERIFIED, LIBSSH2_ERROR_SOCKET_DISCONNECT as SOCKET_DISCONNECT,
    LIBSSH2_ERROR_SOCKET_RECV as SOCKET_RECV, LIBSSH2_ERROR_SOCKET_SEND as SOCKET_SEND,
    LIBSSH2_ERROR_TIMEOUT as TIMEOUT,
};

/// A socket error; also used for errors without a number of their own.
pub const SOCKET_NONE: c_int = -1;

/// The number of an error.
pub fn of(error: &Error) -> c_int {
    match error.code() {
        // Hoist does not use SFTP.
        ErrorCode::Session(number) | ErrorCode::SFTP(number) => number,
    }
}

/// What happened, for people. `ended`: how the connection ended, where the library only says in which call it noticed.
pub fn text(error: &Error, ended: impl FnOnce() -> String) -> String {
    match of(error) {
        SOCKET_NONE | SOCKET_SEND | SOCKET_RECV | SOCKET_DISCONNECT => ended(),
        _ => error.message().to_lowercase(),
    }
}

/// An error with a number.
pub fn error(number: c_int, message: &'static str) -> Error {
    Error::new(ErrorCode::Session(number), message)
}
