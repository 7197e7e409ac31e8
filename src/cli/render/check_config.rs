//! How `hoist check-config` looks.

use serde::Serialize;

use crate::config::Checked;
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
    let read = [
        counted(checked.keys, "key"),
        counted(checked.groups, "group"),
        counted(checked.targets, "target"),
        counted(checked.checks, "check"),
        counted(checked.config_files, "configuration file"),
        counted(checked.templates, "template"),
        counted(checked.variables, "variable"),
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
    keys: usize,
    groups: usize,
    targets: usize,
    checks: usize,
    config_files: usize,
    templates: usize,
    variables: usize,
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
            keys: checked.keys,
            groups: checked.groups,
            targets: checked.targets,
            checks: checked.checks,
            config_files: checked.config_files,
            templates: checked.templates,
            variables: checked.variables,
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
