//! Lanes: what happened on hosts, those to which the same happened together.

use std::collections::{HashMap, HashSet};

use crate::deploy::GroupId;
use crate::fleet::{HostId, Step};

use super::{HostSpan, Mark, Millis, SpanEnd, Timeline};

/// The most lanes of a group. Beyond that its subgroups share theirs.
const MOST: usize = 60;

/// Hosts that did the same, with the same ends.
#[derive(Debug)]
pub struct Lane {
    pub hosts: Vec<HostId>,
    pub bars: Vec<Bar>,
    pub steps: Vec<StepSummary>,
    /// Remarks were made on them.
    pub has_remarks: bool,
}

/// A stretch of a lane.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    pub step: Step,
    pub attempt: u32,
    pub how: &'static str,
    pub is_bad: bool,
    pub from: Millis,
    pub to: Millis,
}

/// What a step came to on the hosts of a lane.
#[derive(Debug)]
pub struct StepSummary {
    pub bar: Bar,
    /// How long it took on each of them, the shortest first.
    pub took: Vec<Millis>,
}

/// The spans of each host, in the order of time.
pub struct Spans<'a>(HashMap<HostId, Vec<&'a HostSpan>>);

impl<'a> Spans<'a> {
    pub fn of(timeline: &'a Timeline) -> Spans<'a> {
        let mut spans: HashMap<HostId, Vec<&HostSpan>> = HashMap::new();
        for span in &timeline.spans {
            spans.entry(span.host).or_default().push(span);
        }
        Spans(spans)
    }

    /// Those of a host.
    pub fn on(&self, host: HostId) -> &[&'a HostSpan] {
        self.0.get(&host).map_or(&[], Vec::as_slice)
    }

    /// From the first to the last thing done on a host.
    pub fn length(&self, host: HostId) -> Millis {
        let spans = self.on(host);
        let first = spans.iter().map(|span| span.start).min().unwrap_or_default();
        spans.iter().map(|span| span.end).max().unwrap_or_default() - first
    }
}

impl From<&HostSpan> for Bar {
    fn from(span: &HostSpan) -> Bar {
        let HostSpan { step, attempt, start, end, how, .. } = span;
        Bar { step: *step, attempt: *attempt, how: how.kind(), is_bad: how.is_bad(), from: *start, to: *end }
    }
}

/// The lanes of a group, in the order of their first hosts.
pub fn of_group(timeline: &Timeline, spans: &Spans, group: GroupId) -> Vec<Lane> {
    let plan = timeline.plan();
    let remarked: HashSet<HostId> = timeline
        .happenings
        .iter()
        .filter(|it| it.mark == Mark::Remark)
        .flat_map(|it| it.hosts.iter().copied())
        .collect();
    let subgroups = plan.subgroups_of(group);
    let by_subgroup =
        subgroups.iter().enumerate().flat_map(|(place, (_, hosts))| hosts.clone().map(move |host| (place, host)));
    let lanes = fold(spans, &remarked, by_subgroup);
    if lanes.len() <= MOST { lanes } else { fold(spans, &remarked, plan.hosts_of(group).map(|host| (0, host))) }
}

/// What tells lanes apart.
type Key<'a> = (usize, bool, Vec<(Step, u32, &'static str)>);

fn fold(spans: &Spans, remarked: &HashSet<HostId>, hosts: impl Iterator<Item = (usize, HostId)>) -> Vec<Lane> {
    let mut places: HashMap<Key, usize> = HashMap::new();
    let mut folded: Vec<(bool, Vec<HostId>)> = Vec::new();
    for (subgroup, host) in hosts {
        let what = spans.on(host).iter().map(|span| (span.step, span.attempt, span.how.kind())).collect();
        let has_remarks = remarked.contains(&host);
        let place = *places.entry((subgroup, has_remarks, what)).or_insert(folded.len());
        if place == folded.len() {
            folded.push((has_remarks, Vec::new()));
        }
        folded[place].1.push(host);
    }
    folded.into_iter().map(|(has_remarks, hosts)| lane(spans, hosts, has_remarks)).collect()
}

/// One lane of hosts whose spans are alike.
fn lane(spans: &Spans, hosts: Vec<HostId>, has_remarks: bool) -> Lane {
    let mut steps: Vec<StepSummary> = Vec::new();
    let mut bars: Vec<Vec<Bar>> = Vec::new();
    for host in &hosts {
        for (place, span) in spans.on(*host).iter().enumerate() {
            let bar = Bar::from(*span);
            let took = span.end - span.start;
            match steps.get_mut(place) {
                None => {
                    steps.push(StepSummary { bar: bar.clone(), took: vec![took] });
                    bars.push(vec![bar]);
                }
                Some(step) => {
                    step.took.push(took);
                    step.bar.from = step.bar.from.min(bar.from);
                    step.bar.to = step.bar.to.max(bar.to);
                    bars[place].push(bar);
                }
            }
        }
    }
    steps.iter_mut().for_each(|step| step.took.sort_unstable());
    let bars = bars.into_iter().flat_map(joined).collect();
    Lane { hosts, bars, steps, has_remarks }
}

/// The same step of several hosts, as few bars as there are times at which none was at it.
fn joined(mut bars: Vec<Bar>) -> Vec<Bar> {
    bars.sort_by_key(|bar| bar.from);
    let mut joined: Vec<Bar> = Vec::new();
    for bar in bars {
        match joined.last_mut() {
            Some(last) if bar.from <= last.to => last.to = last.to.max(bar.to),
            _ => joined.push(bar),
        }
    }
    joined
}

/// What a span's end means for whoever looks.
pub fn is_open(how: &SpanEnd) -> bool {
    matches!(how, SpanEnd::Open | SpanEnd::Cut)
}
