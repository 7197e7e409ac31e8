//! Ansible's INI inventories.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use indexmap::IndexMap;
use regex::Regex;

use crate::problem::Problem;
use crate::text;

use super::hosts::expand;
use super::values;
use super::{Inventory, Place, Vars};

static SECTION: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?$").ok());
static GROUP: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^([^:\]\s]+)\s*(?:#.*)?$").ok());

/// What ends a line, beside carriage returns, as in Python; where the text is not UTF-8, only the first does.
const LINE_ENDS: [char; 9] = ['\n', '\x0b', '\x0c', '\x1c', '\x1d', '\x1e', '\u{85}', '\u{2028}', '\u{2029}'];

/// What the lines of a section are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hosts,
    Children,
    Vars,
}

/// Reads a file's text into the inventory. Comments may be in any encoding.
///
/// # Errors
/// The first mistake, with its line.
pub fn read(bytes: &[u8], file: &str, inventory: &mut Inventory) -> Result<(), Problem> {
    let text = String::from_utf8_lossy(bytes);
    let is_utf8 = matches!(text, Cow::Borrowed(_));
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let (mut group, mut kind) = ("ungrouped".to_owned(), Kind::Hosts);
    // Groups that are named ahead of the section that makes them.
    let mut children: IndexMap<String, (usize, Vec<String>)> = IndexMap::new();
    let mut only_vars: HashMap<String, usize> = HashMap::new();
    let ends: &[char] = if is_utf8 { &LINE_ENDS } else { &LINE_ENDS[..1] };
    for (index, line) in text.replace("\r\n", "\n").replace('\r', "\n").split(ends).enumerate() {
        let (place, line) = (Place::at(file, index + 1), line.trim());
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let wrong = |why: String| place.problem(why);
        let words = if kind == Kind::Hosts { text::words_and_comment(line) } else { None };
        if !is_utf8 && words.map_or(line.to_owned(), |words| words.concat()).contains(char::REPLACEMENT_CHARACTER) {
            return Err(Problem::not_utf8(file, index + 1));
        }
        if let Some(section) = SECTION.as_ref().and_then(|form| form.captures(line)) {
            group = section[1].to_owned();
            kind = match section.get(2).map_or("hosts", |kind| kind.as_str()) {
                "hosts" => Kind::Hosts,
                "children" => Kind::Children,
                "vars" => Kind::Vars,
                other => {
                    let why = format!("unknown kind of section {other:?}: write hosts, children or vars, or nothing");
                    return Err(wrong(why));
                }
            };
            if kind == Kind::Vars && !inventory.groups.contains_key(&group) {
                only_vars.entry(group.clone()).or_insert(index + 1);
            }
            inventory.add_group(&group).map_err(wrong)?;
            if kind != Kind::Vars {
                only_vars.remove(&group);
                for parent in children.shift_remove(&group).into_iter().flat_map(|(_, parents)| parents) {
                    inventory.add_child(&parent, &group).map_err(wrong)?;
                }
            }
            continue;
        }
        if line.starts_with('[') && line.ends_with(']') {
            let why = match line[1..line.len() - 1].parse::<std::net::Ipv6Addr>() {
                Ok(address) => format!("is not the name of a group: write the address as {address}"),
                Err(_) => "has a space or a colon, which a group's name cannot have".to_owned(),
            };
            return Err(wrong(format!("bad section {line:?}: it {why}")));
        }
        match kind {
            Kind::Hosts => host(line, &place, &group, inventory)?,
            Kind::Vars => {
                let (name, value) = line.split_once('=').ok_or_else(|| wrong(format!("{line:?} is not KEY=VALUE")))?;
                inventory.groups[&group].vars.insert(name.trim().to_owned(), values::ini(value));
            }
            Kind::Children => {
                let named = GROUP.as_ref().and_then(|form| form.captures(line));
                let child = named.ok_or_else(|| wrong(format!("{line:?} is not the name of a group")))?[1].to_owned();
                if inventory.groups.contains_key(&child) && !only_vars.contains_key(&child) {
                    inventory.add_child(&group, &child).map_err(wrong)?;
                } else {
                    children.entry(child).or_insert((index + 1, Vec::new())).1.push(group.clone());
                }
            }
        }
    }
    if let Some((child, (line, parents))) = children.first() {
        let parent = parents.first().map(String::as_str).unwrap_or_default();
        let why =
            format!("group {parent} has a child {child}, which has no section: write [{child}], or correct the name");
        return Err(Problem::at(file, *line, why));
    }
    match only_vars.into_iter().min_by_key(|(_, line)| *line) {
        Some((group, line)) => {
            Err(Problem::at(file, line, format!("[{group}:vars] is for a group that has no section: write [{group}]")))
        }
        None => Ok(()),
    }
}

/// A line with a host or a range of hosts, and variables.
fn host(line: &str, place: &Place, group: &str, inventory: &mut Inventory) -> Result<(), Problem> {
    let wrong = |why: String| place.problem(why);
    let words = text::words_and_comment(line).ok_or_else(|| wrong("a quote or a backslash is not closed".into()))?;
    let Some((pattern, settings)) = words.split_first() else { return Ok(()) };
    if pattern == "---" {
        return Err(wrong("\"---\" begins a YAML file, and this is read as INI: correct the file's YAML".into()));
    }
    let (hosts, port) = expand(pattern).map_err(wrong)?;
    let mut vars = Vars::new();
    for setting in settings {
        let (name, value) = setting
            .split_once('=')
            .ok_or_else(|| wrong(format!("{setting:?} is not KEY=VALUE: a line holds one host, and variables")))?;
        vars.insert(name.to_owned(), values::ini(value));
    }
    hosts.iter().try_for_each(|host| inventory.add_host(host, port, place, &vars, group)).map_err(wrong)
}
