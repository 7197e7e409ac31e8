//! A command of the operator's on groups of hosts: the groups, subgroups, limits, budget, soaks and gates of a deployment,
//! with one step, and nothing to take back. The rules R1 to R5, R7 and R13 to R15 of DESIGN.md hold for it as they stand.

mod contact;
mod story;
mod table;
mod verdict;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::deploy::health::Gates;
use crate::deploy::{GatePlan, Operator};
use crate::exit_code::ExitCode;
use crate::fleet::Fleet;
use crate::report::{Event, GroupHead, Reporter};
use crate::targets::{Group, Target};
use crate::wire::{RunId, StartedBy};

use story::Story;
use table::Table;

/// What is to be run, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandRun {
    /// The line for the hosts' login shells.
    pub command: String,
    pub by: StartedBy,
    /// In order; none is empty, and no target is in two. Their soaks are those of this run.
    pub groups: Vec<Group>,
    /// Hosts at once.
    pub batch: usize,
    /// For one host.
    pub timeout: Duration,
    /// R13: the command takes a host out of service while it runs there.
    pub takes_room: bool,
    /// Hosts that are known to be out of service already.
    pub out: HashSet<Target>,
    /// R15: hosts are drained while the command runs; `None`: they are left alone.
    pub drains: Option<Drains>,
    /// R14: the gates that look after the service.
    pub gates: Vec<GatePlan>,
    /// Whether failures within the limits have a status of their own.
    pub strict: bool,
}

/// How a run drains its hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drains {
    /// Its name in the locks and records of its hosts.
    pub run: RunId,
    /// For an undrain by itself, on one host.
    pub timeout: Duration,
}

/// Runs the command over a fleet whose ids are the places of the targets, over all groups in order.
pub fn run(
    command_run: &CommandRun,
    fleet: &mut dyn Fleet,
    gates: &mut dyn Gates,
    operator: &mut dyn Operator,
    report: &mut dyn Reporter,
) -> Ended {
    let began = Instant::now();
    report.event(&Event::Command {
        command: command_run.command.clone(),
        by: command_run.by.clone(),
        groups: command_run.groups.iter().map(GroupHead::from).collect(),
    });
    let mut story = Story { run: command_run, fleet, gates, operator, report, table: Table::new(command_run) };
    let end = story.tell();
    let (text, code) = verdict::judge(&end, &story.table, command_run);
    let Story { table, report, .. } = story;
    let rows = table.rows.iter().map(|row| row.report(command_run)).collect();
    report.event(&Event::ended(text, code, rows, began.elapsed().as_secs_f64()));
    let seen = table.rows.into_iter().map(|row| row.state).collect();
    Ended { code, seen }
}

/// What came of a run.
#[derive(Debug)]
pub struct Ended {
    pub code: ExitCode,
    /// What each target was last seen with, in order; `None`: nobody asked it.
    pub seen: Vec<Option<crate::wire::State>>,
}
