//! How runs end: the status, the state of every host, and what the verdict says.

use super::*;

#[test]
fn a_good_fleet_ends_finalized_with_status_0() {
    let told = tell(
        plan(vec![(2, None, FailureLimit::Hosts(0)), (6, None, FailureLimit::Hosts(0))], 3),
        vec![Script::good(); 8],
        vec![],
        None,
        1,
    );
    assert_eq!(told.verdict.code, ExitCode::Success, "{:?}", told.verdict);
    assert!(told.verdict.rows.iter().all(|row| row.ok && row.state == RowState::Finalized));
    hold_all_rules(&told);
}

#[test]
fn a_failed_host_that_is_cured_by_a_retry_counts_no_longer() {
    let mut scripts = vec![Script::good(); 4];
    scripts[1].primary[2] = vec![Act::FailLate, Act::Work];
    let mut plan = plan(vec![(4, Some(2), FailureLimit::Hosts(0))], 2);
    plan.groups[0].retry_failed = 1;
    let told = tell(plan, scripts, vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Success, "{:?}", told.verdict);
    assert!(told.verdict.rows.iter().all(|row| row.state == RowState::Finalized));
    hold_all_rules(&told);
}

#[test]
fn failed_hosts_are_rolled_back_at_once_when_asked_and_the_deployment_goes_on() {
    let mut scripts = vec![Script::good(); 4];
    scripts[1] = failing(Stage::Promote, Act::FailLate);
    let mut plan = plan(vec![(4, None, FailureLimit::Hosts(1))], 2);
    plan.groups[0].failed_targets = FailedTargets::Rollback;
    let told = tell(plan, scripts, vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Success);
    assert_eq!(told.verdict.rows[1].state, RowState::RolledBack);
    assert_eq!(told.scripted.current[1], Some(revision('a')));
}

#[test]
fn unreachable_hosts_are_judged_before_anything_is_touched() {
    let mut scripts = vec![Script::good(); 4];
    scripts[3].probe = Act::Unreachable;
    let told = tell(plan(vec![(4, None, FailureLimit::Hosts(0))], 2), scripts.clone(), vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Failed);
    assert!(!calls(&told).iter().any(|call| matches!(call.step, Step::Run(_) | Step::Hold)));
    let told = tell(plan(vec![(4, None, FailureLimit::Hosts(1))], 2), scripts, vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Success);
    assert_eq!(told.verdict.rows[3].state, RowState::Unreachable);
}

#[test]
fn a_target_locked_by_another_run_ends_with_status_5_before_anything_is_touched() {
    let script = Script { hold: Act::Locked, ..Script::good() };
    let told = tell_one_group(good_but(4, 3, script), FailureLimit::Percent(100), 2);
    assert_eq!(told.verdict.code, ExitCode::Locked);
    assert!(!calls(&told).iter().any(|call| matches!(call.step, Step::Run(_))));
}

#[test]
fn an_interrupt_before_anything_is_touched_ends_with_status_130() {
    let told = tell(plan(vec![(4, None, FailureLimit::Hosts(0))], 2), vec![Script::good(); 4], vec![], Some(0), 7);
    assert_eq!(told.verdict.code, ExitCode::Interrupted);
}

#[test]
fn a_declined_rollback_ends_mixed_with_every_host_named() {
    let mut scripts = vec![Script::good(); 4];
    scripts[3] = failing(Stage::Promote, Act::FailEarly);
    let told = tell(plan(vec![(4, None, FailureLimit::Hosts(0))], 4), scripts, vec![Answer::No], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Mixed);
    assert_eq!(told.verdict.rows.iter().filter(|row| row.state_text() == "after promote").count(), 3);
    assert!(told.verdict.stayed, "a later rollback leads from here");
    let mut scripts = vec![Script::good(); 4];
    scripts[3] = failing(Stage::Promote, Act::FailEarly);
    let back = Plan { kind: Kind::Rollback, ..plan(vec![(4, None, FailureLimit::Hosts(0))], 4) };
    let told = tell(back, scripts, vec![Answer::No], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Mixed);
    assert!(told.verdict.stayed, "it is what the next deployment leads back to");
    assert_eq!(told.verdict.finalized, Some(vec![Some(false); 4]), "and what all hosts should run");
    assert!(told.verdict.text.contains("mixed: 3 hosts were changed"), "{}", told.verdict.text);
    let mut scripts = vec![Script::good(); 4];
    scripts[3] = failing(Stage::Fetch, Act::FailEarly);
    let told = tell(plan(vec![(4, None, FailureLimit::Hosts(0))], 4), scripts, vec![Answer::No], None, 7);
    assert!(told.verdict.text.ends_with("4 hosts still run what they ran before"), "{}", told.verdict.text);
    assert!(!told.verdict.stayed);
}

