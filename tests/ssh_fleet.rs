//! The fleet over SSH, against a real sshd, with a scripted stand-in for `deploy-local` on the targets.

mod farm;
#[path = "common/request.rs"]
mod request;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use farm::Farm;
use hoist::fleet::ssh::{Ssh, SshOptions, Timeouts};
use hoist::fleet::{
    Call, Fleet, Flow, HostEvent, HostId, HostResult, Pack, PackSource, RequestSource, SshFleet, Step, Task,
};
use hoist::wire::{
    Fault, Fetch, Header, Holder, Outcome, PROTOCOL, Request, Revision, Run, Source, Stage, StageRequest,
};

/// It notes every request, and does what the host's file `plan` says, which is shell too.
const STAND_IN: &str = r#"#!/bin/sh
read -r first
[ "$first" = "exit 97" ] || echo "$first" >> "$HOME/strange"
read -r request
echo "$request" >> "$HOME/requests"
state='"state":{"current":null,"done":null,"in_progress":null,"stray_links":[]}'
ended() { echo "{\"event\":\"ended\",\"outcome\":{\"ended\":\"ok\"},$state}"; }
failed() { echo "{\"event\":\"ended\",\"outcome\":{\"ended\":\"$1\",\"reason\":\"$2\"},$state}"; }
record() { echo "{\"event\":\"recorded\",\"record\":\"$1\"$2}" > "$HOME/record"; }
hang_up() { kill -KILL $PPID; }
locked=$(printf '"by":{"run":"other","user":"u","host":"h","pid":1,"since":"s","message":"m"}')
[ -e "$HOME/plan" ] && . "$HOME/plan"
case $request in
*'"action":"probe"'*)
    echo "{\"event\":\"facts\",\"version\":\"1\",$state,\"revisions\":[${revisions}],\"cached\":[${cached}],\"locked\":null,\"free_bytes\":1,\"free_inodes\":null}"
    while read -r line; do
        [ "$line" = '"hold"' ] && if [ -e "$HOME/locked" ]; then
            echo "{\"event\":\"ended\",\"outcome\":{\"ended\":\"locked\",$locked},$state}"
        else
            echo hold >> "$HOME/holds"
            echo '{"event":"held"}'
        fi
    done
    echo gone >> "$HOME/keepers"
    ;;
*'"action":"ask"'*)
    if [ -e "$HOME/record" ]; then cat "$HOME/record"; else echo '{"event":"recorded","record":"nothing"}'; fi
    ;;
*'"action":"run"'*)
    cat > "$HOME/pack"
    if command -v stage >/dev/null; then stage; else ended; fi
    ;;
esac
"#;

struct Packs(Mutex<Vec<Vec<Revision>>>);

struct SharedPacks(Arc<Packs>);

impl PackSource for SharedPacks {
    fn pack(&self, cached: &[Revision]) -> anyhow::Result<Option<Arc<Pack>>> {
        self.0.0.lock().unwrap().push(cached.to_vec());
        let mut file = tempfile::tempfile()?;
        let content = format!("pack for a host with {} commits", cached.len());
        file.write_all(content.as_bytes())?;
        Ok(Some(Arc::new(Pack { file, bytes: content.len() as u64 })))
    }
}

fn revision(digit: char) -> Revision {
    digit.to_string().repeat(40).parse().unwrap()
}

/// A deployment of revision a.
struct Deploys {
    request: StageRequest,
    source: Option<Source>,
}

impl RequestSource for Deploys {
    fn header(&self) -> &Header {
        &self.request.header
    }

    fn deployment(&self) -> Option<&StageRequest> {
        Some(&self.request)
    }

    fn fetch(&self) -> Fetch {
        Fetch { source: self.source.clone(), ..Fetch::default() }
    }
}

fn deploys(source: Option<Source>) -> Deploys {
    let holder = Holder {
        run: "run1".parse().unwrap(),
        user: "u".into(),
        host: "h".into(),
        pid: 1,
        since: "2026-11-23T00:00:00Z".into(),
        message: String::new(),
    };
    let header = Header {
        protocol: PROTOCOL,
        holder,
        repo: "repo".into(),
        deploy_dir: "/srv/deployment".into(),
        control_dir: "hoist".into(),
        umask: Some(2),
        timeout: 1,
    };
    let request = request::plain(header, "default", revision('a'));
    Deploys { request, source }
}

