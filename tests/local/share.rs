//! Trees that share files: what comes of it is the tree of a plain checkout, and no revision sees another's changes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::io::{Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use hoist::wire::{CheckPoint, Level, Revision, Stage, StageRequest};

use crate::harness::*;

/// Every path of a working tree without git's own: its mode, and its content or where it leads.
fn tree(top: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let (path, meta) = (entry.path(), entry.metadata().unwrap());
            let inside = path.strip_prefix(top).unwrap().to_owned();
            if inside == Path::new(".git") {
                continue;
            }
            let content = match meta.file_type() {
                kind if kind.is_symlink() => fs::read_link(&path).unwrap().as_os_str().as_bytes().to_owned(),
                kind if kind.is_dir() => {
                    folders.push(path);
                    Vec::new()
                }
                _ => fs::read(&path).unwrap(),
            };
            found.insert(inside, (meta.mode(), content));
        }
    }
    found
}

/// Fetches a revision, and holds its tree to the one that a checkout from nothing makes.
#[track_caller]
fn fetched_as_plainly(target: &Target, run_id: &str, revision: &Revision) {
    let request = target.request(run_id, revision);
    target.fetch(&request).ok();
    let plain = Target { dir: tempfile::tempdir().unwrap(), base: PathBuf::new() };
    let plain = Target { base: plain.dir.path().to_owned(), ..plain };
    let mut alone = StageRequest { link_files: false, ..request };
    alone.header.deploy_dir = plain.deploy_dir();
    target.fetch(&alone).ok();
    assert_eq!(tree(&target.rev(revision)), tree(&plain.rev(revision)), "{run_id}");
    for top in [target.rev(revision), plain.rev(revision)] {
        assert_eq!(git(&top, &["status", "--porcelain", "--ignored"]), "");
        assert_eq!(git(&top, &["rev-parse", "HEAD"]), revision.as_str());
        git(&top, &["fsck", "--strict", "--no-dangling"]);
    }
    let listed = |top: &Path| git(top, &["ls-files", "--stage"]);
    assert_eq!(listed(&target.rev(revision)), listed(&plain.rev(revision)));
}

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

fn is_shared(target: &Target, one: &Revision, other: &Revision, name: &str) -> bool {
    inode(&target.rev(one).join(name)) == inode(&target.rev(other).join(name))
}

/// Writes into a file in place, and hides it as well as anybody can: length and times are as they were.
fn write_in_place(path: &Path, text: &str) {
    let before = fs::metadata(path).unwrap();
    assert_eq!(before.len(), text.len() as u64);
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(text.as_bytes(), 0).unwrap();
    let times = FileTimes::new().set_modified(before.modified().unwrap()).set_accessed(before.accessed().unwrap());
    file.set_times(times).unwrap();
}

/// A target on which a first revision of `files` is deployed.
fn deployed(files: &[(&str, &str)]) -> (Target, Revision) {
    let target = Target::new();
    let one = target.commit(files);
    target.deploy(&target.request("r1", &one));
    (target, one)
}

#[test]
fn a_change_of_one_file_writes_one_file() {
    let names: Vec<String> = (0..300).map(|n| format!("d{}/e{}/f{n}", n % 9, n % 4)).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    let (target, one) = deployed(&files);
    let two = target.commit(&[("d3/e3/f3", "changed")]);
    fetched_as_plainly(&target, "r2", &two);
    let written: Vec<&String> = names.iter().filter(|name| !is_shared(&target, &one, &two, name)).collect();
    assert_eq!(written, ["d3/e3/f3"]);
    assert_eq!(fs::read(target.live().join("d3/e3/f3")).unwrap(), b"d3/e3/f3");
    assert_eq!(git(&target.live(), &["status", "--porcelain"]), "");

    // From one to the next, and on after old trees are gone.
    let mut before = two;
    for round in 3..7 {
        let next = target.commit(&[("new", &round.to_string())]);
        let request = StageRequest { cache_revs: 1, ..target.request(&format!("r{round}"), &before) };
        run(&request, Stage::Promote).ok();
        run(&request, Stage::Finalize).ok();
        fetched_as_plainly(&target, &format!("r{round}b"), &next);
        assert!(names.iter().all(|name| is_shared(&target, &before, &next, name)), "in round {round}");
        before = next;
    }
}

