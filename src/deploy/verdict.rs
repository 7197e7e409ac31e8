//! The verdict on a run, with its exit status.

use crate::exit_code::ExitCode;
use crate::report::{Cause, HostRow, causes};
use crate::targets::{Target, fold};
use crate::text::hosts;
use crate::wire::{Fault, Holder};

use super::plan::{Kind, Plan};
use super::probe::{duplicate_message, find_duplicate};
use super::table::{Failure, HostState, Row, Table};
use super::way_out;

/// How many causes of failing checks a verdict names.
const NAMED: usize = 3;

/// How a story ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every group was deployed to.
    Done,
    /// It was halted, and rolled back what it could.
    Halted,
    /// It was halted, and the operator declined the rollback.
    RollbackDeclined,
    /// Another run holds a target; nothing was touched.
    Locked,
    /// Too many hosts cannot be deployed to; nothing was touched.
    LimitUntouched,
    /// So many hosts are out of service that no other may go out; nothing was touched.
    UsedUpUntouched,
    /// Two targets are one machine; nothing was touched.
    DuplicateHost,
    /// No host at all can be deployed to; nothing was touched.
    NoUsableHost,
    /// R16: the host of a run-once step cannot be used; nothing was touched.
    StepUntouched,
    /// Nothing was touched.
    InterruptedUntouched,
    /// R16: it is not known whether a step ran, and nobody says so: the run stays unfinished.
    Undecided {
        /// The run was on its way back: whoever ends it completes that.
        goes_back: bool,
    },
}

impl End {
    /// Whether no stage was started on any host.
    pub(super) fn is_untouched(self) -> bool {
        !matches!(self, End::Done | End::Halted | End::RollbackDeclined)
    }
}

/// The end of a run: a sentence, a status, and a row for every target.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub text: String,
    /// The commands for hosts that are not in the state that they should be in.
    pub ways_out: Vec<String>,
    pub code: ExitCode,
    pub rows: Vec<HostRow>,
    /// For each target, in the order of the plan, whether it may go back by itself, or has: what was read of it does not hold.
    pub on_lease: Vec<bool>,
    /// For each target, in the order of the plan, whether the run never read anything of it.
    pub unheard: Vec<bool>,
    /// If the run was finalized, or is a rollback that the operator did not want undone: for each target, in the order of the
    /// plan, whether it is finalized; `None` for one to which somebody else has deployed since.
    pub finalized: Option<Vec<Option<bool>>>,
    /// Whether the run's revision is finalized on a host, or may have stayed live there.
    pub stayed: bool,
    /// Why the run was rolled back, if nobody called for that: a limit, or a gate.
    pub rolled_back_for: Option<String>,
    /// The run is left unfinished.
    pub open: bool,
    /// The hosts that others have locked, and who.
    pub locked: Vec<(Target, Holder)>,
}

impl Verdict {
    /// `why`: what halted the run, if the failures of hosts do not explain it.
    pub fn of(end: End, why: Option<&str>, table: &Table, plan: &Plan) -> Verdict {
        let Judgement { text, ways_out, code } = judge(end, why, table, plan);
        let (text, code) = name_drained(end, table, text, code);
        // A revision that succeeded on no host is not the one that the hosts should run.
        let through = end == End::Done
            && plan.finalize.is_some()
            && plan.kind.changes_revision()
            && count(table, Row::came_to_finalize) > 0;
        let stayed = stayed(end, table, plan);
        // Of a deployment that is left half done, the revision before it is what the hosts should run; of a rollback, the
        // one that it leads to.
        let is_left = end == End::RollbackDeclined && plan.kind == Kind::Rollback && stayed;
        let is_finalized = |row: &Row| (!was_changed_by_others(row)).then_some(row.state() == HostState::Finalized);
        let finalized = || table.rows().iter().map(is_finalized).collect();
        Verdict {
            text,
            ways_out,
            code,
            rows: table.report(plan),
            on_lease: table.rows().iter().map(|row| row.is_on_lease(plan)).collect(),
            unheard: table.rows().iter().map(|row| row.facts.is_none()).collect(),
            finalized: (through || is_left).then(finalized),
            stayed,
            rolled_back_for: None,
            open: matches!(end, End::Undecided { .. }),
            locked: table.rows().iter().filter_map(lock_on).collect(),
        }
    }
}

