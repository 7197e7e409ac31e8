//! What the operator's text depends on beside the events.

use crate::targets::Target;
use crate::terminal::Theme;

/// How much the operator wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// What went wrong, and the verdict.
    Quiet,
    /// A line for each step as well.
    #[default]
    Normal,
    /// What each host does and says as well, and what is for finding faults.
    Verbose,
}

/// How the text looks.
#[derive(Clone, Copy)]
pub struct RenderOptions {
    pub theme: Theme,
    pub verbosity: Verbosity,
    /// Makes one name of many hosts, `web[01-97]`.
    pub fold: fn(&[&Target]) -> String,
    /// The columns of the terminal, if there is one.
    pub columns: fn() -> Option<usize>,
}

impl RenderOptions {
    pub(super) fn folded(&self, hosts: &[Target]) -> String {
        (self.fold)(&hosts.iter().collect::<Vec<_>>())
    }
}
