//! Reports in files, for a CI system: JUnit XML, and GitHub's summary and values of a step.

use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::collected::{Collected, End};
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

/// Reports of one command, in files. It is a reporter of its run; a command that has none ends it by hand.
#[derive(Clone)]
pub struct Filed(Arc<Mutex<State>>);

struct State {
    command: &'static str,
    files: ReportFiles,
    collected: Collected,
    is_written: bool,
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
        let (collected, is_written, warning) = Default::default();
        Ok(Filed(Arc::new(Mutex::new(State { command, files, collected, is_written, warning }))))
    }

    /// The command has ended, for a reason if it was refused. Says what could not be written of that.
    pub fn end(&self, status: u8, why: Option<&str>) -> Option<String> {
        let mut state = self.state();
        if state.is_written && why.is_none() {
            return None;
        }
        let text = why.unwrap_or("nothing was deployed");
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let junit = junit::of_command(state.command, Some(status), &lines);
        let summary = step_summary::of_command(state.command, status, text);
        let outputs = step_summary::outputs(&Collected::default(), status, lines.first().map_or("", String::as_str));
        state.write(&junit, &summary, &outputs);
        state.warning.take()
    }
}

impl State {
    fn write(&mut self, junit: &str, summary: &str, outputs: &str) {
        self.is_written = true;
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
        if let Some(end) = End::of(event) {
            let State { command, collected, .. } = &*state;
            let junit = junit::of_run(command, collected, &end);
            let summary = step_summary::of_run(command, collected, &end);
            let outputs = step_summary::outputs(collected, end.status, end.verdict);
            state.write(&junit, &summary, &outputs);
        }
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
