//! The journal: whatever moment a deployer dies at, its successor brings the fleet to one state.

mod damaged;
mod files;
#[path = "../story/scripted.rs"]
mod scripted;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use hoist::deploy::health::{Health, Moment, Scope};
use hoist::deploy::{Answer, GatePlan, Operator, Plan, Question, Verdict, deploy};
use hoist::exit_code::ExitCode;
use hoist::fleet::Step;
use hoist::invocation::Invocation;
use hoist::journal::{
    AtTheEnd, FORMAT, Journal, Opened, Record, Replay, Told, Unfinished, abandoned, close_untouched, history, open_run,
    parse, prune, unfinished,
};
use hoist::once::{On, When};
use hoist::report::{Event, Reporter, RowState};
use hoist::targets::Group;
use hoist::wire::{Revision, Stage, State};
use scripted::{Act, Calm, Fuse, Looked, Script, Scripted, ScriptedGates, World, plan_of, revision, step};

/// Agrees to everything, and interrupts at the n-th look.
struct Yes {
    interrupt_at: Option<usize>,
    looks: usize,
    /// Does not agree to a rollback.
    declines: bool,
}

const YES: Yes = Yes { interrupt_at: None, looks: 0, declines: false };

impl Operator for Yes {
    fn ask(&mut self, question: &Question) -> Answer {
        match question {
            Question::RollBack { .. } if self.declines => Answer::No,
            // Whoever looked says that it ran.
            Question::StepUnknown { .. } => Answer::Done,
            _ => Answer::Yes,
        }
    }

    fn interrupted(&mut self) -> bool {
        self.looks += 1;
        self.interrupt_at.is_some_and(|at| self.looks > at)
    }

    fn has_interrupted(&self) -> bool {
        self.interrupt_at.is_some_and(|at| self.looks > at)
    }

    fn name(&self) -> &'static str {
        "--yes"
    }
}

struct Silent;

/// A folder for journals, where to sync costs nothing: it is done thousands of times.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

impl Reporter for Silent {
    fn event(&mut self, _: &Event) {}
}

fn plan(hosts: usize, batch: usize) -> Plan {
    let group = |name: &str, range: std::ops::Range<usize>| Group {
        name: name.into(),
        targets: range.map(|n| format!("host{n}").parse().unwrap()).collect(),
        steps: Some(2).into(),
        ..Group::default()
    };
    plan_of(vec![group("canary", 0..2), group("default", 2..hosts)], batch)
}

fn opened(plan: &Plan) -> Opened {
    Opened {
        version: "test".into(),
        format: FORMAT,
        plan: plan.clone(),
        environment: None,
        config_file: None,
        defines: Vec::new(),
        asked: None,
        control_files: Default::default(),
    }
}

/// What a killed and continued run came to.
struct Outcome {
    verdict: Verdict,
    current: Vec<Option<Revision>>,
    done: Vec<Option<Revision>>,
    /// How many times the first deployer could have been killed.
    lived: bool,
    /// The second deployer found something to end.
    ended: bool,
    /// What both of them looked at.
    looks: Vec<Looked>,
}

/// Runs a plan, kills its deployer after `fuse` moments, and lets a second one go on or roll back.
fn killed_after(fuse: usize, scripts: &[Script], batch: usize, interrupt_at: Option<usize>, then: AtTheEnd) -> Outcome {
    let plan = plan(scripts.len(), batch);
    let first = Yes { interrupt_at, ..YES };
    killed_and_ended(&plan, fuse, scripts, first, then, |_| {})
}

/// The same, with what happens to the hosts before the second deployer comes.
fn killed_and_ended(
    plan: &Plan,
    fuse: usize,
    scripts: &[Script],
    operator: Yes,
    then: AtTheEnd,
    meanwhile: impl FnOnce(&mut Vec<State>),
) -> Outcome {
    killed(plan, fuse, scripts, operator, Vec::new(), then, meanwhile)
}

/// The same, with what the gates say.
fn killed_with_gates(plan: &Plan, fuse: usize, scripts: &[Script], says: Vec<(Moment, Health)>) -> Outcome {
    killed(plan, fuse, scripts, YES, says, AtTheEnd::GoOn, |_| {})
}

