//! What an interrupt means while a step is under way.

use crate::fleet::Step;

use super::operator::Operator;

/// The operator beside one step.
pub struct Interrupts<'a, 'b> {
    operator: &'a mut (dyn Operator + 'b),
    /// An interrupt keeps further hosts from beginning.
    stops: bool,
    /// An interrupt was there before the step, and was acknowledged then.
    old: bool,
    /// The step can be ended on its hosts.
    can_abort: bool,
}

impl<'a, 'b> Interrupts<'a, 'b> {
    /// The operator beside a step. Unless an interrupt stops it, as it does not stop a rollback, it is acknowledged and
    /// no more.
    pub fn of(operator: &'a mut (dyn Operator + 'b), step: Step, stops: bool) -> Interrupts<'a, 'b> {
        let old = !stops && operator.has_interrupted();
        Interrupts { operator, stops, old, can_abort: stops && matches!(step, Step::Run(_) | Step::Command) }
    }

    /// Whether no further host is to begin.
    pub fn stop(&mut self) -> bool {
        self.stops && self.operator.interrupted()
    }

    /// What the operator can do about a new interrupt.
    pub fn advice(&mut self) -> Option<String> {
        (!self.old && self.operator.has_interrupted()).then(|| self.operator.advice(self.can_abort))
    }

    /// Whether the step is to be ended on the hosts that are at work.
    pub fn abort(&mut self) -> bool {
        self.can_abort && self.operator.aborts()
    }
}
