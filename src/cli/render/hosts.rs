//! How `hoist hosts` looks.

use serde::Serialize;

use crate::operation::HostList;
use crate::terminal::Page;
use crate::text;

/// For people: each group with its hosts, and the user and port where they are set.
pub fn text(list: &HostList) -> Page {
    let mut page = Page::default();
    let hosts = list.groups.iter().flat_map(|group| &group.targets);
    let width = hosts.map(|target| target.host.chars().count()).max().unwrap_or(0);
    for group in &list.groups {
        page.line(format!("{} ({})", group.name, text::hosts(group.targets.len())));
        for target in &group.targets {
            let user = target.user.as_ref().or(list.login.user.as_ref()).map(|user| format!("  user {user}"));
            let port = target.port.or(list.login.port).map(|port| format!("  port {port}"));
            let line = format!("  {:width$}{}{}", target.host, user.unwrap_or_default(), port.unwrap_or_default());
            page.line(line.trim_end());
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
    user: Option<&'a str>,
    port: Option<u16>,
}

/// For programs.
pub fn json(list: &HostList) -> Answer<'_> {
    let groups = list.groups.iter().map(|group| {
        let hosts = group.targets.iter().map(|target| Host {
            host: &target.host,
            user: target.user.as_deref().or(list.login.user.as_deref()),
            port: target.port.or(list.login.port),
        });
        ListedGroup { name: &group.name, hosts: hosts.collect() }
    });
    Answer { repo: &list.repo, groups: groups.collect() }
}
