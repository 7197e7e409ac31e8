//! `checks.yaml`: the repository's checks, and what the environment makes of them.

use std::os::unix::fs::PermissionsExt;

use anyhow::{Result, anyhow, bail};
use indexmap::IndexMap;

use crate::wire::{Check, CheckPoint, CheckType, Stage};

use super::keys::MAX_SECONDS;
use super::problems::Problems;
use super::{Config, FoundFile};
use crate::yaml::{Node, Value};

/// Seconds that a check may take unless it says otherwise.
const DEFAULT_TIMEOUT: u64 = 30;

impl Config {
    /// The checks in the order of the repository's file, then those that only the environment has. A check of the
    /// environment replaces the repository's of that name in its place; one without a body switches it off. Empty when
    /// `perform_checks` is off.
    ///
    /// # Errors
    /// What is wrong with the first check that is, with file and line.
    pub fn checks(&self) -> Result<Vec<Check>> {
        let mut problems = Problems::default();
        let checks = self.checks_into(&mut problems);
        problems.first().map(|()| checks)
    }

    /// As [`Config::checks`], noting what is wrong and going on without it.
    pub(super) fn checks_into(&self, problems: &mut Problems) -> Vec<Check> {
        if !self.settings.perform_checks {
            return Vec::new();
        }
        let mut merged: IndexMap<String, Option<Check>> = IndexMap::new();
        for folder in self.folders().into_iter().rev() {
            let Some(file) = FoundFile::in_folder(&folder, &["checks.yaml", "checks.yml"], self) else { continue };
            let checks = self.checks_of(&file, problems);
            for (name, check) in problems.keep(checks).into_iter().flatten() {
                merged.insert(name, check);
            }
        }
        merged.into_values().flatten().collect()
    }

    fn checks_of(&self, file: &FoundFile, problems: &mut Problems) -> Result<Vec<(String, Option<Check>)>> {
        let shown = &file.shown;
        let root = self.yaml(file)?;
        let mut checks = Vec::new();
        for (key, body) in mapping(&root, shown, "the file")? {
            if key.key_text() != "checks" {
                let (line, key) = (key.line, key.key_text());
                let error = anyhow!("{shown}:{line}: unknown key {key:?}: the one key here is `checks`");
                problems.keep::<()>(Err(error));
                continue;
            }
            for (name, body) in mapping(body, shown, "`checks`")? {
                let check = match body.is_null() {
                    true => None,
                    false => {
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

    /// `None` when mistakes were noted.
    fn check(&self, name: &Node, body: &Node, shown: &str, problems: &mut Problems) -> Result<Option<Check>> {
        let before = problems.count();
        let label = name.key_text();
        if label.is_empty() || label.chars().any(char::is_control) {
            bail!("{shown}:{}: a check's name is one line of text, and {label:?} is not", name.line);
        }
        let mut kind = CheckType::Command;
        let mut at: Option<CheckPoint> = None;
        let mut group = None;
        let mut timeout = DEFAULT_TIMEOUT;
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
                        if at.is_some() {
                            bail!("{place}: runs at one point: keep one of `stage` (or `after`) and `before`");
                        }
                        at = Some(if when == "before" { CheckPoint::Before(stage) } else { CheckPoint::After(stage) });
                    }
                    "group" if value.is_null() => {}
                    "group" => {
                        let name = text()?;
                        if !self.knows_group(name) {
                            let groups = self.settings.server_groups.join(", ");
                            bail!("{place}: unknown group {name:?}: the groups are {groups}");
                        }
                        group = Some(name.to_owned());
                    }
                    "timeout" => {
                        timeout = match seconds(value).filter(|seconds| (1..=MAX_SECONDS).contains(seconds)) {
                            Some(seconds) => seconds,
                            None => bail!("{place}: bad timeout: write whole seconds, from 1 to {MAX_SECONDS}"),
                        }
                    }
                    "command" => command = Some((text()?.to_owned(), line)),
                    "shell" => {
                        shell = match value.value {
                            Value::Bool(shell) => shell,
                            _ => bail!("{place}: shell is {}: write true or false", value.kind()),
                        }
                    }
                    other => bail!(
                        "{shown}:{}: check {label:?}: unknown key {other:?}: known are type, stage, after, before, group, \
                         timeout, command, shell",
                        key.line
                    ),
                }
                Ok(())
            };
            let read = read();
            problems.keep(read);
        }
        if problems.count() > before {
            return Ok(None);
        }
        let place = format!("{shown}:{}: check {label:?}", name.line);
        let Some(at) = at else { bail!("{place} says no stage: write `stage: promote`, say") };
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
        Ok(Some(Check { name: label.to_owned(), kind, at, group, timeout, command, shell }))
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
        crate::within::resolve(self.root_of(script), script, &self.shown(script))?;
        let mode = script.metadata().map_or(0, |found| found.permissions().mode());
        if executable && mode & 0o111 == 0 {
            let script = self.shown(script);
            bail!("{place}: {script} is not executable: chmod +x it, and commit that");
        }
        Ok(())
    }
}

/// Whole seconds, also such as `30.0` and `"30"`.
fn seconds(node: &Node) -> Option<u64> {
    match &node.value {
        Value::UInt(seconds) => Some(*seconds),
        Value::Int(seconds) => u64::try_from(*seconds).ok(),
        Value::Float(seconds) if seconds.fract() == 0.0 && *seconds > 0.0 => Some(*seconds as u64),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The pairs of a mapping; none for null.
pub(super) fn mapping<'a>(node: &'a Node, shown: &str, what: &str) -> Result<&'a [(Node, Node)]> {
    match &node.value {
        Value::Map(pairs) => Ok(pairs),
        Value::Null => Ok(&[]),
        _ => bail!("{shown}:{}: {what} is {}: write keys and values", node.line, node.kind()),
    }
}
