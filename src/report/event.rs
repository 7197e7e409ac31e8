//! Everything that happens in a command, as one type. The terminal, plain text, JSON lines and the log only read it.

use serde::{Deserialize, Serialize};

use super::owed::OwedHost;
use super::row::HostRow;
use super::timings::RunTimings;
use crate::exit_code::ExitCode;
use crate::fleet::Step;
use crate::gates::{Moment, Sample};
use crate::once::OnceEnd;
use crate::targets::{Group, Target};
use crate::timings::Timings;
use crate::wire::{Level, Line, Origin, Outcome, Revision, RunId, StartedBy, outcome};

/// A group as the header of a run names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupHead {
    pub name: String,
    pub hosts: usize,
    pub subgroups: usize,
    /// The failure limit, resolved: `10% of 5 = 0`.
    pub limit: String,
    /// Hosts that may be out of service, resolved in the same way; `None`: as many as a subgroup has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<String>,
}

impl From<&Group> for GroupHead {
    fn from(group: &Group) -> GroupHead {
        GroupHead {
            name: group.name.clone(),
            hosts: group.targets.len(),
            subgroups: group.subgroups().len(),
            limit: group.limit.resolved(group.targets.len()),
            max_unavailable: group.resolved_max_unavailable(),
        }
    }
}

/// A remark for the operator, of a host where it is about one. `Debug` shows with `-v` only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    pub level: Level,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Target>,
    /// What was done there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
}

