//! A sample repository, and the built program run in it against a farm of real sshd hosts.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

#[path = "../farm/mod.rs"]
pub mod farm;

mod git;
pub mod names;
pub mod ports;
pub mod restarts;
pub mod step_notes;
pub mod terminal;

pub use farm::{Farm, wait_for};
pub use git::git;

/// The program under test.
pub const HOIST: &str = env!("CARGO_BIN_EXE_hoist");

/// Copies the program under test. A process does it: a program that is open for writing cannot be executed, and what this
/// process has open is open in every child that another test starts, for a moment.
pub fn copy_hoist(to: &Path) {
    assert!(Command::new("cp").arg(HOIST).arg(to).status().unwrap().success());
}

/// Where the targets of [`Project`] keep the sample repository, below their `srv`.
pub const CACHE: &str = "deployment/app-cache";

/// The keys that lead to the hosts of a farm.
pub fn ssh_settings(farm: &Farm) -> String {
    let (key, known_hosts) = (farm.key(), farm.known_hosts());
    let files = format!("identity_file: {}\nknown_hosts: {}\n", key.display(), known_hosts.display());
    format!("ssh_user: root\nssh_port: {}\n{files}", farm.port)
}

/// A git repository with a `hoist/` folder.
pub struct Project {
    dir: TempDir,
}