fn killed(
    plan: &Plan,
    fuse: usize,
    scripts: &[Script],
    operator: Yes,
    says: Vec<(Moment, Health)>,
    then: AtTheEnd,
    meanwhile: impl FnOnce(&mut Vec<State>),
) -> Outcome {
    let folder = folder();
    let mut first = Scripted::new(scripts.to_vec(), 42);
    first.fuse = Fuse::of(fuse);
    let gates = ScriptedGates { says, fuse: first.fuse.clone(), ..ScriptedGates::default() };
    let world = first.world.clone();
    let run = |fleet: Scripted, gates: ScriptedGates, replay: &Replay, mut yes: Yes| {
        let mut gates = replay.gates(gates);
        let verdict = deploy(plan, &mut replay.fleet(fleet), &mut gates, &mut replay.operator(&mut yes), &mut Silent);
        replay.close(&verdict.whole(), verdict.code.status(), false).unwrap();
        verdict
    };
    let replay = Replay::new(Journal::create(folder.path(), opened(plan)).unwrap(), vec![], AtTheEnd::GoOn);
    let first = catch_unwind(AssertUnwindSafe(|| run(first, gates.clone(), &replay, operator)));
    assert_eq!(
        unfinished(folder.path(), &Invocation::default()).unwrap().is_some_and(|left| left.live),
        first.is_err()
    );
    // Its journal goes with the first deployer.
    drop(replay);
    let lived = first.is_ok();
    meanwhile(&mut world.borrow_mut().states);
    let mut ended = false;
    let verdict = match (first, unfinished(folder.path(), &Invocation::default()).unwrap()) {
        (Ok(verdict), None) => verdict,
        (Ok(_), Some(_)) => panic!("a finished run left an unfinished journal"),
        (Err(_), left) => {
            let mut second = Scripted::new(scripts.to_vec(), 7);
            second.world = world.clone();
            match left {
                Some(left) => {
                    let replay = Replay::new(Journal::reopen(&left).unwrap(), left.read.records, then);
                    replay.add(Told::ask(&mut second, plan));
                    let again = ScriptedGates { fuse: Fuse::default(), ..gates.clone() };
                    let verdict = run(second, again, &replay, YES);
                    assert_eq!(replay.stopped(), None);
                    ended = true;
                    verdict
                }
                // Nothing had been touched: the operator deploys anew.
                None => deploy(plan, &mut second, &mut Calm, &mut { YES }, &mut Silent),
            }
        }
    };
    assert!(unfinished(folder.path(), &Invocation::default()).unwrap().is_none());
    let world = world.borrow();
    Outcome {
        verdict,
        current: world.states.iter().map(|state| state.current.clone()).collect(),
        done: world.states.iter().map(|state| state.done.clone()).collect(),
        lived,
        ended,
        looks: gates.looks.take(),
    }
}

/// Every moment of a run until it is no longer killed.
fn at_every_moment(scripts: &[Script], batch: usize, then: AtTheEnd, check: impl Fn(usize, &Outcome)) -> usize {
    for fuse in 0.. {
        let outcome = killed_after(fuse, scripts, batch, None, then);
        check(fuse, &outcome);
        if outcome.lived {
            return fuse;
        }
    }
    unreachable!("the run ends some time");
}

#[test]
fn a_good_run_killed_at_any_moment_is_resumed_to_the_same_end() {
    for batch in [1, 3, 80] {
        let moments = at_every_moment(&vec![Script::good(); 7], batch, AtTheEnd::GoOn, |fuse, outcome| {
            assert_eq!(outcome.verdict.code, ExitCode::Success, "killed after {fuse}: {:?}", outcome.verdict);
            assert!(outcome.done.iter().all(|done| *done == Some(revision('b'))), "killed after {fuse}");
        });
        assert!(moments > 50, "the deployer was killed only {moments} times");
    }
}

#[test]
fn a_run_that_exceeds_its_limit_killed_at_any_moment_is_resumed_to_the_same_end() {
    for batch in [1, 3, 80] {
        let mut scripts = vec![Script::good(); 7];
        scripts[5].primary[2] = vec![Act::FailLate];
        at_every_moment(&scripts, batch, AtTheEnd::GoOn, |fuse, outcome| {
            assert_eq!(outcome.verdict.code, ExitCode::Failed, "killed after {fuse}: {:?}", outcome.verdict);
            assert!(outcome.current.iter().all(|current| *current == Some(revision('a'))), "killed after {fuse}");
        });
    }
}

