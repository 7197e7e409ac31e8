//! Packs of what targets lack, each made once for all hosts that lack the same.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context, anyhow, ensure};

use super::{Parts, Repo};
use crate::wire::{LargeFile, Revision};

/// A git pack in a file that has no name any more: it is gone when the last user is.
#[derive(Debug)]
pub struct Pack {
    /// To be read at offsets (`read_at`), never with the file's own position, which all readers share.
    pub file: File,
    /// Its length.
    pub bytes: u64,
    /// All of it, once somebody has asked for it.
    content: Mutex<Option<Arc<[u8]>>>,
}

/// The most bytes of a pack that is kept in memory.
const IN_MEMORY: u64 = 8 << 20;

impl Pack {
    /// What the first `bytes` of a file are.
    pub fn new(file: File, bytes: u64) -> Pack {
        Pack { file, bytes, content: Mutex::default() }
    }

    /// Whether all who send it may share one copy in memory.
    pub fn is_small(&self) -> bool {
        self.bytes <= IN_MEMORY
    }

    /// All of it, read once for however many hosts it is sent to.
    ///
    /// # Errors
    /// It cannot be read, or the file is shorter than that.
    pub fn content(&self) -> io::Result<Arc<[u8]>> {
        let mut content = lock(&self.content);
        if let Some(content) = &*content {
            return Ok(Arc::clone(content));
        }
        let mut bytes = vec![0; usize::try_from(self.bytes).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(Arc::clone(content.insert(bytes.into())))
    }
}

/// Commits of a line of first parents that are looked at. What lies further back counts by itself.
const MAINLINE: usize = 20_000;

type Made = Arc<OnceLock<Result<Arc<Pack>, String>>>;

/// The packs of one revision, its submodules included. Any number of threads may ask at once.
pub struct Packs {
    /// With the objects of submodules.
    repo: Repo,
    revision: Revision,
    /// The submodules' commits.
    inner: Vec<Revision>,
    /// The commits among theirs whose parents are not here.
    shallow: Vec<Revision>,
    large_files: Vec<LargeFile>,
    /// Where they are.
    stored: HashMap<LargeFile, PathBuf>,
    /// The path of each in the revision, by its SHA-256.
    large_file_paths: HashMap<String, String>,
    /// Whether this repository has a commit, for those that were asked for so far.
    known: Mutex<HashMap<Revision, bool>>,
    /// How far back each commit of the first parents lies: the revision's, then each submodule's.
    lines: OnceLock<Vec<HashMap<Revision, usize>>>,
    /// By the commits that the receiver has and that count, sorted.
    made: Mutex<HashMap<Vec<Revision>, Made>>,
}

impl Packs {
    pub fn new(repo: Repo, revision: Revision) -> Packs {
        let (inner, shallow) = Default::default();
        let (large_files, stored, large_file_paths) = Default::default();
        let (known, lines, made) = Default::default();
        Packs { repo, revision, inner, shallow, large_files, stored, large_file_paths, known, lines, made }
    }

    /// With the other parts of the revision. `shallow`: the commits whose parents are not here, of all its repositories.
    pub fn with_parts(self, parts: &Parts, shallow: &[Revision]) -> Packs {
        let mut inner: Vec<Revision> = parts.submodules.iter().map(|it| it.commit.clone()).collect();
        inner.sort();
        inner.dedup();
        Packs {
            repo: parts.objects(&self.repo),
            // Git knows those of the repository itself.
            shallow: if inner.is_empty() { Vec::new() } else { shallow.to_vec() },
            inner,
            large_files: parts.large_files.iter().map(|it| it.file.clone()).collect(),
            stored: parts.large_files.iter().map(|it| (it.file.clone(), it.path.clone())).collect(),
            large_file_paths: parts.large_files.iter().map(|it| (it.file.oid().to_owned(), it.shown.clone())).collect(),
            ..self
        }
    }

    /// The large files of the revision.
    pub fn large_files(&self) -> &[LargeFile] {
        &self.large_files
    }

    /// Where a large file is.
    pub fn stored(&self, file: &LargeFile) -> Option<&Path> {
        self.stored.get(file).map(PathBuf::as_path)
    }

