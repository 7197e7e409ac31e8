//! The rules that `hoist run` shares with a deployment, R1 to R5, R7 and R13 to R15, held against thousands of random
//! fleets.

#[path = "story/scripted.rs"]
mod scripted;

use std::collections::BTreeSet;
use std::time::Duration;

use hoist::deploy::health::{Health, Moment, Scope};
use hoist::deploy::{Answer, GatePlan, Operator, Question, StagePlan};
use hoist::exit_code::ExitCode;
use hoist::fleet::Step;
use hoist::report::{Event, HostRow, RowState};
use hoist::run::{CommandRun, Drains, Room, run};
use hoist::targets::{FailedTargets, FailureLimit, Group, Target};
use hoist::wire::{Outcome, Stage, StartedBy, State};
use proptest::prelude::*;
use scripted::{Act, Events, Script, Scripted, ScriptedGates, Trace};

/// Whoever called: interrupts at its n-th look, and says the same to every question.
struct Person {
    looks: usize,
    interrupt_at: Option<usize>,
    interrupted: bool,
    answer: Answer,
}

impl Operator for Person {
    fn ask(&mut self, _: &Question) -> Answer {
        self.answer
    }

    fn interrupted(&mut self) -> bool {
        self.looks += 1;
        self.interrupted |= self.interrupt_at.is_some_and(|at| self.looks > at);
        self.interrupted
    }

    fn has_interrupted(&self) -> bool {
        self.interrupted
    }

    fn name(&self) -> &'static str {
        "operator"
    }
}

/// Everything about one run.
#[derive(Debug)]
struct Told {
    command_run: CommandRun,
    scripts: Vec<Script>,
    trace: Vec<Trace>,
    events: Vec<Event>,
    rows: Vec<HostRow>,
    code: ExitCode,
    verdict: String,
    interrupted: bool,
    /// What the hosts are like in the end.
    states: Vec<State>,
}

fn tell(
    command_run: CommandRun,
    scripts: Vec<Script>,
    says: Vec<(Moment, Health)>,
    (interrupt_at, answer): (Option<usize>, Answer),
    order: u64,
) -> Told {
    let mut fleet = Scripted::new(scripts.clone(), order);
    let mut events = Events::default();
    let mut person = Person { looks: 0, interrupt_at, interrupted: false, answer };
    let mut gates = ScriptedGates { says, ..ScriptedGates::default() };
    let code = run(&command_run, &mut fleet, &mut gates, &mut person, &mut events).code;
    let Some(Event::Ended { rows, status, verdict, .. }) = events.0.pop() else { panic!("{:?}", events.0) };
    assert_eq!(status, code.status());
    let trace = fleet.trace.borrow().clone();
    let states = fleet.world.borrow().states.clone();
    Told { command_run, scripts, trace, events: events.0, rows, code, verdict, interrupted: person.interrupted, states }
}

