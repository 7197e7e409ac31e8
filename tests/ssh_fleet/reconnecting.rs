//! Connections that are lost, hosts that restart, lock holders that die.

use super::*;

#[test]
fn a_stage_whose_connection_was_lost_is_asked_after_and_its_true_end_told() {
    let mut scene = Scene::new(4);
    let ok = r#"record ended ",\"outcome\":{\"ended\":\"ok\"},$state""#;
    let bad = r#"record ended ",\"outcome\":{\"ended\":\"failed\",\"reason\":\"no space\"},$state""#;
    scene.plan(0, &format!("stage() {{ {ok}; hang_up; sleep 60; }}"));
    scene.plan(1, &format!("stage() {{ {bad}; hang_up; sleep 60; }}"));
    // Still at work when it is first asked.
    scene.plan(2, &format!("stage() {{ trap '' HUP PIPE; record running; hang_up; sleep 1; {ok}; }}"));
    scene.plan(3, r#"stage() { record died ",$state"; hang_up; sleep 60; }"#);
    for step in [Step::Probe, Step::Hold] {
        assert!(scene.run(step).values().all(|result| result.outcome.is_ok()));
    }
    let results = scene.run(PROMOTE);
    assert_eq!(results[&0].outcome, Ok(()));
    assert_eq!(results[&1].outcome, Err(Fault::Failed { reason: "no space".into(), status: None }));
    assert_eq!(results[&2].outcome, Ok(()));
    assert!(matches!(&results[&3].outcome, Err(Fault::Failed { reason, .. }) if reason.contains("deploy-local died")));
    for host in 0..4 {
        assert!(results[&host].state.is_some());
        assert_eq!(scene.farm.connections_to(&scene.addresses[host]), 2);
        assert_eq!(scene.actions(host)[..4], ["probe", "promote/3", "probe", "ask promote/3"]);
    }
    // The lock, which went with the first connection, was taken again.
    assert_eq!(scene.read(0, "holds"), "hold\nhold\n");
}

#[test]
fn a_stage_that_the_target_never_saw_is_run_again_and_not_for_ever() {
    let mut scene = Scene::new(2);
    scene.plan(0, r#"stage() { if [ -e "$HOME/once" ]; then ended; else touch "$HOME/once"; hang_up; sleep 60; fi; }"#);
    scene.plan(1, "stage() { hang_up; sleep 60; }");
    let results = scene.run(PROMOTE);
    assert_eq!(results[&0].outcome, Ok(()));
    assert_eq!(scene.actions(0), ["probe", "promote/3", "probe", "ask promote/3", "promote/3"]);
    assert!(matches!(results[&1].outcome, Err(Fault::Lost { .. })), "{:?}", results[&1].outcome);
    assert_eq!(scene.actions(1).iter().filter(|action| *action == "promote/3").count(), 4);
}

#[test]
fn a_host_that_does_not_come_back_is_lost_and_later_steps_try_it_again() {
    let mut scene = Scene::with(1, &[], |options| options.timeouts.reconnect = Duration::from_secs(1));
    scene.plan(0, r#"stage() { touch "$HOIST_FARM_HOST/down"; hang_up; sleep 60; }"#);
    assert_eq!(scene.outcome(Step::Probe), Ok(()));
    let Err(Fault::Lost { reason }) = scene.outcome(PROMOTE) else { panic!("not lost") };
    assert!(reason.contains("this host is down"), "{reason}");
    assert!(scene.outcome(Step::Run(Stage::Rollback)).is_err());
    scene.farm.set_down(&scene.addresses[0], false);
    scene.plan(0, "");
    assert_eq!(scene.outcome(Step::Run(Stage::Rollback)), Ok(()));
}

/// What a host does that starts up again: it lets nobody in for a while. `how` is what shuts the door, `open` what opens it.
fn restarts(how: &str, open: &str) -> String {
    format!(
        "if mkdir $HOME/once; then {how}; (setsid sh -c 'sleep 3; {open}' >/dev/null 2>&1 &); hang_up; sleep 60; fi"
    )
}

#[test]
fn a_host_that_was_let_in_to_before_is_tried_again_whatever_it_refuses_meanwhile() {
    let mut scene = Scene::new(3);
    let keys = "$HOIST_FARM/authorized_keys";
    let plans = [
        restarts(&format!("mv {keys} {keys}.away"), &format!("mv {keys}.away {keys}")),
        restarts("touch $HOIST_FARM_HOST/down", "rm $HOIST_FARM_HOST/down"),
        // Its own program is not there yet.
        restarts("mv \"$0\" \"$0.away\"", "mv \"$1.away\" \"$1\"' sh \"$0\" '"),
    ];
    for (host, plan) in plans.iter().enumerate() {
        scene.plan(host, &format!("stage() {{ {plan}; ended; }}"));
        for step in [Step::Probe, Step::Hold] {
            assert!(scene.run(step).values().all(|result| result.outcome.is_ok()));
        }
        let tasks = [Task::first(HostId::new(host))];
        let mut outcome = None;
        scene.fleet.run(&call(PROMOTE), &tasks, &mut |events| {
            outcome = events
                .into_iter()
                .find_map(|event| match event {
                    HostEvent::Ended(_, result) => Some(result.outcome),
                    _ => None,
                })
                .or(outcome.take());
            Flow::Continue
        });
        assert_eq!(outcome, Some(Ok(())), "{plan}");
        assert!(scene.farm.connections_to(&scene.addresses[host]) > 3, "nothing was refused: {plan}");
    }
}

#[test]
fn a_changed_host_key_is_final_though_the_host_was_let_in_to_before() {
    let mut scene = Scene::new(1);
    assert_eq!(scene.outcome(Step::Probe), Ok(()));
    // The other side shows another key from now on: for this run, which has read the file, it is the server that changes.
    scene.plan(0, "stage() { hang_up; sleep 60; }");
    let began = Instant::now();
    let other = scene.farm.path("other");
    let made =
        std::process::Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&other).status();
    assert!(made.unwrap().success());
    fs::copy(&other, scene.farm.path("host_ed25519")).unwrap();
    let pid: i32 = fs::read_to_string(scene.farm.path("sshd.pid")).unwrap().trim().parse().unwrap();
    assert!(std::process::Command::new("kill").args(["-HUP", &pid.to_string()]).status().unwrap().success());
    let Err(Fault::Lost { reason }) = scene.outcome(PROMOTE) else { panic!("not lost") };
    assert!(reason.contains("CHANGED"), "{reason}");
    assert!(began.elapsed() < Duration::from_secs(50), "it was tried again and again");
}

#[test]
fn a_stage_whose_channel_was_closed_without_a_status_is_asked_after() {
    let mut scene = Scene::with(2, &[("FARM_SSHD_OPTS", "ChannelTimeout session:*=2s")], |_| {});
    let ok = r#"record ended ",\"outcome\":{\"ended\":\"ok\"},$state""#;
    let bad = r#"record ended ",\"outcome\":{\"ended\":\"failed\",\"reason\":\"no space\"},$state""#;
    // Nothing is said for longer than the server waits, and the work goes on.
    scene.plan(0, &format!("stage() {{ trap '' HUP PIPE; record running; sleep 6; {ok}; }}"));
    scene.plan(1, &format!("stage() {{ trap '' HUP PIPE; record running; sleep 6; {bad}; }}"));
    for step in [Step::Probe, Step::Hold] {
        assert!(scene.run(step).values().all(|result| result.outcome.is_ok()), "{step:?}");
    }
    let results = scene.run(PROMOTE);
    assert_eq!(results[&0].outcome, Ok(()));
    assert_eq!(results[&1].outcome, Err(Fault::Failed { reason: "no space".into(), status: None }));
    assert_eq!(scene.actions(0).iter().filter(|action| *action == "promote/3").count(), 1, "it was run again");
}

#[test]
fn a_stage_whose_command_was_ended_by_what_wraps_it_is_asked_after() {
    let mut scene = Scene::new(3);
    let ok = r#"record ended ",\"outcome\":{\"ended\":\"ok\"},$state""#;
    let goes_on = |end: &str| format!("stage() {{ record running; (trap '' HUP PIPE; sleep 2; {ok}) & {end}; }}");
    scene.plan(0, &goes_on("exit 0"));
    scene.plan(1, &goes_on("kill -KILL $$"));
    // Refused once, ahead of anything.
    scene.plan(2, "stage() { if mkdir $HOME/once; then echo 'not now' >&2; exit 1; fi; ended; }");
    let results = scene.run(PROMOTE);
    for host in 0..3 {
        assert_eq!(results[&host].outcome, Ok(()), "host {host}");
    }
    assert_eq!(scene.actions(0).iter().filter(|action| *action == "promote/3").count(), 1, "it was run again");
}

#[test]
fn a_session_that_the_server_closed_between_two_steps_is_opened_again_with_its_lock() {
    let mut scene = Scene::new(1);
    for step in [Step::Probe, Step::Hold] {
        assert_eq!(scene.outcome(step), Ok(()));
    }
    scene.plan(0, "stage() { echo $PPID > $HOME/server; ended; }");
    assert_eq!(scene.outcome(PROMOTE), Ok(()));
    let server = scene.read(0, "server");
    assert!(std::process::Command::new("kill").args(["-KILL", server.trim()]).status().unwrap().success());
    assert_eq!(scene.outcome(PROMOTE), Ok(()));
    assert_eq!(scene.read(0, "holds"), "hold\nhold\n");
    assert_eq!(scene.farm.connections_to(&scene.addresses[0]), 2);
}

#[test]
fn a_lock_whose_lock_holder_was_killed_between_two_steps_is_taken_again_on_the_same_session() {
    let mut scene = Scene::new(1);
    scene.plan(0, "case $request in *'\"action\":\"probe\"'*) echo $$ > \"$HOME/keeper\";; esac");
    for step in [Step::Probe, Step::Hold] {
        assert_eq!(scene.outcome(step), Ok(()));
    }
    let lock_holder = scene.read(0, "keeper");
    assert!(std::process::Command::new("kill").args(["-KILL", lock_holder.trim()]).status().unwrap().success());
    let until = Instant::now() + Duration::from_secs(30);
    while scene.read(0, "holds") != "hold\nhold\n" {
        assert!(Instant::now() < until, "nobody noticed");
        assert_eq!(scene.outcome(PROMOTE), Ok(()));
    }
    assert_eq!(scene.farm.connections_to(&scene.addresses[0]), 1);
}

#[test]
fn a_host_that_restarts_between_two_steps_is_tried_again_though_its_connection_outlives_its_commands() {
    let mut scene = Scene::new(1);
    scene.plan(0, "case $request in *'\"action\":\"probe\"'*) echo $$ > \"$HOME/keeper\";; esac");
    for step in [Step::Probe, Step::Hold] {
        assert_eq!(scene.outcome(step), Ok(()));
    }
    for (step, held) in [(PROMOTE, "hold\nhold\n"), (Step::Probe, "hold\nhold\n")] {
        scene.farm.set_down(&scene.addresses[0], true);
        let lock_holder = scene.read(0, "keeper");
        assert!(std::process::Command::new("kill").args(["-KILL", lock_holder.trim()]).status().unwrap().success());
        // Until the end of its command has come.
        std::thread::sleep(Duration::from_secs(1));
        let down = scene.farm.host(&scene.addresses[0]).join("down");
        let up = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(2));
            fs::remove_file(down).unwrap();
        });
        assert_eq!(scene.outcome(step), Ok(()), "{step:?}");
        up.join().unwrap();
        assert!(scene.read(0, "holds").starts_with(held), "{}", scene.read(0, "holds"));
    }
}

#[test]
fn a_connection_that_was_made_again_in_a_stage_is_told_with_the_reason() {
    let mut scene = Scene::new(1);
    let ok = r#"record ended ",\"outcome\":{\"ended\":\"ok\"},$state""#;
    scene.plan(0, &format!("stage() {{ {ok}; hang_up; sleep 60; }}"));
    for step in [Step::Probe, Step::Hold] {
        assert_eq!(scene.outcome(step), Ok(()));
    }
    let mut told = Vec::new();
    scene.fleet.run(&call(PROMOTE), &[Task::first(HostId::new(0))], &mut |events| {
        told.extend(events.into_iter().filter_map(|event| match event {
            HostEvent::Remark(remark) => Some(remark),
            _ => None,
        }));
        Flow::Continue
    });
    let [remark] = &told[..] else { panic!("{told:?}") };
    assert_eq!((remark.level, remark.host.as_ref().unwrap().to_string()), (Level::Debug, scene.addresses[0].clone()));
    let said = &remark.message;
    assert!(said.starts_with("the connection was lost (") && said.contains(" and made again after "), "{said}");
    assert!(said.ends_with(" s; what the target printed meanwhile is missing"), "{said}");
}
