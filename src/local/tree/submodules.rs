//! Submodules in a revision's working tree.
//!
//! Their commits are kept in the one cache, beside the superproject's, so that revisions share them. In a tree they are
//! laid out as `git submodule` does it, but for their objects: all repositories of a tree look into the same folder.
//! `git submodule` itself is not asked, since it does what `.gitmodules` and a user's configuration say.

use std::io;
use std::path::{Component, Path, PathBuf};

use crate::files::no_links;
use crate::gitmodules;
use crate::gitmodules::Module;
use crate::wire::{Revision, SubmoduleSource};

use super::cache;
use super::content::{ExternalContent, Part};
use super::git::Git;
use super::index;
use super::index::Read;
use super::put;
use super::put::Put;
use crate::local::fault::{Fault, Tried};
use crate::local::os::dir::{Dir, Entry};
use crate::local::os::files;
use crate::local::os::process::Feed;
use crate::local::os::way;

/// Below this are the refs that keep the commits of a revision's submodules.
pub const REFS: &str = "refs/hoist-submodules/";

/// Paths that are asked for in one command line.
const AT_ONCE: usize = 200;

/// Puts all submodules of a revision into its tree, which is the first of `parts`, and adds them to these.
pub fn check_out(
    extras: &ExternalContent,
    source: &SubmoduleSource,
    revision: &Revision,
    parts: &mut Vec<Part>,
) -> Result<(), Fault> {
    let Some(cache) = cache::open_to_write(&extras.layout, extras.deadline) else {
        return Err(Fault::CacheBroken {
            reason: format!("{} is not a git repository", extras.layout.cache().display()),
        });
    };
    let url = match source {
        SubmoduleSource::Session => None,
        SubmoduleSource::Server { url, .. } => Some(url.clone()),
        SubmoduleSource::Upstream { base } => base.clone(),
    };
    let top = parts[0].tree.clone();
    let walk = Walk { extras, source, revision, cache, top };
    let mut levels = vec![Level { commit: revision.clone(), part: parts[0].clone(), url, shown: String::new() }];
    while let Some(level) = levels.pop() {
        for (module, commit) in walk.modules(&level)? {
            extras.deadline.check()?;
            let inner = walk.one(&level, &module, commit)?;
            parts.push(inner.part.clone());
            levels.push(inner);
        }
    }
    match parts.len() - 1 {
        0 => {}
        count => extras.out.info(format!("checked out {}", crate::text::counted(count, "submodule"))),
    }
    Ok(())
}

struct Walk<'a> {
    extras: &'a ExternalContent,
    source: &'a SubmoduleSource,
    revision: &'a Revision,
    cache: Git,
    top: PathBuf,
}

/// A commit whose submodules are looked for.
struct Level {
    commit: Revision,
    part: Part,
    /// Its own address: on the git server, or upstream.
    url: Option<String>,
    /// Its path from the top, for messages, with a slash behind it.
    shown: String,
}

