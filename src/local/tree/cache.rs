//! The cache: one git repository that holds the objects of all revisions.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::artifact;
use crate::artifact::Downloaded;
use crate::files::no_links;
use crate::timings;
use crate::url::{mask_in, without_password};
use crate::wire::{ArtifactRules, CUT_OFF, Revision, Source};

use super::git::Git;
use super::refs;
use crate::local::fault::{Fault, Tried};
use crate::local::os::deadline::Deadline;
use crate::local::os::files;
use crate::local::os::process::{Exit, Feed};
use crate::local::os::sys;
use crate::local::state::layout::Layout;

/// The folder that a cache is built in before it takes its place, and the one that a replaced cache stays in.
const BESIDE: &str = "cache.beside-";

/// The ref that keeps a revision's objects.
pub fn reference(revision: &str) -> String {
    format!("refs/hoist/{revision}")
}

/// The git directory of a cache folder: a plain clone's, as Scap's, or the folder itself where it is a bare repository.
pub fn git_dir(cache: &Path) -> Option<PathBuf> {
    let is_repository = |dir: &Path| dir.join("HEAD").is_file() && dir.join("objects").is_dir();
    [cache.join(".git"), cache.to_owned()].into_iter().find(|dir| is_repository(dir))
}

/// The cache of a layout, if there is one.
pub fn open(layout: &Layout, deadline: Deadline) -> Option<Git> {
    git_dir(&layout.cache()).map(|dir| Git::bare(&dir, deadline))
}

/// The cache for calls that write to it.
pub fn open_to_write(layout: &Layout, deadline: Deadline) -> Option<Git> {
    let dir = git_dir(&layout.cache())?;
    sweep_after_git(&dir);
    Some(Git::bare(&dir, deadline))
}

/// Whether the cache has a commit.
pub fn has(layout: &Layout, deadline: Deadline, revision: &Revision) -> Result<bool, Fault> {
    match open(layout, deadline) {
        Some(git) => Ok(!git.present(&[revision.to_string()])?.is_empty()),
        None => Ok(false),
    }
}

