//! What belongs into a working tree beside the revision's own files: submodules and large files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::wire;
use crate::wire::Revision;

use super::cache;
use super::describe;
use super::fat;
use super::git::Git;
use super::lfs;
use super::submodules;
use crate::local::fault::{Fault, Tried};
use crate::local::os::deadline::Deadline;
use crate::local::os::files;
use crate::local::os::sys;
use crate::local::out::Out;
use crate::local::stages::job::Job;
use crate::local::state::layout;
use crate::local::state::layout::Layout;

/// A repository whose working tree is part of a revision's: the revision's own, or a submodule's.
#[derive(Debug, Clone)]
pub struct Part {
    pub git_dir: PathBuf,
    pub tree: PathBuf,
    /// Where it is on the git server, ahead of `/info/lfs`; `None` without a git server.
    pub server: Option<String>,
}

impl Part {
    pub fn git(&self, deadline: Deadline) -> Git {
        Git::at(&self.git_dir, &self.tree, deadline)
    }

    /// The same, for git-lfs and git-fat.
    pub fn git_of_programs(&self, extras: &ExternalContent) -> Git {
        let git = self.git(extras.deadline);
        match cache::git_dir(&extras.layout.cache()) {
            Some(dir) => git.for_program(dir.join("objects")),
            None => git,
        }
    }
}

/// The extras that a tree is to have, and the means to bring them.
pub struct ExternalContent {
    pub layout: Layout,
    pub deadline: Deadline,
    pub out: Out,
    /// A tree that is made for them may share files with one that stands.
    pub link_files: bool,
    wanted: wire::ExternalContent,
}

impl ExternalContent {
    /// Those that the request asks for.
    pub fn of(job: &Job) -> ExternalContent {
        let wanted = job.request.extras.clone();
        let (layout, out) = (job.layout.clone(), job.out.clone());
        ExternalContent { layout, deadline: job.deadline, out, link_files: job.request.link_files, wanted }
    }

    /// Those that an earlier revision has or had, for whoever has to check it out anew; when even that is not known,
    /// those of the request.
    pub fn of_earlier(job: &Job, revision: &Revision) -> ExternalContent {
        let mut extras = ExternalContent::of(job);
        let tree = job.layout.rev(revision);
        if layout::is_half(&tree) || !tree.exists() {
            return extras;
        }
        extras.limit_to(&recorded(&tree));
        extras
    }

    /// Those that a tree was given, whatever the request asks for. What it does not say where to get from is taken from
    /// what this host has.
    pub fn of_tree(job: &Job, revision: &Revision) -> ExternalContent {
        let mut extras = ExternalContent::of(job);
        extras.limit_to(&recorded(&job.layout.rev(revision)));
        extras
    }

    fn limit_to(&mut self, has: &BTreeSet<String>) {
        let ExternalContent { wanted, .. } = self;
        let submodules = wanted.submodules.take().unwrap_or(wire::SubmoduleSource::Session);
        wanted.submodules = has.contains(SUBMODULES).then_some(submodules);
        let lfs = wanted.lfs.take().unwrap_or(wire::LfsSource::Session);
        wanted.lfs = has.contains(LFS).then_some(lfs);
        wanted.fat = has.contains(FAT);
    }

    /// Whether a tree has them all.
    pub fn are_in(&self, tree: &Path) -> bool {
        are_in(&self.wanted, tree)
    }

    /// Fails where a program is missing that they need.
    pub fn check_programs(&self) -> Result<(), Fault> {
        let git = Git::bare(Path::new("/"), self.deadline);
        if self.wanted.lfs.is_some() {
            lfs::require(&git)?;
        }
        if self.wanted.fat { fat::require(&git) } else { Ok(()) }
    }

    /// Puts them into a tree that is checked out. Until that is done the tree does not count as whole.
    pub fn add(&self, revision: &Revision, tree: &Path) -> Result<(), Fault> {
        let names = names(&self.wanted);
        if names.is_empty() {
            return Ok(());
        }
        self.check_programs()?;
        let half = layout::half_marker(tree);
        files::write(&half, b"", 0o666)?;
        let mut parts = vec![Part {
            git_dir: tree.join(".git"),
            tree: tree.to_owned(),
            server: match &self.wanted.lfs {
                Some(wire::LfsSource::Server { url }) => Some(url.clone()),
                _ => None,
            },
        }];
        if let Some(source) = &self.wanted.submodules {
            submodules::check_out(self, source, revision, &mut parts)?;
        }
        if self.wanted.lfs.is_some() {
            lfs::check_out(self, &parts)?;
        }
        if self.wanted.fat {
            fat::check_out(self, &parts[0])?;
        }
        // What the record tells of has to last as long as it does.
        sys::sync_file_system(tree).tried("sync", tree)?;
        let mut has = recorded(tree);
        has.extend(names.into_iter().map(str::to_owned));
        let lines: String = has.iter().map(|name| format!("{name}\n")).collect();
        files::write(&record(tree), lines.as_bytes(), 0o666)?;
        files::remove(&half).map(drop)
    }
}

const SUBMODULES: &str = "submodules";
const LFS: &str = "git-lfs";
const FAT: &str = "git-fat";

fn names(wanted: &wire::ExternalContent) -> Vec<&'static str> {
    let all = [(wanted.submodules.is_some(), SUBMODULES), (wanted.lfs.is_some(), LFS), (wanted.fat, FAT)];
    all.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, name)| name).collect()
}

/// Whether a tree was given its submodules.
pub fn has_submodules(tree: &Path) -> bool {
    recorded(tree).contains(SUBMODULES)
}

/// Whether a tree has all that is wanted.
pub fn are_in(wanted: &wire::ExternalContent, tree: &Path) -> bool {
    let wanted = names(wanted);
    // Most trees want nothing, which needs no look at the disk.
    wanted.is_empty() || {
        let has = if describe::is_clone(tree) { found(tree) } else { recorded(tree) };
        wanted.into_iter().all(|name| has.contains(name))
    }
}

/// What a tree has that Scap made: nothing there says so but what is in it.
fn found(tree: &Path) -> BTreeSet<String> {
    let mut has = recorded(tree);
    let git = tree.join(".git");
    if submodules::are_all_there(tree) {
        has.insert(SUBMODULES.to_owned());
    }
    for (folder, name) in [("lfs", LFS), ("fat", FAT)] {
        if git.join(folder).is_dir() {
            has.insert(name.to_owned());
        }
    }
    has
}

/// The file that says what a tree was given.
fn record(tree: &Path) -> PathBuf {
    tree.join(".git/hoist-extras")
}

fn recorded(tree: &Path) -> BTreeSet<String> {
    std::fs::read_to_string(record(tree)).unwrap_or_default().lines().map(str::to_owned).collect()
}