    /// A path of the revision at which this content of a large file stands; in a submodule, too.
    pub fn large_file_path(&self, oid: &str) -> Option<&str> {
        self.large_file_paths.get(oid).map(String::as_str)
    }

    /// The pack that brings the revision to a host that has the commits `cached`, each with all that belongs to it.
    /// `None` when the revision is among them, and all commits of its submodules are.
    ///
    /// The pack is thin: its deltas may lean on objects of `cached`. Whoever asks for one that is being made waits for
    /// it. When making it fails, all that waited get the same error, and the next to ask starts anew.
    pub fn pack(&self, cached: &[Revision]) -> anyhow::Result<Option<Arc<Pack>>> {
        if cached.contains(&self.revision) && self.inner.iter().all(|commit| cached.contains(commit)) {
            return Ok(None);
        }
        let mut have = self.known_of(cached)?;
        have.sort();
        have.dedup();
        self.leave_out_what_follows(&mut have);
        let slot = Arc::clone(lock(&self.made).entry(have.clone()).or_default());
        match slot.get_or_init(|| self.make(&have).map(Arc::new).map_err(|error| format!("{error:#}"))) {
            Ok(pack) => Ok(Some(Arc::clone(pack))),
            Err(error) => {
                let mut made = lock(&self.made);
                if made.get(&have).is_some_and(|current| Arc::ptr_eq(current, &slot)) {
                    made.remove(&have);
                }
                Err(anyhow!("{error}"))
            }
        }
    }

    /// Those of the commits that this repository has. Others, left by somebody else's deployment, tell us nothing.
    fn known_of(&self, cached: &[Revision]) -> anyhow::Result<Vec<Revision>> {
        let mut known = lock(&self.known);
        let new: Vec<Revision> = cached.iter().filter(|revision| !known.contains_key(revision)).cloned().collect();
        if !new.is_empty() {
            let here = self.repo.has(&new)?;
            known.extend(new.into_iter().map(|revision| (revision.clone(), here.contains(&revision))));
        }
        Ok(cached.iter().filter(|revision| known.get(revision) == Some(&true)).cloned().collect())
    }

    /// Of commits that follow from one another only the newest counts. Targets have kept different old revisions, and
    /// would get a pack each for it. Git is asked once for a line of first parents, that of the revision and of each
    /// submodule, whatever the number of targets; of what was merged from elsewhere every commit counts.
    fn leave_out_what_follows(&self, have: &mut Vec<Revision>) {
        if have.len() < 2 {
            return;
        }
        let line = |tip: &Revision| match self.repo.first_parents(tip, MAINLINE) {
            Ok(line) => line.into_iter().zip(0..).collect(),
            Err(error) => {
                log::debug!("creating a pack for each list of revisions: {error:#}");
                HashMap::new()
            }
        };
        let lines = self.lines.get_or_init(|| [&self.revision].into_iter().chain(&self.inner).map(line).collect());
        for line in lines {
            let newest = have.iter().filter_map(|revision| line.get(revision)).min().copied();
            have.retain(|revision| line.get(revision).is_none_or(|back| Some(*back) == newest));
        }
    }

    /// Makes the pack in the folder for temporary files; where that fails, it may be too small, beside the objects; and
    /// where that fails, what the receiver has may be damaged here, without leaning on it.
    fn make(&self, have: &[Revision]) -> anyhow::Result<Pack> {
        let temporary = std::env::temp_dir();
        let mut tries = vec![(temporary.as_path(), have), (self.repo.git_dir(), have)];
        if !have.is_empty() {
            tries.push((self.repo.git_dir(), &[]));
        }
        let mut first = None;
        for (folder, have) in tries {
            match self.make_in(folder, have) {
                Ok(pack) => return Ok(pack),
                Err(error) => {
                    log::debug!("a pack of {} in {}: {error:#}", self.revision, folder.display());
                    first.get_or_insert(error);
                }
            }
        }
        let error = first.unwrap_or_else(|| anyhow!("nothing was tried"));
        Err(error.context(format!("cannot pack {} for the targets", self.revision.short())))
    }