#[test]
fn a_host_without_a_finalized_revision_is_left_as_it_is_and_named() {
    let mut scripts = vec![Script::good(); 2];
    scripts[0].has_done = false;
    scripts[1] = failing(Stage::Promote, Act::FailEarly);
    let told = tell(plan(vec![(2, None, FailureLimit::Hosts(0))], 1), scripts, vec![], None, 7);
    assert_eq!(told.verdict.rows[0].state, RowState::Left);
    assert_eq!(told.verdict.code, ExitCode::Mixed, "its live revision is the one that was not wanted");
}

#[test]
fn a_host_that_stays_lost_makes_the_fleet_mixed_even_within_the_limit() {
    let told = tell_one_group(good_but(3, 0, failing(Stage::Promote, Act::LostEarly)), FailureLimit::Hosts(1), 1);
    assert_eq!(told.verdict.code, ExitCode::Mixed);
    assert_eq!(told.verdict.rows[0].state, RowState::Unknown);
    assert!(told.verdict.stayed);
}

#[test]
fn what_a_host_on_a_lease_runs_is_not_known_once_it_does_not_answer_any_more() {
    let lost_at = |finalize: Act, read_again: Act, lease: u64| {
        let scripts = good_but(3, 0, Script { finalize, read_again, ..Script::good() });
        let confirm_timeout = Duration::from_secs(lease);
        let told = tell(
            Plan { confirm_timeout, ..plan(vec![(3, None, FailureLimit::Hosts(1))], 1) },
            scripts,
            vec![],
            None,
            7,
        );
        let row = told.verdict.rows[0].clone();
        (told.verdict.code, row.state, row.current, row.reason.unwrap_or_default(), told.verdict.on_lease)
    };
    let (new, on_lease) = (Some(revision('b')), vec![true, false, false]);
    // Nothing takes it back without a lease: what it ran after its promote is certain.
    let (code, state, current, _, leases) = lost_at(Act::Unreachable, Act::Unreachable, 0);
    assert_eq!(
        (code, state, current, leases),
        (ExitCode::NotFinalized, RowState::NotFinalized, new.clone(), vec![false; 3])
    );
    for finalize in [Act::Unreachable, Act::LostEarly, Act::LostLate] {
        let (code, state, current, reason, leases) = lost_at(finalize, Act::Unreachable, 4);
        let found = (code, state, current, leases);
        assert_eq!(found, (ExitCode::Mixed, RowState::Unknown, None, on_lease.clone()), "{finalize:?}: {reason}");
        assert!(reason.contains("rolls itself back within 4 s unless reached, or already has"), "{reason}");
        assert_eq!(reason.contains("may have been finalized"), finalize != Act::Unreachable, "{reason}");
    }
    // One that says that it failed is read at the end, as long as it answers.
    let (code, state, current, reason, leases) = lost_at(Act::FailEarly, Act::Work, 4);
    assert_eq!((code, state, current, leases), (ExitCode::NotFinalized, RowState::NotFinalized, new, on_lease.clone()));
    assert!(reason.ends_with("rolls itself back within 4 s unless reached"), "{reason}");
    let (code, state, current, reason, leases) = lost_at(Act::FailEarly, Act::Unreachable, 4);
    assert_eq!((code, state, current, leases), (ExitCode::Mixed, RowState::Unknown, None, on_lease));
    assert!(reason.contains("finalize: early; could not be read again: refused"), "{reason}");
}

#[test]
fn the_only_host_of_a_deployment_that_is_lost_at_finalize_was_deployed_to() {
    let lost = Script { finalize: Act::LostLate, ..Script::good() };
    let plan = Plan { confirm_timeout: Duration::from_secs(4), ..plan(vec![(1, None, FailureLimit::Hosts(0))], 1) };
    let told = tell(plan, vec![lost], vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Mixed);
    assert_eq!(told.verdict.finalized, Some(vec![Some(false)]), "the revision is what it should run");
    assert!(
        told.verdict.text.ends_with("deployed to 0 of 1 host: 1 host is in an unknown state"),
        "{:?}",
        told.verdict
    );
}

