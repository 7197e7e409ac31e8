//! One run on a time axis: what its journal and its log tell, put together, and written as a page for a browser or as
//! spans for a viewer of traces.
//!
//! The journal is what counts. The log adds what the journal has no record of: remarks, the words of questions, when each
//! host began, deployers that died, and the final table.

mod axis;
mod build;
mod build_output;
mod lanes;
mod overlay;
mod page;
mod rows;
mod trace;

use build_output::BuildOutput;
pub use page::html;
pub use trace::trace;

use std::collections::HashMap;
use std::time::Duration;

use crate::deploy::Plan;
use crate::deploy::health::{Health, Moment, Sample};
use crate::fleet::{HostId, Step};
use crate::journal::{Opened, Progress, WholeRun};
use crate::named::named;
use crate::once::OnceEnd;
use crate::repo::Distance;
use crate::report::{Logged, RunTimings, Tally};
use crate::targets::Target;
use crate::timings::Timings;
use crate::wire::{Fault, Level, Line, Revision};

named! {
    /// How a run is written: the values of `--format`.
    pub enum Format {
        /// One page that needs nothing else.
        Html = "html",
        /// Spans as OpenTelemetry's protocol has them in JSON.
        Trace = "trace",
    }
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        let found = Format::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| format!("unknown format {text:?}: choose {}", Format::ALL.map(Format::name).join(" or ")))
    }
}

/// A moment, in milliseconds since 1970.
type Millis = i64;

/// A run on a time axis.
#[derive(Debug)]
pub struct Timeline {
    opened: Opened,
    progress: Progress,
    /// What is wrong with the sources, a sentence each.
    lacks: Vec<String>,
    began: Millis,
    /// The last moment that anything is known of.
    ended: Millis,
    /// The sentence and the exit status that it ended with.
    verdict: Option<(String, u8)>,
    calls: Vec<CallSpan>,
    spans: Vec<HostSpan>,
    looks: Vec<LookSpan>,
    once: Vec<OnceSpan>,
    /// When no deployer was alive.
    gaps: Vec<(Millis, Millis)>,
    happenings: Vec<Happening>,
    /// What `build_command` said, if it ran for this run.
    build_output: BuildOutput,
    rows: Vec<Row>,
    /// Whether `rows` are the final table that the operator saw.
    is_final_table: bool,
    /// Where the time went, if it was measured.
    timings: Option<RunTimings>,
    /// Each target by its id, with its group's name.
    targets: Vec<(String, Target)>,
    /// What was live at the probe.
    before: HashMap<HostId, Option<Revision>>,
    /// How the revision stands to what was live.
    pub commits: Vec<Since>,
}

/// The commits between what hosts ran before a run and what it brought.
#[derive(Debug)]
pub struct Since {
    pub from: Revision,
    pub hosts: usize,
    /// Or why nobody can say.
    pub distance: Result<Distance, String>,
}

/// A step on hosts of a group.
#[derive(Debug)]
struct CallSpan {
    step: Step,
    group: String,
    /// The subgroup's, or the group's, where its hosts are of several; empty where it is of several groups.
    label: String,
    /// Which try it is, from 0.
    attempt: u32,
    start: Millis,
    /// `None`: it has not ended.
    end: Option<Millis>,
}

/// A step on one host.
#[derive(Debug)]
struct HostSpan {
    host: HostId,
    step: Step,
    /// Its place among the calls; `None`: the journal has no call of it.
    call: Option<usize>,
    attempt: u32,
    start: Millis,
    end: Millis,
    how: SpanEnd,
    /// The host's last lines, where it failed.
    tail: Vec<Line>,
    /// Where the time went, if that was measured.
    timings: Option<Box<Timings>>,
}

/// How a step on a host ended.
#[derive(Debug, Clone, PartialEq)]
enum SpanEnd {
    Ok,
    Failed(Fault),
    /// Its deployer died.
    Cut,
    /// It was under way at the end of what is known.
    Open,
}

