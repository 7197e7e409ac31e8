//! A host is drained around what takes its services down, and whoever dies in between, it is back in service once it is
//! healthy.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use hoist::timings::Part;
use hoist::wire::{
    CheckPoint, CommandLine, Drain, DrainOn, DrainPart, DrainReply, Drained, Fault, LeaseStands, Level, Outcome,
    Revision, Service, Stage, StageRequest, TargetEvent,
};

use crate::harness::*;
use crate::kill::{Moments, kill_in};

/// The moments of a stage that takes the service down: what it waits for, one after the other.
const MOMENTS: [&str; 6] = ["drain", "left", "restart", "check", "undrain", "up"];

struct Scene {
    target: Target,
    one: Revision,
    two: Revision,
}

/// A command that logs a word and waits for as long as there is a file `pause-WORD`.
fn pausing(target: &Target, word: &str) -> String {
    let (log, dir) = (target.log().display().to_string(), target.dir.path().display().to_string());
    format!("echo {word} >> {log}; while [ -e {dir}/pause-{word} ]; do sleep 0.02; done")
}

impl Scene {
    /// A host with one revision deployed, and another one fetched in the run r2.
    fn new() -> Scene {
        let target = Target::new();
        let one = target.commit(&[("a", "1")]);
        target.deploy(&target.request("r1", &one));
        let two = target.commit(&[("a", "2")]);
        let scene = Scene { target, one, two };
        scene.target.fetch(&scene.request("r2")).ok();
        scene.target.forget_log();
        scene
    }

    fn how(&self) -> Drain {
        let command = |word| Some(pausing(&self.target, word));
        Drain { drain: command("drain"), undrain: command("undrain"), timeout: 20, ..Drain::default() }
    }

    fn request(&self, run: &str) -> StageRequest {
        let request = self.target.request(run, &self.two);
        let command = format!("/bin/sh -c '{}'", pausing(&self.target, "restart"));
        let service = Service { command: format!("{command} {{service}} {{action}}"), ..request.service.clone() };
        StageRequest { service, drain: Some(Box::new(self.how())), restore: Some(self.one.clone()), ..request }
    }

    /// A request that waits for something at each of [`MOMENTS`].
    fn whole(&self, run: &str) -> StageRequest {
        let mut request = self.request(run);
        let how = request.drain.as_mut().unwrap();
        how.drain_done = Some(pausing(&self.target, "left"));
        how.undrain_done = Some(pausing(&self.target, "up"));
        let at = CheckPoint::After(Stage::RestartService);
        request.checks = vec![check("well", at, &pausing(&self.target, "check"))];
        request
    }

    fn with(&self, change: impl FnOnce(&mut Drain)) -> StageRequest {
        let mut request = self.request("r2");
        change(request.drain.as_mut().unwrap());
        request
    }

    fn drained(&self) -> Option<Drained> {
        self.target.facts(&self.request("r2")).state.drained.map(|it| *it)
    }

    fn current(&self) -> Option<Revision> {
        self.target.facts(&self.request("r2")).state.current
    }

    /// Whether the last thing that the load balancer heard is that the host is in service; the record has to agree.
    #[track_caller]
    fn is_in_service(&self) -> bool {
        let log = self.target.logged();
        let last = log.iter().rfind(|line| *line == "drain" || *line == "undrain");
        let in_service = last.is_none_or(|word| word == "undrain");
        assert_eq!(self.drained().is_none(), in_service, "{log:?}");
        in_service
    }

    fn pause(&self, word: &str, on: bool) {
        let file = self.target.dir.path().join(format!("pause-{word}"));
        if on { fs::write(file, "").unwrap() } else { fs::remove_file(file).unwrap() }
    }

    /// Kills a stage with SIGKILL while it is at `word`.
    fn kill_at(&self, request: &StageRequest, stage: Stage, word: &str) {
        self.pause(word, true);
        let mut child = spawn(&asked(request, stage, 0));
        drop(child.stdin.take());
        until(|| self.target.logged().last().is_some_and(|line| line == word));
        child.kill().unwrap();
        child.wait().unwrap();
        self.pause(word, false);
    }
}

