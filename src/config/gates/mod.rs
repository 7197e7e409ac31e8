//! `gates.yaml`: the health gates of the repository, and what the environment makes of them.

mod doubts;
mod draft;
pub(super) mod fields;

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::Result;

use crate::gates::{Control, Endpoint, Gate, Moment, NoData, Source, Statuses};
use crate::problem::Problem;
use crate::wire::Level;
use crate::yaml::Node;

use super::checks::seconds;
use super::endpoint::{OF_SERVERS, keep, unusable};
use super::entries::{Entry, EntryKind, Field, Types, known_of};
use super::problems::Problems;
use super::{Config, Note};

pub use doubts::doubts;
use draft::Draft;
use fields::{add_words, matchers, number, share, texts};

/// How many samples may fail at the most.
const MOST_FAILURES: usize = 10_000;
/// How many values a comparison may need on each side at the most.
const MOST_SAMPLES: usize = 100_000;

/// The keys of every gate.
const OF_EVERY: &[&str] =
    &["type", "when", "group", "interval", "delay", "timeout", "within", "failures", "no_data", "observe"];

/// The types, each with the keys that it has beside those of every gate.
const TYPES: &Types = &[
    ("command", [&[], &["require", "command", "shell"]]),
    ("http", [OF_SERVERS, &["require", "status", "body", "json"]]),
    ("prometheus", [OF_SERVERS, &["require", "query"]]),
    ("alertmanager", [OF_SERVERS, &["matchers"]]),
    (
        "compare",
        [OF_SERVERS, &["query", "host_label", "control", "worse", "significance", "effect", "difference", "samples"]],
    ),
];

/// What a gate may hold.
static KEYS: LazyLock<Vec<&str>> = LazyLock::new(|| known_of(OF_EVERY, TYPES));

/// The entries of the file.
const GATES: EntryKind = EntryKind { list: "gates", one: "gate" };

impl Config {
    /// The gates in the order of the repository's file, then those that only the environment has. A gate of the
    /// environment replaces the repository's of that name in its place; one without a body, or with an empty one, is
    /// switched off. And remarks.
    ///
    /// # Errors
    /// What is wrong with the first gate that is, with file and line.
    pub fn gates(&self) -> Result<(Vec<Gate>, Vec<Note>)> {
        Ok(Problems::settled(|problems| self.gates_into(problems))?)
    }

    /// As [`Config::gates`], noting what is wrong and going on without it.
    pub(super) fn gates_into(&self, problems: &mut Problems) -> Vec<Gate> {
        let read =
            |name: &Node, body: &Node, shown: &str, problems: &mut Problems| self.gate(name, body, shown, problems);
        let gates = self.merged_entries(&["gates.yaml", "gates.yml"], &GATES, Vec::new(), problems, read);
        problems.extend(gates.iter().filter_map(|gate| self.without_a_soak(gate)));
        gates
    }

    /// What to say of a gate that would never be asked.
    fn without_a_soak(&self, gate: &Gate) -> Option<Problem> {
        let mut groups = self.settings.groups.iter().filter(|group| gate.scope.has_group(&group.name));
        let soaks = groups.any(|group| !group.soak_time.is_zero() || !group.group_soak_time.is_zero());
        (gate.scope.at == [Moment::Soak] && !soaks).then(|| {
            let name = &gate.name;
            let why = format!("gate {name:?} is asked during soaks only, and there are none: set soak_time");
            Problem::of_file("gates.yaml", format!("gates.yaml: {why}")).remark(Level::Warning)
        })
    }

