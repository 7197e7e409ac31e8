//! User certificates: a key that an authority has signed (PROTOCOL.certkeys of OpenSSH).

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::agent::take_string;
use super::identity::public_key;

const SUFFIX: &str = "-cert-v01@openssh.com";

/// A certificate as its file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub path: PathBuf,
    /// The file's line.
    pub text: String,
    /// The certificate in SSH's wire format.
    pub blob: Vec<u8>,
    /// The plain public key that it certifies, in the same format.
    pub key: Vec<u8>,
}

impl Certificate {
    /// Reads a file.
    ///
    /// # Errors
    /// It is not there, or no certificate of a type that can be used.
    pub fn read(path: &Path) -> anyhow::Result<Certificate> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the certificate {shown}"))?;
        let text = text.trim().to_owned();
        let blob = public_key(&text).with_context(|| format!("{shown} is no certificate"))?;
        let key = certified(&blob).with_context(|| format!("{shown} is no certificate of a key that can be used"))?;
        Ok(Certificate { path: path.to_owned(), text, blob, key })
    }

    /// The one that lies beside a key's file, if there is one.
    pub fn beside(key: &Path) -> Option<Certificate> {
        let name = key.to_str()?;
        let path = PathBuf::from(format!("{}-cert.pub", name.strip_suffix(".pub").unwrap_or(name)));
        Certificate::read(&path).ok()
    }

    /// Why it is of no use although the agent holds its key: the agent shows what it holds, and nothing else.
    pub fn not_held(&self) -> String {
        format!(
            "the agent holds the key of the certificate {}, and not the certificate: put it beside the key's file as \
             NAME-cert.pub, and ssh-add that once more",
            self.path.display()
        )
    }
}

/// The plain key inside of a certificate: its fields follow the type and a nonce.
fn certified(blob: &[u8]) -> Option<Vec<u8>> {
    let mut rest = blob;
    let kind = std::str::from_utf8(take_string(&mut rest)?).ok()?.strip_suffix(SUFFIX)?;
    let fields = match kind {
        "ssh-ed25519" => 1,
        "ssh-rsa" | "ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" | "ecdsa-sha2-nistp521" => 2,
        _ => return None,
    };
    let _nonce = take_string(&mut rest)?;
    let mut key = with_length(kind.as_bytes())?;
    for _ in 0..fields {
        key.extend(with_length(take_string(&mut rest)?)?);
    }
    Some(key)
}

fn with_length(bytes: &[u8]) -> Option<Vec<u8>> {
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
        assert!(Certificate::read(&path("ca.pub")).unwrap_err().to_string().contains("no certificate"));
    }
}