#[test]
fn a_promote_and_a_rollback_drain_ahead_of_the_restart_and_undrain_after_it() {
    let scene = Scene::new();
    let at = CheckPoint::After(Stage::RestartService);
    let mut request = scene.request("r2");
    request.checks = vec![check("well", at, &format!("echo check >> {}", scene.target.log().display()))];
    let reply = run(&request, Stage::Promote).ok();
    reply.says("drained");
    reply.says("back in service");
    assert_eq!(scene.target.logged(), ["drain", "restart", "check", "undrain"]);
    assert_eq!((scene.current().as_ref(), scene.drained()), (Some(&scene.two), None));
    scene.target.forget_log();
    run(&request, Stage::Rollback).ok();
    assert_eq!(scene.target.logged()[..2], ["drain", "restart"]);
    assert_eq!(scene.target.logged().last().unwrap(), "undrain");
    assert_eq!((scene.current().as_ref(), scene.drained()), (Some(&scene.one), None));
    scene.target.forget_log();
    run(&request, Stage::RestartService).ok();
    assert_eq!(scene.target.logged(), ["drain", "restart", "check", "undrain"]);
}

#[test]
fn the_intent_is_on_the_disk_before_the_drain_begins_and_the_commands_know_the_host() {
    let scene = Scene::new();
    let (log, own) = (scene.target.log(), scene.target.root().join(".hoist/drained.json"));
    let told =
        format!("test -s {} && echo $HOIST_HOST $HOIST_GROUP $HOIST_REPO $HOIST_RUN $HOIST_REVISION", own.display());
    let request = scene.with(|how| how.drain = Some(format!("{told} >> {}", log.display())));
    run(&request, Stage::Promote).ok();
    assert_eq!(scene.target.logged()[0], format!("web1 canary group/app r2 {}", scene.two));
    assert!(!own.exists());
}

#[test]
fn what_takes_no_service_down_drains_nothing() {
    let scene = Scene::new();
    let mut request = scene.request("r2");
    // All services are disabled on a secondary host.
    fs::write(scene.target.dir.path().join("secondary"), "").unwrap();
    request.service.names[0].disable_secondary = true;
    run(&request, Stage::Promote).ok();
    assert!(!scene.target.logged().contains(&"drain".to_owned()), "{:?}", scene.target.logged());
    fs::remove_file(scene.target.dir.path().join("secondary")).unwrap();
    scene.target.forget_log();
    let again = in_run("r3", request);
    run(&again, Stage::Promote).ok().says("already live");
    assert!(scene.target.logged().is_empty());
    // Nor does a rollback that finds nothing to bring back.
    run(&StageRequest { restore: Some(scene.two.clone()), ..again }, Stage::Rollback).ok();
    assert!(scene.target.logged().is_empty());
}

#[test]
fn without_a_service_the_change_of_what_is_live_is_what_is_drained_for() {
    let scene = Scene::new();
    let mut request = scene.request("r2");
    request.service.names.clear();
    run(&request, Stage::Promote).ok();
    assert_eq!(scene.target.logged(), ["drain", "undrain"]);
    scene.target.forget_log();
    run(&request, Stage::RestartService).ok();
    assert!(scene.target.logged().is_empty(), "there is nothing to restart");
}

