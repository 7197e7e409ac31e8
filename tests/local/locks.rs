//! Locks, and the records that a deployer asks for.

use std::fs;
use std::process::Command;

use hoist::wire::{CheckPoint, Fault, Recorded, Stage, StageRequest, TargetEvent};

use crate::harness::*;

/// A request whose promote waits until a file is there.
fn waiting(target: &Target, request: &StageRequest) -> (StageRequest, std::path::PathBuf) {
    let go = target.dir.path().join("go");
    let wait =
        format!("echo at-it >> {}; while ! test -e {}; do sleep 0.05; done", target.log().display(), go.display());
    let checks = vec![check("wait", CheckPoint::Before(Stage::Promote), &wait)];
    (StageRequest { checks, ..request.clone() }, go)
}

/// A connection that holds the lock of its run.
fn holding(request: &StageRequest) -> LockHolder {
    let mut lock_holder = LockHolder::start(request);
    assert_eq!(lock_holder.hold(), TargetEvent::Held);
    lock_holder
}

#[test]
fn a_lock_holder_keeps_other_runs_out_until_its_connection_ends() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    let (first, second) = (target.request("r1", &one), target.request("r2", &one));
    let mut lock_holder = LockHolder::start(&first);
    assert!(!target.root().exists(), "a probe alone takes no lock");
    assert_eq!(lock_holder.hold(), TargetEvent::Held);
    assert_eq!(lock_holder.hold(), TargetEvent::Held, "asking twice does no harm");

    let locked = Err(Fault::Locked { by: Box::new(first.header.holder.clone()) });
    assert_eq!(target.fetch(&second).ended().0, &locked);
    let mut other = LockHolder::start(&second);
    assert!(matches!(other.hold(), TargetEvent::Ended { outcome, .. } if outcome == locked));
    assert_eq!(other.end(), Some(1));
    assert_eq!(target.facts(&second).locked, Some(first.header.holder.clone()));
    target.fetch(&first).ok();

    assert_eq!(lock_holder.end(), Some(0));
    assert_eq!(target.facts(&second).locked, None);
    target.fetch(&second).ok();
}

#[test]
fn a_second_lock_holder_of_the_same_run_holds_the_lock_when_the_first_is_gone() {
    let (target, one, request) = Target::with_one();
    let (first, second) = (holding(&request), holding(&request));
    first.end();
    until(|| target.facts(&request).locked.is_some());
    let other = target.fetch(&target.request("r2", &one));
    assert_eq!(other.ended().0, &Err(Fault::Locked { by: Box::new(request.header.holder.clone()) }));
    second.end();
    target.fetch(&target.request("r2", &one)).ok();
}

#[test]
fn a_lock_holder_whose_dead_connection_nobody_noticed_goes_when_its_run_has_a_new_one() {
    let (target, one, request) = Target::with_one();
    // Its connection stays open all the time.
    let [first, second] = [0, 1].map(|_| holding(&request));
    second.end();
    until(|| target.facts(&request).locked.is_none());
    target.fetch(&target.request("r2", &one)).ok();
    first.end();
}

