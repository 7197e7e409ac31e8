//! How much memory each open session takes: a deployment keeps one for each of its hosts.

use std::cell::RefCell;
use std::ffi::c_void;

use ssh2::Session;

use super::server_text::with_raw;

/// As much as is read at once.
const CHUNK: usize = 32 * 1024;

thread_local! {
    static CHUNK_OF_THREAD: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// Lends the memory that this thread reads into. `read` lends none itself.
pub fn with_chunk<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    CHUNK_OF_THREAD.with_borrow_mut(|chunk| read(chunk))
}

/// Gives pages of a session that hold nothing but zeros back to the kernel. The library clears all of its 72 KB at
/// once, of which a session that sends and receives little never uses more than a few KB.
pub fn give_back_zeros(session: &Session) {
    with_raw(session, |raw| {
        let Some(Pages { first, count, size }) = Pages::of(raw) else { return };
        // SAFETY: these pages are the session's alone, which is locked; the library has written to all of them.
        let words = unsafe { std::slice::from_raw_parts(first.cast::<u64>(), count * size / size_of::<u64>()) };
        let is_zero: Vec<bool> =
            words.chunks(size / size_of::<u64>()).map(|page| page.iter().all(|word| *word == 0)).collect();
        let mut at = 0;
        for alike in is_zero.chunk_by(bool::eq) {
            if alike[0] {
                let start = first.wrapping_byte_add(at * size);
                // SAFETY: malloc's memory is private and anonymous: a page that is given back reads as zeros, as it did.
                unsafe { libc::madvise(start, alike.len() * size, libc::MADV_DONTNEED) };
            }
            at += alike.len();
        }
    });
}

/// The whole pages within a block of memory.
struct Pages {
    first: *mut c_void,
    count: usize,
    size: usize,
}

impl Pages {
    /// Of a block that malloc has given.
    fn of(block: *mut c_void) -> Option<Pages> {
        // SAFETY: it only asks for a number.
        let size = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
        // SAFETY: the library allocated the session by malloc, and it lives.
        let length = unsafe { libc::malloc_usable_size(block) };
        let ahead = block.addr().next_multiple_of(size) - block.addr();
        Some(Pages { first: block.wrapping_byte_add(ahead), count: length.saturating_sub(ahead) / size, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident(session: &Session) -> usize {
        with_raw(session, |raw| {
            let Pages { first, count, size } = Pages::of(raw).unwrap();
            let mut states = vec![0_u8; count];
            // SAFETY: the pages exist, and there is a byte for each.
            assert_eq!(unsafe { libc::mincore(first, count * size, states.as_mut_ptr()) }, 0);
            states.iter().filter(|state| **state & 1 == 1).count()
        })
    }

    #[test]
    fn a_new_session_takes_few_pages_and_keeps_what_it_was_told() {
        let session = Session::new().unwrap();
        session.set_timeout(1234);
        let before = resident(&session);
        give_back_zeros(&session);
        assert!(before > 4 && resident(&session) <= 4, "{before}, then {}", resident(&session));
        assert_eq!(session.timeout(), 1234);
    }
}
