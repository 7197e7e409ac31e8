//! The cache: packs, git servers, damage, and what becomes of the trees that borrow from it.

use std::fs;
use std::path::Path;

use hoist::wire::{Fault, Fetch, Revision, Source, Stage, StageRequest};

use crate::harness::*;

fn from_server(target: &Target, run_id: &str, revision: &Revision, reference: &str) -> Reply {
    let url = format!("file://{}/.git", target.source().display());
    let source = Some(Source { url, reference: reference.to_owned(), proxy: None });
    let fetch = Some(Fetch { pack_bytes: None, shallow: Vec::new(), source, rebuild: false, ..Default::default() });
    run(&StageRequest { fetch, ..target.request(run_id, revision) }, Stage::Fetch)
}

/// Takes the objects of one blob out of the cache.
fn damage(target: &Target, spec: &str) {
    let cache = target.cache();
    let blob = git(&target.source(), &["rev-parse", spec]);
    // Loose objects can be taken one by one.
    let packs: Vec<_> = fs::read_dir(cache.join("objects/pack")).unwrap().flatten().map(|e| e.path()).collect();
    for pack in packs.iter().filter(|path| path.extension().is_some_and(|e| e == "pack")) {
        let aside = target.dir.path().join("aside.pack");
        fs::rename(pack, &aside).unwrap();
        let _ = fs::remove_file(pack.with_extension("idx"));
        let input = fs::File::open(&aside).unwrap();
        let unpack = ["--git-dir", cache.to_str().unwrap(), "unpack-objects", "-q"];
        let status = std::process::Command::new("git").args(unpack).stdin(input).status().unwrap();
        assert!(status.success());
    }
    fs::remove_file(cache.join("objects").join(&blob[..2]).join(&blob[2..])).unwrap();
}

