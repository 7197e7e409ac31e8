//! Git in full: submodules, large files, and checkouts on the deploy host that are not plain, against real sshd hosts.

#[path = "../common/mod.rs"]
mod common;

mod checkouts;
mod large_files;
mod server;
mod submodules;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{CACHE, Farm, Links, Project, address};

/// Every host has this revision live and done.
#[track_caller]
fn all_on(farm: &Farm, hosts: usize, revision: &str) {
    for n in 0..hosts {
        assert_eq!(Links::of(farm, n), Links::finalized(revision), "host {}", address(n));
    }
}

/// The live tree of the n-th host, as this machine sees it.
fn live(farm: &Farm, n: usize) -> PathBuf {
    let cache = farm.srv(&address(n)).join(CACHE);
    cache.join(std::fs::read_link(cache.join("current")).unwrap())
}

#[track_caller]
fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// git in a folder, away from the configuration of whoever runs the tests; what it printed.
#[track_caller]
fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Op", "-c", "user.email=op@example.org", "-c", "protocol.file.allow=always"])
        .args(["-c", "init.defaultBranch=main", "-c", "safe.directory=*"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    let said = [&output.stdout[..], &output.stderr].concat();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&said));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Writes files and commits them in a repository, which is made where it is missing.
fn commit(folder: &Path, files: &[(&str, &str)]) -> String {
    std::fs::create_dir_all(folder).unwrap();
    if !folder.join(".git").exists() {
        git(folder, &["init", "-q"]);
    }
    for (name, text) in files {
        std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        std::fs::write(folder.join(name), text).unwrap();
    }
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "--allow-empty", "-m", "a change"]);
    git(folder, &["rev-parse", "HEAD"])
}
