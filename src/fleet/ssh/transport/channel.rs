//! A channel on which one command runs. The library knows whether a command's exit status was received, but its Rust
//! binding does not show it: a channel that the server closed during the command would look like a success. So this
//! module calls the library directly for channels of commands.

use std::ffi::{CString, c_char, c_int, c_uchar, c_uint, c_ulong, c_void};

use ssh2::{Error, Session};

use super::error_code;
use super::server_text::with_raw;

/// LIBSSH2_CHANNEL_WINDOW_DEFAULT, LIBSSH2_CHANNEL_PACKET_DEFAULT and SSH_EXTENDED_DATA_STDERR of libssh2.h.
const WINDOW: c_uint = 2 * 1024 * 1024;
const PACKET: c_uint = 32768;
const STDERR: c_int = 1;

unsafe extern "C" {
    fn libssh2_channel_open_ex(
        session: *mut c_void,
        kind: *const c_char,
        kind_length: c_uint,
        window: c_uint,
        packet: c_uint,
        message: *const c_char,
        message_length: c_uint,
    ) -> *mut c_void;
    fn libssh2_channel_process_startup(
        channel: *mut c_void,
        request: *const c_char,
        request_length: c_uint,
        message: *const c_char,
        message_length: c_uint,
    ) -> c_int;
    fn libssh2_channel_read_ex(channel: *mut c_void, stream: c_int, buffer: *mut c_char, length: usize) -> isize;
    fn libssh2_channel_write_ex(channel: *mut c_void, stream: c_int, buffer: *const c_char, length: usize) -> isize;
    fn libssh2_channel_window_read_ex(channel: *mut c_void, queued: *mut c_ulong, initial: *mut c_ulong) -> c_ulong;
    fn libssh2_channel_eof(channel: *mut c_void) -> c_int;
    fn libssh2_channel_send_eof(channel: *mut c_void) -> c_int;
    fn libssh2_channel_close(channel: *mut c_void) -> c_int;
    fn libssh2_channel_wait_closed(channel: *mut c_void) -> c_int;
    fn libssh2_channel_free(channel: *mut c_void) -> c_int;
    fn libssh2_channel_has_exit_status(channel: *mut c_void) -> c_int;
    fn libssh2_channel_get_exit_status(channel: *mut c_void) -> c_int;
    fn libssh2_channel_get_exit_signal(
        channel: *mut c_void,
        signal: *mut *mut c_char,
        signal_length: *mut usize,
        message: *mut *mut c_char,
        message_length: *mut usize,
        language: *mut *mut c_char,
        language_length: *mut usize,
    ) -> c_int;
    fn libssh2_free(session: *mut c_void, memory: *mut c_void);
}

/// A channel of a session, which lives for as long as the channel does.
pub struct Channel {
    raw: *mut c_void,
    session: Session,
}

// SAFETY: the library's channel is used only while its session is locked.
unsafe impl Send for Channel {}

impl Channel {
    /// Opens one.
    pub fn open(session: &Session) -> Result<Channel, Error> {
        let kind = b"session";
        let raw = with_raw(session, |raw| {
            // SAFETY: the session is locked; the kind has this length, and there is no message.
            unsafe { libssh2_channel_open_ex(raw, kind.as_ptr().cast(), 7, WINDOW, PACKET, std::ptr::null(), 0) }
        });
        match raw.is_null() {
            false => Ok(Channel { raw, session: session.clone() }),
            true => Err(Error::last_session_error(session).unwrap_or_else(Error::unknown)),
        }
    }

    /// Runs a command line.
    pub fn exec(&mut self, command: &str) -> Result<(), Error> {
        let (request, command) = (b"exec", CString::new(command)?);
        let length = c_uint::try_from(command.as_bytes().len()).map_err(|_| Error::unknown())?;
        // SAFETY: both texts have these lengths, and live through the call.
        self.call(|raw| unsafe {
            libssh2_channel_process_startup(raw, request.as_ptr().cast(), 4, command.as_ptr(), length)
        })
    }

