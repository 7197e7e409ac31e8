//! Remarks on what the probe found.

use crate::config::Note;
use crate::fleet::Step;
use crate::report::{Event, Reporter};

/// A reporter that tells remarks of its own right after the probe, once.
pub struct AfterProbe<'a, F> {
    inner: &'a mut dyn Reporter,
    remarks: Option<F>,
}

impl<'a, F: FnOnce() -> Vec<Note>> AfterProbe<'a, F> {
    pub fn new(inner: &'a mut dyn Reporter, remarks: Option<F>) -> AfterProbe<'a, F> {
        AfterProbe { inner, remarks }
    }
}

impl<F: FnOnce() -> Vec<Note>> Reporter for AfterProbe<'_, F> {
    fn event(&mut self, event: &Event) {
        self.inner.event(event);
        if matches!(event, Event::StepEnded { step: Step::Probe, .. })
            && let Some(remarks) = self.remarks.take()
        {
            for (level, note) in remarks() {
                self.inner.event(&Event::note(level, note));
            }
        }
    }

    fn tick(&mut self) {
        self.inner.tick();
    }

    fn flush(&mut self) {
        self.inner.flush();
    }
}
