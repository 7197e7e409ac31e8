//! What a service runs after its restart, looked at through its supervisor and `/proc`. The supervisor has the words of
//! runit's `sv` and does what a test wants of it.

use std::fs;
use std::process::Command;

use hoist::wire::{Level, Revision, Service, Stage, StageRequest, VerifyService};

use crate::harness::*;

/// `sv` as runit has it, but that it heeds some files: with `stuck` it restarts nothing; with `late` it ends the old
/// process only after so many questions, and starts the new one after as many again, or not at all with `never`; with
/// `claims` it says that the process named there runs; what `wants` has is added to `down`; with `loops` no process stays
/// until the restart, which is about to end the one that is seen first. The last process that it has said is up is in `shown`.
const SUPERVISOR: &str = r#"#!/bin/sh
pid=$(cat DIR/$2.pid 2>/dev/null)
up() { [ -n "$pid" ] && readlink /proc/$pid/exe >/dev/null; }
start() {
    (cd LIVE && exec setsid sh ./run </dev/null >/dev/null 2>&1) &
    echo $! >DIR/$2.pid
    echo $! >>DIR/all
}
case $1 in
status)
    [ ! -e DIR/loops ] || [ -e DIR/restarted ] || { echo "down: $2: 0s, normally up, want up"; exit 0; }
    [ ! -e DIR/claims ] || { echo "run: $2: (pid $(cat DIR/claims)) 1s"; exit 0; }
    if [ -e DIR/late ] && [ -e DIR/restarted ]; then
        echo asked >>DIR/restarted
        asked=$(wc -l <DIR/restarted) late=$(cat DIR/late)
        [ $asked != $late ] || kill -9 $pid
        if [ $asked -ge $late ] && { [ -e DIR/never ] || [ $asked -lt $((2 * late)) ]; }; then
            echo "down: $2: 0s, normally up, want up"
            exit 0
        fi
        [ $asked != $((2 * late)) ] || start $1 $2
        pid=$(cat DIR/$2.pid)
    fi
    up && { echo $pid >DIR/shown; echo "run: $2: (pid $pid) 1s"; exit 0; }
    echo "down: $2: 1s, normally up$(cat DIR/wants 2>/dev/null)"
    ;;
reload) up ;;
restart)
    [ ! -e DIR/stuck ] || exit 0
    [ ! -e DIR/loops ] || start $1 $2
    [ ! -e DIR/late ] || { : >DIR/restarted; exit 0; }
    ! up || kill -9 $pid
    start $1 $2
    ;;
esac
"#;

struct Scene {
    target: Target,
    one: Revision,
}

impl Scene {
    /// A host on which a service runs that sleeps.
    fn new() -> Scene {
        let target = Target::new();
        let script = SUPERVISOR.replace("DIR", &target.dir.path().display().to_string());
        let script = script.replace("LIVE", &target.live().display().to_string());
        fs::create_dir(target.dir.path().join("bin")).unwrap();
        let path = target.dir.path().join("bin/sv");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let one = target.commit(&[("run", "exec sleep 100")]);
        let scene = Scene { target, one };
        let request = scene.request("r1", &scene.one);
        scene.target.fetch(&request).ok();
        scene.run(&request, Stage::Promote).ok();
        scene
    }

    fn request(&self, run: &str, revision: &Revision) -> StageRequest {
        let request = self.target.request(run, revision);
        let service =
            Service { command: "sv {action} {service}".to_owned(), min_healthy: 1, ..request.service.clone() };
        StageRequest { service, restore: Some(self.one.clone()), ..request }
    }

    /// A request for a revision whose service is this shell script. It is fetched.
    fn fetched(&self, script: &str) -> StageRequest {
        self.fetched_in("r2", script)
    }

    fn fetched_in(&self, run: &str, script: &str) -> StageRequest {
        let two = self.target.commit(&[("run", script)]);
        let request = self.request(run, &two);
        self.target.fetch(&request).ok();
        request
    }

    /// A service that ends when its supervisor has said that it is up, however late it is asked: not at once, since who asked
    /// has yet to look at the process, and within the second that it has to stay.
    fn ends_when_it_was_up(&self) -> String {
        let shown = self.target.dir.path().join("shown");
        format!("until [ \"$(cat {})\" = $$ ]; do sleep 0.05; done; sleep 0.4; exit 3", shown.display())
    }

    fn run(&self, request: &StageRequest, stage: Stage) -> Reply {
        self.call(&asked(request, stage, 0))
    }

    fn call(&self, request: &hoist::wire::Request) -> Reply {
        let path = format!("{}:{}", self.target.dir.path().join("bin").display(), std::env::var("PATH").unwrap());
        let mut child = spawn_with(request, &[("PATH", &path)]);
        drop(child.stdin.take());
        reply(child)
    }

    fn pid(&self) -> String {
        fs::read_to_string(self.target.dir.path().join("app.pid")).unwrap().trim().to_owned()
    }

    /// Writes a file that the supervisor heeds.
    fn supervisor(&self, name: &str, text: &str) {
        fs::write(self.target.dir.path().join(name), text).unwrap();
    }
}

