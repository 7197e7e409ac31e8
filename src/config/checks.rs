//! `checks.yaml`: the repository's checks, and what the environment makes of them.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use indexmap::IndexMap;

use crate::wire::{CHECK_TIMEOUT, Check, CheckPoint, CheckType, Level, Stage};

use super::keys::MAX_SECONDS;
use super::problems::Problems;
use super::{Config, FoundFile, Note};
use crate::yaml::{Node, Value};

impl Config {
    /// The checks in the order of the repository's file, then those that only the environment has. A check of the
    /// environment replaces the repository's of that name in its place; one without a body, or with an empty one, is
    /// switched off. A check that runs both before and after a stage is there twice. Empty when `perform_checks` is off.
    ///
    /// # Errors
    /// What is wrong with the first check that is, with file and line.
    pub fn checks(&self) -> Result<Vec<Check>> {
        self.checks_and_notes().map(|(checks, _)| checks)
    }

    /// The same, with remarks.
    ///
    /// # Errors
    /// The same.
    pub fn checks_and_notes(&self) -> Result<(Vec<Check>, Vec<Note>)> {
        let mut problems = Problems::default();
        let checks = self.checks_into(&mut problems);
        let notes = std::mem::take(&mut problems.notes);
        problems.first().map(|()| (checks, notes))
    }

    /// As [`Config::checks`], noting what is wrong and going on without it.
    pub(super) fn checks_into(&self, problems: &mut Problems) -> Vec<Check> {
        if !self.settings.perform_checks {
            return Vec::new();
        }
        let mut merged: IndexMap<String, Vec<Check>> = IndexMap::new();
        for folder in self.folders().into_iter().rev() {
            let Some(file) = FoundFile::in_folder(&folder, &["checks.yaml", "checks.yml"], self) else { continue };
            let checks = self.checks_of(&file, problems);
            merged.extend(problems.keep(checks).into_iter().flatten());
        }
        merged.into_values().flatten().collect()
    }

    /// Each check by its name; none for one that is switched off.
    fn checks_of(&self, file: &FoundFile, problems: &mut Problems) -> Result<Vec<(String, Vec<Check>)>> {
        let shown = &file.shown;
        let root = self.yaml(file)?;
        let mut checks = Vec::new();
        for (key, body) in mapping(&root, shown, "the file")? {
            if key.key_text() != "checks" {
                let what = format!("{shown}:{}: unknown key {:?}", key.line, key.key_text());
                match self.is_scaps() {
                    true => problems
                        .notes
                        .push((Level::Warning, format!("{what} is ignored: the one key here is `checks`"))),
                    false => drop(problems.keep::<()>(Err(anyhow!("{what}: the one key here is `checks`")))),
                }
                continue;
            }
            for (name, body) in mapping(body, shown, "`checks`")? {
                let check = match &body.value {
                    Value::Null => Vec::new(),
                    Value::Map(keys) if keys.is_empty() => Vec::new(),
                    _ => {
                        let check = self.check(name, body, shown, problems);
                        let Some(check) = problems.keep(check) else { continue };
                        check
                    }
                };
                checks.push((name.key_text().to_owned(), check));
            }
        }
        Ok(checks)
    }

