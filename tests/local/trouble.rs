//! Disks that are full or read-only, folders that belong to others, and stages that hang.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hoist::wire::{Fault, Request, Stage};

use crate::harness::*;

/// A small file system of its own, unmounted at the end.
pub struct Small(std::path::PathBuf);

impl Small {
    /// `None` where this user may not mount.
    pub fn mount(at: &Path, options: &str) -> Option<Small> {
        Small::mount_as(at, &["-t", "tmpfs", "-o", options, "tmpfs"])
    }

    /// With these arguments of mount(8).
    pub fn mount_as(at: &Path, arguments: &[&str]) -> Option<Small> {
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(arguments).arg(at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Small(at.to_owned()));
        }
        eprintln!("cannot mount a file system here; nothing is tested");
        None
    }

    fn read_only(&self, yes: bool) {
        self.remount(if yes { "ro" } else { "rw" });
    }

    pub fn resize(&self, size: &str) {
        self.remount(&format!("size={size}"));
    }

    fn remount(&self, option: &str) {
        let options = format!("remount,{option}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

pub fn on_small(options: &str) -> Option<(Target, Small)> {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("small");
    let small = Small::mount(&base, options)?;
    Some((Target::at(dir, base), small))
}

/// Leaves no room on a file system.
pub fn fill(folder: &Path) {
    let filler = folder.join("filler");
    while fs::OpenOptions::new().append(true).create(true).open(&filler).is_ok_and(|mut file| {
        use std::io::Write;
        file.write_all(&[0; 4096]).is_ok()
    }) {}
}

fn noise(length: usize) -> String {
    let mut state = 1_u64;
    let next = |_| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        char::from(b'a' + ((state >> 40) % 26) as u8)
    };
    (0..length).map(next).collect()
}

#[test]
fn a_full_disk_fails_a_fetch_with_its_reason_and_leaves_what_is_live() {
    let Some((target, _small)) = on_small("size=4m") else { return };
    let one = target.commit(&[("a", "1")]);
    target.deploy(&target.request("r1", &one));
    let big = noise(3_500_000);
    let two = target.commit(&[("big", &big)]);
    let reply = target.fetch(&target.request("r2", &two));
    assert!(reply.reason().contains("No space left on device"), "{reply:?}");
    assert_eq!(reply.state().current.as_ref(), Some(&one));
    let left: Vec<_> = fs::read_dir(target.root().join("revs")).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, [one.as_str()], "the half of a tree is gone");
    // With a fetch that fits, all is well again.
    let three = target.commit(&[("big", "small")]);
    target.fetch_pack(&target.request("r3", &three), &target.pack(&three, &[&two]), false).ok();
}

#[test]
fn a_rollback_works_on_a_full_disk() {
    let Some((target, _small)) = on_small("size=4m") else { return };
    let one = target.commit(&[("a", "1")]);
    target.deploy(&target.request("r1", &one));
    let two = target.commit(&[("a", "2")]);
    let request = target.request("r2", &two);
    target.promote(&request);
    fill(&target.base);
    // Nothing new can be begun, and it says so before it touches anything.
    let three = target.request("r3", &one);
    assert!(run(&three, Stage::Promote).reason().contains("No space left on device"));
    let reply = roll_back(&request, Some(&one));
    assert_eq!(reply.ended().0, &Ok(()), "{reply:#?}");
    assert_eq!(reply.state().current.as_ref(), Some(&one));
    assert_eq!(fs::read(target.live().join("a")).unwrap(), b"1");
}

#[test]
fn a_read_only_disk_is_told_and_a_probe_still_answers() {
    let Some((target, small)) = on_small("size=4m") else { return };
    let one = target.commit(&[("a", "1")]);
    let request = target.request("r1", &one);
    target.deploy(&request);
    small.read_only(true);
    let reply = run(&target.request("r2", &one), Stage::Promote);
    let facts = target.facts(&request);
    small.read_only(false);
    assert!(reply.reason().ends_with("Read-only file system"), "{reply:?}");
    assert_eq!(facts.state.current, Some(one.clone()));
    assert_eq!(facts.cached, [one]);
}

#[test]
fn too_few_inodes_fail_a_fetch_with_its_reason() {
    let Some((target, _small)) = on_small("size=8m,nr_inodes=300") else { return };
    let one = target.commit(&[("a", "1")]);
    target.deploy(&target.request("r1", &one));
    assert!(target.facts(&target.request("r2", &one)).free_inodes.is_some_and(|free| free < 300));
    let names: Vec<String> = (0..400).map(|n| format!("f{n}")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    let two = target.commit(&files);
    let reply = target.fetch(&target.request("r2", &two));
    assert!(reply.reason().contains("No space left on device"), "{reply:?}");
    target.fetch(&target.request("r3", &one)).ok();
}

#[test]
fn a_file_in_the_way_of_the_deploy_directory_is_named() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    fs::write(target.deploy_dir(), "a file").unwrap();
    let reply = target.fetch(&target.request("r1", &one));
    assert!(reply.reason().starts_with(&format!("cannot create {}", target.deploy_dir().display())), "{reply:?}");
}

