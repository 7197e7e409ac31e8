//! The options for SSH connections, and the operator's name and home.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use super::Algorithms;
use crate::targets::Target;

/// How to reach the targets. A target's own `user@` and `:port` win over these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshOptions {
    /// The remote user; `None`: the operator's own name.
    pub user: Option<String>,
    pub port: u16,
    /// Private keys (or public ones, whose private half an agent holds); `None`: the usual ones of `~/.ssh`.
    pub identity_files: Option<Vec<PathBuf>>,
    /// The agent's socket; `None`: that of `SSH_AUTH_SOCK`.
    pub agent: Option<PathBuf>,
    /// `None`: the files that OpenSSH reads. An accepted key is written to the first one.
    pub known_hosts: Option<Vec<PathBuf>>,
    /// Accept the key of a host that is not known yet. A changed key is still refused.
    pub accept_new: bool,
    /// Use only the agent key whose public half is `/etc/keyholder.d/NAME.pub`.
    pub keyholder_key: Option<String>,
    /// Without such a name, use the keyholder's key with the name of the remote user, if there is one.
    pub keyholder: bool,
    pub algorithms: Algorithms,
    /// Jump hosts for targets, the last one next to them. Empty: none, even if OpenSSH's configuration has some.
    /// `None`: those of OpenSSH's configuration.
    pub proxy_jump: Option<Vec<Target>>,
    /// The operator's OpenSSH configuration; `None`: it is not read.
    pub openssh: Option<OpenSsh>,
    /// Which of these options were set explicitly, so that OpenSSH's configuration does not change them.
    pub set: Set,
    pub timeouts: Timeouts,
    /// Maximum number of open sessions; `None`: one per target, as far as the system allows.
    pub max_sessions: Option<usize>,
    /// Bytes a second that files are sent with, to all targets together; `None`: no limit.
    pub transfer_limit: Option<u64>,
    /// Whether it is measured where the time goes.
    pub timings: bool,
    /// The file that records which key each account accepted; `None`: no file.
    pub key_memory: Option<PathBuf>,
    pub program: Program,
}

/// Hoist on the targets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Program {
    /// It is installed there, at this path.
    Installed(String),
    /// This program is copied there if it is missing.
    Copied(PathBuf),
    /// The same with the build for targets that this program contains, or with this program if it contains none.
    #[default]
    ForTargets,
}

/// Time limits for peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the TCP connection to one address, and again for the key exchange and for each attempt with a key.
    pub connect: Duration,
    /// How long to try to reconnect a session that was lost in the middle of a stage.
    pub reconnect: Duration,
    /// The keepalive interval, at least two seconds. A peer that is silent for three intervals is considered dead.
    pub keepalive: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let [connect, reconnect, keepalive] = [10, 60, 15].map(Duration::from_secs);
        Timeouts { connect, reconnect, keepalive }
    }
}

/// Which OpenSSH configuration is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenSsh {
    /// `None`: the user's and the system's.
    pub file: Option<PathBuf>,
}

/// Whether options that have a default were set explicitly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Set {
    pub port: bool,
    pub host_key_checking: bool,
    pub kex: bool,
    pub ciphers: bool,
    pub macs: bool,
    pub connect_timeout: bool,
    pub keepalive: bool,
}

impl Default for SshOptions {
    fn default() -> Self {
        SshOptions {
            user: None,
            port: 22,
            identity_files: None,
            agent: None,
            known_hosts: None,
            accept_new: false,
            keyholder_key: None,
            keyholder: false,
            algorithms: Algorithms::default(),
            proxy_jump: None,
            openssh: None,
            set: Set::default(),
            timeouts: Timeouts::default(),
            max_sessions: None,
            transfer_limit: None,
            timings: false,
            key_memory: None,
            program: Program::default(),
        }
    }
}

/// The operator's name: `USER`, else `LOGNAME`, else that of the process's user in `/etc/passwd`.
///
/// The name service is not asked: a static binary cannot load its modules.
pub(super) fn operator() -> Option<String> {
    let named = ["USER", "LOGNAME"].into_iter().filter_map(|key| std::env::var(key).ok()).find(|name| !name.is_empty());
    named.or_else(|| passwd(0))
}

/// The operator's home: `HOME`, else that of `/etc/passwd`.
pub(super) fn home() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    home.or_else(|| passwd(5).map(PathBuf::from))
}

/// The file that records which key each account accepted, in the state directory of the XDG Base Directory
/// Specification.
pub fn key_memory() -> Option<PathBuf> {
    let set = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = set.or_else(|| Some(home()?.join(".local/state")));
    folder.map(|folder| folder.join("hoist/keys"))
}

/// The home that OpenSSH's client uses: that of `/etc/passwd`, not `HOME`.
pub(super) fn ssh_home() -> Option<PathBuf> {
    passwd(5).map(PathBuf::from).or_else(home)
}

/// A field of the process's user in `/etc/passwd`.
fn passwd(field: usize) -> Option<String> {
    // A process's own entry in /proc belongs to its effective user.
    let uid = std::fs::metadata("/proc/self").ok()?.uid();
    let text = std::fs::read("/etc/passwd").ok()?;
    field_of(&String::from_utf8_lossy(&text), uid, field)
}

fn field_of(passwd: &str, uid: u32, field: usize) -> Option<String> {
    let of_user = |line: &&str| line.split(':').nth(2).and_then(|id| id.parse().ok()) == Some(uid);
    let value = passwd.lines().find(of_user)?.split(':').nth(field)?;
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_is_found_in_the_password_file_by_number() {
        let text = "root:x:0:0:root:/root:/bin/sh\nbad line\njane:x:1000:100:Jane:/home/jane:/bin/fish\n";
        assert_eq!(field_of(text, 1000, 0).as_deref(), Some("jane"));
        assert_eq!(field_of(text, 1000, 5).as_deref(), Some("/home/jane"));
        assert_eq!(field_of(text, 7, 0), None);
    }
}
