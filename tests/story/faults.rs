//! The known faults of the predecessor, each with a test that names it.

use super::*;

#[test]
fn fault_1_a_failure_within_the_limit_stops_no_other_host_and_the_next_stage_leaves_the_failed_one_out() {
    let mut scripts = vec![Script::good(); 10];
    scripts[0] = failing(Stage::Fetch, Act::FailEarly);
    let told = tell(plan(vec![(10, None, FailureLimit::Hosts(1))], 1), scripts, vec![], None, 1);
    let calls = calls(&told);
    let of = |stage| calls.iter().find(|call| call.step == Step::Run(stage)).unwrap().started.clone();
    assert_eq!(of(Stage::Fetch), (0..10).collect::<Vec<_>>());
    assert_eq!(of(Stage::ConfigDeploy), (1..10).collect::<Vec<_>>());
    assert_eq!(told.verdict.code, ExitCode::Success);
}

#[test]
fn fault_1_hosts_that_were_never_started_are_reported_and_left_out_of_the_next_stage() {
    let mut scripts = vec![Script::good(); 10];
    scripts[2] = failing(Stage::Fetch, Act::FailEarly);
    let told = tell(plan(vec![(10, None, FailureLimit::Hosts(0))], 1), scripts, vec![], None, 1);
    let ended = told.events.iter().find_map(|event| match event {
        Event::StepEnded { step: Step::Run(Stage::Fetch), not_attempted, .. } => Some(not_attempted.len()),
        _ => None,
    });
    assert_eq!(ended, Some(7));
    assert!(!calls(&told).iter().any(|call| call.step == Step::Run(Stage::ConfigDeploy)));
    assert_eq!(told.verdict.rows.iter().filter(|row| row.state == RowState::NotAttempted).count(), 7);
}

#[test]
fn fault_2_a_host_that_failed_within_the_limit_is_not_finalized() {
    let told = tell_one_group(good_but(5, 3, failing(Stage::Promote, Act::FailLate)), FailureLimit::Hosts(1), 5);
    assert_eq!(told.verdict.code, ExitCode::Success);
    assert_eq!(told.verdict.rows[3].state, RowState::Failed);
    assert_eq!(told.scripted.done[3], Some(revision('a')));
}

#[test]
fn fault_3_a_failed_finalize_shows_in_the_exit_status() {
    let script = Script { finalize: Act::FailEarly, ..Script::good() };
    let told = tell_one_group(good_but(3, 1, script), FailureLimit::Hosts(0), 3);
    assert_eq!(told.verdict.code, ExitCode::NotFinalized);
    assert_eq!(told.verdict.rows[1].state, RowState::NotFinalized);
}

#[test]
fn fault_4_all_of_200_promoted_hosts_are_rolled_back_though_some_rollbacks_fail() {
    let mut scripts = vec![Script::good(); 200];
    scripts[199] = failing(Stage::Promote, Act::FailLate);
    scripts[5].rollback = Act::FailEarly;
    scripts[6].rollback = Act::Kill;
    let told = tell(plan(vec![(200, None, FailureLimit::Hosts(0))], 80), scripts, vec![], None, 7);
    let rolled: Vec<_> = calls(&told)
        .into_iter()
        .filter(|call| call.step == Step::Run(Stage::Rollback))
        .map(|call| call.started)
        .collect();
    assert_eq!(rolled[0], [199], "the host that is out of service anyway goes first");
    assert_eq!(rolled.concat().len(), 200);
    assert_eq!(told.verdict.code, ExitCode::Mixed);
    assert_eq!(told.verdict.rows[5].state, RowState::RollbackFailed);
    assert_eq!(told.verdict.rows.iter().filter(|row| row.state == RowState::RolledBack).count(), 198);
}

#[test]
fn fault_5_a_host_lost_in_mid_promote_is_asked_to_roll_back() {
    let told = tell_one_group(good_but(3, 1, failing(Stage::Promote, Act::LostLate)), FailureLimit::Hosts(0), 1);
    let rollback = calls(&told).into_iter().find(|call| call.step == Step::Run(Stage::Rollback)).unwrap().started;
    assert!(rollback.contains(&1));
    assert_eq!(told.verdict.rows[1].state, RowState::RolledBack);
    assert_eq!(told.verdict.code, ExitCode::Failed);
}

#[test]
fn fault_6_a_host_whose_stage_was_killed_by_a_signal_has_failed() {
    let told = tell_one_group(good_but(3, 1, failing(Stage::Promote, Act::Kill)), FailureLimit::Hosts(0), 3);
    assert_eq!(told.verdict.code, ExitCode::Failed);
}

#[test]
fn fault_7_rollback_leaves_alone_what_was_never_attempted() {
    let mut scripts = vec![Script::good(); 6];
    scripts[1] = failing(Stage::Fetch, Act::FailEarly);
    let told = tell(
        plan(vec![(4, Some(2), FailureLimit::Hosts(0)), (2, None, FailureLimit::Hosts(0))], 2),
        scripts,
        vec![],
        None,
        7,
    );
    let rolled: Vec<_> = calls(&told)
        .into_iter()
        .filter(|call| call.step == Step::Run(Stage::Rollback))
        .flat_map(|call| call.started)
        .collect();
    assert_eq!(rolled, [0, 1]);
}

#[test]
fn fault_9_the_limit_is_a_share_of_the_whole_group_over_all_its_subgroups() {
    // 20% of 10 is 2: one failure in each of two subgroups of five is allowed, a third is not.
    let limit = FailureLimit::Percent(20);
    let mut scripts = vec![Script::good(); 10];
    scripts[0] = failing(Stage::Fetch, Act::FailEarly);
    scripts[5] = failing(Stage::Fetch, Act::FailEarly);
    let told = tell(plan(vec![(10, Some(5), limit)], 5), scripts.clone(), vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Success);
    scripts[9] = failing(Stage::Promote, Act::FailEarly);
    let told = tell(plan(vec![(10, Some(5), limit)], 5), scripts, vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Failed);
}

#[test]
fn fault_11_membership_of_subgroups_is_the_same_on_every_run() {
    let members = || {
        let told = tell(plan(vec![(7, Some(3), FailureLimit::Hosts(0))], 2), vec![Script::good(); 7], vec![], None, 99);
        calls(&told)
            .into_iter()
            .filter(|call| call.step == Step::Run(Stage::Fetch))
            .map(|call| call.tasks)
            .collect::<Vec<_>>()
    };
    assert_eq!(members(), [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
    assert_eq!(members(), members());
}

#[test]
fn fault_13_exit_status_255_is_a_failure_of_the_stage_and_the_host_is_rolled_back_like_any_other() {
    let outcome = Fault::Failed { reason: "check x".into(), status: Some(255) };
    assert_eq!(outcome.to_string(), "check x (exit status 255)");
}
