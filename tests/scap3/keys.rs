//! The fixtures leave no key of Scap's out.

use std::collections::BTreeSet;
use std::path::Path;

use hoist::config::keys::{self, Found, KEYS};

use crate::fleet::fixture;

/// Scap's own keys; there will be no more of them.
const SCAPS: [&str; 33] = [
    "git_repo",
    "git_deploy_dir",
    "git_rev",
    "git_server",
    "git_scheme",
    "git_submodules",
    "git_upstream_submodules",
    "git_fat",
    "git_binary_manager",
    "ssh_user",
    "keyholder_key",
    "dsh_targets",
    "server_groups",
    "group_size",
    "failure_limit",
    "max_failures",
    "batch_size",
    "service_name",
    "require_valid_service",
    "service_port",
    "service_timeout",
    "config_deploy",
    "perform_checks",
    "nrpe_dir",
    "cache_revs",
    "tags_to_keep",
    "lock_file",
    "lock_dir",
    "umask",
    "environment",
    "block_deployments",
    "require_terminal_multiplexer",
    "secondary_host_signal_file",
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
    let unused = |name: &&str| !used.contains(*name);
    let others: Vec<&str> =
        KEYS.iter().map(|key| key.name).filter(|name| !SCAPS.contains(name)).filter(unused).collect();
    println!("no fixture uses Hoist's own {}", others.join(", "));
    let forgotten: Vec<&str> = SCAPS.into_iter().filter(unused).collect();
    assert!(forgotten.is_empty(), "no fixture uses {}", forgotten.join(", "));
}

#[test]
fn the_page_on_moving_from_scap_names_every_key_of_scaps_that_is_in_the_table() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("man/hoist-scap3.7")).unwrap();
    let words: BTreeSet<&str> = page.split_whitespace().collect();
    for key in SCAPS {
        assert!(keys::bare(key).is_some(), "{key} is not known");
        assert!(words.contains(key), "hoist-scap3(7) does not tell of {key}");
    }
}