    fn make_in(&self, folder: &Path, have: &[Revision]) -> anyhow::Result<Pack> {
        let place = || format!("cannot create a temporary file in {}", folder.display());
        let file = tempfile::tempfile_in(folder).with_context(place)?;
        let mut arguments = vec!["pack-objects", "--revs", "--thin", "--stdout", "--delta-base-offset", "--quiet"];
        if !have.is_empty() {
            // With bitmaps, git leaves out all that ever was in the history of `have`. A receiver that got that history
            // from a shallow clone lacks some of it; what it has for sure are the trees of `have` themselves.
            arguments.push("--no-use-bitmap-index");
            // What the receiver has need not be in the history of the revision: artifacts have none.
            if self.repo.artifacts().is_some() {
                arguments.push("--shallow");
            }
        }
        let mut input = String::new();
        for commit in &self.shallow {
            input.push_str(&format!("--shallow {commit}\n"));
        }
        for commit in [&self.revision].into_iter().chain(&self.inner) {
            input.push_str(&format!("{commit}\n"));
        }
        for revision in have {
            input.push_str(&format!("^{revision}\n"));
        }
        let command = self.repo.command(&arguments);
        self.repo.feed_into(command, input.as_bytes(), file.try_clone().with_context(place)?)?;
        let bytes = file.metadata().with_context(place)?.len();
        // A header of 12 bytes and the checksum of 20 make the least of all packs.
        ensure!(bytes >= 32, "git pack-objects gave a pack of only {bytes} bytes");
        Ok(Pack::new(file, bytes))
    }
}

/// What these locks guard is whole at every moment, so a thread that panicked while it held one did no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::repo::testing::{Scratch, git, noise};

