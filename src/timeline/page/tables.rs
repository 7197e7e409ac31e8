//! The tables: hosts, what happened, gates, the plan, the commits.

use std::time::Duration;

use crate::deploy::Pace;
use crate::gates::SampleVerdict;
use crate::repo::{Commits, Distance};
use crate::report::{causes, took};
use crate::text::{counted, hosts};
use crate::wire::Level;

use super::super::{LookSpan, Since, Timeline};
use super::markup::{Attribute, Markup};
use super::{folded, section, time_of_day};

/// The most things that happened that are listed.
const HAPPENINGS: usize = 400;

/// The most samples of one look that are listed.
const SAMPLES: usize = 200;

/// The longest text that a table breaks at no place, in characters.
const SHORT: usize = 18;

/// What a cell of a table says.
pub struct Cell {
    text: String,
    class: &'static str,
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), class: "" }
    }

    pub fn bad(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), class: "failed" }
    }
}

/// Writes a table, without the columns in which nothing stands. Where there is no room for a table, each row is a block,
/// and each cell says what it is.
pub fn table(page: &mut Markup, head: &[&'static str], rows: Vec<Vec<Cell>>) {
    let is_used = |column: usize| rows.iter().any(|row| !row[column].text.is_empty());
    let used: Vec<usize> = (0..head.len()).filter(|column| is_used(*column)).collect();
    page.element("table", &[], |table| {
        table.element("thead", &[], |thead| {
            thead.element("tr", &[], |row| used.iter().for_each(|column| row.plain("th", head[*column])));
        });
        table.element("tbody", &[], |tbody| {
            for row in &rows {
                tbody.element("tr", &[], |tr| {
                    for column in &used {
                        let Cell { text, class } = &row[*column];
                        let length = if text.chars().count() <= SHORT { "short" } else { "" };
                        let class = format!("{class} {length}");
                        let attributes: [Attribute; 2] = [("data-name", &head[*column]), ("class", &class.trim())];
                        tr.element("td", &attributes, |td| td.lines(text));
                    }
                });
                tbody.newline();
            }
        });
    });
}

/// Where the hosts are at the end.
pub fn write_hosts(page: &mut Markup, timeline: &Timeline) {
    let title = if timeline.is_final_table { "Hosts at the end" } else { "Hosts, as last recorded" };
    let rows = timeline.rows.iter().map(|row| {
        let current = row.current.as_ref().map_or("-".to_owned(), |revision| revision.short().to_owned());
        ((row.ok, row.group.clone(), row.state.clone(), current), &row.reason, &row.host)
    });
    let rows = causes(rows).into_iter().map(|cause| {
        let (ok, group, state, current) = cause.key;
        let state = if ok == Some(false) { Cell::bad(state) } else { Cell::text(state) };
        let count = Cell::text(cause.hosts.len().to_string());
        vec![
            Cell::text(group),
            count,
            state,
            Cell::text(current),
            Cell::text(folded(&cause.hosts)),
            Cell::text(cause.text),
        ]
    });
    let rows = rows.collect();
    section(page, title, |section| {
        table(section, &["group", "hosts", "state", "live revision", "names", "reason"], rows);
    });
}

/// What happened, in the order of time.
pub fn write_happenings(page: &mut Markup, timeline: &Timeline) {
    if timeline.happenings.is_empty() {
        return;
    }
    let row = |it: &super::super::Happening| {
        let names = it.hosts.iter().map(|host| timeline.name(*host));
        let who = if it.hosts.is_empty() { String::new() } else { format!("{}: ", folded(names)) };
        let text = format!("{who}{}", it.text);
        let text = if it.level == Level::Error { Cell::bad(text) } else { Cell::text(text) };
        vec![Cell::text(time_of_day(it.at)), text]
    };
    section(page, "What happened", |section| {
        table(section, &["time", "event"], timeline.happenings.iter().take(HAPPENINGS).map(row).collect());
        left_out(section, timeline.happenings.len(), HAPPENINGS, "event");
    });
}

fn left_out(page: &mut Markup, count: usize, most: usize, noun: &str) {
    if count > most {
        page.of_class(
            "p",
            "small",
            &format!("{} are left out here; `hoist log` has them.", counted(count - most, noun)),
        );
    }
}

/// What the gates said.
pub fn write_gates(page: &mut Markup, timeline: &Timeline) {
    let looks: Vec<&LookSpan> = timeline.looks.iter().filter(|look| !look.samples.is_empty()).collect();
    if looks.is_empty() {
        return;
    }
    section(page, "Gates", |section| {
        for look in looks {
            let row = |(at, sample): &(i64, crate::report::Sample)| {
                let verdict = sample.verdict.name();
                let verdict =
                    if sample.verdict == SampleVerdict::Fail { Cell::bad(verdict) } else { Cell::text(verdict) };
                let observed = if sample.observe { " (observed only)" } else { "" };
                let value = sample.value.clone().unwrap_or_default();
                let gate = Cell::text(format!("{}{observed}", sample.gate));
                vec![Cell::text(time_of_day(*at)), gate, verdict, Cell::text(value), Cell::text(&*sample.reason)]
            };
            let rows = look.samples.iter().take(SAMPLES).map(row).collect();
            write_look(section, look, |details| {
                table(details, &["time", "gate", "verdict", "value", "reason"], rows);
                left_out(details, look.samples.len(), SAMPLES, "sample");
            });
        }
    });
}

/// A look by its heading; its samples are open to view where they are not all well.
fn write_look(page: &mut Markup, look: &LookSpan, samples: impl FnOnce(&mut Markup)) {
    let count = |verdict| look.samples.iter().filter(|(_, sample)| sample.verdict == verdict).count();
    let counts = SampleVerdict::ALL.map(|verdict| (count(verdict), verdict.name()));
    let counts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
    let whom = if look.label.is_empty() { String::new() } else { format!("{}, ", look.label) };
    let heading = format!("{whom}{}, {}: {}", look.moment, time_of_day(look.start), counts.join(", "));
    let is_well = count(SampleVerdict::Pass) + count(SampleVerdict::Skipped) == look.samples.len();
    let open: &[Attribute] = if is_well { &[] } else { &[("open", &"")] };
    page.element("details", open, |details| {
        details.plain("summary", &heading);
        samples(details);
    });
}

/// What the run was to do.
pub fn write_plan(page: &mut Markup, timeline: &Timeline) {
    let plan = timeline.plan();
    let or_none = |time: Duration| if time.is_zero() { "-".to_owned() } else { took(time.as_secs_f64()) };
    let groups = plan.groups.iter().map(|group| {
        let size = group.targets.len();
        let sizes: Vec<String> = group.subgroups().iter().map(|(_, range)| range.len().to_string()).collect();
        let unavailable = group.resolved_max_unavailable();
        vec![
            Cell::text(&*group.name),
            Cell::text(size.to_string()),
            Cell::text(crate::text::first(&sizes, sizes.len(), 8)),
            Cell::text(group.limit.resolved(size)),
            Cell::text(unavailable.unwrap_or_else(|| "a subgroup".to_owned())),
            Cell::text(group.retry_failed.to_string()),
            Cell::text(format!("{} / {}", or_none(group.soak_time), or_none(group.group_soak_time))),
        ]
    });
    let groups = groups.collect();
    let stages = plan.stages.iter().chain(&plan.finalize).chain([&plan.rollback]).map(|stage| {
        vec![
            Cell::text(stage.stage.name()),
            Cell::text(stage.batch.to_string()),
            Cell::text(took(stage.timeout.as_secs_f64())),
        ]
    });
    let stages = stages.collect();
    section(page, "Plan", |section| {
        let head = [
            "group",
            "hosts",
            "subgroups",
            "failure limit",
            "may be out of service",
            "retries",
            "soak: subgroup / group",
        ];
        table(section, &head, groups);
        table(section, &["stage", "hosts at once", "time limit"], stages);
        if !plan.gates.is_empty() {
            let gates = plan.gates.iter().map(|gate| {
                let when: Vec<&str> = gate.scope.at.iter().map(|moment| moment.name()).collect();
                let effect = if gate.observe { "observed only" } else { "halts the run" };
                let group = gate.scope.group.clone().unwrap_or_else(|| "every group".to_owned());
                vec![Cell::text(&*gate.name), Cell::text(when.join(", ")), Cell::text(group), Cell::text(effect)]
            });
            table(section, &["gate", "when", "group", "effect"], gates.collect());
        }
        let remarks = [
            plan.force.then(|| "Every step was forced.".to_owned()),
            plan.break_glass.as_ref().map(|why| format!("Gates and soaks were passed over: {why}")),
            (plan.rollback_pace == Pace::AtOnce).then(|| "A rollback takes all hosts of a group at once.".to_owned()),
            (!plan.confirm_timeout.is_zero()).then(|| {
                let lease = took(plan.confirm_timeout.as_secs_f64());
                format!("A host that does not hear from the deployer for {lease} goes back by itself.")
            }),
        ];
        remarks.into_iter().flatten().for_each(|remark| section.plain("p", &remark));
    });
}

/// The commits between what hosts ran and what the run brought.
pub fn write_commits(page: &mut Markup, timeline: &Timeline) {
    if timeline.commits.is_empty() {
        return;
    }
    section(page, "Commits", |section| {
        for Since { from, hosts: count, distance } in &timeline.commits {
            let place = format!("{}, live on {} before", from.short(), hosts(*count));
            match distance {
                Ok(Distance::Same) => section.plain("p", &format!("The same revision as {place}.")),
                Ok(Distance::Forward(new)) => write_list(section, &format!("new since {place}"), new),
                Ok(Distance::Back(missing)) => write_list(section, &format!("removed since {place}"), missing),
                Ok(Distance::Diverged { new, missing }) => {
                    write_list(section, &format!("new since {place}"), new);
                    write_list(section, &format!("removed since {place}"), missing);
                }
                Ok(Distance::Unknown(why)) => section.plain("p", &format!("Not compared with {place}: {why}.")),
                Err(why) => section.plain("p", &format!("Not compared with {place}: {why}.")),
            }
        }
    });
}

fn write_list(page: &mut Markup, what: &str, commits: &Commits) {
    page.plain("h3", &format!("{} {what}", counted(commits.count, "commit")));
    let rows = commits.newest.iter();
    let rows = rows.map(|commit| vec![Cell::text(commit.revision.short()), Cell::text(&*commit.subject)]);
    table(page, &["commit", "subject"], rows.collect());
    left_out_commits(page, commits);
}

fn left_out_commits(page: &mut Markup, commits: &Commits) {
    let more = commits.count.saturating_sub(commits.newest.len());
    if more > 0 {
        page.of_class("p", "small", &format!("and {} more", counted(more, "commit")));
    }
}
