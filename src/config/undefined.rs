//! Remarks on template variables that nobody sets.

use std::collections::BTreeSet;

use crate::jinja;
use crate::jinja::Undefined;
use crate::problem::Problem;
use crate::wire::{ConfigFile, Level};

use super::Config;
use super::config_files::ConfigFiles;

impl Config {
    /// A remark on each variable that a template uses and no `vars.yaml` sets. A file with `remote_vars` is passed over:
    /// only its targets know.
    pub(super) fn undefined_variables(&self, files: &ConfigFiles) -> Vec<Problem> {
        let environment = self.environment.as_ref().map(|name| format!(" (environment {name})")).unwrap_or_default();
        let mut remarks = Vec::new();
        let mut lender: Option<&ConfigFile> = None;
        for file in &files.files {
            if file.remote_vars.is_some() {
                lender = Some(file);
                continue;
            }
            let found = jinja::undefined(&files.templates, file, &files.vars);
            if let Some(lender) = lender.filter(|_| self.is_scaps() && !found.is_empty()) {
                remarks.push(lent(file, lender, &found));
                continue;
            }
            let place = |it: Undefined| {
                let why = format!("{} is undefined{}{environment}", it.name, it.hint);
                Problem::at(&self.template_file(&it.template), it.line, why).about(&it.name)
            };
            remarks.extend(found.into_iter().map(place));
        }
        remarks.into_iter().map(|remark| remark.remark(Level::Warning)).collect()
    }
}

/// Scap reads the `remote_vars` of one file into the variables of all that come after it: a file that has none of its own
/// may live on that.
fn lent(file: &ConfigFile, lender: &ConfigFile, found: &[Undefined]) -> Problem {
    let names: BTreeSet<&str> = found.iter().map(|it| it.name.as_str()).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let (path, lender) = (&file.path, &lender.path);
    let why = format!(
        "{path} uses {names}, which no vars.yaml sets: Scap may take it from the remote_vars of {lender}, and hoist does \
         not; give {path} its own remote_vars"
    );
    Problem::new(why).about("remote_vars")
}
