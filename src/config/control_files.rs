//! The files of the deploy host that a configuration is read from.

use std::path::{Path, PathBuf};

use super::problems::Problems;
use super::{CONTROL, Config, FoundFile};

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlFile {
    /// As messages name it: from the top of the repository, or absolute.
    pub name: String,
    pub path: PathBuf,
    /// It may hold passwords: variables of templates, and the addresses of servers and proxies.
    pub may_be_secret: bool,
    /// What it says is used as it stands there: it is neither a file of keys nor one of targets.
    pub decides: bool,
}

impl Config {
    /// The state of the repository's other control folder, if there are journals in it: the control files were there before.
    pub fn state_left_behind(&self) -> Option<PathBuf> {
        // One may be a link to the other.
        let real = |folder: &Path| folder.canonicalize().ok();
        let here = real(&self.control);
        let others = CONTROL.into_iter().map(|name| self.top.join(name)).filter(|folder| real(folder) != here);
        let has_journals = |state: &PathBuf| {
            let mut files = std::fs::read_dir(state).into_iter().flatten().flatten();
            files.any(|file| file.path().extension().is_some_and(|ending| ending == "journal"))
        };
        others.map(|folder| folder.join("state")).find(has_journals)
    }

    /// A warning about it.
    pub fn warning_of_state(&self) -> Option<String> {
        let (left, here) = (self.shown(&self.state_left_behind()?), self.shown(&self.control));
        Some(format!(
            "{left} has journals of this repository, which are ignored, since its control files are in {here} now: move \
             what is in {left} to {here}/state"
        ))
    }

    /// The files that the configuration is read from, and those that a deployment reads beside it: the global file's,
    /// the repository's and the environment's keys, target files, checks, gates, hooks, steps, configuration files,
    /// templates and variables.
    /// Each is there once. What cannot be read is left out: its reader tells of it.
    pub fn control_files(&self) -> Vec<ControlFile> {
        let mut found: Vec<ControlFile> = Vec::new();
        let mut add = |name: String, may_be_secret: bool, decides: bool| {
            let path = self.top.join(&name);
            if path.is_file() && found.iter().all(|file| file.name != name) {
                found.push(ControlFile { name, path, may_be_secret, decides });
            }
        };
        self.layers.names().for_each(|name| add(name.to_owned(), true, false));
        for group in &self.settings.groups {
            let listed = self.listed(group, &mut Problems::default());
            for file in listed.into_iter().flat_map(|listed| listed.files) {
                add(self.shown(&file), false, false);
            }
        }
        let folders = self.folders();
        let in_folder = |folder, names: &[&str]| FoundFile::in_folder(folder, names, self).map(|file| file.shown);
        if self.settings.perform_checks {
            let checks = folders.iter().filter_map(|folder| in_folder(folder, &["checks.yaml", "checks.yml"]));
            checks.for_each(|name| add(name, false, true));
        }
        let gates = folders.iter().filter_map(|folder| in_folder(folder, &["gates.yaml", "gates.yml"]));
        gates.for_each(|name| add(name, true, true));
        let hooks = folders.iter().filter_map(|folder| in_folder(folder, &["hooks.yaml", "hooks.yml"]));
        hooks.for_each(|name| add(name, true, true));
        let steps = folders.iter().filter_map(|folder| in_folder(folder, &super::steps::FILES));
        steps.for_each(|name| add(name, false, true));
        if self.settings.config_deploy {
            let names = ["config-files.yaml", "config-files.yml"];
            folders
                .iter()
                .find_map(|folder| in_folder(folder, &names))
                .into_iter()
                .for_each(|name| add(name, false, true));
            let vars = folders.iter().filter_map(|folder| in_folder(folder, &["vars.yaml", "vars.yml"]));
            vars.for_each(|name| add(name, true, true));
            let templates = self.templates().unwrap_or_default();
            templates.keys().for_each(|name| add(self.template_file(name), false, true));
        }
        found
    }
}
