//! The fixtures leave no key of Scap's out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use argh::ArgsInfo;
use hoist::config::keys::{self, Found, KEYS};
use hoist::config::scap_keys;

use crate::fleet::fixture;

/// Scap's own keys; there will be no more of them.
const SCAPS: [&str; 40] = [
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
    "tcpircbot_host",
    "tcpircbot_port",
    "statsd_host",
    "statsd_port",
    "udp2log_host",
    "udp2log_port",
    "use_syslog",
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

/// The rows of the page's table: a key, or a command and the names of its flag; and what becomes of it.
fn table() -> BTreeMap<String, String> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("man/hoist-scap3.7")).unwrap();
    let (_, section) = page.split_once(".Sh KEYS AND FLAGS\n").unwrap();
    let section = section.split(".Sh ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix(".It Ic ")?.split_once(" Ta "));
    rows.map(|(what, word)| (what.to_owned(), word.to_owned())).collect()
}

#[test]
fn the_page_on_moving_from_scap_says_what_becomes_of_every_key() {
    let mut table = table();
    table.retain(|what, _| !what.contains(' '));
    let warned: BTreeSet<&str> = scap_keys::of_deployments().chain(["max_failures"]).collect();
    let all: BTreeSet<&str> = warned.iter().copied().chain(SCAPS).collect();
    assert_eq!(table.keys().map(String::as_str).collect::<BTreeSet<_>>(), all);
    for (key, word) in &table {
        let wanted: &[&str] = if warned.contains(key.as_str()) { &["warned"] } else { &["same", "better"] };
        assert!(wanted.contains(&word.as_str()), "{key} {word}");
        let is_known = keys::bare(key).is_some();
        assert_eq!(is_known, !scap_keys::of_deployments().any(|name| name == key), "{key}");
    }
}

#[test]
fn the_page_on_moving_from_scap_says_what_becomes_of_every_flag() {
    let commands = hoist::cli::Hoist::get_args_info().commands;
    let mut rows = 0;
    for (what, word) in table().iter().filter(|(what, _)| what.contains(' ')) {
        let mut words = what.split_whitespace();
        let scaps = words.next().unwrap();
        let name = if scaps == "deploy-log" { "log" } else { scaps };
        let command = commands.iter().find(|command| command.name == name).unwrap();
        let names: Vec<&str> = words.filter(|word| !["Fl", ","].contains(word)).collect();
        // A long name may be shortened, as it may be with Scap.
        let is_there = |name: &str| match name.strip_prefix('-') {
            Some(long) => {
                let fitting = command
                    .command
                    .flags
                    .iter()
                    .map(|it| it.long.trim_start_matches('-'))
                    .filter(|it| it.starts_with(long));
                fitting.clone().any(|it| it == long) || fitting.count() == 1
            }
            None => command.command.flags.iter().any(|it| it.short == name.chars().next()),
        };
        match word.as_str() {
            "same" | "better" => names.iter().for_each(|name| assert!(is_there(name), "{what}: {name}")),
            // The letter is there, and stands for something else.
            "other" => names.iter().for_each(|name| assert!(is_there(name), "{what}: {name}")),
            "refused" => names.iter().for_each(|name| assert!(!is_there(name), "{what}: {name}")),
            _ => panic!("{what}: {word} is no word for a flag"),
        }
        rows += 1;
    }
    // What `scap deploy --help` and the others list.
    assert_eq!(rows, 27);
}