impl SpanEnd {
    /// What keeps lanes apart: a fault's kind, not its words.
    fn kind(&self) -> &'static str {
        match self {
            SpanEnd::Ok => "ok",
            SpanEnd::Cut => "cut off",
            SpanEnd::Open => "not ended",
            SpanEnd::Failed(fault) => match fault {
                Fault::Failed { .. } | Fault::CacheBroken { .. } => "failed",
                Fault::ChecksFailed { .. } => "checks failed",
                Fault::MovedOn { .. } => "moved on",
                Fault::TimedOut { .. } => "timed out",
                Fault::Locked { .. } => "locked",
                Fault::Killed { .. } => "killed",
                Fault::Unreachable { .. } => "unreachable",
                Fault::Lost { .. } => "lost",
            },
        }
    }

    fn is_bad(&self) -> bool {
        matches!(self, SpanEnd::Failed(_))
    }
}

/// A soak, or a moment at which gates are evaluated.
#[derive(Debug)]
struct LookSpan {
    moment: Moment,
    group: String,
    label: String,
    is_soak: bool,
    start: Millis,
    end: Option<Millis>,
    samples: Vec<(Millis, Sample)>,
    health: Option<Health>,
}

/// A try of a run-once step, or of undoing it.
#[derive(Debug)]
struct OnceSpan {
    /// `undo of step migrate`.
    title: String,
    name: String,
    undo: bool,
    /// `None`: the deploy host.
    host: Option<HostId>,
    start: Millis,
    /// `None`: it has not ended.
    end: Option<(Millis, OnceEnd)>,
}

/// What a happening is, for its mark on the axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Remark,
    Question,
    Interrupt,
    Halt,
    Resumed,
    Rollback,
    /// A run-once step.
    Step,
}

/// Something that happened, in words.
#[derive(Debug)]
struct Happening {
    at: Millis,
    mark: Mark,
    level: Level,
    text: String,
    /// The hosts that it is about.
    hosts: Vec<HostId>,
}

/// Where a host is at the end.
#[derive(Debug)]
struct Row {
    host: Target,
    group: String,
    state: String,
    /// `None`: nobody has said.
    ok: Option<bool>,
    current: Option<Revision>,
    reason: String,
}

impl Timeline {
    /// Puts a run together. `log` has the events of its log; `Err`: why there are none.
    pub fn new(run: WholeRun, log: Result<Vec<Logged>, String>) -> Timeline {
        let mut timeline = build::of_journal(run);
        match log {
            Ok(events) => overlay::add(&mut timeline, events),
            Err(why) => timeline.lacks.push(why),
        }
        timeline.spans.sort_by_key(|span| (span.host, span.start, span.end));
        // What a question led to comes after it, in the same millisecond too.
        timeline.happenings.sort_by_key(|it| (it.at, it.mark == Mark::Rollback));
        rows::complete(&mut timeline);
        timeline.timings = timeline.timings.take().or_else(|| timeline.measured());
        timeline
    }

    /// Where the time went, as the log has it or, if the log is gone or its run did not end, by what the journal has of
    /// each step; `None`: nothing was measured.
    pub fn timings(&self) -> Option<&RunTimings> {
        self.timings.as_ref()
    }

    /// Where the time of the steps went that were measured.
    fn measured(&self) -> Option<RunTimings> {
        let groups = self.plan().groups.iter().map(|group| (group.name.clone(), group.targets.clone()));
        let mut tally = Tally::new(groups.collect());
        for span in &self.spans {
            if let Some(timings) = &span.timings {
                tally.add(self.name(span.host), span.step, timings, true);
            }
        }
        tally.timings(Duration::from_millis(u64::try_from(self.ended - self.began).unwrap_or_default()))
    }

    /// The plan of the run.
    pub fn plan(&self) -> &Plan {
        &self.opened.plan
    }

    /// What was live on the hosts at the probe, the most common revision first, and on how many.
    pub fn live_before(&self) -> Vec<(Revision, usize)> {
        let mut counts: HashMap<&Revision, usize> = HashMap::new();
        self.before.values().flatten().for_each(|revision| *counts.entry(revision).or_default() += 1);
        let mut counts: Vec<_> = counts.into_iter().map(|(revision, hosts)| (revision.clone(), hosts)).collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        counts
    }

    fn name(&self, host: HostId) -> &Target {
        &self.targets[host.index()].1
    }
}
