//! Files that git-lfs keeps out of git. They are in one store for all revisions, which a deployer fills through its
//! session, or git-lfs from its server. Hoist puts them into working trees as it does with other files: git-lfs itself
//! opens them by their paths, and follows links that a service has put there.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::text;
use crate::wire::{CUT_OFF, DAMAGED, LARGE_FILE, LargeFile, Revision};

use super::cache;
use super::content::{ExternalContent, Part};
use super::git::Git;
use super::put;
use super::put::Put;
use crate::local::fault::{Fault, Tried};
use crate::local::os::deadline::Deadline;
use crate::local::os::dir::Entry;
use crate::local::os::files;
use crate::local::os::process::Feed;
use crate::local::os::sys;
use crate::local::os::way;
use crate::local::out::Out;
use crate::local::shared::record::Record;
use crate::local::state::layout::Layout;

/// How much of a file is in memory at once.
const PIECE: usize = 256 << 10;

/// Bytes that are copied between two looks at the deadline.
const COPIED: u64 = 64 << 20;

/// How the names of files begin that are on their way into the store.
const INCOMING: &str = "incoming";

/// Files, and bytes, that are synced together: one by one, thousands of small files would take minutes.
const SYNCED_FILES: usize = 500;
const SYNCED_BYTES: u64 = 64 << 20;

/// Files without content that a reason names.
const NAMED: usize = 3;

/// Fails where git-lfs is not installed.
pub fn require(git: &Git) -> Result<(), Fault> {
    match git.call(&["lfs", "version"], Feed::Nothing)?.exit.is_ok() {
        true => Ok(()),
        false => {
            Err(Fault::failed("git_binary_manager needs git-lfs, which is not installed on this host: install it"))
        }
    }
}

fn place(layout: &Layout, file: &LargeFile) -> PathBuf {
    layout.lfs().join("objects").join(file.path())
}

fn is_stored(layout: &Layout, file: &LargeFile) -> bool {
    fs::metadata(place(layout, file)).is_ok_and(|found| found.len() == file.bytes())
}

/// Those of these files that the store lacks.
pub fn lacks(layout: &Layout, wanted: &[LargeFile]) -> Vec<LargeFile> {
    wanted.iter().filter(|file| !is_stored(layout, file)).cloned().collect()
}

/// Takes files into the store, from an input in which one follows the other. What came before a connection was lost is
/// there then, and need not be sent again.
pub fn receive(layout: &Layout, files: &[LargeFile], input: &mut dyn Read, deadline: Deadline) -> Result<(), Fault> {
    if files.is_empty() {
        return Ok(());
    }
    files::make_dir(&layout.lfs())?;
    let mut rest = files;
    while !rest.is_empty() {
        let (batch, left) = rest.split_at(batch(rest));
        receive_batch(layout, batch, input, deadline)?;
        rest = left;
    }
    Ok(())
}

/// How many of these files, at least one, are synced together.
fn batch(files: &[LargeFile]) -> usize {
    let mut bytes = 0;
    let fits = |file: &&LargeFile| {
        bytes += file.bytes();
        bytes <= SYNCED_BYTES
    };
    files.iter().take(SYNCED_FILES).take_while(fits).count().max(1)
}

fn receive_batch(layout: &Layout, batch: &[LargeFile], input: &mut dyn Read, deadline: Deadline) -> Result<(), Fault> {
    let incoming = |number: usize| layout.lfs().join(format!("{INCOMING}{number}"));
    let (mut whole, mut received) = (0, Ok(()));
    while received.is_ok() && whole < batch.len() {
        received = receive_one(&incoming(whole), &batch[whole], input, deadline);
        whole += usize::from(received.is_ok());
    }
    let store = || {
        match whole {
            0 => {}
            1 => File::open(incoming(0)).and_then(|file| files::sync(&file)).tried("sync", &incoming(0))?,
            _ => sys::sync_file_system(&layout.lfs()).tried("sync", &layout.lfs())?,
        }
        for (number, file) in batch[..whole].iter().enumerate() {
            let place = place(layout, file);
            files::make_dir(files::parent(&place))?;
            fs::rename(incoming(number), &place).tried("rename", &incoming(number))?;
        }
        Ok(())
    };
    let stored = store();
    // A full disk has to have room for what is still to be written.
    if received.is_err() || stored.is_err() {
        let _ = remove_incoming(layout);
    }
    received.and(stored)
}

