//! Wikimedia's keyholder: an agent for all operators of a deploy host, with the public halves of its keys in a folder.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::agent;
use super::agent::AgentKey;
use super::key_file::public_key;
use super::wanted::Wanted;
use crate::fleet::ssh::known_hosts::fingerprint;
use crate::text::word_characters;

/// Where the keyholder's files are.
pub(in crate::fleet::ssh) struct Places {
    pub keys: PathBuf,
    pub agent: PathBuf,
}

/// A keyholder's key, and the socket of the agent that holds it.
pub(in crate::fleet::ssh) struct HeldKey {
    pub key: AgentKey,
    pub agent: PathBuf,
}

impl Default for Places {
    fn default() -> Places {
        Places { keys: "/etc/keyholder.d".into(), agent: "/run/keyholder/proxy.sock".into() }
    }
}

impl Places {
    /// The one key of this name, and nothing else.
    ///
    /// # Errors
    /// There is no such public key, or no agent holds the private key.
    pub fn named(&self, name: &str, wanted: &Wanted) -> anyhow::Result<HeldKey> {
        if name.is_empty() || name.starts_with('.') || name.contains('/') {
            bail!("it is the name of a file in {} without .pub", self.keys.display());
        }
        self.key(&self.file(name), wanted)
    }

    /// The key that is called as the remote user, which Scap takes when nothing names another; `None` when there is no
    /// such key.
    ///
    /// # Errors
    /// There is one, and it cannot be used.
    pub fn of_user(&self, user: &str, wanted: &Wanted) -> Option<anyhow::Result<HeldKey>> {
        let file = self.keys.join(word_characters(user) + ".pub");
        file.is_file().then(|| self.key(&file, wanted))
    }

    /// The file of a name; as Scap has it, with `_` for what is no letter, digit or `_`, where no file is called so.
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
    let keys = agent::list(socket, wanted.patience)?;
    if keys.is_empty() {
        bail!("{}", agent::no_keys(socket));
    }
    keys.into_iter().find(|key| key.blob == public).with_context(|| {
        format!("the agent at {} does not hold the {} of {}", socket.display(), fingerprint(public), file.display())
    })
}
