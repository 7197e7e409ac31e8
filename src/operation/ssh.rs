//! The fleet of a command: the configuration's words on SSH, as the transport wants them.

use std::collections::HashMap;

use anyhow::Result;

use crate::config::{Config, HostKeyChecking, SshAgent, SshConfig};
use crate::deploy::{Kind, Prepared};
use crate::fleet::ssh::key_memory;
use crate::fleet::ssh::{Algorithms, OpenSsh, Program, Set, Ssh, SshOptions, Timeouts};
use crate::fleet::{First, HostId, SshFleet};
use crate::journal;
use crate::journal::Fate;
use crate::repo::{Packs, Repo};
use crate::targets::Target;

use super::state_folder;

/// Known hosts, keys, the way to each target and the program for them, found before anything is connected.
///
/// # Errors
/// What the operator has to repair: no key that could be used, one that was named and cannot be read, what OpenSSH's
/// configuration says of a target and cannot be done.
pub fn prepare<'a>(config: &Config, targets: impl Iterator<Item = &'a Target>) -> Result<Ssh> {
    let settings = &config.settings;
    let usual = Algorithms::default();
    let algorithms = Algorithms {
        kex: settings.ssh_kex.clone().unwrap_or(usual.kex),
        ciphers: settings.ssh_ciphers.clone().unwrap_or(usual.ciphers),
        macs: settings.ssh_macs.clone().unwrap_or(usual.macs),
    };
    let openssh = match &settings.ssh_config {
        SshConfig::Usual => Some(OpenSsh { file: None }),
        SshConfig::File(file) => Some(OpenSsh { file: Some(file.clone()) }),
        SshConfig::None => None,
    };
    let agent = match &settings.ssh_auth_sock {
        SshAgent::Socket(socket) => Some(socket.clone()),
        SshAgent::Usual | SshAgent::Own => None,
    };
    let keyholder = settings.ssh_auth_sock != SshAgent::Own;
    let set = Set {
        port: config.sets("ssh_port"),
        host_key_checking: config.sets("host_key_checking"),
        kex: config.sets("ssh_kex"),
        ciphers: config.sets("ssh_ciphers"),
        macs: config.sets("ssh_macs"),
        connect_timeout: config.sets("connect_timeout"),
        keepalive: config.sets("keepalive"),
    };
    let ssh = Ssh::prepare(SshOptions {
        user: settings.ssh_user.clone(),
        port: settings.ssh_port,
        identity_files: settings.identity_file.clone(),
        known_hosts: settings.known_hosts.clone(),
        accept_new: settings.host_key_checking == HostKeyChecking::AcceptNew,
        agent,
        keyholder_key: settings.keyholder_key.clone().filter(|_| keyholder),
        keyholder,
        algorithms,
        proxy_jump: settings.proxy_jump.clone(),
        openssh,
        set,
        timeouts: Timeouts {
            connect: settings.connect_timeout,
            reconnect: settings.reconnect_timeout,
            keepalive: settings.keepalive,
        },
        key_memory: key_memory(),
        max_sessions: settings.max_sessions,
        transfer_limit: Some(settings.transfer_limit).filter(|rate| *rate > 0),
        timings: settings.timings,
        program: match &settings.remote_binary {
            Some(path) => Program::Installed(path.display().to_string()),
            None => Program::default(),
        },
    })?;
    ssh.find_routes(&targets.cloned().collect::<Vec<_>>())?;
    Ok(ssh)
}

/// The plan's targets over SSH. With `seen` another deployer took their locks, and this is what it saw of them.
pub fn fleet(
    ssh: Ssh,
    config: &Config,
    repo: &Repo,
    prepared: &Prepared,
    seen: Option<HashMap<HostId, First>>,
) -> SshFleet {
    let plan = &prepared.plan;
    let targets = plan.targets().map(|(_, target)| target.clone()).collect();
    let packs = Packs::new(repo.clone(), plan.revision.clone());
    let packs = Box::new(packs.with_parts(prepared.requests.parts(), prepared.requests.shallow()));
    let mut fleet = SshFleet::new(ssh, targets, Box::new(prepared.requests.clone()), packs);
    if plan.kind != Kind::DryRun {
        let journals = state_folder(config);
        fleet = fleet.after_runs(move |run| matches!(journal::fate(&journals, &run.to_string()), Fate::Ended { .. }));
    }
    match seen {
        Some(seen) => fleet.holding(seen),
        None => fleet,
    }
}
