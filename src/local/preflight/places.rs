//! Folders that have to be writable, and files that have to be there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::files::ownership;
use crate::files::ownership::MeantFor;
use crate::wire::{CheckPoint, ConfigFile, Stage};

use super::Look;
use crate::local::fault::plain;
use crate::local::os::files;
use crate::local::stages::vars;
use crate::local::state::links;

/// Longer files of variables are read by the stage alone, in bytes.
const VARIABLES: u64 = 1 << 20;

/// Looks at the places that the run writes to and the files that it reads.
pub fn look(look: &mut Look) {
    let wanted = look.wanted;
    if wanted.stages.iter().any(|stage| *stage != Stage::RestartService) {
        deploy_dir(look);
    }
    for file in &wanted.config_files {
        if Path::new(&file.path).is_absolute() && look.runs(Stage::Promote) {
            destination(look, file);
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
    for place in places {
        if let Err(why) = writable(&place) {
            look.note(is_sure, None, why);
        }
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
    if let Err(why) = writable(files::parent(path)) {
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

/// Whether files can be made in a folder, or in the nearest one above it that is there: the stages make the rest.
fn writable(folder: &Path) -> Result<(), String> {
    let there = folder.ancestors().find(|place| place.symlink_metadata().is_ok()).unwrap_or(Path::new("/"));
    let name = if there == folder {
        format!("{}", folder.display())
    } else {
        format!("{} (which does not exist yet)", folder.display())
    };
    match fs::metadata(there) {
        // A link that leads nowhere, say: the stage says more about it.
        Err(error) => return Err(format!("cannot write to {name}: {}: {}", there.display(), plain(&error))),
        Ok(found) if !found.is_dir() => {
            return Err(format!("cannot write to {name}: {} is not a directory", there.display()));
        }
        Ok(_) => {}
    }
    access(there, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
        let error = io::Error::from(error);
        let real = there.canonicalize().unwrap_or_else(|_| PathBuf::from(there));
        let whose = ownership::explain(&error, &real, MeantFor::Account);
        format!("cannot write to {name}: {}{whose}", plain(&error))
    })
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
