//! R13 and R14: hosts out of service, steps, soaks and gates.

use super::*;

use hoist::deploy::Pace;

/// R13: whatever happens, no host is taken out of service without room for it. What is out is read from the trace alone:
/// what was begun and has not ended well, what was lost, and what the hosts themselves have down as drained.
pub fn r13_capacity(told: &Told) {
    let plan = &told.plan;
    let mut out: BTreeSet<Host> = BTreeSet::new();
    let mut drained: BTreeSet<Host> = BTreeSet::new();
    let mut promoted: HashSet<Host> = HashSet::new();
    let mut asked_back = false;
    let (mut step, mut out_before) = (Step::Probe, 0);
    let targets: Vec<&Target> = plan.targets().map(|(_, target)| target).collect();
    // With max_unavailable_by, each part of a group is counted by itself.
    let part_of = |host: Host| plan.groups[group_of(plan, host)].part_of(targets[host]);
    let out_in = |group: usize, part: &str, out: &BTreeSet<Host>, drained: &BTreeSet<Host>| {
        let is_in = |host: &&Host| group_of(plan, **host) == group && part_of(**host) == part;
        out.union(drained).filter(is_in).count()
    };
    for entry in &told.trace {
        match entry {
            Trace::Called { call, tasks } => {
                step = call.step;
                let first = tasks.first().map_or(0, |task| group_of(plan, task.host.index()));
                out_before = out_in(first, "", &out, &drained);
            }
            Trace::Started(host) => {
                let restarts = match step {
                    Step::Run(Stage::Rollback) => promoted.contains(host),
                    Step::Run(stage) => stage.restarts(),
                    _ => false,
                };
                if step == Step::Run(Stage::Promote) {
                    promoted.insert(*host);
                }
                let was_out = drained.contains(host);
                if !restarts || !out.insert(*host) || was_out || (asked_back && at_once(told)) {
                    continue;
                }
                let (group, subgroup) = subgroup_of(plan, *host);
                let part = part_of(*host);
                let now = out_in(group, part, &out, &drained);
                let group = plan.group_ids().nth(group).unwrap();
                let most = match plan.group(group).max_unavailable {
                    Some(share) => share.of(plan.group(group).whole_part(part)),
                    None => plan.subgroups_of(group)[subgroup].1.clone().count().max(out_before + 1),
                };
                assert!(now <= most, "{now} hosts of {group:?} are out, of {most} that may be: {out:?}, {drained:?}");
            }
            Trace::Drained(host, true) => drop(drained.insert(*host)),
            Trace::Drained(host, false) => drop(drained.remove(host)),
            Trace::Told(host, outcome) => match (step, outcome) {
                (Step::Probe, Ok(())) if told.left_drained(*host) => drop(drained.insert(*host)),
                (_, Err(Fault::Unreachable { .. } | Fault::Lost { .. })) if step != Step::Release => {
                    out.insert(*host);
                }
                (Step::Run(stage), Ok(())) if stage.restarts() => drop(out.remove(host)),
                _ => {}
            },
            Trace::Asked(question) => asked_back |= question.contains("Roll back"),
            Trace::Returned { .. } | Trace::Once { .. } => {}
        }
    }
    // A halt for want of room is named so, and never in a run where nothing sets a budget.
    let used_up = told.events.iter().any(|event| matches!(event, Event::CapacityUsedUp { .. }));
    assert!(!used_up || plan.groups.iter().all(|group| group.max_unavailable.is_some()));
    assert!(!told.verdict.text.contains("max_unavailable") || used_up, "{}", told.verdict.text);
}

