//! `checks.yaml`: the repository's checks, and what the environment makes of them.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::Result;

use crate::problem::Problem;
use crate::wire::{CHECK_TIMEOUT, Check, CheckPoint, CheckType, Level, Stage, Tries};
use crate::yaml::{Node, Value};

use super::entries::{Entry, EntryKind, Field};
use super::problems::Problems;
use super::{Config, Note};

/// How often a check may be tried again.
const MOST_RETRIES: u32 = 10_000;

/// What a check may hold.
const KEYS: &[&str] =
    &["type", "stage", "after", "before", "group", "timeout", "retries", "interval", "within", "command", "shell"];

/// The entries of the file.
const CHECKS: EntryKind = EntryKind { list: "checks", one: "check" };

/// A check as far as it has been read.
struct Draft {
    kind: CheckType,
    before: Option<Stage>,
    after: Option<Stage>,
    group: Option<String>,
    timeout: Duration,
    retries: Option<u32>,
    within: Option<Duration>,
    /// With its line.
    interval: Option<(Duration, usize)>,
    /// With its line.
    command: Option<(String, usize)>,
    shell: bool,
}

impl Config {
    /// The checks in the order of the repository's file, then those that only the environment has. A check of the
    /// environment replaces the repository's of that name in its place; one without a body, or with an empty one, is
    /// switched off. A check that runs both before and after a stage is there twice. Empty when `perform_checks` is off.
    /// And remarks on them.
    ///
    /// # Errors
    /// What is wrong with the first check that is, with file and line.
    pub fn checks(&self) -> Result<(Vec<Check>, Vec<Note>)> {
        Ok(Problems::settled(|problems| self.checks_into(problems))?)
    }

    /// As [`Config::checks`], noting what is wrong and going on without it.
    pub(super) fn checks_into(&self, problems: &mut Problems) -> Vec<Check> {
        if !self.settings.perform_checks {
            return Vec::new();
        }
        let read =
            |name: &Node, body: &Node, shown: &str, problems: &mut Problems| self.check(name, body, shown, problems);
        let checks = self.merged_entries(&["checks.yaml", "checks.yml"], &CHECKS, Vec::new(), problems, read);
        let checks: Vec<Check> = checks.into_iter().flatten().collect();
        problems.extend(self.before_the_restart(&checks));
        checks
    }

    /// The check at each point where it runs; `None` when mistakes were noted.
    fn check(
        &self,
        name: &Node,
        body: &Node,
        file: &str,
        problems: &mut Problems,
    ) -> Result<Option<Vec<Check>>, Problem> {
        let label = name.key_text();
        let entry = Entry { file, label: format!("check {label:?}"), line: name.line, known: KEYS };
        let mut draft = Draft {
            kind: CheckType::Command,
            before: None,
            after: None,
            group: None,
            timeout: CHECK_TIMEOUT,
            retries: None,
            within: None,
            interval: None,
            command: None,
            shell: false,
        };
        if !entry.read(body, self, problems, |field, problems| self.check_key(&mut draft, field, problems))? {
            return Ok(None);
        }
        let points = draft.before.map(CheckPoint::Before).into_iter().chain(draft.after.map(CheckPoint::After));
        let points: Vec<CheckPoint> = points.collect();
        if points.is_empty() {
            return Err(entry.itself("has no stage: write `stage: restart_service`, for example"));
        }
        let tries = draft.tries(&entry)?;
        let Some((command, line)) = draft.command.filter(|(command, _)| !command.trim().is_empty()) else {
            return Err(entry.itself("has no command: write `command:` and the command"));
        };
        let (kind, group, timeout, shell) = (draft.kind, draft.group, draft.timeout, draft.shell);
        let entry = Entry { line, ..entry };
        let wrong = |why: String| Err(entry.problem(why).about("command"));
        match kind {
            CheckType::Command if !shell && crate::text::words(&command).is_none() => {
                let why = format!("{command:?} has a quote that is not closed: close it, or write `shell: true`");
                return wrong(why);
            }
            CheckType::Script => self.script_exists(&command, &entry, problems.thorough)?,
            CheckType::Nrpe if command.contains(|c: char| c.is_whitespace() || "[]=".contains(c)) => {
                let why = "is not the name of an nrpe command: write the NAME in command[NAME]";
                return wrong(format!("{command:?} {why}"));
            }
            CheckType::Command | CheckType::Nrpe => {}
        }
        let at = |at| {
            let (command, group) = (command.clone(), group.clone());
            Check { name: label.to_owned(), kind, at, group, timeout, tries, command, shell }
        };
        let checks: Vec<Check> = points.into_iter().map(at).collect();
        if tries != Tries::default() {
            let entry = Entry { line: name.line, ..entry };
            problems.extend(checks.iter().filter_map(|check| self.longer_than_its_stage(check, &entry)));
        }
        Ok(Some(checks))
    }

