//! What the log of a run adds to its journal.

use std::collections::{HashMap, HashSet};

use crate::clock;
use crate::fleet::{HostId, Step};
use crate::report::{Event, LogLine, Logged, Note, causes, said};
use crate::targets::Target;
use crate::wire::{Level, Stage};

use super::{Happening, HostSpan, Mark, Millis, SpanEnd, Timeline};

/// How long a deployer may take to tell of what it has written down.
const AT_ONCE: Millis = 2000;

/// Events of a run, and what they are about.
struct Overlay<'a> {
    timeline: &'a mut Timeline,
    ids: HashMap<Target, HostId>,
    /// When each host began a step and ended it, as the deployers saw it.
    begun: HashMap<(HostId, Step), Vec<Begun>>,
    /// The last thing that a deployer said.
    last: Option<Millis>,
    deployers: usize,
    happenings: Vec<Happening>,
    /// Remarks on hosts: when, how heavy, what, on which.
    remarks: Vec<(Millis, Level, String, HostId)>,
    /// What was told, so that nothing is told again by who replays it.
    told: HashSet<String>,
}

struct Begun {
    at: Millis,
    ended: Option<Millis>,
}

/// Adds the events of a log, in their order.
pub fn add(timeline: &mut Timeline, events: Vec<Logged>) {
    let ids = HostId::first(timeline.targets.len()).zip(&timeline.targets);
    let ids = ids.map(|(id, (_, target))| (target.clone(), id)).collect();
    let mut overlay = Overlay {
        timeline,
        ids,
        begun: HashMap::new(),
        last: None,
        deployers: 0,
        happenings: Vec::new(),
        remarks: Vec::new(),
        told: HashSet::new(),
    };
    for Logged { time, event, replayed } in events {
        if let Some(at) = clock::unix_millis(&time) {
            overlay.event(at, event, replayed);
        }
    }
    overlay.finish();
}

