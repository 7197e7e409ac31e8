//! The fixtures leave no key of Scap's out.

use std::collections::BTreeSet;
use std::path::Path;

use hoist::config::keys::{self, Found, KEYS};

use crate::fleet::fixture;

/// Keys that Scap does not have.
const HOISTS_OWN: [&str; 13] = [
    "ssh_port",
    "identity_file",
    "known_hosts",
    "host_key_checking",
    "ssh_config",
    "connect_timeout",
    "reconnect_timeout",
    "keepalive",
    "remote_binary",
    "retry_failed",
    "failed_targets",
    "stage_timeout",
    "confirm_timeout",
];

/// The keys that a file sets, by the name that they have in the table.
fn keys_of(file: &Path, found: &mut BTreeSet<&'static str>) {
    let text = std::fs::read_to_string(file).unwrap();
    for line in text.lines().filter(|line| !line.starts_with([' ', '#', ';', '['])) {
        let Some((name, _)) = line.split_once([':', '=']) else { continue };
        match keys::find(&name.trim().to_lowercase()) {
            Some(Found::Bare(key) | Found::Group(_, key) | Found::Stage(_, key)) => found.insert(key.name),
            None => continue,
        };
    }
}

#[test]
fn the_fixtures_use_every_key_of_scaps() {
    let mut used = BTreeSet::new();
    for file in ["etc/scap.cfg", "page/scap/scap.cfg"] {
        keys_of(&fixture(file), &mut used);
    }
    for environment in std::fs::read_dir(fixture("page/scap/environments")).unwrap() {
        let file = environment.unwrap().path().join("scap.cfg");
        keys_of(&file, &mut used);
    }
    let unused: Vec<&str> = KEYS.iter().map(|key| key.name).filter(|name| !used.contains(name)).collect();
    println!("no fixture uses {}", unused.join(", "));
    let forgotten: Vec<&&str> = unused.iter().filter(|name| !HOISTS_OWN.contains(name)).collect();
    assert_eq!(forgotten, ["service_command"].iter().collect::<Vec<_>>(), "a key of Scap's that no fixture uses");
}
