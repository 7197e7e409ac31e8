//! When deployments of the past stood between two subgroups, and on which revision each host was then: what a health gate
//! would have been asked about.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Result;
use serde::Deserialize;

use crate::clock;
use crate::deploy::{Kind, Plan};
use crate::files::no_links;
use crate::fleet::{HostId, Step};
use crate::gates::HostsByRevision;
use crate::wire::{Revision, Stage};

use super::past::{Past, past_of};
use super::read::journals;
use super::record::Record;
use super::unreadable::Unreadable;

/// The moment after the services of a subgroup were restarted.
#[derive(Debug, Clone, PartialEq)]
pub struct PastLook {
    pub group: String,
    /// In seconds since 1970.
    pub at: f64,
    /// When the deployment went on.
    pub until: f64,
    /// The hosts of the group that it had restarted well, and those that it had not touched yet.
    pub hosts: HostsByRevision,
}

/// A deployment, and its moments.
#[derive(Debug)]
pub struct PastLooks {
    pub past: Past,
    /// What most of its targets ran before.
    pub previous: Option<Revision>,
    pub looks: Vec<PastLook>,
}

/// A line of a journal.
#[derive(Deserialize)]
struct Line {
    #[serde(flatten)]
    record: Record,
    at: Option<String>,
}

/// The deployments of an environment, the oldest first, and what to say of journals that cannot be read. Those of builds
/// that wrote no times have no looks.
///
/// # Errors
/// A folder that cannot be read.
pub fn past_looks(folder: &Path, environment: Option<&str>) -> Result<(Vec<PastLooks>, Vec<String>)> {
    let (mut found, mut unreadable) = (Vec::new(), Unreadable::default());
    for path in journals(folder)? {
        let past = match past_of(&path) {
            Ok(Some(past)) => past,
            Ok(None) => continue,
            Err(error) => {
                unreadable.add(error);
                continue;
            }
        };
        if past.opened.environment.as_deref() != environment || past.opened.plan.kind != Kind::Deploy {
            continue;
        }
        let bytes = no_links::read_own(&path).unwrap_or_default();
        let lines = bytes.split(|byte| *byte == b'\n').skip(1);
        let lines: Vec<Line> = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let (previous, looks) = read(&past.opened.plan, &lines);
        found.push(PastLooks { past, previous, looks });
    }
    Ok((found, unreadable.lines(folder, "; its deployment is left out", "; their deployments are left out")))
}

fn read(plan: &Plan, lines: &[Line]) -> (Option<Revision>, Vec<PastLook>) {
    let mut looks: Vec<PastLook> = Vec::new();
    let mut before: HashMap<&Revision, usize> = HashMap::new();
    let mut step = None;
    // Hosts that a restarting stage has begun on, and whether it went well; and those that had the revision before.
    let mut touched: HashMap<HostId, bool> = HashMap::new();
    let mut restarted: Option<&str> = None;
    for line in lines {
        let at = line.at.as_deref().and_then(clock::unix_seconds);
        match &line.record {
            Record::Called { call, .. } => {
                step = Some(call.step);
                if let (Some(at), Some(open)) = (at, looks.last_mut().filter(|look| look.until == look.at)) {
                    open.until = at;
                }
                if call.step == Step::Run(Stage::Rollback) {
                    break;
                }
                restarted = matches!(call.step, Step::Run(stage) if stage.restarts()).then_some(&call.group);
            }
            Record::Ended { host, result, .. } => {
                if restarted.is_some() {
                    touched.insert(*host, result.outcome.is_ok());
                } else if step == Some(Step::Probe)
                    && let Some(live) = result.facts.as_ref().and_then(|facts| facts.state.current.as_ref())
                {
                    if *live == plan.revision {
                        touched.insert(*host, true);
                    } else {
                        *before.entry(live).or_default() += 1;
                    }
                }
            }
            Record::Returned => {
                if let (Some(group), Some(at)) = (restarted.take(), at) {
                    looks.extend(look(plan, group, at, &touched));
                }
            }
            Record::Closed { .. } => {
                if let (Some(at), Some(open)) = (at, looks.last_mut().filter(|look| look.until == look.at)) {
                    open.until = at;
                }
            }
            _ => {}
        }
    }
    let previous = before.into_iter().max_by_key(|(revision, count)| (*count, *revision)).map(|(it, _)| it.clone());
    (previous, looks)
}

/// The hosts of a group as they stood at a time.
fn look(plan: &Plan, name: &str, at: f64, touched: &HashMap<HostId, bool>) -> Option<PastLook> {
    let group = plan.group_ids().find(|group| plan.group(*group).name == name)?;
    let those = |of_group: bool, wanted: Option<&bool>| {
        let hosts = plan.hosts().zip(plan.targets());
        let of = hosts.filter(|(host, (its, _))| (*its == group) == of_group && touched.get(host) == wanted);
        of.map(|(_, (_, target))| target.clone()).collect()
    };
    let hosts =
        HostsByRevision { new: those(true, Some(&true)), old: those(true, None), elsewhere: those(false, None) };
    Some(PastLook { group: name.to_owned(), at, until: at, hosts })
}
