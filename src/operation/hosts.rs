//! The groups and hosts of a repository, as its target files list them.

use crate::config::{Config, Options};
use crate::targets::Group;
use crate::wire::Level;

use super::{Frontend, Refused, limit, load_telling};

/// The groups with their hosts, and what holds for hosts that say nothing of their own.
#[derive(Debug)]
pub struct HostList {
    pub repo: String,
    pub groups: Vec<Group>,
    pub login: Login,
}

/// How targets are logged in to, where their files do not say.
#[derive(Debug, Clone)]
pub struct Login {
    /// `ssh_user`, where it is set.
    pub user: Option<String>,
    /// `ssh_port`, where it is set.
    pub port: Option<u16>,
}

/// The groups of the targets that match `limit_hosts`, with what is odd about them told as warnings.
pub(super) fn groups(config: &Config, limit_hosts: Option<&str>, front: &dyn Frontend) -> Result<Vec<Group>, Refused> {
    let (groups, notes) = config.groups(limit(limit_hosts)?.as_ref())?;
    for (_, note) in notes.iter().filter(|(level, _)| *level > Level::Info) {
        front.tell(&format!("warning: {note}"));
    }
    Ok(groups)
}

/// The groups of the targets that match `limit_hosts`. It connects nowhere.
pub fn hosts(options: &Options, limit_hosts: Option<&str>, front: &dyn Frontend) -> Result<HostList, Refused> {
    let config = load_telling(options, front)?;
    let groups = groups(&config, limit_hosts, front)?;
    let port = config.sets("ssh_port").then_some(config.settings.ssh_port);
    let login = Login { user: config.settings.ssh_user.clone(), port };
    Ok(HostList { repo: config.settings.git_repo.clone(), groups, login })
}
