//! A run as its journal has it.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::clock;
use crate::deploy::Plan;
use crate::deploy::health::Health;
use crate::fleet::{Call, HostId, HostResult, Step, Task};
use crate::journal::{Progress, Record, WholeRun, once_of};
use crate::once::OnceEnd;
use crate::wire::{Level, Stage};

use super::{BuildOutput, CallSpan, Happening, HostSpan, LookSpan, Mark, Millis, OnceSpan, SpanEnd, Timeline};

/// Puts together what a journal has.
pub fn of_journal(run: WholeRun) -> Timeline {
    let WholeRun { opened, records, progress, damage, .. } = run;
    let began = clock::rfc3339_of_run(opened.plan.run.as_str()).and_then(|time| clock::unix_millis(&time));
    // Run ids of tests may tell any time.
    let first = records.iter().find_map(|(at, _)| millis(at.as_deref()));
    let began = match (began, first) {
        (Some(began), Some(first)) => began.min(first),
        (began, first) => began.or(first).unwrap_or_default(),
    };
    let mut lacks: Vec<String> = Vec::new();
    if let Some(damage) = damage {
        lacks.push(format!("The journal is damaged ({damage}): something is missing here."));
    }
    if first.is_none() && !records.is_empty() {
        lacks.push("The journal was written by an old version of Hoist, which noted no times.".to_owned());
    }
    let targets = opened.plan.targets();
    let targets = targets.map(|(group, target)| (opened.plan.group(group).name.clone(), target.clone())).collect();
    let timeline = Timeline {
        progress,
        lacks,
        began,
        ended: began,
        verdict: None,
        calls: Vec::new(),
        spans: Vec::new(),
        looks: Vec::new(),
        once: Vec::new(),
        gaps: Vec::new(),
        happenings: Vec::new(),
        build_output: BuildOutput::default(),
        rows: Vec::new(),
        is_final_table: false,
        timings: None,
        targets,
        before: HashMap::new(),
        commits: Vec::new(),
        opened,
    };
    let mut reading = Reading { timeline, current: HashMap::new(), call: None, once: None };
    for (at, record) in records {
        if let Some(at) = millis(at.as_deref()) {
            // A clock that was set back would turn bars around.
            reading.timeline.ended = reading.timeline.ended.max(at);
        }
        reading.read(record);
    }
    reading.finish()
}

fn millis(time: Option<&str>) -> Option<Millis> {
    time.and_then(clock::unix_millis)
}

struct Reading {
    timeline: Timeline,
    /// What is live on each host, as last read.
    current: HashMap<HostId, Option<crate::wire::Revision>>,
    call: Option<Running>,
    /// The run-once step under way.
    once: Option<(u32, Option<HostId>)>,
}

/// The call that is being read.
///
/// When a host began is in the journals of newer builds only, and not of a host whose end nobody saw. Elsewhere it follows
/// from what a fleet promises: hosts begin in order, so many at a time.
struct Running {
    place: usize,
    step: Step,
    room: Option<usize>,
    waiting: VecDeque<Task>,
    /// The hosts at work: the try, and when it began.
    at_work: HashMap<HostId, (u32, Millis)>,
    failed: usize,
}

impl Running {
    fn begin(&mut self, most: usize, now: Millis) {
        while self.at_work.len() < most
            && self.room.is_none_or(|room| self.at_work.len() + self.failed < room)
            && let Some(task) = self.waiting.pop_front()
        {
            self.at_work.insert(task.host, (task.attempt, now));
        }
    }
}

impl Reading {
    fn read(&mut self, record: Record) {
        let now = self.timeline.ended;
        match record {
            Record::Called { call, tasks } => self.called(&call, tasks),
            Record::Ended { host, result, took_seconds } => self.ended(host, *result, took_seconds),
            Record::Returned => {
                if let Some(call) = self.call.take() {
                    self.timeline.calls[call.place].end = Some(now);
                }
            }
            Record::OnceBegun { number, host } => {
                let text = format!("{}: started", self.once(number, host));
                self.once = Some((number, host));
                let (title, name, undo) = self.title(number);
                self.timeline.once.push(OnceSpan { title, name, undo, host, start: now, end: None });
                self.happened(Mark::Step, Level::Info, text);
            }
            Record::OnceEnded { number, end } => {
                let host = self.once.take().and_then(|(_, host)| host);
                let level = if end == OnceEnd::Done { Level::Info } else { Level::Error };
                let text = format!("{}: {end}", self.once(number, host));
                if let Some(span) = self.timeline.once.last_mut() {
                    span.end = Some((now, end));
                }
                self.happened(Mark::Step, level, text);
            }
            Record::Answered { answer, by } => {
                let by = by.map(|by| format!(" ({by})")).unwrap_or_default();
                self.happened(Mark::Question, Level::Info, format!("a question was answered: {}{by}", answer.word()));
            }
            Record::Interrupted => self.happened(Mark::Interrupt, Level::Warning, "interrupted".to_owned()),
            Record::LookBegun { moment, group, label, soak } => {
                let is_soak = !soak.is_zero();
                let look = LookSpan {
                    moment,
                    group,
                    label,
                    is_soak,
                    start: now,
                    end: None,
                    samples: Vec::new(),
                    health: None,
                };
                self.timeline.looks.push(look);
            }
            Record::Sampled { sample } => {
                if let Some(look) = self.timeline.looks.last_mut() {
                    look.samples.push((now, sample));
                }
            }
            Record::Soaked { .. } | Record::Opened(_) => {}
            Record::LookEnded { health } => {
                let said = match &health {
                    Health::Pass => None,
                    Health::Fail { gate, reason } => Some(format!("gate {gate} failed: {reason}")),
                    Health::Inconclusive { gate, reason } => Some(format!("gate {gate} is inconclusive: {reason}")),
                };
                if let Some(look) = self.timeline.looks.last_mut() {
                    (look.end, look.health) = (Some(now), Some(health));
                }
                if let Some(said) = said {
                    self.happened(Mark::Halt, Level::Error, said);
                }
            }
            Record::Closed { verdict, status, .. } => self.timeline.verdict = Some((verdict, status)),
        }
    }