struct Scene {
    farm: Farm,
    addresses: Vec<String>,
    fleet: SshFleet,
    packs: Arc<Packs>,
}

impl Scene {
    fn new(hosts: usize) -> Scene {
        Scene::with(hosts, &[], |_| {})
    }

    fn with(hosts: usize, environment: &[(&str, &str)], change: impl FnOnce(&mut SshOptions)) -> Scene {
        let farm = Farm::up_with(environment);
        let program = farm.path("stand in");
        fs::write(&program, STAND_IN).unwrap();
        fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let mut options = SshOptions {
            user: Some("root".into()),
            port: farm.port,
            identity_files: Some(vec![farm.key()]),
            known_hosts: Some(vec![farm.known_hosts()]),
            remote_binary: Some(program.to_str().unwrap().into()),
            local_binary: program,
            timeouts: Timeouts { reconnect: Duration::from_secs(5), ..Timeouts::default() },
            ..SshOptions::default()
        };
        change(&mut options);
        let addresses: Vec<String> = (0..hosts).map(|n| format!("127.0.{}.{}", 1 + n / 200, 2 + n % 200)).collect();
        let targets = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let packs = Arc::new(Packs(Mutex::default()));
        let requests = Box::new(deploys(None));
        let fleet =
            SshFleet::new(Ssh::prepare(options).unwrap(), targets, requests, Box::new(SharedPacks(packs.clone())));
        Scene { farm, addresses, fleet, packs }
    }

    fn plan(&self, host: usize, text: &str) {
        fs::write(self.home(host).join("plan"), text).unwrap();
    }

    fn home(&self, host: usize) -> PathBuf {
        self.farm.home(&self.addresses[host])
    }

    fn read(&self, host: usize, name: &str) -> String {
        fs::read_to_string(self.home(host).join(name)).unwrap_or_default()
    }

    /// The actions that a host was asked for.
    fn actions(&self, host: usize) -> Vec<String> {
        let action = |line: &str| match serde_json::from_str::<Request>(line).unwrap() {
            Request::Probe(_) => "probe".to_owned(),
            Request::Run(run) => format!("{}/{}", run.stage, run.attempt),
            Request::Ask(ask) => format!("ask {}/{}", ask.stage, ask.attempt),
            other => format!("{other:?}"),
        };
        self.read(host, "requests").lines().map(action).collect()
    }

    fn run_with(&mut self, call: Call) -> (BTreeMap<usize, HostResult>, Vec<HostEvent>) {
        let task = |host| Task { attempt: 3, restore: Some(revision('b')), ..Task::first(HostId::new(host)) };
        let tasks: Vec<Task> = (0..self.addresses.len()).map(task).collect();
        let (mut all, mut results) = (Vec::new(), BTreeMap::new());
        self.fleet.run(&call, &tasks, &mut |events| {
            for event in &events {
                if let HostEvent::Ended(host, result) = event {
                    assert!(results.insert(host.index(), (**result).clone()).is_none(), "host {host} ended twice");
                }
            }
            all.extend(events);
            Flow::Continue
        });
        assert_eq!(results.len(), tasks.len());
        (results, all)
    }

    fn run(&mut self, step: Step) -> BTreeMap<usize, HostResult> {
        self.run_with(call(step)).0
    }

    fn outcome(&mut self, step: Step) -> Outcome {
        self.run(step).remove(&0).unwrap().outcome
    }
}

fn call(step: Step) -> Call {
    Call {
        step,
        group: "default".into(),
        batch: 80,
        room: None,
        timeout: Duration::from_secs(30),
        force: false,
        recover: false,
    }
}

const PROMOTE: Step = Step::Run(Stage::Promote);

