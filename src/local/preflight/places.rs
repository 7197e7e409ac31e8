//! Folders that have to be writable, and files that have to be there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::files::ownership;
use crate::files::ownership::MeantFor;
use crate::text::some;
use crate::wire::{CheckPoint, ConfigFile, Stage};

use super::{Look, SHOWN};
use crate::local::fault::plain;
use crate::local::os::files;
use crate::local::stages::vars;
use crate::local::state::links;
use crate::local::state::rights::Rights;
use crate::local::state::service_path;

/// Longer files of variables are read by the stage alone, in bytes.
const VARIABLES: u64 = 1 << 20;

/// Looks at the places that the run writes to and the files that it reads.
pub fn look(look: &mut Look) {
    let wanted = look.wanted;
    if wanted.stages.iter().any(|stage| *stage != Stage::RestartService) {
        deploy_dir(look);
    }
    if look.runs(Stage::Promote)
        && let Err(fault) = service_path::is_clear(look.layout)
    {
        let is_sure = !look.may_change_before(CheckPoint::After(Stage::Fetch));
        look.note(is_sure, None, fault.reason());
    }
    for file in &wanted.config_files {
        if Path::new(&file.path).is_absolute() && look.runs(Stage::Promote) {
            destination(look, file);
        }
        if look.runs(Stage::ConfigDeploy)
            && let Err(why) = Rights::of(file, file.secret, look.until)
        {
            let is_sure = !look.may_change_before(CheckPoint::After(Stage::ConfigDeploy));
            look.note(is_sure, None, format!("configuration file {}: {why}", file.path));
        }
        if let Some(vars) = file.remote_vars.as_ref().filter(|_| look.runs(Stage::ConfigDeploy)) {
            remote_vars(look, file, Path::new(vars));
        }
    }
}

fn deploy_dir(look: &mut Look) {
    let layout = look.layout;
    let inner = [layout.root().to_owned(), layout.revs(), layout.cache(), layout.own()];
    let mut places = vec![files::parent(layout.live()).to_owned()];
    places.extend(inner.into_iter().filter(|place| place.exists()));
    let is_sure = !look.may_change_before(CheckPoint::After(Stage::Fetch));
    // Who owns one of them usually owns them all: that is one problem.
    let closed: Vec<(String, Closed)> =
        places.iter().filter_map(|place| Some((place.display().to_string(), closed(place)?))).collect();
    for problem in closed.chunk_by(|(_, one), (_, other)| one.reason == other.reason) {
        let names: Vec<String> = problem.iter().map(|(name, _)| name.clone()).collect();
        look.note(is_sure, None, problem[0].1.message(&some(&names, SHOWN)));
    }
}

/// A configuration file's link is made, or replaced, in its folder.
fn destination(look: &mut Look, file: &ConfigFile) {
    let path = Path::new(&file.path);
    if look.is_of_revision(path) || links::is_in_place(look.layout, look.revision, path) {
        return;
    }
    let is_sure = !look.may_change_before(CheckPoint::After(Stage::Promote));
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
        let why = format!("{} is a directory in the place of a configuration file; move it away", file.path);
        return look.note(is_sure, None, why);
    }
    let is_reached = || links::held(path, false).map(drop).map_err(|fault| fault.reason());
    if let Err(why) = writable(files::parent(path)).and_then(|()| is_reached()) {
        look.note(is_sure, None, format!("configuration file {}: {why}", file.path));
    }
}

fn remote_vars(look: &mut Look, file: &ConfigFile, vars: &Path) {
    if look.is_of_revision(vars) || look.is_configured(vars) {
        return;
    }
    let is_sure = !look.may_change_before(CheckPoint::After(Stage::ConfigDeploy));
    let why = match fs::metadata(vars) {
        Ok(found) if found.is_file() && found.len() <= VARIABLES => {
            vars::variables(vars).err().map(|fault| fault.reason())
        }
        Ok(found) if found.is_file() => None,
        Ok(_) => Some(format!("{} is not a file", vars.display())),
        Err(error) => Some(format!("cannot read {}: {}", vars.display(), plain(&error))),
    };
    if let Some(why) = why {
        look.note(is_sure, None, format!("remote_vars of {}: {why}", file.path));
    }
}

/// Why no files can be made in a folder.
struct Closed {
    /// Whether the folder exists.
    is_there: bool,
    reason: String,
    /// What stands behind the reason: whose the place is, and what helps.
    behind: String,
}

impl Closed {
    fn message(&self, name: &str) -> String {
        let Closed { is_there, reason, behind, .. } = self;
        let not_yet = if *is_there { "" } else { " (which does not exist yet)" };
        format!("cannot write to {name}{not_yet}: {reason}{behind}")
    }
}

/// Whether files can be made in a folder.
pub(super) fn writable(folder: &Path) -> Result<(), String> {
    closed(folder).map_or(Ok(()), |why| Err(why.message(&folder.display().to_string())))
}

/// Why no files can be made in a folder, or in the nearest one above it that is there: the stages make the rest.
fn closed(folder: &Path) -> Option<Closed> {
    let place = folder.ancestors().find(|place| place.symlink_metadata().is_ok()).unwrap_or(Path::new("/"));
    let because = |reason: String, behind: String| Some(Closed { is_there: place == folder, reason, behind });
    match fs::metadata(place) {
        // A link that leads nowhere, say: the stage says more about it.
        Err(error) => return because(format!("{}: {}", place.display(), plain(&error)), String::new()),
        Ok(found) if !found.is_dir() => {
            return because(format!("{} is not a directory", place.display()), String::new());
        }
        Ok(_) => {}
    }
    let error = io::Error::from(access(place, Access::WRITE_OK | Access::EXEC_OK).err()?);
    let real = place.canonicalize().unwrap_or_else(|_| PathBuf::from(place));
    because(plain(&error), ownership::explain(&error, &real, MeantFor::RemoteUser))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_as_writable_as_the_one_above_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(writable(&dir.path().join("a/b")), Ok(()));
        fs::write(dir.path().join("a"), "").unwrap();
        assert!(writable(&dir.path().join("a/b")).unwrap_err().contains("a is not a directory"));
        fs::remove_file(dir.path().join("a")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("a")).unwrap();
        assert!(writable(&dir.path().join("a/b")).unwrap_err().contains("No such file"));
    }
}