fn lock_on(row: &Row) -> Option<(Target, Holder)> {
    match &row.trouble.as_ref()?.fault {
        Fault::Locked { by } => Some((row.target.clone(), (**by).clone())),
        _ => None,
    }
}

impl Verdict {
    /// The whole verdict in one sentence.
    pub fn whole(&self) -> String {
        [std::slice::from_ref(&self.text), &self.ways_out].concat().join("; ")
    }
}

/// The sentence and the status, without regard to drained hosts.
struct Judgement {
    text: String,
    ways_out: Vec<String>,
    code: ExitCode,
}

impl From<(String, ExitCode)> for Judgement {
    fn from((text, code): (String, ExitCode)) -> Judgement {
        Judgement { text, ways_out: Vec::new(), code }
    }
}

impl Judgement {
    fn with(self, ways_out: Vec<String>) -> Judgement {
        Judgement { ways_out, ..self }
    }
}

/// Whether the run's revision is finalized on a host, or may still be live there after the run promoted it: a later
/// rollback starts from it. If a rollback was turned back, the next one leads to the same revision again, also from a host
/// that did not get back.
fn stayed(end: End, table: &Table, plan: &Plan) -> bool {
    use HostState::*;
    let may_stay = plan.kind == Kind::Deploy || end != End::Halted;
    let may_be_live = |row: &Row| {
        let is_elsewhere = row.links.as_ref().is_some_and(|links| links.current.as_ref() != Some(&plan.revision));
        row.was_promoted() && !is_elsewhere
    };
    let stays = |row: &Row| match row.state() {
        Finalized => true,
        RolledBack | Unwell | MovedOn => false,
        _ => may_stay && may_be_live(row),
    };
    plan.kind.changes_revision() && table.rows().iter().any(stays)
}

fn judge(end: End, why: Option<&str>, table: &Table, plan: &Plan) -> Judgement {
    let untouched = |why: &str, code| (format!("{}: {why}; nothing was touched", not_done(plan)), code).into();
    match end {
        End::Locked => untouched("targets are locked by another deployment", ExitCode::Locked),
        End::LimitUntouched => untouched(too_many(table), ExitCode::Failed),
        End::UsedUpUntouched | End::StepUntouched => untouched(why.unwrap_or_default(), ExitCode::Failed),
        End::DuplicateHost => {
            let why = find_duplicate(table.facts()).map(duplicate_message).unwrap_or_default();
            untouched(&why, ExitCode::Usage)
        }
        End::NoUsableHost => untouched("no target can be deployed to", ExitCode::Failed),
        End::InterruptedUntouched => untouched("interrupted", ExitCode::Interrupted),
        End::Undecided { .. } => {
            let text = "stopped: it is not known whether a step ran, and the run stays unfinished".to_owned();
            (text, ExitCode::Unfinished).into()
        }
        End::RollbackDeclined => {
            let is_changed = count(table, |row| row.touched && !row.as_it_was()) > 0;
            let ways_out = if is_changed { way_out::for_declined_rollback(plan) } else { Vec::new() };
            Judgement::from((declined(table, plan), ExitCode::Mixed)).with(ways_out)
        }
        End::Halted => halted(why, table, plan),
        End::Done => done(table, plan),
    }
}

/// Names drained hosts. A run that leaves some is not successful, since they are out of service.
fn name_drained(end: End, table: &Table, text: String, code: ExitCode) -> (String, ExitCode) {
    let drained: Vec<&Row> = table.rows().iter().filter(|row| row.drained().is_some()).collect();
    if drained.is_empty() || end.is_untouched() {
        return (text, code);
    }
    let code = match code {
        ExitCode::Success | ExitCode::Failed | ExitCode::NotFinalized => ExitCode::Mixed,
        other => other,
    };
    let (read, lost): (Vec<&Row>, Vec<&Row>) = drained.into_iter().partition(|row| row.is_read());
    let [read, lost] = [read, lost].map(|rows| rows.into_iter().map(|row| &row.target).collect::<Vec<&Target>>());
    let still = (!read.is_empty()).then(|| still_drained(&read));
    let then = || format!("{} last seen drained: {}", hosts_were(lost.len()), fold(lost.iter().copied()));
    let named = [Some(text), still, (!lost.is_empty()).then(then)];
    (named.into_iter().flatten().collect::<Vec<String>>().join("; "), code)
}

