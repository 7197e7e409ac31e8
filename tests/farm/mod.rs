//! The farm of hosts that end-to-end tests run against; `farm.sh` says what it is.
#![allow(dead_code, reason = "each test program uses its own part of it")]

pub mod agent;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Hosts have an RSA key, too.
pub const RSA: (&str, &str) = ("FARM_RSA", "1");
/// OpenSSH's client and server prefer this way to agree on keys. Each spends a tenth of a second on it, as Debian builds it,
/// and Hoist's connections never use it.
const WITHOUT_SNTRUP: &str = "KexAlgorithms -sntrup*";

/// One sshd that plays all hosts of 127.0.0.0/8. Dropping it ends everything that was started through it.
pub struct Farm {
    pub dir: TempDir,
    pub port: u16,
}

impl Farm {
    pub fn up() -> Farm {
        Farm::up_with(&[])
    }

    /// With `FARM_…` variables; `farm.sh` lists them.
    pub fn up_with(environment: &[(&str, &str)]) -> Farm {
        let dir = tempfile::Builder::new().prefix("hoist-farm-").tempdir().unwrap();
        let mut up = script("up", dir.path());
        up.env("FARM_SSHD_OPTS", WITHOUT_SNTRUP);
        for (name, value) in environment {
            match *name {
                "FARM_SSHD_OPTS" if !value.contains("KexAlgorithms") => {
                    up.env(name, format!("{WITHOUT_SNTRUP}\n{value}"))
                }
                name => up.env(name, value),
            };
        }
        let output = up.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let port = std::fs::read_to_string(dir.path().join("port")).unwrap().trim().parse().unwrap();
        Farm { dir, port }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The private key that all hosts let in.
    pub fn key(&self) -> PathBuf {
        self.path("id")
    }

    pub fn known_hosts(&self) -> PathBuf {
        self.path("known_hosts")
    }

    /// A host's own folder: `srv`, `home`, `down`.
    pub fn host(&self, address: &str) -> PathBuf {
        let folder = self.path("hosts").join(address);
        std::fs::create_dir_all(folder.join("home")).unwrap();
        std::fs::create_dir_all(folder.join("srv")).unwrap();
        folder
    }

    pub fn home(&self, address: &str) -> PathBuf {
        self.host(address).join("home")
    }

    /// What is `/srv` over there.
    pub fn srv(&self, address: &str) -> PathBuf {
        self.host(address).join("srv")
    }

    /// Makes a host refuse every command, or no longer.
    pub fn set_down(&self, address: &str, down: bool) {
        let file = self.host(address).join("down");
        if down { std::fs::write(file, "").unwrap() } else { drop(std::fs::remove_file(file)) }
    }

    /// The sshd's log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("sshd.log")).unwrap_or_default()
    }

    /// How many TCP connections a host has had.
    pub fn connections_to(&self, address: &str) -> usize {
        let mark = format!(" on {address} port {} ", self.port);
        self.log()
            .lines()
            .filter(|line| line.starts_with("Connection from ") && format!("{line} ").contains(&mark))
            .count()
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        let done = script("down", self.dir.path()).status();
        if !std::thread::panicking() {
            assert!(done.is_ok_and(|status| status.success()), "the farm could not be taken down");
        }
    }
}

/// A program with the words of systemctl(1), for hosts whose supervisor is runit.
pub fn systemctl() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/farm/systemctl")
}

/// Waits for something that other processes do, half a minute at most.
#[track_caller]
pub fn wait_for(what: &str, is_there: impl Fn() -> bool) {
    for _ in 0..600 {
        if is_there() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("waited in vain for {what}");
}

fn script(verb: &str, dir: &Path) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/farm/farm.sh"));
    command.arg(verb).arg(dir).stdin(Stdio::null());
    command
}
