//! A deployment that was begun and not ended, as its journal has it.

use std::path::PathBuf;

use crate::fleet::Step;

use super::parse::ReadRecords;
use super::record::{Opened, Record};

/// A deployment that was begun and not ended.
#[derive(Debug)]
pub struct Unfinished {
    pub path: PathBuf,
    pub opened: Opened,
    /// Everything after [`Record::Opened`].
    pub read: ReadRecords,
    /// Its deployer is at work on it right now.
    pub live: bool,
}

impl Unfinished {
    /// Whether a stage may have been started anywhere.
    pub fn touched(&self) -> bool {
        let touches = |record: &Record| match record {
            Record::Called { call, .. } => matches!(call.step, Step::Run(_)),
            Record::OnceBegun { .. } => true,
            _ => false,
        };
        self.read.records.iter().chain(&self.read.later).any(touches) || self.read.damage.is_some()
    }

    /// Bytes of whole records.
    pub(super) fn length(&self) -> u64 {
        self.read.ends.last().copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Unfinished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plan = &self.opened.plan;
        write!(f, "the deployment of {} ", plan.revision.short())?;
        if let Some(environment) = &self.opened.environment {
            write!(f, "to environment {environment} ")?;
        }
        write!(f, "that {} began (run {})", plan.by, plan.run)
    }
}
