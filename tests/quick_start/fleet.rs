//! Hosts of the farm as README.md wants them: an account, a service under a supervisor, and a repository to deploy.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{Farm, Project, farm, wait_for};
use crate::readme;

/// The port of the quick start's service.
pub const PORT: u16 = 8080;

/// What is committed.
#[derive(Debug, Clone, Copy)]
pub enum Release<'a> {
    /// A service that answers with this word.
    Good(&'a str),
    DoesNotStart,
    /// The same, on one host.
    BreaksOn(&'a str, &'a str),
}

/// Canaries and other hosts, each with a service `page` on port 8080 of its own address.
pub struct Fleet {
    pub project: Project,
    pub addresses: Vec<String>,
    canaries: usize,
    pub farm: Farm,
}

impl Fleet {
    /// A fleet with the quick start's configuration, on which release `one` is live.
    pub fn serving(canaries: usize, others: usize) -> Fleet {
        let fleet = Fleet::new(canaries, others);
        fleet.write_quick_start();
        fleet.release(Release::Good("one"));
        fleet.project.deploy(&[]).ends(0);
        fleet
    }

    pub fn new(canaries: usize, others: usize) -> Fleet {
        let farm = Farm::up_with(&[("FARM_PATH", "/srv/bin"), ("FARM_USER", "deploy"), ("FARM_HOSTNAMES", "1")]);
        // Addresses that no other test serves on: the port is the quick start's own.
        static FLEETS: AtomicUsize = AtomicUsize::new(1);
        let fleet = FLEETS.fetch_add(1, Ordering::Relaxed);
        let addresses: Vec<String> = (1..=canaries + others).map(|n| format!("127.77.{fleet}.{n}")).collect();
        let project = Project::empty();
        let fleet = Fleet { project, addresses, canaries, farm };
        std::thread::scope(|scope| {
            for address in &fleet.addresses {
                scope.spawn(|| fleet.furnish(address));
            }
        });
        fleet
    }

    /// git and sshd are there; this adds the service, its supervisor, and localhost as this host alone has it.
    fn furnish(&self, address: &str) {
        let srv = self.farm.srv(address);
        for folder in ["bin", "service/page", "deployment"] {
            fs::create_dir_all(srv.join(folder)).unwrap();
        }
        fs::copy(farm::systemctl(), srv.join("bin/systemctl")).unwrap();
        let live = "/srv/deployment/web/page";
        let run = format!(
            "#!/bin/sh\nexec 2>&1\nuntil [ -x {live}/serve ]; do sleep 0.05; done\ncd {live}\nADDRESS={address} exec ./serve\n"
        );
        let path = srv.join("service/page/run");
        fs::write(&path, run).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        fs::write(self.farm.home(address).join(".curlrc"), format!("resolve = \"localhost:{PORT}:{address}\"\n"))
            .unwrap();
        self.sh(address, "setsid -f runsvdir -P /srv/service >/srv/runsvdir.log 2>&1 </dev/null");
        wait_for("runit", || srv.join("service/page/supervise/ok").exists());
    }

    fn sh(&self, address: &str, command: &str) {
        let ended = Command::new("ssh")
            .args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-l", "deploy", "-i"])
            .arg(self.farm.key())
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", self.farm.known_hosts().display()))
            .args(["-p", &self.farm.port.to_string(), address, command])
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(ended.success(), "{address}: {command}");
    }

    /// The files of the quick start, and on the deploy host what every operator has: a key and known hosts.
    pub fn write_quick_start(&self) {
        let (canaries, others) = self.addresses.split_at(self.canaries);
        self.project.write("hoist/hoist.cfg", &readme::hoist_cfg());
        self.project.write("hoist/checks.yaml", &readme::checks());
        self.project.write("hoist/canary", &(canaries.join("\n") + "\n"));
        self.project.write("hoist/targets", &(others.join("\n") + "\n"));
        let serve = include_str!("serve");
        self.project.write("serve", serve);
        fs::set_permissions(self.project.path("serve"), PermissionsExt::from_mode(0o755)).unwrap();
        self.project.set_global(&format!(
            "[global]\nssh_port: {}\nidentity_file: {}\nknown_hosts: {}\nssh_config: none\nremote_binary: {}\nlock_dir: {}\n",
            self.farm.port,
            self.farm.key().display(),
            self.farm.known_hosts().display(),
            crate::common::HOIST,
            self.project.path(".git").display(),
        ));
    }

    /// Commits a release.
    pub fn release(&self, release: Release) -> String {
        let (name, broken_on) = match release {
            Release::Good(name) => (name, "nowhere"),
            Release::DoesNotStart => ("broken", "every host"),
            Release::BreaksOn(name, address) => (name, address),
        };
        self.project.write("release", &format!("{name}\n"));
        self.project.write("broken-on", &format!("{broken_on}\n"));
        self.project.commit(name)
    }

    /// Adds lines to `hoist/hoist.cfg` as they are.
    pub fn append_keys(&self, keys: &str) {
        let path = self.project.path("hoist/hoist.cfg");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{}\n{keys}", text.trim_end())).unwrap();
    }

    pub fn canaries(&self) -> &[String] {
        &self.addresses[..self.canaries]
    }

    /// How the lease of a host stands, which it keeps on its disk.
    pub fn lease_of(&self, address: &str) -> Option<String> {
        let path = self.farm.srv(address).join("deployment/web/page-cache/.hoist/lease.json");
        let lease: serde_json::Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        Some(lease["stands"]["lease"].as_str().unwrap_or_default().to_owned())
    }

    #[track_caller]
    pub fn assert_all_serve(&self, release: &str) {
        for address in &self.addresses {
            assert_eq!(get(&format!("{address}:{PORT}")).ok().as_deref(), Some(release), "{address}");
        }
    }

    pub fn path(&self) -> &Path {
        self.farm.dir.path()
    }
}

/// The body of a page that is served with status 200.
pub fn get(authority: &str) -> Result<String, String> {
    get_page(authority, "/")
}

/// The same of the page at a path.
pub fn get_page(authority: &str, path: &str) -> Result<String, String> {
    let mut connection = TcpStream::connect(authority).map_err(|error| format!("connect: {error}"))?;
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    connection.write_all(request.as_bytes()).map_err(|error| format!("send: {error}"))?;
    let mut text = String::new();
    connection.read_to_string(&mut text).map_err(|error| format!("receive: {error}"))?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200") => {
            Ok(body.trim().to_owned())
        }
        _ => Err(format!("no page: {:?}", text.lines().next().unwrap_or_default())),
    }
}
