//! The route to one host.

use std::sync::Arc;
use std::time::Duration;

use super::Algorithms;
use super::jump::bastion::Bastion;
use super::keys::auth::Keys;
use super::keys::key_memory::KeyMemory;
use super::known_hosts::{KeyType, KnownHosts};
use super::openssh::KnownHostsCommand;
use super::transport::login_limit::LoginLimit;
use super::transport::names::{Family, Names};
use super::transport::tcp::Keepalive;
use crate::fleet::remarks::Remarks;
use crate::targets::Target;

/// Everything that is needed to open a session with one host.
pub struct Route {
    /// The host's name as the operator wrote it.
    pub name: String,
    /// The target at the end of the route; `None`: it leads to a jump host.
    pub target: Option<Target>,
    /// The name or address to connect to.
    pub host: String,
    pub port: u16,
    /// Which of its addresses are used.
    pub family: Family,
    pub user: String,
    /// The name and port by which the host's key is known.
    pub known_as: (String, u16),
    pub host_keys: HostKeys,
    pub algorithms: Algorithms,
    pub keys: Arc<Keys>,
    /// For the connection to one address, and again for the key exchange and for each attempt with a key.
    pub connect_timeout: Duration,
    pub keepalive: Keepalive,
    pub way: Way,
    pub network: Arc<Network>,
}

/// Which host keys are accepted.
pub struct HostKeys {
    pub known: Arc<KnownHosts>,
    /// Also asked for host keys.
    pub command: Option<KnownHostsCommand>,
    /// Accept the key of a host that is not known yet.
    pub accept_new: bool,
    /// The accepted types, the preferred one first.
    pub types: Vec<KeyType>,
}

/// What connections that are opened at the same time share.
#[derive(Debug, Default)]
pub struct Network {
    pub names: Names,
    pub logins: LoginLimit,
    pub keys: KeyMemory,
    pub remarks: Arc<Remarks>,
}

/// What carries the session.
pub enum Way {
    /// A TCP connection from here.
    Direct,
    /// A channel of a session with another host.
    Behind(Arc<Bastion>),
    /// A command's standard input and output.
    Command(String),
}

impl Route {
    /// The host for messages: `web1 port 22`, with the address if it differs from the name.
    pub fn place(&self) -> String {
        let at = if self.host == self.name { String::new() } else { format!(" ({})", self.host) };
        let through = match &self.way {
            Way::Behind(bastion) => format!(" through {}", bastion.name()),
            Way::Direct | Way::Command(_) => String::new(),
        };
        format!("{}{at} port {}{through}", self.name, self.port)
    }
}