#[test]
fn a_run_killed_at_any_moment_is_rolled_back_on_every_host_that_it_touched() {
    for batch in [1, 3, 80] {
        at_every_moment(&vec![Script::good(); 7], batch, AtTheEnd::RollBack, |fuse, outcome| {
            match outcome.verdict.code {
                ExitCode::Failed => {
                    assert!(
                        outcome.current.iter().all(|current| *current == Some(revision('a'))),
                        "killed after {fuse}"
                    );
                }
                // Dead before it touched anything, and deployed anew.
                ExitCode::Success => {
                    assert!(!outcome.ended, "killed after {fuse}: who asked for a rollback got the new revision");
                    assert!(outcome.done.iter().all(|done| *done == Some(revision('b'))));
                }
                code => panic!("killed after {fuse}: {code:?}"),
            }
        });
    }
}

/// A step in each place, on a host and on the deploy host.
fn stepping(hosts: usize) -> Plan {
    let mut plan = plan(hosts, 3);
    plan.steps = vec![
        step("first", On::DeployHost, When::Before, None, None),
        step("before", On::First, When::Before, Some("default"), Some(Stage::Promote)),
        step("after", On::First, When::After, Some("default"), None),
        step("last", On::DeployHost, When::After, None, None),
    ];
    plan
}

/// The scripted fleet fails the test when a try is begun a second time.
#[test]
fn a_run_with_steps_killed_at_any_moment_is_ended_and_no_step_ran_twice() {
    let plan = stepping(5);
    for then in [AtTheEnd::GoOn, AtTheEnd::RollBack] {
        let mut killed = 0;
        for fuse in 0.. {
            let outcome = killed_and_ended(&plan, fuse, &vec![Script::good(); 5], YES, then, |_| {});
            let code = outcome.verdict.code;
            let goes_back = outcome.ended && then == AtTheEnd::RollBack;
            let wanted = if goes_back { ExitCode::Failed } else { ExitCode::Success };
            assert_eq!(code, wanted, "killed after {fuse}: {:?}", outcome.verdict);
            let live = revision(if goes_back { 'a' } else { 'b' });
            assert!(outcome.current.iter().all(|current| *current == Some(live.clone())), "killed after {fuse}");
            killed += usize::from(outcome.ended);
            if outcome.lived {
                break;
            }
        }
        assert!(killed > 50, "killed only {killed} times");
    }
}

/// Soaks after each subgroup and each group, and a gate at every moment.
fn soaking(hosts: usize) -> Plan {
    let mut plan = plan(hosts, 3);
    for group in &mut plan.groups {
        (group.soak_time, group.group_soak_time) = (Duration::from_secs(12), Duration::from_secs(7));
    }
    let at = vec![Moment::Before, Moment::Subgroup, Moment::Soak, Moment::Group, Moment::Finalize];
    plan.gates = vec![GatePlan { name: "errors".into(), scope: Scope { at, group: None }, observe: false }];
    plan
}

#[test]
fn a_run_killed_at_any_moment_of_a_soak_goes_on_with_what_was_left_and_soaks_nothing_twice() {
    let plan = soaking(5);
    let scripts = vec![Script::good(); 5];
    let mut resumed = 0;
    for fuse in 0.. {
        let outcome = killed_and_ended(&plan, fuse, &scripts, YES, AtTheEnd::GoOn, |_| {});
        assert_eq!(outcome.verdict.code, ExitCode::Success, "killed after {fuse}: {:?}", outcome.verdict);
        // What the gates had said in the look that was cut short is known to whoever goes on with it, and in no other.
        let known: Vec<usize> = outcome.looks.iter().map(|look| look.earlier).filter(|known| *known > 0).collect();
        assert!(known.is_empty() || known == [1] && outcome.ended, "killed after {fuse}: {known:?}");
        resumed += known.len();
        // Dead before it touched anything, and deployed anew by somebody who soaks not.
        if !outcome.lived && !outcome.ended {
            continue;
        }
        let mut soaked: BTreeMap<(&str, u64), u64> = BTreeMap::new();
        let soaks = |look: &&Looked| look.moment == Moment::Soak;
        for look in outcome.looks.iter().filter(soaks) {
            // After the last subgroup comes the soak of its group, under a name of its own.
            let whole = if look.label == look.group && look.group == "default" { 7 } else { 12 };
            *soaked.entry((&look.label, whole)).or_default() += look.soaked;
        }
        // The canaries are one subgroup, so both of their soaks have one name.
        let wanted = [(("canary", 12), 19), (("default", 7), 7), (("default1", 12), 12), (("default2", 12), 12)];
        assert_eq!(soaked.keys().copied().collect::<Vec<_>>(), wanted.map(|(name, _)| name));
        for (name, whole) in wanted {
            let most = whole + if outcome.lived { 0 } else { 5 };
            assert!(
                (whole..=most).contains(&soaked[&name]),
                "killed after {fuse}: {name:?} soaked {} s",
                soaked[&name]
            );
        }
        if outcome.lived {
            assert!(fuse > 100 && resumed > 40, "killed only {fuse} times, and {resumed} times in a look");
            return;
        }
    }
}