/// Something to fill a cache from.
pub enum Supply<'a> {
    /// A pack of this many bytes.
    Pack {
        bytes: u64,
        input: Box<dyn Read + Send>,
        shallow: &'a [Revision],
    },
    Server(&'a Source),
    /// An archive that was downloaded.
    Archive(Downloaded, &'a ArtifactRules),
}

/// Brings a revision's objects into the cache, which is made when it is missing. With `anew`, the old cache is replaced.
///
/// A new cache is filled before it takes its place. The old one then stays beside it, and every working tree that
/// borrowed objects from it is told of its new place first, so no revision loses an object.
pub fn bring(
    layout: &Layout,
    deadline: Deadline,
    revision: &Revision,
    supply: Supply<'_>,
    anew: bool,
    tag: &str,
) -> Result<(), Fault> {
    if let Some(dir) = git_dir(&layout.cache()).filter(|_| !anew) {
        sweep_after_git(&dir);
        let result = fill(&Git::bare(&dir, deadline), &dir, revision, supply, false);
        if result.is_err() {
            sweep_after_git(&dir);
        }
        return result;
    }
    files::make_dir(layout.root())?;
    let beside = layout.root().join(format!("{BESIDE}{tag}"));
    files::remove_leftover(&beside)?;
    let result = build(&beside, deadline, revision, supply).and_then(|()| install(layout, &beside));
    if result.is_err() && !is_borrowed(layout, &beside) {
        let _ = files::remove_leftover(&beside);
    }
    result
}

fn build(place: &Path, deadline: Deadline, revision: &Revision, supply: Supply<'_>) -> Result<(), Fault> {
    let dir = place.join(".git");
    files::make_dir(&dir)?;
    // All of it is synced at once before it takes its place.
    let git = Git::bare(&dir, deadline).unsynced();
    git.init(revision.as_str().len() == 64)?;
    // What is missing in a new cache was not sent: another cache would not repair that.
    fill(&git, &dir, revision, supply, true).map_err(|fault| match fault {
        Fault::CacheBroken { reason } => Fault::failed(reason),
        other => other,
    })
}

fn install(layout: &Layout, beside: &Path) -> Result<(), Fault> {
    let cache = layout.cache();
    sys::sync_file_system(beside).tried("sync", beside)?;
    if fs::symlink_metadata(&cache).is_err() {
        fs::rename(beside, &cache).tried("rename", beside)?;
        return files::sync_dir(layout.root());
    }
    if let Some(old) = git_dir(&cache) {
        let inside = old.strip_prefix(&cache).unwrap_or(Path::new(""));
        lend(layout, &beside.join(inside).join("objects"))?;
    }
    if sys::exchange(beside, &cache).is_err() {
        let third = layout.root().join("cache.next");
        files::remove_leftover(&third)?;
        fs::rename(beside, &third).tried("rename", beside)?;
        fs::rename(&cache, beside).tried("rename", &cache)?;
        fs::rename(&third, &cache).tried("rename", &third)?;
    }
    files::sync_dir(layout.root())
}

fn alternates(tree: &Path) -> PathBuf {
    tree.join(".git/objects/info/alternates")
}

/// Tells every working tree that borrows objects where else to look for them. Whole trees and half ones alike.
fn lend(layout: &Layout, objects: &Path) -> Result<(), Fault> {
    let line = objects.display().to_string();
    for name in files::names(&layout.revs()) {
        let path = alternates(&layout.revs().join(name));
        let Some(mut text) = files::read(&path).ok().and_then(|text| String::from_utf8(text).ok()) else { continue };
        if text.lines().any(|known| known == line) {
            continue;
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&line);
        text.push('\n');
        files::write(&path, text.as_bytes(), 0o666)?;
    }
    Ok(())
}

fn is_borrowed(layout: &Layout, cache: &Path) -> bool {
    let start = format!("{}/", cache.display());
    files::names(&layout.revs()).into_iter().any(|name| {
        let text = files::read(&alternates(&layout.revs().join(name))).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().any(|line| line.starts_with(&start))
    })
}

/// Removes caches beside the cache that no working tree borrows from.
pub fn sweep(layout: &Layout) -> Result<(), Fault> {
    for name in files::names(layout.root()) {
        let path = layout.root().join(&name);
        if name.starts_with(BESIDE) && !is_borrowed(layout, &path) {
            files::remove_leftover(&path)?;
        }
    }
    Ok(())
}

/// Whether git may find so much in the cache that tidying pays. It decides itself by the same signs (gc.auto and
/// gc.autoPackLimit in git-config(1)), at the price of a process.
pub fn may_need_gc(layout: &Layout) -> bool {
    let Some(dir) = git_dir(&layout.cache()) else { return false };
    let objects = dir.join("objects");
    let packs = files::names(&objects.join("pack")).iter().filter(|name| name.ends_with(".pack")).count();
    // Names are spread evenly, so one of the 256 folders stands for all.
    let loose = files::names(&objects.join("17")).len();
    packs > 40 || loose > 20
}

/// Removes what calls of git left that were killed or failed: half packs, which may fill the disk, and locks, which would
/// be in the way for ever. Only one stage works at a time, so none of this is still in use.
fn sweep_after_git(dir: &Path) {
    let packs = dir.join("objects/pack");
    for name in files::names(&packs).iter().filter(|name| name.starts_with("tmp_")) {
        let _ = fs::remove_file(packs.join(name));
    }
    remove_locks(dir);
    let mut folders: Vec<PathBuf> =
        ["refs/hoist", "refs/hoist-incoming", "refs/hoist-submodules"].map(|name| dir.join(name)).into();
    while let Some(folder) = folders.pop() {
        remove_locks(&folder);
        folders.extend(files::names(&folder).iter().map(|name| folder.join(name)).filter(|path| path.is_dir()));
    }
}

fn remove_locks(folder: &Path) {
    for name in files::names(folder).iter().filter(|name| name.ends_with(".lock")) {
        let _ = fs::remove_file(folder.join(name));
    }
}

fn fill(git: &Git, dir: &Path, revision: &Revision, supply: Supply<'_>, is_empty: bool) -> Result<(), Fault> {
    let (bytes, input, shallow) = match supply {
        Supply::Pack { bytes, input, shallow } => (bytes, input, shallow),
        Supply::Server(source) => return fetch(git, revision, source),
        Supply::Archive(archive, rules) => return import(git, dir, revision, (archive, rules)),
    };
    add_shallow(git, dir, shallow)?;
    let is_connected =
        receive(git, bytes, input, is_empty)? && git.commits_present(&[revision.to_string()])?.len() == 1;
    if !is_connected {
        expect_everything(git, revision)?;
    }
    keep(git, revision)
}

/// Unpacks an archive into the cache. What it contains is compared with what the deployer has found in it.
fn import(
    git: &Git,
    dir: &Path,
    revision: &Revision,
    (archive, rules): (Downloaded, &ArtifactRules),
) -> Result<(), Fault> {
    let in_time = || match git.deadline().check() {
        Ok(()) => Ok(()),
        Err(fault) => Err(anyhow::anyhow!("{}", fault.reason())),
    };
    let imported = artifact::import_downloaded(archive, dir, rules, &in_time)
        .map_err(|error| git.deadline().check().err().unwrap_or_else(|| Fault::failed(format!("{error:#}"))))?;
    if imported.commit != revision.as_str() {
        let short = revision.short();
        let found = imported.commit.get(..short.len()).unwrap_or_default();
        return Err(Fault::failed(format!(
            "the archive contains {found} and not {short}: the deploy host reads it otherwise"
        )));
    }
    expect_everything(git, revision)?;
    let changes = format!("update {} {revision}\ndelete {}\n", reference(revision.as_str()), artifact::REFERENCE);
    let answer = git.call(&["update-ref", "--stdin"], Feed::text(changes))?;
    git.expect_whole(&answer, "update-ref")
}

/// Everything the revision needs has to be there before a ref says so: others build on that.
fn expect_everything(git: &Git, revision: &Revision) -> Result<(), Fault> {
    let answer = git.call(&["rev-list", "--objects", "--quiet", revision.as_str(), "--not", "--all"], Feed::Nothing)?;
    git.expect_whole(&answer, "rev-list")
}

/// Makes the cache keep a revision's objects.
pub fn keep(git: &Git, revision: &Revision) -> Result<(), Fault> {
    keep_by(git, &reference(revision.as_str()), revision)
}

/// Makes a ref name a commit, all of whose objects are there.
pub fn keep_by(git: &Git, reference: &str, commit: &Revision) -> Result<(), Fault> {
    if let Some(done) = refs::point(git.dir(), reference, commit.as_str(), git.is_synced()) {
        return done;
    }
    let answer = git.call(&["update-ref", reference, commit.as_str()], Feed::Nothing)?;
    git.expect_whole(&answer, "update-ref")
}

/// Notes the commits whose parents are nowhere to be had. Those that the cache has already keep their parents. The note
/// comes before the pack, so that a kill between the two leaves no commit whose missing parents look like damage.
fn add_shallow(git: &Git, dir: &Path, commits: &[Revision]) -> Result<(), Fault> {
    let names: Vec<String> = commits.iter().map(Revision::to_string).collect();
    let present = git.commits_present(&names)?;
    let path = dir.join("shallow");
    let mut text = no_links::read_own_text(&path).unwrap_or_default();
    let before = text.len();
    for name in names.iter().filter(|name| !present.contains(name)) {
        if !text.lines().any(|line| line == name) {
            text.push_str(name);
            text.push('\n');
        }
    }
    match git.is_synced() {
        _ if text.len() == before => Ok(()),
        true => files::write(&path, text.as_bytes(), 0o666),
        false => fs::write(&path, text).tried("write", &path),
    }
}

/// Passes on exactly a pack's bytes, counting them, and the nanoseconds for which they were waited for.
struct Counted {
    input: std::io::Take<Box<dyn Read + Send>>,
    seen: Arc<AtomicU64>,
    awaited: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let began = Instant::now();
        let length = self.input.read(buffer)?;
        self.seen.fetch_add(length as u64, Ordering::Relaxed);
        self.awaited.fetch_add(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(length)
    }
}

/// Adds a pack's objects. With `connected`, git looks at the same time whether all that they lead to is in the pack, which
/// is for a repository that has nothing else; returns whether that is so.
fn receive(git: &Git, bytes: u64, input: Box<dyn Read + Send>, connected: bool) -> Result<bool, Fault> {
    let (seen, awaited) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let counted = Counted { input: input.take(bytes), seen: seen.clone(), awaited: awaited.clone() };
    let mut args = vec!["index-pack", "--stdin", "--fix-thin"];
    args.extend(connected.then_some("--check-self-contained-and-connected"));
    let answer = git.call(&args, Feed::From(Box::new(counted)))?;
    timings::awaited(Duration::from_nanos(awaited.load(Ordering::Relaxed)));
    // Git's own answer for a pack whose objects are whole, but lead to others.
    if connected && answer.exit == Exit::Status(1) {
        return Ok(false);
    }
    let got = seen.load(Ordering::Relaxed);
    if !answer.exit.is_ok() && got < bytes && answer.errors.to_lowercase().contains("early eof") {
        return Err(Fault::failed(format!("the pack ended after {got} of {bytes} bytes; {CUT_OFF}")));
    }
    git.expect_whole(&answer, "index-pack").map(|()| connected)
}

fn fetch(git: &Git, revision: &Revision, source: &Source) -> Result<(), Fault> {
    let reference = &source.reference;
    let odd = |c: char| c.is_whitespace() || c.is_control() || ":^~?*[\\".contains(c);
    if reference.is_empty() || reference.starts_with(['-', '+']) || reference.contains(odd) {
        return Err(Fault::failed(format!("{reference:?} is not a ref to fetch from the git server")));
    }
    let incoming = format!("refs/hoist-incoming/{revision}");
    let refspec = format!("+{reference}:{incoming}");
    let args = ["fetch", "--quiet", "--no-tags", "--no-auto-gc", "--no-recurse-submodules", "--"];
    let through = source.proxy.as_ref().map(|proxy| git.through(proxy));
    let (caller, url) = through.as_ref().unwrap_or(git).for_server(&source.url);
    let answer = caller.call(&[&args[..], &[&url, &refspec]].concat(), Feed::Nothing)?;
    git.expect_whole(&answer, "fetch").map_err(|fault| hidden(fault, &source.url, source.proxy.as_deref()))?;
    // Git has made sure of all that the ref leads to, so this only looks whether the revision is part of that.
    let whole = expect_everything(git, revision);
    if whole.is_err() {
        let found = git.present(&[revision.to_string()])?;
        let answer = git.call(&["update-ref", "-d", &incoming], Feed::Nothing)?;
        git.expect(&answer, "update-ref")?;
        if found.is_empty() {
            let short = revision.short();
            return Err(Fault::failed(format!(
                "{reference} on the git server does not contain {short}; push it first"
            )));
        }
        return whole;
    }
    let changes = format!("update {} {revision}\ndelete {incoming}\n", self::reference(revision.as_str()));
    let answer = git.call(&["update-ref", "--stdin"], Feed::text(changes))?;
    git.expect_whole(&answer, "update-ref")
}

/// Fetches one commit, which no ref of the server may name. From upstream, an address leads to servers only, whatever it
/// is that answers there.
pub fn fetch_commit(
    git: &Git,
    commit: &Revision,
    url: &str,
    proxy: Option<&str>,
    from_upstream: bool,
) -> Result<(), Fault> {
    let through = proxy.map(|proxy| git.through(proxy));
    let (caller, address) = through.as_ref().unwrap_or(git).for_server(url);
    let incoming = format!("refs/hoist-incoming/{commit}");
    let allowed = ["http", "https", "ssh", "git"].map(|scheme| format!("protocol.{scheme}.allow=always"));
    let mut args = Vec::new();
    if from_upstream {
        args.extend(["-c", "protocol.allow=never"]);
        args.extend(allowed.iter().flat_map(|setting| ["-c", setting]));
    }
    args.extend(["fetch", "--quiet", "--no-tags", "--no-auto-gc", "--no-recurse-submodules", "--", &address]);
    let name = [commit.to_string()];
    // By its name where the server allows that, else with all that the server has, which for plain files served by HTTP
    // leaves out what is checked out there.
    let tries = [format!("+{commit}:{incoming}/it"), format!("+refs/*:{incoming}/*"), format!("+HEAD:{incoming}/HEAD")];
    let mut failed = None;
    for refspec in &tries {
        let answer = caller.call(&[&args[..], &[refspec]].concat(), Feed::Nothing)?;
        let fetched = git.expect(&answer, "fetch").map_err(|fault| hidden(fault, url, proxy));
        if !git.present(&name)?.is_empty() {
            failed = None;
            break;
        }
        failed = Some(match fetched {
            Err(fault) => fault,
            Ok(()) => {
                let shown = without_password(url);
                Fault::failed(format!("{shown} does not contain {}; push it first", commit.short()))
            }
        });
    }
    let answer = git.call(&["for-each-ref", "--format=delete %(refname)", &incoming], Feed::Nothing)?;
    git.expect(&answer, "for-each-ref")?;
    let answer = git.call(&["update-ref", "--stdin"], Feed::text(answer.output))?;
    git.expect(&answer, "update-ref")?;
    failed.map_or(Ok(()), Err)
}

/// The same without passwords: the server's own words, and the proxy's, may hold one that is part of an address.
fn hidden(fault: Fault, url: &str, proxy: Option<&str>) -> Fault {
    let hide = |reason: String| {
        [Some(url), proxy].into_iter().flatten().fold(reason, |reason, address| mask_in(&reason, address))
    };
    match fault {
        Fault::Failed { reason, .. } => Fault::failed(hide(reason)),
        Fault::CacheBroken { reason } => Fault::CacheBroken { reason: hide(reason) },
        other => other,
    }
}
