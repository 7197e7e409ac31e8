//! The places on a target, and what its links say.
//!
//! ```text
//! <deploy_dir>/<repo>            -> <deploy_dir>/<repo>-cache/revs/<sha>
//! <deploy_dir>/<repo>-cache/
//!     cache/  lfs/  shared/  revs/<sha>/  current  .done  .in-progress  .hoist/
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use crate::paths::{is_plain_absolute, is_plain_relative};
use crate::wire::Revision;

use crate::local::fault::{Fault, Tried};
use crate::local::os::files;
use crate::local::os::files::TEMPORARY;

/// The folder of a working tree's rendered configuration files.
pub const RENDERED: &str = ".git/config-files";

/// The links that say how far a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Current,
    Done,
    InProgress,
}

impl Link {
    pub fn name(self) -> &'static str {
        match self {
            Link::Current => "current",
            Link::Done => ".done",
            Link::InProgress => ".in-progress",
        }
    }
}

/// Where one repository lives on this target.
#[derive(Debug, Clone)]
pub struct Layout {
    repo: String,
    deploy_dir: PathBuf,
    live: PathBuf,
    root: PathBuf,
    relative_links: bool,
}

impl Layout {
    /// Fails for a repository or a folder that could lead elsewhere.
    pub fn new(deploy_dir: &Path, repo: &str) -> Result<Layout, Fault> {
        if !is_plain_absolute(deploy_dir) {
            let shown = deploy_dir.display();
            return Err(Fault::failed(format!("git_deploy_dir {shown} is not a plain absolute path; correct it")));
        }
        if !is_plain_relative(repo) {
            return Err(Fault::failed(format!("git_repo {repo:?} is not a plain relative path; correct it")));
        }
        let live = deploy_dir.join(repo);
        let root = deploy_dir.join(format!("{repo}-cache"));
        Ok(Layout { repo: repo.to_owned(), deploy_dir: deploy_dir.to_owned(), live, root, relative_links: false })
    }

    /// The repository's name.
    pub fn repo(&self) -> &str {
        &self.repo
    }

    /// `repo:shortened revision`, for lines.
    pub fn name(&self, revision: &Revision) -> String {
        format!("{}:{}", self.repo, revision.short())
    }

    /// The folder that holds all repositories.
    pub fn deploy_dir(&self) -> &Path {
        &self.deploy_dir
    }

    /// The path that the service uses.
    pub fn live(&self) -> &Path {
        &self.live
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The repository that holds all revisions' objects.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    pub fn revs(&self) -> PathBuf {
        self.root.join("revs")
    }

    /// A revision's working tree.
    pub fn rev(&self, revision: &Revision) -> PathBuf {
        self.revs().join(revision.as_str())
    }

    /// The content that all revisions share. Nothing in it is ever removed.
    pub fn shared(&self) -> PathBuf {
        self.root.join("shared")
    }

    /// Whether a relative path leads from a working tree to the repository's directory: `revs` may be a link to another
    /// disk.
    pub fn revs_are_inside(&self) -> bool {
        let real = |path: &Path| fs::canonicalize(path);
        match (real(&self.revs()), real(&self.root)) {
            (Ok(revs), Ok(root)) => revs == root.join("revs"),
            _ => true,
        }
    }

    /// The store of git-lfs, for all revisions. A cache that is made anew leaves it alone.
    pub fn lfs(&self) -> PathBuf {
        self.root.join("lfs")
    }

    /// Hoist's own folder: locks, records, the last request.
    pub fn own(&self) -> PathBuf {
        self.root.join(".hoist")
    }

    /// The file whose age tells when a revision was last made live.
    pub fn last_live(&self, revision: &Revision) -> PathBuf {
        self.rev(revision).join(".git/hoist-went-live")
    }

    pub fn link(&self, link: Link) -> PathBuf {
        self.root.join(link.name())
    }

    /// Where an absolute configuration file is kept in a revision.
    pub fn rendered(&self, revision: &Revision, file: &str) -> PathBuf {
        self.rendered_root(revision).join(file.trim_start_matches('/'))
    }

    /// The folder of a revision's rendered configuration files.
    pub fn rendered_root(&self, revision: &Revision) -> PathBuf {
        self.rev(revision).join(RENDERED)
    }

    /// Where a link leads, or would lead if it were there: what Scap tells its checks.
    pub fn resolved(&self, link: Link) -> PathBuf {
        self.read(link).map_or_else(|| self.link(link), |revision| self.rev(&revision))
    }

    /// The revision that a link names; `None` unless it leads to a working tree of ours. Hoist's links are relative,
    /// Scap's absolute: both are read.
    pub fn read(&self, link: Link) -> Option<Revision> {
        self.look(link).ok().flatten()
    }

    /// The same, for whoever tells others of it.
    ///
    /// # Errors
    /// What is there cannot be read.
    pub fn look(&self, link: Link) -> Result<Option<Revision>, Fault> {
        let link = self.link(link);
        let Some(text) = files::if_there(fs::read_link(&link)).tried("read", &link)? else { return Ok(None) };
        let target = self.root.join(text);
        let name = target.file_name().and_then(|name| name.to_str());
        let Some(revision) = name.and_then(|name| name.parse::<Revision>().ok()) else { return Ok(None) };
        let ours = self.rev(&revision);
        let found = files::if_there(fs::metadata(&ours)).tried("read", &ours)?;
        Ok(found.filter(|found| found.is_dir() && files::are_one(&target, &ours)).map(|_| revision))
    }

    /// What a link out of here to a place in here says: Scap's own targets have relative links.
    pub fn link_target(&self, link: &Path, place: &Path) -> PathBuf {
        if self.relative_links { files::relative(link, place) } else { place.to_owned() }
    }

