//! Where lists of hosts come from besides target files: Ansible's inventories, commands, and name servers.

mod command;
mod dns;
mod files;
mod hosts;
mod ini;
mod literal;
mod output;
mod pattern;
mod reader;
mod tree;
mod values;
mod variables;
mod vars_files;

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::problem::Problem;

pub use command::{Command, run};
#[cfg(feature = "test-access")]
pub use dns::answered;
pub use dns::look_up;
pub use files::{Found, read};
pub use output::Output;

/// The most hosts that are read: what lists more is taken for a mistake.
pub const MOST_HOSTS: usize = 100_000;
/// The most groups that are read.
const MOST_GROUPS: usize = 10_000;

/// The variable that a group's priority is in.
const PRIORITY: &str = "ansible_group_priority";

/// Variables by their names.
type Vars = Map<String, Value>;

/// Where something stands, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    file: String,
    /// From 1; `None`: not in one line.
    line: Option<usize>,
}

impl Place {
    fn at(file: &str, line: usize) -> Place {
        Place { file: file.to_owned(), line: Some(line) }
    }

    fn problem(&self, why: impl std::fmt::Display) -> Problem {
        match self.line {
            Some(line) => Problem::at(&self.file, line, why.to_string()),
            None => Problem::of_file(&self.file, format!("{}: {why}", self.file)),
        }
    }
}

/// A host of an inventory.
#[derive(Debug)]
struct Host {
    place: Place,
    vars: Vars,
    /// The groups that list it, not those above them.
    groups: Vec<String>,
}

/// A group of an inventory.
#[derive(Debug, Default)]
struct Group {
    hosts: Vec<String>,
    children: Vec<String>,
    parents: Vec<String>,
    vars: Vars,
    /// How far below `all` it is: variables of deeper groups win.
    depth: usize,
}

impl Group {
    /// Which of the groups of the same depth wins: the one with the highest. `None`: it is not a number.
    fn priority(&self) -> Option<i64> {
        self.vars.get(PRIORITY).map_or(Some(1), |value| values::text(value)?.trim().parse().ok())
    }
}

/// Hosts and groups, as Ansible understands them. Hosts and groups keep the order in which they were first named.
#[derive(Debug)]
pub struct Inventory {
    hosts: IndexMap<String, Host>,
    groups: IndexMap<String, Group>,
    /// Remarks for the operator.
    pub remarks: Vec<Problem>,
    /// Variables of files beside the inventory: for groups, and for hosts.
    group_files: IndexMap<String, FileVars>,
    host_files: IndexMap<String, FileVars>,
}

/// Variables of files.
#[derive(Debug, Default)]
struct FileVars {
    vars: Vars,
    /// The file of each, as messages name it.
    files: HashMap<String, Arc<str>>,
}

impl Default for Inventory {
    fn default() -> Inventory {
        let (hosts, groups, remarks, group_files, host_files) = Default::default();
        let mut inventory = Inventory { hosts, groups, remarks, group_files, host_files };
        inventory.groups.insert("all".into(), Group::default());
        inventory.groups.insert("ungrouped".into(), Group::default());
        let _ = inventory.add_child("all", "ungrouped");
        inventory
    }
}

impl Inventory {
    fn add_group(&mut self, name: &str) -> Result<(), String> {
        if !self.groups.contains_key(name) {
            if self.groups.len() >= MOST_GROUPS {
                return Err(format!("it has more than {MOST_GROUPS} groups"));
            }
            self.groups.insert(name.to_owned(), Group::default());
        }
        Ok(())
    }

    /// Adds a host to a group. As for Ansible, the port behind its name counts only where the host is named first.
    fn add_host(
        &mut self,
        name: &str,
        port: Option<u16>,
        place: &Place,
        vars: &Vars,
        group: &str,
    ) -> Result<(), String> {
        if !self.hosts.contains_key(name) && self.hosts.len() >= MOST_HOSTS {
            return Err(format!("it lists more than {MOST_HOSTS} hosts"));
        }
        let new = || Host {
            place: place.clone(),
            vars: port.map(|port| ("ansible_port".to_owned(), port.into())).into_iter().collect(),
            groups: Vec::new(),
        };
        let host = self.hosts.entry(name.to_owned()).or_insert_with(new);
        host.vars.extend(vars.clone());
        self.add_group(group)?;
        let host = &mut self.hosts[name];
        if !host.groups.iter().any(|known| known == group) {
            host.groups.push(group.to_owned());
            self.groups[group].hosts.push(name.to_owned());
        }
        Ok(())
    }

