//! Locks in the hands of somebody who is not Hoist, and who may have them at all.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hoist::wire::{Fault, Request, Stage, StageRequest, TargetEvent, Unlock};

use crate::harness::*;

/// Another user of the target.
const NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

/// Somebody who holds `flock` on a file, until this is dropped.
struct Holds(Child);

impl Holds {
    /// Has it, as root or as nobody.
    fn file(path: &Path, nobody: bool) -> Holds {
        let mut command = if nobody { Command::new("setpriv") } else { Command::new("env") };
        command.args(nobody.then_some(NOBODY).into_iter().flatten());
        command.arg("flock").arg("-x").arg(path).args(["sh", "-c", "echo held; exec cat"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
        Holds(child)
    }

    fn name(&self) -> String {
        format!("process {} (flock) of user ", self.0.id())
    }
}

impl Drop for Holds {
    fn drop(&mut self) {
        // flock(1) waits for its child, and both end with the pipe.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// A target that was deployed to, its folders open to all as far as another user has to go.
fn deployed() -> (Target, StageRequest) {
    let target = Target::new();
    fs::set_permissions(target.dir.path(), Permissions::from_mode(0o755)).unwrap();
    let one = target.commit(&[("a", "1")]);
    let request = target.request("r1", &one);
    target.deploy(&request);
    (target, request)
}

/// Leaves Hoist's folder as an older build made it: everything readable to all.
fn as_an_older_build_left_it(target: &Target) {
    let own = target.root().join(".hoist");
    let all = Command::new("chmod").args(["-R", "a+rX"]).arg(own).status().unwrap();
    assert!(all.success());
}

/// Every file and folder below Hoist's own, with its permissions.
fn modes(target: &Target) -> Vec<(String, u32)> {
    let output = Command::new("find").arg(target.root().join(".hoist")).args(["-printf", "%m %p\n"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| {
        let (mode, path) = line.split_once(' ').unwrap();
        (path.to_owned(), u32::from_str_radix(mode, 8).unwrap())
    };
    text.lines().map(line).collect()
}

#[test]
fn nobody_else_can_open_what_hoist_keeps_on_a_target() {
    let (target, request) = deployed();
    let open = |target: &Target| {
        let paths: Vec<_> = modes(target).into_iter().map(|(path, _)| path).collect();
        paths
            .into_iter()
            .filter(|path| {
                let mut read = Command::new("setpriv");
                read.args(NOBODY).args(["test", "-r"]).arg(path);
                read.status().unwrap().success()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(open(&target), Vec::<String>::new());
    as_an_older_build_left_it(&target);
    assert!(open(&target).len() > 5);
    // The first that touches it puts that right.
    let mut lock_holder = LockHolder::start(&request);
    assert_eq!(lock_holder.hold(), TargetEvent::Held);
    assert_eq!(open(&target), Vec::<String>::new());
    assert_eq!(modes(&target)[0].1, 0o700, "{:?}", modes(&target));
    lock_holder.end();
}

#[test]
fn a_group_that_shares_a_deploy_directory_goes_on_sharing_it() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    fs::create_dir_all(target.root()).unwrap();
    fs::set_permissions(target.root(), Permissions::from_mode(0o2775)).unwrap();
    target.deploy(&target.request("r1", &one));
    for (path, mode) in modes(&target).iter().filter(|(path, _)| !path.contains("/runs")) {
        let wanted = if path.ends_with(".hoist") { 0o2770 } else { 0o660 };
        assert_eq!(mode & 0o7757, wanted & 0o7757, "{path}: {mode:o}");
    }
    assert!(modes(&target).iter().any(|(path, mode)| path.ends_with("/lock") && *mode == 0o660));
}

#[test]
fn a_stranger_who_holds_a_lock_is_named_by_process_and_user_and_fails_the_host_at_once() {
    for (lock, nobody) in [("lock", true), ("stage.lock", true), ("lock", false)] {
        let (target, request) = deployed();
        as_an_older_build_left_it(&target);
        let path = target.root().join(".hoist").join(lock);
        let stranger = Holds::file(&path, nobody);
        let name = stranger.name() + if nobody { "nobody" } else { "root" };

        let facts = target.facts(&request);
        assert_eq!(facts.locked, None, "no run has it");
        let told = facts.stranger.unwrap();
        assert!(told.contains(&name) && told.contains(path.to_str().unwrap()), "{told}");

        let mut lock_holder = LockHolder::start(&request);
        match lock_holder.hold() {
            TargetEvent::Ended { outcome: Err(Fault::Failed { reason, .. }), .. } => {
                assert!(reason.contains(&name), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        lock_holder.end();
        // The time limit of the stage is not what ends the wait.
        let stage = run(&within(3600, request.clone()), Stage::Promote);
        assert!(stage.reason().contains(&name), "{}", stage.reason());

        let held = Some(request.header.holder.run.clone());
        let unlock = call(&Request::Unlock(Unlock { header: request.header.clone(), held }), b"");
        assert!(unlock.reason().contains(&name) && unlock.reason().contains("nothing was ended"), "{unlock:?}");
        assert_eq!(unlock.events.len(), 1, "nothing is said to have ended: {unlock:?}");
        drop(stranger);
        run(&request, Stage::Promote).ok();
    }
}

#[test]
fn what_stands_in_the_place_of_a_lock_is_neither_written_through_nor_waited_for() {
    for lock in ["lock", "stage.lock"] {
        let (target, request) = deployed();
        let (path, victim) = (target.root().join(".hoist").join(lock), target.dir.path().join("victim"));
        fs::write(&victim, "precious").unwrap();
        let kinds: [(&str, &dyn Fn()); 2] = [
            ("is a symbolic link", &|| std::os::unix::fs::symlink(&victim, &path).unwrap()),
            ("not a regular file", &|| {
                assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
            }),
        ];
        for (why, put) in kinds {
            fs::remove_file(&path).unwrap();
            put();
            target.facts(&request);
            let stage = run(&StageRequest { force: true, ..request.clone() }, Stage::Promote);
            assert!(stage.reason().contains(why), "{lock}: {}", stage.reason());
            assert!(stage.reason().contains(path.to_str().unwrap()), "{lock}: {}", stage.reason());
            assert_eq!(fs::read_to_string(&victim).unwrap(), "precious", "{lock}");
        }
        fs::remove_file(&path).unwrap();
        run(&request, Stage::Promote).ok();
    }
}

#[test]
fn a_dead_runs_name_in_a_lock_that_a_stranger_holds_is_not_taken_for_the_holders() {
    let (target, request) = deployed();
    let path = target.root().join(".hoist/lock");
    // The name of a living process that is not the holder.
    let note = serde_json::json!({
        "run": "r0", "user": "alice", "host": "deploy1", "pid": 1, "since": "then", "message": "", "process": 1,
    });
    fs::write(&path, note.to_string()).unwrap();
    let stranger = Holds::file(&path, false);
    let facts = target.facts(&request);
    assert_eq!(facts.locked, None);
    assert!(facts.stranger.unwrap().contains(&stranger.name()));
}

#[test]
fn a_lease_that_runs_out_while_a_stranger_holds_the_lock_goes_back_once_that_one_is_gone() {
    let (target, first) = deployed();
    let two = target.commit(&[("a", "2")]);
    let request =
        StageRequest { restore: Some(first.revision.clone()), confirm_timeout: 1, ..target.request("r2", &two) };
    target.fetch(&request).ok();
    let path = target.root().join(".hoist/lock");
    run(&request, Stage::Promote).ok();
    let stranger = Holds::file(&path, false);
    let log = target.root().join(".hoist/lease.log");
    let told = || fs::read_to_string(&log).unwrap_or_default();
    until(|| {
        told().contains("the host cannot roll itself back") || target.facts(&request).state.current != Some(two.clone())
    });
    let name = stranger.name();
    drop(stranger);
    until(|| target.facts(&request).state.current == Some(first.revision.clone()));
    // The lease may have run out before the stranger came.
    assert!(told().is_empty() || told().matches(&name).count() <= 1, "{}", told());
}