/// What is left besides ends by itself: nothing sleeps for long here.
impl Drop for Scene {
    fn drop(&mut self) {
        for pid in fs::read_to_string(self.target.dir.path().join("all")).unwrap_or_default().lines() {
            if fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() != "sleep") {
                continue;
            }
            let _ = Command::new("kill").args(["-KILL", pid]).stderr(std::process::Stdio::null()).status();
        }
    }
}

#[test]
fn a_service_that_runs_the_live_revision_passes() {
    let scene = Scene::new();
    let before = scene.pid();
    let request = scene.fetched("exec sleep 101");
    let reply = scene.run(&request, Stage::Promote).ok();
    assert_ne!(scene.pid(), before);
    let said = reply.lines(Level::Debug).join("\n");
    assert!(said.contains(&format!("main process {}; nothing of it uses another revision", scene.pid())), "{said}");
}

#[test]
fn a_service_that_dies_right_after_its_restart_is_a_failed_promote() {
    let scene = Scene::new();
    let request = scene.fetched("sleep 0.2; exit 3");
    let reply = scene.run(&request, Stage::Promote);
    assert_eq!(reply.reason(), "service app: after the restart it is down: app: 1s, normally up");
    reply.says("service app: down: app: 1s, normally up");
    // The one before it is brought up again, and looked at as well.
    scene.run(&request, Stage::Rollback).ok();
    assert_eq!(scene.target.facts(&request).state.current.as_ref(), Some(&scene.one));
}

#[test]
fn a_service_that_dies_is_found_while_its_port_is_waited_for() {
    let scene = Scene::new();
    let mut request = scene.fetched("sleep 0.2");
    request.service.port = Some(1);
    let reply = scene.run(&request, Stage::Promote);
    assert!(reply.reason().contains("it is down"), "{}", reply.reason());
}

#[test]
fn a_service_that_was_never_replaced_is_told_for_what_it_is_on_the_way_back_too() {
    let scene = Scene::new();
    let request = scene.fetched("exec sleep 101");
    scene.supervisor("stuck", "");
    let stuck = format!("service app: after the restart it is still process {}: it was not restarted", scene.pid());
    assert_eq!(scene.run(&request, Stage::Promote).reason(), stuck);
    assert_eq!(scene.run(&request, Stage::Rollback).reason(), stuck);
}

#[test]
fn a_service_that_is_between_two_starts_is_waited_for_and_is_down_when_it_stays_so() {
    let scene = Scene::new();
    let before = scene.pid();
    let request = scene.fetched("exec sleep 101");
    // The process from before is seen once more, then none, then the new one.
    scene.supervisor("late", "2");
    scene.run(&request, Stage::Promote).ok();
    assert_ne!(scene.pid(), before);
    // Once it was up it may not be down again, though its supervisor means to start it.
    for file in ["late", "restarted"] {
        fs::remove_file(scene.target.dir.path().join(file)).unwrap();
    }
    scene.supervisor("wants", ", want up");
    let short = scene.fetched_in("r3", &scene.ends_when_it_was_up());
    assert_eq!(
        scene.run(&short, Stage::Promote).reason(),
        format!("service app: after the restart process {} ended", scene.pid())
    );
    let run = |run: &str| scene.run(&in_run(run, request.clone()), Stage::Promote);
    run("r4").ok();
    // It does not come up at all.
    scene.supervisor("late", "2");
    scene.supervisor("never", "");
    let run = |run: &str| scene.run(&in_run(run, request.clone()), Stage::RestartService);
    assert_eq!(run("r5").reason(), "service app: after the restart it is down: app: 0s, normally up, want up");
}

#[test]
fn a_process_of_a_service_that_does_not_stay_up_may_end_by_the_restart_and_the_one_after_it_has_to_stay() {
    let scene = Scene::new();
    let until_dead = |pid: &str| until(|| !fs::exists(format!("/proc/{pid}")).unwrap());
    let crash = || {
        let _ = Command::new("kill").args(["-KILL", &scene.pid()]).status();
        until_dead(&scene.pid());
        let _ = fs::remove_file(scene.target.dir.path().join("restarted"));
    };
    crash();
    scene.supervisor("loops", "");
    scene.supervisor("late", "3");
    let request = scene.fetched("exec sleep 101");
    scene.run(&request, Stage::Promote).ok();
    let run = |run: &str| scene.run(&in_run(run, request.clone()), Stage::RestartService);
    // A service that is as down as before its restart is told.
    crash();
    scene.supervisor("never", "");
    assert_eq!(run("r3").reason(), "service app: after the restart it is down: app: 0s, normally up, want up");
    // The process that takes the place of the first has to stay, whatever its supervisor means to do.
    fs::remove_file(scene.target.dir.path().join("never")).unwrap();
    crash();
    scene.supervisor("wants", ", want up");
    let request = scene.fetched_in("r4", &scene.ends_when_it_was_up());
    let reply = scene.run(&request, Stage::Promote);
    assert_eq!(reply.reason(), format!("service app: after the restart process {} ended", scene.pid()));
}

