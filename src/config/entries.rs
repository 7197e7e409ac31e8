//! Entries of YAML files: mappings whose keys are known, read one by one.

use std::fmt::Display;
use std::rc::Rc;

use indexmap::{IndexMap, IndexSet};

use crate::problem::Problem;
use crate::text::{did_you_mean, meant_or_known};
use crate::wire::Level;
use crate::yaml::{Node, Value};

use super::problems::Problems;
use super::{Config, FoundFile};

/// One entry of a file: a check, or a configuration file.
pub(in crate::config) struct Entry<'a> {
    /// The file, as messages name it.
    pub file: &'a str,
    /// What messages call the entry: `check "up"`, `/etc/app.yaml`; empty for the file itself.
    pub label: String,
    /// Where it begins.
    pub line: usize,
    /// What an entry may hold.
    pub known: &'a [&'static str],
}

impl<'a> Entry<'a> {
    /// Something that is wrong in its line.
    pub fn problem(&self, why: impl Display) -> Problem {
        self.problem_at(self.line, why)
    }

    /// What is wrong with the entry as a whole, as a sentence about it: `check "up"` … `has no command`.
    pub fn itself(&self, predicate: &str) -> Problem {
        Problem::at(self.file, self.line, format!("{} {predicate}", self.label))
    }

    /// Something that is wrong in this line of the entry.
    pub fn problem_at(&self, line: usize, why: impl Display) -> Problem {
        let label = if self.label.is_empty() { String::new() } else { format!("{}: ", self.label) };
        Problem::at(self.file, line, format!("{label}{why}"))
    }

    /// Reads the known keys of `body`, each with `read`, and notes what is wrong with each. Gives whether nothing is.
    ///
    /// # Errors
    /// When the body is no mapping.
    pub fn read(
        &self,
        body: &Node,
        config: &Config,
        problems: &mut Problems,
        mut read: impl FnMut(&Field<'_, 'a>, &mut Problems) -> Result<(), Problem>,
    ) -> Result<bool, Problem> {
        let before = problems.mistakes();
        for (key, value) in mapping(body, self.file, &self.label)? {
            let field = Field { entry: self, key, value };
            if self.known.contains(&field.name()) {
                let read = read(&field, problems);
                problems.keep(read);
            } else {
                let known = format!("the keys are {}", self.known.join(", "));
                problems.push(config.unknown_key(self, key, &known));
            }
        }
        Ok(problems.mistakes() == before)
    }
}

/// The types of an entry, each with the keys that it has beside those of every entry.
pub(super) type Types = [(&'static str, [&'static [&'static str]; 2])];

/// What an entry of any type may hold.
pub(super) fn known_of(of_every: &'static [&'static str], types: &'static Types) -> Vec<&'static str> {
    let of_types = types.iter().flat_map(|(_, keys)| keys.concat());
    let all: IndexSet<&str> = of_every.iter().copied().chain(of_types).collect();
    all.into_iter().collect()
}

impl Entry<'_> {
    /// Fails with a key that another type has, and not this one. `what` such entries are: `a gate`.
    pub fn has_keys_of(&self, body: &Node, kind: &str, types: &Types, what: &str) -> Result<(), Problem> {
        let has = |(_, keys): &(&str, [&[&str]; 2]), key: &str| keys.iter().any(|keys| keys.contains(&key));
        let own = types.iter().find(|(name, _)| *name == kind);
        for (key, value) in mapping(body, self.file, &self.label)? {
            let key = key.key_text();
            if types.iter().any(|of| has(of, key)) && !own.is_some_and(|own| has(own, key)) {
                let why = format!("{key} has no effect on {what} of type {kind}: remove it");
                return Err(self.problem_at(value.line, why).about(key));
            }
        }
        Ok(())
    }
}

/// One key of an entry, with its value.
pub(super) struct Field<'e, 'a> {
    entry: &'e Entry<'a>,
    key: &'e Node,
    pub value: &'e Node,
}

impl<'e> Field<'e, '_> {
    pub fn name(&self) -> &'e str {
        self.key.key_text()
    }

    pub fn line(&self) -> usize {
        self.value.line
    }

    /// Something that is wrong with the value.
    pub fn problem(&self, why: impl Display) -> Problem {
        self.entry.problem_at(self.value.line, why).about(self.name())
    }

    pub fn text(&self) -> Result<&'e str, Problem> {
        self.value.text().ok_or_else(|| self.problem(format!("{} is {}: write text", self.name(), self.value.kind())))
    }

    /// The name of a type.
    pub fn kind(&self, types: &Types) -> Result<&'static str, Problem> {
        let text = self.text()?;
        let known: Vec<&'static str> = types.iter().map(|(name, _)| *name).collect();
        let unknown = || self.problem(format!("unknown type {text:?}{}", meant_or_known(text, "types", &known)));
        known.iter().find(|name| **name == text).copied().ok_or_else(unknown)
    }

    pub fn boolean(&self) -> Result<bool, Problem> {
        match self.value.value {
            Value::Bool(value) => Ok(value),
            _ => Err(self.problem(format!("{} is {}: write true or false", self.name(), self.value.kind()))),
        }
    }
}

