//! R15, held against every random fleet, and by name.

use super::*;

/// R15: whoever is drained at the end of a run has been asked to go back, is named, and no run that leaves one has gone
/// well.
pub fn r15_drain(told: &Told, calls: &[Called]) {
    use RowState::*;
    let Told { verdict, scripted, .. } = told;
    let last = |host: Host, of: &dyn Fn(Stage) -> bool| {
        let of = |call: &Called| matches!(call.step, Step::Run(stage) if of(stage));
        calls.iter().rposition(|call| of(call) && call.started.contains(&host))
    };
    // One that was left drained may be asked before the run begins.
    let is_touched = calls.iter().any(|call| matches!(call.step, Step::Run(stage) if stage != Stage::Undrain));
    for (host, row) in verdict.rows.iter().enumerate().filter(|_| is_touched) {
        assert!(!row.ok || !scripted.drained[host], "{} is drained: {row:?}", row.host);
        if !row.reason.as_ref().is_some_and(|reason| reason.contains("drained since")) {
            continue;
        }
        let is_lost = row.reason.as_ref().is_some_and(|reason| reason.contains("last seen drained since"));
        let named = if is_lost { "last seen drained: " } else { "still drained: " };
        assert!(!row.ok && verdict.text.contains(named), "{row:?}: {}", verdict.text);
        let well = [ExitCode::Success, ExitCode::Failed, ExitCode::NotFinalized];
        assert!(!well.contains(&verdict.code), "{:?}: {}", verdict.code, verdict.text);
        let cannot_be_asked = [NotAttempted, Refused, Unreachable, Unknown].contains(&row.state);
        let asked = last(host, &|stage| stage == Stage::Undrain);
        assert!(cannot_be_asked || asked.is_some(), "nobody has asked {} to go back", row.host);
        assert!(cannot_be_asked || asked > last(host, &Stage::restarts), "it was not asked once all was over");
    }
}

fn drained() -> Script {
    Script { drains: true, ..Script::good() }
}

/// A host whose promote does this, and which may not be put back after it.
fn drained_and(act: Act, undrain: Act) -> Script {
    Script { drains: true, undrain, ..failing(Stage::Promote, act) }
}

/// Six hosts in subgroups of two, of which so many may be out of service and none more may fail than that.
fn tell_six(most: &str, scripts: Vec<Script>) -> Told {
    let mut plan = plan(vec![(6, Some(2), FailureLimit::Hosts(5))], 80);
    plan.groups[0].max_unavailable = Some(most.parse().unwrap());
    let told = tell(plan, scripts, vec![], None, 7);
    hold_all_rules(&told);
    told
}

#[test]
fn a_host_that_was_left_drained_goes_back_before_it_costs_a_run_its_room_and_counts_where_it_cannot() {
    for undrain in [Act::Work, Act::FailEarly] {
        let mut scripts = vec![drained(); 6];
        scripts[5] = Script { left_drained: true, undrain, ..drained() };
        let told = tell_six("1", scripts);
        let text = &told.verdict.text;
        assert_eq!(hosts_of_calls(&told, Stage::Undrain), [vec![5]]);
        if undrain == Act::Work {
            assert_eq!(told.verdict.code, ExitCode::Success, "{text}");
        } else {
            assert!(text.contains("max_unavailable of g0 (1) is used up: host5 is out"), "{text}");
            assert!(text.contains("nothing was touched"), "{text}");
        }
    }
    let mut scripts = vec![drained(); 6];
    scripts[0].left_drained = true;
    let told = tell_six("2", scripts);
    assert_eq!(told.verdict.code, ExitCode::Success, "{}", told.verdict.text);
    assert!(told.scripted.drained.iter().all(|drained| !drained));
    assert_eq!(hosts_of_calls(&told, Stage::Promote), [vec![0], vec![1], vec![2, 3], vec![4, 5]]);
}

#[test]
fn hosts_that_cannot_be_put_back_use_the_budget_up_and_are_named_as_drained() {
    let mut scripts = vec![drained(); 6];
    scripts[0] = Script { rollback: Act::UndrainFails, ..drained_and(Act::UndrainFails, Act::FailEarly) };
    scripts[1] = scripts[0].clone();
    let told = tell_six("2", scripts);
    let text = &told.verdict.text;
    assert_eq!(told.verdict.code, ExitCode::Mixed, "{text}");
    assert!(text.contains("max_unavailable of g0 (2) is used up: host[0-1] are out of service"), "{text}");
    assert!(text.ends_with("2 hosts are still drained: host[0-1]"), "{text}");
    assert_eq!(hosts_of_calls(&told, Stage::Promote), [vec![0, 1]]);
}

#[test]
fn a_host_whose_drain_failed_was_put_back_and_costs_room_all_the_same() {
    let mut scripts = vec![drained(); 6];
    scripts[0] = drained_and(Act::DrainFails, Act::Work);
    let told = tell_six("2", scripts.clone());
    assert_eq!(told.verdict.code, ExitCode::Success, "{}", told.verdict.text);
    assert!(told.scripted.drained.iter().all(|drained| !drained));
    scripts[1] = scripts[0].clone();
    let told = tell_six("2", scripts);
    assert!(told.verdict.text.contains("max_unavailable of g0 (2) is used up: host[0-1]"), "{}", told.verdict.text);
}

#[test]
fn a_host_that_failed_drained_within_the_limit_is_asked_to_go_back_when_all_is_over() {
    for (undrain, code) in [(Act::Work, ExitCode::Success), (Act::FailEarly, ExitCode::Mixed)] {
        let mut scripts = vec![drained(); 6];
        scripts[3] = drained_and(Act::FailLate, undrain);
        let told = tell_six("2", scripts);
        assert_eq!(told.verdict.code, code, "{}", told.verdict.text);
        assert_eq!(hosts_of_calls(&told, Stage::Undrain), [vec![3]]);
        assert_eq!(told.scripted.drained[3], undrain != Act::Work);
    }
}

#[test]
fn a_host_that_was_drained_when_it_was_lost_is_named_as_last_seen_drained() {
    let mut scripts = vec![drained(); 6];
    scripts[3] = Script { rollback: Act::LostEarly, ..drained_and(Act::FailLate, Act::Unreachable) };
    let told = tell(plan(vec![(6, None, FailureLimit::Hosts(0))], 2), scripts, vec![], None, 7);
    let row = &told.verdict.rows[3];
    assert_eq!((told.verdict.code, row.state, &row.current), (ExitCode::Mixed, RowState::Unknown, &None));
    assert!(row.reason.as_ref().unwrap().contains("; last seen drained since "), "{row:?}");
    assert!(told.verdict.text.ends_with("; 1 host was last seen drained: host3"), "{}", told.verdict.text);
}
