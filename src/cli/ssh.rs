//! The fleet of a command: the configuration's words on SSH, as the transport wants them.

use anyhow::Result;

use crate::config::{Config, HostKeyChecking};
use crate::deploy::Prepared;
use crate::fleet::SshFleet;
use crate::fleet::ssh::{Ssh, SshOptions};
use crate::repo::{Packs, Repo};

/// Known hosts, keys and the program for targets, read before anything is connected.
///
/// # Errors
/// What the operator has to mend: no key that could be used, one that was named and cannot be read.
pub fn prepare(config: &Config) -> Result<Ssh> {
    let settings = &config.settings;
    Ssh::prepare(SshOptions {
        user: settings.ssh_user.clone(),
        port: settings.ssh_port,
        identity_files: settings.identity_file.clone(),
        known_hosts: settings.known_hosts.clone(),
        accept_new: settings.host_key_checking == HostKeyChecking::AcceptNew,
        keyholder_key: settings.keyholder_key.clone(),
        connect_timeout: settings.connect_timeout,
        reconnect_timeout: settings.reconnect_timeout,
        keepalive: settings.keepalive,
        remote_binary: settings.remote_binary.as_ref().map(|path| path.display().to_string()),
        ..SshOptions::default()
    })
}

/// The plan's targets over SSH. With `held` their locks were taken by the deployer before this one.
pub fn fleet(ssh: Ssh, repo: &Repo, prepared: &Prepared, held: bool) -> SshFleet {
    let plan = &prepared.plan;
    let targets = plan.targets().map(|(_, target)| target.clone()).collect();
    let requests = prepared.requests.clone();
    let maker = Box::new(move |host, call: &_, task: &_| requests.make(host, call, task));
    let packs = Packs::new(repo.clone(), plan.revision.clone());
    let packs = Box::new(packs.with_parts(prepared.requests.parts(), prepared.requests.shallow()));
    let fleet = SshFleet::new(ssh, targets, maker, packs);
    if held { fleet.holding() } else { fleet }
}