    /// Reads a gate; `None` when mistakes were noted.
    fn gate(&self, name: &Node, body: &Node, file: &str, problems: &mut Problems) -> Result<Option<Gate>, Problem> {
        let label = name.key_text();
        let entry = Entry { file, label: format!("gate {label:?}"), line: name.line, known: &KEYS };
        let mut draft = Draft::new(label, self.top.clone());
        if !entry.read(body, self, problems, |field, problems| self.gate_key(&mut draft, field, problems))? {
            return Ok(None);
        }
        entry.has_keys_of(body, draft.kind, TYPES, "a gate")?;
        if draft.gate.scope.at.is_empty() {
            return Err(entry.itself("does not say when to ask: write `when: soak`, for example"));
        }
        let source = draft.source(&entry)?;
        let gate = Gate { source, ..draft.gate };
        if gate.interval < gate.timeout && gate.scope.at.contains(&Moment::Soak) && gate.within < gate.timeout {
            let why = "within is shorter than timeout: a single slow answer makes the gate inconclusive";
            problems.push(entry.problem(why).about("within").remark(Level::Warning));
        }
        let too_soon_or_late = gate.scope.at.iter().find(|moment| matches!(moment, Moment::Before | Moment::Finalize));
        if let (Source::Compare { .. }, Some(moment)) = (&gate.source, too_soon_or_late) {
            let why = format!("there is nothing to compare at the moment {moment}: the gate will be skipped there");
            problems.push(entry.problem(why).about("when").remark(Level::Warning));
        }
        if problems.thorough {
            problems.extend(endpoint_of(&gate).into_iter().flat_map(|endpoint| unusable(endpoint, &entry)));
        }
        Ok(Some(gate))
    }

    /// Reads one key of a gate into its draft.
    fn gate_key(&self, draft: &mut Draft, field: &Field, problems: &mut Problems) -> Result<(), Problem> {
        let wrong = |why: String| field.problem(why);
        match field.name() {
            "type" => {
                draft.kind = field.kind(TYPES)?;
            }
            "when" => add_words(field, &mut draft.gate.scope.at)?,
            "group" => draft.gate.scope.group = self.group_key(field, problems)?,
            "interval" => draft.gate.interval = seconds(field)?,
            "delay" if matches!(field.text()?, "0" | "0s") => draft.gate.delay = Duration::ZERO,
            "delay" => draft.gate.delay = seconds(field)?,
            "timeout" => draft.gate.timeout = seconds(field)?,
            "within" => draft.gate.within = seconds(field)?,
            "failures" => draft.gate.failures = number(field, 0, MOST_FAILURES)? as u32,
            "no_data" => {
                draft.gate.no_data = match field.text()? {
                    "wait" => NoData::Wait,
                    "ask" => NoData::Ask,
                    "pass" => NoData::Pass,
                    "fail" => NoData::Fail,
                    other => return Err(wrong(format!("unknown no_data {other:?}: write wait, ask, pass or fail"))),
                }
            }
            "observe" => draft.gate.observe = field.boolean()?,
            "shell" => draft.shell = field.boolean()?,
            "status" => {
                let status = |text: String| text.trim().parse().ok().filter(|status| (100..600).contains(status));
                let statuses = texts(field)?.into_iter().map(status).collect::<Option<Vec<u16>>>();
                let bad = || wrong("bad status: write HTTP statuses such as 200, separated by commas".into());
                draft.statuses = Statuses::These(statuses.filter(|all| !all.is_empty()).ok_or_else(bad)?);
            }
            "matchers" => draft.matchers = matchers(field)?,
            "control" => {
                draft.comparison.control = match field.text()? {
                    "group" => Control::Group,
                    "fleet" => Control::Fleet,
                    other => return Err(wrong(format!("unknown control {other:?}: write group or fleet"))),
                }
            }
            "significance" => draft.comparison.significance = share(field, 0.0, 0.5)?,
            "effect" => draft.comparison.effect = share(field, 0.5, 1.0)?,
            "difference" => draft.comparison.difference = share(field, 0.0, 100.0)?,
            "samples" => draft.comparison.samples = number(field, 2, MOST_SAMPLES)?,
            _ => keep(field, &KEYS, &mut draft.text)?,
        }
        Ok(())
    }
}

/// The files that a gate reads when it is asked.
fn endpoint_of(gate: &Gate) -> Option<&Endpoint> {
    let (Source::Http { endpoint, .. }
    | Source::Prometheus { endpoint, .. }
    | Source::Alertmanager { endpoint, .. }
    | Source::Compare { endpoint, .. }) = &gate.source
    else {
        return None;
    };
    Some(endpoint)
}
