//! The lanes, below their axis.

use indexmap::IndexSet;

use crate::deploy::GroupId;
use crate::report::{name_of_step, took};
use crate::text::{counted, hosts};

use super::super::lanes;
use super::super::{HostSpan, LookSpan, Mark, Timeline};
use super::canvas::{Chart, percent, rect};
use super::lane::Minis;
use super::markup::{Attribute, Markup};
use super::{lane, section};

/// Writes the chart.
pub fn write(page: &mut Markup, timeline: &Timeline) {
    let chart = Chart::of(timeline);
    section(page, "Timeline", |section| {
        chart.write_legend(section);
        section.element("div", &[("class", &"chart")], |inner| {
            chart.write_axis(inner);
            chart.write_run(inner);
            let mut minis = Minis::default();
            for group in timeline.plan().group_ids() {
                chart.write_group(inner, group, &mut minis);
            }
        });
    });
}

impl Chart<'_> {
    /// The colours, of what the run has.
    fn write_legend(&self, page: &mut Markup) {
        let mut spans: Vec<&HostSpan> = self.timeline.spans.iter().collect();
        spans.sort_by_key(|span| span.start);
        let steps: IndexSet<&'static str> = spans.iter().map(|span| name_of_step(span.step)).collect();
        let bad = self.timeline.spans.iter().any(|span| span.how.is_bad()).then_some("failed");
        let open = self.timeline.spans.iter().any(|span| lanes::is_open(&span.how)).then_some("cut off or not ended");
        let soak = self.timeline.looks.iter().any(|look| look.is_soak).then_some("soak");
        let gap = (!self.timeline.gaps.is_empty()).then_some("no deployer");
        page.element("ul", &[("class", &"legend")], |list| {
            for word in steps.into_iter().chain(soak).chain(bad).chain(open).chain(gap) {
                let class = match word {
                    "failed" => "bad",
                    "cut off or not ended" => "open",
                    "no deployer" => "gap",
                    word => word,
                };
                list.element("li", &[], |item| {
                    item.element("svg", &[("class", &"swatch"), ("aria-hidden", &"true")], |svg| {
                        let attributes: [Attribute; 3] = [("class", &class), ("width", &"100%"), ("height", &"100%")];
                        svg.element("rect", &attributes, |_| ());
                    });
                    item.text(word);
                });
            }
        });
    }

    fn write_axis(&self, page: &mut Markup) {
        page.element("div", &[("class", &"row axis")], |row| {
            row.of_class("span", "name", "since the beginning");
            self.picture(row, "time axis", |svg| {
                for (left, width, long) in self.axis.shortened() {
                    rect(svg, "shortened", left, width, &format!("waiting, {long}: drawn shorter"));
                }
                let ticks = self.axis.ticks();
                for (number, (place, text)) in ticks.iter().enumerate() {
                    let anchor = match number {
                        0 => "start",
                        number if number + 1 == ticks.len() => "end",
                        _ => "middle",
                    };
                    let x = percent(*place);
                    svg.element("text", &[("x", &x), ("y", &"13"), ("text-anchor", &anchor)], |it| it.text(text));
                }
            });
        });
    }

    /// What is of no group: questions, interrupts, deployers that died, gates for all groups.
    fn write_run(&self, page: &mut Markup) {
        let timeline = self.timeline;
        page.element("div", &[("class", &"row run")], |row| {
            row.of_class("span", "name", "the run");
            self.picture(row, "what happened to the run", |svg| {
                for (from, to) in &timeline.gaps {
                    let long = took((to - from) as f64 / 1000.0);
                    self.stretch(svg, "gap", *from, *to, &format!("no deployer for {long}"));
                }
                for look in timeline.looks.iter().filter(|look| look.group.is_empty()) {
                    self.write_look(svg, look);
                }
                for happening in &timeline.happenings {
                    let class = match happening.mark {
                        Mark::Remark => continue,
                        Mark::Question => "question",
                        Mark::Interrupt | Mark::Halt => "halt",
                        Mark::Resumed => "resumed",
                        Mark::Step => "step",
                        Mark::Rollback => "rollback",
                    };
                    self.dot(svg, class, happening.at, &happening.text);
                }
            });
        });
    }

    fn write_group(&self, page: &mut Markup, group: GroupId, minis: &mut Minis) {
        let plan = self.timeline.plan();
        let about = plan.group(group);
        page.element("h3", &[], |heading| {
            heading.text(&about.name);
            let subgroups = about.subgroups().len();
            let parts = if subgroups > 1 { format!(" in {}", counted(subgroups, "subgroup")) } else { String::new() };
            let limit = about.limit.resolved(about.targets.len());
            let small = format!(" {}{parts}, failure limit {limit}", hosts(about.targets.len()));
            heading.plain("small", &small);
        });
        let looks: Vec<&LookSpan> = self.timeline.looks.iter().filter(|look| look.group == about.name).collect();
        if !looks.is_empty() {
            page.element("div", &[("class", &"row looks")], |row| {
                let soaks = looks.iter().any(|look| look.is_soak);
                row.of_class("span", "name", if soaks { "soak and gates" } else { "gates" });
                self.picture(row, "soaks and gates", |svg| looks.iter().for_each(|look| self.write_look(svg, look)));
            });
        }
        for it in lanes::of_group(self.timeline, &self.spans, group) {
            lane::write(page, self, &it, minis);
            page.newline();
        }
    }

    fn write_look(&self, svg: &mut Markup, look: &LookSpan) {
        let end = look.end.unwrap_or(self.timeline.ended);
        if look.is_soak {
            self.stretch(svg, "soak", look.start, end, &format!("{}: soak", look.label));
        }
        for (at, sample) in &look.samples {
            self.dot(svg, sample.verdict.name(), *at, &sample.to_string());
        }
    }
}