/// Removes what came and was not stored.
fn remove_incoming(layout: &Layout) -> Result<(), Fault> {
    for name in files::names(&layout.lfs()).iter().filter(|name| name.starts_with(INCOMING)) {
        files::remove(&layout.lfs().join(name))?;
    }
    Ok(())
}

fn receive_one(temporary: &Path, file: &LargeFile, input: &mut dyn Read, deadline: Deadline) -> Result<(), Fault> {
    let mut output = File::create(temporary).tried("write", temporary)?;
    let (mut left, mut sum, mut piece) = (file.bytes(), Sha256::new(), vec![0; PIECE]);
    while left > 0 {
        deadline.check()?;
        let most = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let length = match input.read(&mut piece[..most]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(length) if length > 0 => length,
            _ => {
                let (got, all) = (file.bytes() - left, file.bytes());
                let reason = format!("a large file ended after {got} of {all} bytes; {CUT_OFF}");
                return Err(Fault::failed(reason));
            }
        };
        sum.update(&piece[..length]);
        output.write_all(&piece[..length]).tried("write", temporary)?;
        left -= length as u64;
    }
    if is_named(sum, file) {
        return Ok(());
    }
    let wanted = file.oid();
    Err(Fault::failed(format!("{LARGE_FILE}{wanted} is damaged on the deploy host: run `git lfs fsck` there")))
}

/// Whether this is the sum that names a file.
fn is_named(sum: Sha256, file: &LargeFile) -> bool {
    let oid: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    oid == file.oid()
}

/// Whether a file of the store is what its name says.
fn is_intact(place: &Path, file: &LargeFile, deadline: Deadline) -> Result<bool, Fault> {
    let mut sum = Sha256::new();
    files::read_in_pieces(place, deadline, |piece| sum.update(piece))?;
    Ok(is_named(sum, file))
}

/// Puts the large files into each part of a tree.
pub fn check_out(extras: &ExternalContent, revision: &Revision, parts: &[Part]) -> Result<(), Fault> {
    files::make_dir(&extras.layout.lfs())?;
    let top = &parts[0].tree;
    let mut oids = BTreeSet::new();
    for part in parts {
        extras.deadline.check()?;
        let beside = put::beside(&extras.layout, revision, "large-files");
        let put = Put { git: part.git(extras.deadline), top, tree: &part.tree, beside };
        let own = put::beside(&extras.layout, revision, "lfs");
        files::remove_leftover(&own)?;
        let (git, server) = (repository(extras, part, &own)?, part.server.as_deref());
        let lfs = Lfs { layout: &extras.layout, revision, git, put, server, received: &extras.received };
        let there = lfs.check_out(&extras.out);
        files::remove_leftover(&own)?;
        oids.extend(there?);
    }
    let lines: String = oids.iter().map(|oid| format!("{oid}\n")).collect();
    files::write(&note(top), lines.as_bytes(), 0o666)
}

/// Makes a repository for git-lfs to work in, with the commit and the objects of a part's. From the working tree of a
/// submodule, a service that owns that could lead it to a repository of its own, whose configuration it would obey and
/// write to.
fn repository(extras: &ExternalContent, part: &Part, place: &Path) -> Result<Git, Fault> {
    let head = part.git_dir.join("HEAD");
    let commit = files::read(&head).tried("read", &head)?;
    let git = Git::tree(place, extras.deadline);
    git.init(commit.trim_ascii_end().len() == 64)?;
    let objects = format!("{}\n", part.git_dir.join("objects").display()).into_bytes();
    for (name, content) in [("HEAD", commit), ("objects/info/alternates", objects)] {
        let path = git.dir().join(name);
        fs::write(&path, content).tried("write", &path)?;
    }
    Ok(match cache::git_dir(&extras.layout.cache()) {
        Some(dir) => git.for_lfs(dir.join("objects")),
        None => git,
    })
}

/// Where a tree's large files are noted, so that the store keeps them.
fn note(tree: &Path) -> PathBuf {
    tree.join(".git/hoist-large-files")
}

