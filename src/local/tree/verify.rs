//! Whether a tree still has all that belongs into it: every file of its index, its submodules', and its configuration
//! files. Somebody may have removed files from a tree that was kept, and a power cut may have emptied some.
//!
//! It is found out by `lstat` alone. What was changed is left alone, since that may be meant; what is missing, empty, or of
//! another type is taken from the objects in the cache again.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::paths;
use crate::text;
use crate::wire::{CheckPoint, Revision, Stage};

use super::checkout;
use super::content;
use super::content::ExternalContent;
use super::external;
use super::fat;
use super::git::Git;
use super::index;
use super::index::{Hash, IndexEntry, Read, Stat};
use super::index_stamp;
use super::lfs;
use super::put;
use super::put::{Folders, Put};
use crate::local::fault::{Fault, Tried};
use crate::local::job::Job;
use crate::local::os::deadline::Deadline;
use crate::local::os::files;
use crate::local::os::process::Feed;
use crate::local::os::sys;
use crate::local::os::way;
use crate::local::shared;
use crate::local::shared::record::Record;
use crate::local::state::config_files;
use crate::local::state::config_files::Lost;
use crate::local::state::layout;
use crate::local::state::layout::Layout;

/// Files that are named to the operator, at the most.
const NAMED: usize = 3;

/// The submodules of submodules that are looked into.
const DEPTH: usize = 32;

/// What a tree lacks.
#[derive(Default)]
pub struct Lacks {
    parts: Vec<Part>,
    /// Configuration files.
    rendered: Vec<Lost>,
    /// Links to shared content.
    shared: Vec<String>,
    /// As [`Looked::is_suspect`].
    is_suspect: bool,
}

/// What came of a look at a tree.
pub struct Looked {
    /// Something was missing, and is there again.
    pub restored: bool,
    /// A file of several names is not as the index remembers it: somebody may have written to it by another name, which
    /// [`super::modified`] finds out. Where none is, nobody has.
    pub is_suspect: bool,
}

/// What one repository of a tree lacks: the revision's own, or a submodule's.
struct Part {
    git_dir: PathBuf,
    tree: PathBuf,
    /// Its path from the top, with a slash behind it; empty for the revision's own.
    prefix: String,
    /// Below its tree.
    files: Vec<PathBuf>,
    /// It has no repository, or none that can be read.
    is_broken: bool,
}

impl Part {
    fn names(&self) -> impl Iterator<Item = String> {
        let broken = self.is_broken.then(|| match self.prefix.as_str() {
            "" => ".git/index".to_owned(),
            prefix => prefix.to_owned(),
        });
        broken.into_iter().chain(self.files.iter().map(|path| format!("{}{}", self.prefix, path.display())))
    }
}

impl Lacks {
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.rendered.is_empty() && self.shared.is_empty()
    }

    /// All that is lacking, by its path in the tree; configuration files as they are configured.
    pub fn names(&self) -> Vec<String> {
        let rendered = self.rendered.iter().map(Lost::name);
        self.parts.iter().flat_map(Part::names).chain(rendered).chain(self.shared.iter().cloned()).collect()
    }
}

/// `1 file (a)`, `5 files (a, b, c, …)`
fn named(names: &[String]) -> String {
    format!("{} ({})", text::counted(names.len(), "file"), text::first(names, names.len(), NAMED))
}

/// Looks at a tree that counts as complete.
pub fn look(layout: &Layout, revision: &Revision, deadline: Deadline) -> Result<Lacks, Fault> {
    let mut lacks = look_at_tracked(layout, revision, deadline)?;
    let mut not_missed: HashSet<String> = removed(layout, revision).into_iter().collect();
    not_missed.extend(config_files::inside(layout, revision));
    for part in &mut lacks.parts {
        let prefix = &part.prefix;
        part.files.retain(|path| !not_missed.contains(&format!("{prefix}{}", path.display())));
    }
    lacks.parts.retain(|part| part.is_broken || !part.files.is_empty());
    lacks.rendered = config_files::lost(layout, revision);
    lacks.shared = shared::broken(layout, revision);
    Ok(lacks)
}