    /// How a run-once step is called, or undoing it.
    fn once(&self, number: u32, host: Option<HostId>) -> String {
        let (plan, title) = (self.timeline.plan(), self.title(number).0);
        let target = host.and_then(|host| plan.targets().nth(host.index()));
        let on = target.map_or_else(|| "the deploy host".to_owned(), |(_, target)| target.to_string());
        format!("{title} on {on}")
    }

    /// The title and the name of the step of a try, and whether the try undoes it.
    fn title(&self, number: u32) -> (String, String, bool) {
        let plan = self.timeline.plan();
        let (step, undo) = once_of(plan.steps.len(), number);
        match plan.steps.get(step) {
            Some(step) => (step.title(undo), step.name.clone(), undo || step.undoes.is_some()),
            None => ("a step".to_owned(), String::new(), undo),
        }
    }

    fn happened(&mut self, mark: Mark, level: Level, text: String) {
        let at = self.timeline.ended;
        self.timeline.happenings.push(Happening { at, mark, level, text, hosts: Vec::new() });
    }

    fn called(&mut self, call: &Call, tasks: Vec<Task>) {
        let now = self.timeline.ended;
        let is_first_back = call.step == Step::Run(Stage::Rollback)
            && self.timeline.calls.last().is_none_or(|last| last.step != call.step);
        if is_first_back {
            self.happened(Mark::Rollback, Level::Warning, "a rollback begins".to_owned());
        }
        let plan = &self.timeline.opened.plan;
        self.timeline.calls.push(CallSpan {
            step: call.step,
            label: label(plan, call, &tasks),
            group: call.group.clone(),
            attempt: tasks.iter().map(|task| task.attempt).max().unwrap_or_default(),
            start: now,
            end: None,
        });
        let place = self.timeline.calls.len() - 1;
        let (step, room, waiting) = (call.step, call.room, tasks.into());
        let mut running = Running { place, step, room, waiting, at_work: HashMap::new(), failed: 0 };
        running.begin(call.batch.max(1), now);
        self.call = Some(running);
    }

    fn ended(&mut self, host: HostId, result: HostResult, took_seconds: Option<f64>) {
        let end = self.timeline.ended;
        let Some(call) = &mut self.call else { return };
        let most = call.at_work.len();
        let (attempt, start) = match call.at_work.remove(&host) {
            Some(begun) => begun,
            // It was begun in another order: by a deployer that went on with the call.
            None => {
                let place = call.waiting.iter().position(|task| task.host == host);
                (place.and_then(|place| call.waiting.remove(place)).map_or(0, |task| task.attempt), end)
            }
        };
        let start = took_seconds.map_or(start, |seconds| end - (seconds * 1000.0) as Millis);
        call.failed += usize::from(result.outcome.is_err());
        call.begin(most, end);
        let (step, call) = (call.step, Some(call.place));
        if let Some(state) = result.state.as_ref().or(result.facts.as_ref().map(|facts| &facts.state)) {
            self.current.insert(host, state.current.clone());
        }
        if let (Step::Probe, Some(facts)) = (step, &result.facts) {
            self.timeline.before.entry(host).or_insert(facts.state.current.clone());
        }
        let timings = result.timings;
        let (how, tail) = match result.outcome {
            Ok(()) => (SpanEnd::Ok, Vec::new()),
            Err(fault) => (SpanEnd::Failed(fault), result.tail),
        };
        self.timeline.spans.push(HostSpan { host, step, call, attempt, start, end, how, tail, timings });
    }

    /// What was under way at the end of the journal has no end.
    fn finish(self) -> Timeline {
        let Reading { mut timeline, current, call, .. } = self;
        if timeline.progress == Progress::UnderWay {
            let now = clock::unix_millis(&clock::rfc3339_utc()).unwrap_or(timeline.ended);
            timeline.ended = timeline.ended.max(now);
        }
        if let Some(call) = call.filter(|_| timeline.progress != Progress::Ended) {
            let mut at_work: Vec<_> = call.at_work.into_iter().collect();
            at_work.sort_unstable();
            for (host, (attempt, start)) in at_work {
                let (how, tail, end) = (SpanEnd::Open, Vec::new(), timeline.ended);
                let (step, call, timings) = (call.step, Some(call.place), None);
                timeline.spans.push(HostSpan { host, step, call, attempt, start, end, how, tail, timings });
            }
        }
        timeline.rows = super::rows::of_spans(&timeline, &current);
        timeline
    }
}

/// What a call's hosts are called together.
fn label(plan: &Plan, call: &Call, tasks: &[Task]) -> String {
    let Some(group) = plan.group_ids().find(|group| plan.group(*group).name == call.group) else {
        return String::new();
    };
    let hosts: HashSet<HostId> = tasks.iter().map(|task| task.host).collect();
    let mut subgroups = plan.subgroups_of(group).into_iter();
    let whole = subgroups.find(|(_, members)| hosts.iter().all(|host| members.contains(*host)));
    whole.map_or_else(|| call.group.clone(), |(label, _)| label)
}
