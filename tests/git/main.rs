//! Git in full: submodules, large files, and checkouts on the deploy host that are not plain, against real sshd hosts.

#[path = "../common/mod.rs"]
mod common;

#[path = "../common/http.rs"]
mod http;

mod checkouts;
mod large_files;
mod server;
mod submodules;

use std::path::{Path, PathBuf};

use common::{CACHE, Farm, Links, Project, address, all_on, git};

/// Every host has this revision live and done.
/// The live tree of the n-th host, as this machine sees it.
fn live(farm: &Farm, n: usize) -> PathBuf {
    let cache = farm.srv(&address(n)).join(CACHE);
    cache.join(std::fs::read_link(cache.join("current")).unwrap())
}

#[track_caller]
fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
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