    fn add_child(&mut self, parent: &str, child: &str) -> Result<(), String> {
        self.add_group(parent)?;
        self.add_group(child)?;
        // Ansible drops the hosts of this group then, since they are in a second one.
        if child == "ungrouped" && parent != "all" {
            let why = "ungrouped has the hosts that are in no group, so it cannot be a child";
            return Err(format!("{why} of {parent}: give these hosts a group of their own"));
        }
        if parent == child || self.above(parent).contains(&child) {
            return Err(format!("group {child} cannot be below {parent}, which is below it"));
        }
        if !self.groups[parent].children.iter().any(|known| known == child) {
            self.groups[parent].children.push(child.to_owned());
            self.groups[child].parents.push(parent.to_owned());
            self.deepen(child, self.groups[parent].depth + 1);
        }
        Ok(())
    }

    fn deepen(&mut self, group: &str, depth: usize) {
        // Without recursion: a chain of groups may be long.
        let mut due = vec![(group.to_owned(), depth)];
        while let Some((group, depth)) = due.pop() {
            let group = &mut self.groups[&group];
            if group.depth < depth {
                group.depth = depth;
                due.extend(group.children.iter().map(|child| (child.clone(), depth + 1)));
            }
        }
    }

    /// The groups above a group.
    fn above<'a>(&'a self, group: &str) -> Vec<&'a str> {
        let mut found: Vec<&str> = Vec::new();
        let mut due: Vec<&str> = self.groups[group].parents.iter().map(String::as_str).collect();
        while let Some(next) = due.pop() {
            if !found.contains(&next) {
                found.push(next);
                due.extend(self.groups[next].parents.iter().map(String::as_str));
            }
        }
        found
    }

    /// Puts every group below `all`, and hosts without a group into `ungrouped`, as Ansible does once all is read.
    ///
    /// # Errors
    /// A group's priority is no number, or all hosts are below a group of their own.
    fn settle(&mut self) -> Result<(), String> {
        let names: Vec<String> = self.groups.keys().cloned().collect();
        for name in names.iter().filter(|name| *name != "all") {
            if self.groups[name].parents.is_empty() {
                self.add_child("all", name)?;
            }
        }
        let plain = |group: &String| group == "all" || group == "ungrouped";
        let is_in = |host: &Host| host.groups.iter().any(|group| group == "ungrouped");
        for (name, host) in &mut self.hosts {
            if !host.groups.iter().all(plain) {
                host.groups.retain(|group| group != "ungrouped");
            } else if !is_in(host) {
                host.groups.push("ungrouped".into());
                self.groups["ungrouped"].hosts.push(name.clone());
            }
        }
        // In one go: an inventory may list all its hosts ahead of its groups.
        self.groups["ungrouped"].hosts.retain(|name| is_in(&self.hosts[name]));
        let wrong = self.groups.iter().find(|(_, group)| group.priority().is_none());
        wrong.map_or(Ok(()), |(name, _)| Err(format!("{PRIORITY} of group {name} is not a whole number")))
    }

    /// Refuses hosts that only Ansible can tell apart: names of hosts are the same in any case.
    fn check_names(&self) -> Result<(), Problem> {
        let mut known: HashMap<String, &str> = HashMap::new();
        for (name, host) in &self.hosts {
            if let Some(first) = known.insert(name.to_ascii_lowercase(), name) {
                let why = format!("the hosts {first} and {name} have the same name but for its case: rename one");
                return Err(host.place.problem(why));
            }
        }
        Ok(())
    }

    /// The hosts of a group and of all below it, in Ansible's order.
    fn hosts_of(&self, group: &str) -> Vec<&str> {
        let mut groups: indexmap::IndexSet<&str> = [group].into();
        let mut at = 0;
        while let Some(next) = groups.get_index(at).copied() {
            groups.extend(self.groups[next].children.iter().map(String::as_str));
            at += 1;
        }
        let hosts: indexmap::IndexSet<&str> =
            groups.into_iter().flat_map(|group| &self.groups[group].hosts).map(String::as_str).collect();
        hosts.into_iter().collect()
    }

    /// The groups of a host but `all`, those above among them, in the order in which their variables count.
    fn groups_of(&self, host: &str) -> Vec<&str> {
        let own = self.hosts[host].groups.iter().map(String::as_str);
        let mut groups: Vec<&str> = own.flat_map(|group| [vec![group], self.above(group)].concat()).collect();
        groups.sort_by_key(|name| {
            let group = &self.groups[*name];
            (group.depth, group.priority().unwrap_or_default(), *name)
        });
        groups.dedup();
        groups.retain(|group| *group != "all");
        groups
    }
}