    /// A receiver: a bare repository into which packs go.
    fn receiver() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "-q", "--bare"]);
        folder
    }

    fn receive(folder: &Path, pack: &Pack) {
        let temporary = folder.join("incoming");
        fs::write(&temporary, pack.content().unwrap()).unwrap();
        let status = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(["index-pack", "--stdin", "--fix-thin"])
            .stdin(File::open(&temporary).unwrap())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "the receiver could not take the pack");
    }

    fn is_complete(folder: &Path, revision: &Revision) {
        git(folder, &["update-ref", "refs/heads/got", revision.as_str()]);
        git(folder, &["fsck", "--full", "--strict", "--connectivity-only"]);
        git(folder, &["rev-list", "--objects", revision.as_str()]);
    }

    /// Two revisions: a large one, and a small change of it.
    fn large() -> (Scratch, Revision, Revision) {
        let scratch = Scratch::new();
        let mut big = noise(1, 300_000);
        let first = scratch.commit("big", &big);
        big[150_000] ^= 1;
        let second = scratch.commit("big", &big);
        (scratch, first, second)
    }

    #[test]
    fn a_full_pack_brings_everything_and_a_thin_one_only_the_change() {
        let (scratch, first, second) = large();
        let target = receiver();
        let full = Packs::new(scratch.repo.clone(), first.clone()).pack(&[]).unwrap().unwrap();
        assert!(full.bytes > 300_000);
        receive(target.path(), &full);
        is_complete(target.path(), &first);
        let thin = Packs::new(scratch.repo.clone(), second.clone()).pack(&[first]).unwrap().unwrap();
        assert!(thin.bytes < 2_000, "the change of one byte took {} bytes", thin.bytes);
        receive(target.path(), &thin);
        is_complete(target.path(), &second);
    }

    #[test]
    fn a_host_that_has_the_revision_needs_no_pack() {
        let (scratch, first, second) = large();
        let packs = Packs::new(scratch.repo.clone(), second.clone());
        assert!(packs.pack(&[first, second]).unwrap().is_none());
    }

    #[test]
    fn commits_that_only_the_target_knows_are_passed_over() {
        let (scratch, first, second) = large();
        let packs = Packs::new(scratch.repo.clone(), second);
        let stranger: Revision = "e".repeat(40).parse().unwrap();
        let one = packs.pack(&[stranger.clone(), first.clone(), first.clone()]).unwrap().unwrap();
        let same = packs.pack(&[first]).unwrap().unwrap();
        assert!(Arc::ptr_eq(&one, &same));
        assert!(packs.pack(&[stranger]).unwrap().unwrap().bytes > 300_000);
    }

    #[test]
    fn many_threads_that_ask_at_once_get_one_pack() {
        let (scratch, first, second) = large();
        let packs = Packs::new(scratch.repo.clone(), second);
        let got: Vec<Arc<Pack>> = std::thread::scope(|scope| {
            let ask = || packs.pack(std::slice::from_ref(&first)).unwrap().unwrap();
            let asking: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
            asking.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(got.iter().all(|pack| Arc::ptr_eq(pack, &got[0])));
        assert_eq!(packs.made.lock().unwrap().len(), 1);
    }

    #[test]
    fn three_thousand_targets_in_three_states_get_three_packs_whatever_else_they_have_kept() {
        let scratch = Scratch::new();
        let mut big = noise(1, 100_000);
        let mut history: Vec<Revision> = Vec::new();
        for n in 0..12 {
            big[n * 5000] ^= 1;
            history.push(scratch.commit("big", &big));
        }
        let revision = history[11].clone();
        let packs = Packs::new(scratch.repo.clone(), revision.clone());
        let mut made: Vec<Arc<Pack>> = Vec::new();
        for host in 0..3000_usize {
            // The state of a host, and revisions before it, each host its own choice of them.
            let newest = 6 + host % 3;
            let kept = (0..newest).filter(|n| host >> (n % 11) & 1 == 1);
            let cached: Vec<Revision> = kept.chain([newest]).map(|n| history[n].clone()).collect();
            let pack = packs.pack(&cached).unwrap().unwrap();
            if !made.iter().any(|other| Arc::ptr_eq(other, &pack)) {
                made.push(pack);
            }
        }
        assert_eq!(made.len(), 3);
        for (pack, newest) in made.iter().zip(6..) {
            assert!(pack.bytes < 5_000, "{} bytes", pack.bytes);
            let target = receiver();
            receive(
                target.path(),
                &Packs::new(scratch.repo.clone(), history[newest].clone()).pack(&[]).unwrap().unwrap(),
            );
            receive(target.path(), pack);
            is_complete(target.path(), &revision);
        }
    }

    #[test]
    fn targets_that_kept_different_revisions_of_a_submodule_get_one_pack() {
        let (scratch, inner) = (Scratch::new(), Scratch::new());
        let (mut ours, mut theirs, mut big) = (Vec::new(), Vec::new(), noise(1, 100_000));
        for n in 0..6 {
            big[n * 5000] ^= 1;
            ours.push(scratch.commit("a", format!("{n}").as_bytes()));
            theirs.push(inner.commit("big", &big));
        }
        let git_dir = inner.repo.git_dir().to_owned();
        let submodule = crate::repo::Submodule { path: "lib".into(), commit: theirs[5].clone(), git_dir };
        let parts = Parts { submodules: vec![submodule], large_files: Vec::new() };
        let packs = Packs::new(scratch.repo.clone(), ours[5].clone()).with_parts(&parts, &[]);
        let ask = |kept: &[usize]| {
            let cached: Vec<Revision> = kept.iter().flat_map(|n| [ours[*n].clone(), theirs[*n].clone()]).collect();
            packs.pack(&cached).unwrap().unwrap()
        };
        let one = ask(&[4]);
        assert!(one.bytes < 5_000, "{} bytes", one.bytes);
        assert!([&[4, 0][..], &[1, 4], &[3, 4, 2]].iter().all(|kept| Arc::ptr_eq(&one, &ask(kept))));
        assert!(!Arc::ptr_eq(&one, &ask(&[3])));
    }

    #[test]
    fn what_was_merged_from_elsewhere_counts_beside_the_line_of_the_revision() {
        let scratch = Scratch::new();
        let base = scratch.commit("base", b"b");
        scratch.git(&["checkout", "-q", "-b", "side"]);
        let side = scratch.commit("side", &noise(1, 50_000));
        scratch.git(&["checkout", "-q", "--detach", base.as_str()]);
        let main = scratch.commit("main", &noise(2, 50_000));
        scratch.git(&["-c", "user.name=t", "-c", "user.email=t@example.org", "merge", "-q", "-m", "m", "side"]);
        let merged: Revision = scratch.git(&["rev-parse", "HEAD"]).parse().unwrap();
        let packs = Packs::new(scratch.repo.clone(), merged);
        assert!(packs.pack(&[base, main, side]).unwrap().unwrap().bytes < 1_000);
    }

    #[test]
    fn a_pack_that_is_being_made_holds_up_no_host_that_needs_another() {
        let (scratch, first, second) = large();
        let packs = Packs::new(scratch.repo.clone(), second);
        let slot = Arc::clone(packs.made.lock().unwrap().entry(vec![first.clone()]).or_default());
        let (begun, wait) = std::sync::mpsc::channel();
        let (go_on, may) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            // A pack that takes its time.
            let (slot, begun, packs, first) = (&slot, &begun, &packs, &first);
            let slow = scope.spawn(move || {
                let pack = slot.get_or_init(|| {
                    begun.send(()).unwrap();
                    may.recv().unwrap();
                    packs.make(std::slice::from_ref(first)).map(Arc::new).map_err(|error| error.to_string())
                });
                Arc::clone(pack.as_ref().unwrap())
            });
            wait.recv().unwrap();
            assert!(packs.pack(&[]).unwrap().unwrap().bytes > 300_000);
            go_on.send(()).unwrap();
            assert!(Arc::ptr_eq(&slow.join().unwrap(), &packs.pack(std::slice::from_ref(first)).unwrap().unwrap()));
        });
    }

    #[test]
    fn a_shallow_deploy_host_packs_what_it_has() {
        let (scratch, _, second) = large();
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", scratch.path().display());
        git(folder.path(), &["clone", "-q", "--depth=1", &url, "clone"]);
        let clone = Repo::open(&folder.path().join("clone")).unwrap();
        let pack = Packs::new(clone.clone(), second.clone()).pack(&[]).unwrap().unwrap();
        let target = receiver();
        fs::write(target.path().join("shallow"), format!("{}\n", clone.shallow().unwrap()[0])).unwrap();
        receive(target.path(), &pack);
        is_complete(target.path(), &second);
    }

    #[test]
    fn a_blob_that_comes_back_from_beyond_a_shallow_targets_edge_is_sent_again() {
        let scratch = Scratch::new();
        scratch.commit("file", &noise(1, 50_000));
        let edge = scratch.commit("file", &noise(2, 50_000));
        let target = receiver();
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", scratch.path().display());
        git(folder.path(), &["clone", "-q", "--depth=1", &url, "clone"]);
        let clone = Repo::open(&folder.path().join("clone")).unwrap();
        fs::write(target.path().join("shallow"), format!("{edge}\n")).unwrap();
        receive(target.path(), &Packs::new(clone, edge.clone()).pack(&[]).unwrap().unwrap());
        // Now the whole history is at hand, with bitmaps, and a commit goes back to the first content.
        let reverted = scratch.commit("file", &noise(1, 50_000));
        scratch.git(&["repack", "-q", "-a", "-d", "--write-bitmap-index"]);
        receive(target.path(), &Packs::new(scratch.repo.clone(), reverted.clone()).pack(&[edge]).unwrap().unwrap());
        is_complete(target.path(), &reverted);
    }

    #[test]
    fn a_repository_that_lacks_an_object_is_an_error_and_not_a_broken_pack() {
        let (scratch, first, second) = large();
        let packs = Packs::new(scratch.repo.clone(), second);
        let blob = scratch.git(&["rev-parse", "HEAD:big"]);
        let path = scratch.path().join(".git/objects").join(&blob[..2]).join(&blob[2..]);
        let away = scratch.path().join("away");
        fs::rename(&path, &away).unwrap();
        let error = format!("{:#}", packs.pack(std::slice::from_ref(&first)).unwrap_err());
        assert!(error.contains("cannot pack") && error.contains("pack-objects"), "{error}");
        // The failure is not kept: what was repaired can be packed.
        fs::rename(&away, &path).unwrap();
        assert!(packs.pack(&[first]).unwrap().is_some());
    }
}
