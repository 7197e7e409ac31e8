//! Which keys to offer to a host.

use std::path::PathBuf;
use std::time::Duration;

use super::agent::default_agent;
use crate::fleet::ssh::SshOptions;

/// Which keys to use. Hosts with equal settings share the keys that were found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Wanted {
    /// The keyholder's key of this name, through the agent, and nothing else.
    pub keyholder_key: Option<String>,
    /// Only the keyholder's key with the name of this user, if there is one that can be used.
    pub keyholder_user: Option<String>,
    /// These files; `None`: the usual ones of `~/.ssh`.
    pub files: Option<Vec<PathBuf>>,
    /// Whether it is an error if one of the files cannot be used.
    pub all_of_them: bool,
    /// Nothing but the files, though the agent holds more.
    pub no_others: bool,
    /// Certificates of any of the keys, beside those that have the name of a key's file and `-cert.pub`.
    pub certificates: Vec<PathBuf>,
    /// The agent's socket; `None`: no agent is running.
    pub agent: Option<PathBuf>,
    /// How long the agent may take for an answer.
    pub timeout: Duration,
}

impl Wanted {
    /// From Hoist's own configuration.
    pub fn of(options: &SshOptions) -> Wanted {
        Wanted {
            keyholder_key: options.keyholder_key.clone(),
            keyholder_user: match options.keyholder && options.identity_files.is_none() {
                true => options.user.clone().or_else(crate::fleet::ssh::options::operator),
                false => None,
            },
            files: options.identity_files.clone(),
            all_of_them: options.identity_files.is_some(),
            no_others: options.identity_files.is_some(),
            certificates: Vec::new(),
            agent: options.agent.clone().or_else(default_agent),
            timeout: options.timeouts.connect,
        }
    }
}
