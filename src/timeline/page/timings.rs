//! Where the time went, if that was measured.

use crate::report::{OF_HOSTS, OF_PARTS};

use super::super::Timeline;
use super::markup::Markup;
use super::section;
use super::tables::{Cell, table};

/// A table for each group, and one of the slowest hosts.
pub fn write(page: &mut Markup, timeline: &Timeline) {
    let Some(timings) = &timeline.timings else { return };
    section(page, "Where the time went", |section| {
        for group in &timings.groups {
            section.plain("h3", &group.in_one_line());
            group.network().into_iter().for_each(|network| section.plain("p", &network));
            table(section, &OF_PARTS, group.shown().map(|part| row(part.cells())).collect());
        }
        section.plain("h3", "The slowest hosts");
        table(section, &OF_HOSTS, timings.slowest.iter().map(|host| row(host.cells())).collect());
    });
}

fn row<const N: usize>(cells: [String; N]) -> Vec<Cell> {
    cells.into_iter().map(Cell::text).collect()
}
