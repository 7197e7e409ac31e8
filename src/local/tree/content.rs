//! What a working tree is to have beside the revision's own files, and what it was given.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use crate::wire;
use crate::wire::{DescribingTags, Revision, SharedPaths};

use super::git::Git;
use crate::local::job::Job;
use crate::local::os::deadline::Deadline;
use crate::local::os::files;
use crate::local::out::Out;
use crate::local::shared::Shared;
use crate::local::shared::record::Record;
use crate::local::state::layout;
use crate::local::state::layout::Layout;

pub const SUBMODULES: &str = "submodules";
pub const LFS: &str = "git-lfs";
pub const FAT: &str = "git-fat";

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
}

/// The extras that a tree is to have, and the means to bring them.
pub struct ExternalContent {
    pub layout: Layout,
    pub deadline: Deadline,
    pub out: Out,
    /// A tree that is made for them may share files with one that stands.
    pub link_files: bool,
    pub wanted: wire::ExternalContent,
    /// Whether the revision is an artifact; `None`: its commit has to be asked.
    pub is_artifact: Option<bool>,
    /// Paths that the live revision shares, though that is no longer configured.
    pub inherited: SharedPaths,
    /// The SHA-256 of large files that came with the request: they were looked at on their way into the store.
    pub received: HashSet<String>,
    /// The tags that describe the revision, where they came with the request.
    pub describing: Option<DescribingTags>,
}

impl ExternalContent {
    /// Those that the request asks for.
    pub fn of(job: &Job) -> ExternalContent {
        let wanted = job.request.extras.clone();
        let (layout, out) = (job.layout.clone(), job.out.clone());
        let (link_files, inherited) = (job.request.link_files, SharedPaths::default());
        let (is_artifact, describing) = (None, None);
        let sent = job.request.fetch.iter().flat_map(|fetch| &fetch.large_files);
        let received = sent.map(|file| file.oid().to_owned()).collect();
        let deadline = job.deadline;
        ExternalContent { layout, deadline, out, link_files, wanted, is_artifact, inherited, received, describing }
    }

    /// Those that an earlier revision has or had, for whoever has to check it out anew; when even that is not known,
    /// those of the request.
    pub fn of_earlier(job: &Job, revision: &Revision) -> ExternalContent {
        let mut extras = ExternalContent::of(job);
        let tree = job.layout.rev(revision);
        if layout::is_half(&tree) || !tree.exists() {
            return extras;
        }
        extras.limit_to(&tree);
        extras
    }

    /// Those that a tree was given, whatever the request asks for. What it does not say where to get from is taken from
    /// what this host has.
    pub fn of_tree(job: &Job, revision: &Revision) -> ExternalContent {
        let mut extras = ExternalContent::of(job);
        extras.limit_to(&job.layout.rev(revision));
        extras
    }

    /// What the trees have to do with shared content.
    pub fn shared(&self) -> Shared<'_> {
        Shared { layout: &self.layout, out: &self.out, deadline: self.deadline }
    }

    fn limit_to(&mut self, tree: &Path) {
        let has = recorded(tree);
        let ExternalContent { wanted, .. } = self;
        let submodules = wanted.submodules.take().unwrap_or(wire::SubmoduleSource::Session);
        wanted.submodules = has.contains(SUBMODULES).then_some(submodules);
        let lfs = wanted.lfs.take().unwrap_or(wire::LfsSource::Session);
        wanted.lfs = has.contains(LFS).then_some(lfs);
        wanted.fat = has.contains(FAT);
        *wanted.shared = Record::of(tree).links;
    }
}

/// Whether a tree was given its submodules.
pub fn has_submodules(tree: &Path) -> bool {
    recorded(tree).contains(SUBMODULES)
}

/// The file that says what a tree was given.
pub fn record(tree: &Path) -> PathBuf {
    tree.join(".git/hoist-extras")
}

pub fn recorded(tree: &Path) -> BTreeSet<String> {
    let bytes = files::read(&record(tree)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
}
