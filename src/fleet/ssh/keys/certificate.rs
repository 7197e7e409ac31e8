//! User certificates: public keys signed by a certificate authority (PROTOCOL.certkeys of OpenSSH).

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::agent::take_string;
use super::key_file::public_key;
use crate::clock;
use crate::fleet::ssh::known_hosts::fingerprint;
use crate::fleet::ssh::transport::server_text::in_one_line;

const SUFFIX: &str = "-cert-v01@openssh.com";

/// A certificate file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub path: PathBuf,
    /// The line in the file.
    pub text: String,
    /// The certificate in SSH's wire format.
    pub blob: Vec<u8>,
    /// The public key that it certifies, in the same format.
    pub key: Vec<u8>,
}

impl Certificate {
    /// Reads a certificate file.
    ///
    /// # Errors
    /// It cannot be read, or is not a certificate of a supported type.
    pub fn read(path: &Path) -> anyhow::Result<Certificate> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the certificate {shown}"))?;
        let text = text.trim().to_owned();
        let blob = public_key(&text).with_context(|| format!("{shown} is not a certificate"))?;
        let (key, _) = certified(&blob).with_context(|| format!("{shown} is not a certificate of a supported key"))?;
        Ok(Certificate { path: path.to_owned(), text, blob, key })
    }

    /// The certificate next to a key file, if there is one.
    pub fn beside(key: &Path) -> Option<Certificate> {
        let name = key.to_str()?;
        let path = PathBuf::from(format!("{}-cert.pub", name.strip_suffix(".pub").unwrap_or(name)));
        Certificate::read(&path).ok()
    }

    /// The message if the agent holds the key but not the certificate: an agent presents only what it holds.
    pub fn not_held(&self) -> String {
        format!(
            "the agent holds the key of the certificate {}, but not the certificate: save it next to the key as \
             NAME-cert.pub, and run ssh-add again",
            self.path.display()
        )
    }
}

/// Why a server may have refused this certificate (SSH's wire format) for `user`; `None`: it is not a certificate.
///
/// Its fields show what is certainly wrong. Only the server knows whether it trusts the authority.
pub fn problem(blob: &[u8], user: &str) -> Option<String> {
    let (_, mut rest) = certified(blob)?;
    let mut number = |length: usize| {
        let (bytes, after) = rest.split_at_checked(length)?;
        rest = after;
        Some(bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    let (_serial, kind) = (number(8)?, number(4)?);
    let _id = take_string(&mut rest)?;
    let mut names = take_string(&mut rest)?;
    let mut principals = Vec::new();
    while !names.is_empty() {
        principals.push(String::from_utf8_lossy(take_string(&mut names)?).into_owned());
    }
    let mut number = || {
        let (bytes, after) = rest.split_first_chunk::<8>()?;
        rest = after;
        Some(u64::from_be_bytes(*bytes))
    };
    let (after, before) = (number()?, number()?);
    let (_critical, _extensions, _reserved) =
        (take_string(&mut rest)?, take_string(&mut rest)?, take_string(&mut rest)?);
    let authority = fingerprint(take_string(&mut rest)?);
    let now = clock::seconds();
    let at = |seconds| clock::utc_of(seconds).unwrap_or_else(|| "a time beyond every calendar".into());
    let mut wrong = Vec::new();
    // 1: a user's, 2: a host's.
    if kind != 1 {
        wrong.push("is for a host, not for a user".to_owned());
    }
    if now < after {
        wrong.push(format!("is not valid before {}", at(after)));
    }
    if now >= before {
        wrong.push(format!("expired at {}", at(before)));
    }
    if !principals.is_empty() && !principals.iter().any(|name| name == user) {
        let names = in_one_line(&principals.join(", ")).unwrap_or_default();
        wrong.push(format!("is for {names}, not for {user}"));
    }
    if wrong.is_empty() {
        wrong.push(format!("is signed by the {authority}, which the server may not trust (TrustedUserCAKeys)"));
    }
    Some(wrong.join(", and "))
}

/// The public key in a certificate, and the rest after it. The key's fields follow the type and a nonce.
fn certified(blob: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = blob;
    let kind = std::str::from_utf8(take_string(&mut rest)?).ok()?.strip_suffix(SUFFIX)?;
    let fields = match kind {
        "ssh-ed25519" => 1,
        "ssh-rsa" | "ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" | "ecdsa-sha2-nistp521" => 2,
        _ => return None,
    };
    let _nonce = take_string(&mut rest)?;
    let mut key = with_length_prefix(kind.as_bytes())?;
    for _ in 0..fields {
        key.extend(with_length_prefix(take_string(&mut rest)?)?);
    }
    Some((key, rest))
}

fn with_length_prefix(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut string = u32::try_from(bytes.len()).ok()?.to_be_bytes().to_vec();
    string.extend(bytes);
    Some(string)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_certificate_belongs_to_the_key_that_it_certifies_whatever_its_type() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let keygen = |arguments: &[&str]| {
            let done = Command::new("ssh-keygen").arg("-q").args(arguments).current_dir(dir.path()).status().unwrap();
            assert!(done.success());
        };
        keygen(&["-t", "ed25519", "-N", "", "-f", "ca"]);
        for kind in ["ed25519", "ecdsa", "rsa"] {
            keygen(&["-t", kind, "-N", "", "-f", kind]);
            keygen(&["-s", "ca", "-I", "me", "-n", "root", &format!("{kind}.pub")]);
            let public = public_key(&std::fs::read_to_string(path(&format!("{kind}.pub"))).unwrap()).unwrap();
            for beside in [kind.to_owned(), format!("{kind}.pub")] {
                assert_eq!(Certificate::beside(&path(&beside)).unwrap().key, public, "{beside}");
            }
        }
        assert_eq!(Certificate::beside(&path("ca")), None);
        assert!(Certificate::read(&path("ca.pub")).unwrap_err().to_string().contains("not a certificate"));
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_read_from_its_fields() {
        let dir = tempfile::tempdir().unwrap();
        let keygen = |arguments: &[&str]| {
            let done = Command::new("ssh-keygen").arg("-q").args(arguments).current_dir(dir.path()).status().unwrap();
            assert!(done.success());
        };
        keygen(&["-t", "ed25519", "-N", "", "-f", "ca"]);
        keygen(&["-t", "rsa", "-N", "", "-f", "key"]);
        for (flags, words) in [
            (&["-n", "root"][..], "signed by the ssh-ed25519 key SHA256:"),
            (&[], "signed by"),
            (&["-n", "alice,bob"], "is for alice, bob, not for root"),
            (&["-n", "root", "-V", "20200101000000Z:20200102000000Z"], "expired at 2020-01-02T00:00:00Z"),
            (&["-n", "root", "-V", "20990101000000Z:20990102000000Z"], "is not valid before 2099-01-01T00:00:00Z"),
            (&["-h", "-n", "root"], "is for a host"),
        ] {
            keygen(&[&["-s", "ca", "-I", "me"], flags, &["key.pub"]].concat());
            let certificate = Certificate::beside(&dir.path().join("key")).unwrap();
            let problem = problem(&certificate.blob, "root").unwrap();
            assert!(problem.contains(words), "{flags:?}: {problem}");
            for cut in 0..certificate.blob.len() {
                let _ = super::problem(&certificate.blob[..cut], "root");
            }
            assert_eq!(super::problem(&certificate.key, "root"), None);
        }
    }
}
