//! Lists of hosts from Ansible's inventories from commands and from name servers. Ansible itself says what an inventory means.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/programs.rs"]
mod programs;
#[path = "../common/schema.rs"]
mod schema;

mod cases;
mod commands;
mod deployments;
mod names;

use std::path::Path;
use std::process::Command;

use common::{Project, Ran};
use serde_json::{Value, json};

/// A repository that deploys one group, whose targets these lines of its configuration name.
pub fn project(lines: &str) -> Project {
    let project = Project::empty();
    project.write("hoist/hoist.cfg", &format!("[global]\ngit_repo: app\n{lines}"));
    project.write("index.html", "one\n");
    project.commit("one");
    project
}

/// The hosts of an answer of `hoist hosts`, of all groups.
pub fn hosts(ran: &Ran) -> Vec<Value> {
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    schema::Answer::named("hosts").holds(&answer);
    let groups = answer["groups"].as_array().unwrap().iter();
    groups.flat_map(|group| group["hosts"].as_array().unwrap().clone()).collect()
}

/// The names of these hosts.
pub fn names(hosts: &[Value]) -> String {
    hosts.iter().map(|host| host["host"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

/// What Ansible makes of inventories.
fn ansible(asked: &Value) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/python/venv/bin/python");
    assert!(python.exists(), "{} is missing: make deps makes it", python.display());
    let output = programs::run(Command::new(python).arg(root.join("tests/inventory/oracle.py")), &asked.to_string());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A host as both sides describe it.
fn described(host: &Value) -> Value {
    let text = |value: &Value| match value {
        Value::Number(number) => number.to_string().into(),
        other => other.clone(),
    };
    let mut groups: Vec<&str> = host["groups"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    groups.sort_unstable();
    json!({
        "host": host["host"], "groups": groups, "address": host["address"], "user": host["user"],
        "port": text(&host["port"]), "zone": host["labels"]["zone"], "rack": host["labels"]["rack"],
    })
}

#[test]
fn every_inventory_is_read_as_ansible_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let project = project("server_groups: default\nssh_config: none\n");
    let mut asked = Vec::new();
    for (name, case) in cases::ALL.iter().enumerate() {
        for (file, text) in case.files {
            let path = folder.path().join(format!("{name}/{file}"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let path = folder.path().join(format!("{name}/{}", case.path));
        asked.push(json!({"path": path, "patterns": case.patterns}));
    }
    let said = ansible(&asked.clone().into());
    for ((case, asked), said) in cases::ALL.iter().zip(&asked).zip(said.as_array().unwrap()) {
        let inventory = format!("inventory:{}", asked["path"].as_str().unwrap());
        for (at, pattern) in case.patterns.iter().enumerate() {
            let chosen = format!("inventory_hosts:{pattern}");
            let ran = project.run(&["hosts", "--format", "json", "-D", &inventory, "-D", &chosen]);
            let place = format!("{:?} {pattern}: {} {}", case.files, ran.out, ran.err);
            if said == "error" {
                assert_eq!(ran.status, Some(2), "Ansible refuses this: {place}");
                continue;
            }
            let theirs = said[at].as_array().unwrap();
            if theirs.is_empty() {
                assert!(ran.err.contains("no targets") || ran.err.contains("neither a group"), "{place}");
                continue;
            }
            assert_eq!(ran.status, Some(0), "{place}");
            let ours: Vec<Value> = hosts(&ran).iter().map(described).collect();
            assert_eq!(&ours, theirs, "{place}");
        }
    }
}

#[test]
fn the_group_of_hosts_without_a_group_is_below_no_group_since_ansible_drops_its_hosts_then() {
    for (file, text, line) in [
        ("hosts", "b\n[g:children]\nweb\nungrouped\n[web]\na\n", 4),
        ("hosts", "[g:children]\nungrouped\n[ungrouped]\nb\n", 2),
        ("hosts.yml", "g:\n  children:\n    ungrouped:\n      hosts: {x: }\n", 2),
        ("hosts.yml", "ungrouped:\n  hosts: {x: }\ng:\n  children: {ungrouped: }\n", 4),
    ] {
        let project = project(&format!("server_groups: default\ninventory: {file}\ninventory_hosts: all\n"));
        project.write(file, text);
        let ran = project.run(&["hosts"]);
        assert_eq!(ran.status, Some(2), "{text}: {} {}", ran.out, ran.err);
        let told = format!("{file}:{line}: ungrouped has the hosts that are in no group, so it cannot be a child of g");
        assert!(ran.err.contains(&told), "{text}: {}", ran.err);
    }
}
