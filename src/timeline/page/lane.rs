//! One lane: hosts to which the same happened, and behind it what it was, and who they are.

use crate::fleet::HostId;
use crate::report::{name_of_step, took};
use crate::text::hosts;

use super::super::lanes::{Bar, Lane, StepSummary};
use super::super::{Mark, Millis};
use super::canvas::Chart;
use super::markup::Markup;
use super::tables::{Cell, table};
use super::{folded, time_of_day};

/// The most hosts of a page that have a lane of their own within another one.
const MOST_OWN_LANES: usize = 400;

/// Of a lane whose hosts have none, so many of the slowest have one all the same.
const SLOWEST: usize = 5;

/// Room for lanes of single hosts.
pub struct Minis(usize);

impl Default for Minis {
    fn default() -> Minis {
        Minis(MOST_OWN_LANES)
    }
}

/// Writes a lane.
pub fn write(page: &mut Markup, chart: &Chart, lane: &Lane, minis: &mut Minis) {
    let names = || lane.hosts.iter().map(|host| chart.timeline.name(*host));
    page.element("details", &[("class", &"lane")], |details| {
        details.element("summary", &[("class", &"row")], |row| {
            row.element("span", &[("class", &"name")], |name| {
                name.text(&folded(names()));
                if lane.hosts.len() > 1 {
                    name.plain("small", &format!(" {}", hosts(lane.hosts.len())));
                }
                if lane.has_remarks {
                    name.element("small", &[("title", &"with remarks")], |mark| mark.text(" ⚑"));
                }
            });
            let label = format!("what was done on {}", hosts(lane.hosts.len()));
            chart.picture(row, &label, |svg| {
                lane.bars.iter().for_each(|bar| chart.bar(svg, bar, Some(lane.hosts.len())));
            });
        });
        write_steps(details, lane);
        write_remarks(details, chart, &lane.hosts);
        if lane.hosts.len() > 1 {
            write_hosts(details, chart, &lane.hosts, minis);
        }
    });
}

fn write_steps(page: &mut Markup, lane: &Lane) {
    if lane.steps.is_empty() {
        page.plain("p", "Nothing was done here.");
        return;
    }
    let rows = lane.steps.iter().map(|StepSummary { bar, took, .. }| {
        let again = if bar.attempt > 0 { format!(" (attempt {})", bar.attempt + 1) } else { String::new() };
        vec![
            Cell::text(format!("{}{again}", name_of_step(bar.step))),
            if bar.is_bad { Cell::bad(bar.how) } else { Cell::text(bar.how) },
            Cell::text(time_of_day(bar.from)),
            Cell::text(spread(took)),
        ]
    });
    table(page, &["step", "result", "began", "took"], rows.collect());
}

/// `1.2 s`, or of several hosts `1.2 s to 4.0 s, half of them within 1.5 s`.
fn spread(times: &[Millis]) -> String {
    let shown = |millis: Millis| took(millis as f64 / 1000.0);
    match times {
        [] => String::new(),
        [first, .., last] if shown(*first) != shown(*last) => {
            let middle = shown(times[(times.len() - 1) / 2]);
            format!("{} to {}, half of them within {middle}", shown(*first), shown(*last))
        }
        [first, ..] => shown(*first),
    }
}

fn write_remarks(page: &mut Markup, chart: &Chart, of: &[HostId]) {
    let concerns = |hosts: &[HostId]| hosts.iter().any(|host| of.contains(host));
    let remarks = chart.timeline.happenings.iter().filter(|it| it.mark == Mark::Remark && concerns(&it.hosts));
    let remarks: Vec<_> = remarks.collect();
    if remarks.is_empty() {
        return;
    }
    page.element("ul", &[("class", &"remarks")], |list| {
        for it in remarks {
            let names: Vec<_> = it.hosts.iter().filter(|host| of.contains(host)).collect();
            let who = folded(names.into_iter().map(|host| chart.timeline.name(*host)));
            list.plain("li", &format!("{} {who}: {}", time_of_day(it.at), it.text));
        }
    });
}

/// The hosts of a lane, by name; with lanes of their own where the page has room for them.
fn write_hosts(page: &mut Markup, chart: &Chart, hosts: &[HostId], minis: &mut Minis) {
    let all = hosts.len() <= minis.0;
    let shown: Vec<HostId> = if all {
        hosts.to_vec()
    } else {
        let mut slowest = hosts.to_vec();
        slowest.sort_by_key(|host| std::cmp::Reverse(chart.spans.length(*host)));
        slowest.truncate(SLOWEST.min(minis.0));
        slowest
    };
    minis.0 -= shown.len();
    if !all && !shown.is_empty() {
        page.of_class("p", "small", "The slowest of them:");
    }
    for host in &shown {
        page.element("div", &[("class", &"row host")], |row| {
            row.of_class("span", "name", &chart.timeline.name(*host).to_string());
            row.element("svg", &[("class", &"bars"), ("aria-hidden", &"true")], |svg| {
                chart.spans.on(*host).iter().for_each(|span| chart.bar(svg, &Bar::from(*span), None));
            });
        });
    }
    if !all {
        page.of_class("p", "small", "All of them:");
        page.element("ul", &[("class", &"names")], |list| {
            hosts.iter().for_each(|host| list.plain("li", &chart.timeline.name(*host).to_string()));
        });
    }
}
