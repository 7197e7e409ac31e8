//! The rules that `hoist run` shares with a deployment, R1, R3, R4, R5 and R7, held against thousands of random fleets.

#[path = "story/scripted.rs"]
mod scripted;

use std::time::Duration;

use hoist::exit_code::ExitCode;
use hoist::report::{Event, HostRow, Reporter, RowState};
use hoist::run::{CommandRun, run};
use hoist::targets::{FailedTargets, FailureLimit, Group};
use hoist::wire::{Outcome, StartedBy};
use proptest::prelude::*;
use scripted::{Act, Events, Script, Scripted, Trace};

/// Everything about one run.
#[derive(Debug)]
struct Told {
    command_run: CommandRun,
    trace: Vec<Trace>,
    rows: Vec<HostRow>,
    code: ExitCode,
    interrupted: bool,
}

fn tell(groups: Vec<Group>, acts: Vec<Act>, batch: usize, interrupt_at: Option<usize>, order: u64) -> Told {
    let script = |act| Script { primary: [vec![act], vec![], vec![]], ..Script::good() };
    let mut fleet = Scripted::new(acts.into_iter().map(script).collect(), order);
    let mut events = Events::default();
    let by = StartedBy { user: "op".into(), deploy_host: "deploy1".into() };
    let timeout = Duration::from_secs(9);
    let command_run = CommandRun { command: "true".into(), by, groups, batch, timeout, strict: false };
    let (mut looks, mut interrupted) = (0, false);
    let code = run(&command_run, &mut fleet, &mut events, &mut |_: &dyn Reporter| {
        looks += 1;
        interrupted = interrupt_at.is_some_and(|at| looks > at);
        interrupted
    });
    let Some(Event::Ended { rows, status, .. }) = events.0.pop() else { panic!("{:?}", events.0) };
    assert_eq!(status, code.status());
    let trace = fleet.trace.borrow().clone();
    Told { command_run, trace, rows, code, interrupted }
}

/// For each host its group, and the subgroup, counted over all groups.
fn places(groups: &[Group]) -> Vec<(usize, usize)> {
    let mut places = Vec::new();
    let mut subgroup = 0;
    for (index, group) in groups.iter().enumerate() {
        for (_, range) in group.subgroups() {
            places.extend(range.map(|_| (index, subgroup)));
            subgroup += 1;
        }
    }
    places
}

fn hold_the_rules(told: &Told) {
    let groups = &told.command_run.groups;
    let places = places(groups);
    let mut failed = vec![0; groups.len()];
    let mut next = 0;
    let mut under_way: Vec<usize> = Vec::new();
    let mut outcomes: Vec<Option<Outcome>> = vec![None; places.len()];
    let exceeded = |failed: &[usize]| {
        groups.iter().zip(failed).any(|(group, failed)| group.limit.exceeded_by(*failed, group.targets.len()))
    };
    for entry in &told.trace {
        match entry {
            Trace::Started(host) => {
                assert_eq!(*host, next, "R1: hosts begin in their order, and once");
                assert!(!exceeded(&failed), "R7: {host} began though the limit was exceeded");
                let (_, subgroup) = places[*host];
                assert!(under_way.iter().all(|other| places[*other].1 == subgroup), "R3: two subgroups at once");
                next += 1;
                under_way.push(*host);
                assert!(under_way.len() <= told.command_run.batch);
            }
            Trace::Told(host, outcome) => {
                under_way.retain(|other| other != host);
                failed[places[*host].0] += usize::from(!outcome.is_ok());
                outcomes[*host] = Some(outcome.clone());
            }
            _ => {}
        }
    }
    assert!(under_way.is_empty(), "R7: those at work finish");
    let exceeded = exceeded(&failed);
    if !exceeded && !told.interrupted {
        assert_eq!(next, places.len(), "R7: a failure within the limit keeps nobody from beginning");
    }
    let code = match (exceeded, told.interrupted) {
        (true, _) => ExitCode::Failed,
        (false, true) => ExitCode::Interrupted,
        (false, false) => ExitCode::Success,
    };
    // An interrupt that is seen first is what ended it.
    assert!(told.code == code || (told.interrupted && told.code == ExitCode::Interrupted), "{:?}", told.code);
    let targets = groups.iter().flat_map(|group| group.targets.iter().map(move |target| (&group.name, target)));
    assert_eq!(told.rows.len(), places.len(), "R12: one row a host");
    for ((row, outcome), (group, target)) in told.rows.iter().zip(&outcomes).zip(targets) {
        assert_eq!((&row.group, &row.host), (group, target));
        assert_eq!(row.ok, matches!(outcome, Some(Ok(()))));
        assert_eq!(row.state == RowState::NotAttempted, outcome.is_none(), "{row:?}");
    }
}

fn group() -> impl Strategy<Value = (usize, Option<usize>, FailureLimit)> {
    let limit = prop_oneof![
        (0usize..4).prop_map(FailureLimit::Hosts),
        prop::sample::select(vec![0u8, 10, 50, 100]).prop_map(FailureLimit::Percent),
    ];
    (1usize..9, prop::option::of(1usize..4), limit)
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => Just(Act::Work), 1 => Just(Act::FailLate), 1 => Just(Act::TimeOut), 1 => Just(Act::Kill),
        1 => Just(Act::Unreachable), 1 => Just(Act::LostLate)
    ]
}

prop_compose! {
    fn any_run()(groups in prop::collection::vec(group(), 1..4))(
        acts in prop::collection::vec(act(), groups.iter().map(|group| group.0).sum::<usize>()),
        groups in Just(groups),
        batch in 1usize..6,
        interrupt_at in prop_oneof![3 => Just(None), 1 => (0usize..20).prop_map(Some)],
        order in any::<u64>(),
    ) -> Told {
        let mut next = 0;
        let group = |(index, (hosts, size, limit)): (usize, (usize, Option<usize>, FailureLimit))| {
            let targets = (next..next + hosts).map(|n| format!("host{n}").parse().unwrap()).collect();
            next += hosts;
            let failed_targets = FailedTargets::Rollback;
            Group { name: format!("g{index}"), targets, steps: size.into(), limit, retry_failed: 2, failed_targets, ..Group::default() }
        };
        let groups = groups.into_iter().enumerate().map(group).collect();
        tell(groups, acts, batch, interrupt_at, order)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_rule_holds_for_every_command_and_every_fleet(told in any_run()) {
        hold_the_rules(&told);
    }
}
