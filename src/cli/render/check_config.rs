//! How `hoist check-config` looks.

use serde::Serialize;

use crate::config::{Checked, Counts};
use crate::problem::Problem;
use crate::terminal::Page;
use crate::text::counted;
use crate::wire::Level;

/// For people.
pub fn text(checked: &Checked) -> Page {
    let mut page = Page::default();
    for mistake in &checked.mistakes {
        page.line(mistake.to_string());
    }
    for remark in &checked.remarks {
        page.line(format!("{}: {remark}", if remark.severity >= Level::Warning { "warning" } else { "note" }));
    }
    let environments = match checked.environments.as_slice() {
        [] => String::new(),
        names => {
            format!(" with the {} {}", if names.len() == 1 { "environment" } else { "environments" }, names.join(", "))
        }
    };
    let counts = checked.counts;
    let read = [
        counted(counts.keys, "key"),
        counted(counts.groups, "group"),
        counted(counts.targets, "target"),
        counted(counts.checks, "check"),
        counted(counts.gates, "gate"),
        counted(counts.hooks, "hook"),
        counted(counts.steps, "step"),
        counted(counts.config_files, "configuration file"),
        counted(counts.templates, "template"),
        counted(counts.variables, "variable"),
    ];
    let mistakes = match checked.mistakes.len() {
        0 => "no mistakes".to_owned(),
        count => counted(count, "mistake"),
    };
    page.line(format!("read {}{environments}: {mistakes}", read.join(", ")));
    page
}

/// For programs: the object of `--format json`.
#[derive(Serialize)]
pub struct Answer<'a> {
    mistakes: Vec<ProblemAnswer<'a>>,
    notes: Vec<ProblemAnswer<'a>>,
    environments: &'a [String],
    #[serde(flatten)]
    counts: Counts,
}

/// A mistake or a remark.
#[derive(Serialize)]
struct ProblemAnswer<'a> {
    level: Level,
    file: Option<&'a str>,
    line: Option<usize>,
    key: Option<&'a str>,
    /// As the terminal shows it.
    message: String,
}

impl Answer<'_> {
    pub fn of(checked: &Checked) -> Answer<'_> {
        Answer {
            mistakes: checked.mistakes.iter().map(ProblemAnswer::of).collect(),
            notes: checked.remarks.iter().map(ProblemAnswer::of).collect(),
            environments: &checked.environments,
            counts: checked.counts,
        }
    }
}

impl ProblemAnswer<'_> {
    fn of(problem: &Problem) -> ProblemAnswer<'_> {
        ProblemAnswer {
            level: problem.severity,
            file: problem.file.as_deref(),
            line: problem.line,
            key: problem.key.as_deref(),
            message: problem.to_string(),
        }
    }
}
