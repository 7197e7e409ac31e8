//! Every run that the journals of a folder tell of, however it ended. Of its records only so much is read as tells what
//! became of its hosts, and when: what hosts said, and what their disks held, takes most of a journal.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::Deserialize;

use crate::clock;
use crate::deploy::Answer;
use crate::deploy::health::{Health, Unwell};
use crate::files::no_links;
use crate::fleet::{Call, HostId, Step};
use crate::targets::Target;
use crate::wire::{Fault, Outcome, Revision, Stage, StartedBy};

use super::file::claim;
use super::once::{PastOnce, past_steps};
use super::parse::{Wrong, first};
use super::read::{journals, read};
use super::record::{Opened, Record};

/// A run, and how it ended.
#[derive(Debug)]
pub struct Past {
    pub opened: Opened,
    /// When it was opened, behind the questions that are asked before a run begins: RFC 3339, in UTC. Unknown where an
    /// earlier build wrote the journal.
    opened_at: Option<String>,
    /// `None`: it has not ended.
    pub end: Option<PastEnd>,
    /// Its deployer is at work on it right now.
    pub live: bool,
    /// A person stopped it, or called for its rollback.
    pub interrupted: bool,
    /// The gate that halted it, and why.
    pub gate: Option<Unwell>,
    /// What was done on its hosts, in order.
    pub steps: Vec<PastStep>,
    /// Its run-once steps, as far as they began.
    pub once: Vec<PastOnce>,
}

/// How a run ended: as of [`Record::Closed`].
#[derive(Debug)]
pub struct PastEnd {
    /// The exit status.
    pub status: u8,
    /// In one sentence.
    pub verdict: String,
    pub stayed: Option<bool>,
    /// Who ended it, if that is not who began it.
    pub by: Option<StartedBy>,
    /// RFC 3339, in UTC. Unknown where an earlier build wrote the journal.
    pub at: Option<String>,
}

/// One call on the fleet.
#[derive(Debug)]
pub struct PastStep {
    pub step: Step,
    /// RFC 3339, in UTC, where it is known.
    pub began: Option<String>,
    pub results: Vec<PastResult>,
}

/// How a step ended on one host.
#[derive(Debug)]
pub struct PastResult {
    /// It is one of the run's plan.
    pub host: HostId,
    pub outcome: Outcome,
    pub time: PastTime,
    /// What the host's links said then, where it told of them.
    pub links: Option<PastLinks>,
}

/// When something ended, and how long it took, as far as that is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PastTime {
    /// RFC 3339, in UTC.
    pub ended: Option<String>,
    pub seconds: Option<f64>,
}

/// The revisions that a host's links named.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PastLinks {
    pub current: Option<Revision>,
    pub done: Option<Revision>,
}

impl PastStep {
    /// Whether it takes a host forward: a failure in it is one of the run, and not of its way back.
    pub fn is_forward(&self) -> bool {
        !matches!(self.step, Step::Run(Stage::Rollback | Stage::Undrain))
    }
}

impl Past {
    /// When it began: RFC 3339, in UTC.
    pub fn when(&self) -> String {
        clock::rfc3339_of_run(self.opened.plan.run.as_str()).unwrap_or_default()
    }

    /// Its exit status, if it has ended.
    pub fn status(&self) -> Option<u8> {
        self.end.as_ref().map(|end| end.status)
    }

    /// When it ended: RFC 3339, in UTC, where that is known.
    pub fn ended(&self) -> Option<&str> {
        self.end.as_ref()?.at.as_deref()
    }

    /// Seconds from its beginning to its end, without the time that questions before it waited for an answer.
    pub fn seconds(&self) -> Option<f64> {
        let began = self.opened_at.clone().unwrap_or_else(|| self.when());
        clock::seconds_between(&began, self.ended()?)
    }

    /// Whether a stage or a run-once step was begun.
    pub fn touched(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.step, Step::Run(_))) || !self.once.is_empty()
    }

    /// Its targets, by the number of their host.
    pub fn targets(&self) -> Vec<&Target> {
        self.opened.plan.targets().map(|(_, target)| target).collect()
    }

    /// The hosts that failed and the step that each failed, on the way forward and on the way back. One that passed when it
    /// was tried again has not failed.
    pub fn failures(&self) -> Vec<(&Target, Step, Fault)> {
        let targets = self.targets();
        let mut probed: Vec<Option<&PastLinks>> = vec![None; targets.len()];
        let mut last: Vec<[Option<(Step, Outcome)>; 2]> = vec![Default::default(); targets.len()];
        for step in &self.steps {
            for result in &step.results {
                let host = result.host.index();
                if step.step == Step::Probe {
                    probed[host] = probed[host].or(result.links.as_ref());
                }
                let moved_on = probed[host].and_then(|before| self.foreign(step.step, result, before));
                let outcome = moved_on.map_or_else(|| result.outcome.clone(), |to| Err(Fault::MovedOn { to }));
                last[host][usize::from(!step.is_forward())] = Some((step.step, outcome));
            }
        }
        let ends = targets.into_iter().zip(last).flat_map(|(target, ends)| ends.map(|end| (target, end)));
        ends.filter_map(|(target, end)| end.and_then(|(step, outcome)| Some((target, step, outcome.err()?)))).collect()
    }

    /// The revision that somebody else has brought to a host behind a stage, which may have succeeded before: what the host
    /// said of the stage is not what came of it.
    fn foreign(&self, step: Step, result: &PastResult, before: &PastLinks) -> Option<Revision> {
        let links = result.links.as_ref().filter(|_| matches!(step, Step::Run(_)))?;
        let ours = [Some(&self.opened.plan.revision), before.current.as_ref(), before.done.as_ref()];
        let is_foreign = |found: &Option<Revision>| found.is_some() && !ours.contains(&found.as_ref());
        links.current.clone().filter(|_| is_foreign(&links.current) && is_foreign(&links.done))
    }
}