    /// Reads from standard output or standard error; 0 at its end.
    pub fn read(&mut self, is_err: bool, buffer: &mut [u8]) -> Result<usize, Error> {
        if self.eof() {
            return Ok(0);
        }
        let stream = if is_err { STDERR } else { 0 };
        // SAFETY: the buffer is as long as is said, and lent for the call alone.
        self.amount(|raw| unsafe { libssh2_channel_read_ex(raw, stream, buffer.as_mut_ptr().cast(), buffer.len()) })
    }

    /// How many bytes the library has taken off the socket that were not read yet, of all streams, those included that
    /// nobody reads.
    pub fn queued(&self) -> u64 {
        let mut queued = 0;
        // SAFETY: as above; what is not asked for may be null.
        self.with(|raw| unsafe { libssh2_channel_window_read_ex(raw, &raw mut queued, std::ptr::null_mut()) });
        queued
    }

    /// Writes to standard input.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        // SAFETY: as above.
        self.amount(|raw| unsafe { libssh2_channel_write_ex(raw, 0, bytes.as_ptr().cast(), bytes.len()) })
    }

    /// Whether all output was read and the server has said that no more comes.
    pub fn eof(&self) -> bool {
        // SAFETY: the channel lives, and its session is locked.
        self.with(|raw| unsafe { libssh2_channel_eof(raw) }) != 0
    }

    pub fn send_eof(&mut self) -> Result<(), Error> {
        // SAFETY: as above.
        self.call(|raw| unsafe { libssh2_channel_send_eof(raw) })
    }

    pub fn close(&mut self) -> Result<(), Error> {
        // SAFETY: as above.
        self.call(|raw| unsafe { libssh2_channel_close(raw) })
    }

    /// Waits until the server has closed the channel as well.
    pub fn wait_close(&mut self) -> Result<(), Error> {
        // SAFETY: as above.
        self.call(|raw| unsafe { libssh2_channel_wait_closed(raw) })
    }

    /// The exit status of the command; `None`: it was not received.
    pub fn exit_status(&self) -> Option<i32> {
        // SAFETY: as above.
        self.with(|raw| unsafe {
            (libssh2_channel_has_exit_status(raw) != 0).then(|| libssh2_channel_get_exit_status(raw))
        })
    }

    /// The signal by which the command died, without `SIG`.
    pub fn exit_signal(&self) -> Option<String> {
        let (mut signal, mut length, none, no_length) =
            (std::ptr::null_mut(), 0, std::ptr::null_mut(), std::ptr::null_mut());
        with_raw(&self.session, |session| {
            // SAFETY: the channel lives and its session is locked; what is not asked for may be null.
            let answer = unsafe {
                let (signal, length) = (&raw mut signal, &raw mut length);
                libssh2_channel_get_exit_signal(self.raw, signal, length, none, no_length, none, no_length)
            };
            if answer != 0 || signal.is_null() {
                return None;
            }
            // SAFETY: the library made a copy of this length, which is the caller's to free.
            let text = unsafe { std::slice::from_raw_parts(signal.cast::<c_uchar>(), length) }.to_vec();
            // SAFETY: as above, and it is not used again.
            unsafe { libssh2_free(session, signal.cast()) };
            let name = String::from_utf8_lossy(&text).into_owned();
            // What OpenSSH calls a signal that SSH has no name for (session.c, sig2name).
            Some(if name == "SIG@openssh.com" { "unknown".to_owned() } else { name })
        })
    }

    fn with<T>(&self, call: impl FnOnce(*mut c_void) -> T) -> T {
        with_raw(&self.session, |_| call(self.raw))
    }

    fn call(&self, call: impl FnOnce(*mut c_void) -> c_int) -> Result<(), Error> {
        match self.with(call) {
            0.. => Ok(()),
            code => Err(Error::from_session_error(&self.session, code)),
        }
    }

    fn amount(&self, call: impl FnOnce(*mut c_void) -> isize) -> Result<usize, Error> {
        let answer = self.with(call);
        usize::try_from(answer).map_err(|_| match c_int::try_from(answer) {
            Ok(code) => Error::from_session_error(&self.session, code),
            Err(_) => error_code::error(error_code::SOCKET_NONE, "a response of the library is out of range"),
        })
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more. What cannot be freed now goes with the session.
        self.with(|raw| unsafe { libssh2_channel_free(raw) });
    }
}
