//! An inventory in a file, or in the files of a folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::problem::Problem;

use super::reader::{self, Reader};
use super::tree::NotTree;
use super::{Inventory, ini, tree, vars_files};

/// Folders in folders, at most.
const MOST_DEPTH: usize = 16;
/// What Ansible passes over in a folder.
const IGNORED: [&str; 12] =
    [".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry"];
const FOLDERS: [&str; 3] = ["host_vars", "group_vars", "vars_plugins"];

/// An inventory, and the files that it was read from.
#[derive(Debug)]
pub struct Found {
    pub inventory: Inventory,
    pub files: Vec<PathBuf>,
}

/// Reads the inventory at `path`, a file or a folder, with the variables beside it. `shown` turns paths into what messages
/// call them; `check` refuses a file before it is read.
///
/// # Errors
/// The first mistake, with file and line.
pub fn read(
    path: &Path,
    shown: &dyn Fn(&Path) -> String,
    check: &dyn Fn(&Path) -> Result<(), Problem>,
) -> Result<Found, Problem> {
    let mut reader = Reader { shown, check, files: Vec::new() };
    let mut inventory = Inventory::default();
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    read_path(path, &mut reader, &mut inventory, 0)?;
    let label = shown(path);
    inventory.settle().map_err(|why| Problem::of_file(&label, format!("{label}: {why}")))?;
    inventory.check_names()?;
    vars_files::read(folder, &mut reader, &mut inventory)?;
    Ok(Found { inventory, files: reader.files })
}

fn read_path(path: &Path, reader: &mut Reader, inventory: &mut Inventory, depth: usize) -> Result<(), Problem> {
    if !path.is_dir() {
        return read_file(path, reader, inventory);
    }
    if depth > MOST_DEPTH {
        let shown = (reader.shown)(path);
        return Err(Problem::of_file(&shown, format!("{shown} lies too deep below the inventory")));
    }
    for entry in reader.entries(path)? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_ignored = name.starts_with('.') || FOLDERS.contains(&name.as_str());
        if !is_ignored && !IGNORED.iter().any(|ending| name.ends_with(ending)) {
            read_path(&entry, reader, inventory, depth + 1)?;
        }
    }
    Ok(())
}

fn read_file(path: &Path, reader: &mut Reader, inventory: &mut Inventory) -> Result<(), Problem> {
    let (bytes, shown) = reader.bytes(path)?;
    let is_executable = fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0);
    if is_executable && bytes.starts_with(b"#!") {
        let why = format!("{shown} is a program: set targets_command to `{shown} --list` instead");
        return Err(Problem::of_file(&shown, why));
    }
    let ending = path.extension().map(|ending| ending.to_string_lossy().into_owned());
    match ending.as_deref() {
        Some("toml") => {
            let why = format!("{shown}: inventories in TOML are not read: write it in YAML or INI");
            return Err(Problem::of_file(&shown, why));
        }
        None | Some("yml" | "yaml" | "json") => match read_tree(&bytes, &shown, inventory) {
            Ok(()) => return Ok(()),
            Err(NotTree::Wrong(problem)) => return Err(problem),
            Err(NotTree::Other) if ending.is_some() => {
                return Err(Problem::of_file(&shown, format!("{shown}: a mapping of groups is needed")));
            }
            Err(NotTree::Other) => {}
        },
        Some(_) => {}
    }
    ini::read(&bytes, &shown, inventory).map_err(|problem| match ending.is_some() {
        true => problem,
        false => Problem { message: format!("{} (read as INI)", problem.message), ..problem },
    })
}

/// Reads YAML. A file without an ending may be INI, so its mistakes in YAML mean nothing.
fn read_tree(bytes: &[u8], shown: &str, inventory: &mut Inventory) -> Result<(), NotTree> {
    let is_certain = Path::new(shown).extension().is_some() || bytes.starts_with(b"---");
    match reader::tree(bytes, shown) {
        Ok(node) => tree::read(&node, shown, inventory),
        Err(problem) if is_certain => Err(NotTree::Wrong(problem)),
        Err(_) => Err(NotTree::Other),
    }
}
