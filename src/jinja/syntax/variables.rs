//! Which variables a template uses.

use std::collections::BTreeSet;

use super::ast::{Name, Template};
use super::walk;
use super::walk::Use;

/// Names that Jinja2 defines.
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

/// The variables that a template uses and does not set, without those of included templates.
pub fn of(template: &Template) -> BTreeSet<String> {
    let (mut used, mut set) = (BTreeSet::new(), BTreeSet::new());
    let mut visit = |name: &Name, how: Use| {
        let names = if how == Use::Load { &mut used } else { &mut set };
        names.insert(name.to_string());
    };
    walk::body(&template.body, &mut visit, true);
    used.retain(|name| !set.contains(name) && !GLOBALS.contains(&name.as_str()) && !name.starts_with("__"));
    used
}
