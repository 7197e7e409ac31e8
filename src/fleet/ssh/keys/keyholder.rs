//! Wikimedia's keyholder: an agent shared by all operators of a deploy host, with its public keys in a folder.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::agent;
use super::agent::AgentKey;
use super::key_file::public_key;
use super::wanted::Wanted;
use crate::fleet::ssh::known_hosts::fingerprint;
use crate::text::word_characters;

/// The paths of the keyholder's files.
pub(in crate::fleet::ssh) struct Paths {
    pub keys: PathBuf,
    pub agent: PathBuf,
}

/// A keyholder's key, and the socket of the agent that holds it.
pub(in crate::fleet::ssh) struct HeldKey {
    pub key: AgentKey,
    pub agent: PathBuf,
}

impl Default for Paths {
    fn default() -> Paths {
        Paths { keys: "/etc/keyholder.d".into(), agent: "/run/keyholder/proxy.sock".into() }
    }
}

impl Paths {
    /// The key of this name.
    ///
    /// # Errors
    /// There is no such public key, or no agent holds the private key.
    pub fn named(&self, name: &str, wanted: &Wanted) -> anyhow::Result<HeldKey> {
        if name.is_empty() || name.starts_with('.') || name.contains('/') {
            bail!("it is the name of a file in {} without .pub", self.keys.display());
        }
        self.key(&self.file(name), wanted)
    }

    /// The key with the name of the remote user, which Scap uses by default; `None` if there is no such key.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn of_user(&self, user: &str, wanted: &Wanted) -> Option<anyhow::Result<HeldKey>> {
        let file = self.keys.join(word_characters(user) + ".pub");
        file.is_file().then(|| self.key(&file, wanted))
    }

    /// The file for a name. If there is none of that name, each character other than a letter, digit or `_` becomes `_`, as
    /// with Scap.
    fn file(&self, name: &str) -> PathBuf {
        let (file, of_words) = (self.keys.join(format!("{name}.pub")), self.keys.join(word_characters(name) + ".pub"));
        if !file.exists() && of_words.exists() { of_words } else { file }
    }

    fn key(&self, file: &Path, wanted: &Wanted) -> anyhow::Result<HeldKey> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let public = public_key(&text).with_context(|| format!("{} contains no public key", file.display()))?;
        let shared = Some(&self.agent).filter(|agent| wanted.agent.is_none() || agent.exists());
        let mut why = None;
        for socket in wanted.agent.iter().chain(shared) {
            match held(socket, &public, file, wanted) {
                Ok(key) => return Ok(HeldKey { key, agent: socket.clone() }),
                Err(error) => why = Some(error),
            }
        }
        Err(why.unwrap_or_else(|| anyhow::anyhow!("no agent is running")))
    }
}

fn held(socket: &Path, public: &[u8], file: &Path, wanted: &Wanted) -> anyhow::Result<AgentKey> {
    let keys = agent::list(socket, wanted.timeout)?;
    if keys.is_empty() {
        bail!("{}", agent::no_keys(socket));
    }
    keys.into_iter().find(|key| key.blob == public).with_context(|| {
        format!("the agent at {} does not hold the {} in {}", socket.display(), fingerprint(public), file.display())
    })
}
