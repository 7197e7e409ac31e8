//! Checks on a target.

use std::fs;
use std::time::Duration;

use hoist::wire::{Check, CheckPoint, CheckType, Fault, Level, Stage, StageRequest, Tries};

use crate::harness::*;

/// A check that logs its name.
fn logs(target: &Target, name: &str, at: CheckPoint) -> Check {
    check(name, at, &format!("echo {name} >> {}", target.log().display()))
}

#[test]
fn fault_14_a_check_that_fails_stops_the_next_check_of_its_stage() {
    let (target, _, mut request) = Target::fetched();
    let at = CheckPoint::After(Stage::Promote);
    request.checks = vec![logs(&target, "first", at), check("second", at, "exit 3"), logs(&target, "third", at)];
    let reply = run(&request, Stage::Promote);
    assert_eq!(reply.reason(), "check second failed with exit status 3");
    assert_eq!(target.logged(), ["first"], "neither the third check nor the restart came");
}

#[test]
fn fault_14_checks_are_run_after_a_rollback_against_the_restored_revision() {
    let (target, one, _, mut request) = Target::with_two();
    target.promote(&request);
    let shown = format!("cat $SCAP_REV_PATH/a $HOIST_FINAL_PATH/a >> {0}; echo >> {0}", target.log().display());
    request.checks = vec![
        check("shown", CheckPoint::After(Stage::Promote), &shown),
        logs(&target, "depool", CheckPoint::Before(Stage::RestartService)),
        logs(&target, "repool", CheckPoint::After(Stage::RestartService)),
        logs(&target, "rolled-back", CheckPoint::After(Stage::Rollback)),
    ];
    target.forget_log();
    roll_back(&request, Some(&one)).ok();
    assert_eq!(target.logged(), ["depool", "restart app", "11", "repool", "rolled-back"]);

    // One ahead of the restart that fails is told, and everything else is still done.
    request.checks.insert(0, check("broken", CheckPoint::Before(Stage::Promote), "kill -TERM $$"));
    target.forget_log();
    let reply = roll_back(&request, Some(&one)).ok();
    reply.says("check broken was killed by signal TERM");
    assert_eq!(target.logged(), ["depool", "restart app", "11", "repool", "rolled-back"]);
}

#[test]
fn what_never_passed_its_checks_is_promoted_again_whoever_has_gone_back_to_it() {
    let (target, one, _, request) = Target::with_two();
    let bad = target.dir.path().join("bad");
    let page = check("page", CheckPoint::After(Stage::Promote), &format!("test ! -e {}", bad.display()));
    let in_run = |run: &str, checks: Vec<Check>| {
        let mut request = in_run(run, request.clone());
        request.checks = checks;
        target.fetch(&request).ok();
        request
    };
    fs::write(&bad, "").unwrap();
    for (n, next_passes) in [(3, false), (4, true)] {
        let never = in_run(&format!("r{n}-1"), vec![page.clone()]);
        assert_eq!(run(&never, Stage::Promote).reason(), "check page failed with exit status 1");
        // The next run is rolled back to it, and it fails once more.
        let checks = if next_passes { Vec::new() } else { vec![page.clone()] };
        let mut next = in_run(&format!("r{n}-2"), checks);
        if next_passes {
            next.revision = one.clone();
            target.fetch(&next).ok();
            run(&next, Stage::Promote).ok();
        } else {
            run(&next, Stage::Promote).reason();
        }
        let reply = roll_back(&next, Some(&never.revision));
        assert!(matches!(reply.ended().0, Err(Fault::ChecksFailed { .. })), "{reply:?}");
        let again = in_run(&format!("r{n}-3"), vec![page.clone()]);
        assert_eq!(run(&again, Stage::Promote).reason(), "check page failed with exit status 1");
    }
    // Once it has passed, it is not restarted for nothing.
    fs::remove_file(&bad).unwrap();
    let well = in_run("r5", vec![page.clone()]);
    run(&well, Stage::Promote).ok();
    run(&well, Stage::Finalize).ok();
    fs::write(&bad, "").unwrap();
    let mut next = in_run("r6", Vec::new());
    next.revision = one.clone();
    target.fetch(&next).ok();
    run(&next, Stage::Promote).ok();
    roll_back(&next, Some(&well.revision));
    target.forget_log();
    run(&in_run("r7", vec![page]), Stage::Promote).ok().says("is already live");
    assert!(target.logged().is_empty(), "{:?}", target.logged());
}

