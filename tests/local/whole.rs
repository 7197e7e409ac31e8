//! Trees that were kept and have lost files since: nothing goes live that is not whole.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use hoist::wire::{CheckPoint, ExternalContent, Fault, Level, Revision, Stage, StageRequest, SubmoduleSource};

use crate::harness::*;

const FILES: [(&str, &str); 5] =
    [("a", "1"), ("app/x", "x"), ("app/sub/y", "y"), ("app/run!", "#!/bin/sh\n"), ("e", "")];

/// One revision that was deployed, with a configuration file, and another one that is finalized.
fn two_deployed() -> (Target, Revision, StageRequest) {
    let target = Target::new();
    let one = target.commit(&FILES);
    let with_file = |run: &str, revision: &Revision| {
        let mut request = target.request(run, revision);
        request.config_files = Some(vec![config_file(&target.etc("app.conf"), "t"), config_file("inside", "t")]);
        request.templates.insert("t".to_owned(), format!("of {run}"));
        request
    };
    target.deploy(&with_file("r1", &one));
    let two = target.commit(&[("a", "2")]);
    let second = with_file("r2", &two);
    target.deploy(&second);
    (target, one, second)
}

fn kept(target: &Target, run: &str, revision: &Revision) -> StageRequest {
    StageRequest { kept: true, ..target.request(run, revision) }
}

#[track_caller]
fn is_whole(target: &Target) {
    for (name, text) in FILES {
        let name = name.trim_end_matches('!');
        assert_eq!(fs::read_to_string(target.live().join(name)).unwrap(), text, "{name}");
    }
    assert_eq!(git(&target.live(), &["status", "--porcelain"]), "?? inside");
    assert_eq!(target.reads(&target.etc("app.conf")), "of r1");
    assert_eq!(target.reads(&target.live().join("inside").display().to_string()), "of r1");
}

