//! Remarks on template variables that nobody sets.

use std::collections::BTreeSet;

use crate::jinja;
use crate::jinja::Undefined;
use crate::problem::Problem;
use crate::text::some;
use crate::wire::{ConfigFile, Level};

use super::Config;
use super::config_files::ConfigFiles;

/// Variables that one remark names.
const SHOWN: usize = 3;

impl Config {
    /// A remark on each variable that a template uses and no `vars.yaml` sets. A file with `remote_vars` is passed over:
    /// only its targets know. So are all files where a command sets more variables.
    pub(super) fn undefined_variables(&self, files: &ConfigFiles) -> Vec<Problem> {
        let settings = &self.settings;
        if settings.vars_command.is_some() {
            return files.files.iter().filter_map(|file| self.secret_by_default(files, file)).collect();
        }
        if settings.remote_vars_command.is_some() {
            return Vec::new();
        }
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

impl Config {
    /// A remark on a file that seems to use variables of `vars_command`, and has no mode.
    fn secret_by_default(&self, files: &ConfigFiles, file: &ConfigFile) -> Option<Problem> {
        let found = jinja::undefined(&files.templates, file, &files.vars);
        let names: BTreeSet<String> = found.into_iter().map(|it| it.name).collect();
        if names.is_empty() || file.access.mode.is_some() {
            return None;
        }
        let names = some(&names.into_iter().collect::<Vec<_>>(), SHOWN);
        let (path, who) = (&file.path, if file.access.group.is_some() { "0640" } else { "0600" });
        let why = format!(
            "{path} gets the mode {who}, since it uses variables that only vars_command may set ({names}): to change that, \
             set its mode, owner or group"
        );
        Some(Problem::new(why).about("mode").remark(Level::Info))
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
