//! How `hoist stats` looks: sentences and two tables, or one object of JSON.

use serde::Serialize;

use crate::clock;
use crate::operation::{LeftOut, Spread, Stats};
use crate::report::took;
use crate::targets::Target;
use crate::terminal::{Page, Style, Table, TableRow, Theme, columns};
use crate::text::counted;
use crate::wire::Stage;

/// For people. No number is said where there is nothing that it could be of.
pub fn text(stats: &Stats) -> Page {
    let mut page = Page::default();
    let runs = counted(stats.deployments.total, "deployment");
    match &stats.span {
        Some((since, until)) => {
            let [since, until] = [since, until].map(|time| clock::local_minute(time));
            let rate = match stats.per_week() {
                Some(rate) => format!("{rate:.1} a week"),
                None => format!("no rate: {} are less than a week", took(stats.seconds)),
            };
            page.line(format!("{runs} from {since} to {until}; {rate}"));
        }
        None => page.line("no deployments"),
    }
    if stats.deployments.total > 0 {
        page.line(went_wrong(stats));
        page.line(match &stats.rollback {
            Some(spread) => format!("time to roll back: {}", spread_text(spread, "rollback")),
            None => format!("no rollback in {runs}"),
        });
        page.line(restored(stats));
        table(&mut page, "stage, on a host", &stats.stages, |stage: &Stage| stage.name().to_owned());
        table(&mut page, "host, all stages", &stats.hosts, Target::to_string);
    }
    if let Some(left_out) = left_out(stats.left_out) {
        page.line(format!("not counted: {left_out}"));
    }
    page
}

fn went_wrong(stats: &Stats) -> String {
    let bad = stats.deployments.bad();
    if bad == 0 {
        return format!("none of {} failed or was rolled back", counted(stats.deployments.total, "deployment"));
    }
    let share = 100.0 * bad as f64 / stats.deployments.total as f64;
    let undone = match stats.deployments.undone {
        0 => String::new(),
        undone => format!("; {undone} of them by hoist rollback"),
    };
    format!("failed or rolled back: {bad} of {} ({share:.0}%{undone})", stats.deployments.total)
}

fn restored(stats: &Stats) -> String {
    let not_yet: Vec<String> = stats.not_restored.iter().map(|ended| clock::local_minute(ended)).collect();
    let open = match not_yet.as_slice() {
        [] => String::new(),
        times => format!("no good deployment yet after the failure of {}", times.join(", ")),
    };
    match &stats.restore {
        Some(spread) if open.is_empty() => format!("time to restore: {}", spread_text(spread, "failure")),
        Some(spread) => format!("time to restore: {}; {open}", spread_text(spread, "failure")),
        None if open.is_empty() => "nothing to restore".to_owned(),
        None => open,
    }
}

/// `median 12 s, 90% within 40 s (3 rollbacks)`.
fn spread_text(spread: &Spread, what: &str) -> String {
    let Spread { median, p90, n } = *spread;
    match n {
        1 => format!("{} (1 {what})", took(median)),
        _ => format!("median {}, 90% within {} ({})", took(median), took(p90), counted(n, what)),
    }
}

fn table<K>(page: &mut Page, what: &str, rows: &[(K, Spread)], name: impl Fn(&K) -> String) {
    if rows.is_empty() {
        return;
    }
    let row = |(key, spread): &(K, Spread)| {
        let cells = vec![name(key), took(spread.median), took(spread.p90), spread.n.to_string()];
        TableRow { mark: None, cells, note: String::new(), style: Style::Plain }
    };
    let head = [what, "median", "90% within", "number"].map(str::to_owned).to_vec();
    let rows = rows.iter().map(row).collect();
    let table = Table { indent: "", head, note: "", spare: Vec::new(), rows };
    page.line("");
    table.lines(Theme::of_stdout(), columns()).into_iter().for_each(|line| page.line(line));
}

fn left_out(LeftOut { untouched, open, other }: LeftOut) -> Option<String> {
    let parts = [
        (untouched, "that ended before any host was touched"),
        (open, "that have not ended"),
        (other, "of other kinds (rollbacks that failed, reconcile, restarts, runs without promote)"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, which)| format!("{} {which}", counted(count, "run"))).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// For programs: the object of `--format json`. What there is no data for is null.
#[derive(Serialize)]
pub struct Answer<'a> {
    since: Option<&'a str>,
    until: Option<&'a str>,
    deployments: usize,
    per_week: Option<f64>,
    failed: usize,
    rolled_back_later: usize,
    /// Of all deployments.
    share_failed: Option<f64>,
    rollback_seconds: Option<Figures>,
    restore_seconds: Option<Figures>,
    not_restored: &'a [String],
    stages: Vec<StageFigures>,
    hosts: Vec<HostFigures>,
    left_out: Left,
}

#[derive(Serialize)]
struct Figures {
    median: f64,
    p90: f64,
    n: usize,
}

#[derive(Serialize)]
struct StageFigures {
    stage: Stage,
    seconds: Figures,
}

#[derive(Serialize)]
struct HostFigures {
    host: String,
    seconds: Figures,
}

#[derive(Serialize)]
struct Left {
    untouched: usize,
    not_ended: usize,
    other: usize,
}

impl From<Spread> for Figures {
    fn from(Spread { median, p90, n }: Spread) -> Figures {
        Figures { median, p90, n }
    }
}

/// For programs.
pub fn json(stats: &Stats) -> Answer<'_> {
    let (since, until) = stats.span.as_ref().map(|(since, until)| (since.as_str(), until.as_str())).unzip();
    let bad = stats.deployments.bad() as f64;
    let hosts = stats.hosts.iter();
    Answer {
        since,
        until,
        deployments: stats.deployments.total,
        per_week: stats.per_week(),
        failed: stats.deployments.failed,
        rolled_back_later: stats.deployments.undone,
        share_failed: (stats.deployments.total > 0).then(|| bad / stats.deployments.total as f64),
        rollback_seconds: stats.rollback.map(Figures::from),
        restore_seconds: stats.restore.map(Figures::from),
        not_restored: &stats.not_restored,
        stages: stats.stages.iter().map(|(stage, it)| StageFigures { stage: *stage, seconds: (*it).into() }).collect(),
        hosts: hosts.map(|(host, it)| HostFigures { host: host.to_string(), seconds: (*it).into() }).collect(),
        left_out: Left {
            untouched: stats.left_out.untouched,
            not_ended: stats.left_out.open,
            other: stats.left_out.other,
        },
    }
}
