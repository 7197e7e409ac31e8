//! How `hoist check-config` looks.

use serde_json::json;

use crate::config::Checked;
use crate::terminal::Page;
use crate::text::counted;
use crate::wire::Level;

/// For people.
pub fn text(checked: &Checked) -> Page {
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
        counted(checked.keys, "key"),
        counted(checked.groups, "group"),
        counted(checked.targets, "target"),
        counted(checked.checks, "check"),
        counted(checked.config_files, "configuration file"),
        counted(checked.templates, "template"),
        counted(checked.variables, "variable"),
    ];
    let mistakes = match checked.mistakes.len() {
        0 => "no mistake".to_owned(),
        count => counted(count, "mistake"),
    };
    page.line(format!("read {}{environments}: {mistakes}", read.join(", ")));
    page
}

/// For programs.
pub fn json(checked: &Checked) -> String {
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