#[test]
fn checks_stand_around_the_work_in_the_order_of_a_promote() {
    let (target, one, mut request) = Target::with_one();
    let points = [
        CheckPoint::Before(Stage::Fetch),
        CheckPoint::After(Stage::Fetch),
        CheckPoint::Before(Stage::Promote),
        CheckPoint::After(Stage::Promote),
        CheckPoint::Before(Stage::RestartService),
        CheckPoint::After(Stage::RestartService),
        CheckPoint::Before(Stage::Finalize),
        CheckPoint::After(Stage::Finalize),
    ];
    // In the file they stand the other way round.
    for (number, at) in points.into_iter().enumerate().rev() {
        let command = format!("echo {number} $(readlink {}) >> {}", target.live().display(), target.log().display());
        request.checks.push(check(&format!("c{number}"), at, &command));
    }
    target.deploy(&request);
    let tree = target.rev(&one).display().to_string();
    let live = |number: usize| format!("{number} {tree}");
    let wanted = ["0 ", "1 ", "2 ", &live(3), &live(4), "restart app", &live(5), &live(6), &live(7)];
    assert_eq!(target.logged().iter().map(|l| l.trim_end()).collect::<Vec<_>>(), wanted.map(str::trim_end));
}

#[test]
fn a_check_is_for_its_group_alone_and_finds_its_surroundings() {
    let (target, one, mut request) = Target::with_one();
    let at = CheckPoint::After(Stage::Promote);
    let all = "env | grep -E '^(SCAP|HOIST)_' | sort; pwd; cat; echo \"p:$PATH\"";
    request.checks = vec![
        Check { group: Some("default".to_owned()), ..check("other", at, "exit 1") },
        Check { group: Some("canary".to_owned()), ..check("ours", at, all) },
    ];
    target.fetch(&request).ok();
    let reply = run(&request, Stage::Promote).ok();
    let (live, root, tree) = (target.live(), target.root(), target.rev(&one));
    for start in ["SCAP", "HOIST"] {
        reply.says(&format!("check ours: {start}_FINAL_PATH={}", live.display()));
        reply.says(&format!("check ours: {start}_REV_PATH={}", tree.display()));
        reply.says(&format!("check ours: {start}_CURRENT_REV_DIR={}", tree.display()));
        reply.says(&format!("check ours: {start}_DONE_REV_DIR={}", root.join(".done").display()));
        reply.says(&format!("check ours: {start}_REVS_DIR={}", root.join("revs").display()));
    }
    reply.says(&format!("check ours: {}", tree.display()));
    assert!(reply.lines(Level::Info).iter().any(|l| l.starts_with("check ours: p:") && l.contains("/usr/sbin")));
}

#[test]
fn scripts_come_from_the_revision_and_the_environments_own_come_first() {
    let target = Target::new();
    let says = |what: &str| format!("#!/bin/sh\necho {what} $1\n");
    let one = target.commit(&[
        ("hoist/scripts/a!", &says("common")),
        ("hoist/scripts/b!", &says("common")),
        ("hoist/environments/beta/scripts/b!", &says("betas")),
        ("hoist/scripts/plain", "echo no\n"),
    ]);
    let mut request = target.request("r1", &one);
    request.environment = Some("beta".to_owned());
    let at = CheckPoint::After(Stage::Fetch);
    let script =
        |name: &str, command: &str| Check { kind: CheckType::Script, shell: false, ..check(name, at, command) };
    request.checks = vec![script("one", "a 'x y'"), script("two", "b")];
    let reply = target.fetch(&request).ok();
    reply.says("check one: common x y");
    reply.says("check two: betas");
    request.checks = vec![script("three", "plain")];
    let reply = target.fetch(&request);
    assert!(reply.reason().ends_with("hoist/scripts/plain: Permission denied"), "{reply:?}");
    request.checks = vec![script("four", "../../x")];
    assert!(target.fetch(&request).reason().contains("is not the name of a script"));
}

#[test]
fn nrpe_commands_and_plain_words_run_without_a_shell() {
    let (target, _, mut request) = Target::with_one();
    fs::create_dir_all(&request.nrpe_dir).unwrap();
    fs::write(request.nrpe_dir.join("x.cfg"), "command[load]=echo 'from nrpe' $HOME\n").unwrap();
    let at = CheckPoint::After(Stage::Fetch);
    request.checks = vec![
        Check { kind: CheckType::Nrpe, shell: false, ..check("n", at, "load") },
        Check { shell: false, ..check("w", at, "echo 'a  b' ; $HOME") },
    ];
    let reply = target.fetch(&request).ok();
    reply.says("check n: from nrpe $HOME");
    reply.says("check w: a  b ; $HOME");
}

