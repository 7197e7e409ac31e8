//! The fleet over SSH, against a real sshd, with a scripted stand-in for `deploy-local` on the targets.

#[path = "../farm/mod.rs"]
mod farm;
mod payloads;
mod reconnecting;
#[path = "../common/request.rs"]
mod request;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use farm::Farm;
use hoist::fleet::ssh::{Program, Ssh, SshOptions, Timeouts};
use hoist::fleet::{
    Call, Fleet, Flow, HostEvent, HostId, HostResult, Pack, PackSource, RequestSource, SshFleet, Step, Task,
};
use hoist::wire::{
    Fault, Fetch, Header, Holder, Level, Outcome, PROTOCOL, Request, Revision, Run, Source, Stage, StageRequest,
};

/// It notes every request, and does what the host's file `plan` says, which is shell too.
const STAND_IN: &str = r#"#!/bin/sh
read -r first
[ "$first" = "exit 97" ] || echo "$first" >> "$HOME/strange"
# Where the server closes the channel first, as it may on a busy machine, nothing was asked.
read -r request || exit 1
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
        Ok(Some(Arc::new(Pack::new(file, content.len() as u64))))
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
        timings: false,
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
            program: Program::Installed(program.to_str().unwrap().into()),
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
fn a_server_that_allows_one_command_a_session_costs_the_lock_holder_and_no_stage() {
    let mut scene = Scene::with(1, &[("FARM_SSHD_OPTS", "MaxSessions 1")], |_| {});
    for step in [Step::Probe, Step::Hold, PROMOTE, Step::Run(Stage::Finalize), Step::Release] {
        assert_eq!(scene.outcome(step), Ok(()), "{step:?}");
    }
    assert_eq!(scene.farm.connections_to(&scene.addresses[0]), 1);
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
    let mut scene = Scene::with(1, &[], |options| options.program = Program::Installed("/opt/no such/hoist".into()));
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
