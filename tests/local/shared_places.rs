//! Places for shared content that are not plain directories: disks of their own, links, flags, odd names, and files that
//! a service has open.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use hoist::wire::{Level, Request, Stage, StageRequest};

use crate::harness::*;
use crate::shared::{before, link, put, shared, sharing, text, wanted};
use crate::trouble::{Small, fill};

/// What the probe says is wrong. It changes nothing.
#[track_caller]
fn errors(target: &Target, request: &StageRequest) -> String {
    let listed = || snapshot(&target.deploy_dir()).len();
    let before = listed();
    let reply = call(&Request::Probe(preflight_of(request)), b"");
    assert_eq!(listed(), before);
    let found = findings(&reply).into_iter().filter(|(level, _)| *level == Level::Error);
    found.map(|(_, message)| message).collect::<Vec<_>>().join("\n")
}

/// The probe refuses it with these words, and if the deployer goes on all the same, promote loses nothing.
#[track_caller]
fn is_refused(target: &Target, request: &StageRequest, words: &str) {
    let found = errors(target, request);
    assert!(found.contains(words), "{found}");
    if target.fetch(request).ended().0.is_ok() {
        let promoted = run(request, Stage::Promote);
        assert!(promoted.ended().0.is_err(), "{promoted:?}");
    }
    assert_eq!(text(target.live().join("uploads/deep/cat.jpg")), "cat");
    assert_eq!(text(target.live().join("config/secrets.yml")), "secret");
}

#[test]
fn shared_content_on_a_disk_of_its_own_is_judged_at_the_probe() {
    let (target, _, two) = before();
    let request = wanted(&target, "r2", &two);
    let (root, uploads) = (shared(&target, ""), shared(&target, "uploads"));
    fs::create_dir_all(&uploads).unwrap();
    let elsewhere = target.dir.path().join("disk");
    fs::create_dir(&elsewhere).unwrap();
    let same_disk: &[&str] = &["--bind", elsewhere.to_str().unwrap()];
    let own_disk: &[&str] = &["-t", "tmpfs", "-o", "size=1m,nr_inodes=64", "tmpfs"];
    // Nothing can be renamed into another mount, even if it shows the same disk, and even if it is empty.
    for at in [&root, &uploads] {
        for arguments in [own_disk, same_disk] {
            let Some(_disk) = Small::mount_as(at, arguments) else { return };
            is_refused(&target, &request, "on another file system: copy it there, and remove it");
        }
    }
    // Nor can a mount be renamed itself.
    let inner = target.live().join("inner");
    let mounted = Small::mount_as(&inner, same_disk);
    is_refused(&target, &sharing(request.clone(), &["inner"], &[]), "a file system is mounted there");
    drop(mounted);
    fs::remove_dir(inner).unwrap();
    fs::remove_dir_all(&root).unwrap();

    // The operator has copied the content, as the message says. Without room for names nothing begins.
    let _disk = Small::mount_as(&root, own_disk).unwrap();
    put(shared(&target, "uploads/deep/cat.jpg"), "cat");
    put(shared(&target, "config/secrets.yml"), "secret");
    fs::remove_dir_all(target.live().join("uploads")).unwrap();
    let log = sharing(request.clone(), &["uploads", "log"], &["config/secrets.yml"]);
    assert_eq!(errors(&target, &log), "");
    fill(&root);
    assert!(errors(&target, &log).contains("no storage space"), "{}", errors(&target, &log));
    fs::remove_file(root.join("filler")).unwrap();
    let mut count = 0;
    while File::create(root.join(format!("filler{count}"))).is_ok() {
        count += 1;
    }
    assert!(errors(&target, &log).contains("no storage space"), "{}", errors(&target, &log));
    (0..count).for_each(|n| fs::remove_file(root.join(format!("filler{n}"))).unwrap());
    target.deploy(&log);
    assert_eq!(text(target.live().join("uploads/deep/cat.jpg")), "cat");
    put(target.live().join("log/x"), "logged");
    assert_eq!(text(root.join("log/x")), "logged");
    // The file that the live revision still had stays there, and is the same.
    assert_eq!(text(target.live().join("config/secrets.yml")), "secret");
}

#[test]
fn links_of_other_users_and_links_to_more_than_the_path_are_not_followed() {
    let (target, _, two) = before();
    let request = wanted(&target, "r2", &two);
    let uploads = shared(&target, "uploads");
    fs::create_dir_all(shared(&target, "")).unwrap();
    let outside = target.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, &uploads).unwrap();
    let chown = |owner: &str| Command::new("chown").args(["-h", owner]).arg(&uploads).status().unwrap().success();
    if chown("65534") {
        is_refused(&target, &request, "is a link that user 65534 made, and is not followed: remove it, or run `chown");
        assert!(chown("0"));
    }
    fs::remove_file(&uploads).unwrap();
    // The directory that contains the repository, the whole disk, and what belongs to a revision.
    for to in [Path::new("/"), &target.deploy_dir(), &target.root(), &target.root().join("revs"), &target.live()] {
        symlink(to, &uploads).unwrap();
        is_refused(&target, &request, "which is no directory for shared content");
        fs::remove_file(&uploads).unwrap();
    }
    // A directory above it that another user has replaced.
    let nested = sharing(request.clone(), &["uploads/deep"], &[]);
    symlink("/etc", &uploads).unwrap();
    if chown("65534") {
        is_refused(&target, &nested, "is a link that user 65534 made");
    }
    fs::remove_file(&uploads).unwrap();
    // A link inside the content is kept as a link, and what has its name is kept beside it.
    fs::create_dir(&uploads).unwrap();
    symlink("/etc", uploads.join("deep")).unwrap();
    target.deploy(&request);
    assert_eq!(link(uploads.join("deep")), "/etc");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    let kept: Vec<PathBuf> = fs::read_dir(&uploads).unwrap().map(|entry| entry.unwrap().path()).collect();
    let kept = kept.iter().find(|path| path.display().to_string().contains("deep.from-")).unwrap();
    assert_eq!(text(kept.join("cat.jpg")), "cat");
}

