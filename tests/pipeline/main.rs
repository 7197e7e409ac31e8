//! Deployments from the pipelines of CI systems: what they show, what they read, and the examples.

#[path = "../common/mod.rs"]
mod common;

mod examples;
mod junit;
mod logs;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use common::{Project, address};

/// Python with the readers that judge: junitparser and PyYAML.
fn python(arguments: &[&str]) -> Value {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/venv/bin/python");
    let output = Command::new(&python).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}: make deps installs it", python.display()));
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A file of this test program.
fn own(name: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/pipeline").join(name).display().to_string()
}

/// What a host prints that wants to be a command, or an element.
const HOSTILE: &str = "::error::forged\\n\\n  ::set-output name=a::b\\n##[add-mask]x\\n]]> <b> & \\001\\033[31mred \\302\\233 \
                       \\357\\277\\277 \\377 section_start:1:x\\r\\033[0Khey\\n";

/// Has the promote of hosts fail that have a file `bad` in their /srv, behind hostile output.
fn with_check(project: &Project) {
    let script = format!("#!/bin/sh\ntest ! -e /srv/bad || {{ printf '{HOSTILE}'; exit 3; }}\n");
    project.write("hoist/scripts/check.sh", &script);
    let run = Command::new("chmod").arg("+x").arg(project.path("hoist/scripts/check.sh")).status().unwrap();
    assert!(run.success());
    project
        .write("hoist/checks.yaml", "checks:\n  fine:\n    type: script\n    stage: promote\n    command: check.sh\n");
    project.commit("A check");
}

/// Makes the check of the n-th host fail, or no longer.
fn set_bad(farm: &common::Farm, n: usize, bad: bool) {
    let file = farm.srv(&address(n)).join("bad");
    if bad { std::fs::write(file, "").unwrap() } else { std::fs::remove_file(file).unwrap() }
}