impl Overlay<'_> {
    fn event(&mut self, at: Millis, event: Event, replayed: bool) {
        if !replayed {
            if matches!(event, Event::Started { .. }) {
                self.deployer(at);
            }
            self.last = Some(at);
            self.timeline.ended = self.timeline.ended.max(at);
            self.on_hosts(at, &event);
        }
        let line = said(&event);
        match event {
            Event::Note(Note { level, host: Some(host), message, .. }) if level > Level::Debug => {
                if let Some(id) = self.ids.get(&host)
                    && self.told.insert(format!("{host} {message}"))
                {
                    self.remarks.push((at, level, message, *id));
                }
            }
            Event::Note(Note { level, .. }) if level > Level::Debug => self.tell(at, Mark::Remark, line),
            Event::Asked { .. } => self.tell(at, Mark::Question, line),
            Event::Interrupted | Event::Stopping { .. } | Event::Aborting { .. } => {
                self.tell(at, Mark::Interrupt, line);
            }
            Event::LimitExceeded { .. } | Event::CapacityUsedUp { .. } | Event::GateFailed { .. } => {
                self.tell(at, Mark::Halt, line);
            }
            Event::Timings(timings) => self.timeline.timings = Some(timings),
            // What is built is built ahead of the run.
            Event::OnceLine { line, .. } if self.deployers == 0 => self.timeline.build_output.add(line.message),
            Event::OnceEnded { end, seconds, .. } if self.deployers == 0 => {
                self.timeline.build_output.end = Some((end, seconds));
            }
            Event::Ended { rows, .. } if !replayed => {
                self.timeline.rows = rows.into_iter().map(Into::into).collect();
                self.timeline.is_final_table = true;
            }
            _ => {}
        }
    }

    /// Another deployer begins, or goes on with what the one before it left.
    fn deployer(&mut self, at: Millis) {
        self.deployers += 1;
        // It had lived to write its last record, whatever it said last.
        let recorded = self.timeline.spans.iter().map(|span| span.end).filter(|end| *end <= at).max();
        if let (true, Some(last)) = (self.deployers > 1, self.last.max(recorded)) {
            self.timeline.gaps.push((last.min(at), at));
            let text = "its deployer had died; another one goes on with the run".to_owned();
            self.happenings.push(Happening { at, mark: Mark::Resumed, level: Level::Warning, text, hosts: Vec::new() });
        }
    }

    fn on_hosts(&mut self, at: Millis, event: &Event) {
        let id = |host: &Target| self.ids.get(host).copied();
        match event {
            Event::HostStarted { host, step } => {
                if let Some(host) = id(host) {
                    self.begun.entry((host, *step)).or_default().push(Begun { at, ended: None });
                }
            }
            Event::HostEnded { host, step, outcome, tail, seconds, timings } => {
                let Some(host) = id(host) else { return };
                if let Some(begun) = self.begun.get_mut(&(host, *step)).and_then(|begun| begun.last_mut()) {
                    begun.ended.get_or_insert(at);
                }
                // No journal has it: it changes no revision.
                if *step == Step::Run(Stage::Undrain) {
                    let start = at - (seconds * 1000.0) as Millis;
                    let how = outcome.clone().map_or_else(SpanEnd::Failed, |()| SpanEnd::Ok);
                    let (step, call, attempt, end) = (*step, None, 0, at);
                    let (tail, timings) = (tail.clone(), timings.clone());
                    self.timeline.spans.push(HostSpan { host, step, call, attempt, start, end, how, tail, timings });
                }
            }
            _ => {}
        }
    }

    fn tell(&mut self, at: Millis, mark: Mark, line: LogLine) {
        let LogLine { level, message: text, group, .. } = line;
        let text = match group {
            Some(group) if !text.starts_with(&group) => format!("{group}: {text}"),
            _ => text,
        };
        if self.told.insert(format!("{mark:?} {text}")) || matches!(mark, Mark::Question) && self.is_new(at) {
            self.happenings.push(Happening { at, mark, level, text, hosts: Vec::new() });
        }
    }

    /// Whether no question was told of that moment: the same one may be asked twice.
    fn is_new(&self, at: Millis) -> bool {
        self.happenings.iter().all(|it| it.mark != Mark::Question || (it.at - at).abs() > 1000)
    }

    fn finish(mut self) {
        self.place_starts();
        self.fold_remarks();
        // The log says in its own words what the journal has too, apart from what the journal alone knows.
        let is_past = |at: Millis| self.last.is_some_and(|last| at <= last);
        self.timeline.happenings.retain(|it| it.mark == Mark::Rollback || !is_past(it.at));
        self.timeline.happenings.append(&mut self.happenings);
    }

    /// Has each step begin when its deployer said so. What was begun and cut off by a deployer's death is a span of its
    /// own.
    fn place_starts(&mut self) {
        let gaps = self.timeline.gaps.clone();
        for span in &mut self.timeline.spans {
            let Some(begun) = self.begun.get_mut(&(span.host, span.step)) else { continue };
            let is_told = |it: &Begun| it.ended.is_some_and(|ended| (ended - span.end).abs() < AT_ONCE);
            // The deployer died before it told the end that it had written down.
            let is_recorded = |it: &Begun| {
                it.ended.is_none()
                    && it.at <= span.end
                    && gaps.iter().all(|(died, _)| it.at > *died || span.end <= *died)
            };
            if let Some(place) = begun.iter().position(is_told).or_else(|| begun.iter().position(is_recorded)) {
                span.start = begun.remove(place).at.min(span.end);
            }
        }
        for ((host, step), begun) in std::mem::take(&mut self.begun) {
            for it in begun.into_iter().filter(|it| it.ended.is_none()) {
                let Some((died, _)) = gaps.iter().find(|(died, _)| it.at <= *died) else { continue };
                let (how, tail) = (SpanEnd::Cut, Vec::new());
                let (call, attempt, start, end) = (None, 0, it.at, *died);
                let timings = None;
                self.timeline.spans.push(HostSpan { host, step, call, attempt, start, end, how, tail, timings });
            }
        }
    }

    /// One line for a remark that many hosts gave rise to.
    fn fold_remarks(&mut self) {
        let all = self.remarks.iter().map(|(_, level, text, host)| (*level, text, self.timeline.name(*host)));
        for cause in causes(all) {
            let hosts: Vec<HostId> = cause.hosts.iter().filter_map(|host| self.ids.get(host).copied()).collect();
            let is_of_it = |(_, level, _, host): &&(Millis, Level, String, HostId)| {
                *level == cause.key && Some(host) == hosts.first()
            };
            let at = self.remarks.iter().find(is_of_it).map_or(self.timeline.began, |(at, ..)| *at);
            self.happenings.push(Happening { at, mark: Mark::Remark, level: cause.key, text: cause.text, hosts });
        }
    }
}
