//! The refs of a repository, read and written without a process of git. A repository that keeps them in another way than
//! as files, or whose refs are another's, is left to git.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::files::no_links;
use crate::local::fault::{Fault, Tried};
use crate::local::os::files;

/// Names and objects, in the order of the names.
pub type Refs = BTreeMap<String, String>;

/// All refs below `refs/`; `None` where only git can tell.
pub fn read(dir: &Path) -> Option<Refs> {
    if !are_plain_files(dir) {
        return None;
    }
    let mut refs = packed(dir)?;
    let mut folders = vec!["refs".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(dir.join(&folder)).ok()? {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            // As git does: these are no names of refs.
            if name.starts_with('.') || name.ends_with(".lock") {
                continue;
            }
            let path = format!("{folder}/{name}");
            if entry.file_type().ok()?.is_dir() {
                folders.push(path);
                continue;
            }
            let text = no_links::read_own_text(&entry.path()).ok()?;
            refs.insert(path, text.strip_suffix('\n').filter(|text| is_object(text))?.to_owned());
        }
    }
    Some(refs)
}

/// Makes a ref below `refs/` name an object that is there; `None` where only git can do that. Unless it `is_synced`, the
/// caller makes it last.
pub fn point(dir: &Path, name: &str, object: &str, is_synced: bool) -> Option<Result<(), Fault>> {
    let path = dir.join(name);
    if !is_free(dir, &path) {
        return None;
    }
    let text = format!("{object}\n");
    if no_links::read_own_text(&path).is_ok_and(|now| now == text) {
        return Some(Ok(()));
    }
    let write = || match is_synced {
        true => files::write(&path, text.as_bytes(), 0o666),
        false => fs::write(&path, &text).tried("write", &path),
    };
    Some(files::make_dir(files::parent(&path)).and_then(|()| write()))
}

/// Removes a ref below `refs/`; `None` where only git can do that.
pub fn remove(dir: &Path, name: &str) -> Option<Result<(), Fault>> {
    let path = dir.join(name);
    if !is_free(dir, &path) || packed(dir)?.contains_key(name) {
        return None;
    }
    let removed = files::remove(&path).map(drop);
    // A folder in the place of a later ref would be in its way.
    let _ = fs::remove_dir(files::parent(&path));
    Some(removed)
}

/// Whether a ref may be written here. Whoever else is at it has a lock beside it.
fn is_free(dir: &Path, path: &Path) -> bool {
    let lock = path.file_name().map(|name| path.with_file_name(format!("{}.lock", name.display())));
    are_plain_files(dir) && lock.is_some_and(|lock| !lock.exists())
}

fn are_plain_files(dir: &Path) -> bool {
    let stores_otherwise = |text: String| text.to_lowercase().contains("refstorage");
    !dir.join("commondir").exists()
        && !dir.join("reftable").exists()
        && no_links::read_own_text(&dir.join("config")).is_ok_and(|text| !stores_otherwise(text))
}

fn packed(dir: &Path) -> Option<Refs> {
    let text = match no_links::read_own_text(&dir.join("packed-refs")) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(Refs::new()),
        Err(_) => return None,
    };
    // A comment, or what the annotated tag above it is of.
    let lines = text.lines().filter(|line| !line.starts_with(['#', '^']));
    lines.map(|line| line.split_once(' ').filter(|(object, _)| is_object(object))).try_fold(
        Refs::new(),
        |mut refs, line| {
            let (object, name) = line?;
            refs.insert(name.to_owned(), object.to_owned());
            Some(refs)
        },
    )
}

fn is_object(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::tests::git;

    #[test]
    fn refs_are_read_as_git_lists_them_loose_and_packed() {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q", "--bare"]);
        let tree = git(dir.path(), &["write-tree"]);
        let one = git(dir.path(), &["commit-tree", "-m", "one", &tree]);
        let two = git(dir.path(), &["commit-tree", "-m", "two", &tree]);
        git(dir.path(), &["update-ref", "refs/hoist/packed", &one]);
        git(dir.path(), &["update-ref", "refs/hoist/moved", &one]);
        git(dir.path(), &["tag", "-a", "-m", "a tag", "annotated", &one]);
        git(dir.path(), &["pack-refs", "--all"]);
        git(dir.path(), &["update-ref", "refs/hoist/moved", &two]);
        assert!(point(dir.path(), "refs/hoist-submodules/a/b", &two, true).unwrap().is_ok());
        fs::write(dir.path().join("refs/hoist/moved.lock"), "").unwrap();
        fs::write(dir.path().join("refs/hoist/.left.hoist-tmp"), "half").unwrap();
        let listed = git(dir.path(), &["for-each-ref", "--format=%(refname) %(objectname)"]);
        let read: Vec<String> =
            read(dir.path()).unwrap().iter().map(|(name, object)| format!("{name} {object}")).collect();
        assert_eq!(read, listed.lines().collect::<Vec<_>>());
        assert_eq!(read.len(), 4);
        assert!(point(dir.path(), "refs/hoist/moved", &one, true).is_none(), "git is at it");
        assert!(remove(dir.path(), "refs/hoist/packed").is_none(), "it would still be packed");
        assert!(remove(dir.path(), "refs/hoist-submodules/a/b").unwrap().is_ok());
        assert!(!git(dir.path(), &["for-each-ref"]).contains("submodules"));
    }

    #[test]
    fn what_only_git_can_read_is_left_to_git() {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q", "--bare"]);
        assert_eq!(read(dir.path()), Some(Refs::new()));
        let object = "1".repeat(40);
        for (file, text) in [
            ("refs/heads/symbolic", "ref: refs/heads/main\n"),
            ("refs/heads/torn", "1111"),
            ("packed-refs", "torn"),
            ("commondir", ".."),
            ("reftable/tables.list", ""),
            ("config", "[extensions]\n\trefStorage = reftable\n"),
        ] {
            let path = dir.path().join(file);
            let before = fs::read(&path).ok();
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            assert_eq!(read(dir.path()), None, "{file}");
            let is_writable = point(dir.path(), "refs/hoist/x", &object, true).is_some();
            assert_eq!(is_writable, file.starts_with("refs") || file == "packed-refs", "{file}");
            match before {
                Some(before) => fs::write(&path, before).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let _ = fs::remove_dir(dir.path().join("reftable"));
            let _ = fs::remove_file(dir.path().join("refs/hoist/x"));
        }
    }
}
