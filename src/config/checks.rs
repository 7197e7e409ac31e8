//! `checks.yaml`: the repository's checks, and what the environment makes of them.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use indexmap::IndexMap;

use crate::wire::{Check, CheckPoint, CheckType, Level, Stage, Tries};

use super::keys::MAX_SECONDS;
use super::problems::Problems;
use super::{Config, FoundFile, Note};
use crate::yaml::{Node, Value};

/// How long a check may take unless it says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a check may be tried again.
const MOST_RETRIES: u32 = 10_000;

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
        problems.notes.extend(self.before_the_restart(&merged));
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
        let mut timeout = DEFAULT_TIMEOUT;
        let (mut retries, mut within, mut interval) = (None, None, None);
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
                    "within" => {
                        within = match seconds(value) {
                            Some(time) => Some(time),
                            None => bail!("{place}: bad within: write seconds, more than 0 and up to {MAX_SECONDS}"),
                        }
                    }
                    "interval" => {
                        interval = match seconds(value) {
                            Some(time) => Some((time, line)),
                            None => bail!("{place}: bad interval: write seconds, more than 0 and up to {MAX_SECONDS}"),
                        }
                    }
                    "retries" => {
                        let number = match value.value {
                            Value::Int(number) => u32::try_from(number).ok(),
                            Value::UInt(number) => u32::try_from(number).ok(),
                            _ => None,
                        };
                        retries = match number {
                            Some(number) if number <= MOST_RETRIES => Some(number),
                            _ => bail!("{place}: bad retries: write a whole number from 0 to {MOST_RETRIES}"),
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
                        let known = "known are type, stage, after, before, group, timeout, retries, interval, within, \
                                     command, shell";
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
        if let Some((_, line)) = interval
            && retries.is_none()
            && within.is_none()
        {
            bail!("{shown}:{line}: check {label:?}: interval has no effect without retries or within: add one of them");
        }
        let tries = Tries { retries, within, interval: interval.map_or(Tries::default().interval, |(time, _)| time) };
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
            Check { name: label.to_owned(), kind, at, group, timeout, tries, command, shell }
        };
        let checks: Vec<Check> = points.into_iter().map(at).collect();
        if tries != Tries::default() {
            problems.notes.extend(checks.iter().filter_map(|check| self.longer_than_its_stage(check, &place)));
        }
        Ok(checks)
    }

    /// What to say of a check whose tries take longer than the stage that they are part of may take.
    fn longer_than_its_stage(&self, check: &Check, place: &str) -> Option<Note> {
        let (CheckPoint::Before(stage) | CheckPoint::After(stage)) = check.at;
        // Promote restarts the services.
        let stage = if stage == Stage::RestartService { Stage::Promote } else { stage };
        let (longest, limit) = (check.longest(), self.settings.timeout(stage));
        (longest >= limit).then(|| {
            let what = format!("{place}: may take {} s with all its tries", longest.as_secs_f64());
            let key = format!("{stage}_timeout");
            let remedy = format!("raise {key} above that, or lower within or retries");
            (Level::Warning, format!("{what}, and {stage} may take {} s in all: {remedy}", limit.as_secs()))
        })
    }

    /// What to say of a check that asks the service ahead of its restart, if none asks it afterwards.
    fn before_the_restart(&self, checks: &IndexMap<String, Vec<Check>>) -> Option<Note> {
        let service = self.settings.service_name.first()?;
        let at = |wanted: &dyn Fn(CheckPoint) -> bool| {
            checks.iter().find(|(_, checks)| checks.iter().any(|check| wanted(check.at))).map(|(name, _)| name)
        };
        let promote = at(&|at| at == CheckPoint::After(Stage::Promote))?;
        if at(&|at| at == CheckPoint::After(Stage::RestartService)).is_some() {
            return None;
        }
        let what = format!("check {promote:?} of stage promote runs before service {:?} restarts", service.name);
        let remedy = "to ask the new process, write `stage: restart_service`";
        Some((Level::Warning, format!("checks.yaml: {what}, and no check runs after the restart: {remedy}")))
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
