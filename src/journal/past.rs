//! Every run that the journals of a folder tell of, however it ended.

use std::path::Path;

use anyhow::Result;

use crate::clock;

use super::read::{Found, journals, look, read_finished};
use super::record::{Opened, Record};

/// A run, and how it ended.
#[derive(Debug)]
pub struct Past {
    pub opened: Opened,
    /// The exit status; `None`: it has not ended.
    pub status: Option<u8>,
    /// The sentence that it ended with.
    pub verdict: Option<String>,
    /// Its deployer is at work on it right now.
    pub live: bool,
}

impl Past {
    /// When it began: RFC 3339, in UTC.
    pub fn when(&self) -> String {
        clock::rfc3339_of_run(self.opened.plan.run.as_str()).unwrap_or_default()
    }
}

/// The runs, the oldest first, and what to say of journals that cannot be read. It changes nothing.
///
/// # Errors
/// A folder that cannot be read.
pub fn past(folder: &Path) -> Result<(Vec<Past>, Vec<String>)> {
    let (mut runs, mut warnings) = (Vec::new(), Vec::new());
    for path in journals(folder)? {
        match past_of(&path) {
            Ok(run) => runs.extend(run),
            Err(error) => warnings.push(format!("{error:#}; its run is left out")),
        }
    }
    Ok((runs, warnings))
}

/// The run of one journal; `None` when it tells of nothing.
pub(super) fn past_of(path: &Path) -> Result<Option<Past>> {
    match look(path)? {
        Found::Finished => Ok(read_finished(path)?.map(|(opened, records)| {
            let closed = records.iter().rev().find_map(|record| match record {
                Record::Closed { status, verdict, .. } => Some((*status, verdict.clone())),
                _ => None,
            });
            let (status, verdict) = closed.unzip();
            Past { opened, status, verdict, live: false }
        })),
        Found::Unfinished(found) => {
            Ok(Some(Past { opened: found.opened, status: None, verdict: None, live: found.live }))
        }
        Found::Blank => Ok(None),
        Found::Newer(version) => {
            anyhow::bail!("{} was written by a newer Hoist ({version})", path.display())
        }
        Found::Unreadable(why) => anyhow::bail!("{} is damaged: {why}", path.display()),
    }
}
