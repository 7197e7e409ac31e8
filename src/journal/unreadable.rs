//! What is said of journals that cannot be read: once of all to which there is no access.

use std::path::Path;

use crate::files::ownership::Denied;
use crate::text::counted;

/// Journals of a folder that could not be read, and why.
#[derive(Debug, Default)]
pub struct Unreadable {
    /// Why the first of those that are closed to this user could not be read.
    denied: Option<anyhow::Error>,
    closed: usize,
    others: Vec<String>,
}

impl Unreadable {
    /// Notes the error of a journal.
    pub fn add(&mut self, error: anyhow::Error) {
        match error.downcast_ref::<Denied>().is_some_and(Denied::is_permission) {
            true => {
                self.closed += 1;
                self.denied.get_or_insert(error);
            }
            false => self.others.push(format!("{error:#}")),
        }
    }

    /// A line for each cause. What follows from it stands behind: `one` for a single journal, `several` for more.
    pub fn lines(self, folder: &Path, one: &str, several: &str) -> Vec<String> {
        let Unreadable { denied, closed, others } = self;
        let closed = denied.map(|error| match error.downcast_ref::<Denied>() {
            Some(denied) if closed > 1 => {
                format!("cannot read {} in {}: {denied}{several}", counted(closed, "journal"), folder.display())
            }
            _ => format!("{error:#}{one}"),
        });
        closed.into_iter().chain(others.into_iter().map(|why| why + one)).collect()
    }
}
