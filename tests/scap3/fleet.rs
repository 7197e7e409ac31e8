//! A deploy host with an `/etc` of its own, and targets whose services runit supervises.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::common::{Farm, HOIST, Ran};

/// The repository's name, and where targets have it.
pub const REPO: &str = "service/page";
pub const LIVE: &str = "/srv/deployment/service/page";

/// Where the files of this test program are.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scap3").join(name)
}

/// Becomes the deploy host: its name, and the folders that are its own.
const ENTER: &str = "hostname deploy1.eqiad.wmnet && mount --bind \"$host/etc\" /etc && mount --bind \"$host/run\" /run \
                     && mount --bind \"$host/srv\" /srv && cd \"$repo\" && exec \"$@\"";

/// The deploy host of a farm, with a repository that Scap's users might have, and nothing of Hoist's in it. What holds
/// for the whole host is where Scap has it: `/etc/scap.cfg`, `/etc/dsh/group`, `/etc/ssh/ssh_known_hosts`, and an agent
/// at `/run/keyholder/proxy.sock`.
pub struct DeployHost {
    dir: TempDir,
    agent: Child,
    pub farm: Farm,
    /// The port of each host's page; its worker has the next one.
    pub port: u16,
}

impl DeployHost {
    /// With a first commit of the page.
    pub fn committed() -> DeployHost {
        let host = DeployHost::new();
        host.commit("1");
        host
    }

    pub fn new() -> DeployHost {
        let farm = Farm::up_with(&[("FARM_PATH", "/srv/bin")]);
        let dir = tempfile::Builder::new().prefix("hoist-deploy-host-").tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for folder in ["etc/keyholder.d", "etc/ssh", "run/keyholder", "run/lock", "home", "srv/deployment/service"] {
            std::fs::create_dir_all(path(folder)).unwrap();
        }
        for name in ["passwd", "group", "hosts", "nsswitch.conf"] {
            drop(std::fs::copy(Path::new("/etc").join(name), path("etc").join(name)));
        }
        copy(&fixture("etc/dsh"), &path("etc/dsh"));
        let scap = std::fs::read_to_string(fixture("etc/scap.cfg")).unwrap();
        // A farm's sshd is not at the usual port, and a test has no time to copy the program to every host.
        let ours = format!("\n[eqiad.wmnet]\nssh_port: {}\nremote_binary: {HOIST}\n", farm.port);
        std::fs::write(path("etc/scap.cfg"), scap + &ours).unwrap();
        std::fs::copy(farm.known_hosts(), path("etc/ssh/ssh_known_hosts")).unwrap();
        std::fs::copy(farm.path("id.pub"), path("etc/keyholder.d/deploy_page.pub")).unwrap();
        let socket = path("run/keyholder/proxy.sock");
        let agent = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        // The socket is there a moment before anybody listens.
        crate::common::wait_for("the agent", || {
            let added = Command::new("ssh-add").arg("-q").arg(farm.key()).env("SSH_AUTH_SOCK", &socket).output();
            added.unwrap().status.success()
        });
        let port = crate::common::ports::free();
        let host = DeployHost { dir, agent, farm, port };
        copy(&fixture("page"), &host.repo());
        host.git(&["init", "-q", "-b", "master"]);
        host
    }

    /// The repository's working tree, as the machine sees it.
    pub fn repo(&self) -> PathBuf {
        self.dir.path().join("srv/deployment").join(REPO)
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        crate::common::git(&self.repo(), arguments)
    }

    /// Commits everything, with this as the page's version, and returns the revision.
    pub fn commit(&self, version: &str) -> String {
        std::fs::write(self.repo().join("version"), format!("{version}\n")).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", version]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// `hoist` in the repository, on this deploy host.
    pub fn hoist(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--uts", "--mount", "--propagation", "private", "sh", "-c", ENTER, "sh", HOIST])
            .args(arguments)
            .env("host", self.dir.path())
            .env("repo", Path::new("/srv/deployment").join(REPO))
            .env("HOME", self.dir.path().join("home"))
            .env("USER", "op")
            .env("NO_COLOR", "1")
            .env_remove("SUDO_USER")
            .env_remove("SSH_AUTH_SOCK")
            .env_remove("HOIST_GLOBAL_CONFIG")
            .stdin(Stdio::null());
        command
    }

    /// The same, to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.hoist(arguments).output().unwrap())
    }

