//! What cannot be shared as it is, in words for the operator: at the probe, and by the stage that comes upon it.

use std::fs;
use std::path::Path;

use crate::wire::SharedPath;

use super::merge;
use super::place::Place;

/// Says that a shared file does not exist.
pub fn missing(path: &SharedPath, there: &Path) -> String {
    format!("shared_files: {path}: {} does not exist: create it, with the content for all revisions", there.display())
}

/// Why a link that somebody made in the tree cannot be moved to `shared/`, if it cannot.
pub fn foreign(place: &Place, text: &Path) -> Option<String> {
    let (path, key, noun) = (place.path, place.kind.key(), place.kind.noun());
    let target = place.here.canonicalize().ok();
    let trees = place.trees().canonicalize().ok();
    let is_in_a_tree = || target.as_ref().zip(trees.as_ref()).is_some_and(|(target, trees)| target.starts_with(trees));
    let why = if !text.is_absolute() {
        "a relative link".to_owned()
    } else if !fs::metadata(&place.here).is_ok_and(|meta| place.is_of_kind(&meta)) {
        format!("not a link to a {noun}")
    } else if is_in_a_tree() {
        "a link into a revision".to_owned()
    } else if is_taken(place) {
        format!("another one than {}", place.there.display())
    } else {
        return None;
    };
    let (here, text) = (place.here.display(), text.display());
    Some(format!("{key}: {path}: {here} is a link to {text}, {why}: replace it with what it leads to, or remove it"))
}

/// Whether `shared/` has content for a path. An empty directory is none, nor is what a killed process left.
pub fn is_taken(place: &Place) -> bool {
    let Ok(meta) = fs::symlink_metadata(&place.there) else { return false };
    let is_mark = meta.is_symlink() && fs::read_link(&place.there).is_ok_and(|text| text == place.marked());
    let is_empty = meta.is_dir() && merge::is_empty(&place.there).unwrap_or(false);
    !is_mark && !is_empty
}
