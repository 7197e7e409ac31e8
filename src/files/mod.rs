//! Files that several accounts or hostile ones may have to do with: whose they are, how they are shared, links that are not followed.

pub mod no_links;
pub mod output;
pub mod ownership;
pub mod shared;

use std::fs;
use std::io;
use std::path::Path;

/// Removes a tree, or the file or link that stands in a tree's place. No link is followed.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => fs::remove_file(path),
        other => other,
    }
}