#[test]
fn a_failed_host_or_one_of_a_declined_rollback_is_unknown_if_it_is_gone_and_its_lease_may_have_run_out() {
    let confirm_timeout = Duration::from_secs(4);
    let gone = Script { read_again: Act::Unreachable, ..failing(Stage::Promote, Act::FailLate) };
    let of = |limit| Plan { confirm_timeout, ..plan(vec![(3, None, FailureLimit::Hosts(limit))], 3) };
    let told = tell(of(1), good_but(3, 0, gone), vec![], None, 7);
    assert_eq!((told.verdict.code, told.verdict.rows[0].state), (ExitCode::Mixed, RowState::Unknown));
    let mut scripts = good_but(3, 0, failing(Stage::Promote, Act::FailEarly));
    scripts[1].read_again = Act::Unreachable;
    let told = tell(of(0), scripts, vec![Answer::No], None, 7);
    let states: Vec<RowState> = told.verdict.rows.iter().map(|row| row.state).collect();
    assert_eq!(states, [RowState::Failed, RowState::Unknown, RowState::Passed], "{:?}", told.verdict);
    assert!(told.verdict.text.contains("2 hosts may have been changed"), "{:?}", told.verdict);
    assert_eq!(told.verdict.on_lease, [false, true, true]);
}

#[test]
fn a_host_on_a_lease_that_a_rollback_does_not_reach_may_have_gone_back_by_itself() {
    let mut scripts = vec![Script::good(); 2];
    scripts[0].rollback = Act::Unreachable;
    scripts[1] = failing(Stage::Promote, Act::FailEarly);
    let of = |lease| Plan {
        confirm_timeout: Duration::from_secs(lease),
        ..plan(vec![(2, None, FailureLimit::Hosts(0))], 1)
    };
    for (lease, state, says) in
        [(0, RowState::Unreachable, "1 host was not"), (4, RowState::Unknown, "1 host may not be")]
    {
        let told = tell(of(lease), scripts.clone(), vec![], None, 7);
        assert_eq!((told.verdict.code, told.verdict.rows[0].state), (ExitCode::Mixed, state));
        assert!(told.verdict.text.contains(&format!("{says} rolled back")), "{}", told.verdict.text);
    }
}

#[test]
fn a_host_that_was_not_promoted_keeps_what_is_live_and_one_that_was_goes_back_to_it_finalized_or_not() {
    let mut scripts = vec![Script::good(); 3];
    scripts.iter_mut().for_each(|script| script.live = Some('c'));
    let mut fails = scripts.clone();
    fails[2].primary[0] = vec![Act::FailEarly];
    let told = tell(plan(vec![(3, None, FailureLimit::Hosts(0))], 1), fails, vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Failed, "{:?}", told.verdict);
    assert!(told.scripted.current.iter().all(|current| *current == Some(revision('c'))));
    scripts[2].primary[2] = vec![Act::FailLate];
    scripts[1].has_done = false;
    let told = tell(plan(vec![(3, None, FailureLimit::Hosts(0))], 1), scripts, vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Failed, "{:?}", told.verdict);
    assert!(told.scripted.current.iter().all(|current| *current == Some(revision('c'))));
    assert_eq!(told.scripted.done, [Some(revision('a')), None, Some(revision('a'))], "as it was, or as it was not");
}

#[test]
fn a_host_whose_done_is_not_what_it_was_is_not_called_rolled_back() {
    let mut table_of = vec![Script::good(); 2];
    table_of[1] = failing(Stage::Promote, Act::FailLate);
    let mut fleet = Scripted::new(table_of, 7);
    // The target forgets what was finalized.
    fleet.before.iter_mut().for_each(|state| state.done = None);
    let mut person = Person { answers: vec![], interrupt_at: None, looks: 0, trace: fleet.trace.clone() };
    let plan = plan(vec![(2, None, FailureLimit::Hosts(0))], 1);
    let verdict = deploy(&plan, &mut fleet, &mut Calm, &mut person, &mut Events::default());
    assert_eq!(verdict.code, ExitCode::Mixed, "{verdict:?}");
    assert!(verdict.rows[0].reason.as_ref().unwrap().contains(".done is nothing after the rollback"), "{verdict:?}");
}

#[test]
fn a_rollback_goes_subgroup_by_subgroup_in_reverse_and_takes_no_more_at_once_than_promote_did() {
    let mut scripts = vec![Script::good(); 8];
    scripts[7] = failing(Stage::Promote, Act::FailEarly);
    let groups = vec![(3, Some(2), FailureLimit::Hosts(0)), (5, Some(2), FailureLimit::Hosts(0))];
    let mut plan = plan(groups, 80);
    plan.stages[2].batch = 1;
    let told = tell(plan, scripts, vec![], None, 7);
    assert_eq!(hosts_of_calls(&told, Stage::Rollback), [vec![7], vec![5, 6], vec![3, 4], vec![2], vec![0, 1]]);
    let batches = told.trace.iter().filter_map(|entry| match entry {
        Trace::Called { call, .. } if call.step == Step::Run(Stage::Rollback) => Some(call.batch),
        _ => None,
    });
    assert!(batches.into_iter().all(|batch| batch == 1), "promote took one at a time");
}

