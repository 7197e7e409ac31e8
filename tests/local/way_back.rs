//! What a rollback goes back to, what it leaves alone, and which checks judge it.

use std::fs;
use std::os::unix::fs::symlink;

use hoist::wire::{Check, CheckPoint, CheckType, ConfigFile, Fault, Level, Revision, Stage, StageRequest};

use crate::harness::*;

const AFTER: CheckPoint = CheckPoint::After(Stage::Promote);

/// What the links name: what is live, what is finalized, and what is in progress.
fn links(target: &Target, request: &StageRequest) -> [Option<Revision>; 3] {
    let state = target.facts(request).state;
    [state.current, state.done, state.in_progress]
}

/// Three revisions: the first finalized, the second live and never finalized, the third to be deployed.
fn two_is_live() -> (Target, [Revision; 3], StageRequest) {
    let (target, one, two, request) = Target::with_two();
    let request = StageRequest { restore: Some(one.clone()), ..request };
    target.promote(&request);
    let three = target.commit(&[("a", "3")]);
    let request = StageRequest { restore: Some(two.clone()), ..target.request("r3", &three) };
    target.forget_log();
    (target, [one, two, three], request)
}

#[test]
fn a_host_that_was_not_promoted_keeps_what_is_live_although_it_was_never_finalized() {
    let (target, [one, two, three], request) = two_is_live();
    target.fetch(&request).ok();
    assert_eq!(links(&target, &request), [Some(two.clone()), Some(one.clone()), Some(three)]);
    run(&request, Stage::Rollback).ok();
    assert_eq!(links(&target, &request), [Some(two), Some(one), None]);
    assert_eq!(target.logged(), [""; 0], "nothing was restarted");
}

#[test]
fn a_host_that_was_promoted_goes_back_to_what_was_live_and_done_stays_what_it_was() {
    for finalized in [false, true] {
        let (target, [one, two, three], request) = two_is_live();
        target.promote(&request);
        if finalized {
            run(&request, Stage::Finalize).ok();
            assert_eq!(links(&target, &request)[1], Some(three));
            // A deployer that comes after a dead one asks for the same try again.
            run(&request, Stage::Finalize).ok();
        }
        run(&request, Stage::Rollback).ok();
        assert_eq!(links(&target, &request), [Some(two.clone()), Some(one), None]);
        run(&request, Stage::Rollback).ok();
        assert_eq!(links(&target, &request)[0], Some(two));
        assert_eq!(fs::read(target.live().join("a")).unwrap(), b"2");
    }
}

#[test]
fn what_was_never_finalized_before_is_not_finalized_by_a_rollback() {
    let (target, one, first) = Target::fetched();
    run(&first, Stage::Promote).ok();
    let two = target.commit(&[("a", "2")]);
    let request = StageRequest { restore: Some(one.clone()), ..target.request("r2", &two) };
    target.promote(&request);
    run(&request, Stage::Finalize).ok();
    run(&request, Stage::Rollback).ok();
    assert_eq!(links(&target, &request), [Some(one), None, None]);
}

#[test]
fn the_lease_of_another_run_is_not_ended_by_a_rollback_that_leaves_its_revision_live() {
    let (target, one, two, request) = Target::with_two();
    let leased = StageRequest { restore: Some(one.clone()), confirm_timeout: 600, ..request };
    target.promote(&leased);
    let three = target.commit(&[("a", "3")]);
    let request = StageRequest { restore: Some(two.clone()), ..target.request("r3", &three) };
    target.fetch(&request).ok();
    run(&request, Stage::Rollback).ok();
    assert_eq!(target.facts(&request).lease.map(|lease| lease.run), Some(leased.header.holder.run));
}

/// Puts a revision live and finalized, as Scap would: no run of Hoist is known for it.
fn deployed_by_somebody_else(target: &Target, revision: &Revision) {
    for link in ["current", ".done"] {
        let link = target.root().join(link);
        fs::remove_file(&link).unwrap();
        symlink(target.rev(revision), link).unwrap();
    }
}

/// A target that has fetched a revision, has the next one deployed, and is to get a third.
fn with_another_revision() -> (Target, Revision, Revision, Revision) {
    let target = Target::new();
    let other = target.commit(&[("a", "other")]);
    target.fetch(&target.request("r0", &other)).ok();
    let one = target.commit(&[("a", "1")]);
    target.deploy(&target.request("r1", &one));
    let two = target.commit(&[("a", "2")]);
    (target, other, one, two)
}