/// `2 hosts are still drained: web[01-02]`.
pub fn still_drained(drained: &[&Target]) -> String {
    format!("{} still drained: {}", hosts_are(drained.len()), fold(drained.iter().copied()))
}

/// Why a failure limit is exceeded before anything is touched.
fn too_many(table: &Table) -> &'static str {
    match count(table, |row| row.state() == HostState::Refused) {
        0 => "too many unreachable hosts",
        _ => "too many hosts are unreachable or cannot be deployed to",
    }
}

/// `1 host was` or `3 hosts were`.
fn hosts_were(count: usize) -> String {
    format!("{} {}", hosts(count), if count == 1 { "was" } else { "were" })
}

/// `1 host is` or `3 hosts are`.
fn hosts_are(count: usize) -> String {
    format!("{} {}", hosts(count), if count == 1 { "is" } else { "are" })
}

/// Says that hosts were changed, or may have been, if one of them was not read since.
fn changed(table: &Table, which: impl Fn(&Row) -> bool) -> String {
    let number = count(table, &which);
    match count(table, |row| which(row) && row.links.is_none()) {
        0 => format!("{} changed", hosts_were(number)),
        _ => format!("{} may have been changed", hosts(number)),
    }
}

/// `: `, with the addition that the fleet is mixed if hosts are known to run different revisions.
fn mixed(table: &Table) -> &'static str {
    let mut live = table.rows().iter().filter_map(|row| row.links.as_ref()).map(|links| links.current.as_ref());
    let first = live.next();
    if first.is_some_and(|first| live.any(|current| current != first)) { "; the fleet is mixed: " } else { ": " }
}

/// What hosts run if the operator declined the rollback, and how to continue or roll back.
fn declined(table: &Table, plan: &Plan) -> String {
    let stopped = match plan.kind {
        Kind::Rollback => "stopped, not undone",
        _ => "stopped, not rolled back",
    };
    let is_changed = |row: &Row| row.touched && !row.as_it_was();
    let touched = count(table, |row| row.touched);
    match (count(table, is_changed), touched) {
        (0, 1) => format!("{stopped}: 1 host still runs what it ran before"),
        (0, _) => format!("{stopped}: {} still run what they ran before", hosts(touched)),
        _ => format!("{stopped}{}{}", mixed(table), changed(table, is_changed)),
    }
}

/// What failed, for the beginning of a sentence.
fn not_done(plan: &Plan) -> String {
    match plan.kind {
        Kind::Rollback => format!("not rolled back to {}", plan.revision.short()),
        _ => "not deployed".to_owned(),
    }
}

fn halted(why: Option<&str>, table: &Table, plan: &Plan) -> Judgement {
    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
    if !plan.kind.changes_revision() {
        return (format!("stopped early{why}; no revision was changed"), ExitCode::Failed).into();
    }
    let (not, moved) = (not_done(plan) + &why, count(table, was_changed_by_others));
    let concerned = count(table, |row| row.touched) + count(table, |row| was_changed_by_others(row) && !row.touched);
    let is_not_restored = |row: &Row| row.touched && !is_back(row) && !was_changed_by_others(row);
    let astray = count(table, is_not_restored);
    let also = if moved > 0 { format!("; {}", moved_on(moved)) } else { String::new() };
    if concerned == 0 {
        return (format!("{not}; nothing was touched"), ExitCode::Failed).into();
    }
    if moved == concerned {
        return (format!("{not}: {}", moved_on(moved)), ExitCode::Failed).into();
    }
    if astray > 0 {
        let way = way_out::for_not_restored(table.rows().iter().filter(|row| is_not_restored(row)), table.rows(), plan);
        let text = format!("{not}{}{}{also}", mixed(table), not_rolled_back(table, is_not_restored));
        return Judgement::from((text, ExitCode::Mixed)).with(way);
    }
    let back = rolled_back(table);
    if moved > 0 {
        return (format!("{not}: {back}{also}"), ExitCode::Mixed).into();
    }
    let way = way_out::for_failed_rollback(table.rows(), plan);
    let judgement = match failing_checks(table) {
        None => (format!("{not}: {back}"), ExitCode::Failed),
        Some(where_) => (format!("{not}: {back}, but checks fail: {where_}"), ExitCode::Mixed),
    };
    Judgement::from(judgement).with(way)
}

