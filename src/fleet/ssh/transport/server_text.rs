//! Texts from a server: its authentication methods, its banner, its disconnect message. The library's Rust binding does
//! not offer these, or only as UTF-8, so this module calls the library directly.

use std::cell::RefCell;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};

use ssh2::Session;

/// How much of a server's text is shown.
const LONGEST: usize = 300;
/// LIBSSH2_CALLBACK_DISCONNECT of libssh2.h.
const DISCONNECT: c_int = 2;

type OnDisconnect = extern "C" fn(*mut c_void, c_int, *const c_char, c_int, *const c_char, c_int, *mut *mut c_void);

unsafe extern "C" {
    fn libssh2_userauth_list(session: *mut c_void, user: *const c_char, length: c_uint) -> *const c_char;
    fn libssh2_userauth_banner(session: *mut c_void, banner: *mut *const c_char) -> c_int;
    fn libssh2_session_callback_set2(session: *mut c_void, kind: c_int, callback: OnDisconnect) -> *mut c_void;
}

thread_local! {
    /// Of the session that this thread began last. The library calls back from within a call of the session's.
    static LAST_WORDS: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps the words with which a server ends `session` for [`last_words`], as long as this thread begins no other.
pub fn listen(session: &Session) {
    LAST_WORDS.set(None);
    with_raw(session, |raw| {
        // SAFETY: the session lives for as long as it is borrowed, and the function is of the type that libssh2.h
        // gives.
        unsafe { libssh2_session_callback_set2(raw, DISCONNECT, disconnected) };
    });
}

/// The server's disconnect message.
pub fn last_words() -> Option<String> {
    LAST_WORDS.take()
}

extern "C" fn disconnected(
    _session: *mut c_void,
    _reason: c_int,
    message: *const c_char,
    length: c_int,
    _language: *const c_char,
    _language_length: c_int,
    _abstract: *mut *mut c_void,
) {
    let Some(length) = usize::try_from(length).ok().filter(|_| !message.is_null()) else { return };
    // SAFETY: the library gives the message's length, and keeps it for the time of the call.
    let bytes = unsafe { std::slice::from_raw_parts(message.cast::<u8>(), length) };
    // A thread that is ending has none to keep.
    let _ = LAST_WORDS.try_with(|words| *words.borrow_mut() = in_one_line(&String::from_utf8_lossy(bytes)));
}

/// The authentication methods that the server offers to `user` now; `None`: unknown. A server counts this as a failed
/// attempt, unless it is the first request. It may also log the user in, which the session shows.
pub fn methods(session: &Session, user: &str) -> Option<Vec<String>> {
    let name = CString::new(user).ok()?;
    let list = with_raw(session, |raw| {
        let length = c_uint::try_from(name.as_bytes().len()).ok()?;
        // SAFETY: session and name live through the call; the list is the session's, and ends with a zero byte.
        text(unsafe { libssh2_userauth_list(raw, name.as_ptr(), length) })
    })?;
    Some(list.split(',').map(str::trim).filter(|method| !method.is_empty()).filter_map(in_one_line).collect())
}

/// The server's last banner, as of the last call of [`methods`].
pub fn banner(session: &Session) -> Option<String> {
    let mut banner = std::ptr::null();
    let banner = with_raw(session, |raw| {
        // SAFETY: as above.
        match unsafe { libssh2_userauth_banner(raw, &raw mut banner) } {
            0 => text(banner),
            _ => None,
        }
    });
    in_one_line(&banner?)
}

/// The library's session, which nobody else uses meanwhile.
pub(in crate::fleet::ssh) fn with_raw<T>(session: &Session, work: impl FnOnce(*mut c_void) -> T) -> T {
    let mut raw = session.raw();
    work((&raw mut *raw).cast())
}

fn text(string: *const c_char) -> Option<String> {
    if string.is_null() {
        return None;
    }
    // SAFETY: the library ends its strings with a zero byte, and nobody changes this one before it is copied here.
    Some(unsafe { std::ffi::CStr::from_ptr(string) }.to_string_lossy().into_owned())
}

/// A server's text as part of a message; `None` if it is empty.
pub fn in_one_line(text: &str) -> Option<String> {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let line = words.join(" ");
    let cut: String = line.chars().take(LONGEST).collect();
    match (cut.is_empty(), cut.len() < line.len()) {
        (true, _) => None,
        (false, true) => Some(cut + " …"),
        (false, false) => Some(cut),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_s_text_becomes_one_line_of_limited_length() {
        assert_eq!(in_one_line("  System is\r\n\tgoing \u{1b}[31mdown\n").as_deref(), Some("System is going [31mdown"));
        assert_eq!(in_one_line(" \n"), None);
        let long = in_one_line(&"é ".repeat(10_000)).unwrap();
        assert!(long.ends_with(" …") && long.chars().count() <= LONGEST + 2, "{long}");
    }
}