#[test]
fn a_run_killed_in_a_soak_is_rolled_back_without_soaking_any_further() {
    let plan = soaking(5);
    for fuse in 0.. {
        let outcome = killed_and_ended(&plan, fuse, &vec![Script::good(); 5], YES, AtTheEnd::RollBack, |_| {});
        if outcome.lived {
            return;
        }
        if outcome.ended {
            assert_eq!(outcome.verdict.code, ExitCode::Failed, "killed after {fuse}");
            assert!(outcome.current.iter().all(|current| *current == Some(revision('a'))), "killed after {fuse}");
            let soaked: u64 = outcome.looks.iter().map(|look| look.soaked).sum();
            assert!(soaked <= fuse as u64, "whoever rolled back soaked");
        }
    }
}

#[test]
fn a_gate_that_failed_is_believed_when_the_run_is_resumed_and_asked_no_second_time() {
    let plan = soaking(5);
    let bad = Health::Fail { gate: "errors".into(), reason: "0.05 is not < 0.01".into() };
    for fuse in 0.. {
        let says = vec![(Moment::Soak, bad.clone())];
        let outcome = killed_with_gates(&plan, fuse, &vec![Script::good(); 5], says);
        if !outcome.lived && !outcome.ended {
            continue;
        }
        assert_eq!(outcome.verdict.code, ExitCode::Failed, "killed after {fuse}: {:?}", outcome.verdict);
        assert!(outcome.current.iter().all(|current| *current == Some(revision('a'))), "killed after {fuse}");
        if outcome.lived {
            return;
        }
    }
}

#[test]
fn a_run_without_finalize_killed_at_its_very_end_is_rolled_back_too() {
    let plan = Plan { finalize: None, ..plan(5, 3) };
    for fuse in 0.. {
        let outcome = killed_and_ended(&plan, fuse, &vec![Script::good(); 5], YES, AtTheEnd::RollBack, |_| {});
        let back = outcome.current.iter().all(|current| *current == Some(revision('a')));
        assert!(!outcome.ended || outcome.verdict.code == ExitCode::Failed && back, "killed after {fuse}");
        if outcome.lived {
            return;
        }
    }
}

#[test]
fn a_rollback_that_was_declined_is_done_when_it_is_asked_for_after_all() {
    let mut scripts = vec![Script::good(); 5];
    scripts[4].primary[2] = vec![Act::FailLate];
    let plan = plan(5, 3);
    let mut asked = 0;
    for fuse in 0.. {
        let no = Yes { declines: true, ..YES };
        let outcome = killed_and_ended(&plan, fuse, &scripts, no, AtTheEnd::RollBack, |_| {});
        if outcome.ended {
            asked += 1;
            assert_eq!(outcome.verdict.code, ExitCode::Failed, "killed after {fuse}: {}", outcome.verdict.text);
            assert!(outcome.current.iter().all(|current| *current == Some(revision('a'))), "killed after {fuse}");
        }
        if outcome.lived {
            break;
        }
    }
    assert!(asked > 20);
}