#[test]
fn a_drain_that_fails_changes_nothing_and_the_host_is_put_back() {
    let scene = Scene::new();
    for (drain, done, why) in [
        ("echo drain >> LOG; echo no such server; exit 3", None, "drain failed with exit status 3: no such server"),
        ("echo drain >> LOG", Some("echo 7 sessions; false"), "drain was not done within 6 s: 7 sessions"),
        ("echo drain >> LOG; sleep 50", None, "drain timed out after 6 s"),
    ] {
        scene.target.forget_log();
        let log = scene.target.log().display().to_string();
        let mut request = scene.with(|how| {
            how.drain = Some(drain.replace("LOG", &log));
            how.drain_done = done.map(str::to_owned);
            // A busy machine takes its time to start the first command.
            how.timeout = 6;
        });
        request.confirm_timeout = 30;
        let reply = run(&request, Stage::Promote);
        assert_eq!(reply.reason(), why);
        assert_eq!(scene.target.logged(), ["drain", "undrain"]);
        assert_eq!((scene.current().as_ref(), scene.drained()), (Some(&scene.one), None));
        assert_eq!(scene.target.facts(&request).lease, None, "there is nothing to take back");
    }
}

#[test]
fn a_drain_is_waited_for_until_it_says_that_it_is_done() {
    let scene = Scene::new();
    let log = scene.target.log().display().to_string();
    let done = |word: &str| Some(format!("echo {word} >> {log}; test $(grep -c {word} {log}) -ge 3"));
    let mut request = scene.with(|how| (how.drain_done, how.undrain_done) = (done("left"), done("up")));
    request.drain.as_mut().unwrap().undrain = Some(format!("echo undrain >> {log}; echo; echo ready"));
    let reply = run(&request, Stage::Promote).ok();
    let told: Vec<&str> = reply.lines(Level::Info).into_iter().filter(|line| line.starts_with("undrain:")).collect();
    assert_eq!(told, ["undrain: ready"], "blank lines tell nothing");
    let wanted = ["drain", "left", "left", "left", "restart", "undrain", "up", "up", "up"];
    assert_eq!(scene.target.logged(), wanted);
}

#[test]
fn a_host_that_is_not_healthy_stays_drained_and_says_since_when_and_why_until_it_is_rolled_back() {
    let scene = Scene::new();
    let mut request = scene.request("r2");
    let at = CheckPoint::After(Stage::RestartService);
    request.checks = vec![check("well", at, "false")];
    let reply = run(&request, Stage::Promote);
    assert_eq!(scene.target.logged(), ["drain", "restart"]);
    let drained = reply.state().drained.clone().unwrap();
    assert!(drained.to_string().starts_with("drained since 20"), "{drained}");
    assert!(drained.reason.as_deref().unwrap().contains("promote: check well failed"), "{drained}");
    // It is no healthier when it is asked again.
    let reply = run(&request, Stage::Undrain);
    assert!(reply.reason().contains("check well failed"), "{}", reply.reason());
    assert!(!scene.is_in_service());
    assert_eq!(scene.drained().unwrap().since, drained.since);
    run(&request, Stage::Rollback).ok();
    assert!(scene.is_in_service());
}

#[test]
fn a_rollback_that_fails_leaves_the_host_drained_and_an_undrain_helps_once_it_is_well() {
    let scene = Scene::new();
    let mut request = scene.request("r2");
    run(&request, Stage::Promote).ok();
    let good = std::mem::replace(&mut request.service.command, "/bin/false {service} {action}".to_owned());
    assert!(run(&request, Stage::Rollback).reason().contains("restart failed with exit status 1"));
    assert!(!scene.is_in_service());
    assert!(run(&request, Stage::Undrain).ended().0.is_err());
    request.service.command = good;
    scene.target.forget_log();
    fs::write(scene.target.log(), "drain\n").unwrap();
    run(&request, Stage::Undrain).ok();
    assert_eq!(scene.target.logged(), ["drain", "restart", "undrain"], "what it ran was not known");
    assert!(scene.is_in_service());
}

#[test]
fn an_undrain_that_fails_is_a_failure_of_the_host_and_the_next_promote_makes_up_for_it() {
    let scene = Scene::new();
    let request = scene.with(|how| how.undrain = Some("echo the balancer is away; exit 1".to_owned()));
    let reply = run(&request, Stage::Promote);
    assert_eq!(reply.reason(), "undrain failed with exit status 1: the balancer is away");
    assert!(!scene.is_in_service());
    let next = scene.request("r3");
    run(&next, Stage::Promote).ok().says("already live");
    assert_eq!(scene.target.logged(), ["drain", "restart", "undrain"], "it was not restarted again");
    assert!(scene.is_in_service());
}

