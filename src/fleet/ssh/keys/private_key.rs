//! Logging in with an unencrypted private key that a file contains.

use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::Ed25519KeyPair;
use ssh2::{Error, Session};

use super::agent::{take_string, take_u32, with_length_prefix};
use super::certificate::Certificate;
use super::key_file::{Container, container};
use crate::fleet::ssh::transport::error_code;
use crate::fleet::ssh::transport::server_text::with_raw;

const ED25519: &[u8] = b"ssh-ed25519";

/// An unencrypted private key.
#[derive(Clone)]
pub enum PrivateKey {
    /// It is read once, and signs here: the library reads a key's text up to three times for each login, which takes four
    /// times as long as to sign with it.
    Ed25519(Arc<Ed25519>),
    /// A key of another type, for the library.
    Text {
        private: String,
        /// `type base64`; `None`: the library finds it in the private key.
        public: Option<String>,
    },
}

/// A key that signs here.
pub struct Ed25519 {
    pair: Ed25519KeyPair,
    /// The public key in SSH's wire format.
    blob: Vec<u8>,
}

impl PrivateKey {
    /// The key in the text of a file.
    pub fn of(text: String) -> PrivateKey {
        let file = container(&text);
        match file.as_ref().and_then(Ed25519::of) {
            Some(key) => PrivateKey::Ed25519(Arc::new(key)),
            None => PrivateKey::Text { public: file.and_then(|file| public_line(&file.public)), private: text },
        }
    }

    /// Logs in with this key, or with a certificate of it.
    ///
    /// # Errors
    /// As those of the library's own logins.
    pub fn log_in(&self, session: &Session, user: &str, certificate: Option<&Certificate>) -> Result<(), Error> {
        match self {
            PrivateKey::Ed25519(key) => {
                key.log_in(session, user, certificate.map_or(&key.blob, |certificate| &certificate.blob))
            }
            PrivateKey::Text { private, public } => {
                let shown = certificate.map(|certificate| certificate.text.as_str()).or(public.as_deref());
                session.userauth_pubkey_memory(user, shown, private, None)
            }
        }
    }
}

/// A public key, in SSH's wire format, as a line of text.
fn public_line(blob: &[u8]) -> Option<String> {
    let kind = take_string(&mut &*blob)?;
    Some(format!("{} {}", std::str::from_utf8(kind).ok()?, STANDARD.encode(blob)))
}

impl Ed25519 {
    /// `None`: it is encrypted, of another type, or damaged.
    fn of(file: &Container) -> Option<Ed25519> {
        let mut rest = (!file.encrypted).then_some(file.private.as_slice())?;
        let (first, second) = (take_u32(&mut rest)?, take_u32(&mut rest)?);
        let (kind, public, private) = (take_string(&mut rest)?, take_string(&mut rest)?, take_string(&mut rest)?);
        // The private key is the seed and, once more, the public key.
        let (seed, again) = private.split_at_checked(32)?;
        if first != second || kind != ED25519 || public != again {
            return None;
        }
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public).ok()?;
        Some(Ed25519 { pair, blob: [with_length_prefix(ED25519), with_length_prefix(public)].concat() })
    }

    /// Shows the server `blob`, this key or a certificate of it, and signs what the library asks for.
    fn log_in(&self, session: &Session, user: &str, blob: &[u8]) -> Result<(), Error> {
        let user = CString::new(user)?;
        let key = std::ptr::from_ref(self).cast_mut().cast();
        let result = with_raw(session, |raw| {
            // SAFETY: all of it lives through the call, and the library hands `key` on to `sign` as it is.
            unsafe { libssh2_userauth_publickey(raw, user.as_ptr(), blob.as_ptr(), blob.len(), sign, key) }
        });
        match result {
            0 => Ok(()),
            number => Err(Error::from_session_error(session, number)),
        }
    }
}

type Sign = extern "C" fn(*mut c_void, *mut *mut u8, *mut usize, *const u8, usize, *mut *mut c_void) -> c_int;

unsafe extern "C" {
    // The library's Rust binding does not offer it.
    fn libssh2_userauth_publickey(
        session: *mut c_void,
        user: *const c_char,
        public: *const u8,
        length: usize,
        sign: Sign,
        key: *mut *mut c_void,
    ) -> c_int;
}

/// Signs `data` with the [`Ed25519`] that `key` points to.
extern "C" fn sign(
    _session: *mut c_void,
    signature: *mut *mut u8,
    length: *mut usize,
    data: *const u8,
    data_length: usize,
    key: *mut *mut c_void,
) -> c_int {
    // SAFETY: it is what `log_in` gave, and lives until that returns; the library keeps the data for the time of the call.
    let (key, data) = unsafe { (&*key.cast::<Ed25519>(), std::slice::from_raw_parts(data, data_length)) };
    let signed = key.pair.sign(data);
    let bytes = signed.as_ref();
    // SAFETY: the library frees it by free(), since its sessions are made without an allocator of their own; there is
    // room for all that is copied, and both places to write to are the library's.
    unsafe {
        let room = libc::malloc(bytes.len()).cast::<u8>();
        if room.is_null() {
            return error_code::ALLOC;
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), room, bytes.len());
        (*signature, *length) = (room, bytes.len());
    }
    0
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn key(arguments: &[&str]) -> (String, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let done = Command::new("ssh-keygen").args(arguments).args(["-q", "-C", "", "-f"]).arg(&path).status().unwrap();
        assert!(done.success());
        let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
        (std::fs::read_to_string(path).unwrap(), public.trim_end().to_owned())
    }

    #[test]
    fn a_key_is_the_one_of_its_public_file_whatever_its_type() {
        let (text, public) = key(&["-t", "ed25519", "-N", ""]);
        let PrivateKey::Ed25519(read) = PrivateKey::of(text) else { panic!("it is left to the library") };
        assert_eq!(public, format!("ssh-ed25519 {}", STANDARD.encode(&read.blob)));
        for kind in ["rsa", "ecdsa"] {
            let (text, right) = key(&["-t", kind, "-N", ""]);
            assert!(matches!(PrivateKey::of(text), PrivateKey::Text { public: Some(public), .. } if public == right));
            let (text, _) = key(&["-t", kind, "-N", "", "-m", "PEM"]);
            assert!(matches!(PrivateKey::of(text), PrivateKey::Text { public: None, .. }));
        }
        let (text, _) = key(&["-t", "ed25519", "-N", "secret"]);
        assert!(matches!(PrivateKey::of(text), PrivateKey::Text { .. }));
    }

    #[test]
    fn a_damaged_key_is_left_to_the_library() {
        let (text, _) = key(&["-t", "ed25519", "-N", ""]);
        let (head, foot) = ("-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----");
        let body: String = text.replace(head, "").replace(foot, "").split_whitespace().collect();
        let bytes = STANDARD.decode(body).unwrap();
        let read = |bytes: &[u8]| match PrivateKey::of(format!("{head}\n{}\n{foot}\n", STANDARD.encode(bytes))) {
            PrivateKey::Ed25519(key) => Some(key.blob.clone()),
            PrivateKey::Text { .. } => None,
        };
        let blob = read(&bytes).unwrap();
        for at in 0..bytes.len() {
            assert!(read(&bytes[..at]).is_none_or(|read| read == blob), "cut at {at}");
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(read(&damaged).is_none_or(|read| read == blob), "damaged at {at}");
        }
    }
}
