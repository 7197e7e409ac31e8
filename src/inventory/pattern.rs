//! Ansible's host patterns: which hosts of an inventory are meant. `web:!canary`, `web:&staging`, `db*`, `~web\d+`, `web[0:4]`.

use std::sync::LazyLock;

use indexmap::IndexSet;
use regex::Regex;

use crate::glob;
use crate::text::did_you_mean;

use super::Inventory;

/// Anything but blanks, colons and brackets, or a pair of brackets, once or more.
static TERM: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?:[^\s:\[\]]|\[[^\]]*\])+").ok());
static SUBSCRIPT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(.+)\[(?:(-?[0-9]+)|([0-9]+)[:-]([0-9]*))\]$").ok());
static WITH_PORT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\w(?:[\w.-]*\w)?:[0-9]+$").ok());

/// The hosts that a pattern names, and terms that match none.
///
/// # Errors
/// A bad term, or the name of a group or host that there is not.
pub fn select<'a>(inventory: &'a Inventory, pattern: &str) -> Result<(Vec<&'a str>, Vec<String>), String> {
    let terms = terms(pattern);
    if terms.is_empty() {
        return Err("it is empty: write the name of a group, or all".into());
    }
    let kind = |term: &str| term.chars().next().filter(|first| "!&".contains(*first));
    let plain = terms.iter().filter(|term| kind(term).is_none()).map(String::as_str);
    let mut wanted: Vec<&str> = plain.collect();
    if wanted.is_empty() {
        wanted.push("all");
    }
    let mut unmatched = Vec::new();
    let mut found: IndexSet<&str> = IndexSet::new();
    for term in wanted {
        found.extend(matching(inventory, term, &mut unmatched)?);
    }
    for sign in ['&', '!'] {
        for term in terms.iter().filter(|term| kind(term) == Some(sign)) {
            let these: IndexSet<&str> = matching(inventory, &term[1..], &mut unmatched)?.into_iter().collect();
            found.retain(|host| these.contains(host) == (sign == '&'));
        }
    }
    Ok((found.into_iter().collect(), unmatched))
}

/// The terms of a pattern, as Ansible parts them: at commas where there are some, and otherwise at colons and blanks, those
/// of a regular expression too.
fn terms(pattern: &str) -> Vec<String> {
    if pattern.contains(',') {
        return pattern.split(',').map(str::trim).filter(|term| !term.is_empty()).map(str::to_owned).collect();
    }
    // What is an address, or a name with a port, is one term, whatever its colons are.
    let whole = pattern.trim().trim_start_matches(['!', '&']);
    let has_port = WITH_PORT.as_ref().is_some_and(|form| form.is_match(pattern.trim()));
    if whole.parse::<std::net::Ipv6Addr>().is_ok() || has_port {
        return vec![pattern.trim().to_owned()];
    }
    let found = TERM.iter().flat_map(|form| form.find_iter(pattern));
    found.map(|term| term.as_str().to_owned()).collect()
}

fn matching<'a>(inventory: &'a Inventory, term: &str, unmatched: &mut Vec<String>) -> Result<Vec<&'a str>, String> {
    let subscript = SUBSCRIPT.as_ref().filter(|_| !term.starts_with('~')).and_then(|form| form.captures(term));
    let name = subscript.as_ref().map_or(term, |parts| parts.get(1).map_or(term, |name| name.as_str()));
    let expression = match name.strip_prefix('~') {
        Some(regex) => format!("^(?:{regex})"),
        None => glob::expression(name),
    };
    let matches = Regex::new(&expression).map_err(|_| match name.starts_with('~') {
        // Most of these are halves of an expression that has one of the two in it.
        true => format!(
            "bad term {term:?}: as for Ansible, a comma ends an expression, and where there is none, a colon or a blank does"
        ),
        false => format!("bad term {term:?}"),
    })?;
    let groups: Vec<&str> =
        inventory.groups.keys().map(String::as_str).filter(|group| matches.is_match(group)).collect();
    let mut found: Vec<&str> = groups.iter().flat_map(|group| inventory.hosts_of(group)).collect();
    if subscript.is_none() && !groups.is_empty() && inventory.hosts.contains_key(name) {
        return Err(format!("{name:?} is the name of a group and of a host: rename one of them"));
    }
    let is_open = name.starts_with('~') || name.contains(['?', '*', '[']);
    if groups.is_empty() || is_open || name.contains('.') {
        found.extend(inventory.hosts.keys().map(String::as_str).filter(|host| matches.is_match(host)));
    }
    if found.is_empty() && groups.is_empty() {
        if !is_open {
            let known = inventory.groups.keys().chain(inventory.hosts.keys());
            let meant = did_you_mean(name, known);
            return Err(format!("the inventory has neither a group nor a host {name:?}{meant}"));
        }
        unmatched.push(term.to_owned());
    }
    match subscript {
        Some(_) if found.is_empty() => Ok(found),
        Some(parts) => {
            let number = |at| parts.get(at).and_then(|digits| digits.as_str().parse::<i64>().ok());
            apply(&found, number(2), number(3), number(4))
                .ok_or_else(|| format!("{term:?} is beyond the hosts of {name}"))
        }
        None => Ok(found),
    }
}

/// The hosts that `[index]` or `[first:last]` takes.
fn apply<'a>(hosts: &[&'a str], index: Option<i64>, first: Option<i64>, last: Option<i64>) -> Option<Vec<&'a str>> {
    let count = i64::try_from(hosts.len()).ok()?;
    if let Some(index) = index {
        let index = if index < 0 { index + count } else { index };
        return Some(vec![hosts.get(usize::try_from(index).ok()?)?]);
    }
    let (first, last) = (first.unwrap_or_default(), last.unwrap_or(count - 1));
    // For Ansible, an end of 0 is no end: the first host is taken.
    if last == 0 {
        return Some(vec![hosts.get(usize::try_from(first).ok()?)?]);
    }
    let places = usize::try_from(first).ok()?..usize::try_from(last.min(count - 1) + 1).ok()?;
    Some(hosts.get(places).unwrap_or_default().to_vec())
}
