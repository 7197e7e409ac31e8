//! What a deployment keeps account of during one call on the fleet.

use crate::fleet::{Flow, HostId, HostResult};
use crate::report::Reporter;
use crate::targets::Target;
use crate::wire::{Outcome, Stage};

use super::interrupts::Interrupts;
use super::relay::Observer;
use super::table::Table;

/// Updates the table during one call.
pub(super) struct OneCall<'a, 'b, F> {
    pub table: &'a mut Table,
    pub interrupts: Interrupts<'a, 'b>,
    pub stage: Option<Stage>,
    pub ended: F,
}

impl<F: FnMut(&mut Table, HostId, HostResult) -> Flow> Observer for OneCall<'_, '_, F> {
    fn target(&self, host: HostId) -> &Target {
        &self.table.row(host).target
    }

    fn started(&mut self, host: HostId) {
        if let Some(stage) = self.stage {
            self.table.started(host, stage);
        }
    }

    fn ended(&mut self, host: HostId, result: HostResult) -> (Outcome, Flow) {
        let outcome = result.outcome.clone();
        let flow = (self.ended)(self.table, host, result);
        // A result that the host reports as a success may still have been judged a failure.
        match &self.table.row(host).trouble {
            Some(trouble) if outcome.is_ok() && trouble.stage == self.stage => (Err(trouble.fault.clone()), flow),
            _ => (outcome, flow),
        }
    }

    fn interrupted(&mut self, _: &mut dyn Reporter) -> bool {
        self.interrupts.stop()
    }

    fn advice(&mut self) -> Option<String> {
        self.interrupts.advice()
    }

    fn aborts(&mut self) -> bool {
        self.interrupts.abort()
    }
}
