//! Several reporters as one.

use super::{Event, Reporter};

/// Tells every reporter the same. A warning of one of them is told to the others as a note.
pub struct Tee(Vec<Box<dyn Reporter>>);

impl Tee {
    pub fn new(reporters: Vec<Box<dyn Reporter>>) -> Tee {
        Tee(reporters)
    }

    fn pass_on_warnings(&mut self) {
        for from in 0..self.0.len() {
            let Some(warning) = self.0[from].warning() else { continue };
            for (to, reporter) in self.0.iter_mut().enumerate() {
                if to != from {
                    reporter.event(&warning);
                }
            }
        }
    }
}

impl Reporter for Tee {
    fn event(&mut self, event: &Event) {
        // Warnings from before the first event, of a log that could not be made say, come after it: it is the header.
        for reporter in &mut self.0 {
            reporter.event(event);
        }
        self.pass_on_warnings();
    }

    fn replays(&mut self, at: Option<Option<&str>>) {
        for reporter in &mut self.0 {
            reporter.replays(at);
        }
    }

    fn flush(&mut self) {
        for reporter in &mut self.0 {
            reporter.flush();
        }
    }

    fn tick(&mut self) {
        for reporter in &mut self.0 {
            reporter.tick();
        }
    }

    fn broken(&self) -> Option<&std::io::Error> {
        self.0.iter().find_map(|reporter| reporter.broken())
    }
}