impl Walk<'_> {
    /// The submodules of a commit, and the commits that it wants of them.
    fn modules(&self, level: &Level) -> Result<Vec<(Module, Revision)>, Fault> {
        let commit = level.commit.as_str();
        let there = self.listing(commit, &[".gitmodules".to_owned()])?;
        if !there.iter().any(|(mode, ..)| mode.starts_with("100")) {
            return self.expect_named(level, &[]).map(|()| Vec::new());
        }
        let blob = format!("--blob={commit}:.gitmodules");
        let answer = self.cache.call(&["config", &blob, "-z", "--list"], Feed::Nothing)?;
        self.cache.expect_whole(&answer, "config")?;
        let modules = gitmodules::parse(&answer.text())
            .map_err(|why| Fault::failed(format!("{}.gitmodules: {why}", level.shown)))?;
        self.expect_named(level, &modules)?;
        let paths: Vec<String> = modules.iter().map(|module| module.path.clone()).collect();
        let mut found = Vec::new();
        for paths in paths.chunks(AT_ONCE) {
            for (mode, name, path) in self.listing(commit, paths)? {
                let module = modules.iter().find(|module| module.path == path);
                if let (true, Some(module), Ok(commit)) = (mode == "160000", module, name.parse()) {
                    found.push((module.clone(), commit));
                }
            }
        }
        Ok(found)
    }

    /// Fails for a submodule of the tree, which is checked out, that `.gitmodules` does not name.
    fn expect_named(&self, level: &Level, modules: &[Module]) -> Result<(), Fault> {
        let Read::Entries(entries) = index::read_of(&level.part.git_dir, level.commit.as_str().len() / 2) else {
            return Ok(());
        };
        let is_named = |path: &[u8]| modules.iter().any(|module| module.path.as_bytes() == path);
        match entries.iter().find(|entry| entry.object.mode == index::SUBMODULE && !is_named(&entry.path)) {
            None => Ok(()),
            Some(entry) => {
                let (shown, path) = (&level.shown, String::from_utf8_lossy(&entry.path));
                Err(Fault::failed(format!(
                    "{shown}{path} is a submodule that is not in {shown}.gitmodules: add it, or remove the submodule"
                )))
            }
        }
    }

    /// `(mode, object, path)` of each of these paths that the commit has.
    fn listing(&self, commit: &str, paths: &[String]) -> Result<Vec<(String, String, String)>, Fault> {
        let mut args = vec!["--literal-pathspecs", "ls-tree", "-z", "--full-tree", commit, "--"];
        args.extend(paths.iter().map(String::as_str));
        let answer = self.cache.call(&args, Feed::Nothing)?;
        self.cache.expect_whole(&answer, "ls-tree")?;
        let text = answer.text();
        let entries = text.split('\0').filter_map(|entry| {
            let (head, path) = entry.split_once('\t')?;
            let mut words = head.split(' ');
            Some((words.next()?.to_owned(), words.nth(1)?.to_owned(), path.to_owned()))
        });
        Ok(entries.collect())
    }

    fn one(&self, level: &Level, module: &Module, commit: Revision) -> Result<Level, Fault> {
        let shown = format!("{}{}", level.shown, module.path);
        let url = self.address(level, module).map_err(|why| Fault::failed(format!("submodule {shown}: {why}")))?;
        self.bring(&shown, &commit, url.as_deref())?;
        let tree = self.place(&level.part.tree, &module.path)?;
        let part = Part {
            git_dir: module.git_dir(&level.part.git_dir),
            server: level.part.server.as_ref().map(|server| module.on_server(server)),
            tree,
        };
        self.lay_out(&part, &commit)?;
        let git = part.git(self.extras.deadline);
        if self.top == self.extras.layout.rev(self.revision) {
            // It may be live.
            let beside = put::beside(&self.extras.layout, self.revision, "submodule");
            Put { git, top: &self.top, tree: &part.tree, beside }.commit(&commit)?;
        } else {
            let answer = git.call(&["checkout", "--quiet", "--force", "--detach", commit.as_str()], Feed::Nothing)?;
            git.expect_whole(&answer, "checkout")?;
        }
        Ok(Level { commit, part, url, shown: shown + "/" })
    }

    fn address(&self, level: &Level, module: &Module) -> Result<Option<String>, String> {
        let base = level.url.as_deref();
        match self.source {
            SubmoduleSource::Session => Ok(None),
            SubmoduleSource::Server { .. } => Ok(base.map(|base| module.on_server(base))),
            SubmoduleSource::Upstream { .. } => gitmodules::upstream(&module.url, base).map(Some),
        }
    }

    /// Makes sure that the cache has a submodule's commit with all that belongs to it, and keeps it.
    fn bring(&self, shown: &str, commit: &Revision, url: Option<&str>) -> Result<(), Fault> {
        let cache = &self.cache;
        let name = [commit.to_string()];
        if cache.present(&name)?.is_empty() {
            let short = commit.short();
            let Some(url) = url else {
                let reason = format!(
                    "the cache has no commit {short} of submodule {shown}, and the request does not contain it"
                );
                return Err(Fault::CacheBroken { reason });
            };
            self.extras.out.debug(format!("fetching {short} of submodule {shown}"));
            let from_upstream = matches!(self.source, SubmoduleSource::Upstream { .. });
            let proxy = match self.source {
                SubmoduleSource::Server { proxy, .. } => proxy.as_deref(),
                _ => None,
            };
            cache::fetch_commit(cache, commit, url, proxy, from_upstream).map_err(|fault| match fault {
                Fault::Failed { reason, .. } | Fault::CacheBroken { reason } => {
                    Fault::failed(format!("submodule {shown}: {reason}"))
                }
                other => other,
            })?;
        }
        let args = ["rev-list", "--objects", "--quiet", commit.as_str(), "--not", "--all"];
        let answer = cache.call(&args, Feed::Nothing)?;
        cache.expect_whole(&answer, "rev-list")?;
        let reference = format!("{REFS}{}/{commit}", self.revision);
        cache::keep_by(cache, &reference, commit)
    }

    /// The folder of a submodule. No link on the way there may lead out of the tree.
    fn place(&self, tree: &Path, path: &str) -> Result<PathBuf, Fault> {
        let mut folder = Dir::open(tree).tried("open", tree)?;
        for part in path.split('/') {
            let entry = folder.at(part);
            let there = entry.path();
            folder = match entry.metadata() {
                Ok(found) if !found.is_dir() => {
                    let reason = format!("{} is not a directory, but the path of submodule {path}", there.display());
                    return Err(Fault::failed(reason));
                }
                _ => entry.make_dir().tried("create", &there)?,
            };
        }
        Ok(tree.join(path))
    }

    /// What is at a path in the tree, in its directory that is held open: a service may own directories on the way.
    fn held(&self, path: &Path) -> Result<Entry, Fault> {
        let found = way::in_tree(&self.top, path.strip_prefix(&self.top).unwrap_or(path), true);
        found.and_then(|found| found.ok_or(io::ErrorKind::NotFound.into())).tried("open", files::parent(path))
    }

    /// Makes a submodule's repository, which borrows the objects of the tree's own.
    fn lay_out(&self, part: &Part, commit: &Revision) -> Result<(), Fault> {
        let (git_dir, objects) = (&part.git_dir, part.git_dir.join("objects"));
        // One of Scap's has objects of its own, and may not have all.
        if self.held(&objects)?.metadata().is_ok_and(|found| !found.is_symlink()) {
            // It is removed where nobody else can put links on the way to it.
            let doomed = put::beside(&self.extras.layout, self.revision, "repository");
            files::remove_leftover(&doomed)?;
            let from = self.held(git_dir)?;
            Entry::of(&doomed).and_then(|to| from.rename(&to)).tried("remove", git_dir)?;
            files::remove_leftover(&doomed)?;
        }
        let refs = git_dir.join("refs");
        self.held(&refs)?.make_dir().tried("create", &refs)?;
        let borrowed = self.held(&objects)?;
        if !borrowed.exists() {
            let target = self.relative(git_dir, &self.top.join(".git/objects"));
            borrowed.make_link(&target).tried("link", &objects)?;
        }
        // Only one stage works at a time, so these locks are of a git that was killed.
        for lock in ["index.lock", "HEAD.lock"] {
            files::remove_entry(&borrowed.beside(lock))?;
        }
        let (version, format) =
            if commit.as_str().len() == 64 { (1, "[extensions]\n\tobjectFormat = sha256\n") } else { (0, "") };
        let tree = quoted(&self.relative(git_dir, &part.tree));
        let config =
            format!("[core]\n\trepositoryformatversion = {version}\n\tbare = false\n\tworktree = {tree}\n{format}");
        let link = format!("gitdir: {}\n", self.relative(&part.tree, git_dir).display());
        let mut contents = vec![("config", config.into_bytes()), ("HEAD", format!("{commit}\n").into_bytes())];
        if let Ok(shallow) = files::read(&self.top.join(".git/shallow")) {
            contents.push(("shallow", shallow));
        }
        for (name, content) in contents {
            files::write_entry_or_keep(&borrowed.beside(name), &content, 0o666)?;
        }
        let dot_git = self.held(&part.tree.join(".git"))?;
        if dot_git.metadata().is_ok_and(|found| !found.is_file()) {
            return Err(Fault::failed(format!("{} is in the way of a submodule's", dot_git.path().display())));
        }
        files::write_entry_or_keep(&dot_git, link.as_bytes(), 0o666)
    }

    /// The relative path that leads from one folder of the tree to another.
    fn relative(&self, from: &Path, to: &Path) -> PathBuf {
        let below = |path: &Path| path.strip_prefix(&self.top).unwrap_or(path).to_owned();
        below(from).components().map(|_| Component::ParentDir).collect::<PathBuf>().join(below(to))
    }
}

/// A path as a value of git's configuration.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether each submodule that `.gitmodules` of a tree names is checked out in it, or has no place there.
pub fn are_all_there(tree: &Path) -> bool {
    let text = no_links::read_own_text(&tree.join(".gitmodules")).unwrap_or_default();
    let paths = text.lines().filter_map(|line| line.trim().strip_prefix("path")?.trim_start().strip_prefix('='));
    paths
        .map(|path| tree.join(path.trim().trim_matches('"')))
        .all(|folder| !folder.is_dir() || folder.join(".git").exists())
}