#[test]
fn a_stage_outlives_its_connection_and_its_lock_holder_and_still_holds_the_lock() {
    let (target, one, request) = Target::with_one();
    let lock_holder = holding(&request);
    target.fetch(&request).ok();
    assert_eq!(recorded(&request, Stage::Promote), Recorded::Nothing);
    let (slow, go) = waiting(&target, &request);
    let mut stage = spawn(&asked(&slow, Stage::Promote, 0));
    until(|| target.logged().contains(&"at-it".to_owned()));
    assert_eq!(recorded(&request, Stage::Promote), Recorded::Running);

    // The connection goes: nobody reads any more, and the shell hangs up.
    drop((stage.stdin.take(), stage.stdout.take(), stage.stderr.take()));
    lock_holder.end();
    Command::new("kill").args(["-HUP", &stage.id().to_string()]).status().unwrap();
    let other = target.fetch(&target.request("r2", &one));
    assert_eq!(other.ended().0, &Err(Fault::Locked { by: Box::new(request.header.holder.clone()) }));
    assert_eq!(recorded(&request, Stage::Promote), Recorded::Running);
    fs::write(go, "").unwrap();
    assert!(stage.wait().unwrap().success());
    match recorded(&request, Stage::Promote) {
        Recorded::Ended { outcome: Ok(()), state } => assert_eq!(state.current, Some(one)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stage_that_was_killed_is_told_as_died() {
    let (target, _, request) = Target::fetched();
    let (slow, go) = waiting(&target, &request);
    let mut stage = spawn(&asked(&slow, Stage::Promote, 0));
    until(|| target.logged().contains(&"at-it".to_owned()));
    stage.kill().unwrap();
    stage.wait().unwrap();
    assert!(matches!(recorded(&request, Stage::Promote), Recorded::Died { .. }));
    fs::write(go, "").unwrap();
    run(&slow, Stage::Promote).ok();
    assert!(matches!(recorded(&request, Stage::Promote), Recorded::Ended { outcome: Ok(()), .. }));
}

#[test]
fn a_stage_that_is_asked_to_end_ends_what_it_runs_and_says_so() {
    let (target, _, request) = Target::fetched();
    let (slow, _) = waiting(&target, &request);
    let stage = spawn(&asked(&slow, Stage::Promote, 0));
    until(|| target.logged().contains(&"at-it".to_owned()));
    Command::new("kill").args(["-TERM", &stage.id().to_string()]).status().unwrap();
    let reply = reply(stage);
    assert_eq!(reply.reason(), "stopped by signal TERM");
    assert!(matches!(recorded(&request, Stage::Promote), Recorded::Ended { outcome: Err(Fault::Failed { .. }), .. }));
}

#[test]
fn one_stage_works_at_a_time_and_what_waited_past_its_run_is_not_done() {
    let (target, _, request) = Target::with_one();
    let lock_holder = holding(&request);
    target.fetch(&request).ok();
    let (slow, go) = waiting(&target, &request);
    let first = spawn(&asked(&slow, Stage::Promote, 0));
    until(|| target.logged().contains(&"at-it".to_owned()));
    // The same stage again waits for its turn, and then finds the work done.
    let again = spawn(&asked(&slow, Stage::Promote, 0));
    // A finalize that is late finds that the run has gone on since it was asked for.
    let mut late = spawn(&asked(&request, Stage::ConfigDeploy, 0));
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(late.try_wait().unwrap().is_none(), "it waits");
    let records = target.root().join(".hoist/runs/r1");
    fs::copy(records.join("promote.0.json"), records.join("rollback.0.json")).unwrap();
    fs::write(go, "").unwrap();
    reply(first).ok();
    assert!(reply(late).reason().contains("the run continued with rollback while this config_deploy waited"));
    assert!(reply(again).reason().contains("the run continued with rollback"));
    lock_holder.end();
}

#[test]
fn only_the_newest_runs_are_remembered() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    let runs = target.root().join(".hoist/runs");
    for number in 100..130 {
        fs::create_dir_all(runs.join(format!("r{number}"))).unwrap();
    }
    target.deploy(&target.request("r900", &one));
    let mut left: Vec<_> =
        fs::read_dir(runs).unwrap().flatten().map(|e| e.file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!((left.len(), left[0].as_str(), left[19].as_str()), (20, "r111", "r900"));
}

/// By hand the library is called directly: how its flags are spelled is the command line's affair.
#[test]
fn a_person_can_repeat_a_stage_by_hand_but_not_below_a_deployment() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    let by_hand = |stage, force| hoist::local::by_hand("group/app", &target.deploy_dir(), stage, force, None);
    assert_eq!(by_hand(Stage::Promote, false), 1, "no deployment has reached this host");
    let request = target.request("r1", &one);
    target.deploy(&request);
    target.forget_log();
    assert_eq!(by_hand(Stage::Promote, true), 0);
    assert_eq!(target.logged(), ["restart app"]);
    fs::remove_dir_all(target.rev(&one)).unwrap();
    assert_eq!(by_hand(Stage::Fetch, false), 0, "its objects are in the cache");
    assert!(target.rev(&one).join("a").exists());
    fs::remove_dir_all(target.rev(&one)).unwrap();
    fs::remove_dir_all(target.root().join("cache")).unwrap();
    assert_eq!(by_hand(Stage::Fetch, false), 1, "they are nowhere");

    let lock_holder = holding(&request);
    assert_eq!(by_hand(Stage::Promote, true), 1, "not even below its own run");
    lock_holder.end();
}
