//! A deployment that was begun and not ended, as its journal has it.

use std::path::PathBuf;

use crate::fleet::Step;

use super::record::{Opened, Record};

/// A deployment that was begun and not ended.
#[derive(Debug)]
pub struct Unfinished {
    pub path: PathBuf,
    pub opened: Opened,
    /// Everything after [`Record::Opened`], as far as nothing is missing.
    pub records: Vec<Record>,
    /// What can be read behind a damaged line. It does not follow from `records`.
    pub later: Vec<Record>,
    /// Why the rest could not be read, with its line.
    pub damage: Option<String>,
    /// Its deployer is at work on it right now.
    pub live: bool,
    /// Where each record ends, the first included, in bytes.
    pub(super) ends: Vec<u64>,
}

impl Unfinished {
    /// Whether a stage may have been started anywhere.
    pub fn touched(&self) -> bool {
        let touches =
            |record: &Record| matches!(record, Record::Called { call, .. } if matches!(call.step, Step::Run(_)));
        self.records.iter().chain(&self.later).any(touches) || self.damage.is_some()
    }

    /// Bytes of whole records.
    pub(super) fn length(&self) -> u64 {
        self.ends.last().copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Unfinished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plan = &self.opened.plan;
        let (user, host) = (&plan.user, &plan.deploy_host);
        write!(f, "the deployment of {} ", plan.revision.short())?;
        if let Some(environment) = &self.opened.environment {
            write!(f, "to environment {environment} ")?;
        }
        write!(f, "that {user}@{host} began (run {})", plan.run)
    }
}