/// Says that hosts were not rolled back, or may not be, if one of them was not read since.
fn not_rolled_back(table: &Table, which: impl Fn(&Row) -> bool) -> String {
    let number = count(table, &which);
    match count(table, |row| which(row) && row.links.is_none()) {
        0 => format!("{} not rolled back", hosts_were(number)),
        _ => format!("{} may not be rolled back", hosts(number)),
    }
}

/// How many hosts were rolled back, and how many had nothing to go back to.
fn rolled_back(table: &Table) -> String {
    let back = count(table, |row| is_back(row) && row.state() != HostState::Left);
    let left = count(table, |row| is_back(row) && row.state() == HostState::Left);
    let verified = || format!("{} rolled back and verified", hosts_were(back));
    match (back, left) {
        (_, 0) => verified(),
        (0, _) => format!("{} left unchanged", hosts_were(left)),
        _ => format!("{}; {} left unchanged", verified(), hosts_were(left)),
    }
}

/// Whether a touched host, as read from it after the rollback, runs what it ran before the run.
fn is_back(row: &Row) -> bool {
    match row.state() {
        HostState::RolledBack | HostState::Unwell => true,
        // It had nothing to go back to, which is fine as long as its live revision did not change.
        HostState::Left => row.as_it_was(),
        _ => false,
    }
}

fn was_changed_by_others(row: &Row) -> bool {
    row.state() == HostState::MovedOn
}

fn moved_on(count: usize) -> String {
    let were = if count == 1 { "was" } else { "were" };
    format!("{} got another revision meanwhile and {were} left unchanged", hosts(count))
}

/// The hosts that were rolled back and on which a check of the old revision fails, with each cause once.
fn failing_checks(table: &Table) -> Option<String> {
    let unwell = table.rows().iter().filter(|row| row.state() == HostState::Unwell);
    let causes = causes(unwell.map(|row| match &row.trouble {
        Some(Failure { fault: Fault::ChecksFailed { reason }, .. }) => ((), reason.as_str(), &row.target),
        _ => ((), "", &row.target),
    }));
    let named = causes.into_iter().map(|Cause { text, hosts, .. }| match text.is_empty() {
        true => fold(&hosts),
        false => format!("{} ({text})", fold(&hosts)),
    });
    let named: Vec<String> = named.collect();
    (!named.is_empty()).then(|| crate::text::some(&named, NAMED))
}

/// Whether a failed host was to be rolled back, but runs something other than before the run.
fn is_not_restored(row: &Row) -> bool {
    use HostState::*;
    match row.state() {
        Unknown | RollbackFailed => true,
        Left => !row.as_it_was(),
        Unreachable => row.touched && row.rollback_was_tried() && !row.as_it_was(),
        _ => false,
    }
}