#[test]
fn a_hundred_hosts_are_each_connected_to_once_for_all_steps() {
    let mut scene = Scene::new(100);
    for step in [Step::Probe, Step::Hold, Step::Run(Stage::Fetch), PROMOTE, Step::Run(Stage::Finalize), Step::Release] {
        for (host, result) in scene.run(step) {
            assert_eq!(result.outcome, Ok(()), "{step:?} on host {host}");
            assert_eq!(result.facts.is_some(), step == Step::Probe);
            assert_eq!(result.state.is_some(), matches!(step, Step::Probe | Step::Run(_)));
        }
    }
    for host in 0..100 {
        assert_eq!(scene.farm.connections_to(&scene.addresses[host]), 1);
        assert_eq!(scene.actions(host), ["probe", "fetch/3", "promote/3", "finalize/3"]);
        assert_eq!((scene.read(host, "holds"), scene.read(host, "keepers")), ("hold\n".into(), "gone\n".into()));
    }
}

#[test]
fn each_host_has_its_own_kind_of_end_and_none_is_mistaken_for_another() {
    let mut scene = Scene::new(9);
    let plans = [
        "stage() { ended; }",
        "stage() { failed failed broken; exit 255; }",
        "stage() { kill -KILL $$; }",
        "stage() { sleep 600; }",
        "stage() { echo oops >&2; exit 255; }",
        "stage() { ended; exit 4; }",
        r#"stage() { echo "{\"event\":\"ended\",\"outcome\":{\"ended\":\"locked\",$locked},$state}"; exit 1; }"#,
        r#"stage() { echo "{\"event\":\"ended\",\"outcome\":{\"ended\":\"timed_out\",\"seconds\":9},$state}"; exit 1; }"#,
    ];
    for (host, plan) in plans.iter().enumerate() {
        scene.plan(host, plan);
    }
    scene.farm.set_down("127.0.1.10", true);
    let probes = scene.run(Step::Probe);
    let Err(Fault::Failed { reason, status: Some(255) }) = &probes[&8].outcome else { panic!("{:?}", probes[&8]) };
    assert!(reason.contains("no answer to the probe: this host is down"), "{reason}");
    let (results, _) = scene.run_with(Call { timeout: Duration::from_secs(1), ..call(PROMOTE) });
    let failed = |reason: &str, status| Err(Fault::Failed { reason: reason.into(), status: Some(status) });
    assert_eq!(results[&0].outcome, Ok(()));
    assert_eq!(results[&1].outcome, failed("broken", 255));
    assert_eq!(results[&2].outcome, Err(Fault::Killed { signal: "KILL".into() }));
    assert_eq!(results[&3].outcome, Err(Fault::TimedOut { seconds: 1 }));
    assert_eq!(results[&4].outcome, failed("ended without a result: oops", 255));
    assert_eq!(results[&4].tail[0].message, "oops");
    assert_eq!(results[&5].outcome, failed("reported success, and then failed", 4));
    assert!(matches!(&results[&6].outcome, Err(Fault::Locked { by }) if by.message == "m"));
    assert_eq!(results[&7].outcome, Err(Fault::TimedOut { seconds: 9 }));
    assert!(matches!(results[&8].outcome, Err(Fault::Failed { .. })));
    // A command that took too long has not cost the session.
    scene.plan(3, "stage() { ended; }");
    assert_eq!(scene.run(PROMOTE)[&3].outcome, Ok(()));
    assert_eq!(scene.farm.connections_to("127.0.1.5"), 1);
}

#[test]
fn a_host_that_nobody_listens_on_is_unreachable_in_every_step_and_released_all_the_same() {
    let mut scene = Scene::with(2, &[], |options| options.port = 1);
    for step in [Step::Probe, Step::Hold, PROMOTE] {
        for result in scene.run(step).values() {
            assert!(matches!(result.outcome, Err(Fault::Unreachable { .. })), "{:?}", result.outcome);
        }
    }
    assert_eq!(scene.outcome(Step::Release), Ok(()));
}

