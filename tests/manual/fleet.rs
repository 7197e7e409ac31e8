//! The hosts and the repository of the manual: two canaries and six others, with the service `page`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::common::terminal::Terminal;
use crate::common::{Farm, HOIST, Project, address, signal, wait_for};
use crate::page::Step;

/// The quick start's configuration, with the checks that the manual shows.
const CONFIG: &str = "[global]\ngit_repo: web/page\nssh_user: deploy\nserver_groups: canary, default\n\
                      canary_dsh_targets: canary\ndsh_targets: targets\nfailure_limit: 10%\nservice_name: page\n";
const CHECKS: &str =
    "checks:\n  answers:\n    stage: restart_service\n    command: curl -fsS localhost:8080/\n    within: 30\n";

/// Programs that targets have: the service always answers, unless the host has a file `/srv/hold`, which makes it hang.
const PROGRAMS: [(&str, &str); 4] = [
    ("curl", "while [ -e /srv/hold ]; do touch /srv/held; sleep 0.05; done\n"),
    ("systemctl", "exit 0\n"),
    ("sudo", "exec \"$@\"\n"),
    ("lookup-hosts", "printf '%s\\n' db1.example.org db2.example.org\n"),
];

/// Runs a command on the deploy host.
const ENTER: &str = "mount --bind \"$1\" /run/lock && exec sh -c \"$2\"";

pub struct Fleet {
    programs: TempDir,
    pub project: Project,
    pub farm: Farm,
}

