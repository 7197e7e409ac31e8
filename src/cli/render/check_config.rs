//! How `hoist check-config` looks.

use serde_json::json;

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

/// For programs.
pub fn json(checked: &Checked) -> String {
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