/// What a file that is a list of entries by name holds.
pub(super) struct EntryKind {
    /// The file's only key: `checks`.
    pub list: &'static str,
    /// What messages call an entry: `check`.
    pub one: &'static str,
}

/// An entry as a file has it, before it is read.
struct Written {
    file: Rc<str>,
    name: Node,
    body: Node,
}

impl Config {
    /// The entries of a file under the key of its list, each by its name; `None` for one without a body, or with an empty
    /// one: it is switched off. Those without a usable name are noted, and left out.
    ///
    /// # Errors
    /// A file that is no such list.
    fn written_entries(
        &self,
        file: &FoundFile,
        kind: &EntryKind,
        problems: &mut Problems,
    ) -> Result<Vec<(Node, Option<Written>)>, Problem> {
        let (shown, EntryKind { list, one }) = (Rc::<str>::from(&*file.shown), kind);
        let root = self.yaml(file)?;
        let mut entries = Vec::new();
        for (key, body) in mapping(&root, &shown, "the file")? {
            if key.key_text() != *list {
                let whole = Entry { file: &shown, label: String::new(), line: key.line, known: &[*list] };
                problems.push(self.unknown_key(&whole, key, &format!("the only key here is `{list}`")));
                continue;
            }
            for (name, body) in mapping(body, &shown, &format!("`{list}`"))? {
                let label = name.key_text();
                let is_empty = body.is_null() || matches!(&body.value, Value::Map(keys) if keys.is_empty());
                if !is_empty && (label.is_empty() || label.chars().any(char::is_control)) {
                    let why = format!("the name of a {one} must be one line of text: {label:?}");
                    problems.push(Problem::at(&shown, name.line, why));
                    continue;
                }
                let written = || Written { file: shown.clone(), name: name.clone(), body: body.clone() };
                entries.push((name.clone(), (!is_empty).then(written)));
            }
        }
        Ok(entries)
    }

    /// The entries of a file of the repository, then those that only the environment's has: one of the environment replaces
    /// the repository's of that name in its place, or switches it off. Only what counts in the end is read: what is wrong in
    /// the environment with an entry that it replaces is no matter. `made` are there already. Those that cannot be read are
    /// noted, and left out.
    pub(super) fn merged_entries<T>(
        &self,
        names: &[&str],
        kind: &EntryKind,
        made: Vec<(String, T)>,
        problems: &mut Problems,
        mut read: impl FnMut(&Node, &Node, &str, &mut Problems) -> Result<Option<T>, Problem>,
    ) -> Vec<T> {
        enum Merged<T> {
            Made(T),
            Written(Written),
            Off,
        }
        let mut merged: IndexMap<String, Merged<T>> =
            made.into_iter().map(|(name, made)| (name, Merged::Made(made))).collect();
        for folder in self.folders().into_iter().rev() {
            let Some(file) = FoundFile::in_folder(&folder, names, self) else { continue };
            let entries = self.written_entries(&file, kind, problems);
            for (name, written) in problems.keep(entries).into_iter().flatten() {
                let label = name.key_text();
                if written.is_none() && !merged.contains_key(label) {
                    problems.push(nothing_to_disable(label, kind.one, merged.keys(), &file.shown));
                }
                merged.insert(label.to_owned(), written.map_or(Merged::Off, Merged::Written));
            }
        }
        let mut all = Vec::new();
        for entry in merged.into_values() {
            match entry {
                Merged::Made(made) => all.push(made),
                Merged::Written(Written { file, name, body }) => {
                    let entry = read(&name, &body, &file, problems);
                    all.extend(problems.keep(entry).flatten());
                }
                Merged::Off => {}
            }
        }
        all
    }

    /// A key that an entry does not have. Scap passes over such keys, so it is no mistake in a repository of Scap's.
    pub(super) fn unknown_key(&self, entry: &Entry, key: &Node, known: &str) -> Problem {
        let name = key.key_text();
        let meant = did_you_mean(name, entry.known);
        let why = if meant.is_empty() { format!(": {known}") } else { meant };
        let problem =
            |ignored: &str| entry.problem_at(key.line, format!("unknown key {name:?}{ignored}{why}")).about(name);
        match self.is_scaps() {
            true => problem(" is ignored").remark(Level::Warning),
            false => problem(""),
        }
    }
}

/// What to say of an entry without a body that disables nothing.
fn nothing_to_disable<'n>(name: &str, one: &str, known: impl Iterator<Item = &'n String>, file: &str) -> Problem {
    let meant = did_you_mean(name, known);
    let why = format!("{file}: {one} {name:?} is empty, and disables nothing: there is no {one} of this name{meant}");
    Problem::of_file(file, why).remark(Level::Warning)
}

/// The pairs of a mapping; none for null.
pub(super) fn mapping<'n>(node: &'n Node, file: &str, what: &str) -> Result<&'n [(Node, Node)], Problem> {
    match &node.value {
        Value::Map(pairs) => Ok(pairs),
        Value::Null => Ok(&[]),
        _ => Err(Problem::at(
            file,
            node.line,
            format!("{what} is {}, not a mapping: write keys and values", node.kind()),
        )),
    }
}