/// R14: a look for every gate and soak that is due, in the order of the run; what fails halts, and a rollback looks at
/// nothing.
pub fn r14_health(told: &Told, calls: &[Called]) {
    let Told { plan, looks, .. } = told;
    for look in looks {
        let group = plan.group_ids().find(|group| plan.group(*group).name == look.group);
        assert!(look.moment == Moment::Soak || plan.has_gates(look.moment, group), "nobody asked for {look:?}");
        assert!(look.soaked <= 3);
        if look.moment == Moment::Before {
            assert_eq!(look.new, 0, "nothing was touched by then");
        }
        if look.moment == Moment::Subgroup || look.moment == Moment::Soak && look.label != look.group {
            assert!(look.new > 0, "nobody is on the new revision: {look:?}");
        }
    }
    let failed = told.events.iter().position(|event| matches!(event, Event::GateFailed { .. }));
    if let Some(at) = failed {
        let later = |event: &Event| match event {
            Event::HostStarted { step, .. } => is_primary(*step) || *step == Step::Run(Stage::Finalize),
            Event::SoakStarted { .. } | Event::Gate { .. } => true,
            _ => false,
        };
        assert!(!told.events[at..].iter().any(later), "the run went on after a gate had failed");
        assert_ne!(told.verdict.code, ExitCode::Success);
    }
    let rolled_back = |event: &Event| matches!(event, Event::Asked { question, .. } if question.contains("Roll back"));
    if let Some(at) = told.events.iter().position(rolled_back) {
        let looked = |event: &Event| matches!(event, Event::Soaking { .. } | Event::Gate { .. });
        assert!(!told.events[at..].iter().any(looked), "a rollback looked at the service");
    }
    if told.verdict.code == ExitCode::Success && plan.finalize.is_some() {
        let soaks = looks.iter().filter(|look| look.moment == Moment::Soak).count();
        let promoted: HashSet<_> = calls
            .iter()
            .filter(|call| call.step == Step::Run(Stage::Promote) && !call.force)
            .filter(|call| call.told.iter().any(|(_, outcome)| outcome.is_ok()))
            .map(|call| subgroup_of(plan, call.tasks[0]))
            .collect();
        if plan.groups.iter().all(|group| group.soak_time > Duration::ZERO) {
            assert!(soaks >= promoted.len(), "{soaks} soaks after {} subgroups", promoted.len());
        }
    }
}

/// A group of so many hosts, of which `most` may be out of service and so many may fail.
fn group_of_hosts(hosts: usize, size: Option<usize>, most: &str, limit: FailureLimit) -> Plan {
    let mut plan = plan(vec![(hosts, size, limit)], 80);
    plan.groups[0].max_unavailable = Some(most.parse().unwrap());
    plan
}

fn failing_promote() -> Script {
    failing(Stage::Promote, Act::FailLate)
}

#[test]
fn failed_hosts_that_use_the_budget_up_halt_the_run_before_the_failure_limit_does_and_are_named() {
    let mut scripts = vec![Script::good(); 10];
    scripts[0] = failing_promote();
    scripts[3] = failing_promote();
    let told = tell(group_of_hosts(10, Some(5), "2", FailureLimit::Percent(50)), scripts, vec![], None, 7);
    let why = "max_unavailable of g0 (2) is used up: host[0,3] are out of service";
    assert_eq!(told.verdict.code, ExitCode::Failed, "{}", told.verdict.text);
    assert!(told.verdict.text.contains(why), "{}", told.verdict.text);
    let asked = |event: &&Event| matches!(event, Event::Asked { question, .. } if question.starts_with(why));
    assert!(told.events.iter().any(|event| asked(&event)), "the question says why");
    let limit = |event: &Event| matches!(event, Event::LimitExceeded { .. });
    assert!(!told.events.iter().any(limit), "the limit was not exceeded");
    hold_all_rules(&told);
}

#[test]
fn without_a_budget_failed_hosts_halt_nothing_that_the_limit_allows() {
    let mut scripts = vec![failing_promote(); 9];
    scripts.push(Script::good());
    let told = tell(plan(vec![(10, Some(3), FailureLimit::Hosts(9))], 80), scripts, vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Success, "{}", told.verdict.text);
    hold_all_rules(&told);
}

