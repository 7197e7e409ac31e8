//! The operator's OpenSSH configuration, jump hosts and proxy commands, against real sshd hosts.

#[path = "../common/mod.rs"]
mod common;
mod deployments;
mod jump_hosts;
mod keys;
mod options;
mod proxy_commands;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::farm::RSA;
use common::{Farm, HOIST, Links, Project, Ran, address, ports, wait_for};
use hoist::fleet::ssh::{
    AfterLine, ConnectError, ConnectErrorKind, ExecEnd, Input, Link, OpenSsh, OutputChunk, Program, Ssh, SshOptions,
};
use hoist::targets::Target;

/// A farm, and an OpenSSH configuration for it.
struct Scene {
    farm: Farm,
}

impl Scene {
    fn new() -> Scene {
        Scene { farm: Farm::up() }
    }

    fn file(&self) -> PathBuf {
        self.farm.path("ssh_config")
    }

    /// What every host of the farm needs.
    fn basics(&self) -> String {
        let (key, known_hosts) = (self.farm.key(), self.farm.known_hosts());
        format!(
            "  User root\n  Port {}\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n",
            self.farm.port,
            key.display(),
            known_hosts.display()
        )
    }

    /// Options that leave everything to this configuration.
    fn options(&self, config: &str) -> SshOptions {
        fs::write(self.file(), config).unwrap();
        SshOptions {
            openssh: Some(OpenSsh { file: Some(self.file()) }),
            program: Program::Installed("/bin/true".into()),
            ..SshOptions::default()
        }
    }

    /// A connection by what this configuration says, and by the basics behind it.
    fn connect(&self, config: &str, to: &str) -> Result<Link, ConnectError> {
        let config = format!("{config}\nHost *\n{}", self.basics());
        Ssh::prepare(self.options(&config)).unwrap().connect(&target(to))
    }

    fn refusal(&self, config: &str, to: &str) -> ConnectError {
        self.connect(config, to).err().expect("the connection was made")
    }

    /// A connection is refused for this kind of reason, and these words say why.
    #[track_caller]
    fn refused(&self, config: &str, to: &str, kind: ConnectErrorKind, words: &[&str]) {
        let error = self.refusal(config, to);
        assert!(error.kind == kind && words.iter().all(|word| error.message.contains(word)), "{error:?}");
    }
}

fn target(text: &str) -> Target {
    text.parse().unwrap()
}

fn said(link: &mut Link, command: &str) -> String {
    let mut out = String::new();
    let end = link.exec(command, Input::default(), Instant::now() + Duration::from_secs(60), &mut |said| {
        if let OutputChunk::Out(line) = said {
            out += &String::from_utf8_lossy(line);
        }
        AfterLine::More
    });
    assert_eq!(end, Ok(ExecEnd::Status(0)));
    out
}

/// The host that a session ended up on.
fn host(link: &mut Link) -> String {
    said(link, "basename $HOIST_FARM_HOST")
}

fn is_running(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

/// Hosts behind a jump host, which is a farm of its own.
struct Behind {
    scene: Scene,
    bastion: Farm,
}

impl Behind {
    fn new() -> Behind {
        Behind::with(&[])
    }

    fn with(environment: &[(&str, &str)]) -> Behind {
        let (scene, bastion) = (Scene::new(), Farm::up_with(environment));
        let copy = |name: &str| fs::copy(bastion.path(name), scene.farm.path(&format!("bastion-{name}"))).unwrap();
        copy("known_hosts");
        fs::copy(scene.farm.path("authorized_keys"), bastion.path("authorized_keys")).unwrap();
        Behind { scene, bastion }
    }

    /// The jump hosts `b1` and `b2`, with `more` of b2, and then what is said of the rest.
    fn config(&self, more: &str, rest: &str) -> String {
        let jump_host = |name: &str, address: &str, more: &str| {
            format!(
                "Host {name}\n  HostName {address}\n  User root\n  Port {}\n  IdentityFile {}\n  IdentitiesOnly yes\n  \
                 UserKnownHostsFile {}\n{more}",
                self.bastion.port,
                self.scene.farm.key().display(),
                self.scene.farm.path("bastion-known_hosts").display()
            )
        };
        format!(
            "{}{}Host * !b1 !b2\n{rest}Host *\n",
            jump_host("b1", "127.9.0.1", ""),
            jump_host("b2", "127.9.0.2", more)
        )
    }

    fn ssh(&self, more: &str, rest: &str) -> Ssh {
        Ssh::prepare(self.scene.options(&format!("{}{}", self.config(more, rest), self.scene.basics()))).unwrap()
    }

    /// Kills the sessions of the jump hosts; their sshd lives on.
    fn cut(&self) {
        let pid = fs::read_to_string(self.bastion.path("sshd.pid")).unwrap();
        let children = Command::new("pgrep").args(["-P", pid.trim()]).output().unwrap().stdout;
        for child in String::from_utf8(children).unwrap().lines() {
            let _ = Command::new("kill").args(["-KILL", child]).status();
        }
    }
}