    /// Reads one key of a check into its draft.
    fn check_key(&self, draft: &mut Draft, field: &Field, problems: &mut Problems) -> Result<(), Problem> {
        match field.name() {
            "type" => {
                draft.kind = match field.text()? {
                    "command" => CheckType::Command,
                    "script" => CheckType::Script,
                    "nrpe" => CheckType::Nrpe,
                    other => {
                        return Err(field.problem(format!("unknown type {other:?}: write command, script or nrpe")));
                    }
                }
            }
            when @ ("stage" | "after" | "before") => {
                let stage: Stage = field.text()?.parse().map_err(|why| field.problem(why))?;
                if !stage.is_configured() {
                    return Err(field.problem(format!("no check runs before or after {stage}")));
                }
                let point = if when == "before" { &mut draft.before } else { &mut draft.after };
                if point.replace(stage).is_some_and(|other| other != stage) {
                    return Err(field.problem("`stage` and `after` mean the same: keep one of them"));
                }
            }
            "group" if field.value.is_null() => {}
            "group" => {
                let name = field.text()?;
                if !self.knows_group(name) {
                    problems.push(self.other_group(name, field));
                }
                draft.group = Some(name.to_owned());
            }
            "timeout" => {
                draft.timeout = seconds(field)?;
            }
            "within" => draft.within = Some(seconds(field)?),
            "interval" => draft.interval = Some((seconds(field)?, field.line())),
            "retries" => draft.retries = Some(retries(field)?),
            "command" => draft.command = Some((field.text()?.to_owned(), field.line())),
            "shell" => draft.shell = field.boolean()?,
            _ => {}
        }
        Ok(())
    }

    /// What to say of a check whose tries take longer than the stage that they are part of may take.
    fn longer_than_its_stage(&self, check: &Check, entry: &Entry) -> Option<Problem> {
        let (CheckPoint::Before(stage) | CheckPoint::After(stage)) = check.at;
        // Promote restarts the services.
        let stage = if stage == Stage::RestartService { Stage::Promote } else { stage };
        let (longest, limit) = (check.longest(), self.settings.timeout(stage));
        (longest >= limit).then(|| {
            let what = format!("may take {} s with all its tries", longest.as_secs_f64());
            let remedy = format!("raise {stage}_timeout above that, or lower within or retries");
            let why = format!("{what}, and {stage} may take {} s in all: {remedy}", limit.as_secs());
            entry.problem(why).remark(Level::Warning)
        })
    }

    /// What to say of a check that asks the service before its restart, if none asks it afterwards.
    fn before_the_restart(&self, checks: &[Check]) -> Option<Problem> {
        let service = self.settings.service_name.first()?;
        let at = |point: CheckPoint| checks.iter().find(|check| check.at == point).map(|check| &check.name);
        let promote = at(CheckPoint::After(Stage::Promote))?;
        if at(CheckPoint::After(Stage::RestartService)).is_some() {
            return None;
        }
        let what = format!("check {promote:?} of stage promote runs before service {:?} restarts", service.name);
        let remedy = "to ask the new process, write `stage: restart_service`";
        let why = format!("{what}, and no check runs after the restart: {remedy}");
        Some(Problem::of_file("checks.yaml", format!("checks.yaml: {why}")).remark(Level::Warning))
    }

