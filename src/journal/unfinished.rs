//! A deployment that was begun and not ended, as its journal has it.

use std::path::PathBuf;

use crate::fleet::Step;
use crate::invocation::Invocation;
use crate::wire::Stage;

use super::parse::ReadRecords;
use super::record::{Opened, Record, once_of};

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

    /// Whether the run was on its way back when its deployer left it: going on with it means to complete that.
    pub fn goes_back(&self) -> bool {
        let steps = self.opened.plan.steps.len();
        let mut finalizes = false;
        let mut leads_back = |record: &Record| match record {
            Record::Called { call, .. } => {
                finalizes |= call.step == Step::Run(Stage::Finalize);
                call.step == Step::Run(Stage::Rollback)
            }
            Record::OnceBegun { number, .. } => once_of(steps, *number).1,
            // The last finalize is not stopped by one.
            Record::Interrupted => !finalizes,
            _ => false,
        };
        self.read.records.iter().any(&mut leads_back)
    }

    /// What ends the run, told to somebody who called a command with the flags `here`.
    pub fn ways_out(&self, here: &Invocation) -> String {
        let run = self.opened.invocation(here);
        let [resume, rollback] = ["resume", "rollback"].map(|command| run.command(command));
        match self.goes_back() {
            true => format!("it is on its way back: `{rollback}` completes that, and so does `{resume}`"),
            false => format!("continue it with `{resume}`, or undo it with `{rollback}`"),
        }
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