impl Fleet {
    /// The hosts, with nothing on them; the repository has the revisions `v2.1` to `v2.3`, the last one checked out.
    pub fn new() -> Fleet {
        let programs = tempfile::Builder::new().prefix("hoist-manual-").tempdir().unwrap();
        for (name, text) in PROGRAMS {
            let path = programs.path().join(name);
            fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        fs::create_dir(programs.path().join("lock")).unwrap();
        std::os::unix::fs::symlink(HOIST, programs.path().join("hoist")).unwrap();
        let path = programs.path().to_str().unwrap();
        let farm = Farm::up_with(&[("FARM_PATH", path), ("FARM_USER", "deploy")]);
        let project = Project::empty();
        let fleet = Fleet { programs, project, farm };
        fleet.write_deploy_host();
        fleet.write_repository();
        fleet
    }

    /// What an operator has: a key, known hosts, and an OpenSSH configuration that knows where the hosts are.
    fn write_deploy_host(&self) {
        let (farm, project) = (&self.farm, &self.project);
        let hosts = (1..=8).map(|n| format!("web{n:02}")).chain((1..=3).map(|n| format!("db{n}")));
        let hosts: String = hosts
            .enumerate()
            .map(|(n, name)| format!("Host {name}.example.org\n  HostName {}\n", address(n)))
            .collect();
        let ssh = format!(
            "{hosts}Host *\n  Port {}\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n",
            farm.port,
            farm.key().display(),
            farm.known_hosts().display()
        );
        fs::write(self.ssh_config(), ssh).unwrap();
        project.set_global(&format!(
            "[global]\nssh_config: {}\nremote_binary: {HOIST}\nlock_dir: {}\n",
            self.ssh_config().display(),
            project.path(".git").display(),
        ));
    }

    fn write_repository(&self) {
        let project = &self.project;
        project.write("hoist/hoist.cfg", CONFIG);
        project.write("hoist/checks.yaml", CHECKS);
        project.write("hoist/canary", "web01.example.org\nweb02.example.org\n");
        project.write("hoist/targets", &(3..=8).map(|n| format!("web{n:02}.example.org\n")).collect::<String>());
        for release in ["v2.1", "v2.2", "v2.3"] {
            project.write("index.html", &format!("{release}\n"));
            project.commit(&format!("Page {release}"));
            project.git(&["tag", release]);
        }
    }

    fn ssh_config(&self) -> PathBuf {
        self.project.path(".git/ssh_config")
    }

    /// The hosts with these revisions deployed one after the other.
    pub fn with(revisions: &[&str]) -> Fleet {
        let fleet = Fleet::new();
        for revision in revisions {
            fleet.deploy(revision);
        }
        fleet
    }

    pub fn deploy(&self, revision: &str) {
        self.project.deploy(&["-r", revision]).ends(0);
    }

    /// The folder that is `/srv` on a host.
    fn srv(&self, host: usize) -> PathBuf {
        self.farm.srv(&address(host - 1))
    }

    /// Makes hosts refuse every connection, or no longer.
    pub fn set_down(&self, hosts: &[usize], down: bool) {
        hosts.iter().for_each(|host| self.farm.set_down(&address(host - 1), down));
    }

    /// Begins a deployment, and ends its deployer as a power cut would while the canaries restart their service.
    pub fn cut_off(&self, revision: &str) {
        for host in 1..=2 {
            fs::write(self.srv(host).join("hold"), "").unwrap();
        }
        let mut hoist = self.project.hoist(&["deploy", "--yes", "-r", revision]);
        let mut deployer = hoist.env("USER", "jane").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for("the canaries", || (1..=2).all(|host| self.srv(host).join("held").exists()));
        signal(&deployer, "KILL");
        deployer.wait().unwrap();
        for host in 1..=2 {
            fs::remove_file(self.srv(host).join("hold")).unwrap();
        }
    }

    /// Types a command at a terminal of the deploy host, as a reader would who answers every question with yes.
    pub fn types(&self, step: &Step) -> Shown {
        let environment = self.project.hoist(&[]);
        let search = format!("{}:{}", self.programs.path().display(), std::env::var("PATH").unwrap());
        // Scap's locks are those of the whole machine: this deploy host has a folder of its own for them.
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c", ENTER, "sh"]);
        command.arg(self.programs.path().join("lock"));
        // Without a progress bar, which a page does not show either.
        command.arg(format!("TERM=dumb\nexport TERM\n{}", step.command));
        command.current_dir(environment.get_current_dir().unwrap()).env("PATH", search);
        for (name, value) in environment.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("USER", "jane").env_remove("LOGNAME");
        finish(command)
    }

    /// Types a command on a host, as the account that deploys.
    pub fn types_on(&self, host: &str, step: &Step) -> Shown {
        let mut command = Command::new("ssh");
        command.arg("-F").arg(self.ssh_config()).args([
            "-q",
            "-o",
            "BatchMode=yes",
            "-l",
            "deploy",
            host,
            &step.command,
        ]);
        command.env_remove("SSH_AUTH_SOCK");
        finish(command)
    }
}

/// What came of a command.
#[derive(Debug)]
pub struct Shown {
    pub status: Option<i32>,
    pub lines: Vec<String>,
}

fn finish(command: Command) -> Shown {
    let mut terminal = Terminal::of_size(command, 50, 200);
    let mut answered = 0;
    let mut status = None;
    for _ in 0..2400 {
        if let Some(ended) = terminal.child.try_wait().unwrap() {
            status = ended.code();
            break;
        }
        let shown = terminal.shows();
        let question = shown.trim_end().lines().last().unwrap_or_default();
        if shown.len() > answered {
            if let Some(keys) = answer(question) {
                terminal.types(keys);
                answered = shown.len() + keys.len() + 1;
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    if status.is_none() {
        let _ = terminal.child.kill();
    }
    terminal.drain();
    let shown = terminal.shows().replace('\r', "");
    // What was typed is no output.
    let lines = shown.lines().filter(|line| !["y", "^C"].contains(line)).map(str::to_owned);
    Shown { status, lines: lines.filter(|line| !line.trim().is_empty()).collect() }
}

/// The keys that a line asks for.
fn answer(line: &str) -> Option<&'static str> {
    let asks = ["[y]", "[Y]", "[y/", "[Y/"].iter().any(|mark| line.contains(mark)) && !line.contains('→');
    if asks {
        Some("y\n")
    } else if line.contains("Enter, Ctrl-C") || line.contains("Enter or Ctrl-C") {
        Some("\n")
    } else {
        // A log that is followed is followed for ever.
        line.contains("hoist log: following").then_some("\x03")
    }
}