#[test]
fn hosts_that_cannot_be_reached_may_use_the_budget_up_before_anything_is_touched() {
    let mut scripts = vec![Script::good(); 6];
    scripts[4].probe = Act::Unreachable;
    let told = tell(group_of_hosts(6, None, "1", FailureLimit::Hosts(2)), scripts, vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Failed);
    let text = "not deployed: max_unavailable of g0 (1) is used up: host4 is out of service; nothing was touched";
    assert_eq!(told.verdict.text, text);
}

#[test]
fn failed_hosts_are_tried_again_without_room_and_then_make_room_for_the_others() {
    let mut scripts = vec![Script::good(); 6];
    for host in [0, 1] {
        scripts[host].primary[2] = vec![Act::FailLate, Act::Work];
    }
    let mut plan = group_of_hosts(6, Some(2), "2", FailureLimit::Hosts(2));
    plan.groups[0].retry_failed = 1;
    let told = tell(plan, scripts, vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Success, "{}", told.verdict.text);
    assert_eq!(hosts_of_calls(&told, Stage::Promote), [vec![0, 1], vec![0, 1], vec![2, 3], vec![4, 5]]);
    hold_all_rules(&told);
}

#[test]
fn a_rollback_takes_those_first_that_are_out_and_leaves_and_names_who_has_no_room() {
    let mut scripts = vec![Script::good(); 6];
    scripts[5] = Script { rollback: Act::FailEarly, ..failing_promote() };
    let told = tell(group_of_hosts(6, None, "1", FailureLimit::Hosts(0)), scripts.clone(), vec![], None, 7);
    assert_eq!(hosts_of_calls(&told, Stage::Rollback), [vec![5]], "there is no room for anybody else");
    assert_eq!(told.verdict.code, ExitCode::Mixed);
    let text = format!("{} {:?}", told.verdict.whole(), told.verdict.rows);
    assert!(text.contains("max_unavailable of g0 (1) is used up: host5 is out of service"), "{text}");
    assert!(text.contains("hoist rollback --at-once --to aaaaaaaaaa -l host0,host1,host2,host3,host4"), "{text}");
    assert!(told.verdict.rows[..5].iter().all(|row| !row.ok && row.state == RowState::Passed));
    hold_all_rules(&told);
    // A host that comes back makes room for the others.
    scripts[5].rollback = Act::Work;
    let told = tell(group_of_hosts(6, None, "1", FailureLimit::Hosts(0)), scripts, vec![], None, 7);
    assert_eq!(hosts_of_calls(&told, Stage::Rollback), [vec![5], vec![0, 1, 2, 3, 4]]);
    assert_eq!(told.verdict.code, ExitCode::Failed);
}

#[test]
fn a_rollback_at_once_by_answer_or_key_takes_a_whole_group_in_one_call() {
    for (answers, pace) in [(vec![Answer::AtOnce], Pace::Budget), (vec![], Pace::AtOnce)] {
        let mut scripts = vec![Script::good(); 6];
        scripts[5] = failing_promote();
        let mut plan = group_of_hosts(6, Some(2), "1", FailureLimit::Hosts(0));
        plan.rollback_pace = pace;
        let told = tell(plan, scripts, answers, None, 7);
        assert_eq!(hosts_of_calls(&told, Stage::Rollback), [vec![0, 1, 2, 3, 4, 5]]);
        let offered = |event: &Event| matches!(event, Event::Asked { question, .. } if question.ends_with("[a]t once"));
        assert_eq!(told.events.iter().any(offered), pace == Pace::Budget);
        assert_eq!(told.verdict.code, ExitCode::Failed);
    }
}

#[test]
fn subgroups_grow_by_the_steps_and_go_back_in_reverse() {
    let mut scripts = vec![Script::good(); 10];
    scripts[9] = failing_promote();
    let mut plan = plan(vec![(10, None, FailureLimit::Hosts(0))], 80);
    plan.groups[0].steps = "1, 20%, 50%".parse().unwrap();
    let told = tell(plan, scripts, vec![], None, 7);
    let forward = [vec![0], vec![1, 2], vec![3, 4, 5, 6, 7], vec![8, 9]];
    assert_eq!(hosts_of_calls(&told, Stage::Promote), forward);
    assert_eq!(hosts_of_calls(&told, Stage::Rollback), [vec![9], vec![8], vec![3, 4, 5, 6, 7], vec![1, 2], vec![0]]);
}

