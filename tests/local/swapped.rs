//! Services that may write to directories of a tree, and replace them with links while Hoist works there as root.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use hoist::wire::{LargeFile, LfsSource, Stage, StageRequest, SubmoduleSource};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::harness::*;
use crate::shared::{before, names, put, shared, sharing, text, wanted};

/// Files that both sides of a merge have, so that it takes its time.
const FILES: usize = 40;

/// Ends the other threads of a test, also if it fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Lets a directory and a link to another one change places, again and again.
fn swap(folder: &Path, to: &Path, over: &AtomicBool) -> usize {
    let link = folder.with_file_name(".link");
    let mut count = 0;
    while !over.load(Ordering::Relaxed) {
        let _ = symlink(to, &link);
        count += usize::from(renameat_with(CWD, folder, CWD, &link, RenameFlags::EXCHANGE).is_ok());
        // Where nothing has moved meanwhile, the directory has its name back.
        if folder.is_symlink() {
            let _ = renameat_with(CWD, folder, CWD, &link, RenameFlags::EXCHANGE);
        }
    }
    count
}

/// Runs a stage that takes its time before each change, where there is strace(1), so that directories are replaced between
/// any two of them.
fn run_slowly(request: &StageRequest, stage: Stage) -> Reply {
    run_with_slow(request, stage, "renameat,renameat2,unlinkat,rename,unlink", 300)
}

/// Runs a stage in which these system calls, those of git included, begin so many microseconds later than they would.
fn run_with_slow(request: &StageRequest, stage: Stage, calls: &str, delay: u32) -> Reply {
    if Command::new("strace").arg("-V").output().is_err() {
        return run(request, stage);
    }
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    command.args(["-e", &format!("inject={calls}:delay_enter={delay}")]);
    command.args([env!("CARGO_BIN_EXE_hoist"), "deploy-local"]);
    reply(spawn_by(command, &asked(request, stage, 0)))
}

#[test]
fn directories_that_are_replaced_with_links_all_the_time_lead_no_stage_anywhere_else() {
    let (target, one, _) = before();
    let two = target.commit(&[("conf/deep/tracked", "2")]);
    let outside = target.dir.path().join("outside");
    let files: Vec<String> = (0..FILES).map(|n| format!("f{n}")).collect();
    let conf: Vec<String> = (0..6).map(|n| format!("{n}.conf")).collect();
    files.iter().chain(&conf).for_each(|name| put(outside.join(name), "outside"));
    let untouched = snapshot(&outside);
    let request = |run: &str| {
        let mut request = wanted(&target, run, &two);
        request.config_files = Some(conf.iter().map(|name| config_file(&format!("conf/deep/{name}"), "t")).collect());
        request.templates.insert("t".to_owned(), run.to_owned());
        request.service.names.clear();
        request
    };
    target.fetch(&request("r2")).ok();
    let (live, there) = (target.rev(&one).join("uploads"), shared(&target, ""));
    let folders = [live.join("deep"), there.join("uploads/deep"), target.rev(&two).join("conf/deep")];
    let mut swapped = 0;
    for round in 0..3 {
        // Both sides have content.
        fs::remove_file(&live).or_else(|_| fs::remove_dir_all(&live)).unwrap();
        let _ = fs::remove_dir_all(&there);
        let _ = fs::remove_file(target.rev(&one).join(".git/hoist-shared"));
        put(there.join("config/secrets.yml"), "secret");
        for name in &files {
            put(live.join("deep").join(name), "same");
            put(there.join("uploads/deep").join(name), if round % 2 == 0 { "same" } else { "other" });
        }
        let request = request(&format!("s{round:02}"));
        run(&request, Stage::ConfigDeploy);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let swappers: Vec<_> = folders.iter().map(|folder| scope.spawn(|| swap(folder, &outside, &over))).collect();
            let ends = Ends(&over);
            // It may fail; it only must not do anything elsewhere.
            run_slowly(&request, Stage::Promote);
            roll_back(&request, Some(&one));
            drop(ends);
            swapped += swappers.into_iter().map(|swapper| swapper.join().unwrap()).sum::<usize>();
        });
        assert_eq!(snapshot(&outside), untouched, "round {round}");
    }
    assert!(swapped > 100, "{swapped}");
}

