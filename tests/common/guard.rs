//! Whether hosts may serve, by `hoist deploy-local guard`.

use std::path::PathBuf;
use std::process::Command;

use crate::common::{CACHE, Farm, HOIST, address};

/// The exit status of the guard on a host, and what it said.
pub fn guard(farm: &Farm, n: usize) -> (i32, String) {
    let line = r#"mount --bind "$0" /srv && exec "$1" deploy-local -r app guard"#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", line]).arg(farm.srv(&address(n))).arg(HOIST);
    let output = command.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// Which of the first hosts may serve.
pub fn serving(farm: &Farm, hosts: usize) -> Vec<usize> {
    (0..hosts).filter(|n| guard(farm, *n).0 == 0).collect()
}

/// A record of a host's own.
pub fn own(farm: &Farm, n: usize, name: &str) -> PathBuf {
    farm.srv(&address(n)).join(CACHE).join(".hoist").join(name)
}

/// As if a host had been started again.
pub fn start_again(farm: &Farm, n: usize) {
    let path = own(farm, n, "confirmed.json");
    let mut record: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    record["boot"] = "another".into();
    std::fs::write(path, record.to_string()).unwrap();
}
