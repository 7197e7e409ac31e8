//! Variables that a configuration file's templates use and nobody sets.

use std::collections::{BTreeSet, HashSet};

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::delimiters;
use super::render::context::Engine;
use super::render::load;
use super::syntax::undefined::{GLOBALS, Names, Undefined, names};
use crate::text::{did_you_mean, nearest};
use crate::wire::ConfigFile;

/// What the templates of one file use, without those that it may do without: a variable that is asked whether it is
/// defined, or has a default, or that is only asked for its truth and resembles none that is set.
pub fn undefined(templates: &IndexMap<String, String>, file: &ConfigFile, vars: &Map<String, Json>) -> Vec<Undefined> {
    let engine = Engine::new(templates, delimiters(file), file.format);
    let mut read: Vec<(String, Names, bool)> = Vec::new();
    let mut seen: HashSet<(String, bool)> = HashSet::new();
    let mut next = vec![(file.template.clone(), true)];
    while let Some((name, sees)) = next.pop() {
        let Some(source) = templates.get(&name).filter(|_| seen.insert((name.clone(), sees))) else { continue };
        // One that cannot be read is told of elsewhere.
        let Ok(template) = load::read(&engine, &name, source) else { continue };
        let names = names(&template);
        next.extend(names.others.iter().map(|(other, context)| (other.clone(), sees && *context)));
        read.push((name, names, sees));
    }
    let all = |of: fn(&Names) -> &BTreeSet<String>| -> BTreeSet<&str> {
        read.iter().flat_map(|(_, names, _)| of(names)).map(String::as_str).collect()
    };
    let (set, may_lack) = (all(|names| &names.set), all(|names| &names.may_lack));
    let known: Vec<&str> = vars.keys().map(String::as_str).chain(set.iter().copied()).collect();
    let lacks = |name: &str, sees: bool| {
        let given = sees && vars.contains_key(name);
        !given && !set.contains(name) && !may_lack.contains(name) && !GLOBALS.contains(&name) && !name.starts_with("__")
    };
    let mut told = HashSet::new();
    let mut found = Vec::new();
    for (template, names, sees) in &read {
        let asked = names.asked.iter().filter(|(name, _)| nearest(name, &known).is_some());
        for (name, line) in names.read.iter().chain(asked) {
            if lacks(name, *sees) && told.insert((template, name)) {
                let hint = match vars.contains_key(name) {
                    true => ": the template is imported without the context: write `with context`".to_owned(),
                    false => format!(", and no vars.yaml sets it{}", did_you_mean(name, &known)),
                };
                found.push(Undefined { template: template.clone(), line: *line, name: name.clone(), hint });
            }
        }
    }
    found.sort();
    found
}
