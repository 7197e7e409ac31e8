//! What the operator sees of where the time went.

use std::cmp::Reverse;
use std::time::Duration;

use super::{GroupTimings, HostTimings, PartTimings, RunTimings, percent, precise};
use crate::terminal::{Style, Styled, Table, TableRow, Theme};
use crate::timings::Part;

/// The parts of a host that are named.
const NAMED: usize = 2;

/// The least share of the time with which a part is shown.
const LEAST: f64 = 0.005;

/// What stands above the cells of a part, and of a host.
pub const OF_PARTS: [&str; 4] = ["part", "median", "95% within", "share"];
pub const OF_HOSTS: [&str; 5] = ["host", "in steps", "between", "slowest step", "mostly"];

impl RunTimings {
    /// A table for each group, and one of the slowest hosts, for so many columns, if they are limited.
    pub fn lines(&self, theme: Theme, columns: Option<usize>) -> Vec<Styled> {
        let mut out = Vec::new();
        for group in &self.groups {
            out.push(Styled::from(group.in_one_line()));
            out.extend(group.network().map(|network| Styled::from(format!("  {network}"))));
            out.extend(table(&OF_PARTS, "", group.shown().map(|part| row(part.cells(), "")), theme, columns));
        }
        let [head @ .., note] = OF_HOSTS;
        let rows = self.slowest.iter().map(|host| {
            let [cells @ .., mostly] = host.cells();
            row(cells, &mostly)
        });
        out.push(Styled::from("the slowest hosts:"));
        out.extend(table(&head, note, rows, theme, columns));
        out
    }
}

impl GroupTimings {
    /// What the network had to do with it: `4 kB sent, round trip 0.1 ms`.
    pub fn network(&self) -> Option<String> {
        let sent = (self.bytes > 0).then(|| format!("{} sent", size(self.bytes)));
        let trip = self.round_trip_seconds.map(|seconds| format!("round trip {:.1} ms", seconds * 1e3));
        let all: Vec<String> = [sent, trip].into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// The parts that are worth a row.
    pub fn shown(&self) -> impl Iterator<Item = &PartTimings> {
        self.parts.iter().filter(|it| it.share >= LEAST)
    }
}

impl PartTimings {
    /// Its row, below [`OF_PARTS`].
    pub fn cells(&self) -> [String; 4] {
        [name(self.part), precise(self.median), precise(self.p95), percent(self.share)]
    }
}

impl HostTimings {
    /// Its row, below [`OF_HOSTS`].
    pub fn cells(&self) -> [String; 5] {
        let mut parts: Vec<_> = self.parts.iter().collect();
        parts.sort_by_key(|(_, time)| Reverse(*time));
        let named = parts.iter().take(NAMED).map(|(part, time)| format!("{} {}", name(*part), of(*time)));
        let mostly = named.collect::<Vec<_>>().join(", ");
        let step = format!("{} {}", self.slowest_step, precise(self.slowest_step_seconds));
        [self.host.to_string(), precise(self.seconds), precise(self.between_steps), step, mostly]
    }
}

fn of(time: Duration) -> String {
    precise(time.as_secs_f64())
}

fn row<const N: usize>(cells: [String; N], note: &str) -> TableRow {
    TableRow { mark: None, cells: cells.into(), note: note.to_owned(), style: Style::Plain }
}

fn table(
    head: &[&str],
    note: &'static str,
    rows: impl Iterator<Item = TableRow>,
    theme: Theme,
    columns: Option<usize>,
) -> Vec<Styled> {
    let (head, rows) = (head.iter().map(|&name| name.to_owned()).collect(), rows.collect());
    Table { indent: "  ", head, note, spare: Vec::new(), rows }.lines(theme, columns)
}

/// The part, and on which side.
fn name(part: Part) -> String {
    match part {
        Part::Work => "target: other work".to_owned(),
        part if part.is_work() => format!("target: {}", part.phrase()),
        part => part.phrase().to_owned(),
    }
}

/// `12 kB`, `3.4 MB`.
fn size(bytes: u64) -> String {
    match bytes {
        ..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