#[test]
fn a_directory_that_becomes_shared_is_at_its_path_at_every_moment_of_a_merge() {
    let (target, one, two) = before();
    let request = wanted(&target, "r2", &two);
    let there = shared(&target, "uploads");
    put(there.join("prepared"), "prepared");
    target.fetch(&request).ok();
    let paths = [target.rev(&one).join("uploads"), target.rev(&two).join("uploads")];
    // Files that only the tree has, that both have, and whole directories.
    let mut files = vec![paths[0].join("deep/cat.jpg"), paths[0].join(".gitkeep")];
    for n in 0..FILES {
        for name in [format!("f{n}"), format!("both/f{n}"), format!("inner{}/f{n}", n % 3)] {
            put(paths[0].join(&name), "live");
            files.push(paths[0].join(name));
        }
        put(there.join(format!("f{}", 2 * n)), "live");
        put(there.join(format!("both/g{n}")), "shared");
    }
    let over = AtomicBool::new(false);
    let looks = std::thread::scope(|scope| {
        let observer = scope.spawn(|| {
            let mut looks = 0;
            while !over.load(Ordering::Relaxed) {
                for path in &paths {
                    fs::metadata(path).unwrap_or_else(|error| panic!("{looks}: {error}"));
                    fs::read_dir(path).unwrap_or_else(|error| panic!("{looks}: {error}"));
                }
                for file in &files {
                    fs::read(file).unwrap_or_else(|error| panic!("{looks}: {}: {error}", file.display()));
                }
                looks += 1;
            }
            looks
        });
        let _ends = Ends(&over);
        run_slowly(&request, Stage::Promote).ok().says("moved uploads of group/app");
        for round in 3..8 {
            // A service puts a directory of its own in the link's place, in one step.
            let own = paths[1].with_file_name("own");
            put(own.join(format!("new{round}")), "new");
            renameat_with(CWD, &own, CWD, &paths[1], RenameFlags::EXCHANGE).unwrap();
            fs::remove_file(&own).unwrap();
            let again = StageRequest { force: true, ..in_run(&format!("r{round}"), request.clone()) };
            run(&again, Stage::Promote).ok();
            assert!(paths[1].is_symlink());
            assert_eq!(text(there.join(format!("new{round}"))), "new");
        }
        over.store(true, Ordering::Relaxed);
        observer.join().unwrap()
    });
    assert!(looks > 10, "{looks}");

    // A process was killed when the link was there already, and its directory was still to be emptied.
    let remainder = paths[1].with_file_name(".uploads.hoist-tmp");
    put(remainder.join("late"), "late");
    put(remainder.join("prepared"), "other");
    run(&StageRequest { force: true, ..in_run("r9", request) }, Stage::Promote).ok();
    assert_eq!(text(there.join("late")), "late");
    assert_eq!(text(there.join(format!("prepared.from-{}", two.short()))), "other");
    assert!(!names(target.rev(&two)).contains(&".uploads.hoist-tmp".to_owned()));
}

/// How many tracked files are missing below a directory that a service owns.
const MISSING: usize = 300;

