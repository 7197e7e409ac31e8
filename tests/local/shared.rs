//! Shared paths: content in `shared/` that every tree has links to, and what happens when a path becomes shared, or no
//! longer is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use hoist::wire::{Level, Revision, SharedPaths, Stage, StageRequest};

use crate::harness::*;
use crate::kill::{Moments, kill_in};

pub fn sharing(request: StageRequest, dirs: &[&str], files: &[&str]) -> StageRequest {
    let parsed = |paths: &[&str]| paths.iter().map(|path| path.parse().unwrap()).collect();
    let mut request = request;
    request.extras.shared = Box::new(SharedPaths { dirs: parsed(dirs), files: parsed(files) });
    request
}

pub fn shared(target: &Target, path: &str) -> PathBuf {
    target.root().join("shared").join(path)
}

pub fn text(path: PathBuf) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn put(path: PathBuf, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

pub fn link(path: PathBuf) -> String {
    fs::read_link(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).display().to_string()
}

pub fn names(path: PathBuf) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Removes files from the repository and commits.
pub fn without(target: &Target, paths: &[&str]) -> Revision {
    paths.iter().for_each(|path| drop(git(&target.source(), &["rm", "-q", "-r", path])));
    target.commit(&[])
}

/// A target on which a revision without shared paths is live. Its service has written to `uploads`, where the revision
/// tracks a file, and to `config/secrets.yml`. And a revision for which both can be shared.
pub fn before() -> (Target, Revision, Revision) {
    let target = Target::new();
    let one = target.commit(&[("a", "1"), ("uploads/.gitkeep", ""), ("config/app.yml", "1")]);
    target.deploy(&target.request("r1", &one));
    put(target.live().join("uploads/deep/cat.jpg"), "cat");
    put(target.live().join("config/secrets.yml"), "secret");
    let two = without(&target, &["uploads"]);
    (target, one, two)
}

pub fn wanted(target: &Target, run: &str, revision: &Revision) -> StageRequest {
    sharing(target.request(run, revision), &["uploads", "log"], &["config/secrets.yml"])
}

#[test]
fn content_is_kept_through_deployments_a_rollback_and_the_end_of_sharing() {
    let (target, one, two) = before();
    let two_wanted = wanted(&target, "r2", &two);
    target.fetch(&two_wanted).ok();
    // Nothing of the live tree is touched before promote.
    assert!(!target.live().join("uploads").is_symlink() && !target.live().join("config/secrets.yml").is_symlink());
    run(&two_wanted, Stage::Promote).ok().says("moved uploads of group/app");
    assert_eq!(link(target.live().join("uploads")), "../../shared/uploads");
    assert_eq!(link(target.live().join("config/secrets.yml")), "../../../shared/config/secrets.yml");
    assert_eq!(link(target.rev(&one).join("uploads")), "../../shared/uploads");
    assert!(target.live().join("log").is_dir());
    assert!(target.rev(&one).join("log").symlink_metadata().is_err(), "the revision before knows no log");
    assert_eq!(text(target.live().join("uploads/deep/cat.jpg")), "cat");
    assert_eq!(text(target.live().join("config/secrets.yml")), "secret");
    assert_eq!(git(&target.live(), &["diff", "HEAD"]), "");

    // What the service writes now is there after a rollback too.
    put(target.live().join("uploads/dog.jpg"), "dog");
    roll_back(&two_wanted, Some(&one)).ok();
    for (path, content) in [("uploads/deep/cat.jpg", "cat"), ("uploads/dog.jpg", "dog"), ("uploads/.gitkeep", "")] {
        assert_eq!(text(target.live().join(path)), content);
    }
    let mut look = probe(&two_wanted);
    look.verify = true;
    assert_eq!(facts(look).lacking.unwrap().files, [""; 0], "the tracked file moved along");

    // The old revision checked out again, by force, keeps its links and every byte.
    fs::remove_file(target.live().join("uploads/.gitkeep")).unwrap();
    let again = StageRequest { force: true, restore: Some(one.clone()), ..target.request("r3", &one) };
    target.fetch(&again).ok();
    fs::remove_file(target.live().join(".git/index")).unwrap();
    target.fetch(&again).ok();
    assert_eq!(link(target.live().join("uploads")), "../../shared/uploads");
    assert_eq!(names(shared(&target, "uploads")), [".gitkeep", "deep", "dog.jpg"]);

    // Forward again, to a tree that stands.
    let forward = wanted(&target, "r4", &two);
    target.deploy(&forward);
    assert_eq!(text(target.live().join("uploads/dog.jpg")), "dog");

    // No longer configured: the links go on, with a warning; but not where the revision has files.
    let three = target.commit(&[("config/secrets.yml", "committed")]);
    let unshared = target.request("r5", &three);
    let fetched = target.fetch(&unshared).ok();
    let warned = fetched.lines(Level::Warning).join("\n");
    assert!(warned.contains("uploads is no longer in shared_dirs, but stays linked to"), "{warned}");
    fetched.says("config/secrets.yml is no longer shared: ");
    run(&unshared, Stage::Promote).ok();
    run(&unshared, Stage::Finalize).ok();
    assert_eq!(text(target.live().join("uploads/dog.jpg")), "dog");
    assert_eq!(text(target.live().join("config/secrets.yml")), "committed");
    assert_eq!(text(shared(&target, "config/secrets.yml")), "secret");
    roll_back(&StageRequest { restore: Some(two.clone()), ..unshared.clone() }, Some(&two)).ok();
    assert_eq!(text(target.live().join("config/secrets.yml")), "secret");
    // And it ends when the content is moved away.
    run(&in_run("r6", unshared.clone()), Stage::Promote).ok();
    fs::rename(shared(&target, "log"), target.dir.path().join("log.d")).unwrap();
    let four = target.commit(&[("a", "4")]);
    target.deploy(&target.request("r7", &four));
    assert!(target.live().join("log").symlink_metadata().is_err());
    assert_eq!(text(target.live().join("uploads/deep/cat.jpg")), "cat");
}

#[test]
fn a_tree_from_before_a_path_was_shared_sees_the_content_when_it_is_gone_back_to() {
    let (target, one, two) = before();
    // Two deployments without sharing, then one with it: the first tree is not the live one then.
    target.deploy(&target.request("r2", &two));
    put(target.live().join("uploads/new.jpg"), "new");
    let three = target.commit(&[("a", "3")]);
    put(shared(&target, "config/secrets.yml"), "prepared");
    target.deploy(&wanted(&target, "r3", &three));
    let mut back = target.request("r4", &one);
    back.kept = true;
    run(&back, Stage::Promote).ok();
    assert_eq!(text(target.live().join("uploads/new.jpg")), "new");
    assert_eq!(text(target.live().join("uploads/deep/cat.jpg")), "cat");
    // A file that differs from the shared one stays as the revision had it, until its tree is removed.
    assert_eq!(text(target.live().join("config/secrets.yml")), "secret");
    assert_eq!(text(shared(&target, "config/secrets.yml")), "prepared");
    for run in ["r5", "r6"] {
        let next = target.commit(&[("a", run)]);
        target.deploy(&StageRequest { cache_revs: 0, ..wanted(&target, run, &next) });
        assert_eq!(text(target.live().join("config/secrets.yml")), "prepared");
    }
    assert!(!target.rev(&one).exists());
    let kept = format!("config/secrets.yml.from-{}", one.short());
    assert_eq!(text(shared(&target, &kept)), "secret");
}

#[test]
fn content_on_both_sides_is_merged_and_nothing_is_replaced() {
    let (target, one, two) = before();
    let live = target.live().join("uploads");
    put(live.join("same"), "same");
    put(live.join("differs"), "live");
    put(live.join("deep/also"), "live");
    put(live.join("kind"), "a file");
    symlink("same", live.join("link")).unwrap();
    put(live.join("x".repeat(250)), "live");
    let there = shared(&target, "uploads");
    put(there.join("same"), "same");
    put(there.join("differs"), "shared");
    put(there.join("deep/also"), "shared");
    put(there.join("kind/x"), "a directory");
    put(there.join("x".repeat(250)), "shared");
    symlink("same", there.join("link")).unwrap();
    target.promote(&wanted(&target, "r2", &two));
    let short = one.short();
    assert_eq!(link(target.rev(&one).join("uploads")), "../../shared/uploads");
    assert_eq!(text(there.join("differs")), "shared");
    assert_eq!(text(there.join(format!("differs.from-{short}"))), "live");
    assert_eq!(text(there.join("deep/also")), "shared");
    assert_eq!(text(there.join(format!("deep/also.from-{short}"))), "live");
    assert_eq!(text(there.join("deep/cat.jpg")), "cat");
    assert_eq!(text(there.join(format!("kind.from-{short}"))), "a file");
    assert_eq!(text(there.join("kind/x")), "a directory");
    let contents: Vec<String> =
        names(there.clone()).iter().filter(|name| name.starts_with("xx")).map(|name| text(there.join(name))).collect();
    assert_eq!(contents, ["live", "shared"]);
    assert!(names(there).iter().all(|name| !name.starts_with("same.") && !name.starts_with("link.")));
}

#[test]
fn what_cannot_be_shared_is_found_at_the_probe_and_changes_nothing() {
    let (target, _, two) = before();
    let request = wanted(&target, "r2", &two);
    let errors = |request: &StageRequest| {
        let before = snapshot(&target.deploy_dir());
        let reply = call(&hoist::wire::Request::Probe(preflight_of(request)), b"");
        assert_eq!(snapshot(&target.deploy_dir()), before);
        let found = findings(&reply).into_iter().filter(|(level, _)| *level == Level::Error);
        found.map(|(_, message)| message).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(errors(&request), "");
    let there = |path: &str| shared(&target, path).display().to_string();
    // A file that nobody has.
    let lacking = sharing(request.clone(), &[], &["config/nowhere.yml"]);
    let why = format!("shared_files: config/nowhere.yml: {} does not exist", there("config/nowhere.yml"));
    assert!(errors(&lacking).contains(&why), "{}", errors(&lacking));
    let fetched = target.fetch(&lacking);
    assert!(fetched.reason().contains(&why), "{fetched:?}");
    // Of another kind, in the tree and in shared/.
    let swapped = sharing(request.clone(), &["config/secrets.yml"], &["uploads"]);
    let found = errors(&swapped);
    assert!(found.contains("shared_dirs: config/secrets.yml should be a directory, but "), "{found}");
    assert!(found.contains("shared_files: uploads should be a file, but "), "{found}");
    put(shared(&target, "uploads"), "a file");
    assert!(errors(&request).contains("uploads should be a directory"), "{}", errors(&request));
    fs::remove_file(shared(&target, "uploads")).unwrap();
    // A directory above it that is none.
    let blocked = sharing(request.clone(), &["a/b"], &[]);
    assert!(errors(&blocked).contains("a/b cannot be linked: "), "{}", errors(&blocked));
    // Links that would lead elsewhere from shared/, or nowhere.
    symlink("deep", target.live().join("uploads/relative")).unwrap();
    symlink(target.dir.path().join("nowhere"), target.live().join("uploads/dangling")).unwrap();
    for (path, why) in [("uploads/relative", "a relative link"), ("uploads/dangling", "not a link to a directory")] {
        let found = errors(&sharing(request.clone(), &[path], &[]));
        assert!(found.contains(why), "{found}");
    }
    // Another file system.
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    fs::write(elsewhere.path().join("x"), "").unwrap();
    symlink(elsewhere.path(), shared(&target, "uploads")).unwrap();
    assert!(errors(&request).contains("on another file system"), "{}", errors(&request));
    fs::remove_file(shared(&target, "uploads")).unwrap();
    // An absolute link of the operator's leads to the same place from shared/.
    fs::create_dir(target.dir.path().join("data")).unwrap();
    put(target.dir.path().join("data/x"), "x");
    symlink(target.dir.path().join("data"), target.live().join("data")).unwrap();
    let linked = sharing(request, &["data", "uploads"], &[]);
    assert_eq!(errors(&linked), "");
    target.promote(&linked);
    assert_eq!(text(target.live().join("data/x")), "x");
    assert_eq!(link(shared(&target, "data")), target.dir.path().join("data").display().to_string());
}

#[test]
fn stages_that_are_killed_at_any_moment_lose_no_shared_content() {
    let (target, one, two) = before();
    let sees = |revision: &Revision, round: usize| {
        let live = target.live();
        assert_eq!(text(live.join("uploads/deep/cat.jpg")), "cat", "{revision} in round {round}");
        assert_eq!(text(live.join("config/secrets.yml")), "secret", "{revision} in round {round}");
    };
    let mut moments = Moments(11);
    let mut killed = 0;
    for round in 0..12 {
        let request = wanted(&target, &format!("s{round:02}"), &two);
        target.fetch(&request).ok();
        for _ in 0..2 {
            killed += usize::from(kill_in(&request, Stage::Promote, b"", moments.next(Duration::from_millis(30))));
            sees(&two, round);
        }
        let back = StageRequest { restore: Some(one.clone()), ..request.clone() };
        killed += usize::from(kill_in(&back, Stage::Rollback, b"", moments.next(Duration::from_millis(30))));
        sees(&one, round);
        run(&back, Stage::Rollback).ok();
        sees(&one, round);
        // As it was before the first of these deployments.
        unshare(&target, &one);
        fs::remove_file(target.rev(&one).join(".git/hoist-shared")).unwrap_or_default();
        assert_eq!(names(target.rev(&one).join("uploads")), [".gitkeep", "deep"]);
    }
    assert!(killed > 0, "none was killed at work");
}

/// Promotes while strace(1) interferes with a change of a shared path, and tells whether there was such a change.
fn interfered(target: &Target, request: &StageRequest, live: &Revision, how: &str) -> bool {
    let log = target.dir.path().join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&log).args(["-e", &format!("inject={how}")]);
    let tree = target.rev(live);
    for path in ["", "uploads", "config"] {
        command.arg("-P").arg(tree.join(path)).arg("-P").arg(shared(target, path));
    }
    command.arg("-P").arg(tree.join(".git"));
    command.args([HOIST, "deploy-local"]);
    spawn_by(command, &asked(request, Stage::Promote, 0)).wait_with_output().unwrap();
    let log = text(log);
    log.contains("(INJECTED)") || log.contains("killed by SIGKILL")
}

#[test]
fn a_promote_that_is_killed_or_finds_the_disk_full_at_any_change_loses_no_shared_content() {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("strace is not installed; nothing is tested");
        return;
    }
    let all: &[&str] = &["renameat", "renameat2", "symlinkat", "linkat", "unlinkat"];
    let cases = [
        ("signal=KILL", all, false, 8),
        ("signal=KILL", all, true, 5),
        ("error=ENOSPC", &all[..3], false, 6),
        // The file system cannot exchange two names.
        ("error=EINVAL", &all[1..2], false, 2),
    ];
    for (how, calls, prepared, least) in cases {
        let (target, one, two) = before();
        let prepare = || {
            put(shared(&target, "uploads/prepared"), "prepared");
            put(shared(&target, "config/secrets.yml"), "prepared");
        };
        target.fetch(&wanted(&target, "r2", &two)).ok();
        let (mut rounds, mut changes) = (0, 0);
        for call in calls {
            for when in 1..20 {
                rounds += 1;
                if prepared {
                    prepare();
                }
                let request = wanted(&target, &format!("s{rounds:03}"), &two);
                let was_hit = interfered(&target, &request, &one, &format!("{call}:{how}:when={when}"));
                let case = format!("{call} {how} at {when}");
                roll_back(&request, Some(&one)).ok();
                assert_eq!(text(target.live().join("uploads/deep/cat.jpg")), "cat", "{case}");
                let remainder = fs::symlink_metadata(target.live().join(".uploads.hoist-tmp"));
                assert!(!remainder.is_ok_and(|meta| meta.is_dir()), "{case}");
                let kept = shared(&target, &format!("config/secrets.yml.from-{}", one.short()));
                let place = if kept.exists() { kept } else { target.live().join("config/secrets.yml") };
                assert_eq!(text(place), "secret", "{case}");
                if prepared {
                    assert_eq!(text(shared(&target, "uploads/prepared")), "prepared", "{case}");
                    assert_eq!(text(shared(&target, "config/secrets.yml")), "prepared", "{case}");
                }
                // As it was before the first of these deployments.
                let live = target.rev(&one);
                for path in ["uploads", "config/secrets.yml"] {
                    if live.join(path).is_symlink() {
                        fs::remove_file(live.join(path)).unwrap();
                    }
                }
                let _ = fs::remove_dir_all(target.root().join("shared"));
                let _ = fs::remove_file(live.join(".git/hoist-shared"));
                put(live.join("uploads/deep/cat.jpg"), "cat");
                put(live.join("uploads/.gitkeep"), "");
                put(live.join("config/secrets.yml"), "secret");
                if !was_hit {
                    break;
                }
                changes += 1;
            }
        }
        assert!(changes >= least, "{how} hit {changes} changes");
    }
}

