//! `shared_dirs` and `shared_files`: paths of the working tree whose content all revisions share.

use std::path::Path;

use crate::problem::Problem;
use crate::wire::{ConfigFile, SharedKind, SharedPath, SharedPaths};

use super::Config;
use super::layers::ConfigEntry;
use super::problems::Problems;
use super::settings_reader::SettingsReader;
use super::values;

/// Paths separated by commas. A slash behind a directory is usual, and means nothing.
fn paths(value: &str) -> Result<Vec<SharedPath>, String> {
    values::list(value).into_iter().map(|path| path.strip_suffix('/').unwrap_or(path).parse()).collect()
}

/// Reads both keys. A path that is in both, or in another one, is noted, and left out.
pub(super) fn read(read: &mut SettingsReader) -> Result<SharedPaths, Problem> {
    let mut found = SharedPaths::default();
    for kind in [SharedKind::Dir, SharedKind::File] {
        for path in read.opt(kind.key(), paths)?.unwrap_or_default() {
            let other = found.iter().find(|(other, _)| other.overlaps(path.as_path()));
            let why = match other {
                None => {
                    found.push(&path, kind);
                    continue;
                }
                Some((other, of)) if *other == path => format!("{path} is also in {}: remove one of them", of.key()),
                Some((other, of)) => {
                    let (inner, outer) =
                        if other.as_path().starts_with(path.as_path()) { (other, &path) } else { (&path, other) };
                    let key = of.key();
                    format!(
                        "{inner} is inside {outer}, which is shared as a whole ({path} and {other} of {key}): remove one"
                    )
                }
            };
            if let Some(entry) = read.layers.get(kind.key()) {
                read.problems.push(entry.mistake(kind.key(), &why));
            }
        }
    }
    Ok(found)
}

impl Config {
    /// Notes each configuration file that is at a shared path, in one, or around one.
    pub(super) fn shared_paths_against(&self, files: &[ConfigFile], shown: &str, problems: &mut Problems) {
        let live = self.settings.git_deploy_dir.join(&self.settings.git_repo);
        for (path, kind) in self.settings.shared.iter() {
            let in_tree = |file: &&ConfigFile| {
                let place = Path::new(&file.path);
                path.overlaps(place.strip_prefix(&live).unwrap_or(place))
            };
            let entry: Option<&ConfigEntry> = self.layers.get(kind.key());
            if let (Some(file), Some(entry)) = (files.iter().find(in_tree), entry) {
                let why = format!("{path} cannot be shared: {shown} has the configuration file {:?} there", file.path);
                problems.push(entry.mistake(kind.key(), &why));
            }
        }
    }
}
