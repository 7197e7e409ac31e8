//! Reading one journal: its lines, and how far they can be relied on.

use std::collections::HashSet;

use serde::Deserialize;

use crate::deploy::Plan;
use crate::fleet::HostId;
use crate::text::counted;

use super::record::{FORMAT, Opened, Record};

/// What every form of a journal has in each line.
#[derive(Deserialize)]
struct AnyRecord {
    record: String,
}

/// What every form has in its first line.
#[derive(Deserialize)]
struct Head {
    record: String,
    version: String,
    #[serde(default)]
    format: u32,
}

/// Whether the last line that can be read ends the run, whoever wrote it.
pub(super) fn is_finished(bytes: &[u8]) -> bool {
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').rev().filter(|line| line.ends_with(b"\n"));
    let last = lines.find_map(|line| serde_json::from_slice::<AnyRecord>(line).ok());
    last.is_some_and(|last| last.record == "closed")
}

/// What is wrong with a first line.
#[derive(Debug, Clone, PartialEq)]
pub enum Wrong {
    /// It is not there, or was never written to its end.
    Blank,
    /// Of a form that this build does not know; the version that wrote it.
    Newer(String),
    Damaged(String),
}

/// A journal, as far as it can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    pub opened: Result<Box<Opened>, Wrong>,
    pub read: ReadRecords,
}

/// What follows a journal's first line, as far as it can be read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadRecords {
    /// Up to the first line that cannot be read.
    pub records: Vec<Record>,
    /// What can be read behind that one. It does not follow from `records`.
    pub later: Vec<Record>,
    /// The first line that cannot be read and is not just a torn last one, and why.
    pub damage: Option<String>,
    /// Where the first line and each of `records` end, in bytes.
    pub ends: Vec<u64>,
    /// When `records`, and then `later`, were written: RFC 3339, in UTC. `None`: by a build that noted no times.
    pub times: Vec<Option<String>>,
}

/// When a line was written.
#[derive(Deserialize)]
struct At {
    at: Option<String>,
}

/// Reads a journal. The last line may be torn, by a power cut say: it is as if it had never been written. So may one in
/// the middle be: the first builds went on behind half a record when a disk had been full for a moment.
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut parsed = Parsed { opened: Err(Wrong::Blank), read: ReadRecords::default() };
    let mut length = 0;
    let mut under_way = UnderWay::default();
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        length += line.len() as u64;
        // Without its newline a record was not promised to anyone, whole as it may look.
        if !line.ends_with(b"\n") {
            break;
        }
        if index == 0 {
            parsed.opened = first(line);
            match parsed.opened {
                Ok(_) => parsed.read.ends.push(length),
                Err(_) => break,
            }
            continue;
        }
        let record = serde_json::from_slice::<Record>(line).map_err(|error| error.to_string());
        let plan = parsed.opened.as_ref().map(|opened| &opened.plan);
        let record = record.and_then(|record| match plan.ok().and_then(|plan| under_way.misfit(&record, plan)) {
            Some(why) => Err(why),
            None => Ok(record),
        });
        if record.is_ok() {
            parsed.read.times.push(serde_json::from_slice::<At>(line).ok().and_then(|line| line.at));
        }
        match record {
            Ok(record) if parsed.read.damage.is_some() => parsed.read.later.push(record),
            Ok(record) => {
                parsed.read.records.push(record);
                parsed.read.ends.push(length);
            }
            Err(why) => {
                under_way = UnderWay::default();
                parsed.read.damage.get_or_insert_with(|| format!("line {}: {why}", index + 1));
            }
        }
    }
    parsed
}

pub(super) fn first(line: &[u8]) -> Result<Box<Opened>, Wrong> {
    let damaged = |error: serde_json::Error| Wrong::Damaged(format!("line 1: {error}"));
    let head: Head = serde_json::from_slice(line).map_err(damaged)?;
    if head.format > FORMAT {
        return Err(Wrong::Newer(head.version));
    }
    if head.record != "opened" {
        return Err(Wrong::Damaged("line 1 does not begin a deployment".into()));
    }
    match serde_json::from_slice(line).map_err(damaged)? {
        Record::Opened(opened) => Ok(opened),
        _ => Err(Wrong::Damaged("line 1 does not begin a deployment".into())),
    }
}

/// The call that is under way at a line of a journal: what its records may name.
#[derive(Default)]
struct UnderWay {
    /// The hosts whose results have not come yet; `None` behind a line that was lost, where nobody knows.
    hosts: Option<HashSet<HostId>>,
}

impl UnderWay {
    /// Why a record cannot follow the lines before it: it names a host or a group that the run does not have, or has a
    /// result that its call did not ask for.
    fn misfit(&mut self, record: &Record, plan: &Plan) -> Option<String> {
        let unknown = |host: HostId| {
            let hosts = counted(plan.size(), "host");
            (host.index() >= plan.size())
                .then(|| format!("it names host {host}, counted from 0, of a run with {hosts}"))
        };
        match record {
            Record::Called { call, tasks } => {
                self.hosts = Some(tasks.iter().map(|task| task.host).collect());
                let known = call.group.is_empty() || plan.groups.iter().any(|group| group.name == call.group);
                let no_group =
                    (!known).then(|| format!("it names a group {:?} that the run does not have", call.group));
                no_group.or_else(|| tasks.iter().find_map(|task| unknown(task.host)))
            }
            Record::Ended { host, .. } => unknown(*host).or_else(|| {
                let asked = self.hosts.as_mut().is_none_or(|hosts| hosts.remove(host));
                (!asked)
                    .then(|| format!("it has a result of host {host}, counted from 0, that its call did not ask for"))
            }),
            Record::OnceBegun { host: Some(host), .. } => unknown(*host),
            _ => None,
        }
    }
}
