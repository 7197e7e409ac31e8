//! The shapes of the chart, placed on its axis.

use crate::report::name_of_step;
use crate::text::hosts;

use super::super::axis::Axis;
use super::super::lanes::{Bar, Spans};
use super::super::{Millis, Timeline};
use super::markup::{Attribute, Markup};
use super::time_of_day;

/// The narrowest bar, in percent: what was quick is seen too.
const NARROWEST: f64 = 0.35;

/// What the parts of the chart have in common.
pub struct Chart<'a> {
    pub timeline: &'a Timeline,
    pub axis: Axis,
    pub spans: Spans<'a>,
}

impl<'a> Chart<'a> {
    /// The chart of a run.
    pub fn of(timeline: &'a Timeline) -> Chart<'a> {
        Chart { timeline, axis: Axis::of(timeline), spans: Spans::of(timeline) }
    }

    /// An SVG as wide as the chart.
    pub fn picture(&self, page: &mut Markup, label: &str, content: impl FnOnce(&mut Markup)) {
        page.element("svg", &[("class", &"bars"), ("role", &"img"), ("aria-label", &label)], content);
    }

    /// A bar of a lane. `titled`: with what it is, for whoever points at it.
    pub fn bar(&self, svg: &mut Markup, bar: &Bar, titled: Option<usize>) {
        let step = name_of_step(bar.step);
        let class = match bar.how {
            "ok" => step,
            "cut off" | "not ended" => "open",
            _ => "bad",
        };
        let title = titled.map(|count| {
            let again = if bar.attempt > 0 { format!(", attempt {}", bar.attempt + 1) } else { String::new() };
            let (from, to) = (time_of_day(bar.from), time_of_day(bar.to));
            format!("{step}{again}: {}, {}, {from} to {to}", bar.how, hosts(count))
        });
        self.stretch(svg, class, bar.from, bar.to, &title.unwrap_or_default());
        if bar.is_bad {
            let x = percent(self.axis.at(bar.to).clamp(1.0, 99.0));
            svg.element("text", &[("class", &"cross"), ("x", &x), ("y", &"14")], |text| text.text("×"));
        }
    }

    /// A bar from one moment to another.
    pub fn stretch(&self, svg: &mut Markup, class: &'static str, from: Millis, to: Millis, title: &str) {
        let left = self.axis.at(from);
        let width = (self.axis.at(to) - left).max(NARROWEST);
        rect(svg, class, left.min(100.0 - width), width, title);
    }

    /// A mark at a moment.
    pub fn dot(&self, svg: &mut Markup, class: &'static str, at: Millis, title: &str) {
        let x = percent(self.axis.at(at).clamp(0.8, 99.2));
        // A halt and the question that it leads to come at once.
        let y = if matches!(class, "halt" | "rollback") { 5 } else { 10 };
        svg.element("circle", &[("class", &class), ("cx", &x), ("cy", &y), ("r", &"4")], |circle| {
            circle.plain("title", title);
        });
    }
}

/// A rectangle; places are in percent.
pub fn rect(svg: &mut Markup, class: &'static str, left: f64, width: f64, title: &str) {
    let (x, width) = (percent(left), percent(width));
    let place: [Attribute; 5] = [("class", &class), ("x", &x), ("y", &"3"), ("width", &width), ("height", &"12")];
    svg.element("rect", &place, |rect| {
        if !title.is_empty() {
            rect.plain("title", title);
        }
    });
}

/// A place as SVG has it.
pub fn percent(share: f64) -> String {
    format!("{share:.2}%")
}