#[test]
fn what_somebody_else_has_deployed_since_is_left_alone_by_every_stage() {
    let (target, other, one, two) = with_another_revision();
    let request = StageRequest { restore: Some(one.clone()), ..target.request("r2", &two) };
    target.promote(&request);
    deployed_by_somebody_else(&target, &other);
    target.forget_log();
    let before = snapshot(&target.root().join("revs"));
    for stage in [Stage::Fetch, Stage::ConfigDeploy, Stage::Promote, Stage::Finalize, Stage::Rollback] {
        let reply = run(&request, stage);
        assert_eq!(reply.ended().0, &Err(Fault::MovedOn { to: other.clone() }), "{stage}");
        assert_eq!(links(&target, &request)[..2], [Some(other.clone()), Some(other.clone())]);
    }
    assert_eq!(snapshot(&target.root().join("revs")), before);
    assert_eq!(target.logged(), [""; 0]);
    // A run that has found it so is one like any other.
    let next = StageRequest { restore: Some(other), ..target.request("r3", &two) };
    target.deploy(&next);
    assert_eq!(links(&target, &next), [Some(two.clone()), Some(two), None]);
}

#[test]
fn what_somebody_else_deployed_first_where_nothing_was_live_at_the_probe_is_left_alone_by_every_stage() {
    let target = Target::new();
    let other = target.commit(&[("a", "other")]);
    target.deploy(&target.request("r0", &other));
    let one = target.commit(&[("a", "1")]);
    let request = StageRequest { found_nothing: true, ..target.request("r1", &one) };
    target.forget_log();
    let before = snapshot(&target.root().join("revs"));
    for stage in [Stage::Fetch, Stage::Promote, Stage::Rollback] {
        assert_eq!(run(&request, stage).ended().0, &Err(Fault::MovedOn { to: other.clone() }), "{stage}");
    }
    assert_eq!(links(&target, &request), [Some(other.clone()), Some(other), None]);
    assert_eq!(snapshot(&target.root().join("revs")), before);
    assert_eq!(target.logged(), [""; 0]);
}

#[test]
fn a_lease_that_runs_out_takes_back_nothing_that_somebody_else_has_deployed() {
    let (target, other, one, two) = with_another_revision();
    let request = StageRequest { restore: Some(one), confirm_timeout: 2, ..target.request("r2", &two) };
    target.promote(&request);
    deployed_by_somebody_else(&target, &other);
    until(|| target.facts(&request).lease.is_none());
    assert_eq!(links(&target, &request)[..2], [Some(other.clone()), Some(other)]);
}

/// One revision deployed with checks of its own, and another one promoted with others.
fn judged_by(own: Vec<Check>, others: Vec<Check>) -> (Target, StageRequest, Revision) {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    target.deploy(&StageRequest { checks: own, ..target.request("r1", &one) });
    let two = target.commit(&[("a", "2")]);
    let request = StageRequest { restore: Some(one.clone()), ..target.request("r2", &two) };
    target.promote(&request);
    target.forget_log();
    (target, StageRequest { checks: others, ..request }, one)
}

#[test]
fn a_check_that_only_the_new_revision_has_is_a_warning_on_the_way_back() {
    let (target, request, one) = judged_by(vec![], vec![check("feature", AFTER, "grep -q 2 a")]);
    let reply = run(&request, Stage::Rollback).ok();
    let warned = reply.lines(Level::Warning).join("\n");
    assert!(warned.contains("check feature failed with exit status 1"), "{warned}");
    assert!(warned.contains(&format!("{} was deployed without this check", one.short())), "{warned}");
    assert_eq!(target.logged(), ["restart app"]);
}

#[test]
fn the_checks_of_its_own_deployment_judge_a_revision_and_not_those_of_the_same_name_now() {
    let own = "test ! -e $HOIST_REVS_DIR/../broken";
    let (target, request, one) = judged_by(vec![check("page", AFTER, own)], vec![check("page", AFTER, "grep -q 2 a")]);
    run(&request, Stage::Rollback).ok();
    fs::write(target.root().join("broken"), "").unwrap();
    let reply = run(&request, Stage::Rollback);
    let reason = "check page failed with exit status 1".to_owned();
    assert_eq!(reply.ended().0, &Err(Fault::ChecksFailed { reason }));
    assert_eq!(reply.state().current.as_ref(), Some(&one));
    assert_eq!(target.logged(), ["restart app", "restart app"]);
}

