//! What became of one run.

use std::path::Path;

use crate::exit_code::ExitCode;

use super::past::{Past, PastEnd, past_of};
use super::read::{Found, UNTOUCHED, look};

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
        Ok(Found::Unfinished(found)) if !found.touched() => {
            Fate::Ended { verdict: UNTOUCHED.to_owned(), status: ExitCode::Interrupted.status() }
        }
        Ok(Found::Unfinished(_) | Found::Newer(_)) => Fate::Unfinished,
        Ok(Found::Finished) => match past_of(&path) {
            Ok(Some(Past { end: Some(PastEnd { verdict, status, .. }), .. })) => Fate::Ended { verdict, status },
            _ => Fate::Unknown,
        },
        Ok(Found::Blank | Found::Unreadable(_)) | Err(_) => Fate::Unknown,
    }
}
