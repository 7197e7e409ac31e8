//! Random plans, fleets, gates and answers.

use super::*;

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        14 => Just(Act::Work),
        1 => Just(Act::FailEarly),
        1 => Just(Act::FailLate),
        1 => Just(Act::TimeOut),
        1 => Just(Act::Kill),
        1 => Just(Act::Unreachable),
        1 => Just(Act::LostLate),
        1 => Just(Act::LostEarly),
        1 => Just(Act::DrainFails),
        1 => Just(Act::UndrainFails),
    ]
}

fn rare(bad: Act) -> impl Strategy<Value = Act> {
    prop_oneof![30 => Just(Act::Work), 1 => Just(bad), 1 => Just(Act::Unreachable), 1 => Just(Act::FailEarly)]
}

fn script() -> impl Strategy<Value = Script> {
    let acts = || prop::collection::vec(act(), 1..4);
    let locked = prop_oneof![200 => Just(Act::Work), 1 => Just(Act::Locked), 2 => Just(Act::Unreachable), 2 => Just(Act::FailEarly)];
    let rollback = prop_oneof![5 => act(), 1 => Just(Act::ChecksFail)];
    let live = prop::option::weighted(0.2, Just('c'));
    let stages = ([acts(), acts(), acts()], act(), rollback);
    let drain = (any::<bool>(), prop::bool::weighted(0.03), act());
    (rare(Act::TimeOut), locked, stages, prop::bool::weighted(0.9), live, drain).prop_map(
        |(probe, hold, (primary, finalize, rollback), has_done, live, (drains, left_drained, undrain))| Script {
            probe,
            hold,
            primary,
            finalize,
            rollback,
            has_done,
            live,
            drains,
            left_drained,
            undrain,
            read_again: Act::Work,
        },
    )
}

fn limit() -> impl Strategy<Value = FailureLimit> {
    prop_oneof![
        2 => Just(FailureLimit::Hosts(0)),
        3 => (0usize..4).prop_map(FailureLimit::Hosts),
        3 => (0u8..=100).prop_map(FailureLimit::Percent),
    ]
}

fn moment() -> impl Strategy<Value = Moment> {
    prop::sample::select(vec![Moment::Before, Moment::Subgroup, Moment::Soak, Moment::Group, Moment::Finalize])
}

fn health() -> impl Strategy<Value = Health> {
    let (gate, reason) = ("errors".to_owned(), "0.05 is not < 0.01".to_owned());
    prop_oneof![
        6 => Just(Health::Pass),
        1 => Just(Health::Fail { gate: gate.clone(), reason: reason.clone() }),
        1 => Just(Health::Inconclusive { gate, reason }),
    ]
}

fn answers(with_steps: bool) -> impl Strategy<Value = Vec<Answer>> {
    let of_steps = u32::from(with_steps);
    let answer = prop_oneof![
        6 => Just(Answer::Yes),
        1 => Just(Answer::No),
        1 => Just(Answer::All),
        1 => Just(Answer::AtOnce),
        of_steps => Just(Answer::Done),
        of_steps => Just(Answer::NotDone),
        of_steps => Just(Answer::Unanswered),
    ];
    prop::collection::vec(answer, 0..4)
}

/// Puts the hosts of a group into zones, each of which has a budget.
fn count_by_zone(group: &mut Group) {
    for (at, target) in group.targets.iter_mut().enumerate() {
        let labels = [("zone".to_owned(), ["a", "b", "c"][at % 3].to_owned())].into();
        target.details = Some(std::sync::Arc::new(Details { labels, ..Details::default() }));
    }
    group.max_unavailable_by = Some("zone".into());
    group.count_parts();
}

prop_compose! {
    pub fn run(with_steps: bool)(
        groups in prop::collection::vec((1usize..9, prop::option::of(1usize..5), limit()), 1..4),
        steps in prop::option::weighted(0.3, prop::sample::select(vec!["1, 2", "1, 10%, 50%", "50%, 1", "1, all"])),
        capacity in prop::option::weighted(0.6, prop::sample::select(vec!["1", "2", "3", "25%", "50%", "100%"])),
        gates in prop::collection::vec((moment(), health()), 0..3),
        once in steps::random(),
        soaks in any::<bool>(),
        batch in 1usize..7,
        retry_failed in prop_oneof![3 => Just(0usize), 1 => 1usize..3],
        leave in any::<bool>(),
        by_zone in prop::bool::weighted(0.3),
        with_finalize in prop::bool::weighted(0.9),
    )(
        scripts in prop::collection::vec(script(), groups.iter().map(|(hosts, _, _)| hosts).sum::<usize>()),
        plan in Just({
            let mut plan = plan(groups, batch);
            for group in &mut plan.groups {
                group.retry_failed = retry_failed;
                if let Some(steps) = steps {
                    group.steps = steps.parse().unwrap();
                }
                group.max_unavailable = capacity.map(|share| share.parse().unwrap());
                if by_zone && capacity.is_some() {
                    count_by_zone(group);
                }
                if soaks {
                    (group.soak_time, group.group_soak_time) = (Duration::from_secs(3), Duration::from_secs(2));
                }
                group.failed_targets = if leave { FailedTargets::Leave } else { FailedTargets::Rollback };
            }
            plan.steps = if with_steps { once } else { Vec::new() };
            if !with_finalize { plan.finalize = None; }
            let at = |(moment, _): &(Moment, Health)| GatePlan {
                name: "errors".into(),
                scope: Scope { at: vec![*moment], group: None },
                observe: false,
            };
            plan.gates = gates.iter().map(at).collect();
            plan
        }),
        says in Just(gates),
        answers in answers(with_steps),
        interrupt_at in prop::option::weighted(0.15, 0usize..60),
        order in any::<u64>(),
    ) -> Told {
        let gates = ScriptedGates { says, ..ScriptedGates::default() };
        tell_with(plan, scripts, gates, answers, interrupt_at, order)
    }
}
