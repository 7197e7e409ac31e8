//! `steps.yaml`: the run-once steps of the repository, and what the environment makes of them.

use std::time::Duration;

use anyhow::Result;

use crate::once::{On, OnceStep, UNDO, When};
use crate::problem::Problem;
use crate::targets::{Group, Target};
use crate::text::quoted;
use crate::wire::Stage;
use crate::yaml::{Node, Value};

use super::checks::seconds;
use super::entries::{Entry, EntryKind, Field};
use super::problems::Problems;
use super::{Config, Note, values};

/// For the command of a step, unless it says otherwise.
const TIMEOUT: Duration = Duration::from_secs(600);

/// What a step may hold.
const KEYS: &[&str] = &["command", "undo", "on", "when", "group", "stage", "timeout", "irreversible", "once"];

/// The entries of the file.
const STEPS: EntryKind = EntryKind { list: "steps", one: "step" };

/// The names of the file.
pub(super) const FILES: [&str; 2] = ["steps.yaml", "steps.yml"];

/// The stages that a step can be tied to.
const STAGES: [Stage; 3] = [Stage::Fetch, Stage::ConfigDeploy, Stage::Promote];

/// A step as far as it has been read.
struct Draft {
    command: Option<String>,
    on: Option<On>,
    when: Option<When>,
    /// Where the key `on` stands.
    on_line: usize,
    step: OnceStep,
}

impl Config {
    /// The run-once steps: those of the repository's file in its order, then those that only the environment has. One of the
    /// environment replaces the repository's of that name in its place; one without a body is switched off. And remarks.
    ///
    /// # Errors
    /// What is wrong with the first step that is, with file and line. `groups` are all of the configuration's.
    pub fn steps(&self, groups: &[Group]) -> Result<(Vec<OnceStep>, Vec<Note>)> {
        Ok(Problems::settled(|problems| self.steps_into(groups, problems))?)
    }

    /// As [`Config::steps`], noting what is wrong and going on without it.
    pub(super) fn steps_into(&self, groups: &[Group], problems: &mut Problems) -> Vec<OnceStep> {
        let targets: Vec<&Target> = groups.iter().flat_map(|group| &group.targets).collect();
        // Where some are not known, it may be one of those.
        let known = (!self.has_unknown_targets()).then_some(&*targets);
        let read = |name: &Node, body: &Node, shown: &str, problems: &mut Problems| {
            self.step(name, body, shown, known, problems)
        };
        self.merged_entries(&FILES, &STEPS, Vec::new(), problems, read)
    }

    /// Reads a step; `None` when mistakes were noted.
    fn step(
        &self,
        name: &Node,
        body: &Node,
        file: &str,
        known: Option<&[&Target]>,
        problems: &mut Problems,
    ) -> Result<Option<OnceStep>, Problem> {
        let label = name.key_text();
        let entry = Entry { file, label: format!("step {label:?}"), line: name.line, known: KEYS };
        values::name(label).map_err(|why| Problem::at(file, name.line, format!("the name of a step: {why}")))?;
        if label.ends_with(UNDO) {
            return Err(entry.itself(&format!("has a name that ends in {UNDO}, which stands for undoing a step")));
        }
        let mut draft = Draft {
            command: None,
            on: None,
            when: None,
            on_line: name.line,
            step: OnceStep {
                name: label.to_owned(),
                command: String::new(),
                undo: None,
                on: On::First,
                when: When::Before,
                group: None,
                stage: None,
                timeout: TIMEOUT,
                irreversible: false,
                folder: self.top.clone(),
                undoes: None,
            },
        };
        if !entry.read(body, self, problems, |field, problems| self.step_key(&mut draft, field, problems))? {
            return Ok(None);
        }
        let lacks = |what: &str| entry.itself(what);
        let command = draft.command.ok_or_else(|| lacks("has no command: write `command:` and the command"))?;
        let on = draft.on.ok_or_else(|| {
            lacks("does not say where to run: write `on: deploy-host`, `on: first` or `on:` and the name of a host")
        })?;
        let when =
            draft.when.ok_or_else(|| lacks("does not say when to run: write `when: before` or `when: after`"))?;
        if let (On::Host(target), Some(known)) = (&on, known)
            && !known.contains(&target)
        {
            let same_host: Vec<String> =
                known.iter().filter(|it| it.host == target.host).map(|it| format!("`on: {it}`")).collect();
            let why = match same_host.is_empty() {
                true => format!("no target file lists {target}: name a target, or write first or deploy-host"),
                false => format!("no target file lists {target}: write {}", same_host.join(" or ")),
            };
            problems.push(entry.problem_at(draft.on_line, why).about("on"));
            return Ok(None);
        }
        Ok(Some(OnceStep { command, on, when, ..draft.step }))
    }

    /// Reads one key of a step into its draft.
    fn step_key(&self, draft: &mut Draft, field: &Field, problems: &mut Problems) -> Result<(), Problem> {
        let step = &mut draft.step;
        match field.name() {
            "command" => draft.command = Some(command(field)?),
            "undo" => step.undo = Some(command(field)?),
            "on" => {
                draft.on_line = field.line();
                draft.on = Some(field.text()?.parse().map_err(|why| field.problem(why))?);
            }
            "when" => draft.when = Some(field.text()?.parse().map_err(|why: String| field.problem(why))?),
            "group" => step.group = self.group_key(field, problems)?,
            "stage" => {
                let stage: Stage = field.text()?.parse().map_err(|why| field.problem(why))?;
                if !STAGES.contains(&stage) {
                    let known = STAGES.map(Stage::name).join(", ");
                    return Err(field.problem(format!("no step runs before or after {stage}: write one of {known}")));
                }
                step.stage = Some(stage);
            }
            "timeout" => step.timeout = seconds(field)?,
            "irreversible" => step.irreversible = field.boolean()?,
            "once" if !field.boolean()? => {
                return Err(field.problem("every step runs once: remove the key, or write `once: true`"));
            }
            _ => {}
        }
        Ok(())
    }
}

/// A line of shell, or a list of words, which are quoted.
fn command(field: &Field) -> Result<String, Problem> {
    let bad =
        || field.problem(format!("{} is {}: write a command, or a list of words", field.name(), field.value.kind()));
    let line = match &field.value.value {
        Value::List(words) => {
            let words: Vec<String> =
                words.iter().map(|word| word.text().map(quoted).ok_or_else(bad)).collect::<Result<_, _>>()?;
            words.join(" ")
        }
        _ => field.value.text().ok_or_else(bad)?.to_owned(),
    };
    if line.trim().is_empty() || line.contains('\0') {
        return Err(field.problem(format!("{} is empty: write a command", field.name())));
    }
    Ok(line)
}