#[test]
fn whatever_a_revision_changes_its_tree_is_that_of_a_plain_checkout() {
    let (target, _) =
        deployed(&[("keep", "k"), ("a/b/c", "1"), ("run!", "#!/bin/sh\n"), ("gone/x", "x"), ("empty", "")]);
    let source = target.source();
    let deploy = |run: &str| {
        let revision = target.commit(&[]);
        fetched_as_plainly(&target, run, &revision);
        target.deploy(&target.request(run, &revision));
    };
    symlink("keep", source.join("link")).unwrap();
    fs::write(source.join(OsStr::from_bytes(b"\xff\xfe not utf-8 \n")), "odd").unwrap();
    fs::write(source.join("ø umlaut"), "odd").unwrap();
    fs::write(source.join("n".repeat(250)), "long").unwrap();
    let deep = source.join(vec!["deep".repeat(40); 12].join("/"));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), "deep").unwrap();
    fs::create_dir_all(source.join("sub/module")).unwrap();
    git(&source, &["update-index", "--add", "--cacheinfo", &format!("160000,{},sub/module", "1".repeat(40))]);
    deploy("r2");
    fs::remove_dir_all(source.join("gone")).unwrap();
    fs::set_permissions(source.join("run"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(source.join("keep"), fs::Permissions::from_mode(0o755)).unwrap();
    deploy("r3");
    // A file becomes a folder, a folder a file, a link a file, a file a link.
    fs::remove_file(source.join("keep")).unwrap();
    fs::create_dir(source.join("keep")).unwrap();
    fs::write(source.join("keep/inside"), "i").unwrap();
    fs::remove_dir_all(source.join("a")).unwrap();
    fs::write(source.join("a"), "file").unwrap();
    fs::remove_file(source.join("link")).unwrap();
    fs::write(source.join("link"), "file").unwrap();
    fs::remove_file(source.join("empty")).unwrap();
    symlink("a", source.join("empty")).unwrap();
    deploy("r4");
    git(&source, &["checkout", "-q", "HEAD~2", "--", "."]);
    deploy("r5");
    git(&source, &["rm", "-rqf", "."]);
    deploy("r6");
    fs::write(source.join("again"), "a").unwrap();
    deploy("r7");
}

#[test]
fn attributes_that_convert_files_are_obeyed_in_every_revision() {
    let text = "one\n$Id$\n";
    let (target, one) =
        deployed(&[("a.txt", text), ("b.txt", text), ("raw.bin", text), (".gitattributes", "*.bin -text\n")]);
    // A file that did not change becomes another one by other attributes.
    let two = target.commit(&[(".gitattributes", "a.txt eol=crlf\nb.txt ident\n")]);
    fetched_as_plainly(&target, "r2", &two);
    assert_eq!(fs::read(target.rev(&two).join("a.txt")).unwrap(), b"one\r\n$Id$\r\n");
    target.deploy(&target.request("r2", &two));
    let three = target.commit(&[("other", "3")]);
    fetched_as_plainly(&target, "r3", &three);
    let shared = |name| is_shared(&target, &two, &three, name);
    assert_eq!([shared("a.txt"), shared("b.txt"), shared("raw.bin")], [false, false, true]);
    target.deploy(&target.request("r3", &three));
    // Files of a filter are never shared: its own programs may write them in place.
    let four = target.commit(&[(".gitattributes", "*.bin filter=lfs diff=lfs -text\n")]);
    target.deploy(&target.request("r4", &four));
    let five = target.commit(&[("other", "5"), ("sub/.gitattributes", "*.txt working-tree-encoding=ISO-8859-1\n")]);
    fetched_as_plainly(&target, "r5", &five);
    target.deploy(&target.request("r5", &five));
    let six = target.commit(&[("other", "6"), ("sub/x.txt", "x")]);
    fetched_as_plainly(&target, "r6", &six);
    assert!(is_shared(&target, &five, &six, "a.txt") && !is_shared(&target, &five, &six, "raw.bin"));
    assert!(!is_shared(&target, &one, &six, "raw.bin"));
}

#[test]
fn what_somebody_did_to_the_live_tree_neither_leaks_nor_gets_lost() {
    let names = ["hidden", "edited", "replaced", "linked", "chmodded", "staged", "assumed", "skipped", "gone", "same"];
    let files: Vec<(&str, &str)> = names.iter().map(|name| (*name, "right")).collect();
    for indexed in [false, true] {
        let (target, one) = deployed(&files);
        let live = target.rev(&one);
        write_in_place(&live.join("hidden"), "wrong");
        fs::write(live.join("edited"), "wrong, too").unwrap();
        fs::write(live.join("other"), "wrong").unwrap();
        fs::rename(live.join("other"), live.join("replaced")).unwrap();
        fs::remove_file(live.join("linked")).unwrap();
        symlink("same", live.join("linked")).unwrap();
        fs::set_permissions(live.join("chmodded"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::remove_file(live.join("gone")).unwrap();
        if indexed {
            // Git is told as well, which takes the index's seal away.
            for name in ["staged", "assumed", "skipped"] {
                fs::write(live.join(name), "wrong").unwrap();
            }
            git(&live, &["add", "staged"]);
            git(&live, &["update-index", "--assume-unchanged", "assumed"]);
            git(&live, &["update-index", "--skip-worktree", "skipped"]);
        }
        let before = tree(&live);
        let two = target.commit(&[("new", "2")]);
        fetched_as_plainly(&target, "r2", &two);
        assert!(names.iter().all(|name| fs::read(target.rev(&two).join(name)).unwrap() == b"right"));
        assert!(is_shared(&target, &one, &two, "same"));
        assert_eq!(tree(&live), before);
    }
}

#[test]
fn a_file_that_was_touched_or_linked_is_read_and_shared_all_the_same() {
    let (target, one) = deployed(&[("touched", "1"), ("linked", "2"), ("copied", "3")]);
    let live = target.rev(&one);
    File::open(live.join("touched")).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    fs::hard_link(live.join("linked"), target.dir.path().join("another")).unwrap();
    fs::copy(live.join("copied"), live.join("copy")).unwrap();
    fs::rename(live.join("copy"), live.join("copied")).unwrap();
    let two = target.commit(&[("new", "2")]);
    fetched_as_plainly(&target, "r2", &two);
    assert!(["touched", "linked", "copied"].into_iter().all(|name| is_shared(&target, &one, &two, name)));
}

#[test]
fn an_index_of_an_unusual_kind_is_left_to_a_plain_checkout() {
    for args in [
        &["update-index", "--index-version", "4"][..],
        &["update-index", "--split-index"],
        &["sparse-checkout", "set", "--sparse-index", "d"],
    ] {
        let (target, one) = deployed(&[("a", "1"), ("d/b", "2"), ("e/c", "3")]);
        git(&target.rev(&one), args);
        let two = target.commit(&[("new", "2")]);
        fetched_as_plainly(&target, "r2", &two);
        assert!(!is_shared(&target, &one, &two, "a"), "{args:?}");
    }
    let (target, one) = deployed(&[("a", "1")]);
    let index = target.rev(&one).join(".git/index");
    let whole = fs::read(&index).unwrap();
    for (number, length) in [0, 11, 12, 60, whole.len() - 21, whole.len()].into_iter().enumerate() {
        let mut bytes = whole[..length].to_vec();
        bytes.extend(vec![0xff; whole.len() - length]);
        if length == whole.len() {
            bytes[8..12].fill(0xff);
        }
        fs::write(&index, bytes).unwrap();
        let two = target.commit(&[("new", &number.to_string())]);
        fetched_as_plainly(&target, &format!("s{number}"), &two);
    }
}

#[test]
fn a_file_whose_permissions_or_owner_a_checkout_would_not_give_is_written_anew() {
    let (target, one) = deployed(&[("a", "1"), ("run!", "#!/bin/sh\n")]);
    let two = target.commit(&[("new", "2")]);
    let mut strict = target.request("r2", &two);
    strict.header.umask = Some(0o027);
    target.fetch(&strict).ok();
    let mode = |name: &str| fs::metadata(target.rev(&two).join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode("a"), mode("run"), mode("new")), (0o640, 0o750, 0o640));
    assert!(!is_shared(&target, &one, &two, "a"));
    // Chowning is root's.
    if std::os::unix::fs::chown(target.rev(&one).join("a"), Some(12345), None).is_ok() {
        let three = target.commit(&[("new", "3")]);
        fetched_as_plainly(&target, "r3", &three);
        let owner = |revision| fs::metadata(target.rev(revision).join("a")).unwrap().uid();
        assert_eq!((owner(&one), owner(&three)), (12345, owner(&two)));
    }
}

#[test]
fn a_deployment_that_is_not_to_share_files_shares_none() {
    let (target, one) = deployed(&[("a", "1")]);
    let two = target.commit(&[("new", "2")]);
    target.fetch(&StageRequest { link_files: false, ..target.request("r2", &two) }).ok();
    assert!(!is_shared(&target, &one, &two, "a"));
}

#[test]
fn a_rendered_file_takes_the_place_of_a_shared_one_and_does_not_write_into_it() {
    let (target, one) = deployed(&[("settings", "committed")]);
    let two = target.commit(&[("new", "2")]);
    let mut request = target.request("r2", &two);
    request.config_files = Some(vec![config_file("settings", "t")]);
    request.templates.insert("t".to_owned(), "rendered".to_owned());
    target.fetch(&request).ok();
    assert!(is_shared(&target, &one, &two, "settings"));
    run(&request, Stage::ConfigDeploy).ok();
    assert_eq!(fs::read(target.rev(&two).join("settings")).unwrap(), b"rendered");
    assert_eq!(fs::read(target.live().join("settings")).unwrap(), b"committed");
    run(&request, Stage::Promote).ok();
    assert_eq!(fs::read(target.live().join("settings")).unwrap(), b"rendered");
    // A forced checkout leaves it there, since it is live; once it is not configured any more, promote does not.
    run(&StageRequest { force: true, ..target.request("r3", &two) }, Stage::Fetch).ok();
    assert_eq!(fs::read(target.live().join("settings")).unwrap(), b"rendered");
    run(&target.request("r3", &two), Stage::Promote).ok();
    assert_eq!(fs::read(target.live().join("settings")).unwrap(), b"committed");
}

#[test]
fn a_rollback_serves_nothing_that_was_written_into_the_newer_revision() {
    let (target, one) = deployed(&[("shared", "right"), ("run!", "exit 0"), ("sub/x", "right"), ("own", "right")]);
    fs::remove_file(target.live().join("own")).unwrap();
    fs::write(target.live().join("own"), "patch").unwrap();
    let two = target.commit(&[("new", "2")]);
    let mut request = target.request("r2", &two);
    target.fetch(&request).ok();
    let modify = "printf wrong | dd of=shared conv=notrunc status=none; chmod -x run; : > sub/x";
    request.checks = vec![check("build", CheckPoint::After(Stage::Promote), modify)];
    run(&request, Stage::Promote).ok();
    assert_eq!(fs::read(target.rev(&one).join("shared")).unwrap(), b"wrong", "one file by two names");
    let back = roll_back(&StageRequest { checks: Vec::new(), ..request }, Some(&one)).ok();
    assert_eq!(fs::read(target.live().join("shared")).unwrap(), b"right");
    assert_eq!(fs::read(target.live().join("sub/x")).unwrap(), b"right");
    assert_eq!(fs::metadata(target.live().join("run")).unwrap().mode() & 0o777, 0o775);
    assert_eq!(fs::read(target.live().join("own")).unwrap(), b"patch", "a change on purpose stays");
    assert_eq!(git(&target.live(), &["status", "--porcelain"]), " M own");
    let warnings = back.lines(Level::Warning).join("\n");
    assert!(warnings.contains("2 files") && warnings.contains("1 file (sub/x)"), "{back:?}");
    // The newer one keeps what was made of it, as long as nobody deploys it again.
    assert_eq!(fs::read(target.rev(&two).join("shared")).unwrap(), b"wrong");
}

#[test]
fn a_rollback_of_a_host_that_was_never_promoted_undoes_what_the_fetch_wrote_and_nothing_else() {
    let (target, one) = deployed(&[("shared", "right"), ("patched", "right")]);
    let two = target.commit(&[("new", "2")]);
    target.deploy(&target.request("r2", &two));
    // Somebody patches what is live, in place; it has an older name too.
    fs::write(target.live().join("patched"), "patch").unwrap();
    assert!(is_shared(&target, &one, &two, "patched"));
    let three = target.commit(&[("new", "3")]);
    let mut request = target.request("r3", &three);
    request.checks = vec![check("build", CheckPoint::After(Stage::Fetch), "printf wrong > shared; exit 1")];
    assert!(!target.fetch(&request).events.is_empty());
    assert_eq!(fs::read(target.live().join("shared")).unwrap(), b"wrong");
    roll_back(&StageRequest { checks: Vec::new(), ..request }, Some(&two)).ok();
    assert_eq!(fs::read(target.live().join("shared")).unwrap(), b"right");
    assert_eq!(fs::read(target.live().join("patched")).unwrap(), b"patch");
}

#[test]
fn a_file_that_a_filter_fills_is_left_alone_whatever_other_names_it_has() {
    let (target, one) =
        deployed(&[(".gitattributes", "*.big filter=lfs\n"), ("a.big", "pointer"), ("shared", "right")]);
    // As git-lfs puts it there, with the other name that somebody's backup by hard links gives it.
    let file = target.rev(&one).join("a.big");
    fs::write(&file, "content").unwrap();
    fs::hard_link(&file, target.dir.path().join("backup")).unwrap();
    let two = target.commit(&[("new", "2")]);
    target.deploy(&target.request("r2", &two));
    assert!(is_shared(&target, &one, &two, "shared") && !is_shared(&target, &one, &two, "a.big"));
    fs::write(target.live().join("shared"), "wrong").unwrap();
    run(&StageRequest { kept: true, ..target.request("r3", &one) }, Stage::Promote).ok();
    assert_eq!(fs::read(target.live().join("shared")).unwrap(), b"right");
    assert_eq!(fs::read(target.live().join("a.big")).unwrap(), b"content");
}

#[test]
fn a_revision_that_goes_live_again_is_as_it_was_committed_with_or_without_a_fetch() {
    for with_fetch in [true, false] {
        let (target, one) = deployed(&[("shared", "right")]);
        let two = target.commit(&[("new", "2")]);
        target.deploy(&target.request("r2", &two));
        fs::write(target.live().join("shared"), "wrong").unwrap();
        let mut request = StageRequest { kept: !with_fetch, ..target.request("r3", &one) };
        if with_fetch {
            // What a check makes of the tree after that is wanted.
            let word = "printf checked > shared";
            request.checks = vec![check("build", CheckPoint::After(Stage::Fetch), word)];
            run(&request, Stage::Fetch).ok();
        }
        run(&request, Stage::Promote).ok();
        let found = fs::read(target.live().join("shared")).unwrap();
        assert_eq!(String::from_utf8_lossy(&found), if with_fetch { "checked" } else { "right" });
        assert_eq!(fs::read(target.rev(&two).join("shared")).unwrap(), b"wrong");
    }
}

#[test]
fn a_file_that_is_being_written_to_is_not_shared_half_written() {
    let names: Vec<String> = (0..40).map(|n| format!("f{n:02}")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "right")).collect();
    let (target, one) = deployed(&files);
    let mut file = File::options().write(true).open(target.rev(&one).join("f20")).unwrap();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                file.rewind().unwrap();
                file.write_all(b"wrong").unwrap();
            }
        });
        for round in 0..10 {
            let two = target.commit(&[("new", &round.to_string())]);
            target.fetch(&target.request(&format!("s{round}"), &two)).ok();
            assert_eq!(fs::read(target.rev(&two).join("f20")).unwrap(), b"right");
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_fetch_of_a_sha256_repository_shares_as_well() {
    let target = Target { dir: tempfile::tempdir().unwrap(), base: PathBuf::new() };
    let target = Target { base: target.dir.path().to_owned(), ..target };
    fs::create_dir_all(target.source()).unwrap();
    git(&target.source(), &["init", "-q", "--object-format=sha256"]);
    let one = target.commit(&[("a", "1"), ("b", "1")]);
    target.deploy(&target.request("r1", &one));
    let two = target.commit(&[("a", "2")]);
    let request = target.request("r2", &two);
    let pack = target.pack(&two, &[&one]);
    target.fetch_pack(&request, &pack, false).ok();
    assert!(is_shared(&target, &one, &two, "b"));
    assert_eq!(git(&target.rev(&two), &["status", "--porcelain"]), "");
}