#[test]
fn a_stage_that_hangs_on_the_disk_itself_is_ended_by_its_time_limit() {
    let (target, one, mut request) = Target::fetched();
    // Opening a file hangs as on a dead network disk while somebody has a lease on it and keeps it (fcntl(2)).
    let keeps = "import fcntl, os, signal, sys, time\n\
                 signal.signal(signal.SIGIO, signal.SIG_IGN)\n\
                 file = os.open(sys.argv[1], os.O_RDWR)\n\
                 fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n\
                 print(flush=True)\n\
                 time.sleep(60)";
    let index = target.rev(&one).join(".git/index");
    let mut keeper = Command::new("python3").args(["-c", keeps]).arg(index).stdout(Stdio::piped()).spawn().unwrap();
    keeper.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    request.header.timeout = 1;
    let reply = run(&request, Stage::Promote);
    keeper.kill().unwrap();
    keeper.wait().unwrap();
    assert_eq!(reply.ended().0, &Err(Fault::TimedOut { seconds: 1 }));
    assert_eq!(reply.status, Some(1));
    assert_eq!(reply.state().in_progress.as_ref(), Some(&one));
    let recorded = recorded(&request, Stage::Promote);
    assert!(matches!(recorded, hoist::wire::Recorded::Ended { outcome: Err(Fault::TimedOut { seconds: 1 }), .. }));
}

#[test]
fn a_pack_that_stops_coming_is_ended_by_the_time_limit() {
    let (_target, _, mut request) = Target::with_one();
    request.header.timeout = 1;
    let fetch = hoist::wire::Fetch {
        pack_bytes: Some(1000),
        shallow: Vec::new(),
        source: None,
        rebuild: false,
        ..Default::default()
    };
    request.fetch = Some(fetch);
    let mut child = spawn(&asked(&request, Stage::Fetch, 0));
    let kept_open = child.stdin.take();
    let reply = reply(child);
    drop(kept_open);
    assert_eq!(reply.ended().0, &Err(Fault::TimedOut { seconds: 1 }));
}

#[test]
fn a_reader_that_stalls_does_not_hold_the_work_up() {
    let (target, _, mut request) = Target::with_one();
    let loud = check("loud", hoist::wire::CheckPoint::After(Stage::Promote), "yes 0123456789 | head -n 9000");
    request.checks = vec![loud];
    target.fetch(&request).ok();
    // Nobody reads what the stage says, which is more than a pipe holds.
    let mut child = spawn(&asked(&request, Stage::Promote, 0));
    let ended = || match recorded(&request, Stage::Promote) {
        hoist::wire::Recorded::Ended { outcome, .. } => outcome == Ok(()),
        _ => false,
    };
    until(ended);
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

/// What a target keeps about its deployments: all files of Hoist's own folder, and what is kept in git's of a tree.
fn records(target: &Target) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![target.root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let is_in = |part: &str| entry.iter().any(|it| it == part);
            let is_lock = entry.extension().is_some_and(|it| it == "lock") || entry.ends_with("lock");
            match fs::symlink_metadata(&entry).unwrap() {
                meta if meta.is_dir() && !entry.ends_with("objects") && !entry.ends_with("hooks") => {
                    folders.push(entry);
                }
                meta if meta.is_file() && !is_lock && (is_in(".hoist") || is_in(".git") || is_in("cache")) => {
                    found.push(entry);
                }
                _ => {}
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_record_that_is_larger_than_the_memory_is_not_read() {
    let (target, _, two, mut request) = Target::with_two();
    request.config_files = Some(vec![config_file(&target.etc("conf"), "conf")]);
    request.templates.insert("conf".to_owned(), "a\n".to_owned());
    request.confirm_timeout = 600;
    request.restore = target.facts(&request).state.current;
    target.fetch(&request).ok();
    run(&request, Stage::ConfigDeploy).ok();
    run(&request, Stage::Promote).ok();
    let all = records(&target);
    let is_there = |name: &str| all.iter().any(|path| path.ends_with(name));
    for name in [".hoist/confirmed.json", ".hoist/lease.json", ".hoist/last-request.json", ".git/index", "placed.json"]
    {
        assert!(is_there(name), "{name} is none of {all:?}");
    }
    // Memory for what a target needs, git too, and not for such a file.
    let ended = |asked: &str, input: &[u8]| {
        let mut child = Command::new("sh")
            .args(["-c", &format!("ulimit -v 4000000; exec {HOIST} deploy-local {asked}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.code().is_some() && !said.contains("memory"), "{asked}: {} {said}", output.status);
        said
    };
    let line = |request: &Request| serde_json::to_string(request).unwrap() + "\n";
    let by_hand = format!("--repo group/app --deploy-dir {}", target.deploy_dir().display());
    for path in &all {
        let kept = fs::read(path).unwrap();
        fs::File::create(path).unwrap().set_len(6 << 30).unwrap();
        let guarded = ended(&format!("{by_hand} guard"), b"");
        if path.ends_with("confirmed.json") {
            assert!(
                guarded.contains(&format!("cannot read {}: it is larger than 256 MB", path.display())),
                "{guarded}"
            );
        }
        let again = ended(&format!("{by_hand} config_diff"), b"");
        if path.ends_with("last-request.json") {
            assert!(again.contains("last-request.json: it is larger than 256 MB"), "{again}");
        }
        ended("", line(&Request::Probe(probe(&request))).as_bytes());
        ended("", line(&asked(&request, Stage::Promote, 1)).as_bytes());
        // What a stage has written anew is right.
        if fs::metadata(path).is_ok_and(|meta| meta.len() == 6 << 30) {
            fs::write(path, kept).unwrap();
        }
    }
    assert_eq!(target.facts(&request).state.current, Some(two));
}
