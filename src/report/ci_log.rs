//! The text of a run in the log of a CI system: sections that can be folded away, and annotations.

use std::io::Write;
use std::time::UNIX_EPOCH;

use super::collected::{Collected, End};
use super::render_options::{RenderOptions, Verbosity};
use super::sink::{Form, Sink};
use super::words::{hosts, step_name};
use super::{Cause, Event, Reporter, table};
use crate::fleet::Step;
use crate::targets::fold;
use crate::terminal::{Ci, Marker};
use crate::wire::Stage;

/// GitHub shows no more annotations of a kind for a step.
const MOST: usize = 10;

/// Puts the lines of another reporter into sections, one for each subgroup and one for the rollback, and annotates the end.
pub struct CiLog<W> {
    inner: Box<dyn Reporter>,
    sink: Sink<W>,
    ci: Ci,
    /// What the section that is open is about, by its number.
    open: Option<(usize, String)>,
    sections: usize,
    /// Without sections there are annotations only.
    has_sections: bool,
    collected: Collected,
}

impl<W: Write> CiLog<W> {
    /// Around a reporter that writes at once to where `writer` writes.
    pub fn new(ci: Ci, look: RenderOptions, inner: Box<dyn Reporter>, writer: W) -> CiLog<W> {
        let sink = Sink::new(writer, Form::Text(look.theme));
        let has_sections = look.verbosity >= Verbosity::Normal;
        CiLog { inner, sink, ci, open: None, sections: 0, has_sections, collected: Collected::default() }
    }

    fn mark(&mut self, marker: Marker) {
        self.inner.flush();
        self.sink.marker(marker, self.ci);
    }

    fn close(&mut self) {
        if let Some((number, _)) = self.open.take() {
            self.mark(Marker::SectionEnds { number, unix_seconds: now() });
        }
    }

    fn section(&mut self, title: &str) {
        if !self.has_sections || self.open.as_ref().is_some_and(|(_, open)| open == title) {
            return;
        }
        self.close();
        self.sections += 1;
        self.mark(Marker::SectionBegins { number: self.sections, title, unix_seconds: now() });
        self.open = Some((self.sections, title.to_owned()));
    }

    /// What is annotated: the verdict, who failed, and warnings.
    fn annotate(&mut self, end: &End) {
        let failed = end.status != 0;
        let mut errors = Vec::new();
        let mut warnings = Vec::new();
        if failed {
            let text = std::iter::once(end.text()).chain(self.collected.halts.iter().cloned());
            let text: Vec<String> = text.chain(end.ways_out.iter().cloned()).collect();
            errors.push(("hoist".to_owned(), text.join("\n")));
        }
        let bad = table::folded(end.rows).into_iter().filter(|row| !row.key.0);
        for Cause { key: (_, [group, state, _]), text, hosts } in bad {
            let to = if failed { &mut errors } else { &mut warnings };
            to.push((format!("{group}: {} {state}", fold(&hosts)), if text.is_empty() { state } else { text }));
        }
        let collected = std::mem::take(&mut self.collected);
        warnings.extend(collected.remarks.into_iter().map(|text| ("hoist".to_owned(), text)));
        let mut of_hosts = collected.warnings;
        warnings.extend(of_hosts.take().into_iter().map(|cause| (fold(&cause.hosts), cause.text)));
        for (is_error, all) in [(true, errors), (false, warnings)] {
            for (title, text) in all.iter().take(MOST) {
                self.mark(Marker::Annotation { is_error, title, text });
            }
        }
    }
}

/// Seconds since 1970, which GitLab takes the length of a section from.
fn now() -> i64 {
    UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs() as i64)
}

impl<W: Write> Reporter for CiLog<W> {
    fn event(&mut self, event: &Event) {
        self.collected.event(event);
        match event {
            Event::Subgroup { label, hosts: members, .. } => {
                self.section(&format!("{label} ({})", hosts(members.len())));
            }
            Event::StepStarted { step: step @ Step::Run(Stage::Rollback), .. } => self.section(step_name(*step)),
            Event::StepStarted { step: Step::Run(Stage::Finalize) | Step::Release, .. }
            | Event::LimitExceeded { .. }
            | Event::CapacityUsedUp { .. }
            | Event::GateFailed { .. }
            | Event::Asked { .. }
            | Event::Interrupted
            | Event::Stopping { .. }
            | Event::Ended { .. } => self.close(),
            _ => {}
        }
        self.inner.event(event);
        if let Some(end) = End::of(event) {
            self.annotate(&end);
        }
    }

    fn replays(&mut self, at: Option<Option<&str>>) {
        self.inner.replays(at);
    }

    super::left_to!(inner);
}
