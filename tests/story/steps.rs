//! R16: run-once steps.

use std::collections::HashMap;

use hoist::once::{On, OnceEnd, OnceStep, When};

use super::scripted::step;
use super::*;

/// How the tries of a plan's steps end in a random run.
pub fn ends(plan: &Plan, order: u64) -> HashMap<u32, OnceEnd> {
    let reason = || "exit status 1".to_owned();
    let tries = (0..4 * plan.steps.len() as u32).map(|number| {
        let end = match order.rotate_left(7 * number) % 8 {
            0 => OnceEnd::Failed { reason: reason() },
            1 => OnceEnd::Unknown { reason: reason() },
            2 => OnceEnd::NotBegun { reason: reason() },
            _ => OnceEnd::Done,
        };
        (number, end)
    });
    tries.collect()
}

/// Steps for a random run.
pub fn random() -> impl Strategy<Value = Vec<OnceStep>> {
    let on = prop_oneof![Just(On::DeployHost), Just(On::First)];
    let when = prop_oneof![Just(When::Before), Just(When::After)];
    let group = prop::option::of(Just("g0"));
    let stage = prop::option::of(prop::sample::select(vec![Stage::Fetch, Stage::Promote]));
    let one = (on, when, group, stage, any::<bool>(), any::<bool>()).prop_map(
        |(on, when, group, stage, irreversible, has_undo)| OnceStep {
            undo: has_undo.then(|| "undo".to_owned()),
            irreversible,
            ..step("", on, when, stage.map_or(group, |_| Some("g0")), stage)
        },
    );
    prop::collection::vec(one, 0..3).prop_map(|steps| {
        let named = |(n, step): (usize, OnceStep)| {
            let undo = step.undo.map(|_| format!("undo s{n}"));
            OnceStep { name: format!("s{n}"), command: format!("s{n}"), undo, ..step }
        };
        steps.into_iter().enumerate().map(named).collect()
    })
}

/// The tries of a trace, in order.
fn tries(told: &Told) -> Vec<&str> {
    let mut tries = Vec::new();
    for entry in &told.trace {
        if let Trace::Once { line, .. } = entry {
            tries.push(line.as_str());
        }
    }
    tries
}

/// No step is run again, nor undone, unless the operator says that it did not run; what failed is not undone; and no host
/// goes back past a step that is irreversible unless the operator says so in words.
pub fn r16_steps(told: &Told) {
    let says = |of: &str, word: &str| {
        let is = |event: &&Event| matches!(event, Event::Asked { question, answer, .. } if question.starts_with(of) && answer == word);
        told.events.iter().filter(is).count()
    };
    let mut barred = false;
    for entry in &told.trace {
        match entry {
            Trace::Called { call, tasks } if call.step == Step::Run(Stage::Rollback) && !tasks.is_empty() => {
                assert!(!barred, "a host went back past an irreversible step");
            }
            Trace::Once { number, line } => {
                let step = &told.plan.steps[*number as usize / 2 % told.plan.steps.len()];
                let end = &ends_of(told)[number];
                let may_be_done = !matches!(end, OnceEnd::Failed { .. } | OnceEnd::NotBegun { .. });
                barred |= may_be_done && step.bars_rollback() && number % 2 == 0;
                assert!(number % 2 == 0 || step.undo.as_ref() == Some(line));
            }
            Trace::Asked(question) if question.contains("To roll back") => barred = false,
            Trace::Asked(question) if question.contains("it is not known whether it ran") => barred = false,
            _ => {}
        }
    }
    for step in &told.plan.steps {
        let ran = |line: &str| tries(told).iter().filter(|it| **it == line).count();
        let again = says(&format!("step {} on", step.name), "not done");
        assert!(ran(&step.command) <= 1 + again, "{} ran again", step.name);
        if let Some(undo) = &step.undo {
            let again = says(&format!("undo of step {} on", step.name), "not done");
            assert!(ran(undo) <= ran(&step.command).min(1) + again, "{} was undone twice", step.name);
        }
    }
}

fn ends_of(told: &Told) -> HashMap<u32, OnceEnd> {
    let tries = told.trace.iter().filter_map(|entry| match entry {
        Trace::Once { number, .. } => Some(*number),
        _ => None,
    });
    tries.map(|number| (number, ends(&told.plan, told.order).remove(&number).unwrap_or(OnceEnd::Done))).collect()
}

/// A deployment to two groups of two hosts, with steps around the second.
fn told(steps: Vec<OnceStep>, scripts: Vec<Script>, answers: Vec<Answer>, once: &[(u32, OnceEnd)]) -> Told {
    let mut plan = plan(vec![(2, None, FailureLimit::Hosts(0)), (2, Some(1), FailureLimit::Hosts(0))], 2);
    plan.steps = steps;
    let mut fleet = Scripted::new(scripts, 7);
    fleet.once = once.iter().cloned().collect();
    tell_of(plan, fleet, ScriptedGates::default(), answers, None, 7)
}

