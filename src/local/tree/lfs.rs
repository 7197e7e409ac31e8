//! Files that git-lfs keeps out of git. The program itself puts them into working trees; it finds them in one store for
//! all revisions, which a deployer fills through its session, or git-lfs from its server.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::files::no_links;
use crate::text;
use crate::wire::LargeFile;

use super::content::{ExternalContent, Part};
use super::git::Git;
use crate::local::fault::{Fault, Tried};
use crate::local::os::deadline::Deadline;
use crate::local::os::files;
use crate::local::os::process::Feed;
use crate::local::os::sys;
use crate::local::os::way;
use crate::local::state::layout::Layout;

/// How much of a file is in memory at once.
const PIECE: usize = 256 << 10;

/// How the names of files begin that are on their way into the store.
const INCOMING: &str = "incoming";

/// Files, and bytes, that are synced together: one by one, thousands of small files would take minutes.
const SYNCED_FILES: usize = 500;
const SYNCED_BYTES: u64 = 64 << 20;

/// Files that failed to appear which a reason names.
const NAMED: usize = 3;

/// Paths that are asked about in one command line.
const AT_ONCE: usize = 200;

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

/// Those of these files that the store lacks.
pub fn lacks(layout: &Layout, wanted: &[LargeFile]) -> Vec<LargeFile> {
    let is_there = |file: &&LargeFile| fs::metadata(place(layout, file)).is_ok_and(|it| it.len() == file.bytes());
    wanted.iter().filter(|file| !is_there(file)).cloned().collect()
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
                let reason = format!("a large file ended after {got} of {all} bytes; the connection was lost");
                return Err(Fault::failed(reason));
            }
        };
        sum.update(&piece[..length]);
        output.write_all(&piece[..length]).tried("write", temporary)?;
        left -= length as u64;
    }
    let oid: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if oid == file.oid() {
        return Ok(());
    }
    let wanted = file.oid();
    Err(Fault::failed(format!("the large file {wanted} is damaged on the deploy host: run `git lfs fsck` there")))
}

