//! Which variables a template uses.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use crate::wire::ConfigFile;

/// What Jinja2 knows without being told.
const GLOBALS: [&str; 12] = [
    "caller",
    "cycler",
    "dict",
    "joiner",
    "kwargs",
    "lipsum",
    "loop",
    "namespace",
    "range",
    "self",
    "super",
    "varargs",
];

/// The variables that a file's template uses and does not set itself, without those of templates that it includes; none
/// when it cannot be read.
pub fn variables(templates: &IndexMap<String, String>, file: &ConfigFile) -> BTreeSet<String> {
    let Ok(environment) = super::environment(templates, file) else { return BTreeSet::new() };
    let Ok(template) = environment.get_template(&file.template) else { return BTreeSet::new() };
    let mut names: BTreeSet<String> = template.undeclared_variables(false).into_iter().collect();
    names.retain(|name| !GLOBALS.contains(&name.as_str()) && !name.starts_with("__"));
    names
}