#[test]
fn a_later_run_that_knows_no_drain_undrains_as_it_was_recorded() {
    let scene = Scene::new();
    scene.kill_at(&scene.request("r2"), Stage::Promote, "restart");
    assert!(!scene.is_in_service());
    let next = StageRequest { drain: None, ..scene.request("r3") };
    run(&next, Stage::Promote).ok();
    assert!(scene.is_in_service());
}

#[test]
fn a_stage_that_is_killed_at_any_moment_leaves_a_host_that_whoever_comes_next_puts_back() {
    for next in [Stage::Undrain, Stage::Promote, Stage::Rollback] {
        for moment in MOMENTS {
            let scene = Scene::new();
            scene.kill_at(&scene.whole("r2"), Stage::Promote, moment);
            assert!(scene.drained().is_some(), "{moment}");
            run(&scene.whole("r2"), next).ok();
            assert!(scene.is_in_service(), "{next} after {moment}: {:?}", scene.target.logged());
            let was_changed = !["drain", "left"].contains(&moment);
            let stays = next == Stage::Promote || next == Stage::Undrain && was_changed;
            let wanted = if stays { &scene.two } else { &scene.one };
            assert_eq!(scene.current().as_ref(), Some(wanted), "{next} after {moment}");
        }
    }
    for stage in [Stage::Rollback, Stage::RestartService] {
        for moment in MOMENTS {
            let scene = Scene::new();
            run(&scene.whole("r2"), Stage::Promote).ok();
            scene.target.forget_log();
            scene.kill_at(&scene.whole("r2"), stage, moment);
            assert!(scene.drained().is_some(), "{stage}: {moment}");
            run(&scene.whole("r2"), Stage::Undrain).ok();
            assert!(scene.is_in_service(), "after {moment} of {stage}: {:?}", scene.target.logged());
        }
    }
}

#[test]
fn a_stage_that_is_killed_between_two_moments_leaves_no_host_drained_either() {
    let scene = Scene::new();
    let (mut moments, mut killed, mut drained) = (Moments(11), 0, 0);
    for round in 0..20 {
        let request = scene.whole(&format!("s{round:02}"));
        for stage in [Stage::Promote, Stage::Rollback] {
            killed += usize::from(kill_in(&request, stage, b"", moments.next(std::time::Duration::from_millis(60))));
            drained += usize::from(scene.drained().is_some());
            run(&request, Stage::Undrain).ok();
            assert!(scene.is_in_service(), "{stage} in round {round}: {:?}", scene.target.logged());
        }
        run(&request, Stage::Rollback).ok();
        assert!(scene.is_in_service());
        assert_eq!(scene.current().as_ref(), Some(&scene.one));
    }
    assert!(killed > 0 && drained > 0, "{killed} were killed at work, {drained} were left drained");
}

#[test]
fn the_watcher_of_the_lease_alone_puts_a_host_back_whose_stage_was_killed_at_any_moment() {
    for moment in MOMENTS {
        let scene = Scene::new();
        let request = StageRequest { confirm_timeout: 1, ..scene.whole("r2") };
        scene.kill_at(&request, Stage::Promote, moment);
        until(|| scene.drained().is_none() && scene.current().as_ref() == Some(&scene.one));
        assert!(scene.is_in_service(), "{moment}: {:?}", scene.target.logged());
        until(|| {
            let lease = scene.target.facts(&request).lease.map(|lease| lease.stands);
            matches!(lease, Some(LeaseStands::RolledBack { .. }))
        });
    }
}