fn look_at_tracked(layout: &Layout, revision: &Revision, deadline: Deadline) -> Result<Lacks, Fault> {
    let tree = layout.rev(revision);
    let submodules = content::has_submodules(&tree);
    let walk = Walk { top: tree.clone(), deadline, name: revision.as_str().len() / 2, submodules };
    let mut found = Lacks::default();
    let record = Record::of(&tree);
    walk.part(tree.join(".git"), tree, String::new(), 0, &mut found)?;
    let parts = &mut found.parts;
    // What the revision tracks below a link was moved to the shared content, which is others' to change.
    for part in parts.iter_mut() {
        let prefix = Path::new(&part.prefix);
        part.files.retain(|path| !record.covers(&prefix.join(path)));
        part.is_broken &= !record.covers(prefix);
    }
    parts.retain(|part| part.is_broken || !part.files.is_empty());
    Ok(found)
}

struct Walk {
    top: PathBuf,
    deadline: Deadline,
    /// The length of an object's name in bytes.
    name: usize,
    submodules: bool,
}

impl Walk {
    /// Adds what a repository and those below it lack.
    fn part(
        &self,
        git_dir: PathBuf,
        tree: PathBuf,
        prefix: String,
        depth: usize,
        lacks: &mut Lacks,
    ) -> Result<(), Fault> {
        let mut part = Part { git_dir, tree, prefix, files: Vec::new(), is_broken: false };
        let mut inner = Vec::new();
        match index::read_of(&part.git_dir, self.name) {
            Read::Entries(entries) => {
                let empty = empty_blob(self.name);
                let mut folders = Folders::of(&part.tree);
                for entry in entries.iter().filter(|entry| entry.plain) {
                    self.deadline.check()?;
                    let Some(path) = index_stamp::plain_path(entry) else { continue };
                    let found = fs::symlink_metadata(part.tree.join(path)).ok();
                    let is_suspect =
                        |meta: &Metadata| meta.is_file() && meta.nlink() > 1 && Stat::from(meta) != entry.stat;
                    lacks.is_suspect |= depth == 0 && found.as_ref().is_some_and(is_suspect);
                    let found = found.filter(|_| folders.are_real(path));
                    match (entry.object.mode, found) {
                        (index::SUBMODULE, _) if !self.submodules => {}
                        (index::SUBMODULE, found) => inner.push((path.to_owned(), found)),
                        (_, Some(meta)) if is_there(entry, &meta, &empty) => {}
                        _ => part.files.push(path.to_owned()),
                    }
                }
            }
            Read::Unusual => {
                part.files = self.ask(&part)?;
                lacks.is_suspect = true;
            }
            Read::Damaged => part.is_broken = true,
        }
        for (path, found) in inner {
            let tree = part.tree.join(&path);
            let prefix = format!("{}{}/", part.prefix, path.display());
            match git_dir_of(&self.top, &tree).filter(|_| found.is_some_and(|meta| meta.is_dir()) && depth < DEPTH) {
                Some(git_dir) => self.part(git_dir, tree, prefix, depth + 1, lacks)?,
                None => {
                    lacks.parts.push(Part {
                        git_dir: PathBuf::new(),
                        tree,
                        prefix,
                        files: Vec::new(),
                        is_broken: true,
                    });
                }
            }
        }
        if part.is_broken || !part.files.is_empty() {
            lacks.parts.push(part);
        }
        Ok(())
    }

    /// Asks git, where the index is none of the kind that is read here.
    fn ask(&self, part: &Part) -> Result<Vec<PathBuf>, Fault> {
        let git = Git::at(&part.git_dir, &part.tree, self.deadline);
        let answer = git.call(&["ls-files", "-z", "--modified", "--deleted"], Feed::Nothing)?;
        git.expect(&answer, "ls-files")?;
        let paths = answer.paths().map(Path::to_owned).collect::<BTreeSet<_>>();
        let is_lacking =
            |path: &PathBuf| fs::symlink_metadata(part.tree.join(path)).map_or(true, |meta| meta.len() == 0);
        Ok(paths.into_iter().filter(is_lacking).collect())
    }
}

