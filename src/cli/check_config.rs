//! `hoist check-config`: every mistake of the configuration at once.

use serde::Serialize;

use crate::config;
use crate::config::{Checked, Mistake};
use crate::exit_code::ExitCode;
use crate::wire::Level;

use super::out::{Page, answer_json};
use super::{Refused, args, options, plural};

/// Runs the command. It connects nowhere and touches nothing.
pub fn run(args: args::CheckConfig) -> Result<ExitCode, Refused> {
    let options = options(args.config.as_deref(), &args.define, args.environment.as_deref())?;
    let mut checked = config::check(&options)?;
    let least = if args.verbose { Level::Debug } else { Level::Info };
    checked.notes.retain(|(level, _)| *level >= least);
    match args.format {
        args::Format::Text => drop(text(&checked).answer()),
        args::Format::Json => drop(answer_json(&Answer::of(&checked))?),
    }
    Ok(if checked.mistakes.is_empty() { ExitCode::Success } else { ExitCode::Usage })
}

fn text(checked: &Checked) -> Page {
    let mut page = Page::default();
    for mistake in &checked.mistakes {
        page.line(&mistake.message);
    }
    for (level, note) in &checked.notes {
        page.line(format!("{}: {note}", if *level >= Level::Warning { "warning" } else { "note" }));
    }
    let environments = match checked.environments.as_slice() {
        [] => String::new(),
        names => {
            format!(" with the {} {}", if names.len() == 1 { "environment" } else { "environments" }, names.join(", "))
        }
    };
    let read = [
        plural(checked.keys, "key"),
        plural(checked.groups, "group"),
        plural(checked.targets, "target"),
        plural(checked.checks, "check"),
        plural(checked.config_files, "configuration file"),
        plural(checked.templates, "template"),
        plural(checked.variables, "variable"),
    ];
    let mistakes = match checked.mistakes.len() {
        0 => "no mistake".to_owned(),
        count => plural(count, "mistake"),
    };
    page.line(format!("read {}{environments}: {mistakes}", read.join(", ")));
    page
}

/// The object of `--format json`.
#[derive(Serialize)]
struct Answer<'a> {
    mistakes: &'a [Mistake],
    notes: Vec<Remark<'a>>,
    environments: &'a [String],
    keys: usize,
    groups: usize,
    targets: usize,
    checks: usize,
    config_files: usize,
    templates: usize,
    variables: usize,
}

#[derive(Serialize)]
struct Remark<'a> {
    level: Level,
    message: &'a str,
}

impl Answer<'_> {
    fn of(checked: &Checked) -> Answer<'_> {
        Answer {
            mistakes: &checked.mistakes,
            notes: checked.notes.iter().map(|(level, message)| Remark { level: *level, message }).collect(),
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