#[test]
fn a_drain_that_outlives_its_stage_is_waited_for_so_that_it_undoes_nothing() {
    let scene = Scene::new();
    let (log, dir) = (scene.target.log().display().to_string(), scene.target.dir.path().display().to_string());
    // The shell in between dies with the stage, the inner one does not.
    let late = format!("sh -c 'echo began >> {log}; sleep 1; echo drain >> {log}; touch {dir}/late'; true");
    let request = scene.with(|how| how.drain = Some(late));
    let mut child = spawn(&asked(&request, Stage::Promote, 0));
    until(|| scene.target.logged() == ["began"]);
    child.kill().unwrap();
    child.wait().unwrap();
    run(&scene.request("r2"), Stage::Undrain).ok().says("waiting for a command of an earlier drain");
    until(|| scene.target.dir.path().join("late").exists());
    assert_eq!(scene.target.logged(), ["began", "drain", "undrain"]);
    assert!(scene.is_in_service());
}

/// Runs a stage whose drain is done by the deployer, which answers so, or goes away where there is no answer.
fn with_deployer(
    request: &StageRequest,
    stage: Stage,
    answer: impl Fn(DrainPart) -> Option<Outcome>,
) -> (Vec<DrainPart>, Reply) {
    let mut child = spawn(&asked(request, stage, 0));
    let mut input = child.stdin.take();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (mut parts, mut events) = (Vec::new(), Vec::new());
    let mut line = String::new();
    while output.read_line(&mut line).unwrap() > 0 {
        for event in said(&std::mem::take(&mut line)) {
            if let TargetEvent::Wanted { part } = event {
                parts.push(part);
                match (answer(part), &mut input) {
                    (Some(outcome), Some(to)) => {
                        let reply = serde_json::to_string(&DrainReply { outcome }).unwrap();
                        to.write_all(format!("{reply}\n").as_bytes()).unwrap();
                    }
                    (None, _) => input = None,
                    (Some(_), None) => {}
                }
            }
            events.push(event);
        }
    }
    let status = child.wait().unwrap().code();
    (parts, Reply { status, events, errors: String::new() })
}

#[test]
fn a_drain_on_the_deploy_host_is_asked_of_the_deployer_and_ends_without_one() {
    let scene = Scene::new();
    let request = scene.with(|how| how.on = DrainOn::DeployHost);
    let (parts, reply) =
        with_deployer(&request, Stage::Promote, |_| Some(Err(Fault::failed("drain failed with exit status 1"))));
    assert_eq!(parts, [DrainPart::Drain, DrainPart::Undrain]);
    assert_eq!(reply.reason(), "drain failed with exit status 1; then undrain: drain failed with exit status 1");
    assert_eq!(scene.current().as_ref(), Some(&scene.one), "nothing was changed");
    assert_eq!(scene.drained().unwrap().on, DrainOn::DeployHost);

    let (parts, reply) = with_deployer(&request, Stage::Promote, |_| Some(Ok(())));
    assert_eq!(parts, [DrainPart::Drain, DrainPart::Undrain]);
    reply.ok();
    assert_eq!((scene.drained(), scene.target.logged()), (None, vec!["restart".to_owned()]));

    // The connection goes between the restart and the undrain: what is live stays, and the host is on record.
    run(&StageRequest { drain: None, ..request.clone() }, Stage::Rollback).ok();
    let (_, reply) = with_deployer(&in_run("r3", request.clone()), Stage::Promote, |part| {
        (part == DrainPart::Drain).then_some(Ok(()))
    });
    assert_eq!(reply.reason(), "undrain: no deployer is connected that could do it on the deploy host");
    assert!(reply.state().drained.is_some());
    // By hand, nobody is there either; a deployer is.
    let by_hand = run(&in_run("r3", request.clone()), Stage::Undrain);
    assert!(by_hand.reason().contains("no deployer is connected"), "{}", by_hand.reason());
    let (parts, reply) = with_deployer(&in_run("r3", request), Stage::Undrain, |_| Some(Ok(())));
    assert_eq!(parts, [DrainPart::Undrain]);
    reply.ok();
    assert_eq!(scene.drained(), None);
}