/// What happened, in short: the steps, and the first host of each stage.
fn story(told: &Told) -> Vec<String> {
    let mut story = Vec::new();
    let mut stage = None;
    for entry in &told.trace {
        match entry {
            Trace::Called { call, .. } => stage = Some(call.step),
            Trace::Started(host) => {
                if let Some(Step::Run(stage @ (Stage::Promote | Stage::Finalize | Stage::Rollback))) = stage {
                    story.push(format!("{stage} {host}"));
                }
            }
            Trace::Once { line, .. } => story.push(line.clone()),
            _ => {}
        }
    }
    story
}

fn around_the_second_group() -> Vec<OnceStep> {
    vec![
        step("first", On::DeployHost, When::Before, None, None),
        step("before", On::First, When::Before, Some("g1"), None),
        step("promoting", On::First, When::Before, Some("g1"), Some(Stage::Promote)),
        step("promoted", On::First, When::After, Some("g1"), Some(Stage::Promote)),
        step("after", On::First, When::After, Some("g1"), None),
        step("last", On::DeployHost, When::After, None, None),
    ]
}

#[test]
fn steps_run_once_at_their_place_and_a_rollback_undoes_them_at_the_mirrored_one() {
    let good = told(around_the_second_group(), vec![Script::good(); 4], vec![], &[]);
    assert_eq!(good.verdict.code, ExitCode::Success, "{:?}", good.verdict);
    let forward = "first, promote 0, promote 1, before, promoting, promote 2, promote 3, promoted, after, last, \
                   finalize 0, finalize 1, finalize 2, finalize 3";
    assert_eq!(story(&good).join(", "), forward);
    let mut steps = around_the_second_group();
    steps[5].undo = None;
    let last_fails = (10, OnceEnd::Failed { reason: "exit status 1".into() });
    let back = told(steps, vec![Script::good(); 4], vec![], &[last_fails]);
    assert_eq!(back.verdict.code, ExitCode::Failed, "{:?}", back.verdict);
    assert!(back.verdict.text.contains("step last on the deploy host: failed: exit status 1"), "{}", back.verdict.text);
    let story = story(&back).join(", ");
    let (_, backward) = story.split_once("last, ").unwrap();
    let wanted = "undo after, undo promoted, rollback 3, rollback 2, undo promoting, undo before, rollback 0, \
                  rollback 1, undo first";
    let in_any_order = |text: &str| text.replace("rollback 1, rollback 0", "rollback 0, rollback 1");
    assert_eq!(in_any_order(backward), wanted);
}

#[test]
fn a_step_that_fails_before_a_group_leaves_its_hosts_alone_and_what_has_no_undo_is_named() {
    let mut steps = around_the_second_group();
    (steps[0].undo, steps[1].undo) = (None, None);
    let failed = (2, OnceEnd::Failed { reason: "exit status 3".into() });
    let back = told(steps, vec![Script::good(); 4], vec![], &[failed]);
    assert!(hosts_of_calls(&back, Stage::Fetch).iter().flatten().all(|host| *host < 2));
    assert_eq!(back.verdict.code, ExitCode::Failed, "{:?}", back.verdict);
    assert!(back.verdict.text.contains("step first on the deploy host stays done: it has no undo"));
}

#[test]
fn nothing_leads_back_past_an_irreversible_step_but_words() {
    let steps = || {
        let mut steps = around_the_second_group();
        steps[1] = OnceStep { undo: None, irreversible: true, ..steps[1].clone() };
        steps
    };
    let scripts = good_but(4, 3, failing(Stage::Promote, Act::FailLate));
    let stays = told(steps(), scripts.clone(), vec![Answer::No, Answer::Yes], &[]);
    assert_eq!(stays.verdict.code, ExitCode::Mixed, "{:?}", stays.verdict);
    assert!(stays.verdict.text.contains("step before on host2 is done, and irreversible"), "{}", stays.verdict.text);
    assert!(hosts_of_calls(&stays, Stage::Rollback).is_empty());
    let asked = stays
        .trace
        .iter()
        .any(|entry| matches!(entry, Trace::Asked(question) if question.contains("type: roll back past before")));
    assert!(asked);
    for other in [Answer::All, Answer::AtOnce, Answer::Done, Answer::NotDone, Answer::Unanswered] {
        let stays = told(steps(), scripts.clone(), vec![other, Answer::Yes], &[]);
        assert!(hosts_of_calls(&stays, Stage::Rollback).is_empty(), "{other:?} is not the words");
    }
    let goes = told(steps(), scripts, vec![Answer::Yes, Answer::Yes], &[]);
    assert_eq!(hosts_of_calls(&goes, Stage::Rollback).concat().len(), 4);
    // With an undo it is as any other.
    let mut with_undo = steps();
    with_undo[1].undo = Some("undo before".into());
    let back = told(with_undo, good_but(4, 3, failing(Stage::Promote, Act::FailLate)), vec![], &[]);
    assert_eq!(back.verdict.code, ExitCode::Failed, "{:?}", back.verdict);
    assert!(tries(&back).contains(&"undo before"));
}