impl Project {
    /// A folder for a git server, in which the repository is `app`.
    pub fn served(&self) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(self.path(""), root.path().join("app")).unwrap();
        root
    }

    /// A farm, and [`Project::new`] on it.
    pub fn on_farm(canary: usize, default: usize) -> (Farm, Project) {
        let farm = Farm::up();
        let project = Project::new(&farm, canary, default);
        (farm, project)
    }

    /// The same, with the first revision deployed to all hosts, and that revision.
    pub fn deployed(canary: usize, default: usize) -> (Farm, Project, String) {
        let (farm, project) = Project::on_farm(canary, default);
        project.deploy(&[]).ends(0);
        let one = project.git(&["rev-parse", "HEAD"]);
        (farm, project, one)
    }

    /// A repository that deploys to hosts of `farm`: `canary` to 127.0.0.1 and on, `default` to the addresses behind.
    pub fn new(farm: &Farm, canary: usize, default: usize) -> Project {
        let project = Project::empty();
        let groups = if canary > 0 { "canary, default" } else { "default" };
        project.write(
            "hoist/hoist.cfg",
            &format!(
                "[global]\ngit_repo: app\nserver_groups: {groups}\ncanary_dsh_targets: canary\ndsh_targets: default\n\
                 {}remote_binary: {HOIST}\nssh_config: none\nlock_dir: {}\n\
                 service_command: true {{action}} {{service}}\n",
                ssh_settings(farm),
                project.path(".git").display(),
            ),
        );
        let list = |range: std::ops::Range<usize>| range.map(|n| address(n) + "\n").collect::<String>();
        project.write("hoist/canary", &list(0..canary));
        project.write("hoist/default", &list(canary..canary + default));
        project.write("index.html", "one\n");
        project.commit("one");
        project
    }

    /// A repository with nothing in it.
    pub fn empty() -> Project {
        let project = Project { dir: tempfile::Builder::new().prefix("hoist-repo-").tempdir().unwrap() };
        project.git(&["init", "-q", "-b", "main"]);
        project
    }

    /// A clone of a repository, as another deploy host would have it.
    pub fn clone_of(other: &Project) -> Project {
        let project = Project { dir: tempfile::Builder::new().prefix("hoist-repo-").tempdir().unwrap() };
        project.git(&["clone", "-q", other.dir.path().to_str().unwrap(), "."]);
        project
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Adds lines to the configuration, in place of those that set the same keys.
    pub fn configure(&self, lines: &str) {
        let path = self.path("hoist/hoist.cfg");
        let mut text = std::fs::read_to_string(&path).unwrap();
        for line in lines.lines() {
            let key = |line: &str| line.split([':', '=']).next().unwrap_or_default().trim().to_owned();
            let kept: Vec<_> = text.lines().filter(|old| key(old) != key(line)).chain([line]).collect();
            text = kept.join("\n") + "\n";
        }
        std::fs::write(path, text).unwrap();
    }

    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> String {
        git(self.dir.path(), arguments)
    }

    /// Makes this the only check.
    pub fn check(&self, name: &str, stage: &str, command: &str) {
        let command = serde_json::to_string(command).unwrap();
        let check =
            format!("  {name}:\n    stage: {stage}\n    shell: true\n    timeout: 120\n    command: {command}\n");
        self.write("hoist/checks.yaml", &format!("checks:\n{check}"));
    }

    /// Switches configuration files on, and writes these files of the folder `hoist`.
    pub fn write_configuration(&self, files: &[(&str, &str)]) {
        self.configure("config_deploy: True");
        files.iter().for_each(|(name, text)| self.write(&format!("hoist/{name}"), text));
    }

    /// Has targets render a template of this text to a path. `more`: further lines of its entry.
    pub fn render(&self, path: &str, text: &str, more: &[&str]) {
        let more: String = more.iter().map(|line| format!("  {line}\n")).collect();
        let entry = format!("{path}:\n  template: app.j2\n{more}");
        self.write_configuration(&[("config-files.yaml", &entry), ("templates/app.j2", text)]);
    }

    /// Has the targets fetch from a server, whose files they see in this folder.
    pub fn serve_as_files(&self) -> TempDir {
        let server = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(self.path(""), server.path().join("app")).unwrap();
        self.configure(&format!("git_scheme: file\ngit_server: {}", server.path().display()));
        server
    }

    /// Commits everything and returns the revision.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// The last commit once more under another name: Hoist asks about one that was rolled back.
    pub fn commit_again(&self) -> String {
        let before = self.git(&["log", "-1", "--format=%s%n%nAgain: %H"]);
        self.git(&["commit", "-q", "--amend", "--allow-empty", "-m", &before]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// `hoist` in this repository, with nothing on standard input and nothing of this machine's settings.
    pub fn hoist(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(HOIST);
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .env_remove("SSH_AUTH_SOCK")
            .env("HOIST_GLOBAL_CONFIG", self.global())
            .env("XDG_STATE_HOME", self.path(".git/state-home"))
            .env("USER", "op")
            .env_remove("SUDO_USER")
            .env_remove("GITHUB_ACTIONS")
            .env_remove("GITLAB_CI")
            .env_remove("JENKINS_URL")
            .env("NO_COLOR", "1");
        command
    }

    /// `hoist` with these arguments, at a terminal of script(1).
    pub fn at_a_terminal(&self, arguments: &str) -> Command {
        let mut script = Command::new("script");
        script.args(["-qec", &format!("{HOIST} {arguments}"), "/dev/null"]).current_dir(self.path(""));
        take_environment(&mut script, &self.hoist(&[]));
        script
    }

    fn global(&self) -> PathBuf {
        let path = self.path(".git/global.cfg");
        if !path.exists() {
            // A test goes on behind a rollback; `admission` tests the lock.
            std::fs::write(&path, "[global]\nlock_after_rollback: no\n").unwrap();
        }
        path
    }

    /// What stands in the deploy host's own configuration file, of which other repositories know nothing.
    pub fn set_global(&self, text: &str) {
        std::fs::write(self.path(".git/global.cfg"), text).unwrap();
    }

    /// Runs `hoist` to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.hoist(arguments).output().unwrap())
    }

    /// `hoist deploy --yes`, to its end.
    pub fn deploy(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["deploy", "--yes"], arguments].concat())
    }
}

/// What a run of the program came to.
#[derive(Debug)]
pub struct Ran {
    /// `None`: it died by a signal.
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: Output) -> Ran {
        Ran {
            status: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Fails the test, showing everything, unless the status is this one.
    #[track_caller]
    pub fn ends(self, status: i32) -> Ran {
        assert_eq!(self.status, Some(status), "\n--- out\n{}--- err\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Ran {
        let there = self.out.contains(text) || self.err.contains(text);
        assert!(there, "{text:?} is not in\n--- out\n{}--- err\n{}", self.out, self.err);
        self
    }

    /// The events of a run with `--format json`.
    pub fn events(&self) -> Vec<serde_json::Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect()
    }
}

/// The address of the n-th host, from 0: 127.0.0.1, … 127.0.0.200, 127.0.1.1 …
pub fn address(n: usize) -> String {
    format!("127.0.{}.{}", n / 200, n % 200 + 1)
}

/// What the links of a host's layout name: `current`, `.done`, `.in-progress`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Links {
    pub current: Option<String>,
    pub done: Option<String>,
    pub in_progress: Option<String>,
}