fn broken(reply: &Reply) -> &str {
    match reply.ended().0 {
        Err(Fault::CacheBroken { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_thin_pack_builds_on_what_the_cache_has() {
    let target = Target::new();
    let big: String = (0..5000).map(|n| format!("line {n}\n")).collect();
    let one = target.commit(&[("a", &big)]);
    target.deploy(&target.request("r1", &one));
    let two = target.commit(&[("a", &(big + "more\n"))]);
    let thin = target.pack(&two, &[&one]);
    assert!(thin.len() < 2000, "{}", thin.len());
    target.fetch_pack(&target.request("r2", &two), &thin, false).ok();
    git(&target.rev(&two), &["fsck", "--no-dangling"]);

    // Both are cached now, and need nothing.
    fs::remove_dir_all(target.rev(&two)).unwrap();
    run(&target.request("r3", &two), Stage::Fetch).ok();
    assert!(target.rev(&two).join("a").exists());
}

#[test]
fn a_thin_pack_without_its_bases_tells_of_a_broken_cache() {
    let target = Target::new();
    let big: String = (0..5000).map(|n| format!("line {n}\n")).collect();
    let zero = target.commit(&[("b", "0")]);
    target.deploy(&target.request("r0", &zero));
    let one = target.commit(&[("a", &big)]);
    let two = target.commit(&[("a", &(big + "more\n"))]);
    let request = target.request("r1", &two);
    let reply = target.fetch_pack(&request, &target.pack(&two, &[&one]), false);
    assert!(broken(&reply).contains("index-pack"), "{reply:?}");
    assert_eq!(reply.state().current.as_ref(), Some(&zero));
    assert!(!target.facts(&request).cached.contains(&two));
    // Everything, into a new cache, repairs it.
    target.fetch_pack(&request, &target.pack(&two, &[]), true).ok();
    assert!(target.rev(&two).join("a").exists());
}

#[test]
fn a_commit_that_nobody_sent_tells_of_a_broken_cache() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    let reply = run(&target.request("r1", &one), Stage::Fetch);
    assert!(broken(&reply).contains("no pack came"), "{reply:?}");
}

#[test]
fn a_pack_whose_connection_was_lost_is_told_as_that_and_leaves_nothing_behind() {
    let (target, one, mut request) = Target::with_one();
    let pack = target.pack(&one, &[]);
    let pack_bytes = Some(pack.len() as u64);
    request.fetch = Some(Fetch { pack_bytes, shallow: Vec::new(), source: None, rebuild: false, ..Default::default() });
    let reply = call(&asked(&request, Stage::Fetch, 0), &pack[..pack.len() - 30]);
    let wanted = format!("the pack ended after {} of {} bytes", pack.len() - 30, pack.len());
    assert!(reply.reason().starts_with(&wanted), "{reply:?}");
    assert!(!target.root().join("cache").exists());
    let left: Vec<_> = fs::read_dir(target.root()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("cache")), "{left:?}");
}

#[test]
fn a_rebuilt_cache_takes_no_object_away_from_the_trees_that_are_kept() {
    let target = Target::new();
    // The second revision does not descend from the first, so the new cache has nothing of it.
    let one = target.commit(&[("a", "only in one")]);
    target.deploy(&target.request("r1", &one));
    git(&target.source(), &["checkout", "-q", "--orphan", "fresh"]);
    git(&target.source(), &["rm", "-rfq", "."]);
    let two = target.commit(&[("b", "2")]);
    let request = target.request("r2", &two);
    target.fetch_pack(&request, &target.pack(&two, &[]), true).ok();
    assert_eq!(target.facts(&request).cached, std::slice::from_ref(&two), "the new cache has just what came");
    git(&target.rev(&one), &["fsck", "--no-dangling"]);
    fs::remove_file(target.rev(&one).join("a")).unwrap();
    fs::remove_file(target.rev(&one).join(".git/index")).unwrap();
    run(&request, Stage::Promote).ok();
    roll_back(&request, Some(&one)).ok();
    assert_eq!(fs::read(target.live().join("a")).unwrap(), b"only in one");

    // Once the last borrower is gone, so is the old cache.
    let beside = || {
        let names = fs::read_dir(target.root()).unwrap().flatten();
        names.filter(|e| e.file_name().to_string_lossy().starts_with("cache.")).count()
    };
    assert_eq!(beside(), 1);
    let last = StageRequest { cache_revs: 0, ..target.request("r3", &two) };
    run(&last, Stage::Promote).ok();
    run(&last, Stage::Finalize).ok();
    assert_eq!(beside(), 1, "the run may still go back");
    LockHolder::start(&last).over();
    assert_eq!(beside(), 0);
    git(&target.rev(&two), &["fsck", "--no-dangling"]);
}

#[test]
fn a_checkout_from_a_damaged_cache_tells_of_a_broken_cache_and_leaves_no_tree() {
    let target = Target::new();
    let one = target.commit(&[("a", "1"), ("b", "2")]);
    let request = target.request("r1", &one);
    target.fetch(&request).ok();
    damage(&target, "HEAD:b");
    fs::remove_dir_all(target.rev(&one)).unwrap();
    let reply = run(&request, Stage::Fetch);
    assert!(!broken(&reply).is_empty());
    assert_eq!(fs::read_dir(target.root().join("revs")).unwrap().count(), 0);
    target.fetch_pack(&request, &target.pack(&one, &[]), true).ok();
    assert_eq!(fs::read(target.rev(&one).join("b")).unwrap(), b"2");
}

#[test]
fn a_cache_folder_that_is_no_repository_is_replaced() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    fs::create_dir_all(target.root().join("cache")).unwrap();
    fs::write(target.root().join("cache/junk"), "x").unwrap();
    let request = target.request("r1", &one);
    assert_eq!(target.facts(&request).cached, []);
    target.fetch(&request).ok();
    assert_eq!(target.facts(&request).cached, [one]);
}

#[test]
fn a_configuration_of_the_cache_that_is_none_is_named() {
    let (target, _, _) = Target::fetched();
    let config = target.cache().join("config");
    fs::write(&config, "garbage\n").unwrap();
    // Git goes on without it, and says so when it fails at something else.
    fs::write(target.cache().join("packed-refs"), "garbage\n").unwrap();
    let two = target.commit(&[("a", "2")]);
    let reply = target.fetch(&target.request("r2", &two));
    assert!(reply.reason().contains(&format!("garbage (in {})", config.display())), "{reply:?}");
}

#[test]
fn a_git_server_is_fetched_from_and_has_to_hold_the_revision() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    from_server(&target, "r1", &one, "refs/heads/main").ok();
    assert_eq!(fs::read(target.rev(&one).join("a")).unwrap(), b"1");
    git(&target.source(), &["tag", "-m", "annotated", "v2"]);
    let two = target.commit(&[("a", "2")]);
    let reply = from_server(&target, "r2", &two, "refs/tags/v2");
    assert!(reply.reason().contains("refs/tags/v2 on the git server does not contain"), "{reply:?}");
    // The server may have moved on, as long as it still has the revision.
    target.commit(&[("a", "3")]);
    from_server(&target, "r3", &two, "refs/heads/main").ok();
    assert_eq!(fs::read(target.rev(&two).join("a")).unwrap(), b"2");
    for reference in ["--upload-pack=x", "a:b", "+x", ""] {
        assert!(from_server(&target, "r4", &two, reference).reason().contains("is not a ref"), "{reference}");
    }
}

