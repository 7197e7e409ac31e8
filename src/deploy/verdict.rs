//! What a run came to, and the one exit status for it.

use crate::exit_code::ExitCode;
use crate::report::HostRow;
use crate::text::hosts;

use super::plan::{Kind, Plan};
use super::table::{HostState, Row, Table};

/// How a story left off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every group was deployed to.
    Done,
    /// It stopped in the middle, and rolled back what it could.
    Halted,
    /// It stopped in the middle, and the operator wanted no rollback.
    RollbackDeclined,
    /// Another run holds a target; nothing was touched.
    Locked,
    /// Too many hosts cannot be deployed to; nothing was touched.
    LimitUntouched,
    /// No host at all can be deployed to; nothing was touched.
    NobodyThere,
    /// Nothing was touched.
    InterruptedUntouched,
}

/// The end of a run: a sentence, a status, and a row for every target.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub text: String,
    pub code: ExitCode,
    pub rows: Vec<HostRow>,
    /// Of a run that went through to finalize, for each target in the order of the plan whether it is finalized.
    pub finalized: Option<Vec<bool>>,
}

impl Verdict {
    pub fn of(end: End, table: &Table, plan: &Plan) -> Verdict {
        let (text, code) = judge(end, table, plan);
        let through = end == End::Done && plan.finalize.is_some() && plan.kind.changes_revision();
        let finalized = || table.rows().iter().map(|row| row.state() == HostState::Finalized).collect();
        Verdict { text, code, rows: table.report(plan), finalized: through.then(finalized) }
    }
}

fn judge(end: End, table: &Table, plan: &Plan) -> (String, ExitCode) {
    let untouched = |why: &str, code| (format!("not deployed: {why}; nothing was touched"), code);
    match end {
        End::Locked => untouched("another deployment holds targets of this one", ExitCode::Locked),
        End::LimitUntouched => {
            untouched("more hosts cannot be deployed to than a failure limit allows", ExitCode::Failed)
        }
        End::NobodyThere => untouched("no target can be deployed to", ExitCode::Failed),
        End::InterruptedUntouched => untouched("interrupted", ExitCode::Interrupted),
        End::RollbackDeclined => ("stopped, and not rolled back: the fleet is mixed".into(), ExitCode::Mixed),
        End::Halted => halted(table, plan),
        End::Done => done(table, plan),
    }
}

fn halted(table: &Table, plan: &Plan) -> (String, ExitCode) {
    if !plan.kind.changes_revision() {
        return ("stopped before the end; no revision was changed".into(), ExitCode::Failed);
    }
    let astray = count(table, |row| row.touched && !is_back(row));
    let touched = count(table, |row| row.touched);
    match (touched, astray) {
        (0, _) => ("not deployed; nothing was touched".into(), ExitCode::Failed),
        (_, 0) => (
            format!("not deployed: all {} touched are back where they were, verified", hosts(touched)),
            ExitCode::Failed,
        ),
        _ => (
            format!("not deployed, and the fleet is mixed: {} not back where they were", hosts(astray)),
            ExitCode::Mixed,
        ),
    }
}

/// Whether a touched host runs, by its own word after the rollback, what it ran before the run.
fn is_back(row: &Row) -> bool {
    match row.state() {
        HostState::RolledBack => true,
        // It had nothing to go back to; that is no harm as long as its live revision did not change.
        HostState::Left => row.as_it_was(),
        _ => false,
    }
}

fn done(table: &Table, plan: &Plan) -> (String, ExitCode) {
    let short = plan.revision.short();
    let unknown = count(table, |row| row.state() == HostState::Unknown);
    let unfinished = count(table, |row| row.state() == HostState::FinalizeFailed);
    let failed = count(table, |row| row.failed);
    let fine = plan.size() - failed;
    let of = format!("{fine} of {}", hosts(plan.size()));
    let within = if failed > 0 { format!("; {} failed within the limits", hosts(failed)) } else { String::new() };
    if unknown > 0 {
        let text = format!("{short} deployed to {of}, and the fleet is mixed: {} in an unknown state", hosts(unknown));
        return (text, ExitCode::Mixed);
    }
    if unfinished > 0 {
        return (format!("{short} deployed, but {} not finalized", hosts(unfinished)), ExitCode::NotFinalized);
    }
    let text = match plan.kind {
        Kind::DryRun if failed > 0 => return (format!("compared on {of}; nothing was touched"), ExitCode::Failed),
        Kind::DryRun => format!("compared on {of}; nothing was touched"),
        Kind::ServiceRestart => format!("services restarted on {of}{within}"),
        Kind::Rollback => format!("went back to {short} and finalized it on {of}{within}"),
        Kind::Deploy if plan.finalize.is_some() => format!("{short} deployed and finalized on {of}{within}"),
        Kind::Deploy => format!("{short} deployed to {of}, not finalized as asked{within}"),
    };
    (text, ExitCode::Success)
}

fn count(table: &Table, which: impl Fn(&Row) -> bool) -> usize {
    table.rows().iter().filter(|row| which(row)).count()
}
