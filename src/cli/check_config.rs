//! `hoist check-config`: every mistake of the configuration at once.

use serde_json::json;

use crate::config;
use crate::config::Checked;
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
        args::Format::Text => text(&checked).answer(),
        args::Format::Json => drop(answer_json(json(&checked))),
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

fn json(checked: &Checked) -> String {
    let notes: Vec<_> = checked.notes.iter().map(|(level, note)| json!({ "level": level, "message": note })).collect();
    let whole = json!({
        "mistakes": checked.mistakes,
        "notes": notes,
        "environments": checked.environments,
        "keys": checked.keys,
        "groups": checked.groups,
        "targets": checked.targets,
        "checks": checked.checks,
        "config_files": checked.config_files,
        "templates": checked.templates,
        "variables": checked.variables,
    });
    whole.to_string()
}
