//! How `hoist hosts` looks.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::operation::HostList;
use crate::targets::Target;
use crate::terminal::Page;
use crate::text;

/// For people: each group with its hosts, and what is set of address, user, port and labels.
pub fn text(list: &HostList) -> Page {
    let mut page = Page::default();
    let hosts = list.groups.iter().flat_map(|group| &group.targets);
    let width = hosts.map(|target| target.host.chars().count()).max().unwrap_or(0);
    for group in &list.groups {
        page.line(format!("{} ({})", group.name, text::hosts(group.targets.len())));
        for target in &group.targets {
            let host = Host::of(target, list);
            let word = |name: &str, value: Option<String>| value.map(|value| format!("{name} {value}"));
            let labels = host.labels.iter().map(|(name, value)| format!("{name}={value}"));
            let groups = (!host.groups.is_empty()).then(|| format!("in {}", host.groups.join(", ")));
            let known = [
                word("address", host.address.map(str::to_owned)),
                word("user", host.user.map(str::to_owned)),
                word("port", host.port.map(|port| port.to_string())),
            ];
            let words = known.into_iter().flatten().chain(labels).chain(groups).map(|word| format!("  {word}"));
            page.line(format!("  {:width$}{}", host.host, words.collect::<String>()).trim_end());
        }
    }
    page
}

/// The names alone, each once, as `-l` takes them.
pub fn names(list: &HostList) -> Page {
    let mut page = Page::default();
    let mut seen = std::collections::HashSet::new();
    for target in list.groups.iter().flat_map(|group| &group.targets).filter(|target| seen.insert(&target.host)) {
        page.line(&target.host);
    }
    page
}

/// For programs: the object of `--format json`.
#[derive(Serialize)]
pub struct Answer<'a> {
    repo: &'a str,
    groups: Vec<ListedGroup<'a>>,
}

#[derive(Serialize)]
struct ListedGroup<'a> {
    name: &'a str,
    hosts: Vec<Host<'a>>,
}

#[derive(Serialize)]
struct Host<'a> {
    host: &'a str,
    address: Option<&'a str>,
    user: Option<&'a str>,
    port: Option<u16>,
    labels: BTreeMap<&'a str, &'a str>,
    /// Of the inventory.
    groups: &'a [String],
}

impl<'a> Host<'a> {
    fn of(target: &'a Target, list: &'a HostList) -> Host<'a> {
        let details = target.details.as_deref();
        let labels = details.into_iter().flat_map(|details| &details.labels);
        Host {
            host: &target.host,
            address: details.and_then(|details| details.address.as_deref()),
            user: target.login_user().or(list.login.user.as_deref()),
            port: target.login_port().or(list.login.port),
            labels: labels.map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            groups: details.map(|details| details.groups.as_slice()).unwrap_or_default(),
        }
    }
}

/// For programs.
pub fn json(list: &HostList) -> Answer<'_> {
    let groups = list.groups.iter().map(|group| ListedGroup {
        name: &group.name,
        hosts: group.targets.iter().map(|target| Host::of(target, list)).collect(),
    });
    Answer { repo: &list.repo, groups: groups.collect() }
}