    /// The check at each point where it runs; none when mistakes were noted.
    fn check(&self, name: &Node, body: &Node, shown: &str, problems: &mut Problems) -> Result<Vec<Check>> {
        let before = problems.count();
        let label = name.key_text();
        if label.is_empty() || label.chars().any(char::is_control) {
            bail!("{shown}:{}: a check's name is one line of text, and {label:?} is not", name.line);
        }
        let mut kind = CheckType::Command;
        let (mut runs_before, mut runs_after): (Option<Stage>, Option<Stage>) = (None, None);
        let mut notes: Vec<Note> = Vec::new();
        let mut group = None;
        let mut timeout = CHECK_TIMEOUT;
        let mut command: Option<(String, u64)> = None;
        let mut shell = false;
        for (key, value) in mapping(body, shown, &format!("check {label:?}"))? {
            let mut read = || -> Result<()> {
                let line = value.line;
                let place = format!("{shown}:{line}: check {label:?}");
                let text = || match value.text() {
                    Some(text) => Ok(text),
                    None => bail!("{place}: {} is {}: write text", key.key_text(), value.kind()),
                };
                match key.key_text() {
                    "type" => {
                        kind = match text()? {
                            "command" => CheckType::Command,
                            "script" => CheckType::Script,
                            "nrpe" => CheckType::Nrpe,
                            other => bail!("{place}: unknown type {other:?}: write command, script or nrpe"),
                        }
                    }
                    when @ ("stage" | "after" | "before") => {
                        let stage: Stage = text()?.parse().map_err(|why| anyhow!("{place}: {why}"))?;
                        let point = if when == "before" { &mut runs_before } else { &mut runs_after };
                        if point.replace(stage).is_some_and(|other| other != stage) {
                            bail!("{place}: `stage` and `after` are the same: keep one of the two");
                        }
                    }
                    "group" if value.is_null() => {}
                    "group" => {
                        let name = text()?;
                        if !self.knows_group(name) {
                            notes.extend(self.other_group(name, &place)?);
                        }
                        group = Some(name.to_owned());
                    }
                    "timeout" => {
                        timeout = match seconds(value) {
                            Some(time) => time,
                            None => bail!("{place}: bad timeout: write seconds, more than 0 and up to {MAX_SECONDS}"),
                        }
                    }
                    "command" => command = Some((text()?.to_owned(), line)),
                    "shell" => {
                        shell = match value.value {
                            Value::Bool(shell) => shell,
                            _ => bail!("{place}: shell is {}: write true or false", value.kind()),
                        }
                    }
                    other => {
                        let what = format!("{shown}:{}: check {label:?}: unknown key {other:?}", key.line);
                        let known = "known are type, stage, after, before, group, timeout, command, shell";
                        if !self.is_scaps() {
                            bail!("{what}: {known}");
                        }
                        notes.push((Level::Warning, format!("{what} is ignored: {known}")));
                    }
                }
                Ok(())
            };
            let read = read();
            problems.keep(read);
        }
        problems.notes.append(&mut notes);
        if problems.count() > before {
            return Ok(Vec::new());
        }
        let place = format!("{shown}:{}: check {label:?}", name.line);
        let points = runs_before.map(CheckPoint::Before).into_iter().chain(runs_after.map(CheckPoint::After));
        let points: Vec<CheckPoint> = points.collect();
        if points.is_empty() {
            bail!("{place} says no stage: write `stage: promote`, say");
        }
        let Some((command, line)) = command.filter(|(command, _)| !command.trim().is_empty()) else {
            bail!("{place} has no command: write `command:` and what to run");
        };
        let place = format!("{shown}:{line}: check {label:?}");
        match kind {
            CheckType::Command if !shell && crate::text::words(&command).is_none() => {
                bail!("{place}: {command:?} has a quote that is not closed: close it, or write `shell: true`")
            }
            CheckType::Command => {}
            CheckType::Script => self.script_exists(&command, &place, problems.thorough)?,
            CheckType::Nrpe if command.contains(|c: char| c.is_whitespace() || "[]=".contains(c)) => {
                bail!("{place}: {command:?} is not the name of an nrpe command: write what stands in command[NAME]")
            }
            CheckType::Nrpe => {}
        }
        let at = |at| {
            let (command, group) = (command.clone(), group.clone());
            Check { name: label.to_owned(), kind, at, group, timeout, command, shell }
        };
        Ok(points.into_iter().map(at).collect())
    }

    /// What to say of a check for a group that is not deployed to from this host. Where the configuration of another
    /// site has the group, the check is for that. Scap never asks; its repositories name groups that are long gone.
    fn other_group(&self, name: &str, place: &str) -> Result<Option<Note>> {
        let groups = self.settings.server_groups.join(", ");
        let why = match self.group_elsewhere(name) {
            Some(origin) => format!("it is one of {origin}"),
            None if self.is_scaps() => format!("the groups are {groups}"),
            None => bail!("{place}: unknown group {name:?}: the groups are {groups}"),
        };
        Ok(Some((Level::Warning, format!("{place}: does not run here: group {name:?} is not deployed to: {why}"))))
    }

    /// The file's name is the first word; the others are its arguments.
    fn script_exists(&self, command: &str, place: &str, executable: bool) -> Result<()> {
        let words = crate::text::words(command).unwrap_or_default();
        let Some(name) = words.first() else {
            bail!("{place}: {command:?} has a quote that is not closed");
        };
        if super::values::name(name).is_err() {
            bail!("{place}: {name:?} is not the name of a script: write the name of a file of the folder scripts");
        }
        let places: Vec<_> = self.folders().iter().map(|folder| folder.join("scripts").join(name)).collect();
        let Some(script) = places.iter().find(|path| path.is_file()) else {
            let looked: Vec<_> = places.iter().map(|path| self.shown(path)).collect();
            bail!("{place}: no such script: looked for {}", looked.join(" and "));
        };
        crate::files::no_links::resolve(self.root_of(script), script, &self.shown(script))?;
        let mode = script.metadata().map_or(0, |found| found.permissions().mode());
        if executable && mode & 0o111 == 0 {
            let script = self.shown(script);
            bail!("{place}: {script} is not executable: chmod +x it, and commit that");
        }
        Ok(())
    }
}

/// Seconds, also such as `0.5` and `"30"`.
fn seconds(node: &Node) -> Option<Duration> {
    let text = match &node.value {
        Value::UInt(seconds) => seconds.to_string(),
        Value::Int(seconds) => seconds.to_string(),
        Value::Float(seconds) => seconds.to_string(),
        Value::Text(text) => text.trim().to_owned(),
        _ => return None,
    };
    super::values::fraction_of_seconds(&text).ok()
}

/// The pairs of a mapping; none for null.
pub(super) fn mapping<'a>(node: &'a Node, shown: &str, what: &str) -> Result<&'a [(Node, Node)]> {
    match &node.value {
        Value::Map(pairs) => Ok(pairs),
        Value::Null => Ok(&[]),
        _ => bail!("{shown}:{}: {what} is {}: write keys and values", node.line, node.kind()),
    }
}