/// Gives a tree its content back, as it was before its paths were shared.
fn unshare(target: &Target, revision: &Revision) {
    for path in ["uploads", "config/secrets.yml"] {
        let here = target.rev(revision).join(path);
        if here.is_symlink() {
            fs::remove_file(&here).unwrap();
            fs::rename(shared(target, path), here).unwrap();
        }
    }
}

#[test]
fn links_are_absolute_where_the_trees_are_on_another_disk_and_one_that_leads_nowhere_is_told() {
    let (target, _, two) = before();
    let disk = target.dir.path().join("disk");
    fs::rename(target.root().join("revs"), &disk).unwrap();
    symlink(&disk, target.root().join("revs")).unwrap();
    let request = wanted(&target, "r2", &two);
    target.deploy(&request);
    assert_eq!(link(target.live().join("uploads")), shared(&target, "uploads").display().to_string());
    assert_eq!(text(target.live().join("uploads/deep/cat.jpg")), "cat");
    let mut look = probe(&request);
    look.verify = true;
    assert_eq!(facts(look.clone()).lacking.unwrap().files, [""; 0]);
    fs::remove_file(shared(&target, "config/secrets.yml")).unwrap();
    assert_eq!(facts(look).lacking.unwrap().files, ["config/secrets.yml"]);
}

#[test]
fn old_trees_are_removed_and_their_shared_content_stays() {
    let (target, one, two) = before();
    let keep_none = |request: StageRequest| StageRequest { cache_revs: 0, ..request };
    target.deploy(&keep_none(wanted(&target, "r2", &two)));
    // The service has replaced the link with a file of its own.
    fs::remove_file(target.live().join("config/secrets.yml")).unwrap();
    put(target.live().join("config/secrets.yml"), "written by the service");
    let three = target.commit(&[("a", "3")]);
    target.deploy(&keep_none(wanted(&target, "r3", &three)));
    let live = || text(target.live().join("config/secrets.yml"));
    assert_eq!(live(), "written by the service");
    assert_eq!(text(shared(&target, &format!("config/secrets.yml.before-{}", two.short()))), "secret");
    target.deploy(&keep_none(wanted(&target, "r4", &target.commit(&[("a", "4")]))));
    assert!(!target.rev(&one).exists() && !target.rev(&two).exists());
    assert_eq!(text(target.live().join("uploads/deep/cat.jpg")), "cat");
    assert_eq!(live(), "written by the service");
}
