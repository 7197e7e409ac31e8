//! The journal: whatever moment a deployer dies at, its successor brings the fleet to one state.

#[path = "story/scripted.rs"]
mod scripted;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use hoist::deploy::{Answer, Kind, Operator, Plan, Question, StagePlan, Verdict, deploy};
use hoist::exit_code::ExitCode;
use hoist::journal::{AtTheEnd, Journal, Opened, Record, Tape, parse, prune, unfinished};
use hoist::report::{Event, Reporter};
use hoist::targets::{FailedTargets, FailureLimit, Group};
use hoist::wire::{Revision, Stage, State};
use scripted::{Act, Script, Scripted, revision};

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
            _ => Answer::Yes,
        }
    }

    fn interrupted(&mut self) -> bool {
        self.looks += 1;
        self.interrupt_at.is_some_and(|at| self.looks > at)
    }

    fn name(&self) -> &'static str {
        "--yes"
    }
}

struct Silent;

impl Reporter for Silent {
    fn event(&mut self, _: &Event) {}
}

fn plan(hosts: usize, batch: usize) -> Plan {
    let stage = |stage| StagePlan { stage, batch, timeout: Duration::from_secs(60) };
    let group = |name: &str, range: std::ops::Range<usize>| Group {
        name: name.into(),
        targets: range.map(|n| format!("host{n}").parse().unwrap()).collect(),
        size: Some(2),
        limit: FailureLimit::Hosts(0),
        retry_failed: 0,
        failed_targets: FailedTargets::Leave,
    };
    Plan {
        run: "20260101T000000.000Z-1-abcd".parse().unwrap(),
        kind: Kind::Deploy,
        user: "op".into(),
        deploy_host: "deploy1".into(),
        repo: "app".into(),
        revision: revision('b'),
        message: String::new(),
        groups: vec![group("canary", 0..2), group("default", 2..hosts)],
        stages: vec![stage(Stage::Fetch), stage(Stage::ConfigDeploy), stage(Stage::Promote)],
        finalize: Some(stage(Stage::Finalize)),
        rollback: stage(Stage::Rollback),
        confirm_timeout: Duration::ZERO,
        probe_batch: batch,
        force: false,
        need_bytes: 0,
        need_inodes: 0,
    }
}

fn opened(plan: &Plan) -> Opened {
    Opened { version: "test".into(), plan: plan.clone(), environment: None, config_file: None, defines: Vec::new() }
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
    let folder = tempfile::tempdir().unwrap();
    let mut first = Scripted::new(scripts.to_vec(), 42);
    first.fuse = Some(fuse);
    let world = first.world.clone();
    let run = |fleet: Scripted, tape: &Tape, yes: Yes| {
        let verdict = deploy(plan, &mut tape.fleet(fleet), &mut tape.operator(yes), &mut Silent);
        tape.close(&verdict.text, verdict.code.status()).unwrap();
        verdict
    };
    let tape = Tape::new(Journal::create(folder.path(), opened(plan)).unwrap(), vec![], AtTheEnd::GoOn);
    let first = catch_unwind(AssertUnwindSafe(|| run(first, &tape, operator)));
    assert_eq!(unfinished(folder.path()).unwrap().is_some_and(|left| left.live), first.is_err());
    // Its journal goes with the first deployer.
    drop(tape);
    let lived = first.is_ok();
    meanwhile(&mut world.borrow_mut().states);
    let mut ended = false;
    let verdict = match (first, unfinished(folder.path()).unwrap()) {
        (Ok(verdict), None) => verdict,
        (Ok(_), Some(_)) => panic!("a finished run left an unfinished journal"),
        (Err(_), left) => {
            let mut second = Scripted::new(scripts.to_vec(), 7);
            second.world = world.clone();
            match left {
                Some(left) => {
                    let tape = Tape::new(Journal::reopen(&left).unwrap(), left.records, then);
                    let verdict = run(second, &tape, YES);
                    assert_eq!(tape.broken(), None);
                    ended = true;
                    verdict
                }
                // Nothing had been touched: the operator deploys anew.
                None => deploy(plan, &mut second, &mut { YES }, &mut Silent),
            }
        }
    };
    assert!(unfinished(folder.path()).unwrap().is_none());
    let world = world.borrow();
    Outcome {
        verdict,
        current: world.states.iter().map(|state| state.current.clone()).collect(),
        done: world.states.iter().map(|state| state.done.clone()).collect(),
        lived,
        ended,
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
            for (row, host) in rows.filter(|(row, _)| row.state != "not attempted") {
                assert_eq!(row.state == "moved on", host < who, "{context}");
                assert_eq!(row.current, outcome.current[host], "{context}");
            }
            if who == 5 {
                assert_eq!(outcome.verdict.code, ExitCode::Failed, "{context}");
                assert!(outcome.verdict.text.contains("moved on"), "{context}");
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

#[test]
fn a_torn_last_record_is_as_if_it_had_never_been_written() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(4, 2);
    let tape = Tape::new(Journal::create(folder.path(), opened(&plan)).unwrap(), vec![], AtTheEnd::GoOn);
    deploy(&plan, &mut tape.fleet(Scripted::new(vec![Script::good(); 4], 1)), &mut tape.operator(YES), &mut Silent);
    let path = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|it| it.unwrap().path())
        .find(|it| it.extension().is_some())
        .unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let (records, length) = parse(&bytes).unwrap();
    assert_eq!(length as usize, bytes.len());
    let last_line = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for cut in last_line..bytes.len() {
        let (whole, length) = parse(&bytes[..cut]).unwrap();
        assert_eq!(whole, records[..records.len() - 1], "cut at byte {cut}");
        assert_eq!(length as usize, last_line);
    }
}

#[test]
fn damage_in_the_middle_of_a_journal_is_an_error_that_names_the_line() {
    let bytes = b"{\"record\":\"returned\"}\n{\"record\":\"retu\x00rned\"}\n{\"record\":\"returned\"}\n";
    assert!(parse(bytes).unwrap_err().to_string().starts_with("line 2:"));
}

#[test]
fn a_deployment_that_died_before_it_touched_anything_is_closed_without_ado() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(folder.path(), opened(&plan(4, 2))).unwrap();
    journal.append(&[Record::Interrupted]).unwrap();
    let path = journal.path().to_owned();
    drop(journal);
    assert!(unfinished(folder.path()).unwrap().is_none());
    assert!(std::fs::read_to_string(path).unwrap().contains("ended before anything was touched"));
}

#[test]
fn old_journals_are_pruned_and_the_newest_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..5 {
        let mut plan = plan(4, 2);
        plan.run = format!("2026010{n}T000000.000Z-1-abcd").parse().unwrap();
        Journal::create(folder.path(), opened(&plan)).unwrap();
    }
    prune(folder.path(), 2).unwrap();
    let mut left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, [".gitignore", "20260103T000000.000Z-1-abcd.journal", "20260104T000000.000Z-1-abcd.journal"]);
}