impl Note {
    /// Of no host.
    pub fn new(level: Level, message: impl Into<String>) -> Note {
        Note { level, message: message.into(), host: None, step: None }
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first event of a deployment, but for those of its build.
    Started {
        run: RunId,
        #[serde(flatten)]
        by: StartedBy,
        repo: String,
        revision: Revision,
        /// How the revision was made; nothing of a commit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<Box<Origin>>,
        message: String,
        groups: Vec<GroupHead>,
        /// Why gates, soak and windows are passed over in this run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        break_glass: Option<String>,
        /// Who signed the plan that is deployed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        signed_by: Vec<String>,
    },
    /// The first event of `hoist run`.
    Command {
        command: String,
        #[serde(flatten)]
        by: StartedBy,
        groups: Vec<GroupHead>,
    },
    Note(Note),
    /// A subgroup begins; `label` is for people.
    Subgroup {
        group: String,
        label: String,
        hosts: Vec<Target>,
    },
    /// A step begins on `hosts` targets. `label` is empty where the step is not a subgroup's.
    StepStarted {
        step: Step,
        label: String,
        hosts: usize,
    },
    HostStarted {
        host: Target,
        step: Step,
    },
    /// A line that a host said.
    HostLine {
        host: Target,
        #[serde(flatten)]
        line: Line,
    },
    /// A difference that a configuration file would make. For the operator's eyes: neither log nor journal keeps it.
    HostDiff {
        host: Target,
        file: String,
        diff: String,
    },
    /// A host waits for something, `check answers` or `port 8080`. Told every few seconds while it lasts; for whoever
    /// looks on: neither log nor journal keeps it.
    HostWaiting {
        host: Target,
        what: String,
        /// How long already.
        #[serde(rename = "waited_seconds")]
        seconds: u64,
        /// How long at the most.
        #[serde(rename = "limit_seconds")]
        limit: u64,
    },
    HostEnded {
        host: Target,
        step: Step,
        #[serde(flatten, with = "outcome")]
        outcome: Outcome,
        /// The host's last lines; empty when all went well.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tail: Vec<Line>,
        /// Wall time. It has a name of its own in JSON, beside the `seconds` of an outcome that timed out.
        #[serde(rename = "took_seconds")]
        seconds: f64,
        /// Where the time went, if that was measured. It includes the wait for the host's turn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timings: Option<Box<Timings>>,
    },
    /// A step ended; `not_attempted` hosts were queued and never started.
    StepEnded {
        step: Step,
        label: String,
        ok: usize,
        failed: usize,
        not_attempted: Vec<Target>,
        seconds: f64,
    },
    LimitExceeded {
        group: String,
        failed: usize,
        limit: String,
    },
    /// So many hosts of a group are out of service that no further one may go out.
    CapacityUsedUp {
        group: String,
        /// What may be out, resolved: `10% of 25 = 2`.
        max_unavailable: String,
        /// What is out.
        hosts: Vec<Target>,
    },
    /// A soak begins: the run waits for so many seconds, and the gates look at the service.
    SoakStarted {
        group: String,
        label: String,
        seconds: u64,
    },
    /// How much of a soak is left. Told all the while; for whoever looks on: neither log nor journal keeps it.
    Soaking {
        group: String,
        label: String,
        left_seconds: u64,
        soak_seconds: u64,
    },
    /// A soak is over; seconds are left where it ended early.
    SoakEnded {
        group: String,
        label: String,
        left_seconds: u64,
    },
    /// A gate has looked at the service. `group` is empty where it looked at all of them.
    Gate {
        moment: Moment,
        group: String,
        label: String,
        #[serde(flatten)]
        sample: Sample,
    },
    /// A gate halts the run.
    GateFailed {
        gate: String,
        moment: Moment,
        group: String,
        reason: String,
        /// It could not tell, and nobody said to go on.
        inconclusive: bool,
    },
    /// A run-once step begins on a host, or on the deploy host; with `undo`, it is undone. `build_command` is such a step
    /// ahead of the run.
    OnceStarted {
        name: String,
        on: String,
        undo: bool,
        /// No rollback leads back behind it.
        irreversible: bool,
    },
    /// A line that a run-once step said.
    OnceLine {
        name: String,
        on: String,
        #[serde(flatten)]
        line: Line,
    },
    OnceEnded {
        name: String,
        on: String,
        undo: bool,
        #[serde(flatten)]
        end: OnceEnd,
        #[serde(rename = "took_seconds")]
        seconds: f64,
    },
    /// The operator was asked; `answer` is what was taken, `by` whom: `operator`, `--yes` or `--step`.
    Asked {
        question: String,
        answer: String,
        by: String,
    },
    Interrupted,
    /// The operator has asked for an end while `hosts` are at work on a step.
    Stopping {
        step: Step,
        hosts: Vec<Target>,
        /// Whether no further host begins; a rollback goes on.
        stops: bool,
        /// How long the first of them has been at work.
        #[serde(rename = "waited_seconds")]
        seconds: u64,
        /// How long each may be at work.
        #[serde(rename = "limit_seconds")]
        limit: u64,
        /// What the operator can do now.
        advice: String,
    },
    /// The operator aborts a step on the hosts that are at work on it.
    Aborting {
        step: Step,
        hosts: Vec<Target>,
    },
    /// Where the time of all hosts went, if that was measured; ahead of the last event.
    Timings(RunTimings),
    /// The last event: every target's end, and the exit status.
    Ended {
        verdict: String,
        /// What to type for hosts that are not where they should be.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ways_out: Vec<String>,
        /// Hosts that still need a revision.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        owed: Vec<OwedHost>,
        status: u8,
        rows: Vec<HostRow>,
        seconds: f64,
    },
}

impl Event {
    /// Whether it is one of a batch of events, after which there is a [`super::Reporter::flush`].
    pub fn comes_in_batches(&self) -> bool {
        matches!(
            self,
            Event::HostStarted { .. }
                | Event::HostLine { .. }
                | Event::HostDiff { .. }
                | Event::HostWaiting { .. }
                | Event::HostEnded { .. }
        )
    }

    /// A remark.
    pub fn note(level: Level, message: impl Into<String>) -> Event {
        Event::Note(Note::new(level, message))
    }

    /// A remark on a host.
    pub fn note_on(host: &Target, level: Level, message: impl Into<String>) -> Event {
        Event::Note(Note { host: Some(host.clone()), ..Note::new(level, message) })
    }

    /// The last event.
    pub fn ended(verdict: impl Into<String>, code: ExitCode, rows: Vec<HostRow>, seconds: f64) -> Event {
        Event::Ended {
            verdict: verdict.into(),
            ways_out: Vec::new(),
            owed: Vec::new(),
            status: code.status(),
            rows,
            seconds,
        }
    }
}