fn done(table: &Table, plan: &Plan) -> Judgement {
    let short = plan.revision.short();
    let came = match plan.kind {
        Kind::Rollback => format!("went back to {short} on"),
        _ => format!("{short} {}", came_to(plan.deed())),
    };
    let unfinished = count(table, |row| row.state() == HostState::FinalizeFailed);
    let astray = count(table, is_not_restored);
    let failed = count(table, |row| row.failed);
    let fine = plan.size() - failed;
    let of = format!("{fine} of {}", hosts(plan.size()));
    let within = if failed > 0 { format!("; {} failed within the limits", hosts(failed)) } else { String::new() };
    if fine + count(table, |row| row.failed && row.came_to_finalize()) == 0 {
        return none_succeeded(table, plan).into();
    }
    if astray > 0 {
        let unknown = count(table, |row| row.state() == HostState::Unknown);
        let mut ways_out = Vec::new();
        let what = match astray - unknown {
            0 if unknown == 1 => "1 host is in an unknown state".to_owned(),
            0 => format!("{} are in an unknown state", hosts(unknown)),
            _ => {
                ways_out = way_out::for_not_restored(
                    table.rows().iter().filter(|row| is_not_restored(row)),
                    table.rows(),
                    plan,
                );
                not_rolled_back(table, is_not_restored)
            }
        };
        let text = format!("{came} {of}{}{what}", mixed(table));
        return Judgement::from((text, ExitCode::Mixed)).with(ways_out);
    }
    let moved = count(table, was_changed_by_others);
    if moved > 0 {
        let text = format!("{came} {of}{}{}", mixed(table), moved_on(moved));
        return (text, ExitCode::Mixed).into();
    }
    if unfinished > 0 {
        let done = match plan.kind {
            Kind::Rollback => format!("went back to {short}"),
            _ => format!("{short} deployed"),
        };
        return (format!("{done}, but {} not finalized", hosts_were(unfinished)), ExitCode::NotFinalized).into();
    }
    let text = match plan.kind {
        Kind::DryRun if failed > 0 => {
            return (format!("compared on {of}; nothing was touched"), ExitCode::Failed).into();
        }
        Kind::DryRun => format!("compared on {of}; nothing was touched"),
        Kind::ServiceRestart => format!("services restarted on {of}{within}"),
        Kind::Rollback => format!("went back to {short} and finalized it on {of}{within}"),
        Kind::Deploy if plan.finalize.is_some() => format!("{short} deployed and finalized on {of}{within}"),
        Kind::Deploy if plan.promotes() => format!("{came} {of}, not finalized{within}"),
        Kind::Deploy => format!("{came} {of}, not promoted{within}"),
    };
    match failing_checks(table) {
        Some(where_) => (format!("{text}; hosts that were rolled back fail their checks: {where_}"), ExitCode::Mixed),
        None => (text, ExitCode::Success),
    }
    .into()
}

fn came_to(deed: &str) -> String {
    format!("{deed} {}", if deed == "deployed" { "to" } else { "on" })
}

/// The verdict on a run that no limit stopped, but that succeeded on no host.
fn none_succeeded(table: &Table, plan: &Plan) -> (String, ExitCode) {
    let all = hosts(plan.size());
    if plan.kind == Kind::DryRun {
        return (format!("compared on 0 of {all}; nothing was touched"), ExitCode::Failed);
    }
    if !plan.kind.changes_revision() {
        return (format!("services restarted on 0 of {all}; no revision was changed"), ExitCode::Failed);
    }
    let moved = count(table, was_changed_by_others);
    if moved == plan.size() {
        return (format!("{}: {}", not_done(plan), moved_on(moved)), ExitCode::Failed);
    }
    let is_changed = |row: &Row| row.touched && !was_changed_by_others(row) && !row.as_it_was();
    let failed = match plan.size() {
        1 => "the only host failed, within the failure limit",
        _ => "every host failed, within the failure limits",
    };
    let failed = format!("{}: {failed}", not_done(plan));
    if count(table, is_changed) > 0 {
        return (format!("{failed}{}{}", mixed(table), changed(table, is_changed)), ExitCode::Mixed);
    }
    let before = if plan.size() == 1 { "it runs what it ran before" } else { "they run what they ran before" };
    match failing_checks(table) {
        Some(where_) => (format!("{failed}; {before}, but checks fail: {where_}"), ExitCode::Mixed),
        None => (format!("{failed}; {before}"), ExitCode::Failed),
    }
}

fn count(table: &Table, which: impl Fn(&Row) -> bool) -> usize {
    table.rows().iter().filter(|row| which(row)).count()
}