/// Removes what no tree of a revision needs from the store.
pub fn prune(layout: &Layout) -> Result<(), Fault> {
    let objects = layout.lfs().join("objects");
    let mut needed = BTreeSet::new();
    for revision in layout.folders() {
        let text = files::read(&note(&layout.rev(&revision))).unwrap_or_default();
        needed.extend(String::from_utf8_lossy(&text).lines().map(str::to_owned));
    }
    for one in files::names(&objects) {
        for two in files::names(&objects.join(&one)) {
            let folder = objects.join(&one).join(two);
            for name in files::names(&folder).iter().filter(|name| !needed.contains(*name)) {
                files::remove(&folder.join(name))?;
            }
        }
    }
    // What a killed git-lfs, or a connection that was lost, left half done. Only one stage works at a time.
    remove_incoming(layout)?;
    files::remove_leftover(&layout.lfs().join("tmp"))
}

/// The large files of one repository of a tree.
struct Lfs<'a> {
    layout: &'a Layout,
    /// The one of the tree.
    revision: &'a Revision,
    /// For git-lfs: see [`repository`].
    git: Git,
    put: Put<'a>,
    /// See [`Part::server`].
    server: Option<&'a str>,
    /// See [`ExternalContent::received`].
    received: &'a HashSet<String>,
}

