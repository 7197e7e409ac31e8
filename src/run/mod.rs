//! Runs an operator's command on groups of hosts, with the groups, subgroups, limits, capacity, soaks and gates of a
//! deployment. There is one step, and nothing is rolled back. Rules R1 to R5, R7 and R13 to R15 of DESIGN.md apply.

mod contact;
mod story;
mod table;
mod verdict;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::deploy::health::Gates;
use crate::deploy::{GatePlan, Operator, StagePlan};
use crate::exit_code::ExitCode;
use crate::fleet::Fleet;
use crate::report::{Event, GroupHead, Reporter};
use crate::targets::{Group, Target};
use crate::wire::{RunId, StartedBy};

use story::Story;
use table::Table;

/// What to run, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandRun {
    /// The command line for the login shells of the hosts.
    pub command: String,
    pub by: StartedBy,
    /// In order; none is empty, and no target is in two groups. Their soaks are those of this run.
    pub groups: Vec<Group>,
    /// The step with its settings.
    pub stage: StagePlan,
    pub room: Room,
    /// R14: the gates to evaluate.
    pub gates: Vec<GatePlan>,
    /// Whether failures within the limits have an exit status of their own.
    pub strict: bool,
}

/// R13: what the run takes of the capacity of its groups.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Room {
    /// A host is out of service while the command runs there.
    pub is_taken: bool,
    /// Hosts that are known to be out of service already.
    pub out: HashSet<Target>,
    /// R15: how hosts are drained while the command runs; `None`: they are not.
    pub drains: Option<Drains>,
}

/// How a run drains its hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drains {
    /// The run's name in the locks and records of its hosts.
    pub run: RunId,
    /// Time limit for a separate undrain on one host.
    pub timeout: Duration,
}

/// Runs the command on all groups in order. The host ids of the fleet are the indexes of the targets.
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

/// The result of a run.
#[derive(Debug)]
pub struct Ended {
    pub code: ExitCode,
    /// The last known state of each target, in order; `None`: it was not asked.
    pub seen: Vec<Option<crate::wire::State>>,
}