#[test]
fn what_a_host_says_is_told_as_it_comes_and_its_end_is_kept_when_it_fails() {
    let mut scene = Scene::new(1);
    scene.plan(
        0,
        r#"stage() {
            echo '{"event":"line","level":"info","message":"one"}'
            echo '{"event":"diff","file":"/etc/x","diff":"-a"}'
            echo 'no json'
            n=0; while [ $n -lt 30 ]; do echo "noise $n" >&2; n=$((n + 1)); done
            sleep 0.3
            failed failed why; exit 1
        }"#,
    );
    let (results, events) = scene.run_with(call(PROMOTE));
    let tail: Vec<&str> = results[&0].tail.iter().map(|line| line.message.as_str()).collect();
    assert_eq!((tail.len(), tail[0], tail[19]), (20, "noise 10", "noise 29"));
    let said = |event: &HostEvent| matches!(event, HostEvent::Line(host, line) if host.index() == 0 && ["one", "no json"].contains(&&*line.message));
    assert_eq!(events.iter().filter(|event| said(event)).count(), 2);
    assert!(events.iter().any(|e| matches!(e, HostEvent::Diff { file, .. } if file == "/etc/x")));
    assert_eq!(events.first(), Some(&HostEvent::Started(HostId::new(0))));
}

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
fn a_stage_that_the_target_never_saw_is_run_once_more_and_not_for_ever() {
    let mut scene = Scene::new(2);
    scene.plan(0, r#"stage() { if [ -e "$HOME/once" ]; then ended; else touch "$HOME/once"; hang_up; sleep 60; fi; }"#);
    scene.plan(1, "stage() { hang_up; sleep 60; }");
    let results = scene.run(PROMOTE);
    assert_eq!(results[&0].outcome, Ok(()));
    assert_eq!(scene.actions(0), ["probe", "promote/3", "probe", "ask promote/3", "promote/3"]);
    assert!(matches!(results[&1].outcome, Err(Fault::Lost { .. })), "{:?}", results[&1].outcome);
    assert_eq!(scene.actions(1).iter().filter(|action| *action == "promote/3").count(), 2);
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
    fs::copy(&other, scene.farm.path("host_rsa")).unwrap();
    let pid: i32 = fs::read_to_string(scene.farm.path("sshd.pid")).unwrap().trim().parse().unwrap();
    assert!(std::process::Command::new("kill").args(["-HUP", &pid.to_string()]).status().unwrap().success());
    let Err(Fault::Lost { reason }) = scene.outcome(PROMOTE) else { panic!("not lost") };
    assert!(reason.contains("CHANGED"), "{reason}");
    assert!(began.elapsed() < Duration::from_secs(50), "it was tried again and again");
}

#[test]
fn a_stage_whose_channel_was_closed_without_a_status_is_asked_after() {
    let mut scene = Scene::with(2, &[("FARM_SSHD_OPTS", "ChannelTimeout session:*=1s")], |_| {});
    let ok = r#"record ended ",\"outcome\":{\"ended\":\"ok\"},$state""#;
    let bad = r#"record ended ",\"outcome\":{\"ended\":\"failed\",\"reason\":\"no space\"},$state""#;
    // Nothing is said for longer than the server waits, and the work goes on.
    scene.plan(0, &format!("stage() {{ trap '' HUP PIPE; record running; sleep 4; {ok}; }}"));
    scene.plan(1, &format!("stage() {{ trap '' HUP PIPE; record running; sleep 4; {bad}; }}"));
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
fn a_host_with_thousands_of_revisions_and_large_files_says_so_in_pieces() {
    let mut scene = Scene::new(1);
    let hex = |n: usize, length: usize| format!("{n:0length$x}");
    let revisions: Vec<_> = (0..5000).map(|n| format!("\"{}\"", hex(n, 40))).collect();
    let lacks: Vec<_> = (0..30_000).map(|n| format!("[\"{}\",{n}]", hex(n, 64))).collect();
    let facts = format!(
        r#"{{"event":"facts","version":"1","state":{{"current":null,"done":null,"in_progress":null}},"revisions":[{}],"cached":[],"lacks":[{}],"locked":null,"free_bytes":1,"free_inodes":null}}"#,
        revisions.join(","),
        lacks.join(",")
    );
    assert!(facts.len() > 2 << 20);
    let pieces: Vec<&[u8]> = facts.as_bytes().chunks(hoist::wire::PIECE).collect();
    let lines = pieces.iter().enumerate().map(|(n, piece)| {
        let json = std::str::from_utf8(piece).unwrap();
        serde_json::json!({"event": "piece", "json": json, "last": n + 1 == pieces.len()}).to_string() + "\n"
    });
    fs::write(scene.home(0).join("facts"), lines.collect::<String>()).unwrap();
    scene.plan(0, "case $request in *'\"action\":\"probe\"'*) cat \"$HOME/facts\"; cat > /dev/null; exit;; esac");
    let result = scene.run(Step::Probe).remove(&0).unwrap();
    assert_eq!(result.outcome, Ok(()));
    let facts = result.facts.unwrap();
    assert_eq!(facts.revisions.len(), 5000);
    assert!(facts.lacks.is_empty(), "what a host is to be sent is of no use to others, and long");
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
fn a_locked_target_says_by_whom_and_is_asked_again_the_next_time() {
    let mut scene = Scene::new(1);
    fs::write(scene.home(0).join("locked"), "").unwrap();
    assert_eq!(scene.outcome(Step::Probe), Ok(()));
    assert!(matches!(scene.outcome(Step::Hold), Err(Fault::Locked { by }) if by.run.as_str() == "other"));
    fs::remove_file(scene.home(0).join("locked")).unwrap();
    assert_eq!(scene.outcome(Step::Hold), Ok(()));
    assert_eq!(scene.farm.connections_to(&scene.addresses[0]), 1);
}

#[test]
fn a_fetch_sends_what_the_host_lacks_and_only_that() {
    let mut scene = Scene::new(3);
    let (a, b) = (revision('a'), revision('b'));
    scene.plan(0, &format!(r#"cached='"{b}"'"#));
    scene.plan(1, &format!(r#"revisions='"{a}"'"#));
    // Its cache is broken until it is made anew.
    scene.plan(
        2,
        r#"stage() { case $request in *'"rebuild":true'*) ended;; *) failed cache_broken "object gone"; exit 1;; esac; }
           cached='"cccccccccccccccccccccccccccccccccccccccc"'"#,
    );
    assert_eq!(scene.outcome(Step::Probe), Ok(()));
    let results = scene.run(Step::Run(Stage::Fetch));
    assert!(results.values().all(|result| result.outcome.is_ok()), "{results:?}");
    assert_eq!(scene.read(0, "pack"), "pack for a host with 1 commits");
    assert_eq!(scene.read(1, "pack"), "");
    assert_eq!(scene.read(2, "pack"), "pack for a host with 0 commits");
    let mut asked = scene.packs.0.lock().unwrap().clone();
    asked.sort();
    assert_eq!(asked, [vec![], vec![b], vec![revision('c')]]);
    let (results, _) = scene.run_with(Call { force: true, ..call(Step::Run(Stage::Fetch)) });
    assert!(results[&1].outcome.is_ok());
    // It is known from the fetch before that this host has the revision by now.
    assert_eq!(scene.read(1, "pack"), "pack for a host with 1 commits");
    let last: Run = serde_json::from_str(scene.read(1, "requests").lines().last().unwrap()).unwrap();
    let last = last.request;
    assert_eq!((last.force, last.header.timeout, last.restore), (true, 30, Some(revision('b'))));
    assert_eq!(last.fetch.unwrap().pack_bytes, Some(30));
}

#[test]
fn packs_of_hosts_that_wait_for_their_turn_are_made_meanwhile() {
    let mut scene = Scene::new(2);
    let b = revision('b');
    // The first host is at work until the second one's pack is there.
    scene.plan(0, r#"stage() { while [ ! -e "$HOME/go" ]; do sleep 0.1; done; ended; }"#);
    scene.plan(1, &format!(r#"cached='"{b}"'"#));
    assert_eq!(scene.outcome(Step::Probe), Ok(()));
    let (packs, go) = (scene.packs.clone(), scene.home(0).join("go"));
    let watcher = std::thread::spawn(move || {
        for _ in 0..2000 {
            if packs.0.lock().unwrap().contains(&vec![b.clone()]) {
                return fs::write(&go, "").unwrap();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let (results, _) = scene.run_with(Call { batch: 1, ..call(Step::Run(Stage::Fetch)) });
    watcher.join().unwrap();
    assert!(results.values().all(|result| result.outcome.is_ok()), "{results:?}");
}

#[test]
fn a_cache_that_stays_broken_is_a_failure_and_not_a_loop() {
    let mut scene = Scene::new(1);
    scene.plan(0, "stage() { failed cache_broken gone; exit 1; }");
    let fault = scene.outcome(Step::Run(Stage::Fetch)).unwrap_err();
    assert_eq!(fault, Fault::CacheBroken { reason: "gone".into() });
    assert_eq!(fault.to_string(), "the git cache of the target is broken: gone");
    assert_eq!(scene.actions(0), ["probe", "fetch/3", "fetch/3"]);
}

#[test]
fn a_server_that_allows_one_command_a_session_costs_the_lock_holder_and_no_stage() {
    let mut scene = Scene::with(1, &[("FARM_SSHD_OPTS", "MaxSessions 1")], |_| {});
    for step in [Step::Probe, Step::Hold, PROMOTE, Step::Run(Stage::Finalize), Step::Release] {
        assert_eq!(scene.outcome(step), Ok(()), "{step:?}");
    }
    assert_eq!(scene.farm.connections_to(&scene.addresses[0]), 1);
}

#[test]
fn hoist_is_copied_to_a_target_once_and_run_from_there() {
    let mut scene = Scene::with(3, &[("FARM_SHARED_HOME", "1")], |options| options.remote_binary = None);
    // All three have one home: their uploads race.
    for step in [Step::Probe, Step::Hold, PROMOTE, Step::Release] {
        for result in scene.run(step).values() {
            assert_eq!(result.outcome, Ok(()), "{step:?}");
        }
    }
    let cache = scene.farm.path("home/.cache/hoist");
    let folders: Vec<_> = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(folders.len(), 1);
    let mut left: Vec<_> = fs::read_dir(&folders[0]).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["hoist", "ok", "used"], "an upload left something behind");
    let program = folders[0].join("hoist");
    assert_eq!(fs::read_to_string(&program).unwrap(), STAND_IN);
    let inode = fs::metadata(&program).unwrap().ino();
    assert_eq!(scene.outcome(Step::Probe), Ok(()));
    assert_eq!(fs::metadata(&program).unwrap().ino(), inode, "it was copied again");
    // One that was tampered with is not run but replaced.
    assert_eq!(scene.outcome(Step::Release), Ok(()));
    fs::write(&program, "#!/bin/sh\necho evil > $HOME/evil\n").unwrap();
    assert_eq!(scene.outcome(Step::Probe), Ok(()));
    assert!(!scene.farm.path("home/evil").exists());
    assert_eq!(fs::read_to_string(&program).unwrap(), STAND_IN);
}

#[test]
fn a_host_that_never_answers_is_named_with_what_it_said_and_a_request_that_it_sends_back_is_not_shown() {
    let mut scene = Scene::new(3);
    scene.plan(0, "sleep 600");
    scene.plan(1, "printf 'Password: '; sleep 600");
    scene.plan(2, "echo \"$request\"; sleep 600");
    let (results, events) = scene.run_with(Call { timeout: Duration::from_secs(1), ..call(Step::Probe) });
    for (host, part) in [(0, "no output, within 11 s"), (1, "within 11 s: Password:"), (2, "sent the request back")] {
        let Err(Fault::Failed { reason, .. }) = &results[&host].outcome else { panic!("{:?}", results[&host]) };
        assert!(reason.contains(part), "{reason}");
    }
    assert!(!format!("{events:?}").contains("nagios"), "a request was shown");
}

#[test]
fn an_installed_hoist_that_is_not_there_is_told_with_its_path() {
    let mut scene = Scene::with(1, &[], |options| options.remote_binary = Some("/opt/no such/hoist".into()));
    let Err(Fault::Failed { reason, status: Some(127) }) = scene.outcome(Step::Probe) else { panic!("it was found") };
    assert!(reason.starts_with("/opt/no such/hoist cannot be run on the target"), "{reason}");
}

#[test]
fn a_probe_may_be_repeated_and_keeps_the_lock() {
    let mut scene = Scene::new(1);
    for step in [Step::Probe, Step::Hold, Step::Probe, PROMOTE, Step::Probe] {
        assert_eq!(scene.outcome(step), Ok(()));
    }
    // Those of the two later probes have left, that of the first one stays.
    let until = Instant::now() + Duration::from_secs(20);
    while scene.read(0, "keepers").lines().count() < 2 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(scene.read(0, "keepers"), "gone\ngone\n");
    assert_eq!(scene.outcome(Step::Release), Ok(()));
    assert_eq!(scene.read(0, "keepers"), "gone\ngone\ngone\n");
}
