//! Whether a host may serve, by `hoist deploy-local guard`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hoist::wire::{Confirmation, Drain, Facts, Fault, Probe, Revision, Stage, StageRequest};
use serde_json::Value;

use crate::harness::*;

fn guard_of(target: &Target, arguments: &[&str]) -> Command {
    let mut command = Command::new(HOIST);
    command.args(["deploy-local", "--repo", "group/app", "--deploy-dir"]).arg(target.deploy_dir());
    command.arg("guard").args(arguments);
    command
}

/// The exit status of the guard, and what it said.
fn guard(target: &Target, arguments: &[&str]) -> (i32, String) {
    let output = guard_of(target, arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[track_caller]
fn serves(target: &Target, part: &str) {
    let (status, said) = guard(target, &[]);
    assert!(status == 0 && said.contains(part), "{status} {said}");
}

#[track_caller]
fn refuses(target: &Target, part: &str) {
    let (status, said) = guard(target, &[]);
    assert!(status == 1 && said.contains("must not be served") && said.contains(part), "{status} {said}");
}

fn record(target: &Target) -> PathBuf {
    target.root().join(".hoist/confirmed.json")
}

fn change(path: &Path, key: &str, to: impl Into<Value>) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    value[key] = to.into();
    fs::write(path, value.to_string()).unwrap();
}

/// As if the host had been started again.
fn start_again(target: &Target) {
    change(&record(target), "boot", "another");
}

/// A deployer looks at the target, and confirms it if it is in sync with this revision.
fn look(request: &StageRequest, wanted: &Revision) -> Facts {
    facts(Probe { deployment: None, confirm: Some(wanted.clone()), ..probe(&in_run("look", request.clone())) })
}

/// The same request for services that ask the guard before they start, as a unit does.
fn guarded(target: &Target, request: StageRequest) -> StageRequest {
    let words = guard_of(target, &[]);
    let words: Vec<_> = [words.get_program()].into_iter().chain(words.get_args()).collect();
    let command = words.join(std::ffi::OsStr::new(" ")).into_string().unwrap();
    let mut request = request;
    request.service.command = command;
    request
}

#[test]
fn a_host_serves_from_its_first_promote_until_it_is_started_again_and_then_once_it_is_confirmed() {
    let (target, one, request) = Target::with_one();
    refuses(&target, "was never deployed here, or a disk is not mounted");
    let request = guarded(&target, request);
    target.fetch(&request).ok();
    refuses(&target, "nothing of group/app is live here");
    run(&request, Stage::Promote).ok();
    serves(&target, "ada@deploy1 confirmed it");
    run(&request, Stage::Finalize).ok();
    serves(&target, one.short());

    start_again(&target);
    refuses(&target, "this host was started after it was last confirmed");
    refuses(&target, "run `hoist reconcile` on deploy1");
    let two = target.commit(&[("a", "2")]);
    assert_eq!(look(&request, &two).confirmation, Confirmation::Lapsed, "it should run another revision");
    refuses(&target, "was started");
    assert_eq!(look(&request, &one).confirmation, Confirmation::Given);
    serves(&target, one.short());
    assert_eq!(look(&request, &one).confirmation, Confirmation::Stands);
    // A container that is started again has the same kernel.
    change(&record(&target), "init", 1);
    refuses(&target, "was started");
    // An account that may not see the first process tells by the kernel alone.
    change(&record(&target), "init", Value::Null);
    serves(&target, one.short());

    change(&record(&target), "at", 0);
    let (status, said) = guard(&target, &["--max-age", "1s"]);
    assert!(status == 1 && said.contains("and --max-age is 1s"), "{said}");
    look(&request, &one);
    assert_eq!(guard(&target, &["--max-age", "1h"]).0, 0);
    start_again(&target);
    assert_eq!(guard(&target, &["--confirm"]).0, 0, "the word of a person");
    serves(&target, one.short());
    run(&target.request("r2", &one), Stage::Rollback).ok();
    serves(&target, one.short());
}

#[test]
fn a_rollback_serves_what_was_served_before_and_starts_nothing_that_was_not() {
    let (target, one, two, request) = Target::with_two();
    let request = guarded(&target, StageRequest { restore: Some(one.clone()), ..request });
    target.promote(&request);
    serves(&target, two.short());
    roll_back(&request, Some(&one)).ok();
    serves(&target, one.short());
    // So does one of a run that has been finalized here, perhaps twice.
    let request = in_run("r2b", request);
    target.promote(&request);
    (0..2).for_each(|_| drop(run(&request, Stage::Finalize).ok()));
    roll_back(&request, Some(&one)).ok();
    serves(&target, one.short());
    let request = in_run("r2c", request);
    target.deploy(&request);
    // Nobody else goes back to what was served before that.
    let point = |to: &Revision| {
        for (link, to) in
            [(target.root().join("current"), format!("revs/{to}").into()), (target.live(), target.rev(to))]
        {
            fs::remove_file(&link).unwrap();
            std::os::unix::fs::symlink(to, link).unwrap();
        }
    };
    point(&one);
    refuses(&target, "was confirmed");
    point(&two);
    roll_back(&request, Some(&one)).ok();
    serves(&target, one.short());
    // A host that came back and missed something meanwhile: the new revision may start, the old one may not.
    start_again(&target);
    let request = in_run("r3", request);
    target.promote(&request);
    serves(&target, two.short());
    let Err(Fault::Failed { reason, .. }) = roll_back(&request, Some(&one)).ended().0.clone() else { panic!() };
    assert!(reason.contains("restart"), "{reason}");
    refuses(&target, "was not completed");
    // A lock holder of the next run confirms it first, if it is in sync.
    fs::remove_file(target.root().join(".hoist/going-live")).unwrap();
    refuses(&target, "no deployment or reconcile has confirmed this host yet");
    let mut lock_holder = LockHolder::start_with(Probe { confirm: Some(one.clone()), ..probe(&in_run("r4", request)) });
    refuses(&target, "no deployment or reconcile");
    lock_holder.hold();
    serves(&target, one.short());
    lock_holder.end();
}

#[test]
fn what_a_rollback_was_not_let_start_is_not_started_by_undrain_either() {
    let (target, one, two, request) = Target::with_two();
    let drain =
        Drain { drain: Some("true".to_owned()), undrain: Some("true".to_owned()), timeout: 20, ..Drain::default() };
    let request =
        StageRequest { restore: Some(one.clone()), drain: Some(Box::new(drain)), ..guarded(&target, request) };
    start_again(&target);
    target.promote(&request);
    let Err(Fault::Failed { reason, .. }) = roll_back(&request, Some(&one)).ended().0.clone() else { panic!() };
    assert!(reason.contains("restart"), "{reason}");
    let reply = run(&request, Stage::Undrain);
    assert!(reply.reason().contains("restart"), "{reply:?}");
    assert!(reply.state().drained.is_some(), "{reply:?}");
    refuses(&target, "was not completed");
    // One that a promote has left is started, since the run wants it.
    let mut request = in_run("r3", request);
    let fine = std::mem::replace(&mut request.service.command, "false".to_owned());
    target.fetch(&request).ok();
    run(&request, Stage::Promote).reason();
    request.service.command = fine;
    assert_eq!(run(&request, Stage::Undrain).ended().0, &Ok(()));
    assert_eq!(target.facts(&request).state.current, Some(two));
}

#[test]
fn what_a_host_can_see_by_itself_stands_against_serving_whoever_confirmed_it() {
    let (target, one, request) = Target::with_one();
    target.deploy(&request);
    let own = target.root().join(".hoist");
    let marker = own.join("going-live");
    fs::write(&marker, one.as_str()).unwrap();
    refuses(&target, "a promote or rollback was not completed here");
    assert_eq!(look(&request, &one).unfit.as_deref(), Some("a promote or rollback was not completed here"));
    fs::remove_file(&marker).unwrap();
    let index = target.rev(&one).join(".git/index");
    fs::rename(&index, target.dir.path().join("index")).unwrap();
    refuses(&target, "is not complete");
    fs::rename(target.dir.path().join("index"), &index).unwrap();
    fs::remove_file(target.live()).unwrap();
    refuses(&target, "does not point to");
    std::os::unix::fs::symlink(target.rev(&one), target.live()).unwrap();
    serves(&target, one.short());
    let current = target.root().join("current");
    fs::remove_file(&current).unwrap();
    std::os::unix::fs::symlink("revs/nowhere", &current).unwrap();
    refuses(&target, "does not lead to a working tree");
    fs::remove_file(&current).unwrap();
    std::os::unix::fs::symlink(format!("revs/{one}"), &current).unwrap();

    let text = fs::read(record(&target)).unwrap();
    for (damage, why) in [("{", "is damaged"), ("", "is damaged"), ("[]", "is damaged")] {
        fs::write(record(&target), damage).unwrap();
        refuses(&target, why);
    }
    fs::write(record(&target), &text).unwrap();
    change(&record(&target), "at", u64::MAX);
    refuses(&target, "its time is ahead of this host's");
    fs::remove_file(record(&target)).unwrap();
    std::os::unix::fs::symlink("elsewhere", record(&target)).unwrap();
    refuses(&target, "is a symbolic link");
    fs::remove_file(record(&target)).unwrap();
    fs::create_dir(record(&target)).unwrap();
    refuses(&target, "confirmed.json");
    match look(&request, &one).confirmation {
        Confirmation::Failed { reason } => assert!(reason.contains("confirmed.json"), "{reason}"),
        other => panic!("{other:?}"),
    }
    fs::remove_dir(record(&target)).unwrap();
    look(&request, &one);
    serves(&target, one.short());
    fs::rename(&own, target.dir.path().join("own")).unwrap();
    fs::write(&own, "").unwrap();
    refuses(&target, "cannot read");
}

#[test]
fn a_health_file_is_there_while_the_host_may_serve_and_is_in_service() {
    let (target, one, request) = Target::with_one();
    target.deploy(&request);
    let file = target.dir.path().join("health");
    let with_file = ["--health-file", file.to_str().unwrap()];
    assert_eq!(guard(&target, &with_file).0, 0);
    assert!(fs::read_to_string(&file).unwrap().starts_with(one.short()));
    let drained = target.root().join(".hoist/drained.json");
    fs::write(&drained, "{}").unwrap();
    serves(&target, one.short());
    assert_eq!(guard(&target, &with_file).0, 1, "it is drained");
    assert!(!file.exists());
    fs::remove_file(&drained).unwrap();
    assert_eq!(guard(&target, &with_file).0, 0);
    start_again(&target);
    assert_eq!(guard(&target, &with_file).0, 1);
    assert!(!file.exists());
    assert_eq!(guard(&target, &with_file).0, 1, "it is gone already");
    look(&request, &one);
    let nowhere = target.dir.path().join("none/health");
    let (status, said) = guard(&target, &["--health-file", nowhere.to_str().unwrap()]);
    assert!(status == 1 && said.contains("none/health"), "{said}");
    assert!(!said.contains("must not be served") && !said.contains("reconcile"), "the host may serve: {said}");
    for (wrong, why) in [
        (&["--health-file", "health"][..], "absolute path"),
        (&["--health-file", "/run/x", "--wait", "1"], "--wait"),
        (&["--wait", "soon"], "is not a duration"),
        (&["--force"], "guard takes neither"),
    ] {
        let (status, said) = guard(&target, wrong);
        assert!(status == 2 && said.contains(why), "{status} {said}");
    }
}

#[test]
fn a_health_file_that_cannot_be_removed_is_named_as_it_still_lets_the_host_serve() {
    let (target, _, request) = Target::with_one();
    target.deploy(&request);
    start_again(&target);
    // A directory stands for whatever keeps a file from being removed, such as a file system that is read-only.
    let file = target.dir.path().join("health");
    fs::create_dir_all(file.join("kept")).unwrap();
    let (status, said) = guard(&target, &["--health-file", file.to_str().unwrap()]);
    assert!(status == 1 && said.contains("was started after it was last confirmed"), "{status} {said}");
    assert!(
        said.contains(&format!("health file of group/app is not as it should be: cannot remove {}", file.display())),
        "{said}"
    );
}

#[test]
fn a_repository_that_cannot_be_one_has_no_health_file() {
    let (target, _, request) = Target::with_one();
    target.deploy(&request);
    let file = target.dir.path().join("health");
    fs::write(&file, "left").unwrap();
    let mut wrong = Command::new(HOIST);
    wrong.args(["deploy-local", "--repo", "../app", "--deploy-dir"]).arg(target.deploy_dir()).arg("guard");
    assert_eq!(wrong.arg("--health-file").arg(&file).status().unwrap().code(), Some(1));
    assert!(!file.exists());
}

#[test]
fn a_guard_that_waits_ends_as_soon_as_the_host_is_confirmed() {
    let (target, one, request) = Target::with_one();
    target.deploy(&request);
    start_again(&target);
    let mut waiting = guard_of(&target, &["--wait", "5m"]);
    let mut waiting = waiting.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = std::io::BufReader::new(waiting.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert!(line.contains("is not served yet: this host was started"), "{line}");
    look(&request, &one);
    assert!(waiting.wait().unwrap().success());
    start_again(&target);
    let (status, said) = guard(&target, &["--wait", "1"]);
    assert!(status == 1 && said.contains("must not be served"), "{said}");
}

#[test]
fn a_promote_that_is_killed_while_its_service_starts_leaves_a_host_that_does_not_serve_until_the_next_one() {
    let (target, one, two, request) = Target::with_two();
    let mut request = StageRequest { restore: Some(one), ..request };
    let (fine, waiting) = (request.service.command.clone(), target.dir.path().join("waiting"));
    request.service.command = format!("/bin/sh -c 'touch {}; exec sleep 60'", waiting.display());
    request.service.timeout = 60;
    target.fetch(&request).ok();
    let mut child = spawn(&asked(&request, Stage::Promote, 0));
    until(|| waiting.exists());
    serves(&target, &format!("promote starts {}", two.short()));
    child.kill().unwrap();
    child.wait().unwrap();
    refuses(&target, "was not completed");
    request.service.command = fine;
    assert_eq!(run(&request, Stage::Promote).status, Some(0));
    serves(&target, two.short());
}
