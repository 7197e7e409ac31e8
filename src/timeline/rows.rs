//! Where each host is at the end: as the operator was told, or as far as the journal goes.

use std::collections::HashMap;

use crate::fleet::{HostId, Step};
use crate::journal::Progress;
use crate::report::{HostRow, name_of_step};
use crate::targets::Target;
use crate::wire::{Revision, Stage};

use super::{HostSpan, Row, SpanEnd, Timeline};

impl From<HostRow> for Row {
    fn from(row: HostRow) -> Row {
        let state = row.state_text();
        let reason = row.reason.unwrap_or_default();
        Row { host: row.host, group: row.group, state, ok: Some(row.ok), current: row.current, reason }
    }
}

/// What the records say of each host, last of all.
pub fn of_spans(timeline: &Timeline, current: &HashMap<HostId, Option<Revision>>) -> Vec<Row> {
    let mut last: HashMap<HostId, &HostSpan> = HashMap::new();
    for span in &timeline.spans {
        // To take a lock changes nothing, and to fail at it is a failure all the same.
        if !matches!(span.step, Step::Release) {
            last.insert(span.host, span);
        }
    }
    let row = |(host, (group, target)): (HostId, &(String, Target))| {
        let (state, ok, reason) = match last.get(&host) {
            None => ("nothing recorded".to_owned(), None, String::new()),
            Some(span) => state(span),
        };
        let current = current.get(&host).cloned().flatten();
        Row { host: target.clone(), group: group.clone(), state, ok, current, reason }
    };
    HostId::first(timeline.targets.len()).zip(&timeline.targets).map(row).collect()
}

fn state(span: &HostSpan) -> (String, Option<bool>, String) {
    let step = name_of_step(span.step);
    match &span.how {
        SpanEnd::Ok => match span.step {
            Step::Run(Stage::Finalize) => ("finalized".to_owned(), Some(true), String::new()),
            Step::Run(Stage::Rollback) => ("rolled back".to_owned(), None, String::new()),
            _ => (format!("after {step}"), None, String::new()),
        },
        SpanEnd::Failed(fault) => (format!("{step}: {}", span.how.kind()), Some(false), fault.to_string()),
        SpanEnd::Cut | SpanEnd::Open => (format!("in {step}"), None, String::new()),
    }
}

/// Says what the table lacks where it is not the one that the operator saw.
pub fn complete(timeline: &mut Timeline) {
    if !timeline.is_final_table && timeline.progress == Progress::Ended {
        timeline.lacks.push(
            "The final table is not in the log: the hosts are shown as the last records of the journal have them."
                .to_owned(),
        );
    }
}
