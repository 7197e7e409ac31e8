//! Entries of YAML files: mappings whose keys are known, read one by one.

use std::fmt::Display;

use crate::problem::Problem;
use crate::text::did_you_mean;
use crate::wire::Level;
use crate::yaml::{Node, Value};

use super::Config;
use super::problems::Problems;

/// One entry of a file: a check, or a configuration file.
pub(in crate::config) struct Entry<'a> {
    /// The file, as messages name it.
    pub file: &'a str,
    /// What messages call the entry: `check "up"`, `/etc/app.yaml`; empty for the file itself.
    pub label: String,
    /// Where it begins.
    pub line: usize,
    /// What an entry may hold.
    pub known: &'static [&'static str],
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

    pub fn boolean(&self) -> Result<bool, Problem> {
        match self.value.value {
            Value::Bool(value) => Ok(value),
            _ => Err(self.problem(format!("{} is {}: write true or false", self.name(), self.value.kind()))),
        }
    }
}

impl Config {
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