fn empty_blob(name: usize) -> Vec<u8> {
    let mut hash = Hash::new(name);
    hash.add(b"blob 0\0");
    hash.end()
}

/// Whether what an entry names is there: of its type, and not emptied.
fn is_there(entry: &IndexEntry, meta: &Metadata, empty: &[u8]) -> bool {
    if entry.object.mode == 0o120000 {
        return meta.is_symlink();
    }
    // Git notes no size of what was written in the very moment of the index, or a filter may have left nothing.
    let may_be_empty =
        || entry.stat.size == 0 && (entry.object.name == empty || Stat::from(meta).mtime == entry.stat.mtime);
    meta.is_file() && (meta.len() > 0 || may_be_empty())
}

/// The repository that a submodule's `.git` names. A service may own the submodule's directory, and git does what the
/// configuration of a repository says: it is one in the `.git` of the revision's tree `top`.
fn git_dir_of(top: &Path, tree: &Path) -> Option<PathBuf> {
    let entry = way::in_tree(top, tree.join(".git").strip_prefix(top).ok()?, false).ok()??;
    let text = String::from_utf8(entry.read().ok()?).ok()?;
    let path = paths::without_dots(&tree.join(text.strip_prefix("gitdir: ")?.trim_end()));
    let is_inside = path.starts_with(top.join(".git/modules"));
    (is_inside && files::look(&path.join("HEAD")).is_ok_and(|found| found.is_file())).then_some(path)
}

/// Restores what a tree lacks, and says what.
///
/// # Errors
/// Names what is lacking when it cannot be restored; the cache's fault when that lacks it too.
pub fn restore(job: &Job, revision: &Revision) -> Result<Looked, Fault> {
    let lacks = look(&job.layout, revision, job.deadline)?;
    if lacks.is_empty() {
        return Ok(Looked { restored: false, is_suspect: lacks.is_suspect });
    }
    let names = lacks.names();
    let cannot = |reason: String| {
        format!("{} is missing {}, which cannot be restored: {reason}", job.name(revision), named(&names))
    };
    let left = put_back(job, revision, &lacks).and_then(|()| look(&job.layout, revision, job.deadline));
    let left = left.map_err(|fault| match fault {
        Fault::Failed { reason, .. } => Fault::failed(cannot(reason)),
        Fault::CacheBroken { reason } => Fault::CacheBroken { reason: cannot(reason) },
        other => other,
    })?;
    if !left.is_empty() {
        return Err(Fault::failed(format!("{} is still missing {}", job.name(revision), named(&left.names()))));
    }
    job.out.warn(format!("{}: restored missing or changed files: {}", job.name(revision), named(&names)));
    Ok(Looked { restored: true, is_suspect: true })
}

fn put_back(job: &Job, revision: &Revision, lacks: &Lacks) -> Result<(), Fault> {
    let (layout, top) = (&job.layout, job.layout.rev(revision));
    let extras = ExternalContent::of_tree(job, revision);
    if lacks.parts.iter().any(|part| part.is_broken && part.prefix.is_empty()) {
        files::remove(&top.join(".git/index"))?;
        checkout::repair(&extras, revision, &job.tag())?;
    }
    for part in lacks.parts.iter().filter(|part| !part.is_broken) {
        let git = Git::at(&part.git_dir, &part.tree, job.deadline);
        let beside = put::beside(layout, revision, &job.tag());
        Put { git, top: &top, tree: &part.tree, beside }.files(&part.files)?;
    }
    if !lacks.parts.is_empty() {
        // Submodules that are gone, and the content of files that stand as pointers now.
        external::add(&extras, revision, &top).inspect_err(|_| withdraw(&extras, &top, lacks))?;
    }
    extras.shared().settle(&top, revision)?;
    config_files::bring_back(layout, revision, Some(&lacks.rendered))?;
    sys::sync_file_system(&top).tried("sync", &top)
}