#[test]
fn a_file_or_a_link_in_the_place_of_a_tree_is_replaced_with_the_tree_and_nothing_is_left_of_it() {
    let (target, one, two) = (Target::new(), "one", "two");
    let revs = target.root().join("revs");
    fs::create_dir_all(&revs).unwrap();
    let outside = target.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    // What an earlier Hoist could not remove.
    fs::write(revs.join("0.tmp-removed-r0"), "").unwrap();
    for run in [one, two] {
        let revision = target.commit(&[("a", run)]);
        match run {
            "one" => fs::write(target.rev(&revision), "stray").unwrap(),
            _ => symlink(&outside, target.rev(&revision)).unwrap(),
        }
        target.deploy(&target.request(run, &revision));
        assert_eq!(fs::read_to_string(target.live().join("a")).unwrap(), run);
        let left = fs::read_dir(&revs).unwrap().flatten().map(|entry| entry.file_name());
        assert!(left.into_iter().all(|name| name.len() == 40), "something is left");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn a_live_tree_that_a_promote_alone_has_to_restore_is_restarted() {
    let (target, _, second) = two_deployed();
    target.forget_log();
    fs::remove_file(target.live().join("a")).unwrap();
    let again = in_run("r3", second.clone());
    run(&again, Stage::Promote).ok();
    assert_eq!(fs::read(target.live().join("a")).unwrap(), b"2");
    assert_eq!(target.logged(), ["restart app"]);
    run(&again, Stage::Promote).ok().says("already live");
    assert_eq!(target.logged(), ["restart app"]);
}

/// What becomes of a tree.
type Loss<'a> = &'a dyn Fn(&Path);

#[test]
fn a_kept_tree_that_lost_files_is_whole_again_before_it_goes_live() {
    let losses: [(&str, Loss); 9] = [
        ("app is gone", &|tree| fs::remove_dir_all(tree.join("app")).unwrap()),
        ("emptied", &|tree| ["app/x", "app/run", "a"].iter().for_each(|name| fs::write(tree.join(name), "").unwrap())),
        ("a folder in a file's place", &|tree| {
            fs::remove_file(tree.join("a")).unwrap();
            fs::create_dir(tree.join("a")).unwrap();
        }),
        ("a link in a folder's place", &|tree| {
            fs::rename(tree.join("app"), tree.join("elsewhere")).unwrap();
            symlink("elsewhere", tree.join("app")).unwrap();
        }),
        ("no .git", &|tree| fs::remove_dir_all(tree.join(".git")).unwrap()),
        ("no index", &|tree| {
            fs::remove_file(tree.join(".git/index")).unwrap();
            fs::remove_dir_all(tree.join("app")).unwrap();
        }),
        ("a damaged index", &|tree| {
            let mut index = fs::read(tree.join(".git/index")).unwrap();
            index.iter_mut().skip(100).for_each(|byte| *byte = 0xab);
            fs::write(tree.join(".git/index"), index).unwrap();
            fs::remove_dir_all(tree.join("app")).unwrap();
        }),
        ("an index of another form", &|tree| {
            git(tree, &["update-index", "--index-version", "4"]);
            fs::remove_dir_all(tree.join("app")).unwrap();
            fs::write(tree.join("a"), "").unwrap();
        }),
        ("no configuration files", &|tree| {
            fs::remove_dir_all(tree.join(".git/config-files")).unwrap();
            fs::write(tree.join("inside"), "").unwrap();
        }),
    ];
    for (what, lose) in losses {
        for way in ["roll back", "promote", "fetch"] {
            let (target, one, second) = two_deployed();
            lose(&target.rev(&one));
            let _ = fs::remove_dir_all(target.rev(&one).join("elsewhere"));
            println!("{what}, {way}");
            match way {
                "roll back" => drop(roll_back(&StageRequest { force: true, ..second.clone() }, Some(&one)).ok()),
                _ => {
                    let request = kept(&target, "r3", &one);
                    if way == "fetch" {
                        run(&request, Stage::Fetch).ok();
                    }
                    if way == "promote" && matches!(what, "no .git" | "no index") {
                        run(&request, Stage::Promote).reason();
                        continue;
                    }
                    run(&request, Stage::Promote).ok();
                }
            }
            is_whole(&target);
        }
    }
}

#[test]
fn what_is_restored_is_told_of_and_what_was_changed_stays() {
    let (target, one, second) = two_deployed();
    let tree = target.rev(&one);
    fs::remove_dir_all(tree.join("app")).unwrap();
    fs::remove_file(tree.join("a")).unwrap();
    fs::write(tree.join("a"), "patched").unwrap();
    fs::write(tree.join("untracked"), "kept").unwrap();
    let back = roll_back(&second, Some(&one)).ok();
    let warnings = back.lines(Level::Warning).join("\n");
    assert!(warnings.contains("restored missing or changed files: 3 files (app/run, app/sub/y, app/x)"), "{warnings}");
    assert_eq!(fs::read(target.live().join("a")).unwrap(), b"patched");
    assert_eq!(fs::read(target.live().join("untracked")).unwrap(), b"kept");
}

#[test]
fn a_tree_that_the_cache_cannot_restore_does_not_go_live_and_says_what_it_lacks() {
    let (target, one, second) = two_deployed();
    fs::remove_dir_all(target.rev(&one).join("app")).unwrap();
    let objects = target.cache().join("objects");
    let aside = target.cache().join("aside");
    fs::rename(&objects, &aside).unwrap();
    fs::create_dir_all(objects.join("pack")).unwrap();
    let back = roll_back(&second, Some(&one));
    let Err(Fault::Failed { reason, .. } | Fault::CacheBroken { reason }) = back.ended().0 else { panic!("{back:?}") };
    assert!(reason.contains("is missing 3 files (app/run, app/sub/y, app/x), which cannot be restored"), "{reason}");
    assert_eq!(back.state().current.as_ref(), Some(&second.revision));
    let promoted = run(&kept(&target, "r3", &one), Stage::Promote);
    assert_eq!(promoted.state().current.as_ref(), Some(&second.revision));
    // A fetch asks for all of it.
    let fetched = run(&target.request("r4", &one), Stage::Fetch);
    assert!(matches!(fetched.ended().0, Err(Fault::CacheBroken { .. })), "{fetched:?}");
    target.fetch_pack(&target.request("r4", &one), &target.pack(&one, &[]), true).ok();
    run(&kept(&target, "r4", &one), Stage::Promote).ok();
    is_whole(&target);
}

#[test]
fn what_a_revisions_own_checks_remove_is_not_put_back() {
    let target = Target::new();
    let one = target.commit(&FILES);
    let mut first = target.request("r1", &one);
    let slim = "rm -r app/sub; : > a";
    first.checks = vec![check("slim", CheckPoint::After(Stage::Fetch), slim)];
    target.deploy(&first);
    let two = target.commit(&[("b", "2")]);
    let second = target.request("r2", &two);
    target.deploy(&second);
    fs::remove_file(target.rev(&one).join("app/x")).unwrap();
    let back = roll_back(&second, Some(&one)).ok();
    assert!(back.lines(Level::Warning).iter().any(|line| line.contains("1 file (app/x)")), "{back:?}");
    assert!(!target.live().join("app/sub").exists());
    assert_eq!(fs::read(target.live().join("a")).unwrap(), b"");
}

#[test]
fn the_live_revision_that_lost_files_is_restored_by_a_fetch_and_its_service_restarted() {
    let target = Target::new();
    let one = target.commit(&FILES);
    target.deploy(&target.request("r1", &one));
    fs::remove_dir_all(target.live().join("app")).unwrap();
    target.forget_log();
    let again = target.request("r2", &one);
    run(&again, Stage::Fetch).ok().says("already checked out");
    run(&again, Stage::Promote).ok();
    assert_eq!(target.logged(), ["restart app"]);
    assert!(target.live().join("app/sub/y").exists());
}

#[test]
fn a_submodule_that_is_gone_from_a_kept_tree_is_restored() {
    let target = Target::new();
    let inner = target.dir.path().join("inner");
    fs::create_dir_all(&inner).unwrap();
    git(&inner, &["init", "-q"]);
    fs::write(inner.join("lib"), "lib").unwrap();
    git(&inner, &["add", "."]);
    git(&inner, &["commit", "-q", "-m", "inner"]);
    git(&target.source(), &["submodule", "add", "-q", inner.to_str().unwrap(), "sub"]);
    let one = target.commit(&[("a", "1")]);
    let url = format!("file://{}/.git", target.source().display());
    let submodules = Some(SubmoduleSource::Server { url, proxy: None });
    let extras = ExternalContent { submodules, ..Default::default() };
    target.deploy(&StageRequest { extras: extras.clone(), ..target.request("r1", &one) });
    let two = target.commit(&[("a", "2")]);
    let second = StageRequest { extras, ..target.request("r2", &two) };
    target.deploy(&second);
    let losses: [&dyn Fn(); 4] = [
        &|| fs::remove_dir_all(target.rev(&one).join("sub")).unwrap(),
        &|| fs::remove_file(target.rev(&one).join("sub/lib")).unwrap(),
        &|| fs::write(target.rev(&one).join("sub/lib"), "").unwrap(),
        &|| fs::remove_dir_all(target.rev(&one).join(".git/modules")).unwrap(),
    ];
    for lose in losses {
        lose();
        // Nothing of the request says where submodules are: the cache has them.
        let back = StageRequest { extras: Default::default(), ..second.clone() };
        roll_back(&back, Some(&one)).ok();
        assert_eq!(fs::read(target.live().join("sub/lib")).unwrap(), b"lib");
        git(&target.live(), &["submodule", "status"]);
        run(&StageRequest { force: true, ..second.clone() }, Stage::Promote).ok();
    }
}
