//! What stands in the way of a rollback that failed, and the command that gets past it.

use crate::fleet::Outcome;
use crate::targets::{Target, fold};
use crate::wire::Revision;

use super::plan::{Kind, Plan};
use super::table::Row;

/// Causes that are named; hosts with others are in the table of hosts.
const NAMED: usize = 3;

/// For hosts that are not back where they were: each cause with its hosts, and how they get back once it is put right.
pub fn of_astray<'a>(astray: impl Iterator<Item = &'a Row>) -> String {
    let mut causes: Vec<(String, Option<(Revision, bool)>, Vec<&Target>)> = Vec::new();
    for row in astray {
        let reason = row.trouble.as_ref().map_or_else(|| "no reason is known".to_owned(), |it| it.outcome.to_string());
        let goal = row.restore().map(|restore| {
            let is_live = row.current.as_ref() == Some(&Some(restore.clone()));
            (restore, is_live && row.trouble.as_ref().is_some_and(|it| is_of_service(&it.outcome)))
        });
        match causes.iter_mut().find(|(known, to, _)| *known == reason && *to == goal) {
            Some((_, _, hosts)) => hosts.push(&row.target),
            None => causes.push((reason, goal, vec![&row.target])),
        }
    }
    let one = |(reason, goal, hosts): &(String, Option<(Revision, bool)>, Vec<&Target>)| {
        let way = match goal {
            Some((to, true)) => format!(
                "{} is live there again: put the service right, then run `hoist deploy --service-restart -r {} -l {}`",
                to.short(),
                to.short(),
                listed(hosts)
            ),
            Some((to, false)) => {
                format!("put that right, then run `hoist deploy -r {} -l {}`", to.short(), listed(hosts))
            }
            None => format!(
                "nothing was live there before: deploy a revision that works with `hoist deploy -r REVISION -l {}`",
                listed(hosts)
            ),
        };
        format!("; {}: {reason}; {way}", fold(hosts.iter().copied()))
    };
    let more = match causes.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more, see the table of hosts"),
    };
    causes.iter().take(NAMED).map(one).collect::<String>() + &more
}

/// For `hoist rollback` itself, when it was turned back: why, and how it is done all the same.
pub fn of_rollback(rows: &[Row], plan: &Plan) -> String {
    if plan.kind != Kind::Rollback {
        return String::new();
    }
    let failed: Vec<&Row> = rows.iter().filter(|row| row.failed && row.trouble.is_some()).collect();
    let checks: Vec<&Row> = failed.iter().copied().filter(|row| is_a_check(row)).collect();
    let to = plan.revision.short();
    if let (Some(first), true) = (checks.first(), checks.len() == failed.len()) {
        let reason = first.trouble.as_ref().map(|it| it.outcome.to_string()).unwrap_or_default();
        let hosts = fold(checks.iter().map(|row| &row.target));
        return format!(
            "; {hosts}: {reason}; `hoist rollback --to {to} -D perform_checks:no` goes back without checks"
        );
    }
    let limits: String = plan
        .groups
        .iter()
        .enumerate()
        .filter_map(|(group, head)| {
            let count = failed.iter().filter(|row| row.group == group).count();
            let key = if head.name == "default" {
                "failure_limit".to_owned()
            } else {
                format!("{}_failure_limit", head.name)
            };
            (count > 0).then(|| format!(" -D {key}:{count}"))
        })
        .collect();
    if limits.is_empty() {
        return String::new();
    }
    let hosts = fold(failed.iter().map(|row| &row.target));
    format!("; put {hosts} right, or go back without them: `hoist rollback --to {to}{limits}`")
}

/// Hosts as `-l` takes them.
fn listed(hosts: &[&Target]) -> String {
    hosts.iter().map(|host| host.to_string()).collect::<Vec<_>>().join(",")
}

/// Whether it is the service that failed, behind links that were all put right.
fn is_of_service(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Failed { reason, .. } => reason.starts_with("service ") || reason.starts_with("port "),
        Outcome::TimedOut { .. } => true,
        _ => false,
    }
}

fn is_a_check(row: &Row) -> bool {
    let reason = row.trouble.as_ref().map(|it| &it.outcome);
    matches!(reason, Some(Outcome::Failed { reason, .. }) if reason.starts_with("check "))
}
