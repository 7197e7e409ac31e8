//! A command of the operator's on groups of hosts: the groups, subgroups and failure limits of a deployment, with one
//! step, no question, and nothing to take back. The rules R1 to R5 and R7 of DESIGN.md hold for it as they stand.

use std::time::{Duration, Instant};

use crate::deploy::{Observer, relay};
use crate::exit_code::ExitCode;
use crate::fleet::{Call, Fleet, Flow, HostId, HostIds, HostResult, Step, Task};
use crate::report::{Event, GroupHead, HostRow, Reporter, RowState};
use crate::targets::{Group, Target};
use crate::wire::{Fault, Outcome, StartedBy};

/// What is to be run, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandRun {
    /// The line for the hosts' login shells.
    pub command: String,
    pub by: StartedBy,
    /// In order; none is empty, and no target is in two.
    pub groups: Vec<Group>,
    /// Hosts at once.
    pub batch: usize,
    /// For the command on one host.
    pub timeout: Duration,
    /// Whether failures within the limits have a status of their own.
    pub strict: bool,
}

/// Whoever called for the command.
pub trait Caller {
    /// Whether no further host is to begin; asked every so often.
    fn stops(&mut self, report: &dyn Reporter) -> bool;

    /// What the caller, who has just been heard, can do about the hosts at work.
    fn advice(&mut self) -> Option<String> {
        None
    }

    /// Whether the hosts at work are not waited for any longer; asked every so often after that.
    fn aborts(&mut self) -> bool {
        false
    }
}

impl<F: FnMut(&dyn Reporter) -> bool> Caller for F {
    fn stops(&mut self, report: &dyn Reporter) -> bool {
        self(report)
    }
}

/// Runs the command over a fleet whose ids are the places of the targets, over all groups in order.
pub fn run(
    command_run: &CommandRun,
    fleet: &mut dyn Fleet,
    report: &mut dyn Reporter,
    caller: &mut dyn Caller,
) -> ExitCode {
    let began = Instant::now();
    report.event(&Event::Command {
        command: command_run.command.clone(),
        by: command_run.by.clone(),
        groups: command_run.groups.iter().map(GroupHead::from).collect(),
    });
    let targets = command_run.groups.iter().flat_map(|group| group.targets.iter().map(move |target| (group, target)));
    let rows = targets.map(|(group, target)| Row { group, target, outcome: None }).collect();
    let mut hosts = Hosts { rows, failed: 0, interrupted: false, aborted: false, caller };
    let end = hosts.visit(command_run, fleet, report);
    let (verdict, code) = hosts.judge(end, command_run.strict);
    let rows = hosts.rows.iter().map(Row::report).collect();
    report.event(&Event::ended(verdict, code, rows, began.elapsed().as_secs_f64()));
    code
}

/// How it left off.
enum End<'a> {
    Through,
    Limit(&'a Group),
    Interrupted,
}

/// One host.
struct Row<'a> {
    group: &'a Group,
    target: &'a Target,
    /// `None`: nothing was begun there.
    outcome: Option<Outcome>,
}

/// All hosts, by [`HostId`].
struct Hosts<'a, 'h> {
    rows: Vec<Row<'a>>,
    /// In the group that has its turn.
    failed: usize,
    interrupted: bool,
    aborted: bool,
    caller: &'h mut dyn Caller,
}