#[test]
fn a_check_that_passes_its_time_limit_is_killed_with_all_it_started() {
    let (target, _, mut request) = Target::with_one();
    let mark = target.dir.path().join("mark");
    let command = format!("(sleep 3; touch {}) & sleep 100", mark.display());
    request.checks =
        vec![Check { timeout: Duration::from_secs(1), ..check("slow", CheckPoint::After(Stage::Fetch), &command) }];
    assert_eq!(target.fetch(&request).reason(), "check slow timed out after 1 s");
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert!(!mark.exists());
}

/// A request for a fetch with one check behind it, which counts its tries in a file and succeeds with the third one.
fn third_time_lucky(target: &Target, tries: Tries) -> StageRequest {
    let one = target.commit(&[("a", "1")]);
    let mut request = target.request("r1", &one);
    let command = format!("echo try >> {0}; echo not yet; test $(wc -l < {0}) -ge 3", target.log().display());
    request.checks = vec![Check { tries, ..check("slow", CheckPoint::After(Stage::Fetch), &command) }];
    request
}

const SOON: Duration = Duration::from_millis(10);

#[test]
fn a_check_with_retries_is_tried_again_until_it_succeeds_and_only_its_last_try_is_heard() {
    let target = Target::new();
    let tries = Tries { retries: Some(5), interval: SOON, within: None };
    let reply = target.fetch(&third_time_lucky(&target, tries));
    let heard = |level: Level| reply.lines(level).iter().filter(|line| line.contains("check slow: not yet")).count();
    assert_eq!((heard(Level::Info), heard(Level::Debug)), (1, 3));
    assert_eq!(target.logged().len(), 3);
    reply.ok();
}

#[test]
fn a_check_that_fails_all_its_tries_says_how_many_there_were() {
    let target = Target::new();
    let tries = Tries { retries: Some(1), interval: SOON, within: None };
    let reply = target.fetch(&third_time_lucky(&target, tries));
    let reason = reply.reason();
    assert_eq!(reason, "check slow failed with exit status 1: not yet; 2 tries in 0 s");
    assert_eq!(target.logged().len(), 2);
}

#[test]
fn a_check_is_tried_within_its_time_and_no_longer() {
    let target = Target::new();
    let tries = Tries { retries: None, interval: SOON, within: Some(Duration::from_secs(60)) };
    target.fetch(&third_time_lucky(&target, tries)).ok();
    assert_eq!(target.logged().len(), 3);

    let target = Target::new();
    let tries = Tries { retries: None, interval: Duration::from_secs(3), within: Some(Duration::from_secs(5)) };
    let reply = target.fetch(&third_time_lucky(&target, tries));
    let reason = reply.reason();
    assert!(reason.starts_with("check slow failed with exit status 1: not yet; 2 tries in "), "{reason}");

    let target = Target::new();
    let mut request = third_time_lucky(&target, Tries { within: Some(Duration::from_secs(1)), ..Tries::default() });
    request.checks[0].command = "sleep 100".to_owned();
    assert_eq!(target.fetch(&request).reason(), "check slow timed out after 1 s");
}

#[test]
fn a_check_may_have_a_part_of_a_second() {
    let (target, _, mut request) = Target::with_one();
    let slow = check("slow", CheckPoint::After(Stage::Fetch), "sleep 100");
    request.checks = vec![Check { timeout: Duration::from_millis(500), ..slow }];
    assert_eq!(target.fetch(&request).reason(), "check slow timed out after 0.5 s");
}

#[test]
fn a_check_that_passes_its_time_limit_dies_whatever_it_ignores_and_whichever_session_it_went_to() {
    let (target, _, mut request) = Target::with_one();
    let log = target.log().display().to_string();
    let deaf = format!("trap '' TERM INT HUP; while :; do sleep 1; echo deaf >> {log}; done");
    let away = format!("setsid --wait sh -c 'while :; do sleep 1; echo away >> {log}; done'");
    for command in [deaf, away] {
        request.checks =
            vec![Check { timeout: Duration::from_secs(2), ..check("slow", CheckPoint::After(Stage::Fetch), &command) }];
        assert_eq!(target.fetch(&request).reason(), "check slow timed out after 2 s");
        let then = target.logged().len();
        std::thread::sleep(std::time::Duration::from_millis(2500));
        assert_eq!(target.logged().len(), then, "it lived on: {command}");
    }
}