#[test]
fn what_a_tree_lacks_is_restored_to_no_directory_elsewhere_that_a_link_leads_to() {
    let target = Target::new();
    let names: Vec<String> = (0..MISSING).map(|n| format!("data/deep/f{n}")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "tracked")).collect();
    let one = target.commit(&files);
    target.deploy(&target.request("r1", &one));
    let outside = target.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let tree = target.rev(&one);
    // What is missing is asked of git by its names, or all of it by a commit where the index is broken too.
    for round in 0..8 {
        let deep = tree.join("data/deep");
        let _ = fs::remove_file(&deep).or_else(|_| fs::remove_dir_all(&deep));
        fs::create_dir_all(&deep).unwrap();
        if round % 2 == 1 {
            fs::remove_file(tree.join(".git/index")).unwrap();
        }
        let over = AtomicBool::new(false);
        let swapped = std::thread::scope(|scope| {
            let swapper = scope.spawn(|| swap(&deep, &outside, &over));
            let ends = Ends(&over);
            // It may fail; it only must not write anything elsewhere.
            run_with_slow(&target.request(&format!("s{round:02}"), &one), Stage::Fetch, "openat", 500);
            drop(ends);
            swapper.join().unwrap()
        });
        assert!(swapped > 10, "{swapped}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "round {round}");
    }
    let _ = fs::remove_file(tree.join("data/deep"));
    run(&target.request("s99", &one), Stage::Fetch).ok();
    assert_eq!(fs::read(tree.join("data/deep/f7")).unwrap(), b"tracked");
}

#[test]
fn a_file_that_becomes_shared_or_ceases_to_be_is_at_its_path_at_every_moment() {
    let (target, one, two) = before();
    let request = wanted(&target, "r2", &two);
    target.fetch(&request).ok();
    let three = target.commit(&[("config/secrets.yml", "secret")]);
    let (paths, there) = (["live", "tree"], shared(&target, "config/secrets.yml"));
    let path = |which: &str| match which {
        "live" => target.live().join("config/secrets.yml"),
        _ => target.rev(&one).join("config/secrets.yml"),
    };
    let over = AtomicBool::new(false);
    let looks = std::thread::scope(|scope| {
        let observer = scope.spawn(|| {
            let mut looks = 0;
            while !over.load(Ordering::Relaxed) {
                for which in paths {
                    let found = fs::read_to_string(path(which)).unwrap_or_else(|error| panic!("{which}: {error}"));
                    assert_eq!(found, "secret", "{which}");
                }
                looks += 1;
            }
            looks
        });
        let _ends = Ends(&over);
        // Nothing is shared yet; then the tree has the same file again in the link's place.
        for run_id in ["r2", "r3", "r4"] {
            run_slowly(&in_run(run_id, request.clone()), Stage::Promote).ok();
            assert!(path("live").is_symlink() && path("tree").is_symlink());
            roll_back(&in_run(run_id, request.clone()), Some(&one)).ok();
            let own = path("tree").with_file_name("own");
            fs::write(&own, "secret").unwrap();
            fs::rename(&own, path("tree")).unwrap();
        }
        // It is the revision's own, and shared again by a rollback.
        run_slowly(&in_run("r5", request.clone()), Stage::Promote).ok();
        let unshared = StageRequest { restore: Some(two.clone()), ..target.request("r6", &three) };
        target.fetch(&unshared).ok();
        run_slowly(&unshared, Stage::Promote).ok();
        assert!(!path("live").is_symlink());
        roll_back(&unshared, Some(&two)).ok();
        assert!(path("live").is_symlink());
        over.store(true, Ordering::Relaxed);
        observer.join().unwrap()
    });
    assert!(looks > 10, "{looks}");
    assert_eq!(text(there), "secret");
}

#[test]
fn a_directory_around_a_shared_file_becomes_shared_and_the_file_is_there_at_every_moment() {
    let (target, one, two) = before();
    let request = wanted(&target, "r2", &two);
    target.deploy(&request);
    let all = sharing(target.request("r3", &two), &["config"], &[]);
    let live = target.live().join("config/secrets.yml");
    assert_eq!(text(live.clone()), "secret");
    // The revision tracks a file of that directory.
    let three = crate::shared::without(&target, &["config"]);
    let all = StageRequest { revision: three.clone(), ..all };
    target.fetch(&all).ok();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let observer = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let found = fs::read_to_string(&live).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(found, "secret");
            }
        });
        let _ends = Ends(&over);
        run_slowly(&all, Stage::Promote).ok();
        roll_back(&all, Some(&two)).ok();
        run_slowly(&in_run("r4", all.clone()), Stage::Promote).ok();
        over.store(true, Ordering::Relaxed);
        observer.join().unwrap();
    });
    assert!(target.rev(&two).join("config").is_symlink());
    assert_eq!(names(shared(&target, "config")), ["app.yml", "secrets.yml"]);
    assert_eq!(text(target.rev(&one).join("config/secrets.yml")), "secret");
}

