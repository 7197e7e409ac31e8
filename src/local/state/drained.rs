//! That a target was drained, on disk: written before the drain begins, removed when the target is back in service. So
//! whoever comes later, whatever died, knows that there is something to undo.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::layout::Layout;
use crate::files::no_links;
use crate::wire::{Drain, Drained};

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