impl Lfs<'_> {
    /// Puts them into their places. Gives the SHA-256 of all that the commit has, in hexadecimal digits.
    fn check_out(&self, out: &Out) -> Result<BTreeSet<String>, Fault> {
        let oids = self.oids()?;
        let left = if oids.is_empty() { Vec::new() } else { self.pointers(&oids)? };
        if !left.is_empty() {
            self.fill(&left)?;
            out.info(format!("git-lfs checked out {}", text::counted(left.len(), "file")));
        }
        Ok(oids)
    }

    fn call(git: &Git, args: &[&str]) -> Result<String, Fault> {
        let answer = git.call(args, Feed::Nothing)?;
        let step = args.iter().skip_while(|word| **word != "lfs").take(2).copied().collect::<Vec<_>>().join(" ");
        git.expect(&answer, &step)?;
        Ok(answer.text().into_owned())
    }

    /// `OID - path`, a line each, where paths are not quoted: the rest of one with a line feed in it is on a line of its
    /// own.
    fn oids(&self) -> Result<BTreeSet<String>, Fault> {
        let text = Lfs::call(&self.git, &["lfs", "ls-files", "--long", "HEAD"])?;
        let oids = text.lines().filter_map(|line| LargeFile::new(line.split_once(' ')?.0, 0).ok());
        Ok(oids.map(|file| file.oid().to_owned()).collect())
    }

    /// The files in whose places their pointers stand. A file that looks like a pointer, and that no attribute gives to
    /// git-lfs, is a file like others.
    fn pointers(&self, oids: &BTreeSet<String>) -> Result<Vec<(PathBuf, LargeFile)>, Fault> {
        let record = Record::of(self.put.top);
        let tracked = self.put.tracked()?;
        let paths: Vec<&Path> = tracked.iter().map(PathBuf::as_path).collect();
        let filters = self.put.git.attribute("filter", &paths)?;
        let mut found = Vec::new();
        for (path, _) in tracked.iter().zip(filters).filter(|(_, filter)| filter == "lfs") {
            self.put.git.deadline().check()?;
            let below = self.put.prefix().join(path);
            // What is there behind a link to shared content is others' to change.
            if record.covers(&below) {
                continue;
            }
            // A service may have put a link in the place of a directory.
            let entry =
                way::in_tree(self.put.top, &below, false).tried("open", files::parent(&self.put.top.join(&below)))?;
            let pointer = entry.and_then(|entry| pointer(&entry)).filter(|file| oids.contains(file.oid()));
            found.extend(pointer.map(|file| (path.clone(), file)));
        }
        Ok(found)
    }

    fn fill(&self, left: &[(PathBuf, LargeFile)]) -> Result<(), Fault> {
        let (git, storage) = (&self.put.git, self.layout.lfs());
        // Git takes contents for what was committed if it can ask git-lfs, which is told by the repository's own
        // configuration alone which files are its own.
        Lfs::call(git, &["lfs", "install", "--local", "--skip-repo"])?;
        // Not by `-c`: git-lfs would hand that on to what it runs on the server's side.
        let keep = |git: &Git| {
            let answer = git.call(&["config", "--local", "lfs.storage", &storage.to_string_lossy()], Feed::Nothing)?;
            git.expect(&answer, "config")
        };
        keep(git)?;
        let damaged = self.remove_damaged(left)?;
        let lacks = |(_, file): &&(PathBuf, LargeFile)| !is_stored(self.layout, file);
        if let Some(url) = self.server.filter(|_| left.iter().any(|file| lacks(&file))) {
            keep(&self.git)?;
            let (git, address) = self.git.for_server(url);
            Lfs::call(&git, &["-c", &format!("remote.hoist.url={address}"), "lfs", "fetch", "hoist"])?;
        }
        let lacking: Vec<String> = left.iter().filter(lacks).map(|(path, _)| path.display().to_string()).collect();
        if !lacking.is_empty() {
            let named = text::some(&lacking, NAMED);
            // With a git server the content was not there either.
            let reason = match self.server {
                None if !damaged.is_empty() => format!("the content of {} was {DAMAGED}", text::some(&damaged, NAMED)),
                None => {
                    let short = self.revision.short();
                    format!("git-lfs found no content for {named}: `hoist deploy -r {short}` brings it")
                }
                Some(_) => format!("git-lfs found no content for {named}"),
            };
            return Err(Fault::failed(reason));
        }
        let paths: Vec<PathBuf> = left.iter().map(|(path, _)| path.clone()).collect();
        self.put.filled_files(&paths, |beside| {
            left.iter().try_for_each(|(path, file)| self.copy(file, &beside.join(path)))
        })?;
        self.put.remember(&paths)
    }

    /// Removes those contents of these files from the store that are not what their names say; a disk may have changed
    /// them, or somebody. Gives the paths of their files.
    ///
    /// It reads what is about to be put into a tree once more than the copy does, at the speed of SHA-256: about a second
    /// for a gigabyte, or three where the processor has no instructions for it. What came with the request was looked at
    /// then, and what is in a tree already is not read.
    fn remove_damaged(&self, left: &[(PathBuf, LargeFile)]) -> Result<Vec<String>, Fault> {
        let (mut judged, mut damaged) = (HashSet::new(), HashSet::new());
        for (_, file) in left.iter().filter(|(_, file)| !self.received.contains(file.oid())) {
            if !judged.insert(file.oid()) || !is_stored(self.layout, file) {
                continue;
            }
            let place = place(self.layout, file);
            if !is_intact(&place, file, self.put.git.deadline())? {
                files::remove(&place)?;
                damaged.insert(file.oid());
            }
        }
        let files = left.iter().filter(|(_, file)| damaged.contains(file.oid()));
        Ok(files.map(|(path, _)| path.display().to_string()).collect())
    }

    /// Replaces a pointer, where nobody else writes, with its content.
    fn copy(&self, file: &LargeFile, to: &Path) -> Result<(), Fault> {
        let place = place(self.layout, file);
        let mut from = File::open(&place).tried("read", &place)?;
        // Its mode stays.
        let mut output = OpenOptions::new().write(true).truncate(true).open(to).tried("write", to)?;
        if sys::clone_file(&from, &output).is_ok() {
            return Ok(());
        }
        loop {
            self.put.git.deadline().check()?;
            if io::copy(&mut (&mut from).take(COPIED), &mut output).tried("write", to)? == 0 {
                return Ok(());
            }
        }
    }
}

/// Whether an entry is a pointer.
pub fn is_pointer(entry: &Entry) -> bool {
    pointer(entry).is_some()
}

/// The pointer at an entry, if it is one.
fn pointer(entry: &Entry) -> Option<LargeFile> {
    let is_small = |found: &Metadata| found.is_file() && found.len() < LargeFile::POINTER;
    entry.metadata().ok().filter(is_small)?;
    LargeFile::of_pointer(&String::from_utf8(entry.read().ok()?).ok()?)
}