#[test]
fn what_somebody_else_deployed_since_is_left_and_named_by_resume_and_rollback() {
    let plan = plan(5, 3);
    let on = |digit| State { current: Some(revision(digit)), done: Some(revision(digit)), ..State::default() };
    for (then, who) in [AtTheEnd::GoOn, AtTheEnd::RollBack].into_iter().flat_map(|then| [(then, 5), (then, 2)]) {
        for fuse in (0..).step_by(3) {
            let overtake = |states: &mut Vec<State>| states[..who].fill(on('e'));
            let outcome = killed_and_ended(&plan, fuse, &vec![Script::good(); 5], YES, then, overtake);
            if outcome.lived {
                break;
            }
            if !outcome.ended {
                continue;
            }
            let context = format!("{then:?}, {who} hosts, killed after {fuse}: {:?}", outcome.verdict);
            assert!(outcome.current[..who].iter().all(|current| *current == Some(revision('e'))), "{context}");
            assert_ne!(outcome.verdict.code, ExitCode::Success, "{context}");
            let rows = outcome.verdict.rows.iter().zip(0..);
            for (row, host) in rows.filter(|(row, _)| row.state != RowState::NotAttempted) {
                assert_eq!(row.state == RowState::MovedOn, host < who, "{context}");
                assert_eq!(row.current, outcome.current[host], "{context}");
            }
            if who == 5 {
                assert_eq!(outcome.verdict.code, ExitCode::Failed, "{context}");
                assert!(outcome.verdict.text.contains("got another revision meanwhile"), "{context}");
            }
        }
    }
}

#[test]
fn a_run_that_was_interrupted_and_then_killed_at_any_moment_is_rolled_back_when_it_is_resumed() {
    let mut rolled_back = 0;
    for (batch, interrupt_at) in
        [1, 3, 80].into_iter().flat_map(|batch| (20..110).step_by(9).map(move |at| (batch, at)))
    {
        for fuse in (0..).step_by(2) {
            let outcome = killed_after(fuse, &vec![Script::good(); 5], batch, Some(interrupt_at), AtTheEnd::GoOn);
            let what = format!("batch {batch}, interrupted at look {interrupt_at}, killed after {fuse}");
            match outcome.verdict.code {
                ExitCode::Failed | ExitCode::Interrupted => {
                    rolled_back += usize::from(!outcome.lived && outcome.verdict.code == ExitCode::Failed);
                    assert!(outcome.current.iter().all(|current| *current == Some(revision('a'))), "{what}");
                }
                // Dead before the interrupt was on record, or not interrupted at all: the run goes on to its end.
                ExitCode::Success => assert!(outcome.done.iter().all(|done| *done == Some(revision('b'))), "{what}"),
                code => panic!("{what}: {code:?}: {}", outcome.verdict.text),
            }
            if outcome.lived {
                break;
            }
        }
    }
    assert!(rolled_back > 100, "only {rolled_back} runs were interrupted, killed and rolled back");
}

/// Everything that is told, and whether it was told before.
#[derive(Default)]
struct Collected {
    events: Vec<(bool, Event)>,
    again: bool,
}

impl Reporter for Collected {
    fn event(&mut self, event: &Event) {
        self.events.push((self.again, event.clone()));
    }

    fn replays(&mut self, at: Option<Option<&str>>) {
        self.again = at.is_some();
    }
}

/// A run that its deployer does not live to see the end of, and the fleet for whoever takes it up. `None`: it lived, or
/// had touched nothing.
fn taken_up(
    folder: &Path,
    plan: &Plan,
    scripts: &[Script],
    fuse: usize,
    operator: &mut dyn Operator,
) -> Option<(Unfinished, Scripted)> {
    let mut first = Scripted::new(scripts.to_vec(), 42);
    first.fuse = Fuse::of(fuse);
    let mut second = Scripted::new(scripts.to_vec(), 7);
    second.world = first.world.clone();
    let replay = Replay::new(Journal::create(folder, opened(plan)).unwrap(), vec![], AtTheEnd::GoOn);
    let died = catch_unwind(AssertUnwindSafe(|| {
        deploy(plan, &mut replay.fleet(first), &mut Calm, &mut replay.operator(operator), &mut Silent)
    }));
    drop(replay);
    let left = unfinished(folder, &Invocation::default()).unwrap().filter(|_| died.is_err())?;
    Some((left, second))
}

/// Somebody who types the same answers.
struct Typist(Yes);

