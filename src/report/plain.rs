//! The operator's text where there is no terminal: a pipe, a file, a job's log.

use std::io::Write;
use std::time::{Duration, Instant};

use super::progress::Progress;
use super::render_options::{RenderOptions, Verbosity};
use super::sink::{Form, Sink};
use super::text::Text;
use super::{Event, Reporter};

/// How long a step may go on before its progress is told, and told again.
const EVERY: Duration = Duration::from_secs(10);

/// Plain lines. A long step says how far it is, at most once in ten seconds.
pub struct Plain<W> {
    text: Text,
    sink: Sink<W>,
    progress: Option<Progress>,
    /// When the step began, or was last told of.
    told: Duration,
    /// Time since some fixed moment.
    elapsed: Box<dyn Fn() -> Duration>,
}

impl<W: Write> Plain<W> {
    pub fn new(look: RenderOptions, writer: W) -> Self {
        let began = Instant::now();
        Plain::with(Text::new(look), writer, Box::new(move || began.elapsed()))
    }

    fn with(text: Text, writer: W, elapsed: Box<dyn Fn() -> Duration>) -> Self {
        let form = Form::Text(text.look.theme);
        Plain { text, sink: Sink::new(writer, form), progress: None, told: Duration::ZERO, elapsed }
    }
}

impl<W: Write> Reporter for Plain<W> {
    fn event(&mut self, event: &Event) {
        Progress::follow(&mut self.progress, event);
        if matches!(event, Event::StepStarted { .. } | Event::SoakStarted { .. }) {
            self.told = (self.elapsed)();
        }
        let lines = self.text.lines(event);
        self.sink.lines(lines);
        self.tick();
    }

    fn replays(&mut self, at: Option<Option<&str>>) {
        self.text.replays(at);
    }

    fn flush(&mut self) {
        let held = self.text.held();
        self.sink.lines(held);
    }

    fn tick(&mut self) {
        let Some(progress) = &self.progress else { return };
        let now = (self.elapsed)();
        let due = now.saturating_sub(self.told) >= EVERY && progress.done() < progress.whole();
        if due && self.text.look.verbosity >= Verbosity::Normal {
            self.told = now;
            let line = self.text.line(format!("{}: {}", progress.name(), progress.text(self.text.look.fold)));
            self.sink.lines([line]);
        }
    }
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;
