//! How an interrupt is handled during a step.

use crate::fleet::Step;

use super::operator::Operator;

/// The operator's interrupts during one step.
pub struct Interrupts<'a, 'b> {
    operator: &'a mut (dyn Operator + 'b),
    /// Whether an interrupt stops further hosts from beginning.
    stops: bool,
    /// Whether there was an interrupt before the step, which is already acknowledged.
    old: bool,
    /// Whether the step can be aborted on its hosts.
    can_abort: bool,
}

impl<'a, 'b> Interrupts<'a, 'b> {
    /// For one step. If the step is one that an interrupt does not stop, such as a rollback, an interrupt is only
    /// acknowledged.
    pub fn of(operator: &'a mut (dyn Operator + 'b), step: Step, stops: bool) -> Interrupts<'a, 'b> {
        let old = !stops && operator.has_interrupted();
        Interrupts { operator, stops, old, can_abort: stops && matches!(step, Step::Run(_) | Step::Command) }
    }

    /// Whether further hosts must not begin.
    pub fn stop(&mut self) -> bool {
        self.stops && self.operator.interrupted()
    }

    /// The advice for a new interrupt.
    pub fn advice(&mut self) -> Option<String> {
        (!self.old && self.operator.has_interrupted()).then(|| self.operator.advice(self.can_abort))
    }

    /// The same for a command on the deploy host.
    pub fn advice_here(&mut self) -> Option<String> {
        (!self.old && self.operator.has_interrupted()).then(|| self.operator.advice_here())
    }

    /// Whether the step is to be aborted on the hosts at work.
    pub fn abort(&mut self) -> bool {
        self.can_abort && self.operator.aborts()
    }
}
