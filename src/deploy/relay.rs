//! One call on the fleet, reported while it runs.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use crate::fleet::remarks::Remark;
use crate::fleet::{Call, Fleet, Flow, HostEvent, HostId, HostResult, Step, Task};
use crate::report::{Event, Note, Reporter};
use crate::targets::Target;
use crate::wire::Outcome;

/// Keeps account of the hosts of a call, and decides whether more of them may begin.
pub trait Observer {
    fn target(&self, host: HostId) -> &Target;

    fn started(&mut self, _: HostId) {}

    /// Processes a host's end. Returns the outcome to report and count, and whether further hosts may begin.
    fn ended(&mut self, host: HostId, result: HostResult) -> (Outcome, Flow);

    /// Whether the operator wants no further host to begin; polled.
    fn interrupted(&mut self, report: &mut dyn Reporter) -> bool;

    /// What the operator can do about the hosts that are still at work; `None` if there is no interrupt, or it is
    /// acknowledged already.
    fn advice(&mut self) -> Option<String> {
        None
    }

    /// Whether the operator aborts the step on the hosts at work; polled once the interrupt is acknowledged.
    fn aborts(&mut self) -> bool {
        false
    }
}

/// The event for a remark made during a step.
fn note(Remark { level, host, message }: Remark, step: Step) -> Event {
    Event::Note(Note { level, message, host, step: Some(step) })
}

/// Reports only the fleet's remarks, for a step that is not reported itself.
pub fn relay_remarks(events: Vec<HostEvent>, step: Step, report: &mut dyn Reporter) -> Flow {
    for event in events {
        if let HostEvent::Remark(remark) = event {
            report.event(&note(remark, step));
        }
    }
    Flow::Continue
}

/// The hosts on which a call did not begin.
pub struct Left {
    pub hosts: Vec<HostId>,
    /// Whether the call was stopped; otherwise there was no room for these hosts.
    pub stopped: bool,
}

/// Makes a call on the fleet. Informs the observer and the reporters, and returns the hosts that were not attempted.
pub fn relay(
    fleet: &mut dyn Fleet,
    call: &Call,
    label: &str,
    tasks: &[Task],
    report: &mut dyn Reporter,
    observer: &mut dyn Observer,
) -> Left {
    let (step, label) = (call.step, label.to_owned());
    report.event(&Event::StepStarted { step, label: label.clone(), hosts: tasks.len() });
    let began = Instant::now();
    let mut since: HashMap<HostId, Instant> = HashMap::new();
    let mut waiting: HashSet<HostId> = tasks.iter().map(|task| task.host).collect();
    let (mut ok, mut failed) = (0, 0);
    let mut asked: (Vec<HostId>, Instant) = (Vec::new(), began);
    let mut acknowledged = false;
    let mut flow = Flow::Continue;
    fleet.run(call, tasks, &mut |events| {
        if events.is_empty() {
            report.tick();
        }
        for event in events {
            match event {
                HostEvent::Asked(hosts) => asked = (hosts, Instant::now()),
                HostEvent::Started(host) => {
                    since.insert(host, Instant::now());
                    waiting.remove(&host);
                    observer.started(host);
                    report.event(&Event::HostStarted { host: observer.target(host).clone(), step });
                }
                HostEvent::Line(host, line) => {
                    report.event(&Event::HostLine { host: observer.target(host).clone(), line });
                }
                HostEvent::Remark(remark) => report.event(&note(remark, step)),
                HostEvent::Diff { host, file, diff } => {
                    report.event(&Event::HostDiff { host: observer.target(host).clone(), file, diff });
                }
                HostEvent::Waiting { host, what, seconds, limit } => {
                    report.event(&Event::HostWaiting { host: observer.target(host).clone(), what, seconds, limit });
                }
                HostEvent::Ended(host, result) => {
                    let (mut tail, timings) = (result.tail.clone(), result.timings.clone());
                    let (outcome, then) = observer.ended(host, *result);
                    if then == Flow::Stop {
                        flow = Flow::Stop;
                    }
                    if outcome.is_ok() {
                        ok += 1;
                        tail.clear();
                    } else {
                        failed += 1;
                    }
                    let seconds = since.remove(&host).map_or(0.0, |since| since.elapsed().as_secs_f64());
                    report.event(&Event::HostEnded {
                        host: observer.target(host).clone(),
                        step,
                        outcome,
                        tail,
                        seconds,
                        timings,
                    });
                }
            }
        }
        report.flush();
        let stops = observer.interrupted(report);
        if stops {
            flow = flow.max(Flow::Stop);
        }
        let asked_since = Some(&asked.1).filter(|_| !asked.0.is_empty());
        let is_at_work = |host: &HostId| since.contains_key(host) || asked.0.contains(host);
        let under_way = || tasks.iter().map(|task| task.host).filter(is_at_work);
        let targets = |observer: &dyn Observer| under_way().map(|host| observer.target(host).clone()).collect();
        if !acknowledged
            && under_way().next().is_some()
            && let Some(advice) = observer.advice()
        {
            acknowledged = true;
            report.event(&Event::Stopping {
                step,
                hosts: targets(observer),
                stops,
                seconds: since.values().chain(asked_since).map(Instant::elapsed).max().unwrap_or_default().as_secs(),
                limit: call.timeout.as_secs(),
                advice,
            });
        }
        if acknowledged && stops && flow < Flow::Abort && observer.aborts() {
            flow = Flow::Abort;
            report.event(&Event::Aborting { step, hosts: targets(observer) });
        }
        flow
    });
    let left: Vec<HostId> = tasks.iter().map(|task| task.host).filter(|host| waiting.contains(host)).collect();
    let not_attempted = left.iter().map(|host| observer.target(*host).clone()).collect();
    let seconds = began.elapsed().as_secs_f64();
    report.event(&Event::StepEnded { step, label, ok, failed, not_attempted, seconds });
    Left { hosts: left, stopped: flow != Flow::Continue }
}
