//! Ansible's YAML inventories, and the JSON that its inventory scripts print.

use serde_json::Value as Json;

use crate::problem::Problem;
use crate::yaml::{Node, Value};

use super::hosts::expand;
use super::{Inventory, Place, Vars};

/// Why a file is not read as YAML.
pub enum NotTree {
    /// It is no inventory in YAML, but may be one in INI.
    Other,
    Wrong(Problem),
}

/// Reads a YAML document into the inventory.
///
/// # Errors
/// It is no inventory, or has a mistake.
pub fn read(node: &Node, file: &str, inventory: &mut Inventory) -> Result<(), NotTree> {
    let Value::Map(groups) = &node.value else { return Err(NotTree::Other) };
    if groups.iter().any(|(key, _)| key.key_text() == "plugin") {
        let why = "an inventory plugin of Ansible, which hoist does not have: set targets_command to \
                   `ansible-inventory -i FILE --list`";
        return Err(NotTree::Wrong(Problem::at(file, node.line, format!("this is the configuration of {why}"))));
    }
    groups.iter().try_for_each(|(name, content)| group(name, Some(content), file, inventory)).map_err(NotTree::Wrong)
}

fn group(name: &Node, content: Option<&Node>, file: &str, inventory: &mut Inventory) -> Result<(), Problem> {
    let (place, name) = (Place::at(file, name.line), name.key_text());
    let wrong = |why: String| place.problem(why);
    inventory.add_group(name).map_err(wrong)?;
    let sections = match content.map(|content| (&content.value, content)) {
        None | Some((Value::Null, _)) => return Ok(()),
        Some((Value::Map(sections), _)) => sections,
        Some((_, content)) => {
            let why = format!("group {name} is {}: write hosts, children or vars below it", content.kind());
            return Err(wrong(why));
        }
    };
    for (section, entries) in sections {
        let at = Place::at(file, section.line);
        let section = section.key_text();
        let entries: Vec<(&Node, Option<&Node>)> = match &entries.value {
            Value::Null => continue,
            // A text stands for a mapping with that key.
            Value::Text(_) => vec![(entries, None)],
            Value::Map(pairs) => pairs.iter().map(|(key, value)| (key, Some(value))).collect(),
            _ => {
                let why = format!("{section} of group {name} is {}: a mapping is needed", entries.kind());
                return Err(at.problem(why));
            }
        };
        match section {
            "vars" => {
                let vars = entries
                    .iter()
                    .filter_map(|(key, value)| Some((key.key_text().to_owned(), value.as_ref()?.to_json())));
                inventory.groups[name].vars.extend(vars);
            }
            "children" => {
                for (child, content) in entries {
                    group(child, content, file, inventory)?;
                    inventory.add_child(name, child.key_text()).map_err(|why| at.problem(why))?;
                }
            }
            "hosts" => {
                for (host, vars) in entries {
                    let place = Place::at(file, host.line);
                    let wrong = |why: String| place.problem(why);
                    let (hosts, port) = expand(host.key_text()).map_err(wrong)?;
                    let given = vars.map_or_else(|| Some(Vars::new()), Node::variables);
                    let given =
                        given.ok_or_else(|| wrong(format!("the variables of {} are no mapping", host.key_text())))?;
                    let mut add = |host| inventory.add_host(host, port, &place, &given, name);
                    hosts.iter().try_for_each(|host| add(host)).map_err(wrong)?;
                }
            }
            other => {
                let why = format!("{other:?} of group {name} is ignored: only hosts, children and vars are read");
                inventory.remarks.push(at.problem(why).remark(crate::wire::Level::Warning));
            }
        }
    }
    Ok(())
}

/// Reads the JSON object that an inventory script prints.
///
/// # Errors
/// The first mistake, with the key that has it.
pub fn read_script(
    groups: &serde_json::Map<String, Json>,
    from: &str,
    inventory: &mut Inventory,
) -> Result<(), String> {
    let place = Place { file: from.to_owned(), line: None };
    let none = Vars::new();
    for (name, content) in groups.iter().filter(|(name, _)| *name != "_meta") {
        inventory.add_group(name)?;
        let list = |key: &str, value: &Json| -> Result<Vec<String>, String> {
            let wrong = || format!("{key} of group {name:?} is not a list of names");
            let names = value.as_array().ok_or_else(wrong)?;
            names.iter().map(|name| name.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        };
        match content {
            Json::Array(_) => {
                for host in list("the value", content)? {
                    inventory.add_host(&host, None, &place, &none, name)?;
                }
            }
            Json::Object(content) => {
                for (key, value) in content {
                    match key.as_str() {
                        "hosts" => {
                            for host in list(key, value)? {
                                inventory.add_host(&host, None, &place, &none, name)?;
                            }
                        }
                        "children" => {
                            for child in list(key, value)? {
                                inventory.add_child(name, &child)?;
                            }
                        }
                        "vars" => {
                            let vars =
                                value.as_object().ok_or_else(|| format!("vars of group {name:?} are no object"))?;
                            inventory.groups[name].vars.extend(vars.clone());
                        }
                        other => {
                            return Err(format!(
                                "group {name:?} has {other:?}: only hosts, children and vars are known"
                            ));
                        }
                    }
                }
            }
            _ => return Err(format!("group {name:?} is neither a list nor an object")),
        }
    }
    let host_vars = match groups.get("_meta") {
        None => return Err("_meta.hostvars is missing: have the script print it".into()),
        Some(meta) => meta.get("hostvars").and_then(Json::as_object).ok_or("_meta.hostvars is no object")?,
    };
    for (host, vars) in host_vars {
        let vars = vars.as_object().ok_or_else(|| format!("_meta.hostvars of {host:?} is no object"))?;
        // Ansible, too, ignores variables of hosts that no group has.
        if let Some(host) = inventory.hosts.get_mut(host) {
            host.vars.extend(vars.clone());
        }
    }
    Ok(())
}