/// The journals of a folder, the newest run first. It changes nothing.
///
/// # Errors
/// A folder that cannot be read.
pub fn past(folder: &Path) -> Result<Vec<PastJournal>> {
    Ok(journals(folder)?.into_iter().rev().map(PastJournal).collect())
}

/// A journal that was not read yet.
#[derive(Debug)]
pub struct PastJournal(PathBuf);

impl PastJournal {
    /// The id of its run, as its name has it.
    pub fn run(&self) -> &str {
        self.0.file_stem().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// When its run began, in seconds since 1970, as its name has it.
    pub fn began(&self) -> Option<f64> {
        clock::unix_seconds(&clock::rfc3339_of_run(self.run())?)
    }

    /// Its run; `None` when it tells of nothing.
    ///
    /// # Errors
    /// A journal that cannot be read.
    pub fn read(&self) -> Result<Option<Past>> {
        past_of(&self.0)
    }
}

/// The run of one journal; `None` when it tells of nothing.
pub(super) fn past_of(path: &Path) -> Result<Option<Past>> {
    past_if(path, |_| true)
}

/// The same, if it is wanted: one that is not is read no further than to its first line.
pub(super) fn past_if(path: &Path, wanted: impl Fn(&Opened) -> bool) -> Result<Option<Past>> {
    let bytes = read(path)?;
    // Without its newline a record was not promised to anyone.
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let line = lines.next();
    let opened = match line.map_or(Err(Wrong::Blank), first) {
        Ok(opened) => *opened,
        Err(Wrong::Blank) => return Ok(None),
        Err(Wrong::Newer(version)) => bail!("{} was written by a newer Hoist ({version})", path.display()),
        Err(Wrong::Damaged(why)) => bail!("{} is damaged: {why}", path.display()),
    };
    if !wanted(&opened) {
        return Ok(None);
    }
    let opened_at = line.and_then(|line| serde_json::from_slice(line).ok()).and_then(|Stamp { at }| at);
    let mut past = Past {
        opened,
        opened_at,
        end: None,
        live: false,
        interrupted: false,
        gate: None,
        steps: Vec::new(),
        once: Vec::new(),
    };
    read_records(lines, &mut past);
    past.live = past.end.is_none() && no_links::open_own(path).is_ok_and(|file| !claim(&file));
    Ok(Some(past))
}

/// When a record was written.
#[derive(Deserialize)]
struct Stamp {
    at: Option<String>,
}

/// A record, as far as it is read.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    record: Cow<'a, str>,
    at: Option<String>,
    call: Option<Call>,
    host: Option<HostId>,
    #[serde(borrow)]
    result: Option<LineResult<'a>>,
    took_seconds: Option<f64>,
}

/// A host's result, as far as it is read.
#[derive(Deserialize)]
struct LineResult<'a> {
    #[serde(borrow, alias = "ended")]
    outcome: Cow<'a, str>,
    state: Option<PastLinks>,
    facts: Option<LineFacts>,
}

/// What a probe found, as far as it is read.
#[derive(Deserialize)]
struct LineFacts {
    state: PastLinks,
}

fn read_records<'a>(lines: impl Iterator<Item = &'a [u8]>, past: &mut Past) {
    let hosts = past.opened.plan.size();
    // A gate could not tell, and what the operator makes of that is not known yet.
    let mut undecided = None;
    let mut of_steps: Vec<Record> = Vec::new();
    for line in lines {
        let Ok(Line { record, at, call, host, result, took_seconds }) = serde_json::from_slice(line) else { continue };
        // A run that was written on after its end has not ended.
        past.end = None;
        match (record.as_ref(), call, host, result) {
            ("called", Some(call), ..) => {
                past.steps.push(PastStep { step: call.step, began: at, results: Vec::new() });
            }
            ("ended", _, Some(host), Some(result)) if host.index() < hosts => {
                let Some(step) = past.steps.last_mut() else { continue };
                let Some(outcome) = outcome_of(&result.outcome, line) else { continue };
                let links = result.state.or(result.facts.map(|facts| facts.state));
                let time = PastTime { ended: at, seconds: took_seconds };
                step.results.push(PastResult { host, outcome, time, links });
            }
            ("interrupted", ..) => past.interrupted = true,
            ("once_begun" | "once_ended", ..) => of_steps.extend(serde_json::from_slice::<Record>(line).ok()),
            ("look_ended" | "answered" | "closed", ..) => match serde_json::from_slice(line) {
                Ok(Record::LookEnded { health: Health::Fail { gate, reason } }) => {
                    past.gate = Some(Unwell { gate, reason, inconclusive: false });
                }
                Ok(Record::LookEnded { health: Health::Inconclusive { gate, reason } }) => {
                    undecided = Some(Unwell { gate, reason, inconclusive: true });
                }
                Ok(Record::Answered { answer, by }) => {
                    of_steps.push(Record::Answered { answer, by });
                    past.gate = undecided.take().filter(|_| answer == Answer::No).or(past.gate.take());
                }
                Ok(Record::Closed { verdict, status, stayed, by }) => {
                    past.end = Some(PastEnd { status, verdict, stayed, by, at });
                }
                _ => {}
            },
            _ => {}
        }
    }
    past.once = past_steps(past.opened.plan.steps.len(), of_steps.iter());
}

/// The outcome in a line; what went wrong is read whole.
fn outcome_of(word: &str, line: &[u8]) -> Option<Outcome> {
    if word == "ok" {
        return Some(Ok(()));
    }
    match serde_json::from_slice(line) {
        Ok(Record::Ended { result, .. }) => Some(result.outcome),
        _ => None,
    }
}
