//! Variables in `group_vars` and `host_vars` beside an inventory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::problem::Problem;
use crate::wire::Level;

use super::reader::{self, Reader};
use super::{FileVars, Inventory};

/// The endings that files of variables may have; they may have none too.
const ENDINGS: [&str; 3] = ["yml", "yaml", "json"];
/// Folders in folders, at most.
const MOST_DEPTH: usize = 16;

/// Reads the variables of all groups and hosts of the inventory from the files below `folder`.
///
/// # Errors
/// A file that cannot be read, or has a mistake.
pub fn read(folder: &Path, reader: &mut Reader, inventory: &mut Inventory) -> Result<(), Problem> {
    for name in inventory.groups.keys().cloned().collect::<Vec<_>>() {
        if let Some(vars) = vars_of(&folder.join("group_vars"), &name, reader, &mut inventory.remarks)? {
            inventory.group_files.entry(name).or_default().extend(vars);
        }
    }
    if folder.join("host_vars").is_dir() {
        for name in inventory.hosts.keys().cloned().collect::<Vec<_>>() {
            if let Some(vars) = vars_of(&folder.join("host_vars"), &name, reader, &mut inventory.remarks)? {
                inventory.host_files.entry(name).or_default().extend(vars);
            }
        }
    }
    Ok(())
}

impl FileVars {
    fn extend(&mut self, more: FileVars) {
        self.vars.extend(more.vars);
        self.files.extend(more.files);
    }
}

/// The variables of one name; `None`: no file has any.
fn vars_of(
    folder: &Path,
    name: &str,
    reader: &mut Reader,
    remarks: &mut Vec<Problem>,
) -> Result<Option<FileVars>, Problem> {
    // A name of an inventory is no way out of the folder.
    if !crate::paths::is_plain_name(name.as_bytes()) {
        return Ok(None);
    }
    let with = |ending: &str| folder.join(format!("{name}.{ending}"));
    let places = [folder.join(name)].into_iter().chain(ENDINGS.map(with));
    let Some(path) = places.into_iter().find(|path| path.exists()) else { return Ok(None) };
    let mut files = Vec::new();
    match path.is_dir() {
        true => in_folder(&path, reader, &mut files, 0)?,
        false => files.push(path),
    }
    let mut all = FileVars::default();
    for file in files {
        let (bytes, shown) = reader.bytes(&file)?;
        if bytes.starts_with(b"$ANSIBLE_VAULT") {
            let why =
                format!("{shown} is encrypted with ansible-vault and not read: keep addresses and labels out of it");
            remarks.push(Problem::of_file(&shown, why).remark(Level::Warning));
            continue;
        }
        let node = reader::tree(&bytes, &shown)?;
        let read = node.variables().ok_or_else(|| Problem::at(&shown, node.line, "variables are a mapping"))?;
        let shown: Arc<str> = shown.into();
        all.extend(FileVars { files: read.keys().map(|name| (name.clone(), shown.clone())).collect(), vars: read });
    }
    Ok(Some(all))
}

fn in_folder(folder: &Path, reader: &Reader, files: &mut Vec<PathBuf>, depth: usize) -> Result<(), Problem> {
    for path in reader.entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let ending = path.extension().map(|ending| ending.to_string_lossy().into_owned());
        let is_vars = ending.as_ref().is_none_or(|ending| ENDINGS.contains(&ending.as_str()));
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        if path.is_dir() && ending.is_none() && depth < MOST_DEPTH {
            in_folder(&path, reader, files, depth + 1)?;
        } else if path.is_file() && is_vars {
            files.push(path);
        }
    }
    Ok(())
}
