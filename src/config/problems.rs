//! What is wrong, gathered: a command that deploys tells the first mistake, `hoist check-config` all of them.

use anyhow::Result;

use super::Note;

/// Mistakes, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Problems {
    found: Vec<anyhow::Error>,
    /// Remarks on what is no mistake.
    pub notes: Vec<Note>,
    /// Whether to look at what only a deployment would stumble over: files that keys and checks name.
    pub thorough: bool,
}

impl Problems {
    /// For a look at everything.
    pub fn thorough() -> Problems {
        Problems { thorough: true, ..Problems::default() }
    }

    /// The value, or a note of what is wrong.
    pub fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.found.push(error)).ok()
    }

    pub fn count(&self) -> usize {
        self.found.len()
    }

    /// An error when anything is wrong: the first.
    pub fn first(self) -> Result<()> {
        self.found.into_iter().next().map_or(Ok(()), Err)
    }

    /// Each mistake as one line.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.found.iter().map(|error| format!("{error:#}"))
    }
}