#[test]
fn a_lease_that_runs_out_brings_a_host_back_that_nobody_can_drain_and_puts_no_drain_on_record() {
    let scene = Scene::new();
    let mut request = scene.with(|how| how.on = DrainOn::DeployHost);
    request.confirm_timeout = 1;
    let (_, reply) = with_deployer(&request, Stage::Promote, |_| Some(Ok(())));
    reply.ok();
    until(|| scene.target.facts(&request).lease.is_some_and(|it| matches!(it.stands, LeaseStands::RolledBack { .. })));
    assert_eq!((scene.current().as_ref(), scene.drained()), (Some(&scene.one), None));
    assert_eq!(scene.target.logged(), ["restart", "restart"]);
    let log = fs::read_to_string(scene.target.root().join(".hoist/lease.log")).unwrap();
    assert!(log.contains("drain: no deployer is connected"), "{log}");
}

#[test]
fn a_record_that_is_damaged_is_a_drained_host_and_not_one_that_was_forgotten() {
    let scene = Scene::new();
    fs::write(scene.target.root().join(".hoist/drained.json"), "{\"since\":").unwrap();
    let drained = scene.drained().unwrap();
    assert!(drained.to_string().contains("cannot be read"), "{drained}");
    run(&scene.request("r2"), Stage::Promote).ok();
    assert!(scene.is_in_service());
    assert!(run(&scene.request("r2"), Stage::Undrain).ok().lines(Level::Info).contains(&"this host is not drained"));
}

#[test]
fn a_command_runs_while_the_host_is_drained_and_what_is_told_is_its_output() {
    let scene = Scene::new();
    let log = scene.target.log().display().to_string();
    let with = |run: &str, line: &str, timeout| StageRequest {
        command: Some(Box::new(CommandLine { line: line.replace("LOG", &log), timeout, ..CommandLine::default() })),
        revision: scene.one.clone(),
        ..scene.request(run)
    };
    let reply = run(&with("r3", "echo command >> LOG; echo out; echo err >&2; exit 3", 20), Stage::Command);
    // The two outputs are read side by side, so either may come first.
    let mut told = reply.lines(Level::Info);
    told.sort_unstable();
    assert_eq!((told, reply.lines(Level::Warning)), (vec!["err", "out"], vec!["err"]));
    let failed = Err(Fault::Failed { reason: "exit status 3".into(), status: Some(3) });
    assert_eq!(reply.ended().0, &failed);
    assert_eq!(scene.target.logged(), ["drain", "command", "undrain"]);
    assert!(scene.is_in_service());
    // Its time limit is its own, and the host is put back behind it.
    let reply = run(&with("r4", "sleep 60", 1), Stage::Command);
    assert_eq!(reply.ended().0, &Err(Fault::TimedOut { seconds: 1 }));
    assert!(scene.is_in_service());
    // The request of the deployment is still the one for stages by hand.
    let kept = scene.target.root().join(".hoist/last-request.json");
    assert!(!fs::read_to_string(kept).unwrap().contains("sleep 60"));
    let none = run(&scene.request("r5"), Stage::Command);
    assert!(none.reason().contains("a part of `hoist run --drain`"), "{}", none.reason());
}

#[test]
fn what_the_target_does_counts_as_its_work_though_the_deployer_is_waited_for_meanwhile() {
    // So long that a busy machine takes less for what else comes through the input.
    const TAKES: Duration = Duration::from_secs(4);
    let scene = Scene::new();
    let mut request = scene.with(|how| how.on = DrainOn::DeployHost);
    request.header.timings = true;
    let (_, reply) = with_deployer(&request, Stage::Promote, |part| {
        if part == DrainPart::Drain {
            std::thread::sleep(TAKES);
        }
        Some(Ok(()))
    });
    let parts = reply.ok().parts();
    assert!(parts.of(Part::Drain) >= TAKES && parts.of(Part::Input) < TAKES, "{parts:?}");
    assert!(parts.of(Part::Work) > Duration::ZERO, "{parts:?}");
}
