//! `hoist check-config`: every mistake of the configuration at once.

use serde_json::json;

use crate::config;
use crate::config::Checked;
use crate::exit_code::ExitCode;
use crate::problem::Problem;
use crate::wire::Level;

use super::out::{Page, answer_json};
use super::{Refused, args, options, plural};

/// Runs the command. It connects nowhere and touches nothing.
pub fn run(args: args::CheckConfig) -> Result<ExitCode, Refused> {
    let options = options(args.config.as_deref(), &args.define, args.environment.as_deref())?;
    let mut checked = config::check(&options)?;
    let least = if args.verbose { Level::Debug } else { Level::Info };
    checked.remarks.retain(|remark| remark.severity >= least);
    match args.format {
        args::Format::Text => text(&checked).answer(),
        args::Format::Json => drop(answer_json(json(&checked))),
    }
    Ok(if checked.mistakes.is_empty() { ExitCode::Success } else { ExitCode::Usage })
}

fn text(checked: &Checked) -> Page {
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
    let whole = json!({
        "mistakes": checked.mistakes.iter().map(problem).collect::<Vec<_>>(),
        "notes": checked.remarks.iter().map(problem).collect::<Vec<_>>(),
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

/// A mistake or a remark, with its message as the terminal shows it.
fn problem(problem: &Problem) -> serde_json::Value {
    json!({
        "level": problem.severity,
        "file": problem.file,
        "line": problem.line,
        "key": problem.key,
        "message": problem.to_string(),
    })
}
