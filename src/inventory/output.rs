//! What a command prints: lines as a target file has them, or JSON.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::problem::Problem;
use crate::targets::{Details, Target, parse_targets};

use super::{Inventory, MOST_HOSTS, tree};

/// The hosts that a command printed.
#[derive(Debug)]
pub enum Output {
    Hosts(Vec<Target>),
    /// With groups, as Ansible's inventory scripts print them.
    Inventory(Box<Inventory>),
}

/// A host of a list in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    address: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, Value>,
    #[serde(default)]
    groups: Vec<String>,
}

impl Output {
    /// Reads what a command printed, which messages call `from`.
    ///
    /// # Errors
    /// It is nothing, or nothing that can be read; names the line or the key.
    pub fn read(bytes: &[u8], from: &str) -> Result<Output, Problem> {
        let wrong = |why: String| Problem::new(format!("{from}: {why}"));
        let trimmed = bytes.trim_ascii();
        if trimmed.is_empty() {
            return Err(wrong("it printed nothing: a list of no hosts is taken for a failure".into()));
        }
        let inside = trimmed[1..].trim_ascii_start().first();
        let is_list = trimmed[0] == b'[' && inside.is_none_or(|next| b"\"{]".contains(next));
        let hosts = if is_list || trimmed[0] == b'{' {
            let value: Value =
                serde_json::from_slice(bytes).map_err(|error| wrong(format!("it printed bad JSON: {error}")))?;
            match value {
                Value::Array(entries) => list(entries).map_err(wrong)?,
                Value::Object(groups) => {
                    let mut inventory = Inventory::default();
                    let read = tree::read_script(&groups, from, &mut inventory).and_then(|()| inventory.settle());
                    let other = "an object is read as the output of an inventory script of Ansible; TARGETS in hoist.cfg(5) has the formats";
                    read.map_err(|why| wrong(format!("{why} ({other})")))?;
                    inventory.check_names()?;
                    return Ok(Output::Inventory(Box::new(inventory)));
                }
                _ => return Err(wrong("it printed JSON that is neither a list nor an object".into())),
            }
        } else {
            parse_targets(bytes, from).map_err(|problem| {
                let formats = "a command prints one host a line, or JSON: TARGETS in hoist.cfg(5) has the formats";
                Problem { message: format!("{} ({formats})", problem.message), ..problem }
            })?
        };
        match hosts.len() {
            0 => Err(wrong("it printed no host: a list of no hosts is taken for a failure".into())),
            many if many > MOST_HOSTS => Err(wrong(format!("it printed more than {MOST_HOSTS} hosts"))),
            _ => Ok(Output::Hosts(hosts)),
        }
    }
}

fn list(entries: Vec<Value>) -> Result<Vec<Target>, String> {
    let mut hosts: Vec<Target> = Vec::new();
    let mut known: HashMap<Target, usize> = HashMap::new();
    for (at, entry) in entries.into_iter().enumerate() {
        let wrong = |why: String| format!("entry {}: {why}", at + 1);
        let host = host(entry).map_err(wrong)?;
        // Listed twice is listed once, but which of two addresses is meant is not for hoist to choose.
        if let Some(first) = known.insert(host.clone(), at).filter(|first| hosts[*first].details != host.details) {
            return Err(wrong(format!("{host} is entry {} too, with other details: remove one", first + 1)));
        }
        hosts.push(host);
    }
    Ok(hosts)
}

fn host(entry: Value) -> Result<Target, String> {
    let entry: Entry = match entry {
        Value::String(name) => return name.parse(),
        Value::Object(_) => serde_json::from_value(entry).map_err(|error| error.to_string())?,
        _ => return Err("it is neither a name nor an object".into()),
    };
    let mut target: Target = entry.name.parse()?;
    let label = |(name, value): (String, Value)| match super::values::text(&value) {
        Some(text) => Ok((name, text)),
        None => Err(format!("the label {name:?} is not a text")),
    };
    let labels = entry.labels.into_iter().map(label).collect::<Result<_, _>>()?;
    let Entry { address, port, user, groups, .. } = entry;
    let details = Details { address, port, user, labels, groups };
    details.check().map_err(|why| format!("host {target}: {why}"))?;
    target.details = Some(Arc::new(details));
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        match Output::read(text.as_bytes(), "cmd").map_err(|problem| problem.to_string())? {
            Output::Hosts(hosts) => Ok(hosts.iter().map(Target::to_string).collect()),
            Output::Inventory(inventory) => {
                let (targets, _) = inventory.targets("all", "cmd", &[]).map_err(|problem| problem.to_string())?;
                Ok(targets.iter().map(Target::to_string).collect())
            }
        }
    }

    #[test]
    fn lines_and_each_kind_of_json_are_read() {
        for text in [
            "web1\nweb2 # x\n",
            "[\"web1\", \"web2\"]",
            "[{\"name\":\"web1\",\"address\":\"10.0.0.1\",\"labels\":{\"rack\":7}}, \"web2\"]",
            "{\"a\":[\"web1\"],\"b\":{\"hosts\":[\"web2\"],\"vars\":{}},\"_meta\":{\"hostvars\":{}}}",
        ] {
            assert_eq!(read(text).unwrap(), ["web1", "web2"], "{text}");
        }
        assert_eq!(read("[::1]:22\n").unwrap(), ["[::1]:22"]);
    }

    #[test]
    fn what_is_no_list_of_hosts_is_refused_with_its_place() {
        for (text, why) in [
            ("", "printed nothing"),
            (" \n", "printed nothing"),
            ("# nobody\n", "printed no host"),
            ("[]", "printed no host"),
            ("web1\n-oProxyCommand=x\n", "cmd:2: bad host name"),
            ("web1\nError: no such region\n", "cmd:2: bad"),
            ("all:\n  hosts:\n    web1:\n", "one host a line, or JSON"),
            ("web1\n\u{1b}[31mweb2\n", "cmd:2: bad host name"),
            ("<html>", "bad host name"),
            ("[\"web1\", 3]", "entry 2: it is neither"),
            ("[{\"name\":\"a\",\"adress\":\"b\"}]", "entry 1: unknown field `adress`"),
            ("[{\"name\":\"a\",\"address\":\"-x\"}]", "entry 1: host a: bad address"),
            ("[{\"name\":\"a\",\"user\":\"-x\"}]", "bad user name"),
            ("[{\"name\":\"a\",\"port\":0}]", "bad port 0"),
            ("[{\"name\":\"a\",\"labels\":{\"z\":\"\\u001b\"}}]", "control character"),
            ("[{\"name\":\"a\",\"labels\":{\"z\":[]}}]", "the label \"z\" is not a text"),
            ("[\"a\", {\"name\":\"A\",\"address\":\"b\"}]", "entry 2: a is entry 1 too"),
            ("{\"web\":[\"a\",\"A\"],\"_meta\":{\"hostvars\":{}}}", "a and A have the same name"),
            ("[\"a\"", "bad JSON"),
            ("{\"web\":[\"a\"]}", "_meta.hostvars is missing"),
            ("{\"web\":{\"host\":[\"a\"]}}", "group \"web\" has \"host\""),
            ("{\"web\":3}", "neither a list nor an object"),
            (
                "{\"a\":{\"children\":[\"b\"]},\"b\":{\"children\":[\"a\"]},\"_meta\":{\"hostvars\":{}}}",
                "cannot be below",
            ),
        ] {
            let found = read(text).unwrap_err();
            assert!(found.contains(why) && found.contains("cmd"), "{text}: {found}");
        }
    }
}
