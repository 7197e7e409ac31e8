//! Run-once steps: on one target as a stage, which the target records; on the deploy host as a command.

use std::cell::RefCell;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use super::remarks::Remark;
use super::{Call, Fleet, Flow, HostEvent, HostId, HostResult, Step, Task};
use crate::once::OnceEnd;
use crate::procfs;
use crate::subprocess;
use crate::subprocess::{Limits, Stream};
use crate::wire::{CommandLine, Fault, Level, Line, Outcome, Revision, Stage};

/// What a target may take for a step beside its command.
const AROUND: Duration = Duration::from_secs(30);
/// Between two looks for what an earlier deployer left running.
const PAUSE: Duration = Duration::from_millis(100);

/// One try of a step, or of undoing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnceCall {
    /// No other try of the run has it.
    pub number: u32,
    /// `None`: the deploy host.
    pub host: Option<HostId>,
    pub group: String,
    /// What was live on the host at the probe.
    pub restore: Option<Revision>,
    pub command: CommandLine,
    /// The folder of the command on the deploy host.
    pub folder: std::path::PathBuf,
    /// Begin nothing, but find out how the try ended that an earlier deployer began: [`OnceEnd::NotBegun`] if it never did.
    pub recover: bool,
}

/// Something that happens in a step.
#[derive(Debug, Clone, PartialEq)]
pub enum OnceEvent {
    Line(Line),
    Remark(Remark),
}

/// Who is told of the events of a step, and from time to time of none; decides whether it goes on.
pub type OnceObserver<'a> = dyn FnMut(Vec<OnceEvent>) -> Flow + 'a;

/// Carries out one try over the fleet of its targets, which knows the command.
pub(super) fn carry_out(fleet: &mut dyn Fleet, call: &OnceCall, on: &mut OnceObserver) -> OnceEnd {
    match call.host {
        None if call.recover => wait_for_leftovers(call, on),
        None => run_here(call, on),
        Some(host) => run_on(fleet, host, call, on),
    }
}

/// The target's own record says how a step ended there.
fn run_on(fleet: &mut dyn Fleet, host: HostId, call: &OnceCall, on: &mut OnceObserver) -> OnceEnd {
    let run = Call {
        group: call.group.clone(),
        recover: call.recover,
        ..Call::contact(Step::Run(Stage::Once), 1, Duration::from_secs(call.command.timeout) + AROUND)
    };
    let task = Task { attempt: call.number, restore: call.restore.clone(), ..Task::first(host) };
    let ended = one(fleet, &run, &task, on);
    if call.recover {
        return match ended {
            None => OnceEnd::NotBegun { reason: "the host has no record of it".to_owned() },
            Some(result) => recorded(result.outcome),
        };
    }
    match ended.map(|result| result.outcome) {
        Some(Ok(())) => OnceEnd::Done,
        Some(Err(Fault::Unreachable { reason })) => OnceEnd::NotBegun { reason },
        Some(Err(Fault::Lost { reason })) => OnceEnd::Unknown { reason },
        None => OnceEnd::NotBegun { reason: "the run was interrupted before it began".to_owned() },
        Some(Err(fault)) => match one(fleet, &Call { recover: true, ..run }, &task, on) {
            Some(result) => recorded(result.outcome),
            None => OnceEnd::NotBegun { reason: fault.to_string() },
        },
    }
}

fn one(fleet: &mut dyn Fleet, call: &Call, task: &Task, on: &mut OnceObserver) -> Option<HostResult> {
    let mut ended = None;
    fleet.run(call, std::slice::from_ref(task), &mut |events| {
        let mut told = Vec::new();
        for event in events {
            match event {
                HostEvent::Line(_, line) => told.push(OnceEvent::Line(line)),
                HostEvent::Remark(remark) => told.push(OnceEvent::Remark(remark)),
                HostEvent::Ended(_, result) => ended = Some(*result),
                _ => {}
            }
        }
        on(told)
    });
    ended
}

/// How a step ended, by the outcome that its host has on record: only a command that ended by itself has a status.
fn recorded(outcome: Outcome) -> OnceEnd {
    match outcome {
        Ok(()) => OnceEnd::Done,
        Err(Fault::Failed { reason, status: Some(_) }) => OnceEnd::Failed { reason },
        Err(fault) => OnceEnd::Unknown { reason: fault.to_string() },
    }
}

/// Runs the command on this host.
fn run_here(call: &OnceCall, on: &mut OnceObserver) -> OnceEnd {
    let CommandLine { line, timeout, environment, not_beside } = &call.command;
    if let Some(reason) = procfs::in_the_way(not_beside) {
        return OnceEnd::Unknown { reason };
    }
    let mut command = subprocess::shell(line);
    command.envs(environment).current_dir(&call.folder);
    let (on, aborted) = (RefCell::new(on), RefCell::new(false));
    let is_over = || {
        let over = (on.borrow_mut())(Vec::new()) == Flow::Abort;
        *aborted.borrow_mut() |= over;
        over
    };
    let until = Instant::now() + Duration::from_secs(*timeout);
    let limits = Limits { until, is_over: &is_over, kill_leftovers: false };
    let mut say = |stream, message| {
        let level = if stream == Stream::Stderr { Level::Warning } else { Level::Info };
        (on.borrow_mut())(vec![OnceEvent::Line(Line { level, message })]);
    };
    match subprocess::run(&mut command, &limits, &mut say) {
        Err(error) => OnceEnd::NotBegun { reason: format!("cannot run /bin/sh in {}: {error}", call.folder.display()) },
        Ok(None) if *aborted.borrow() => OnceEnd::Unknown { reason: "aborted by the operator".to_owned() },
        Ok(None) => OnceEnd::Unknown { reason: format!("timed out after {timeout} s") },
        Ok(Some(status)) => match (status.code(), status.signal()) {
            (Some(0), _) => OnceEnd::Done,
            (Some(code), _) => OnceEnd::Failed { reason: format!("exit status {code}") },
            (None, signal) => OnceEnd::Unknown { reason: format!("killed by signal {}", signal.unwrap_or_default()) },
        },
    }
}

/// A step of a deployer that died: its shell died too, but not what the shell had started. Waits for that, since the
/// step must not run twice at the same time.
fn wait_for_leftovers(call: &OnceCall, on: &mut OnceObserver) -> OnceEnd {
    let until = Instant::now() + Duration::from_secs(call.command.timeout);
    let mut is_told = false;
    loop {
        let left = procfs::with_environment(&call.command.not_beside);
        let Some(first) = left.first() else {
            return OnceEnd::Unknown { reason: "its deployer ended while it ran".to_owned() };
        };
        if Instant::now() >= until {
            return OnceEnd::Unknown { reason: format!("its deployer ended, and it still runs: {first}") };
        }
        let mut events = Vec::new();
        if !std::mem::replace(&mut is_told, true) {
            let message = format!("a run-once step of this run is still running: waiting for {first}");
            events.push(OnceEvent::Remark(Remark { level: Level::Warning, host: None, message }));
        }
        if on(events) != Flow::Continue {
            return OnceEnd::Unknown { reason: format!("its deployer ended, and it still runs: {first}") };
        }
        std::thread::sleep(PAUSE);
    }
}