#[test]
fn what_is_in_the_place_of_a_record_of_a_tree_is_neither_followed_nor_waited_for() {
    let (target, _, two) = before();
    let request = wanted(&target, "r2", &two);
    target.deploy(&request);
    let victim = target.dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let git = target.rev(&two).join(".git");
    let records = ["shared", "index", "index.next", "checks.json", "extras", "large-files", "removed", "origin"];
    for kind in ["link", "pipe"] {
        for name in records {
            let record = git.join(format!("hoist-{name}"));
            let _ = fs::remove_file(&record);
            match kind {
                "link" => symlink(&victim, &record).unwrap(),
                _ => assert!(Command::new("mkfifo").arg(&record).status().unwrap().success()),
            }
        }
        let again = within(60, StageRequest { force: true, ..in_run("r3", request.clone()) });
        target.fetch(&again).ok();
        run(&again, Stage::Promote).ok();
        run(&again, Stage::Finalize).ok();
        assert_eq!(text(victim.clone()), "precious", "{kind}");
    }
}

/// The content of a large file, and its digest.
const CONTENT: &str = "large";
const OID: &str = "d35c416a85b807e9b5384915d6ebb4a9f7352713efd89857b45a242f473728a9";

/// A large file that is in the target's store, and its pointer.
fn large(target: &Target) -> String {
    let file = LargeFile::new(OID, CONTENT.len() as u64).unwrap();
    put(target.root().join("lfs/objects").join(file.path()), CONTENT);
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize {}\n", CONTENT.len())
}

/// Large files below a directory that a service owns.
const LARGE: usize = 1000;

#[test]
fn large_files_are_written_to_no_directory_elsewhere_that_a_link_leads_to() {
    let target = Target::new();
    let names: Vec<String> = (0..LARGE).map(|n| format!("data/deep/f{n}.bin")).collect();
    let pointer = large(&target);
    let mut files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), pointer.as_str())).collect();
    files.push((".gitattributes", "*.bin filter=lfs -text\n"));
    let one = target.commit(&files);
    let request = |run: &str| {
        let mut request = target.request(run, &one);
        request.extras.lfs = Some(LfsSource::Session);
        request
    };
    target.deploy(&request("r1"));
    let (outside, tree) = (target.dir.path().join("outside"), target.rev(&one));
    let deep = tree.join("data/deep");
    let name = |n: usize| format!("f{n}.bin");
    assert_eq!(text(deep.join(name(7))), CONTENT);
    (0..LARGE).for_each(|n| put(outside.join(name(n)), &pointer));
    let untouched = snapshot(&outside);
    for round in 0..2 {
        (0..LARGE).for_each(|n| put(deep.join(name(n)), &pointer));
        // The round before may have ended ahead of it.
        let _ = fs::remove_file(tree.join(".git/hoist-extras"));
        let over = AtomicBool::new(false);
        let swapped = std::thread::scope(|scope| {
            let swapper = scope.spawn(|| {
                // Not before the first of them is there: what is noticed earlier is not begun with.
                let is_filled =
                    |n: usize| fs::metadata(deep.join(name(n))).is_ok_and(|it| it.len() != pointer.len() as u64);
                while !(0..LARGE).step_by(50).any(is_filled) && !over.load(Ordering::Relaxed) {}
                swap(&deep, &outside, &over)
            });
            let ends = Ends(&over);
            // It may fail; it only must not write anything elsewhere.
            run(&request(&format!("s{round:02}")), Stage::Fetch);
            drop(ends);
            swapper.join().unwrap()
        });
        assert!(swapped > 10, "{swapped}");
        assert!(snapshot(&outside) == untouched, "round {round}");
        let _ = fs::remove_file(&deep).or_else(|_| fs::remove_dir_all(&deep));
        fs::create_dir_all(&deep).unwrap();
    }
    run(&request("s99"), Stage::Fetch).ok();
    assert_eq!(text(deep.join(name(7))), CONTENT);
}

