//! Leases, as one target keeps them.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use hoist::wire::{LeaseStands, Revision, Stage, StageRequest};

use crate::harness::*;

/// A target on which one revision is finalized and another one fetched, and a request for that with a lease of so many
/// seconds.
fn scene(seconds: u64) -> (Target, StageRequest, Revision, Revision) {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    target.deploy(&target.request("r1", &one));
    let two = target.commit(&[("a", "2")]);
    let request = StageRequest { restore: Some(one.clone()), confirm_timeout: seconds, ..target.request("r2", &two) };
    target.fetch(&request).ok();
    target.forget_log();
    (target, request, one, two)
}

fn current(target: &Target, request: &StageRequest) -> Option<Revision> {
    target.facts(request).state.current
}

fn stands(target: &Target, request: &StageRequest) -> Option<LeaseStands> {
    target.facts(request).lease.map(|lease| lease.stands)
}

fn watcher(target: &Target) -> u32 {
    let text = fs::read(target.root().join(".hoist/lease.json")).unwrap();
    serde_json::from_slice::<serde_json::Value>(&text).unwrap()["watcher"].as_u64().unwrap() as u32
}

fn is_gone(process: u32) -> bool {
    // A process whose parent does not look after it stays as a name.
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.is_empty() || stat.rsplit(')').next().unwrap().trim_start().starts_with('Z')
}

#[test]
fn a_lease_that_nobody_renews_ends_with_a_rollback_and_its_record() {
    let (target, request, one, two) = scene(1);
    run(&request, Stage::Promote).ok();
    assert_eq!(current(&target, &request), Some(two.clone()));
    let lease = target.facts(&request).lease.unwrap();
    assert_eq!((&lease.revision, &lease.restore, lease.seconds), (&two, &one, 1));
    let watcher = watcher(&target);
    until(|| matches!(stands(&target, &request), Some(LeaseStands::RolledBack { .. })));
    let state = target.facts(&request).state;
    assert_eq!((state.current, state.done, state.in_progress), (Some(one.clone()), Some(one), None));
    assert_eq!(target.logged(), ["restart app", "restart app"], "the service was restarted with the links");
    assert!(target.root().join(".hoist/runs/r2/rollback.1000000.json").exists());
    until(|| is_gone(watcher));
    // The rollback that the deployer asks for in the end finds nothing amiss.
    run(&request, Stage::Rollback).ok();
    assert_eq!(stands(&target, &request), None);
}

#[test]
fn a_lock_holder_renews_the_lease_for_as_long_as_its_deployer_says_so() {
    let (target, request, one, two) = scene(2);
    let mut lock_holder = LockHolder::start(&request);
    lock_holder.hold();
    run(&request, Stage::Promote).ok();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(6) {
        lock_holder.say("\"renew\"\n");
        assert_eq!(current(&target, &request), Some(two.clone()));
        std::thread::sleep(Duration::from_millis(200));
    }
    // The lock holder lives on, and hears nothing more.
    until(|| current(&target, &request) == Some(one.clone()));
    lock_holder.end();
}

#[test]
fn finalize_and_rollback_end_the_lease_and_its_watcher() {
    for stage in [Stage::Finalize, Stage::Rollback] {
        let (target, request, one, two) = scene(3);
        run(&request, Stage::Promote).ok();
        let watcher = watcher(&target);
        run(&request, stage).ok();
        assert_eq!(stands(&target, &request), None);
        until(|| is_gone(watcher));
        std::thread::sleep(Duration::from_secs(3));
        let wanted = if stage == Stage::Finalize { two } else { one };
        assert_eq!(current(&target, &request), Some(wanted), "after {stage}");
    }
}

#[test]
fn what_a_person_promotes_stays() {
    let (target, request, _, two) = scene(2);
    run(&request, Stage::Promote).ok();
    let by_hand = Command::new(HOIST)
        .args(["deploy-local", "--repo", "group/app", "--force", "promote", "--deploy-dir"])
        .arg(target.deploy_dir())
        .output()
        .unwrap();
    assert!(by_hand.status.success(), "{by_hand:?}");
    assert_eq!(stands(&target, &request), None);
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(current(&target, &request), Some(two));
}

#[test]
fn a_watcher_leaves_the_host_to_a_newer_run_that_holds_it_and_acts_when_that_one_leaves_it_undone() {
    let (target, request, one, two) = scene(1);
    let newer = StageRequest { confirm_timeout: 30, ..target.request("r3", &two) };
    run(&request, Stage::Promote).ok();
    let mut lock_holder = LockHolder::start(&newer);
    lock_holder.hold();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(current(&target, &newer), Some(two.clone()), "the watcher went at a host that another run holds");
    // The older run is over here, its stages and its lock holders.
    assert!(run(&request, Stage::Promote).ended().0 != &Ok(()));
    lock_holder.end();
    until(|| current(&target, &newer) == Some(one.clone()));
    // To hold a host for a while shuts nobody out; to do something there does.
    // The watcher holds the lock for a moment yet.
    until(|| run(&newer, Stage::Promote).status == Some(0));
    assert!(run(&request, Stage::Promote).reason().contains("r2 is refused: run r3 of ada@deploy1"));
}

#[test]
fn a_lease_of_an_earlier_boot_is_told_of_and_no_longer_acted_on() {
    let (target, request, _, two) = scene(2);
    run(&request, Stage::Promote).ok();
    // As after a power cut: no watcher, and a clock that began anew.
    Command::new("kill").args(["-KILL", &watcher(&target).to_string()]).status().unwrap();
    let path = target.root().join(".hoist/lease.json");
    let mut lease: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    lease["boot"] = "another".into();
    fs::write(&path, lease.to_string()).unwrap();
    assert_eq!(stands(&target, &request), Some(LeaseStands::Missed));
    let mut lock_holder = LockHolder::start(&request);
    lock_holder.hold();
    lock_holder.say("\"renew\"\n");
    lock_holder.end();
    assert_eq!((stands(&target, &request), current(&target, &request)), (Some(LeaseStands::Missed), Some(two)));
    run(&request, Stage::Rollback).ok();
    assert_eq!(stands(&target, &request), None);
}

#[test]
fn a_watcher_that_was_killed_is_told_of_once_the_lease_is_over() {
    let (target, request, _, _) = scene(1);
    run(&request, Stage::Promote).ok();
    let watcher = watcher(&target);
    Command::new("kill").args(["-KILL", &watcher.to_string()]).status().unwrap();
    until(|| stands(&target, &request) == Some(LeaseStands::Missed));
    run(&request, Stage::Rollback).ok();
    assert_eq!(stands(&target, &request), None);
}

#[test]
fn without_a_revision_to_go_back_to_there_is_no_lease() {
    let (target, request, _, two) = scene(1);
    for restore in [None, Some(two.clone())] {
        run(&StageRequest { restore, force: true, ..request.clone() }, Stage::Promote).ok();
        assert_eq!(stands(&target, &request), None);
    }
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(current(&target, &request), Some(two));
}

impl LockHolder {
    /// A line that is not answered.
    fn say(&mut self, line: &str) {
        self.input().write_all(line.as_bytes()).unwrap();
    }
}