    /// The same layout with relative links from the service's path and to configuration files.
    pub fn with_relative_links(self, relative_links: bool) -> Layout {
        Layout { relative_links, ..self }
    }

    /// Makes a link name a revision, in one step.
    pub fn point(&self, link: Link, revision: &Revision) -> Result<(), Fault> {
        files::point(&self.link(link), &Path::new("revs").join(revision.as_str()))
    }

    /// Names a revision as done, which is no longer in progress then.
    pub fn finish(&self, revision: &Revision) -> Result<(), Fault> {
        let target = Path::new("revs").join(revision.as_str());
        files::point_and_remove(&self.link(Link::Done), &target, &self.link(Link::InProgress))
    }

    pub fn remove(&self, link: Link) -> Result<(), Fault> {
        files::remove(&self.link(link)).map(drop)
    }

    /// Whether the service's path leads to a revision.
    pub fn is_live(&self, revision: &Revision) -> bool {
        let target = fs::read_link(&self.live).map(|target| files::parent(&self.live).join(target));
        target.is_ok_and(|target| files::are_one(&target, &self.rev(revision)))
    }

    /// Whether a revision's working tree is whole.
    ///
    /// Hoist's trees are renamed into place when they are; for one of Scap's the order tells in which git writes: first
    /// the files, then the index, then `HEAD`. A forced checkout that was killed leaves the index locked. A tree whose
    /// `.git` is a link is none of either.
    pub fn complete(&self, revision: &Revision) -> bool {
        let git = self.rev(revision).join(".git");
        files::look(&git.join("index")).is_ok_and(|found| found.is_file())
            && files::look(&git.join("index.lock")).is_err()
            && !is_half(&self.rev(revision))
            && head(&git).is_some_and(|head| head == revision.as_str())
    }

    /// The revisions that have a folder, whole or not.
    pub fn folders(&self) -> Vec<Revision> {
        files::names(&self.revs()).iter().filter_map(|name| name.parse().ok()).collect()
    }

    /// The revisions with a complete working tree.
    pub fn revisions(&self) -> Vec<Revision> {
        self.folders().into_iter().filter(|revision| self.complete(revision)).collect()
    }

    /// Removes what killed runs left among the working trees. The first that cannot be removed is told, after the others
    /// have gone.
    pub fn sweep(&self) -> Result<(), Fault> {
        let mut first = Ok(());
        for name in files::names(&self.revs()).iter().filter(|name| name.contains(TEMPORARY)) {
            first = first.and(files::remove_leftover(&self.revs().join(name)));
        }
        first
    }
}

/// The file that stands in a tree while submodules or large files are put into it.
pub fn half_marker(tree: &Path) -> PathBuf {
    tree.join(".git/hoist-half")
}

/// Whether a tree lacks part of what belongs into it beside its own files.
pub fn is_half(tree: &Path) -> bool {
    half_marker(tree).exists()
}

/// The commit that a repository's `HEAD` names, read without git.
fn head(git: &Path) -> Option<String> {
    let read = |path: PathBuf| String::from_utf8(files::read(&path).ok()?).ok();
    let text = read(git.join("HEAD"))?;
    let Some(name) = text.trim_end().strip_prefix("ref: ") else { return Some(text.trim_end().to_owned()) };
    if let Some(loose) = read(git.join(name)) {
        return Some(loose.trim_end().to_owned());
    }
    let packed = read(git.join("packed-refs"))?;
    packed.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix(' ').map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    use crate::local::state::observed;
    use crate::wire::State;

    const ONE: &str = "1111111111111111111111111111111111111111";

    fn with_rev() -> (tempfile::TempDir, Layout, Revision) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path(), "group/app").unwrap();
        let revision: Revision = ONE.parse().unwrap();
        fs::create_dir_all(layout.rev(&revision)).unwrap();
        (dir, layout, revision)
    }

    #[test]
    fn a_repository_that_could_lead_elsewhere_is_refused() {
        for repo in ["", "/etc", "../x", "a/../b", "-rf", "a/-b", "a//b", "a\nb", "a/"] {
            assert!(Layout::new(Path::new("/srv"), repo).is_err(), "{repo:?}");
        }
        for dir in ["srv", "/srv/../etc", "", "/srv\n"] {
            assert!(Layout::new(Path::new(dir), "app").is_err(), "{dir:?}");
        }
        assert!(Layout::new(Path::new("/srv/deployment"), "group/app.d_x").is_ok());
    }

    #[test]
    fn both_relative_and_absolute_links_are_read() {
        let (_dir, layout, revision) = with_rev();
        layout.point(Link::Current, &revision).unwrap();
        assert_eq!(fs::read_link(layout.link(Link::Current)).unwrap(), Path::new("revs").join(ONE));
        symlink(layout.rev(&revision), layout.link(Link::Done)).unwrap();
        assert_eq!(layout.read(Link::Current), Some(revision.clone()));
        assert_eq!(layout.read(Link::Done), Some(revision));
        assert_eq!(layout.read(Link::InProgress), None);
    }

    #[test]
    fn a_link_that_leads_nowhere_or_out_of_the_trees_names_nothing() {
        let (dir, layout, revision) = with_rev();
        symlink("revs/2222222222222222222222222222222222222222", layout.link(Link::Current)).unwrap();
        let outside = dir.path().join(ONE);
        fs::create_dir(&outside).unwrap();
        symlink(&outside, layout.link(Link::Done)).unwrap();
        symlink("revs", layout.link(Link::InProgress)).unwrap();
        assert_eq!(observed::state(&layout), State::default());
        fs::remove_file(layout.link(Link::Done)).unwrap();
        layout.point(Link::Done, &revision).unwrap();
        assert_eq!(observed::state(&layout).done, Some(revision));
    }
}