#[test]
fn files_that_cannot_be_moved_are_named_at_the_probe() {
    let (target, _, two) = before();
    let request = wanted(&target, "r2", &two);
    let flag = |how: &str, path: &Path| {
        Command::new("chattr").arg(how).arg(path).output().is_ok_and(|output| output.status.success())
    };
    let live = target.live();
    let deep = live.join("uploads/deep/cat.jpg");
    for (path, prepared) in [
        (live.join("config/secrets.yml"), false),
        (live.join("uploads"), false),
        (deep.clone(), true),
        (live.join("uploads/deep"), true),
    ] {
        for flags in ["i", "a"] {
            if !flag(&format!("+{flags}"), &path) {
                eprintln!("no file can be made immutable here");
                return;
            }
            if prepared {
                put(shared(&target, "uploads/deep/other.jpg"), "other");
            }
            let found = errors(&target, &request);
            flag(&format!("-{flags}"), &path);
            let words = "cannot be moved, because it is immutable or append-only: run `chattr -ia ";
            assert!(found.contains(words), "{}: {found}", path.display());
            let path = path.canonicalize().unwrap();
            assert!(found.contains(&path.display().to_string()), "{found}");
        }
    }
    // One in a directory that is moved as a whole is no obstacle.
    fs::remove_dir_all(shared(&target, "")).unwrap();
    assert!(flag("+i", &deep));
    assert_eq!(errors(&target, &request), "");
    target.deploy(&request);
    assert_eq!(text(target.live().join("uploads/deep/cat.jpg")), "cat");
    assert!(flag("-i", &shared(&target, "uploads/deep/cat.jpg")));
}

#[test]
fn any_number_of_files_with_any_names_are_merged() {
    let (target, one, two) = before();
    let odd = |folder: PathBuf| folder.join(OsStr::from_bytes(b"\xff\n -rf\xc3"));
    let live = target.live().join("uploads");
    let there = shared(&target, "uploads");
    fs::create_dir_all(there.join("many")).unwrap();
    fs::create_dir_all(live.join("many")).unwrap();
    for n in 0..600 {
        fs::write(live.join(format!("many/{n}")), format!("{}", n % 7)).unwrap();
        if n % 3 == 0 {
            fs::write(there.join(format!("many/{n}")), format!("{}", n % 5)).unwrap();
        }
    }
    fs::write(odd(live.clone()), "live").unwrap();
    fs::write(odd(there.clone()), "shared").unwrap();
    fs::create_dir(odd(live.join("many"))).unwrap();
    fs::write(odd(odd(live.join("many"))), "inner").unwrap();
    let request = wanted(&target, "r2", &two);
    assert_eq!(errors(&target, &request), "");
    target.deploy(&request);
    let short = one.short();
    for n in 0..600 {
        let (file, kept) = (there.join(format!("many/{n}")), there.join(format!("many/{n}.from-{short}")));
        let differs = n % 3 == 0 && n % 7 != n % 5;
        assert_eq!(text(file), format!("{}", if n % 3 == 0 { n % 5 } else { n % 7 }));
        assert_eq!(kept.exists(), differs, "{n}");
        assert!(!differs || text(kept) == format!("{}", n % 7), "{n}");
    }
    let mut kept = odd(there.clone()).into_os_string();
    kept.push(format!(".from-{short}"));
    assert_eq!((text(odd(there.clone())), text(kept.into())), ("shared".to_owned(), "live".to_owned()));
    assert_eq!(text(odd(odd(there.join("many")))), "inner");
    assert_eq!(link(target.rev(&one).join("uploads")), "../../shared/uploads");
}

#[test]
fn a_service_that_writes_all_the_time_finds_its_files_at_every_moment() {
    let (target, one, two) = before();
    let request = wanted(&target, "r2", &two);
    target.fetch(&request).ok();
    let over = AtomicBool::new(false);
    let live = target.live().join("uploads");
    let append = |path: &Path| OpenOptions::new().append(true).create(true).open(path);
    let written = std::thread::scope(|scope| {
        let service = scope.spawn(|| {
            // It has one file open all the time, and opens others by their path.
            let mut open = append(&live.join("open")).unwrap();
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                writeln!(open, "{count}").unwrap();
                let mut file = append(&live.join("log")).unwrap_or_else(|error| panic!("{count}: {error}"));
                writeln!(file, "{count}").unwrap();
                fs::write(live.join(format!("deep/{count}")), format!("{count}")).unwrap();
                count += 1;
            }
            count
        });
        until(|| live.join("deep/5").exists());
        run(&request, Stage::Promote).ok();
        roll_back(&request, Some(&one)).ok();
        run(&in_run("r3", request.clone()), Stage::Promote).ok();
        over.store(true, Ordering::Relaxed);
        service.join().unwrap()
    });
    let all: String = (0..written).map(|n| format!("{n}\n")).collect();
    for name in ["open", "log"] {
        assert_eq!(text(live.join(name)), all);
    }
    assert!((0..written).all(|n| text(live.join(format!("deep/{n}"))) == n.to_string()));
}
