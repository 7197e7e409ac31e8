//! What cannot be shared as it is, in words for the operator: at the probe, and by the stage that comes upon it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::text;
use crate::wire::SharedPath;

use super::merge;
use super::place::Place;
use crate::local::os::sys;
use crate::local::state::layout::Layout;

/// Says that a shared file does not exist.
pub fn missing(path: &SharedPath, there: &Path) -> String {
    format!("shared_files: {path}: {} does not exist: create it, with the content for all revisions", there.display())
}

/// Why what is in `shared/` cannot be trusted with the content, if it cannot: a link of somebody else's, or one to a
/// directory that is more than this path.
pub fn astray(layout: &Layout, place: &Place) -> Option<String> {
    let shared = layout.shared();
    let steps: Vec<&Path> = place.there.ancestors().take_while(|step| step.starts_with(&shared)).collect();
    let links = steps.into_iter().filter(|step| fs::read_link(step).is_ok_and(|text| text != place.marked()));
    for link in links {
        let owner = fs::symlink_metadata(link).ok()?.uid();
        if owner != 0 && owner != sys::user_id() {
            let shown = link.display();
            return Some(format!(
                "{shown} is a link that user {owner} made, and is not followed: remove it, or run `chown -h 0 {}`",
                text::quoted(&link.to_string_lossy())
            ));
        }
        let real = |path: &Path| path.canonicalize().ok();
        let Some(target) = real(link) else { continue };
        let inner = [layout.revs(), layout.cache(), layout.own()];
        let is_around = real(layout.root()).is_some_and(|root| root.starts_with(&target));
        if is_around || inner.iter().any(|folder| real(folder).is_some_and(|folder| target.starts_with(folder))) {
            let (shown, key) = (link.display(), place.kind.key());
            return Some(format!(
                "{shown} is a link to {}, which is no directory for shared content: lead it elsewhere, or remove {} \
                 from {key}",
                target.display(),
                place.path
            ));
        }
    }
    None
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

/// Whether `shared/` has something for a path that cannot be replaced. An empty directory can, and so can what a killed process left.
pub fn is_taken(place: &Place) -> bool {
    let Ok(meta) = fs::symlink_metadata(&place.there) else { return false };
    let is_mark = meta.is_symlink() && fs::read_link(&place.there).is_ok_and(|text| text == place.marked());
    !is_mark && !merge::is_removable(&place.there)
}
