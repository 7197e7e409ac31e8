//! That a target was drained, on disk: written before the drain begins, removed when the target is back in service. So
//! whoever comes later, whatever died, knows that there is something to undo.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::hoist_dir;
use super::layout::Layout;
use crate::files::no_links;
use crate::local::fault::Fault;
use crate::local::os::files;
use crate::wire::{Drain, Drained, StageRequest};

/// What stands in `drained.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    #[serde(flatten)]
    pub drained: Drained,
    /// How it was drained: a later run may have no such commands.
    pub how: Drain,
}

fn path(layout: &Layout) -> PathBuf {
    layout.own().join("drained.json")
}

/// What is on record; `None`: the target is in service as far as Hoist is concerned.
pub fn read(layout: &Layout) -> Option<Record> {
    match no_links::read_own(&path(layout)) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Ok(text) => Some(serde_json::from_slice(&text).unwrap_or_else(|_| damaged())),
        Err(_) => fs::symlink_metadata(path(layout)).is_ok().then(damaged),
    }
}

/// Of a record that cannot be read nothing is known but that there is one.
fn damaged() -> Record {
    let run = "unknown".parse().expect("letters are a run id");
    let reason = Some("the record .hoist/drained.json cannot be read".to_owned());
    Record {
        drained: Drained { since: "an unknown time".to_owned(), run, on: Default::default(), reason },
        how: Drain::default(),
    }
}

/// Notes that the request's run drains the target; it is on the disk when this returns. One that is drained already stays
/// so since when it was.
pub fn note(layout: &Layout, request: &StageRequest, how: &Drain) -> Result<(), Fault> {
    let since = read(layout).map_or_else(crate::clock::rfc3339_utc, |record| record.drained.since);
    let run = request.header.holder.run.clone();
    write(layout, &Record { drained: Drained { since, run, on: how.on, reason: None }, how: how.clone() })
}

/// Notes why the target cannot be undrained. Where the disk takes no note the record stands as it is.
pub fn note_reason(layout: &Layout, reason: &str) {
    if let Some(mut record) = read(layout) {
        record.drained.reason = Some(reason.to_owned());
        let _ = write(layout, &record);
    }
}

fn write(layout: &Layout, record: &Record) -> Result<(), Fault> {
    hoist_dir::prepare(&layout.own())?;
    let text =
        serde_json::to_vec(record).map_err(|error| Fault::failed(format!("cannot record the drain: {error}")))?;
    hoist_dir::write(&path(layout), &text)
}

/// Notes that the target is back in service.
pub fn forget(layout: &Layout) -> Result<(), Fault> {
    files::remove(&path(layout)).map(drop)
}