#[test]
fn a_process_that_has_ended_is_not_running_whatever_its_supervisor_says() {
    let scene = Scene::new();
    let request = scene.fetched("exec sleep 101");
    // Nobody asks how it ended, so its id still answers to signals.
    let mut ended = Command::new("true").spawn().unwrap();
    let pid = ended.id();
    until(|| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") Z "));
    scene.supervisor("claims", &pid.to_string());
    let claim = format!("it is run: app: (pid {pid}) 1s, but process {pid} has ended");
    assert_eq!(scene.run(&request, Stage::Promote).reason(), format!("service app: after the restart {claim}"));
    ended.wait().unwrap();
}

#[test]
fn what_still_uses_the_tree_of_another_revision_fails_the_promote_and_is_named() {
    let scene = Scene::new();
    let old = scene.target.rev(&scene.one);
    fs::copy("/bin/sleep", old.join("program")).unwrap();
    let (path, short) = (old.display(), scene.one.short());
    for (script, what) in [
        (format!("(cd {path} && exec sleep 100) & exec sleep 101"), "working directory"),
        (format!("(cd / && exec {path}/program 100) & exec sleep 101"), "program"),
    ] {
        let request = scene.fetched(&script);
        let reply = scene.run(&request, Stage::Promote);
        let (reason, live) = (reply.reason(), request.revision.short());
        assert!(reason.contains(&format!("still has its {what} in {short}, but {live} is live")), "{reason}");
        scene.run(&request, Stage::Rollback).ok();
    }
}

#[test]
fn a_service_that_reloads_in_place_keeps_its_process_and_what_it_holds_of_the_old_tree_is_a_warning_unless_strict() {
    let scene = Scene::new();
    let mut request = scene.fetched("exec sleep 101");
    request.service.names[0].action = "reload".to_owned();
    let before = scene.pid();
    let still = format!("process {before} still has its working directory in {}", scene.one.short());
    scene.run(&request, Stage::Promote).ok().says(&still);
    assert_eq!(scene.pid(), before);
    scene.run(&request, Stage::Rollback).ok();

    request.service.verify = Some(VerifyService::Strict);
    let request = in_run("r3", request);
    let reply = scene.run(&request, Stage::Promote);
    assert!(reply.reason().contains(&still), "{}", reply.reason());
    scene.run(&request, Stage::Rollback).ok();
}

#[test]
fn nothing_is_a_failure_with_warn_and_nobody_looks_with_off() {
    let scene = Scene::new();
    let mut request = scene.fetched("sleep 0.2");
    request.service.verify = Some(VerifyService::Warn);
    scene.run(&request, Stage::Promote).ok().says("after the restart it is down");
    request.service.verify = Some(VerifyService::Off);
    let reply = scene.run(&StageRequest { force: true, ..in_run("r3", request) }, Stage::Promote).ok();
    let said = reply.lines(Level::Debug).join("\n");
    assert!(!said.contains("it is down"), "{said}");
}

#[test]
fn a_command_of_ones_own_is_asked_only_if_that_is_wanted() {
    let scene = Scene::new();
    let mut request = scene.fetched("sleep 0.2");
    request.service.command = format!("{}/bin/sv {{action}} {{service}}", scene.target.dir.path().display());
    let reply = scene.run(&request, Stage::Promote).ok();
    let said = reply.lines(Level::Debug).join("\n");
    assert!(said.contains("cannot determine what it runs: service_command is not known to answer"), "{said}");
    request.service.verify = Some(VerifyService::Strict);
    let reply = scene.run(&StageRequest { force: true, ..in_run("r3", request) }, Stage::Promote);
    assert!(reply.reason().contains("it is down"), "{}", reply.reason());
}

#[test]
fn a_probe_tells_which_revision_a_service_runs_and_what_differs_from_the_live_one() {
    let scene = Scene::new();
    let request = scene.fetched("exec sleep 101");
    let running = || {
        let mut probe = probe(&request);
        probe.services = Some(Box::new(request.service.clone()));
        match scene.call(&hoist::wire::Request::Probe(probe)).events.as_slice() {
            [hoist::wire::TargetEvent::Facts(facts)] => facts.clone(),
            other => panic!("{other:?}"),
        }
    };
    let facts = running();
    let [service] = facts.running.as_slice() else { panic!("{facts:?}") };
    assert_eq!((service.up, &service.revisions), (true, &vec![scene.one.clone()]));
    assert_eq!(service.differs_from(facts.state.current.as_ref()), None);
    // What is live changes, and the service does not.
    scene.supervisor("stuck", "");
    assert!(scene.run(&request, Stage::Promote).ended().0.is_err());
    let facts = running();
    let differs = facts.running[0].differs_from(facts.state.current.as_ref()).unwrap();
    assert_eq!(differs, format!("service app (process {}) still uses {}", scene.pid(), scene.one.short()));
    Command::new("kill").args(["-KILL", &scene.pid()]).status().unwrap();
    until(|| fs::read_link(format!("/proc/{}/exe", scene.pid())).is_err());
    let facts = running();
    let differs = facts.running[0].differs_from(facts.state.current.as_ref()).unwrap();
    assert_eq!(differs, "service app is down: app: 1s, normally up");
}