impl Operator for Typist {
    fn ask(&mut self, question: &Question) -> Answer {
        self.0.ask(question)
    }

    fn interrupted(&mut self) -> bool {
        false
    }

    fn name(&self) -> &'static str {
        "operator"
    }
}

#[test]
fn an_answer_is_told_again_as_that_of_whoever_gave_it() {
    let mut scripts = vec![Script::good(); 5];
    scripts[3].primary[Stage::Promote as usize % 3] = vec![Act::FailLate];
    let plan = plan(scripts.len(), 2);
    let mut told = [0, 0];
    for fuse in 0..90 {
        let folder = folder();
        let Some((left, mut second)) = taken_up(folder.path(), &plan, &scripts, fuse, &mut Typist(YES)) else {
            continue;
        };
        let answers = left.read.records.iter().filter(|record| matches!(record, Record::Answered { .. })).count();
        let replay = Replay::new(Journal::reopen(&left).unwrap(), left.read.records, AtTheEnd::GoOn);
        replay.add(Told::ask(&mut second, &plan));
        let mut report = Collected::default();
        let (mut fleet, mut yes) = (replay.fleet(second), YES);
        deploy(&plan, &mut fleet, &mut Calm, &mut replay.operator(&mut yes), &mut report);
        let by = report.events.iter().filter_map(|(_, event)| match event {
            Event::Asked { by, .. } => Some(by.as_str()),
            _ => None,
        });
        for (n, by) in by.enumerate() {
            assert_eq!(by, if n < answers { "operator" } else { "--yes" }, "killed after {fuse}, answer {n}");
            told[usize::from(n < answers)] += 1;
        }
    }
    assert!(told.iter().all(|times| *times > 0), "{told:?}");
}

/// An operator who has interrupted the run before anything is told.
struct Impatient;

impl Operator for Impatient {
    fn ask(&mut self, _: &Question) -> Answer {
        Answer::Yes
    }

    fn interrupted(&mut self) -> bool {
        true
    }

    fn has_interrupted(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        "--yes"
    }
}

#[test]
fn an_interrupt_of_a_resumed_run_waits_for_nobody_who_is_not_at_work_and_takes_no_host_that_had_begun_for_untouched() {
    let mut scripts = vec![Script::good(); 5];
    scripts[1].primary[Stage::Promote as usize % 3] = vec![Act::LostLate];
    let plan = plan(scripts.len(), 2);
    let (mut waited, mut found) = (0, 0);
    for (fuse, interrupt_at) in (0..90).flat_map(|fuse| (0..6).map(move |at| (fuse, at))) {
        let folder = folder();
        let Some((left, mut second)) = taken_up(folder.path(), &plan, &scripts, fuse, &mut { YES }) else { continue };
        let world = second.world.clone();
        let promoted = |host: usize| world.borrow().states[host].current == Some(revision('b'));
        let promoted: Vec<_> =
            plan.targets().enumerate().filter(|(n, _)| promoted(*n)).map(|(_, (_, it))| it).collect();
        let replay = Replay::new(Journal::reopen(&left).unwrap(), left.read.records, AtTheEnd::GoOn);
        replay.add(Told::ask(&mut second, &plan));
        let mut report = Collected::default();
        let mut later = Yes { interrupt_at: Some(interrupt_at), ..YES };
        let operator: &mut dyn Operator = if interrupt_at == 0 { &mut Impatient } else { &mut later };
        let (mut fleet, mut operator) = (replay.fleet(second), replay.operator(operator));
        deploy(&plan, &mut fleet, &mut Calm, &mut operator, &mut replay.reporter(&mut report));
        for (again, event) in &report.events {
            let what = format!("killed after {fuse}, interrupted at look {interrupt_at}: {event:?}");
            match event {
                Event::Stopping { hosts, .. } => {
                    assert!(!again && !hosts.is_empty(), "{what}");
                    waited += 1;
                }
                Event::StepEnded { step, not_attempted, .. } if *step == Step::Run(Stage::Promote) => {
                    assert!(!promoted.iter().any(|host| not_attempted.contains(host)), "{what}");
                    found += usize::from(!not_attempted.is_empty());
                }
                _ => {}
            }
        }
    }
    assert!(waited > 20 && found > 0, "{waited} interrupts met hosts at work, {found} calls were cut short");
}