/// Has git-lfs put the large files into each part of a tree.
pub fn check_out(extras: &ExternalContent, parts: &[Part]) -> Result<(), Fault> {
    files::make_dir(&extras.layout.lfs())?;
    let mut oids = BTreeSet::new();
    for part in parts {
        extras.deadline.check()?;
        let lfs = Lfs { git: part.git_of_programs(extras), storage: extras.layout.lfs() };
        let before = lfs.listing()?;
        if !before.left.is_empty() {
            lfs.fill(part, &before)?;
            let after = lfs.listing()?;
            lfs.expect_none_left(&after)?;
            extras.out.info(format!("git-lfs checked out {}", text::counted(after.oids.len(), "file")));
        }
        oids.extend(before.oids);
    }
    let lines: String = oids.iter().map(|oid| format!("{oid}\n")).collect();
    files::write(&note(&parts[0].tree), lines.as_bytes(), 0o666)
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
        let text = no_links::read_own(&note(&layout.rev(&revision))).unwrap_or_default();
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

/// git-lfs in one working tree.
struct Lfs {
    git: Git,
    storage: PathBuf,
}

/// What git-lfs says of the files of a commit.
struct Listing {
    oids: Vec<String>,
    /// The paths where pointers stand.
    left: Vec<String>,
}

impl Lfs {
    fn call(&self, args: &[&str]) -> Result<String, Fault> {
        let answer = self.git.call(args, Feed::Nothing)?;
        let step = args.iter().skip_while(|word| **word != "lfs").take(2).copied().collect::<Vec<_>>().join(" ");
        self.git.expect(&answer, &step)?;
        Ok(answer.output)
    }

    fn listing(&self) -> Result<Listing, Fault> {
        let text = self.call(&["lfs", "ls-files", "--long", "HEAD"])?;
        let mut listing = Listing { oids: Vec::new(), left: Vec::new() };
        for line in text.lines() {
            // `OID * path` where the content stands, `OID - path` where the pointer does.
            let Some((oid, rest)) = line.split_once(' ') else { continue };
            listing.oids.push(oid.to_owned());
            listing.left.extend(rest.strip_prefix("- ").map(str::to_owned));
        }
        Ok(listing)
    }

    fn fill(&self, part: &Part, listing: &Listing) -> Result<(), Fault> {
        // It is told by the repository's own configuration alone which files are its own.
        self.call(&["lfs", "install", "--local", "--skip-repo"])?;
        // Not by `-c`: git-lfs would hand that on to what it runs on the server's side.
        let answer =
            self.git.call(&["config", "--local", "lfs.storage", &self.storage.to_string_lossy()], Feed::Nothing)?;
        self.git.expect(&answer, "config")?;
        for path in &listing.left {
            unshare(&part.tree, Path::new(path))?;
        }
        match &part.server {
            Some(url) => {
                let (git, address) = self.git.for_server(url);
                let logged_in = Lfs { git, storage: self.storage.clone() };
                logged_in.call(&["-c", &format!("remote.hoist.url={address}"), "lfs", "pull", "hoist"])
            }
            None => self.call(&["lfs", "checkout"]),
        }
        .map(drop)
    }

    /// A file that looks like a pointer, and that no attribute gives to git-lfs, is a file like others.
    fn expect_none_left(&self, listing: &Listing) -> Result<(), Fault> {
        let mut left = Vec::new();
        for paths in listing.left.chunks(AT_ONCE) {
            let mut args = vec!["check-attr", "-z", "filter", "--"];
            args.extend(paths.iter().map(String::as_str));
            let answer = self.git.call(&args, Feed::Nothing)?;
            self.git.expect(&answer, "check-attr")?;
            // `path`, `filter`, its value.
            let words: Vec<&str> = answer.output.split('\0').collect();
            left.extend(words.chunks_exact(3).filter(|words| words[2] == "lfs").map(|words| words[0].to_owned()));
        }
        if left.is_empty() {
            return Ok(());
        }
        Err(Fault::failed(format!("git-lfs found no content for {}", text::some(&left, NAMED))))
    }
}

/// Versions of git-lfs before 3.7.1 write into files as they stand; one that another revision's tree shares must not be.
fn unshare(tree: &Path, path: &Path) -> Result<(), Fault> {
    let shown = tree.join(path);
    // A service may have put a link in the place of a directory.
    let Some(entry) = way::in_tree(tree, path, false).tried("open", files::parent(&shown))? else { return Ok(()) };
    match entry.metadata() {
        Ok(found) if found.is_file() && found.nlink() > 1 => {
            let content = entry.read().tried("read", &shown)?;
            files::write_entry_or_keep(&entry, &content, found.permissions().mode() & 0o777)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_two_trees_share_is_given_a_body_of_its_own_and_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let [ours, theirs] = ["ours", "theirs"].map(|name| dir.path().join(name));
        fs::write(&ours, "pointer").unwrap();
        fs::set_permissions(&ours, fs::Permissions::from_mode(0o755)).unwrap();
        fs::hard_link(&ours, &theirs).unwrap();
        unshare(dir.path(), Path::new("ours")).unwrap();
        let found = fs::metadata(&ours).unwrap();
        assert_eq!((found.nlink(), found.permissions().mode() & 0o700), (1, 0o700));
        // As git-lfs does it.
        File::create(&ours).unwrap().write_all(b"content").unwrap();
        assert_eq!(fs::read(&theirs).unwrap(), b"pointer");
        unshare(dir.path(), Path::new("missing")).unwrap();
        unshare(dir.path(), Path::new("missing/file")).unwrap();
    }

    #[test]
    fn a_file_that_a_link_out_of_the_tree_leads_to_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let [tree, outside] = ["tree", "outside"].map(|name| dir.path().join(name));
        fs::create_dir(&tree).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "precious").unwrap();
        fs::hard_link(outside.join("file"), outside.join("name")).unwrap();
        std::os::unix::fs::symlink("../outside", tree.join("media")).unwrap();
        let error = unshare(&tree, Path::new("media/file")).unwrap_err().reason();
        assert!(error.contains("media"), "{error}");
        assert_eq!(fs::metadata(outside.join("file")).unwrap().nlink(), 2);
    }
}