    /// The group that a gate or a hook is for; `None`: all. One that is not deployed to is told.
    pub(super) fn group_key(&self, field: &Field, problems: &mut Problems) -> Result<Option<String>, Problem> {
        if field.value.is_null() {
            return Ok(None);
        }
        let name = field.text()?;
        if !self.knows_group(name) {
            problems.push(self.other_group(name, field));
        }
        Ok(Some(name.to_owned()))
    }

    /// What to say of a check for a group that is not deployed to from this host. Where the configuration of another
    /// site has the group, the check is for that. Scap never asks; its repositories name groups that are long gone.
    pub(super) fn other_group(&self, name: &str, field: &Field) -> Problem {
        let groups = self.settings.server_groups.join(", ");
        let why = match self.group_elsewhere(name) {
            Some(origin) => format!("it is one of {origin}"),
            None if self.is_scaps() => format!("the groups are {groups}"),
            None => return field.problem(format!("unknown group {name:?}: the groups are {groups}")),
        };
        let why = format!("does not run here: group {name:?} is not deployed to: {why}");
        field.problem(why).remark(Level::Warning)
    }

    /// The file's name is the first word; the others are its arguments.
    fn script_exists(&self, command: &str, entry: &Entry, executable: bool) -> Result<(), Problem> {
        let wrong = |why: String| entry.problem(why).about("command");
        let words = crate::text::words(command).unwrap_or_default();
        let Some(name) = words.first() else {
            return Err(wrong(format!("{command:?} has a quote that is not closed")));
        };
        if super::values::name(name).is_err() {
            let why = "is not the name of a script: write the name of a file in the directory scripts";
            return Err(wrong(format!("{name:?} {why}")));
        }
        let places: Vec<_> = self.folders().iter().map(|folder| folder.join("scripts").join(name)).collect();
        let Some(script) = places.iter().find(|path| path.is_file()) else {
            let looked_for = places.iter().map(|path| self.shown(path)).collect();
            return Err(wrong("no such script".into()).looked_for(looked_for));
        };
        self.in_repository(script)?;
        let mode = script.metadata().map_or(0, |found| found.permissions().mode());
        if executable && mode & 0o111 == 0 {
            let script = self.shown(script);
            return Err(wrong(format!("{script} is not executable: run chmod +x, and commit that")));
        }
        Ok(())
    }
}

impl Draft {
    /// How often the check is tried.
    fn tries(&self, entry: &Entry) -> Result<Tries, Problem> {
        let (retries, within) = (self.retries, self.within);
        match self.interval {
            Some((_, line)) if retries.is_none() && within.is_none() => {
                let why = "interval has no effect without retries or within: add one of them";
                let file = entry.file;
                Err(Entry { file, label: entry.label.clone(), line, known: KEYS }.problem(why).about("interval"))
            }
            Some((interval, _)) => Ok(Tries { retries, within, interval }),
            None => Ok(Tries { retries, within, ..Tries::default() }),
        }
    }
}

/// A duration: a number of seconds, or a text such as `5m`.
pub(super) fn seconds(field: &Field) -> Result<Duration, Problem> {
    let text = match &field.value.value {
        Value::UInt(seconds) => seconds.to_string(),
        Value::Int(seconds) => seconds.to_string(),
        Value::Float(seconds) => seconds.to_string(),
        Value::Text(text) => text.trim().to_owned(),
        _ => String::new(),
    };
    super::values::fraction_of_seconds(&text).map_err(|why| field.problem(format!("bad {}: {why}", field.name())))
}

fn retries(field: &Field) -> Result<u32, Problem> {
    let number = match field.value.value {
        Value::Int(number) => u32::try_from(number).ok(),
        Value::UInt(number) => u32::try_from(number).ok(),
        _ => None,
    };
    let bad = || field.problem(format!("bad retries: write a whole number from 0 to {MOST_RETRIES}"));
    number.filter(|number| *number <= MOST_RETRIES).ok_or_else(bad)
}