#[test]
fn a_server_that_is_not_there_fails_without_its_password() {
    let (_target, _, mut request) = Target::with_one();
    let (url, reference) = ("http://me:hunter2@127.0.0.1:1/x/.git".to_owned(), "main".to_owned());
    let source = Some(Source { url, reference, proxy: None });
    request.fetch = Some(Fetch { pack_bytes: None, shallow: Vec::new(), source, rebuild: false, ..Default::default() });
    let reply = run(&request, Stage::Fetch);
    assert!(reply.reason().contains("git fetch"), "{reply:?}");
    assert!(!format!("{reply:?}").contains("hunter2"), "{reply:?}");
}

#[test]
fn a_shallow_deploy_host_can_deploy() {
    let target = Target::new();
    for number in 0..3 {
        target.commit(&[("a", &number.to_string())]);
    }
    let shallow = target.dir.path().join("shallow");
    let url = format!("file://{}", target.source().display());
    git(target.dir.path(), &["clone", "-q", "--depth", "1", &url, shallow.to_str().unwrap()]);
    let deploy_host = Target { dir: tempfile::tempdir().unwrap(), base: target.base.clone() };
    fs::rename(&shallow, deploy_host.source()).unwrap();
    let tip: Revision = git(&deploy_host.source(), &["rev-parse", "HEAD"]).parse().unwrap();
    let pack = deploy_host.pack(&tip, &[]);
    let mut request = target.request("r1", &tip);
    let pack_bytes = Some(pack.len() as u64);
    request.fetch =
        Some(Fetch { pack_bytes, shallow: vec![tip.clone()], source: None, rebuild: false, ..Default::default() });
    call(&asked(&request, Stage::Fetch, 0), &pack).ok();
    assert_eq!(git(&target.rev(&tip), &["log", "--format=%H"]), tip.as_str());
    git(&target.rev(&tip), &["fsck", "--no-dangling"]);
    assert_eq!(fs::read(target.rev(&tip).join("a")).unwrap(), b"2");
}

#[test]
fn an_empty_commit_and_a_sha256_repository_deploy_too() {
    let target = Target::new();
    let empty = target.commit(&[]);
    target.deploy(&target.request("r1", &empty));

    let target = Target { dir: tempfile::tempdir().unwrap(), base: Path::new("").to_owned() };
    let target = Target { base: target.dir.path().to_owned(), ..target };
    fs::create_dir_all(target.source()).unwrap();
    git(&target.source(), &["init", "-q", "--object-format=sha256"]);
    let one = target.commit(&[("a", "1")]);
    assert_eq!(one.as_str().len(), 64);
    target.deploy(&target.request("r1", &one));
    assert_eq!(target.facts(&target.request("r2", &one)).cached, [one]);
}

#[test]
fn git_on_the_target_takes_neither_hooks_nor_settings_from_anywhere() {
    let (target, one, request) = Target::fetched();
    let hooks = target.rev(&one).join(".git/hooks");
    fs::create_dir_all(&hooks).unwrap();
    fs::write(hooks.join("post-checkout"), format!("#!/bin/sh\ntouch {}\n", target.log().display())).unwrap();
    fs::set_permissions(hooks.join("post-checkout"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    run(&StageRequest { force: true, ..request }, Stage::Fetch).ok();
    assert!(!target.log().exists());
}

#[test]
fn a_cache_in_which_packs_pile_up_is_tidied_by_git_when_a_deployment_is_done() {
    let target = Target::new();
    let mut text = String::new();
    let mut before = None;
    let packs = || {
        let names = fs::read_dir(target.cache().join("objects/pack")).unwrap().flatten();
        names.filter(|entry| entry.path().extension().is_some_and(|e| e == "pack")).count()
    };
    let mut last = None;
    for n in 0..52 {
        text.push_str(&format!("line {n}\n"));
        let revision = target.commit(&[("a", &text)]);
        let pack = target.pack(&revision, &before.iter().collect::<Vec<_>>());
        let input = target.dir.path().join("in.pack");
        fs::write(&input, &pack).unwrap();
        if n == 0 {
            target.deploy(&target.request("r0", &revision));
        }
        // As many fetches would leave them.
        let mut index = std::process::Command::new("git");
        index
            .arg("--git-dir")
            .arg(target.cache())
            .args(["index-pack", "--stdin", "--fix-thin"])
            .stdin(fs::File::open(&input).unwrap());
        assert!(index.stdout(std::process::Stdio::null()).status().unwrap().success());
        before = Some(revision.clone());
        last = Some(revision);
    }
    assert!(packs() > 50, "{}", packs());
    target.deploy(&target.request("r1", &last.unwrap()));
    until(|| packs() < 5);
}
