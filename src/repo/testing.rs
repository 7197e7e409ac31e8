//! Real repositories for tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::Repo;
use crate::wire::Revision;

/// Runs git in a folder, away from the configuration of whoever runs the tests; what it printed.
pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "protocol.file.allow=always"])
        .args(arguments)
        .envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1"), ("LC_ALL", "C")])
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository in a temporary folder that goes with it.
pub struct Scratch {
    pub folder: TempDir,
    pub repo: Repo,
}

impl Scratch {
    /// With nothing in it.
    pub fn new() -> Scratch {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "-q", "-b", "main"]);
        let repo = Repo::open(folder.path()).unwrap();
        Scratch { folder, repo }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        git(self.folder.path(), arguments)
    }

    /// Writes a file and commits it.
    pub fn commit(&self, name: &str, content: &[u8]) -> Revision {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "-q", "-m", &format!("change {name}")]);
        self.head()
    }

    pub fn head(&self) -> Revision {
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }
}

/// Bytes that no compression makes smaller, the same for the same seed.
pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..bytes).map(|_| next()).collect()
}
