//! What became of one run.

use std::path::Path;

use super::read::{Found, look, read_finished};
use super::record::Record;

/// What a run's journal says of its deployer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is at work right now.
    Live,
    /// It died, and somebody has to go on with the run.
    Unfinished,
    /// The run is over.
    Ended { verdict: String, status: u8 },
    /// There is no journal that could be read.
    Unknown,
}

/// What became of a run. It changes nothing.
pub fn fate(folder: &Path, run: &str) -> Fate {
    let path = folder.join(format!("{run}.journal"));
    match look(&path) {
        Ok(Found::Unfinished(found)) if found.live => Fate::Live,
        Ok(Found::Unfinished(_) | Found::Newer(_)) => Fate::Unfinished,
        Ok(Found::Finished) => match read_finished(&path) {
            Ok(Some((_, records))) => match records.into_iter().next_back() {
                Some(Record::Closed { verdict, status, .. }) => Fate::Ended { verdict, status },
                _ => Fate::Unknown,
            },
            _ => Fate::Unknown,
        },
        Ok(Found::Blank | Found::Unreadable(_)) | Err(_) => Fate::Unknown,
    }
}
