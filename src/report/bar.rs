//! A bar that follows the running step, at the foot of a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Event;
use super::progress::Progress;
use super::render_options::{RenderOptions, Verbosity};

/// A terminal of so many columns has room for a long bar.
const WIDE: usize = 100;

/// A bar while a step runs, and none between steps.
pub(super) struct Bar {
    look: RenderOptions,
    wanted: bool,
    target: Box<dyn Fn() -> ProgressDrawTarget>,
    progress: Option<Progress>,
    bar: Option<ProgressBar>,
}

impl Bar {
    /// A bar on `target`, unless the operator wants it quiet.
    pub fn new(look: RenderOptions, target: Box<dyn Fn() -> ProgressDrawTarget>) -> Bar {
        let wanted = look.verbosity != Verbosity::Quiet;
        Bar { look, wanted, target, progress: None, bar: None }
    }

    /// Takes an event in. The bar of a step that ended is gone after it; else what it shows waits for [`Bar::draw`].
    pub fn follow(&mut self, event: &Event) {
        Progress::follow(&mut self.progress, event);
        if self.progress.is_none() || matches!(event, Event::StepStarted { .. } | Event::SoakStarted { .. }) {
            self.clear();
        }
    }

    /// Has lines written above the bar.
    pub fn above(&self, mut write: impl FnMut()) {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Draws the bar anew, makes it when a step has begun, and takes it away when the step has ended.
    pub fn draw(&mut self) {
        match (&self.progress, &self.bar) {
            (None, _) => self.clear(),
            (Some(progress), Some(bar)) => {
                bar.set_message(progress.text(self.look.fold));
                bar.set_position(progress.done());
            }
            (Some(progress), None) => {
                if progress.whole() == 0 || !self.wanted {
                    return;
                }
                let bar = ProgressBar::with_draw_target(Some(progress.whole()), (self.target)());
                bar.set_style(self.style());
                bar.set_prefix(progress.name());
                bar.set_message(progress.text(self.look.fold));
                bar.tick();
                self.bar = Some(bar);
            }
        }
    }

    /// Shows that time passes.
    pub fn tick(&self) {
        if let Some(bar) = &self.bar {
            bar.tick();
        }
    }

    fn style(&self) -> ProgressStyle {
        // The names of hosts need the room more.
        let width = if (self.look.columns)().is_some_and(|columns| columns < WIDE) { 10 } else { 20 };
        let colours = if self.look.theme.colour { ".green/black.bright" } else { "" };
        let template = format!("{{prefix}} {{bar:{width}{colours}}} {{elapsed}} {{wide_msg}}");
        // A template that cannot be read would be a fault of this file; the default one serves as well then.
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        style.progress_chars(self.look.theme.sign("━╸─", "#>-"))
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}
