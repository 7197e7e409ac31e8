//! SSH: sessions with targets and commands on them. The transport library is used in this module and nowhere else.

mod agent;
mod auth;
mod bootstrap;
mod connect;
mod exec;
mod identity;
mod input;
pub(crate) mod known_hosts;
mod lines;
mod link;
mod options;
mod relay;
mod tcp;

pub use bootstrap::{Bootstrap, Marker, run_command, shell_word};
pub use connect::{ConnectError, ConnectErrorKind};
pub use exec::{Driven, ExecEnd, Heed, OpenError, Running, Said};
pub use input::Input;
pub use link::Link;
pub use options::SshOptions;

use anyhow::Context as _;

use auth::Keys;
use identity::Identities;
use known_hosts::KnownHosts;

/// What all sessions of a command share.
pub struct Ssh {
    pub options: SshOptions,
    user: String,
    known_hosts: KnownHosts,
    keys: Keys,
    pub bootstrap: Bootstrap,
}

impl Ssh {
    /// Reads known_hosts, and finds the operator's keys. Nothing is connected.
    ///
    /// # Errors
    /// What the operator has to mend: a key that was named and cannot be used, no key at all, a program that cannot be
    /// copied to targets.
    pub fn prepare(options: SshOptions) -> anyhow::Result<Ssh> {
        let files = options.known_hosts.clone();
        let files = files.unwrap_or_else(|| KnownHosts::default_files(options::home().as_deref()));
        let known_hosts = KnownHosts::load(&files);
        for note in known_hosts.notes() {
            log::info!("{note}");
        }
        let identities = Identities::load(&options)?;
        for note in &identities.notes {
            log::info!("{note}");
        }
        let user = match &options.user {
            Some(user) => user.clone(),
            None => options::operator().context("your user name is not known: set ssh_user")?,
        };
        let bootstrap = Bootstrap::prepare(&options)?;
        Ok(Ssh { user, known_hosts, keys: Keys::new(identities), bootstrap, options })
    }
}