impl<'a> Hosts<'a, '_> {
    /// Group by group, subgroup by subgroup, until a limit is exceeded (R7) or the operator wants an end.
    fn visit(&mut self, command_run: &'a CommandRun, fleet: &mut dyn Fleet, report: &mut dyn Reporter) -> End<'a> {
        let mut hosts = HostId::first(0);
        for group in &command_run.groups {
            self.failed = 0;
            hosts = hosts.next_after(group.targets.len());
            for (label, range) in group.subgroups() {
                if self.interrupted(report) {
                    return End::Interrupted;
                }
                self.visit_subgroup(command_run, group, &label, hosts.part(range), fleet, report);
                // Hosts that are not waited for have failed, and are no reason to stop that the operator had not given.
                if self.exceeds(group) && !self.aborted {
                    let (failed, limit) = (self.failed, group.limit.resolved(group.targets.len()));
                    report.event(&Event::LimitExceeded { group: group.name.clone(), failed, limit });
                    return End::Limit(group);
                }
            }
        }
        if self.interrupted { End::Interrupted } else { End::Through }
    }

    fn visit_subgroup(
        &mut self,
        command_run: &CommandRun,
        group: &Group,
        label: &str,
        members: HostIds,
        fleet: &mut dyn Fleet,
        report: &mut dyn Reporter,
    ) {
        let hosts = members.clone().map(|host| self.target(host).clone()).collect();
        report.event(&Event::Subgroup { group: group.name.clone(), label: label.to_owned(), hosts });
        let call = Call {
            step: Step::Command,
            group: group.name.clone(),
            batch: command_run.batch,
            room: None,
            timeout: command_run.timeout,
            force: false,
            recover: false,
        };
        let tasks: Vec<Task> = members.map(Task::first).collect();
        relay(fleet, &call, label, &tasks, report, self);
    }

    /// R4, R5: whether more hosts of the group that has its turn have failed than may.
    fn exceeds(&self, group: &Group) -> bool {
        group.limit.exceeded_by(self.failed, group.targets.len())
    }

    /// One sentence and one status.
    fn judge(&self, end: End, strict: bool) -> (String, ExitCode) {
        let count = |which: fn(&Row) -> bool| self.rows.iter().filter(|row| which(row)).count();
        let all = self.rows.len();
        let ok = count(|row| matches!(row.outcome, Some(Ok(()))));
        let left = count(|row| row.outcome.is_none());
        let failed = all - ok - left;
        let hosts = crate::text::hosts(all);
        let mut text = if ok == all { format!("ok on {hosts}") } else { format!("ok on {ok} of {hosts}") };
        if failed > 0 {
            text.push_str(&format!("; {failed} failed"));
        }
        let code = match end {
            End::Through => {
                text.push_str(if failed > 0 { " within the limits" } else { "" });
                ExitCode::Success.judged(strict, failed == 0)
            }
            End::Limit(group) => {
                let limit = group.limit.resolved(group.targets.len());
                text.push_str(&format!(", more than the failure limit of {} ({limit})", group.name));
                ExitCode::Failed
            }
            End::Interrupted => {
                text.insert_str(0, "interrupted: ");
                ExitCode::Interrupted
            }
        };
        if left > 0 {
            text.push_str(&format!("; {left} not attempted"));
        }
        (text, code)
    }
}

impl Observer for Hosts<'_, '_> {
    fn target(&self, host: HostId) -> &Target {
        self.rows[host.index()].target
    }

    fn ended(&mut self, host: HostId, result: HostResult) -> (Outcome, Flow) {
        let row = &mut self.rows[host.index()];
        row.outcome = Some(result.outcome.clone());
        let group = row.group;
        if result.outcome.is_err() {
            self.failed += 1;
        }
        (result.outcome, if self.exceeds(group) { Flow::Stop } else { Flow::Continue })
    }

    fn interrupted(&mut self, report: &mut dyn Reporter) -> bool {
        if !self.interrupted && self.caller.stops(report) {
            self.interrupted = true;
            report.event(&Event::Interrupted);
        }
        self.interrupted
    }

    fn advice(&mut self) -> Option<String> {
        if self.interrupted { self.caller.advice() } else { None }
    }

    fn aborts(&mut self) -> bool {
        self.aborted |= self.caller.aborts();
        self.aborted
    }
}

impl Row<'_> {
    fn report(&self) -> HostRow {
        let (state, reason) = match &self.outcome {
            None => (RowState::NotAttempted, None),
            Some(Ok(())) => (RowState::Ok, None),
            Some(Err(fault)) => match fault {
                Fault::Failed { reason, .. } | Fault::ChecksFailed { reason } | Fault::CacheBroken { reason } => {
                    (RowState::Failed, Some(reason.clone()))
                }
                Fault::Killed { signal } => (RowState::Killed, Some(format!("signal {signal}"))),
                Fault::TimedOut { seconds } => (RowState::TimedOut, Some(format!("after {seconds} s"))),
                Fault::Unreachable { reason } => (RowState::Unreachable, Some(reason.clone())),
                Fault::Lost { reason } => (RowState::Lost, Some(reason.clone())),
                Fault::Locked { .. } | Fault::MovedOn { .. } => (RowState::Failed, Some(fault.to_string())),
            },
        };
        HostRow {
            host: self.target.clone(),
            group: self.group.name.clone(),
            state,
            stage: None,
            ok: matches!(self.outcome, Some(Ok(()))),
            current: None,
            reason,
        }
    }
}