impl Links {
    /// Of the n-th host, as its disk has them.
    pub fn of(farm: &Farm, n: usize) -> Links {
        let cache = farm.srv(&address(n)).join(CACHE);
        let name = |link: &str| std::fs::read_link(cache.join(link)).ok().map(|to| file_name(&to));
        Links { current: name("current"), done: name(".done"), in_progress: name(".in-progress") }
    }

    /// A host on which a revision is finalized.
    pub fn finalized(revision: &str) -> Links {
        Links { current: Some(revision.into()), done: Some(revision.into()), in_progress: None }
    }
}

/// Every one of the first hosts has this revision live and finalized.
#[track_caller]
pub fn all_on(farm: &Farm, hosts: usize, revision: &str) {
    for n in 0..hosts {
        assert_eq!(Links::of(farm, n), Links::finalized(revision), "host {}", address(n));
    }
}

/// What a check runs that says that its host is there, and waits for [`go`].
pub const WAITS: &str = "touch /srv/waiting; while ! test -e /srv/go; do sleep 0.1; done";

/// Waits until a check that [`WAITS`] is under way on the n-th host.
#[track_caller]
pub fn wait_for_check(farm: &Farm, n: usize) {
    let waiting = farm.srv(&address(n)).join("waiting");
    wait_for(&format!("the check on host {n}"), || waiting.exists());
}

/// Lets the checks on the first hosts go on.
pub fn go(farm: &Farm, hosts: usize) {
    (0..hosts).for_each(|n| std::fs::write(farm.srv(&address(n)).join("go"), "").unwrap());
}

/// Has the checks on the first hosts wait again.
pub fn hold(farm: &Farm, hosts: usize) {
    for file in ["go", "waiting"] {
        (0..hosts).for_each(|n| drop(std::fs::remove_file(farm.srv(&address(n)).join(file))));
    }
}

/// Runs `hoist` until a check that [`WAITS`] is under way on the first host, and kills it; the check then goes on.
#[track_caller]
pub fn kill_at_check(farm: &Farm, project: &Project, arguments: &[&str], hosts: usize) {
    kill_at_checks(farm, project, arguments, 1, hosts);
}

/// The same, once the check is at work on this many hosts.
pub fn kill_at_checks(farm: &Farm, project: &Project, arguments: &[&str], at_work: usize, hosts: usize) {
    let mut deployer = project.hoist(arguments).stdout(Stdio::null()).spawn().unwrap();
    (0..at_work).for_each(|n| wait_for_check(farm, n));
    deployer.kill().unwrap();
    deployer.wait().unwrap();
    go(farm, hosts);
}

/// Waits until nobody has the locks of the first hosts: a stage goes on for a while when its deployer has been killed.
#[track_caller]
pub fn wait_for_locks(farm: &Farm, hosts: usize) {
    for (n, name) in (0..hosts).flat_map(|n| ["lock", "stage.lock"].map(|name| (n, name))) {
        let path = farm.srv(&address(n)).join(CACHE).join(".hoist").join(name);
        wait_for(&format!("{} to be free", path.display()), || match std::fs::File::open(&path) {
            Ok(file) => rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok(),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        });
    }
}

/// Starts `hoist lock`, which holds the lock when it has said these words.
#[track_caller]
pub fn locked(mut command: Command, words: &str) -> Child {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains(words), "{line}");
    child
}

/// Gives a command the environment that another one has.
pub fn take_environment(command: &mut Command, of: &Command) {
    for (key, value) in of.get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// Sends a signal to a process that a test started.
pub fn signal(child: &std::process::Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}