#[test]
fn a_revision_that_was_deployed_by_other_means_is_judged_by_the_checks_that_are_committed_in_it() {
    let target = Target::new();
    let file = "checks:\n  old:\n    before: fetch\n    after: promote\n    shell: true\n    timeout: 20\n    command: test ! -e \
                $HOIST_REVS_DIR/../broken\n  changed:\n    stage: promote\n    command: 'true'\n  off: {}\n";
    let one = target.commit(&[("hoist/checks.yaml", file)]);
    target.deploy(&target.request("r1", &one));
    fs::remove_file(target.rev(&one).join(".git/hoist-checks.json")).unwrap();
    let two = target.commit(&[("a", "2")]);
    let mut request = StageRequest { restore: Some(one), ..target.request("r2", &two) };
    target.promote(&request);
    request.checks = vec![check("changed", AFTER, "exit 5"), check("new", AFTER, "exit 6")];
    let warned = run(&request, Stage::Rollback).ok().lines(Level::Warning).join("\n");
    assert!(warned.contains("check new failed") && !warned.contains("check changed"), "{warned}");
    fs::write(target.root().join("broken"), "").unwrap();
    let reason = "check old failed with exit status 1".to_owned();
    assert_eq!(run(&request, Stage::Rollback).ended().0, &Err(Fault::ChecksFailed { reason }));
    request.perform_checks = false;
    run(&request, Stage::Rollback).ok();
}

#[test]
fn a_revision_that_was_deployed_again_is_judged_by_the_checks_before() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    target.deploy(&target.request("r1", &one));
    let checks = vec![check("stricter", AFTER, "false")];
    let again = |run| StageRequest {
        checks: checks.clone(),
        restore: Some(one.clone()),
        force: true,
        ..target.request(run, &one)
    };
    for name in ["r2", "r3"] {
        let request = again(name);
        assert_eq!(run(&request, Stage::Promote).reason(), "check stricter failed with exit status 1");
        run(&request, Stage::Rollback).ok().says("was deployed without this check");
    }
}

#[test]
fn a_check_ahead_of_the_restart_that_hangs_does_not_keep_the_good_revision_from_being_brought_back() {
    let points = [Stage::Rollback, Stage::Promote, Stage::RestartService].map(CheckPoint::Before);
    let own = points
        .map(|at| Check { timeout: std::time::Duration::from_secs(600), ..check(&format!("{at:?}"), at, "sleep 600") })
        .to_vec();
    let (target, request, one) = judged_by(vec![], own);
    let request = within(8, request);
    let reply = run(&request, Stage::Rollback).ok();
    assert_eq!(reply.state().current.as_ref(), Some(&one));
    assert_eq!(target.logged(), ["restart app"]);
}

#[test]
fn a_restart_that_fails_is_no_matter_of_a_check() {
    let own = check("page", AFTER, "test ! -e $HOIST_REVS_DIR/../broken");
    let (target, mut request, _) = judged_by(vec![own], vec![]);
    fs::write(target.root().join("broken"), "").unwrap();
    request.service.command = "false".to_owned();
    assert_eq!(run(&request, Stage::Rollback).reason(), "service app: restart failed with exit status 1");
}

#[test]
fn a_revision_that_is_gone_back_to_is_restarted_first_and_judged_by_its_own_checks_afterwards() {
    let target = Target::new();
    let one = target.commit(&[("hoist/scripts/own!", "#!/bin/sh\nexit 3\n")]);
    let own = Check { kind: CheckType::Script, shell: false, ..check("own", AFTER, "own") };
    let mut first = target.request("r1", &one);
    target.fetch(&first).ok();
    first.checks = vec![own];
    assert_eq!(run(&first, Stage::Promote).reason(), "check own failed with exit status 3");
    let two = target.commit(&[("a", "2")]);
    target.deploy(&target.request("r2", &two));
    let kept = StageRequest { kept: true, restore: Some(two), ..target.request("r3", &one) };
    let checks = vec![check("new", AFTER, "false"), check("ahead", CheckPoint::Before(Stage::Promote), "false")];
    target.forget_log();
    let reply = run(&StageRequest { checks, ..kept }, Stage::Promote);
    assert_eq!(reply.reason(), "check own failed with exit status 3");
    assert_eq!(target.logged(), ["restart app"]);
}

#[test]
fn a_configuration_file_cannot_take_the_place_of_what_hoist_keeps() {
    let (target, _, mut request) = Target::with_one();
    target.deploy(&request);
    let around = target.dir.path().join("around");
    symlink(target.root(), &around).unwrap();
    request.templates.insert("t".to_owned(), "text".to_owned());
    let (live, root) = (target.live().display().to_string(), target.root().display().to_string());
    let around = around.display().to_string();
    for path in [live.clone(), format!("{root}/current"), format!("{root}/revs/x"), format!("{around}/.hoist/x/y")] {
        request.config_files = Some(vec![ConfigFile { ..config_file(&path, "t") }]);
        let reply = run(&request, Stage::ConfigDeploy);
        assert!(reply.reason().contains("choose another path"), "{path}: {}", reply.reason());
    }
    request.config_files = Some(vec![config_file(&format!("{live}/in-tree"), "t")]);
    run(&request, Stage::ConfigDeploy).ok();
}
