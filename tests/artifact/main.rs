//! Artifacts: archives, directories and URLs that are deployed instead of a commit.

#[path = "../common/mod.rs"]
mod common;
mod deploy;
mod formats;
mod kept;
mod refused;

use std::path::Path;
use std::process::Command;

use hoist::artifact::{Imported, import};
use hoist::wire::ArtifactRules;

/// The rules of these tests: at most 8 MiB.
const RULES: ArtifactRules = ArtifactRules { strip_components: 0, max_bytes: 8 << 20, outside_links: false };

/// Runs a line of shell in a directory; what it prints.
fn sh(dir: &Path, line: &str) -> String {
    let output = Command::new("bash").args(["-ec", line]).current_dir(dir).env("LC_ALL", "C.UTF-8").output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A new bare repository.
fn store(dir: &Path) -> std::path::PathBuf {
    sh(dir, "git init -q --bare store.git");
    dir.join("store.git")
}

fn imported(source: &Path, store: &Path, rules: &ArtifactRules) -> anyhow::Result<Imported> {
    import(source, store, rules, &|| Ok(()))
}

/// What a repository holds beside its configuration: nothing may be left of an artifact that was refused.
fn contents(store: &Path) -> String {
    sh(store, "find . -type f -not -path './hooks/*' | sort")
}
