//! R1 to R9: which stage runs on which hosts, in which order, and when the operator is asked.

use super::*;

/// R1: groups in order; inside a call the hosts start in the order of the file.
pub fn r1_order(plan: &Plan, calls: &[Called]) {
    let mut furthest = 0;
    for call in calls {
        let mut sorted = call.tasks.clone();
        sorted.sort_unstable();
        assert_eq!(call.tasks, sorted, "hosts out of the file's order");
        assert!(call.tasks.starts_with(&call.started), "hosts start in the order given");
        if is_primary(call.step) {
            let group = group_of(plan, call.tasks[0]);
            assert!(group >= furthest, "a group was gone back to");
            furthest = group;
        }
    }
}

/// R3: the target is told its group's own name, and every try stays within a subgroup.
pub fn r3_subgroups(plan: &Plan, calls: &[Called]) {
    for call in calls.iter().filter(|call| matches!(call.step, Step::Run(_))) {
        for host in &call.tasks {
            assert_eq!(plan.groups[group_of(plan, *host)].name, call.group);
        }
        if is_primary(call.step) {
            let subgroups: HashSet<_> = call.tasks.iter().map(|host| subgroup_of(plan, *host)).collect();
            assert_eq!(subgroups.len(), 1, "one stage ran over two subgroups at once");
        }
    }
}

/// R4, R5, R7: no host starts a primary stage for the first time while more hosts of its group count than may.
pub fn r4_to_r7_limit(told: &Told) {
    let plan = &told.plan;
    let mut bad: Vec<BTreeSet<Host>> = vec![BTreeSet::new(); plan.groups.len()];
    let mut now: Option<(Step, bool)> = None;
    for entry in &told.trace {
        match entry {
            Trace::Called { call, .. } => now = Some((call.step, call.force)),
            Trace::Started(host) => {
                let (step, retry) = now.unwrap();
                let group = group_of(plan, *host);
                let size = plan.groups[group].targets.len();
                if is_primary(step) && !retry {
                    let failed = bad[group].len();
                    assert!(!plan.groups[group].limit.exceeded_by(failed, size), "host {host} started over the limit");
                }
            }
            Trace::Told(host, outcome) => {
                let (step, _) = now.unwrap();
                let group = group_of(plan, *host);
                let counts =
                    !matches!(step, Step::Release | Step::Run(Stage::Rollback | Stage::Finalize | Stage::Undrain));
                if !outcome.is_ok() && counts {
                    bad[group].insert(*host);
                } else if is_primary(step) {
                    bad[group].remove(host);
                }
            }
            _ => {}
        }
    }
    let limits =
        |group: usize| plan.groups[group].limit.exceeded_by(bad[group].len(), plan.groups[group].targets.len());
    if matches!(told.verdict.code, ExitCode::Success | ExitCode::NotFinalized) {
        assert!(!(0..plan.groups.len()).any(limits), "a run over its limit was called a success");
    }
}

/// R6: after a failure no later primary stage but a retry, and no finalize; nothing at all for who was never reached.
pub fn r6_failed_hosts(plan: &Plan, calls: &[Called]) {
    let mut failed: HashSet<Host> = HashSet::new();
    let mut gone: HashSet<Host> = HashSet::new();
    for call in calls {
        for host in &call.started {
            if call.step != Step::Release {
                assert!(!gone.contains(host), "host {host} was never reached and was used all the same");
            }
            if is_primary(call.step) && failed.contains(host) {
                assert!(plan.groups[0].retry_failed > 0 && call.force, "failed host {host} went on to {:?}", call.step);
            }
            assert!(
                !(call.step == Step::Run(Stage::Finalize) && failed.contains(host)),
                "failed host {host} finalized"
            );
        }
        for (host, outcome) in &call.told {
            match (call.step, outcome.is_ok()) {
                (Step::Probe | Step::Hold, false) => drop(gone.insert(*host)),
                (step, false) if is_primary(step) => drop(failed.insert(*host)),
                (step, true) if is_primary(step) => drop(failed.remove(host)),
                _ => {}
            }
        }
    }
}

