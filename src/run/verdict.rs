//! The verdict on a command: one sentence and one exit status.

use crate::deploy::health::Unwell;
use crate::deploy::{duplicate_message, still_drained};
use crate::exit_code::ExitCode;
use crate::targets::{Target, fold};

use super::CommandRun;
use super::table::{Row, Table};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The command ran in every subgroup.
    Through,
    /// The failure limit of this group is exceeded.
    Limit(usize),
    /// So many hosts are out of service that no other may go out.
    UsedUp(String),
    /// A gate halted it.
    Unwell(Unwell),
    Interrupted,
    /// Another run holds a target; nothing was touched.
    Locked,
    /// Too many hosts of this group are unusable; nothing was touched.
    LimitUntouched(usize),
    UsedUpUntouched(String),
    /// Two targets are one machine; nothing was touched.
    DuplicateHost(Box<(Target, Target)>),
    InterruptedUntouched,
}

/// The sentence and the status.
pub fn judge(end: &End, table: &Table, run: &CommandRun) -> (String, ExitCode) {
    let limit = |at: usize| {
        let group = &run.groups[at];
        format!("the failure limit of {} ({})", group.name, group.limit.resolved(group.targets.len()))
    };
    let untouched = |why: String, code| (format!("not run: {why}; nothing was touched"), code);
    let all_well = table.rows.iter().all(|row| !row.has_failed());
    let (text, code) = match end {
        End::Through => {
            let within = if all_well { "" } else { " within the limits" };
            (counted(table, within), ExitCode::Success.judged(run.strict, all_well))
        }
        End::Limit(at) => (counted(table, &format!(", more than {}", limit(*at))), ExitCode::Failed),
        End::UsedUp(why) => (format!("stopped ({why}): {}", counted(table, "")), ExitCode::Failed),
        End::Unwell(unwell) => (format!("stopped ({unwell}): {}", counted(table, "")), ExitCode::Failed),
        End::Interrupted => (format!("interrupted: {}", counted(table, "")), ExitCode::Interrupted),
        End::Locked => return untouched("targets are locked by another run".to_owned(), ExitCode::Locked),
        End::LimitUntouched(at) => {
            let failed = crate::text::hosts(table.failed_in(*at));
            return untouched(format!("{failed} cannot be worked on, more than {}", limit(*at)), ExitCode::Failed);
        }
        End::UsedUpUntouched(why) => return untouched(why.clone(), ExitCode::Failed),
        End::DuplicateHost(both) => {
            return untouched(duplicate_message((&both.0, &both.1)), ExitCode::Usage);
        }
        End::InterruptedUntouched => return untouched("interrupted".to_owned(), ExitCode::Interrupted),
    };
    let those = |which: fn(&Row) -> bool| -> Vec<&Target> {
        table.rows.iter().filter(|row| which(row)).map(|row| row.target).collect()
    };
    let (drained, lost) = (those(|row| row.drained().is_some()), those(|row| row.may_be_drained()));
    let mut parts = vec![text];
    parts.extend((!drained.is_empty()).then(|| still_drained(&drained)));
    parts.extend(
        (!lost.is_empty()).then(|| format!("{} may be drained: {}", crate::text::hosts(lost.len()), fold(lost))),
    );
    // A host that stays drained is out of service, so the run did not succeed.
    let is_well = parts.len() == 1 || code == ExitCode::Interrupted;
    (parts.join("; "), if is_well { code } else { ExitCode::Mixed })
}

/// `ok on 3 of 9 hosts; 1 failed WHY; 5 not attempted`.
fn counted(table: &Table, why: &str) -> String {
    let count = |which: fn(&Row) -> bool| table.rows.iter().filter(|row| which(row)).count();
    let (all, ok) = (table.rows.len(), count(|row| row.is_ok()));
    let (failed, left) = (count(|row| row.has_failed()), count(|row| row.waits()));
    let hosts = crate::text::hosts(all);
    let mut text = if ok == all { format!("ok on {hosts}") } else { format!("ok on {ok} of {hosts}") };
    if failed > 0 {
        text.push_str(&format!("; {failed} failed{why}"));
    }
    if left > 0 {
        text.push_str(&format!("; {left} not attempted"));
    }
    text
}