    /// A file of the deploy host's that is its own: below `etc`, `run` and `srv`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `hoist deploy --yes`.
    pub fn deploy(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["deploy", "--yes"], arguments].concat())
    }

    /// The command by which a target deploys as Scap does.
    pub fn scap(&self, revision: &str, colour: &str) -> String {
        format!("scap-target '{}/.git' {revision} {colour}", self.repo().display())
    }

    /// The target 127.0.0.`number`.
    pub fn target(&self, number: u8) -> Target<'_> {
        Target { farm: &self.farm, address: format!("127.0.0.{number}"), port: self.port }
    }
}

impl Drop for DeployHost {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

/// One host of the farm.
pub struct Target<'a> {
    farm: &'a Farm,
    pub address: String,
    port: u16,
}

impl Target<'_> {
    /// What a shell command says over there; it has to end well.
    #[track_caller]
    pub fn sh(&self, command: &str) -> String {
        let output = Command::new("ssh")
            .args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-l", "root", "-i"])
            .arg(self.farm.key())
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", self.farm.known_hosts().display()))
            .args(["-p", &self.farm.port.to_string(), &self.address, command])
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {command}: {errors}", self.address);
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// What Scap's targets have that is none of Scap's: an nrpe command, secrets, and runit, which supervises these
    /// services and answers to the name of systemctl.
    pub fn furnish(&self, services: &[&str]) {
        let srv = self.farm.srv(&self.address);
        for folder in ["bin", "nrpe.d", "etc", "service"] {
            std::fs::create_dir_all(srv.join(folder)).unwrap();
        }
        std::fs::write(srv.join("nrpe.d/load.cfg"), "command[check_load]=/srv/bin/check_load -w 15 -c 30\n").unwrap();
        script(&srv.join("bin/check_load"), "#!/bin/sh\necho \"LOAD OK $*\"\n");
        std::fs::write(srv.join("etc/page-secrets.yaml"), "secret: hunter2\n").unwrap();
        std::fs::copy(crate::common::farm::systemctl(), srv.join("bin/systemctl")).unwrap();
        std::fs::copy(fixture("scap-target"), srv.join("bin/scap-target")).unwrap();
        std::fs::write(srv.join("address"), format!("{} {}\n", self.address, self.port)).unwrap();
        for (number, name) in services.iter().enumerate() {
            let folder = srv.join("service").join(name);
            std::fs::create_dir_all(&folder).unwrap();
            let (address, port) = (&self.address, self.port as usize + number);
            let wait = format!("until [ -x {LIVE}/bin/server ]; do sleep 0.05; done");
            // A reload that comes before the server has a handler for it is not to end it.
            let run =
                format!("#!/bin/sh\ntrap '' HUP\nexec 2>&1\n{wait}\nexec {LIVE}/bin/server {name} {address} {port}\n");
            script(&folder.join("run"), &run);
        }
        if !services.is_empty() {
            self.sh("setsid -f runsvdir -P /srv/service >/srv/runsvdir.log 2>&1 </dev/null");
            crate::common::wait_for("runit", || {
                services.iter().all(|name| srv.join("service").join(name).join("supervise/ok").exists())
            });
        }
    }

    /// What a service says: its name, the version that it runs, its process.
    pub fn says(&self, service: usize) -> Option<(String, u32)> {
        let connection = std::net::TcpStream::connect((self.address.as_str(), self.port + service as u16)).ok()?;
        let text = std::io::read_to_string(connection).ok()?;
        let mut words = text.split_whitespace().skip(1);
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    }

    /// Waits until a service runs a version; returns its process.
    #[track_caller]
    pub fn wait_until_runs(&self, service: usize, version: &str) -> u32 {
        let what = format!("{} of service {service} on {}", version, self.address);
        crate::common::wait_for(&what, || self.says(service).is_some_and(|(says, _)| says == version));
        self.says(service).unwrap().1
    }

    /// Deploys as Scap does.
    pub fn scap(&self, host: &DeployHost, revision: &str, colour: &str) {
        self.sh(&host.scap(revision, colour));
    }

    /// The revisions that `current`, `.done`, `.in-progress` and the service's path lead to; `-` for none.
    pub fn links(&self) -> String {
        let one = |link: &str| format!("basename \"$(readlink {LIVE}{link} || echo -)\"");
        self.sh(&["-cache/current", "-cache/.done", "-cache/.in-progress", ""].map(one).join("; ")).replace('\n', " ")
    }

    /// The lines that checks wrote.
    pub fn checked(&self) -> Vec<String> {
        self.sh("cat /srv/checks.log 2>/dev/null; rm -f /srv/checks.log").lines().map(str::to_owned).collect()
    }
}

/// [`Target::links`] of a host on which a revision is finalized.
pub fn finalized(revision: &str) -> String {
    format!("{revision} {revision} - {revision}")
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}
