//! Reports in files, for a CI system: JUnit XML, and GitHub's summary and values of a step.

use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::collected::{Collected, End, OwnEnd};
use super::{Event, Reporter, junit, step_summary};
use crate::files::{no_links, shared};
use crate::wire::Level;

/// What stands in a report as long as there is no end to report.
const NO_END: &str = "hoist was stopped before it could report its result";

/// The files that a command reports in.
#[derive(Debug, Default, Clone)]
pub struct ReportFiles {
    /// Replaced.
    pub junit: Option<PathBuf>,
    /// The ones of GitHub's runner, added to.
    pub summary: Option<PathBuf>,
    pub outputs: Option<PathBuf>,
}

/// Reports of one command, in files. It is a reporter of its runs, one after the other; a command that has none ends it by
/// hand.
#[derive(Clone)]
pub struct Filed(Arc<Mutex<State>>);

struct State {
    command: &'static str,
    files: ReportFiles,
    collected: Collected,
    /// The ends that were told so far: of each run, and then of the command, where that ends otherwise.
    ends: Vec<OwnEnd>,
    warning: Option<String>,
}

impl Filed {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports on a command. Until it ends, the JUnit report says that it did not: whoever finds that found a command that
    /// was killed.
    ///
    /// # Errors
    /// The JUnit report cannot be written.
    pub fn begin(command: &'static str, mut files: ReportFiles) -> Result<Filed, String> {
        if let Some(junit) = &mut files.junit {
            if junit.as_os_str().is_empty() {
                return Err("--junit: the name of the file is missing".to_owned());
            }
            let name = junit.display().to_string();
            *junit = std::path::absolute(&junit).map_err(|error| format!("--junit: {name:?}: {error}"))?;
            let text = junit::of_command(command, None, &[NO_END.to_owned()]);
            replace(junit, &text).map_err(|error| format!("--junit: {error}"))?;
        }
        let (collected, ends, warning) = Default::default();
        Ok(Filed(Arc::new(Mutex::new(State { command, files, collected, ends, warning }))))
    }

    /// The command has ended, for a reason if it was refused. Says what could not be written of that.
    pub fn end(&self, status: u8, why: Option<&str>) -> Option<String> {
        let mut state = self.state();
        match (state.ends.last(), why) {
            (Some(last), Some(why)) if last.verdict != why => {
                let end = Event::Ended {
                    verdict: why.to_owned(),
                    ways_out: Vec::new(),
                    owed: Vec::new(),
                    status,
                    rows: Vec::new(),
                    seconds: 0.0,
                };
                state.ends_with(&end, false);
                return state.warning.take();
            }
            (Some(_), _) => return state.warning.take(),
            (None, _) => {}
        }
        let text = why.unwrap_or("nothing was deployed");
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let junit = junit::of_command(state.command, Some(status), &lines);
        let summary = step_summary::of_command(state.command, status, text);
        let outputs = step_summary::outputs(&Collected::default(), status, lines.first().map_or("", String::as_str));
        state.write(&junit, &summary, &outputs);
        state.warning.take()
    }

    /// The command ends otherwise than its runs, if it has any: with hosts that it left out, say.
    pub fn ends(&self, end: &Event) {
        self.state().ends_with(end, false);
    }
}

impl State {
    /// Takes an end to those before it, of a run or of the command, and writes all of it.
    fn ends_with(&mut self, event: &Event, is_of_run: bool) {
        let Some(end) = End::of(event) else { return };
        self.ends.push(OwnEnd::of(&end));
        let (nothing, command) = (Collected::default(), self.command);
        let ends: Vec<End> = self.ends.iter().map(OwnEnd::end).collect();
        let junit = junit::of_runs(command, &self.collected, &ends);
        let summary = step_summary::of_run(command, if is_of_run { &self.collected } else { &nothing }, &end);
        let outputs = step_summary::outputs(&self.collected, end.status, end.verdict);
        self.write(&junit, &summary, &outputs);
    }

    fn write(&mut self, junit: &str, summary: &str, outputs: &str) {
        let ReportFiles { junit: junit_file, summary: summary_file, outputs: outputs_file } = &self.files;
        let written = [
            junit_file.as_ref().map(|file| replace(file, junit)),
            summary_file.as_ref().map(|file| append(file, summary)),
            outputs_file.as_ref().map(|file| append(file, outputs)),
        ];
        let failed: Vec<String> = written.into_iter().flatten().filter_map(Result::err).collect();
        self.warning = (!failed.is_empty()).then(|| failed.join("; "));
    }
}

impl Reporter for Filed {
    fn event(&mut self, event: &Event) {
        let mut state = self.state();
        state.collected.event(event);
        state.ends_with(event, true);
    }

    fn warning(&mut self) -> Option<Event> {
        self.state().warning.take().map(|text| Event::note(Level::Warning, text))
    }
}

/// Writes a file in one step.
fn replace(file: &Path, text: &str) -> Result<(), String> {
    if file.exists() && !file.is_file() {
        return Err(format!("{} is not a file", file.display()));
    }
    // One that was committed could lead anywhere.
    no_links::refuse_link(file).map_err(|error| error.to_string())?;
    shared::replace(file, text.as_bytes()).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

fn append(file: &Path, text: &str) -> Result<(), String> {
    let attempt =
        || -> io::Result<()> { OpenOptions::new().append(true).create(true).open(file)?.write_all(text.as_bytes()) };
    attempt().map_err(|error| format!("cannot write {}: {error}", file.display()))
}
