//! Commands to type after a rollback that failed or was declined. The causes are in the table of hosts.

use indexmap::IndexMap;

use crate::config::keys;
use crate::targets::{Target, fold};
use crate::wire::{Fault, Revision};

use super::plan::{Kind, Plan};
use super::table::Row;

/// The command that brings a host back to a revision.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Way {
    /// The revision is live again, but the service is not running it.
    Restart(Revision),
    Back(Revision),
    /// Its tree is gone, and nothing has to be put right by hand.
    FetchAgain(Revision),
    /// There was no room to go back within the budget.
    AtOnce(Revision),
    /// Nothing was live there before.
    Nowhere,
}

/// For hosts that are not back where they were: the command for when what failed is put right.
pub fn for_not_restored<'a>(astray: impl Iterator<Item = &'a Row>, table: &'a [Row], plan: &Plan) -> Vec<String> {
    if plan.kind == Kind::Rollback {
        return for_failed_rollback(table, plan);
    }
    let mut ways: IndexMap<Way, Vec<Target>> = IndexMap::new();
    for row in astray {
        ways.entry(way(row)).or_default().push(row.target.clone());
    }
    let one = |(way, hosts): (&Way, &Vec<Target>)| {
        let (names, list) = (fold(hosts), listed(hosts));
        let typed = |flags: &str| plan.invocation.command(&format!("deploy {flags}"));
        // Not a deployment: that would bring the configuration files and the checks of now.
        let back = |to: &Revision| plan.invocation.command(&format!("rollback --to {} -l {list}", to.short()));
        let then = match way {
            Way::Restart(to) => {
                // It also ends what the rollback could not: a restart alone would leave the host as not completed.
                format!("{} is live there again: fix the service, then run `{}`", to.short(), back(to))
            }
            Way::Back(to) => format!("fix what failed, then run `{}`", back(to)),
            Way::FetchAgain(to) => {
                format!("`{}` deploys {} again", typed(&format!("-r {} -l {list}", to.short())), to.short())
            }
            Way::AtOnce(to) => {
                let words = format!("rollback --at-once --to {} -l {list}", to.short());
                let command = plan.invocation.command(&words);
                format!("`{command}` goes back at once, without regard to max_unavailable")
            }
            Way::Nowhere => {
                let deploy = typed(&format!("-r REVISION -l {list}"));
                format!("nothing was live there before: deploy a revision that works there by `{deploy}`")
            }
        };
        format!("{names}: {then}")
    };
    ways.iter().map(one).collect()
}

/// Of a run that was stopped and that the operator did not want undone: how that is done after all, and how to go on.
pub fn for_declined_rollback(plan: &Plan) -> Vec<String> {
    if plan.kind == Kind::Rollback {
        let to = format!("rollback --to {}", plan.revision.short());
        return vec![format!("`{}` goes on", plan.invocation.on_these_hosts(&to))];
    }
    let back = format!("`{}` goes back", plan.invocation.on_these_hosts("rollback"));
    if !plan.brings_code() {
        return vec![back];
    }
    let on = plan.invocation.on_these_hosts(&format!("deploy -r {}", plan.revision.short()));
    vec![format!("`{on}` goes on, {back}")]
}

/// For `hoist rollback` itself, when it was turned back: how it is done all the same.
pub fn for_failed_rollback(table: &[Row], plan: &Plan) -> Vec<String> {
    let failed: Vec<&Row> = table.iter().filter(|row| row.failed && row.trouble.is_some()).collect();
    if failed.is_empty() || plan.kind != Kind::Rollback {
        return Vec::new();
    }
    let again = plan.invocation.on_these_hosts(&format!("rollback --to {}", plan.revision.short()));
    let hosts = fold(failed.iter().map(|row| &row.target));
    if failed.iter().all(|row| is_a_check(row)) {
        return vec![format!("{hosts}: `{again} -D perform_checks:no` goes back without checks")];
    }
    let limit = |group| {
        let count = failed.iter().filter(|row| row.group == group).count();
        let key = keys::of_group(&plan.group(group).name, "failure_limit");
        (count > 0).then(|| format!(" -D {key}:{count}"))
    };
    let limits: String = plan.group_ids().filter_map(limit).collect();
    vec![format!("{hosts}: fix what failed and run `{again}` again, or tolerate it: `{again}{limits}`")]
}

/// Where a host that is not back has to go.
fn way(row: &Row) -> Way {
    let Some(restore) = row.restore() else { return Way::Nowhere };
    let is_live = row.current() == Some(&restore);
    match row.trouble.as_ref().map(|trouble| &trouble.fault) {
        Some(fault) if is_live && is_of_service(fault) => Way::Restart(restore),
        Some(Fault::CacheBroken { .. }) => Way::FetchAgain(restore),
        Some(Fault::Failed { reason, .. }) if reason.starts_with("max_unavailable ") => Way::AtOnce(restore),
        _ => Way::Back(restore),
    }
}

/// Hosts as `-l` takes them.
fn listed(hosts: &[Target]) -> String {
    hosts.iter().map(|host| host.to_string()).collect::<Vec<_>>().join(",")
}

/// Whether it is the service that failed, behind links that were all put right.
fn is_of_service(fault: &Fault) -> bool {
    match fault {
        Fault::Failed { reason, .. } => reason.starts_with("service ") || reason.starts_with("port "),
        Fault::TimedOut { .. } => true,
        _ => false,
    }
}

/// Whether a check found fault, on the way there or on the way back.
fn is_a_check(row: &Row) -> bool {
    match row.trouble.as_ref().map(|trouble| &trouble.fault) {
        Some(Fault::Failed { reason, .. }) => reason.starts_with("check "),
        Some(Fault::ChecksFailed { .. }) => true,
        _ => false,
    }
}