/// Two groups whose canaries soak, with a gate at the soak that says this.
fn with_gate(says: Health, answers: Vec<Answer>, change: impl FnOnce(&mut Plan)) -> Told {
    let mut plan = plan(vec![(2, Some(1), FailureLimit::Hosts(0)), (3, None, FailureLimit::Hosts(0))], 80);
    plan.groups[0].soak_time = Duration::from_secs(3);
    let at = vec![Moment::Soak];
    plan.gates = vec![GatePlan { name: "errors".into(), scope: Scope { at, group: None }, observe: false }];
    change(&mut plan);
    let gates = ScriptedGates { says: vec![(Moment::Soak, says)], ..ScriptedGates::default() };
    tell_with(plan, vec![Script::good(); 5], gates, answers, None, 7)
}

fn health_of(inconclusive: bool) -> Health {
    let (gate, reason) = ("errors".to_owned(), "0.05 is not < 0.01".to_owned());
    if inconclusive { Health::Inconclusive { gate, reason } } else { Health::Fail { gate, reason } }
}

#[test]
fn a_gate_that_fails_in_the_soak_of_the_first_host_turns_the_run_back_and_is_named_with_its_value() {
    let told = with_gate(health_of(false), vec![], |_| {});
    assert_eq!(hosts_of_calls(&told, Stage::Promote), [vec![0]]);
    assert_eq!(told.verdict.code, ExitCode::Failed);
    let text = "not deployed (gate errors failed: 0.05 is not < 0.01): 1 host was rolled back and verified";
    assert_eq!(told.verdict.text, text);
    hold_all_rules(&told);
}

#[test]
fn a_gate_that_cannot_tell_asks_a_person_and_no_is_a_halt() {
    let told = with_gate(health_of(true), vec![Answer::Yes, Answer::No], |_| {});
    assert_eq!(told.verdict.code, ExitCode::Failed, "{}", told.verdict.text);
    assert!(told.verdict.text.contains("gate errors is inconclusive: 0.05 is not < 0.01"), "{}", told.verdict.text);
    let told = with_gate(health_of(true), vec![], |_| {});
    assert_eq!(told.verdict.code, ExitCode::Success, "whoever is asked may go on");
    hold_all_rules(&told);
}

#[test]
fn break_glass_and_runs_that_restart_nothing_pass_over_gates_and_soaks() {
    let broken = with_gate(health_of(false), vec![], |plan| plan.break_glass = Some("fire".into()));
    let fetch = with_gate(health_of(false), vec![], |plan| plan.stages.truncate(1));
    let back = with_gate(health_of(false), vec![], |plan| plan.kind = Kind::Rollback);
    for told in [broken, fetch, back] {
        assert!(told.looks.is_empty());
        assert_ne!(told.verdict.code, ExitCode::Failed, "{}", told.verdict.text);
    }
}

#[test]
fn a_look_knows_who_is_on_the_new_revision_and_who_still_is_on_the_old_one() {
    let told = with_gate(Health::Pass, vec![], |plan| plan.gates[0].scope.at = vec![Moment::Subgroup, Moment::Group]);
    let seen = |moment| -> Vec<(&str, [usize; 3])> {
        let those = told.looks.iter().filter(move |look| look.moment == moment);
        those.map(|look| (look.label.as_str(), [look.new, look.old, look.elsewhere])).collect()
    };
    assert_eq!(seen(Moment::Subgroup), [("g01", [1, 1, 3]), ("g02", [2, 0, 3]), ("g1", [3, 0, 0])]);
    assert_eq!(seen(Moment::Group), [("g0", [2, 0, 3]), ("g1", [3, 0, 0])]);
    assert_eq!(seen(Moment::Soak), [("g01", [1, 1, 3]), ("g02", [2, 0, 3])]);
}