#[test]
fn what_a_check_said_before_its_time_limit_is_kept() {
    let (target, _, mut request) = Target::with_one();
    let command = "echo connecting; printf 'no answer' >&2; sleep 100";
    request.checks =
        vec![Check { timeout: Duration::from_secs(3), ..check("slow", CheckPoint::After(Stage::Fetch), command) }];
    let reply = target.fetch(&request);
    assert_eq!(reply.reason(), "check slow timed out after 3 s: no answer");
    reply.says("check slow: connecting");
    reply.says("check slow: no answer");
}

#[test]
fn the_checks_of_a_rollback_find_the_restored_revision_in_their_environment() {
    let (target, one, two, mut request) = Target::with_two();
    target.promote(&request);
    let said = |name: &str| {
        let values = ["FINAL_PATH", "REV_PATH", "CURRENT_REV_DIR", "DONE_REV_DIR", "REVS_DIR"];
        let all = ["SCAP", "HOIST"].map(|start| values.map(|value| format!("${start}_{value}")).join(" "));
        format!("echo {name} {} $PWD >> {}", all.join(" "), target.log().display())
    };
    let points = [
        ("rollback-before", CheckPoint::Before(Stage::Rollback)),
        ("promote-after", CheckPoint::After(Stage::Promote)),
        ("restart-after", CheckPoint::After(Stage::RestartService)),
        ("rollback-after", CheckPoint::After(Stage::Rollback)),
    ];
    request.checks = points.map(|(name, at)| check(name, at, &said(name))).to_vec();
    request.service.names.clear();
    target.forget_log();
    roll_back(&request, Some(&one)).ok();
    let (live, revs) = (target.live(), target.root().join("revs"));
    let line = |name: &str, current: &hoist::wire::Revision| {
        let (old, current) = (target.rev(&one), target.rev(current));
        let one_set =
            format!("{} {} {} {} {}", live.display(), old.display(), current.display(), old.display(), revs.display());
        format!("{name} {one_set} {one_set} {}", old.display())
    };
    let wanted = [
        line("rollback-before", &two),
        line("promote-after", &one),
        line("restart-after", &one),
        line("rollback-after", &one),
    ];
    assert_eq!(target.logged(), wanted);
}

#[test]
fn a_stage_keeps_to_its_own_time_limit_whatever_its_checks_are_allowed() {
    let (target, one, mut request) = Target::fetched();
    request.header.timeout = 1;
    request.checks = vec![check("slow", CheckPoint::After(Stage::Promote), "sleep 100")];
    let reply = run(&request, Stage::Promote);
    assert_eq!(reply.ended().0, &Err(Fault::TimedOut { seconds: 1 }));
    assert_eq!(reply.state().current.as_ref(), Some(&one));
    let hung = StageRequest { checks: Vec::new(), ..target.request("r2", &one) };
    let hung = within(1, StageRequest { service: request.service.clone(), ..hung });
    let mut hung = StageRequest { force: true, ..hung };
    hung.service.command = "sleep 100".to_owned();
    assert_eq!(run(&hung, Stage::Promote).ended().0, &Err(Fault::TimedOut { seconds: 1 }));
}

#[test]
fn what_a_check_leaves_in_the_background_neither_holds_the_stage_nor_its_locks() {
    let (target, one, mut request) = Target::with_one();
    request.header.timeout = 30;
    let pid = target.dir.path().join("pid");
    let daemon = format!("setsid sleep 300 & echo $! > {}; echo started", pid.display());
    request.checks = vec![check("daemon", CheckPoint::After(Stage::Fetch), &daemon)];
    target.fetch(&request).ok().says("check daemon: started");
    let facts = target.facts(&request);
    let other = run(&target.request("r2", &one), Stage::Promote);
    let pid: i32 = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    let still_there = std::process::Command::new("kill").arg(pid.to_string()).status().unwrap().success();
    assert!(still_there, "the daemon lived on");
    assert_eq!(facts.locked, None);
    other.ok();
}

#[test]
fn a_flood_of_output_is_cut_and_the_check_still_ends_well() {
    let (target, _, mut request) = Target::with_one();
    request.checks = vec![check("loud", CheckPoint::After(Stage::Fetch), "yes | head -n 300000; echo end >&2")];
    let reply = target.fetch(&request).ok();
    let lines = reply.lines(Level::Info);
    assert!(lines.len() < 11_000, "{}", lines.len());
    assert!(lines.contains(&"check loud: … output cut"));
}