fn command_run(groups: Vec<Group>, batch: usize) -> CommandRun {
    CommandRun {
        command: "true".into(),
        by: StartedBy { user: "op".into(), deploy_host: "deploy1".into() },
        groups,
        stage: StagePlan { stage: Stage::Command, batch, timeout: Duration::from_secs(9) },
        room: Room::default(),
        gates: Vec::new(),
        strict: false,
    }
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

/// Whether the run ended before it touched anything.
fn is_untouched(told: &Told) -> bool {
    told.verdict.contains("nothing was touched")
}

fn hold_the_rules(told: &Told) {
    let groups = &told.command_run.groups;
    let places = places(groups);
    let targets: Vec<&Target> = groups.iter().flat_map(|group| &group.targets).collect();
    let mut failed = vec![0; groups.len()];
    let mut began: Vec<usize> = Vec::new();
    let mut under_way: BTreeSet<usize> = BTreeSet::new();
    let mut outcomes: Vec<Option<Outcome>> = vec![None; places.len()];
    // R13: who is out of service, as the hosts themselves would have it.
    let is_known = |host: &usize| told.command_run.room.out.contains(targets[*host]);
    // As far as anybody can know: a host whose probe fails says nothing of itself.
    let is_left = |host: &usize| told.scripts[*host].left_drained && told.scripts[*host].probe == Act::Work;
    let mut out: BTreeSet<usize> = (0..places.len()).filter(|host| is_known(host) || is_left(host)).collect();
    let out_before = out.clone();
    let mut step = Step::Command;
    let exceeded = |failed: &[usize]| {
        groups.iter().zip(failed).any(|(group, failed)| group.limit.exceeded_by(*failed, group.targets.len()))
    };
    for entry in &told.trace {
        match entry {
            Trace::Called { call, .. } => step = call.step,
            Trace::Started(host) if step == Step::Command => {
                assert!(!exceeded(&failed), "R7: {host} began though the limit was exceeded");
                let (_, subgroup) = places[*host];
                assert!(under_way.iter().all(|other| places[*other].1 == subgroup), "R3: two subgroups at once");
                began.push(*host);
                under_way.insert(*host);
                out.insert(*host);
                assert!(under_way.len() <= told.command_run.stage.batch);
                hold_the_budget(told, &places, *host, &out, &out_before);
            }
            Trace::Told(host, outcome) if step == Step::Command => {
                under_way.remove(host);
                if outcome.is_ok() && !is_known(host) {
                    out.remove(host);
                }
                failed[places[*host].0] += usize::from(!outcome.is_ok());
                outcomes[*host] = Some(outcome.clone());
            }
            // Who cannot be worked on counts, and one that cannot be reached is out of service.
            Trace::Told(host, Err(fault)) if matches!(step, Step::Probe | Step::Hold) => {
                failed[places[*host].0] += 1;
                outcomes[*host] = Some(Err(fault.clone()));
                if fault.is_out_of_reach() {
                    out.insert(*host);
                }
            }
            _ => {}
        }
    }
    assert!(under_way.is_empty(), "R7: those at work finish");
    let mut in_order = began.clone();
    in_order.sort_unstable();
    in_order.dedup();
    assert_eq!(in_order.len(), began.len(), "nobody begins twice");
    assert!(told.command_run.room.is_taken || in_order == began, "R1: hosts begin in their order");
    let exceeded = exceeded(&failed);
    let gate_failed = told.events.iter().any(|event| matches!(event, Event::GateFailed { .. }));
    let used_up = told.events.iter().any(|event| matches!(event, Event::CapacityUsedUp { .. }));
    if !exceeded && !told.interrupted && !gate_failed && !used_up && told.code != ExitCode::Locked {
        let waited_for = outcomes.iter().filter(|outcome| outcome.is_none()).count();
        assert_eq!(waited_for, 0, "R7: a failure within the limit keeps nobody from beginning");
    }
    hold_the_status(told, exceeded || gate_failed || used_up);
    hold_the_gates(told);
    hold_the_drains(told);
    let named = groups.iter().flat_map(|group| group.targets.iter().map(move |target| (&group.name, target)));
    assert_eq!(told.rows.len(), places.len(), "R12: one row a host");
    for ((row, outcome), (group, target)) in told.rows.iter().zip(&outcomes).zip(named) {
        assert_eq!((&row.group, &row.host), (group, target));
        assert!(!row.ok || matches!(outcome, Some(Ok(()))));
        assert_eq!(row.state == RowState::NotAttempted, outcome.is_none(), "{row:?}");
    }
}

fn hold_the_status(told: &Told, halted: bool) {
    let code = match (halted, told.interrupted) {
        (true, _) => ExitCode::Failed,
        (false, true) => ExitCode::Interrupted,
        (false, false) => ExitCode::Success,
    };
    let drained = told.verdict.contains("drained");
    let is_expected = told.code == code
        // An interrupt that is seen first is what ended it, and one that comes last ends nothing.
        || (told.interrupted && matches!(told.code, ExitCode::Interrupted | ExitCode::Success))
        || (told.code == ExitCode::Mixed && drained)
        || (told.code == ExitCode::Locked && is_untouched(told));
    assert!(is_expected, "{:?}: {}", told.code, told.verdict);
    assert!(!(drained && told.code == ExitCode::Success), "{}", told.verdict);
}

/// R13: at no moment are more hosts of a group out of service than may be.
fn hold_the_budget(
    told: &Told,
    places: &[(usize, usize)],
    host: usize,
    out: &BTreeSet<usize>,
    out_before: &BTreeSet<usize>,
) {
    let (at, subgroup) = places[host];
    let group = &told.command_run.groups[at];
    if !told.command_run.room.is_taken || out_before.contains(&host) {
        return;
    }
    let now = out.iter().filter(|other| places[**other].0 == at).count() + group.out_elsewhere.len();
    match group.max_unavailable {
        Some(share) => assert!(now <= share.of(group.whole()), "R13: {now} out of service at once"),
        None => {
            let size = places.iter().filter(|(_, other)| *other == subgroup).count();
            // Failures leave room for one host at least.
            let failed = out.iter().filter(|other| places[**other].0 == at).count();
            assert!(now <= size.max(failed), "R13: {now} out of service at once, in a subgroup of {size}");
        }
    }
}

/// R14: behind a gate that failed nobody begins, and nobody sleeps who was not to.
fn hold_the_gates(told: &Told) {
    let begins = |event: &Event| matches!(event, Event::HostStarted { step: Step::Command, .. });
    if let Some(at) = told.events.iter().position(|event| matches!(event, Event::GateFailed { .. })) {
        assert!(!told.events[at..].iter().any(begins), "R14: a host began behind a gate that failed");
        // An interrupt that is seen behind it is what ended the run.
        assert!(told.interrupted || told.verdict.contains("gate errors"), "{}", told.verdict);
    }
    let soaks = told.command_run.groups.iter().any(|group| !group.soak_time.is_zero());
    let soaked = told.events.iter().position(|event| matches!(event, Event::SoakStarted { .. }));
    assert!(soaks || soaked.is_none());
    if told.command_run.gates.is_empty()
        && let Some(at) = told.events.iter().rposition(|event| matches!(event, Event::SoakStarted { .. }))
        && !told.interrupted
    {
        assert!(told.events[at..].iter().any(begins), "nothing comes after the last sleep");
    }
}

/// R15: whoever can be put back is put back, and the others are named.
fn hold_the_drains(told: &Told) {
    if told.command_run.room.drains.is_none() {
        let only_command = |entry: &Trace| !matches!(entry, Trace::Called { call, .. } if call.step != Step::Command);
        assert!(told.trace.iter().all(only_command), "a plain command is all that a host gets");
        return;
    }
    for ((state, script), row) in told.states.iter().zip(&told.scripts).zip(&told.rows) {
        // Who did not let the run in was not asked.
        let is_refused =
            matches!(row.state, RowState::Refused) || script.probe != Act::Work || script.hold != Act::Work;
        if state.drained.is_none() || is_untouched(told) || is_refused {
            continue;
        }
        assert_ne!(script.undrain, Act::Work, "R15: {} could be put back", row.host);
        assert!(!row.ok && row.reason.as_ref().is_some_and(|reason| reason.contains("drained")), "R15: {row:?}");
        assert!(told.verdict.contains("drained"), "R15: {}", told.verdict);
        assert!(matches!(told.code, ExitCode::Mixed | ExitCode::Interrupted), "R15: {:?}", told.code);
    }
    let releases = |entry: &&Trace| matches!(entry, Trace::Called { call, .. } if call.step == Step::Release);
    assert!(told.trace.iter().filter(releases).count() <= 1);
    let undrained = told
        .trace
        .iter()
        .position(|entry| matches!(entry, Trace::Called { call, .. } if call.step == Step::Run(Stage::Undrain)));
    assert!(undrained.is_none() || !is_untouched(told));
}

type AnyGroup = (usize, Option<usize>, FailureLimit, Option<&'static str>);

fn group() -> impl Strategy<Value = AnyGroup> {
    let limit = prop_oneof![
        (0usize..4).prop_map(FailureLimit::Hosts),
        prop::sample::select(vec![0u8, 10, 50, 100]).prop_map(FailureLimit::Percent),
    ];
    let most = prop::option::of(prop::sample::select(vec!["1", "2", "3", "20%", "50%"]));
    (1usize..9, prop::option::of(1usize..4), limit, most)
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => Just(Act::Work), 1 => Just(Act::FailLate), 1 => Just(Act::FailEarly), 1 => Just(Act::TimeOut),
        1 => Just(Act::Kill), 1 => Just(Act::Unreachable), 1 => Just(Act::LostLate), 1 => Just(Act::DrainFails),
        1 => Just(Act::UndrainFails)
    ]
}

prop_compose! {
    fn script()(
        act in act(),
        probe in prop_oneof![20 => Just(Act::Work), 1 => Just(Act::Unreachable), 1 => Just(Act::FailEarly)],
        hold in prop_oneof![30 => Just(Act::Work), 1 => Just(Act::Locked)],
        left_drained in prop::bool::weighted(0.1),
        undrain in prop_oneof![Just(Act::Work), Just(Act::FailEarly), Just(Act::Unreachable)],
    ) -> Script {
        Script { primary: [vec![act], vec![], vec![]], probe, hold, left_drained, undrain, ..Script::good() }
    }
}

fn health() -> impl Strategy<Value = Health> {
    let (gate, reason) = ("errors".to_owned(), "0.09 is not < 0.01".to_owned());
    let fail = Health::Fail { gate: gate.clone(), reason: reason.clone() };
    prop_oneof![4 => Just(Health::Pass), 1 => Just(fail), 1 => Just(Health::Inconclusive { gate, reason })]
}

prop_compose! {
    fn any_run()(groups in prop::collection::vec(group(), 1..4))(
        scripts in prop::collection::vec(script(), groups.iter().map(|group| group.0).sum::<usize>()),
        out in prop::collection::vec(prop::bool::weighted(0.1), groups.iter().map(|group| group.0).sum::<usize>()),
        groups in Just(groups),
        (batch, is_taken, drains) in (1usize..6, any::<bool>(), any::<bool>()),
        sleep in prop::sample::select(vec![0, 0, 3]),
        (asks, says) in (any::<bool>(), prop::collection::vec((prop::sample::select(Moment::ALL.to_vec()), health()), 0..3)),
        interrupt_at in prop_oneof![3 => Just(None), 1 => (0usize..20).prop_map(Some)],
        answer in prop::sample::select(vec![Answer::Yes, Answer::No]),
        order in any::<u64>(),
    ) -> Told {
        let mut next = 0;
        let is_taken = is_taken || drains;
        let group = |(index, (hosts, size, limit, most)): (usize, AnyGroup)| {
            let targets = (next..next + hosts).map(|n| format!("host{n}").parse().unwrap()).collect();
            next += hosts;
            Group {
                name: format!("g{index}"),
                targets,
                steps: size.into(),
                limit,
                retry_failed: 2,
                failed_targets: FailedTargets::Rollback,
                max_unavailable: most.filter(|_| is_taken).map(|most| most.parse().unwrap()),
                soak_time: Duration::from_secs(sleep),
                ..Group::default()
            }
        };
        let groups: Vec<Group> = groups.into_iter().enumerate().map(group).collect();
        let targets = groups.iter().flat_map(|group| &group.targets);
        let out = targets.zip(&out).filter(|(_, out)| **out && is_taken).map(|(target, _)| target.clone()).collect();
        let at = Moment::ALL.into_iter().filter(|moment| *moment != Moment::Finalize).collect();
        let gate = GatePlan { name: "errors".into(), scope: Scope { at, group: None }, observe: false };
        let command_run = CommandRun {
            room: Room {
                is_taken,
                out,
                drains: drains.then(|| Drains { run: "r1".parse().unwrap(), timeout: Duration::from_secs(9) }),
            },
            gates: if asks { vec![gate] } else { Vec::new() },
            ..command_run(groups, batch)
        };
        let scripts = scripts.into_iter().map(|script| {
            Script { drains, left_drained: script.left_drained && drains, ..script }
        });
        tell(command_run, scripts.collect(), if asks { says } else { Vec::new() }, (interrupt_at, answer), order)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_rule_holds_for_every_command_and_every_fleet(told in any_run()) {
        hold_the_rules(&told);
    }
}

/// A run on `hosts` good hosts of one group, one after the other.
fn in_single_steps(hosts: usize) -> (CommandRun, Vec<Script>) {
    let targets = (0..hosts).map(|n| format!("host{n}").parse().unwrap()).collect();
    let group = Group { name: "web".into(), targets, steps: Some(1).into(), ..Group::default() };
    (command_run(vec![group], 5), vec![Script::good(); hosts])
}

#[test]
fn a_gate_that_fails_behind_the_first_step_leaves_the_other_hosts_alone() {
    let (mut run, scripts) = in_single_steps(4);
    run.gates = vec![GatePlan {
        name: "errors".into(),
        scope: Scope { at: vec![Moment::Subgroup], group: None },
        observe: false,
    }];
    let fail = Health::Fail { gate: "errors".into(), reason: "9 is not < 1".into() };
    let told = tell(run, scripts, vec![(Moment::Subgroup, fail)], (None, Answer::Yes), 1);
    let expected = "stopped (gate errors failed: 9 is not < 1): ok on 1 of 4 hosts; 3 not attempted";
    assert_eq!((told.code, told.verdict.as_str()), (ExitCode::Failed, expected));
}

#[test]
fn a_run_sleeps_between_its_steps_and_not_after_the_last_one() {
    let (mut run, scripts) = in_single_steps(3);
    run.groups[0].soak_time = Duration::from_secs(2);
    let told = tell(run, scripts, vec![], (None, Answer::Yes), 1);
    let soaks = told.events.iter().filter(|event| matches!(event, Event::SoakEnded { left_seconds: 0, .. })).count();
    assert_eq!((told.code, soaks), (ExitCode::Success, 2));
}

#[test]
fn hosts_that_failed_use_the_budget_up_and_are_named() {
    let (mut run, mut scripts) = in_single_steps(4);
    (run.room.is_taken, run.groups[0].max_unavailable) = (true, Some("1".parse().unwrap()));
    run.groups[0].limit = FailureLimit::Hosts(3);
    scripts[1].primary[0] = vec![Act::FailLate];
    let told = tell(run, scripts, vec![], (None, Answer::Yes), 1);
    let expected = "stopped (max_unavailable of web (1) is used up: host1 is out of service): ok on 1 of 4 hosts; 1 \
                    failed; 2 not attempted";
    assert_eq!((told.code, told.verdict.as_str()), (ExitCode::Failed, expected));
}