/// R7: a failure short of the limit stops nobody; whoever did not start is named.
pub fn r7_nobody_in_silence(told: &Told, calls: &[Called]) {
    let ended: Vec<_> = told
        .events
        .iter()
        .filter_map(|event| match event {
            Event::StepEnded { step, not_attempted, ok, failed, .. } if *step != Step::Release => {
                Some((*step, not_attempted.len(), ok + failed))
            }
            _ => None,
        })
        .collect();
    let called: Vec<_> = calls.iter().filter(|call| call.step != Step::Release).collect();
    assert_eq!(ended.len(), called.len());
    for ((step, not_attempted, results), call) in ended.iter().zip(called) {
        assert_eq!(*step, call.step);
        assert_eq!(*not_attempted, call.tasks.len() - call.started.len());
        assert_eq!(*results, call.started.len());
        if !call.stopped && !call.has_room {
            assert_eq!(call.tasks, call.started, "hosts were left out of {step:?} for no reason");
        }
    }
}

/// R7: no subgroup is even announced once the limit is exceeded.
pub fn r7_no_header_over_the_limit(told: &Told) {
    let exceeded = told.events.iter().position(|event| matches!(event, Event::LimitExceeded { .. }));
    let headers = told.events.iter().enumerate().filter(|(_, event)| matches!(event, Event::Subgroup { .. }));
    for (index, _) in headers {
        let next = told.events[index + 1..].iter().find(|event| !matches!(event, Event::Note { .. }));
        assert!(matches!(next, Some(Event::StepStarted { .. })), "a subgroup was announced and nothing came of it");
        assert!(exceeded.is_none_or(|at| index < at));
    }
}

/// R8: after each group but the last, until the operator said to go on with all.
pub fn r8_asking(told: &Told) {
    let plan = &told.plan;
    let mut asked_after: Vec<String> = Vec::new();
    let mut groups_begun: Vec<usize> = Vec::new();
    for entry in &told.trace {
        match entry {
            Trace::Called { call, tasks } if is_primary(call.step) => {
                let group = group_of(plan, tasks[0].host.index());
                if !groups_begun.contains(&group) {
                    groups_begun.push(group);
                }
            }
            Trace::Asked(question) if question.contains("Continue?") => {
                let group = question.split(' ').next().unwrap().to_owned();
                assert_ne!(group, plan.groups.last().unwrap().name, "asked after the last group");
                assert!(!asked_after.contains(&group), "asked twice after {group}");
                asked_after.push(group);
            }
            _ => {}
        }
    }
    let all =
        told.events.iter().any(|event| matches!(event, Event::Asked { answer, .. } if answer == Answer::All.word()));
    if !all && told.verdict.code == ExitCode::Success {
        assert_eq!(asked_after.len(), plan.groups.len() - 1, "a group boundary was passed without a question");
    }
}

/// R9: finalize after all primary stages, on just the hosts that passed every one.
pub fn r9_finalize(plan: &Plan, calls: &[Called]) {
    let Some(first) = calls.iter().position(|call| call.step == Step::Run(Stage::Finalize)) else { return };
    assert!(!calls[first..].iter().any(|call| is_primary(call.step)), "a primary stage ran after finalize began");
    let mut passed: HashMap<Host, Stage> = HashMap::new();
    for call in &calls[..first] {
        for (host, outcome) in &call.told {
            match (call.step, outcome.is_ok()) {
                (Step::Run(Stage::Rollback), _) | (_, false) => drop(passed.remove(host)),
                (Step::Run(stage), true) => drop(passed.insert(*host, stage)),
                _ => {}
            }
        }
    }
    let complete: BTreeSet<Host> =
        passed.iter().filter(|(_, stage)| **stage == Stage::Promote).map(|(host, _)| *host).collect();
    let finalized: BTreeSet<Host> = calls[first..]
        .iter()
        .filter(|call| call.step == Step::Run(Stage::Finalize))
        .flat_map(|call| call.started.iter().copied())
        .collect();
    let stopped = calls.iter().any(|call| call.stopped && call.step == Step::Run(Stage::Finalize));
    let turned_back = calls[first..].iter().any(|call| call.step == Step::Run(Stage::Rollback));
    // An interrupt in the middle of it turns everything back, what is finalized already too.
    assert!(complete.is_superset(&finalized) && (complete == finalized || stopped || turned_back));
    assert!(plan.finalize.is_some());
}
