//! Key files: which key a file contains, and whether it can be used.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::agent::take_string;

/// The contents of a key file.
pub struct KeyFile {
    /// `None`: the file has only the public key.
    pub private: Option<String>,
    pub encrypted: bool,
    /// `None`: it cannot be determined without the passphrase.
    pub public: Option<Vec<u8>>,
}

impl KeyFile {
    /// # Errors
    /// It cannot be read, or contains no key.
    pub fn read(path: &Path) -> anyhow::Result<KeyFile> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read the identity {}", path.display()))?;
        if let Some(public) = public_key(&text) {
            return Ok(KeyFile { private: None, encrypted: false, public: Some(public) });
        }
        if !text.contains("PRIVATE KEY-----") {
            bail!("the identity {} is not a private key", path.display());
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(".pub");
        let beside = std::fs::read_to_string(beside).ok().and_then(|text| public_key(&text));
        let (encrypted, inside) = match container(&text) {
            Some(key) => (key.encrypted, Some(key.public)),
            None => (text.contains("BEGIN ENCRYPTED") || text.contains("Proc-Type: 4,ENCRYPTED"), None),
        };
        // Unlike the .pub file next to it, the header of the private key cannot be out of date.
        Ok(KeyFile { private: Some(text), encrypted, public: inside.or(beside) })
    }

    /// The private key of the file at `path`.
    ///
    /// # Errors
    /// The file has no private key, or the key is encrypted.
    pub fn usable(self, path: &Path) -> anyhow::Result<String> {
        let path = path.display();
        match self.private {
            None => bail!("the identity {path} is a public key, and no agent holds the private key: run ssh-add"),
            Some(_) if self.encrypted => {
                bail!(
                    "the identity {path} is encrypted, and no agent holds it: run ssh-add, since hoist does not ask \
                       for passphrases"
                )
            }
            Some(private) => Ok(private),
        }
    }
}

/// A private key that others can read or write, which OpenSSH refuses as well.
#[derive(Debug)]
pub struct Exposed {
    path: PathBuf,
    mode: u32,
}

impl Exposed {
    /// Checks the permissions as OpenSSH does: only a file that the operator owns must be closed to others.
    ///
    /// # Errors
    /// Others can access it.
    pub fn check(path: &Path) -> anyhow::Result<()> {
        let meta = std::fs::metadata(path).with_context(|| format!("cannot read the identity {}", path.display()))?;
        let mode = meta.mode() & 0o777;
        if meta.uid() == rustix::process::getuid().as_raw() && mode & 0o077 != 0 {
            bail!(Exposed { path: path.to_owned(), mode });
        }
        Ok(())
    }
}

impl std::fmt::Display for Exposed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, mode) = (self.path.display(), self.mode);
        write!(
            f,
            "the private key {path} is accessible to others (mode {mode:04o}) and is not used, as with ssh: run chmod \
             600 {path}"
        )
    }
}

impl std::error::Error for Exposed {}

/// The key of a public key file: `type base64 comment`.
pub fn public_key(text: &str) -> Option<Vec<u8>> {
    let mut words = text.split_ascii_whitespace();
    let kind = words.next()?;
    let blob = STANDARD.decode(words.next()?).ok()?;
    (take_string(&mut blob.as_slice())? == kind.as_bytes()).then_some(blob)
}

/// A private key file in OpenSSH's own format (PROTOCOL.key of OpenSSH), of one key.
pub struct Container {
    pub encrypted: bool,
    /// The public key in SSH's wire format, which never is encrypted.
    pub public: Vec<u8>,
    /// What only the owner may know, encrypted or not.
    pub private: Vec<u8>,
}

/// `None`: it is in another format, or damaged.
pub fn container(text: &str) -> Option<Container> {
    let (_, after) = text.split_once("-----BEGIN OPENSSH PRIVATE KEY-----")?;
    let (body, _) = after.split_once("-----END")?;
    let bytes = STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()?;
    let mut rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
    let cipher = take_string(&mut rest)?;
    let (_kdf, _kdf_options) = (take_string(&mut rest)?, take_string(&mut rest)?);
    let mut keys = rest.get(4..)?;
    let public = take_string(&mut keys)?.to_vec();
    Some(Container {
        encrypted: cipher != b"none",
        public,
        private: take_string(&mut keys).unwrap_or_default().to_vec(),
    })
}