#[test]
fn a_step_of_which_nobody_knows_is_asked_about_and_left_open_without_an_answer() {
    let unknown = || (2, OnceEnd::Unknown { reason: "killed by signal KILL".into() });
    let of = |answer| {
        // The last one is given first.
        let answers = vec![Answer::Yes, answer, Answer::Yes];
        told(around_the_second_group(), vec![Script::good(); 4], answers, &[unknown()])
    };
    let done = of(Answer::Done);
    assert_eq!((done.verdict.code, tries(&done).len()), (ExitCode::Success, 6), "{:?}", done.verdict);
    let again = of(Answer::NotDone);
    assert_eq!((again.verdict.code, tries(&again).len()), (ExitCode::Success, 7), "{:?}", again.verdict);
    let back = of(Answer::No);
    assert_eq!(back.verdict.code, ExitCode::Mixed, "{:?}", back.verdict);
    assert!(back.verdict.text.contains("it is not known whether step before on host2 ran"), "{}", back.verdict.text);
    assert!(!tries(&back).contains(&"undo before"));
    let open = of(Answer::Unanswered);
    assert!(open.verdict.open && open.verdict.code == ExitCode::Unfinished, "{:?}", open.verdict);
    assert!(hosts_of_calls(&open, Stage::Rollback).is_empty());
    assert!(open.verdict.ways_out[0].contains("--step before=not-done"), "{:?}", open.verdict.ways_out);
}

#[test]
fn undoing_that_fails_is_named_and_the_hosts_go_back_all_the_same() {
    let scripts = good_but(4, 3, failing(Stage::Promote, Act::FailLate));
    let back =
        told(around_the_second_group(), scripts, vec![], &[(3, OnceEnd::Failed { reason: "exit status 9".into() })]);
    assert_eq!(back.verdict.code, ExitCode::Mixed, "{:?}", back.verdict);
    let text = &back.verdict.text;
    assert!(text.contains("step before on host2 was not undone (failed: exit status 9)"), "{text}");
    assert!(text.contains("4 hosts were rolled back and verified"), "{text}");
}

/// What a run does that goes back from a finished deployment of two groups, with a step after the second one and a step
/// before it.
fn going_back(scripts: Vec<Script>, once: &[(u32, OnceEnd)]) -> Told {
    let undoing = |name: &str, when| OnceStep {
        undo: None,
        undoes: Some((revision('8'), Some(revision('7')))),
        ..step(name, On::DeployHost, when, Some("g1"), None)
    };
    told(vec![undoing("close", When::Before), undoing("open", When::After)], scripts, vec![], once)
}

#[test]
fn steps_of_a_finished_deployment_are_undone_before_any_host_goes_back_or_when_all_are_back() {
    let back = going_back(vec![Script::good(); 4], &[]);
    assert_eq!(back.verdict.code, ExitCode::Success, "{:?}", back.verdict);
    let order =
        "close, promote 0, promote 1, promote 2, promote 3, open, finalize 0, finalize 1, finalize 2, finalize 3";
    assert_eq!(story(&back).join(", "), order);
}

#[test]
fn an_undo_of_a_finished_deployments_step_that_fails_is_named_and_the_hosts_go_back_all_the_same() {
    for number in [0, 2] {
        let back = going_back(vec![Script::good(); 4], &[(number, OnceEnd::Failed { reason: "exit status 9".into() })]);
        assert_eq!(back.verdict.code, ExitCode::Mixed, "{:?}", back.verdict);
        let name = if number == 0 { "close" } else { "open" };
        let said = format!("step {name} on the deploy host was not undone (failed: exit status 9)");
        assert!(back.verdict.text.ends_with(&said), "{}", back.verdict.text);
        assert_eq!(hosts_of_calls(&back, Stage::Finalize).concat().len(), 4, "{number}");
        assert!(hosts_of_calls(&back, Stage::Rollback).is_empty(), "{number}");
    }
}

#[test]
fn a_way_back_that_is_itself_rolled_back_names_the_steps_that_stay_undone() {
    let stays = going_back(good_but(4, 3, failing(Stage::Promote, Act::FailLate)), &[]);
    assert_eq!(stays.verdict.code, ExitCode::Failed, "{:?}", stays.verdict);
    assert_eq!(tries(&stays), ["close"]);
    assert!(stays.verdict.text.ends_with("; step close on the deploy host stays undone"), "{}", stays.verdict.text);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn steps_keep_their_rule_in_every_plan_and_every_fleet(told in random::run(true)) {
        r16_steps(&told);
        capacity::r13_capacity(&told);
        order::r3_subgroups(&told.plan, &calls(&told));
    }
}
