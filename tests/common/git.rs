//! git, away from the configuration of whoever runs the tests.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use std::path::Path;
use std::process::Command;

/// Runs git in a folder; what it printed, without the space at its end.
#[track_caller]
pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Op", "-c", "user.email=op@example.org", "-c", "commit.gpgsign=false"])
        .args(["-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always", "-c", "safe.directory=*"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    let said = [&output.stdout[..], &output.stderr].concat();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&said));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}