#[test]
fn a_link_in_the_place_of_a_trees_git_directory_is_followed_by_no_stage() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    target.deploy(&target.request("r1", &one));
    let (outside, git) = (target.dir.path().join("outside"), target.rev(&one).join(".git"));
    fs::rename(&git, &outside).unwrap();
    symlink(&outside, &git).unwrap();
    let untouched = snapshot(&outside);
    let request = StageRequest { force: true, ..target.request("r2", &one) };
    assert!(run(&request, Stage::Promote).reason().contains("no complete working tree"));
    run(&request, Stage::Fetch).ok();
    run(&request, Stage::Promote).ok();
    run(&request, Stage::Finalize).ok();
    assert!(!git.is_symlink() && git.is_dir());
    assert_eq!(text(target.live().join("a")), "1");
    assert_eq!(snapshot(&outside), untouched);
}

#[test]
fn a_submodules_git_that_a_service_replaces_leads_git_lfs_to_no_repository_elsewhere() {
    let target = Target::new();
    let pointer = large(&target);
    let source = target.source();
    let of_submodule = target.commit(&[("inner.bin", &pointer), (".gitattributes", "*.bin filter=lfs -text\n")]);
    git(&source, &["checkout", "-q", "--orphan", "app"]);
    git(&source, &["rm", "-q", "-r", "-f", "."]);
    put(source.join(".gitmodules"), "[submodule \"lib\"]\n\tpath = vendor/lib\n\turl = ../lib\n");
    let entry = format!("160000,{of_submodule},vendor/lib");
    git(&source, &["update-index", "--add", "--cacheinfo", &entry]);
    git(&source, &["add", ".gitmodules"]);
    git(&source, &["commit", "-q", "-m", "with a submodule"]);
    let one = git(&source, &["rev-parse", "HEAD"]).parse().unwrap();
    let request = |run: &str| {
        let mut request = target.request(run, &one);
        request.extras.submodules = Some(SubmoduleSource::Session);
        request.extras.lfs = Some(LfsSource::Session);
        request
    };
    let fetched = StageRequest { revision: of_submodule.clone(), ..target.request("r0", &of_submodule) };
    target.fetch(&fetched).ok();
    target.deploy(&request("r1"));
    let tree = target.rev(&one);
    let sub = tree.join("vendor/lib");
    assert_eq!(text(sub.join("inner.bin")), CONTENT);

    // A repository of the service's own, which is all that the real one is.
    let outside = target.dir.path().join("outside");
    let copied = Command::new("cp").arg("-rL").arg(tree.join(".git/modules/lib")).arg(&outside).status();
    assert!(copied.unwrap().success());
    put(outside.join("config"), "[core]\n\trepositoryformatversion = 0\n\tbare = false\n");
    let untouched = snapshot(&outside);
    // The service is quick: it replaces the submodule's .git between any two calls of git.
    let programs = target.dir.path().join("programs");
    let real = Command::new("sh").args(["-c", "command -v git"]).output().unwrap().stdout;
    let real = String::from_utf8(real).unwrap();
    let script = format!(
        "#!/bin/sh\necho 'gitdir: {}' >{}/.git\nexec {} \"$@\"\n",
        outside.display(),
        sub.display(),
        real.trim()
    );
    put(programs.join("git"), &script);
    fs::set_permissions(programs.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    put(sub.join("inner.bin"), &pointer);
    fs::remove_file(tree.join(".git/hoist-extras")).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    reply(spawn_with(&asked(&request("r2"), Stage::Fetch, 0), &[("PATH", &path)])).ok();
    assert_eq!(text(sub.join("inner.bin")), CONTENT);
    assert_eq!(snapshot(&outside), untouched);
}