/// Removes pointers from a tree that [`put_back`] put there and could not fill, so that it lacks what it lacked before, and
/// counts as complete as before. A pointer in a file's place would never be missed.
fn withdraw(extras: &ExternalContent, top: &Path, lacks: &Lacks) {
    // What was written in a submodule meanwhile is not known: the tree is to be checked out anew.
    if extras.wanted.submodules.is_some() || lacks.parts.iter().any(|part| part.is_broken) {
        return;
    }
    let remove = |path: &Path| -> io::Result<()> {
        let Some(entry) = way::in_tree(top, path, false)? else { return Ok(()) };
        match lfs::is_pointer(&entry) || fat::is_placeholder(top, path) {
            true => entry.remove_if_there().map(drop),
            false => Ok(()),
        }
    };
    let mut paths =
        lacks.parts.iter().flat_map(|part| part.files.iter().map(|path| Path::new(&part.prefix).join(path)));
    let removed = paths.try_for_each(|path| remove(&path));
    if removed.is_ok() {
        // Where it cannot be removed, the tree is checked out anew.
        let _ = files::remove(&layout::half_marker(top));
    }
}

/// Where the tracked files are listed that a revision's own checks have removed or emptied.
fn removed_list(layout: &Layout, revision: &Revision) -> PathBuf {
    layout.rev(revision).join(".git/hoist-removed")
}

fn removed(layout: &Layout, revision: &Revision) -> Vec<String> {
    let bytes = files::read(&removed_list(layout, revision)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Notes what the checks of a stage, which have just run, removed from the tree: nobody is to put that back.
pub fn note_removed(job: &Job, revision: &Revision) -> Result<(), Fault> {
    let is_due = |at: CheckPoint| {
        !matches!(at.stage(), Stage::Finalize | Stage::Rollback | Stage::Undrain | Stage::ConfigDiff | Stage::Command)
    };
    if !job.request.checks.iter().any(|check| is_due(check.at)) {
        return Ok(());
    }
    let lacks = look_at_tracked(&job.layout, revision, job.deadline)?;
    let names: Vec<String> = lacks.parts.iter().filter(|part| !part.is_broken).flat_map(Part::names).collect();
    let (path, before) = (removed_list(&job.layout, revision), removed(&job.layout, revision));
    match (names == before, names.is_empty()) {
        (true, _) => Ok(()),
        (_, true) => files::remove(&path).map(drop),
        _ => files::write(&path, &serde_json::to_vec(&names).unwrap_or_default(), 0o666),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submodule_whose_repository_is_outside_of_the_trees_own_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("tree");
        let sub = top.join("vendor/lib");
        fs::create_dir_all(&sub).unwrap();
        for repository in [top.join(".git/modules/lib"), dir.path().join("outside"), top.join("vendor/own")] {
            fs::create_dir_all(&repository).unwrap();
            fs::write(repository.join("HEAD"), "").unwrap();
        }
        std::os::unix::fs::symlink("../../../outside", top.join(".git/modules/link")).unwrap();
        let found = |text: &str| {
            let _ = fs::remove_file(sub.join(".git"));
            fs::write(sub.join(".git"), text).unwrap();
            git_dir_of(&top, &sub)
        };
        let ours = Some(top.join(".git/modules/lib"));
        assert_eq!(found("gitdir: ../../.git/modules/lib\n"), ours);
        assert_eq!(found(&format!("gitdir: {}\n", top.join(".git/modules/lib").display())), ours);
        for bad in
            ["../../../outside", "../own", "../../.git/modules/../../../outside", "../../.git/modules/link", "lib"]
        {
            assert_eq!(found(&format!("gitdir: {bad}\n")), None, "{bad}");
        }
        fs::remove_file(sub.join(".git")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("outside/HEAD"), sub.join(".git")).unwrap();
        assert_eq!(git_dir_of(&top, &sub), None);
    }
}