#[test]
fn failed_hosts_are_tried_again_and_rolled_back_no_more_at_once_than_their_subgroups_have() {
    let scripts = vec![failing(Stage::Promote, Act::FailLate); 5];
    let mut plan = plan(vec![(5, Some(2), FailureLimit::Percent(100))], 80);
    plan.groups[0].retry_failed = 1;
    plan.groups[0].failed_targets = FailedTargets::Rollback;
    let told = tell(plan, scripts, vec![], None, 7);
    // Two that failed are out of service, which leaves room for one at a time; to try those again takes no room.
    let twice = [vec![0, 1], vec![2], vec![3], vec![4], vec![0, 1], vec![2, 3], vec![4]];
    assert_eq!(hosts_of_calls(&told, Stage::Promote), twice);
    assert_eq!(hosts_of_calls(&told, Stage::Rollback), [vec![4], vec![2, 3], vec![0, 1]]);
    hold_all_rules(&told);
}

#[test]
fn a_run_that_succeeded_nowhere_is_never_called_deployed_whatever_the_limit_allows() {
    let all = |script: Script| {
        let told = tell(plan(vec![(2, None, FailureLimit::Percent(100))], 2), vec![script; 2], vec![], None, 7);
        assert!(told.verdict.text.starts_with("not deployed"), "{}", told.verdict.text);
        assert_eq!(told.verdict.finalized, None, "nobody is owed it");
        told.verdict.code
    };
    assert_eq!(all(failing(Stage::Fetch, Act::FailEarly)), ExitCode::Failed);
    assert_eq!(all(failing(Stage::Promote, Act::FailEarly)), ExitCode::Failed);
    assert_eq!(all(failing(Stage::Promote, Act::FailLate)), ExitCode::Mixed);
    assert_eq!(all(failing(Stage::Promote, Act::LostLate)), ExitCode::Mixed);
}

#[test]
fn a_tolerated_host_whose_rollback_fails_makes_the_fleet_mixed() {
    for (rollback, code) in [
        (Act::FailEarly, ExitCode::Mixed),
        (Act::LostLate, ExitCode::Mixed),
        (Act::Unreachable, ExitCode::Mixed),
        (Act::ChecksFail, ExitCode::Mixed),
        (Act::Work, ExitCode::Success),
    ] {
        let mut scripts = vec![Script::good(); 3];
        scripts[1] = Script { rollback, ..failing(Stage::Promote, Act::FailLate) };
        let mut plan = plan(vec![(3, None, FailureLimit::Hosts(1))], 2);
        plan.groups[0].failed_targets = FailedTargets::Rollback;
        let told = tell(plan, scripts, vec![], None, 7);
        assert_eq!(told.verdict.code, code, "{rollback:?}: {}", told.verdict.text);
    }
}

#[test]
fn hosts_that_are_back_and_fail_a_check_are_named_with_it_and_not_called_mixed() {
    let mut scripts = vec![Script { rollback: Act::ChecksFail, ..Script::good() }; 2];
    scripts.push(failing(Stage::Promote, Act::FailLate));
    let told = tell(plan(vec![(3, None, FailureLimit::Hosts(0))], 1), scripts, vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Mixed);
    let text = &told.verdict.text;
    assert!(!text.contains("mixed"), "{text}");
    assert!(text.contains("3 hosts were rolled back and verified, but checks fail"), "{text}");
    assert!(text.contains("host[0-1] (check page failed)"), "{text}");
    assert!(!text.contains("mixed"), "{text}");
}

#[test]
fn after_a_group_that_did_not_wholly_succeed_the_question_says_how_many_hosts_did() {
    let groups = || plan(vec![(2, None, FailureLimit::Hosts(2)), (2, None, FailureLimit::Hosts(0))], 2);
    let asked = |scripts: Vec<Script>| {
        let told = tell(groups(), scripts, vec![], None, 7);
        let question = |event: &Event| match event {
            Event::Asked { question, .. } if question.contains("Continue?") => Some(question.clone()),
            _ => None,
        };
        told.events.iter().find_map(question).unwrap()
    };
    assert!(asked(vec![Script::good(); 4]).contains(" deploy successful. Continue?"));
    let mut scripts = vec![Script::good(); 4];
    scripts[1] = failing(Stage::Promote, Act::FailLate);
    let question = asked(scripts.clone());
    assert!(question.contains(" deployed on 1 of 2 hosts only. Continue?"), "{question}");
    scripts[0].probe = Act::Unreachable;
    let question = asked(scripts);
    assert!(question.contains(" deployed on 0 of 2 hosts only. Continue?"), "{question}");
}
