//! Leases, fencing and `hoist unlock`, by real processes over the farm: what becomes of a target when its deployer is
//! gone, asleep or cut off, and what an older run may not do any more.

mod common;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::terminal::Terminal;
use common::{CACHE, Farm, Links, Project, Ran, address, signal, wait_for};

/// The lease of these tests, in seconds.
const LEASE: u64 = 4;

/// A check that says that it is there, and waits for a file on its host.
fn waits(stage: &str, group: &str) -> String {
    format!(
        "  waits-{stage}:\n    stage: {stage}\n    group: {group}\n    shell: true\n    timeout: 120\n    command: \
         \"touch /srv/waiting; while ! test -e /srv/go; do sleep 0.1; done\"\n"
    )
}

/// A project whose hosts have a first revision and leases; what follows is the second one.
fn project(farm: &Farm, canary: usize, default: usize) -> (Project, String) {
    let project = Project::new(farm, canary, default);
    project.configure(&format!("confirm_timeout: {LEASE}\nkeepalive: 2\nreconnect_timeout: 5\nconnect_timeout: 3"));
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    (project, one)
}

fn second(project: &Project, checks: &str) -> String {
    if !checks.is_empty() {
        project.write("hoist/checks.yaml", &format!("checks:\n{checks}"));
    }
    project.write("index.html", "two\n");
    project.commit("two")
}

fn srv(farm: &Farm, n: usize, name: &str) -> PathBuf {
    farm.srv(&address(n)).join(name)
}

fn current(farm: &Farm, n: usize) -> String {
    Links::of(farm, n).current.unwrap_or_default()
}

fn start(project: &Project) -> Child {
    project.hoist(&["deploy", "--yes"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What `.hoist/lease.json` of a host says.
fn lease(farm: &Farm, n: usize) -> Option<serde_json::Value> {
    let text = std::fs::read(srv(farm, n, CACHE).join(".hoist/lease.json")).ok()?;
    Some(serde_json::from_slice(&text).unwrap())
}

fn lease_stands(farm: &Farm, n: usize) -> String {
    lease(farm, n).map_or("none".into(), |lease| lease["stands"]["lease"].as_str().unwrap().to_owned())
}

/// Deploys to three hosts from another deploy host, once the locks of one that sleeps have died.
fn deploys_elsewhere(clone: &Project) {
    let lock_dir = tempfile::tempdir().unwrap();
    let elsewhere = format!("lock_dir:{}", lock_dir.path().display());
    wait_for("the locks to die", || {
        clone.run(&["unlock", "--all", "--yes", "-D", &elsewhere]).out.contains("127.0.0.[1-3]: not locked")
    });
    clone.deploy(&["-D", &elsewhere]).ends(0);
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Ends the sshd processes of one host's sessions: its connections are cut and what runs there is left alone.
fn cut(farm: &Farm, n: usize) {
    let output = Command::new("ss").args(["-Htnp", "state", "established", "src", &address(n)]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let port = format!("{}:{}", address(n), farm.port);
    let mut pids: Vec<&str> = text
        .lines()
        .filter(|line| line.split_whitespace().nth(2) == Some(&port))
        .flat_map(|line| line.split("pid=").skip(1))
        .filter_map(|rest| rest.split(',').next())
        .collect();
    pids.sort_unstable();
    pids.dedup();
    assert!(!pids.is_empty(), "no connection to {port} in {text}");
    for pid in pids {
        Command::new("kill").args(["-KILL", pid]).status().unwrap();
    }
}

#[test]
fn hosts_whose_deployer_was_killed_after_promote_go_back_by_themselves_and_rollback_ends_the_run() {
    let farm = Farm::up();
    let (project, one) = project(&farm, 2, 1);
    project.configure("service_name: web\nservice_command: /srv/service {action} {service}");
    for n in 0..3 {
        let text = "#!/bin/sh\ncat /srv/deployment/app/index.html >> /srv/restarts\n";
        std::fs::write(srv(&farm, n, "service"), text).unwrap();
        Command::new("chmod").arg("755").arg(srv(&farm, n, "service")).status().unwrap();
    }
    let two = second(&project, &waits("fetch", "default"));
    let deployer = start(&project);
    wait_for("the second group", || srv(&farm, 2, "waiting").exists());
    assert_eq!((current(&farm, 0), current(&farm, 1)), (two.clone(), two.clone()));
    // The watcher has nothing of the connection: no file of it, and a session of its own.
    let watcher = lease(&farm, 0).unwrap()["watcher"].as_u64().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{watcher}/stat")).unwrap();
    let session = stat.rsplit(')').next().unwrap().split_whitespace().nth(3).unwrap().to_owned();
    assert_eq!(session, watcher.to_string());
    for fd in 1..3 {
        let to = std::fs::read_link(format!("/proc/{watcher}/fd/{fd}")).unwrap();
        assert_eq!(to.to_str(), Some("/dev/null"), "descriptor {fd}");
    }
    kill(deployer);
    wait_for("the hosts to go back", || (0..2).all(|n| lease_stands(&farm, n) == "rolled_back"));
    for n in 0..2 {
        assert_eq!(Links::of(&farm, n), Links::finalized(&one), "host {n}");
        assert_eq!(
            std::fs::read_to_string(srv(&farm, n, "restarts")).unwrap(),
            "two\none\n",
            "the service of host {n}"
        );
    }
    std::fs::write(srv(&farm, 2, "go"), "").unwrap();
    project.deploy(&[]).ends(6).says("hoist resume").says("hoist rollback");
    project.run(&["rollback", "--yes"]).ends(1).says("verified");
    for n in 0..3 {
        assert_eq!(Links::of(&farm, n), Links::finalized(&one), "host {n}");
        assert_eq!(lease(&farm, n), None);
    }
    project.deploy(&[]).ends(0);
    assert_eq!(current(&farm, 0), two);
}

/// Two groups of one host, with the first revision; the second one is live in the first group, and fetched in the other.
fn at_the_second_group() -> (Farm, Project, [String; 2], Child) {
    let farm = Farm::up();
    let (project, one) = project(&farm, 1, 1);
    let two = second(&project, &waits("fetch", "default"));
    let deployer = start(&project);
    wait_for("the second group", || srv(&farm, 1, "waiting").exists());
    (farm, project, [one, two], deployer)
}

#[test]
fn a_resumed_run_brings_hosts_that_went_back_forward_again_and_finalizes_them() {
    let (farm, project, [one, two], deployer) = at_the_second_group();
    kill(deployer);
    wait_for("the host to go back", || lease_stands(&farm, 0) == "rolled_back");
    assert_eq!(current(&farm, 0), one);
    std::fs::write(srv(&farm, 1, "go"), "").unwrap();
    project.deploy(&[]).ends(6);
    project.run(&["resume", "--yes"]).ends(0);
    for n in 0..2 {
        assert_eq!(Links::of(&farm, n), Links::finalized(&two), "host {n}");
        assert_eq!(lease(&farm, n), None, "finalize ends the lease");
    }
}

/// When each host was drained and undrained, by its own notes, in seconds.
fn out_of_service(farm: &Farm, hosts: std::ops::Range<usize>) -> Vec<(f64, f64)> {
    let mut times = Vec::new();
    for n in hosts {
        let notes = std::fs::read_to_string(srv(farm, n, "notes")).unwrap();
        let all: Vec<(&str, f64)> = notes
            .lines()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(word, time)| (word, time.parse().unwrap()))
            .collect();
        for pair in all.chunks(2) {
            assert_eq!((pair[0].0, pair[1].0), ("out", "in"), "host {n}: {notes}");
            times.push((pair[0].1, pair[1].1));
        }
    }
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    times
}

#[test]
fn hosts_that_went_back_go_live_again_by_turns_and_within_the_failure_limit() {
    let farm = Farm::up();
    let (project, one) = project(&farm, 3, 1);
    let note =
        |word: &str| format!("sh -c 'echo {word} $(date +%s.%N) >>/srv/notes; sleep 0.2; ! rm /srv/bad 2>/dev/null'");
    project.configure(&format!("max_unavailable: 1\nlease_slot: 1\ndrain: {}\nundrain: {}", note("out"), note("in")));
    let two = second(&project, &waits("promote", "default"));
    let deployer = start(&project);
    wait_for("the second group", || srv(&farm, 3, "waiting").exists());
    kill(deployer);
    (0..3).for_each(|n| wait_for("the host to go back", || lease_stands(&farm, n) == "rolled_back"));
    std::fs::write(srv(&farm, 3, "go"), "").unwrap();
    project.run(&["resume", "--yes"]).ends(0).says("went back when the lease expired");
    (0..4).for_each(|n| assert_eq!(Links::of(&farm, n), Links::finalized(&two), "host {n}"));
    let times = out_of_service(&farm, 0..3);
    assert_eq!(times.len(), 9, "there, back, and there again: {times:?}");
    times.windows(2).for_each(|pair| assert!(pair[0].1 <= pair[1].0, "two at once: {times:?}"));

    // Where one cannot go live again, the limit is exceeded as it is by any promote.
    std::fs::remove_file(srv(&farm, 3, "go")).unwrap();
    std::fs::remove_file(srv(&farm, 3, "waiting")).unwrap();
    project.write("index.html", "three\n");
    project.commit("three");
    let deployer = start(&project);
    wait_for("the second group", || srv(&farm, 3, "waiting").exists());
    kill(deployer);
    (0..3).for_each(|n| wait_for("the host to go back", || lease_stands(&farm, n) == "rolled_back"));
    std::fs::write(srv(&farm, 1, "bad"), "").unwrap();
    std::fs::write(srv(&farm, 3, "go"), "").unwrap();
    let ran = project.run(&["resume", "--yes"]);
    assert!(matches!(ran.status, Some(1 | 3)), "{ran:?}");
    ran.says("failure limit of canary exceeded");
    (0..4).for_each(|n| assert_eq!(current(&farm, n), two, "host {n}"));
    assert_ne!(one, two);
}

#[test]
fn a_lease_holds_while_a_question_waits_and_through_a_stage_that_is_longer() {
    let farm = Farm::up_with(&[("FARM_SSHD_OPTS", "ClientAliveInterval 1\nClientAliveCountMax 2")]);
    let (project, _) = project(&farm, 1, 1);
    // Longer than the lease, in the stage itself.
    let long = format!("  long:\n    stage: promote\n    timeout: 60\n    command: sleep {}\n", LEASE * 2);
    let two = second(&project, &long);
    let mut deployer = project.at_a_terminal("deploy");
    let mut deployer = deployer.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    wait_for("canary to be through", || {
        let runs = std::fs::read_dir(srv(&farm, 0, CACHE).join(".hoist/runs")).unwrap().flatten();
        runs.map(|run| run.path().join("promote.0.json"))
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .any(|text| text.contains(&two) && !text.contains("\"outcome\":null"))
    });
    let asked = Instant::now();
    // Nobody answers for three leases.
    while asked.elapsed() < Duration::from_secs(LEASE * 3) {
        assert_eq!((current(&farm, 0), lease_stands(&farm, 0)), (two.clone(), "open".into()));
        std::thread::sleep(Duration::from_millis(100));
    }
    use std::io::Write;
    deployer.stdin.as_mut().unwrap().write_all(b"y\n").unwrap();
    Ran::of(deployer.wait_with_output().unwrap()).ends(0);
    common::all_on(&farm, 2, &two);
    assert_eq!(farm.connections_to(&address(0)), 2, "a parked session was dropped: one for each deployment is enough");
}

#[test]
fn a_lease_holds_while_nobody_reads_the_output_of_the_run() {
    let farm = Farm::up();
    let (project, _) = project(&farm, 1, 1);
    // More than a pipe takes, and more than is read ahead of it.
    let talks = "  talks:\n    stage: promote\n    group: canary\n    shell: true\n    timeout: 60\n    command: \
                 \"seq -f '%0100.0f' 10000\"\n";
    let two = second(&project, talks);
    let mut deployer = project.hoist(&["deploy", "--yes", "-v"]);
    let deployer = deployer.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("canary to be promoted", || lease_stands(&farm, 0) == "open");
    let stalled = Instant::now();
    while stalled.elapsed() < Duration::from_secs(LEASE * 3) {
        assert_eq!((current(&farm, 0), lease_stands(&farm, 0)), (two.clone(), "open".into()));
        std::thread::sleep(Duration::from_millis(100));
    }
    let ran = Ran::of(deployer.wait_with_output().unwrap()).ends(0);
    assert_eq!(ran.out.lines().filter(|line| line.contains(&"0".repeat(90))).count(), 10_000, "lines were lost");
    common::all_on(&farm, 2, &two);
}

#[test]
fn a_rollback_leads_no_further_where_all_hosts_went_back_by_themselves_and_speaks_of_nobody_else() {
    let farm = Farm::up();
    let (project, one) = project(&farm, 0, 2);
    let two = second(&project, "  fails:\n    stage: promote\n    command: 'false'\n");
    let mut terminal = Terminal::run(project.hoist(&["deploy"]));
    terminal.answers("Roll back", "n");
    terminal.ends(3);
    (0..2).for_each(|n| wait_for("the host to go back", || lease_stands(&farm, n) == "rolled_back"));
    let ran = project.run(&["rollback", "--yes"]).ends(2);
    let ran = ran.says(&format!("nothing to undo: {} is live on no host that answers", &two[..10]));
    assert!(ran.err.contains(&one[..10]) && !ran.err.contains("somebody else"), "{ran:?}");
    (0..2).for_each(|n| assert_eq!(current(&farm, n), one));
}

#[test]
fn a_host_that_is_cut_off_after_promote_goes_back_while_the_others_go_on() {
    let farm = Farm::up();
    let (project, one) = project(&farm, 2, 1);
    project.configure("canary_failure_limit: 1");
    let two = second(&project, &waits("fetch", "default"));
    let deployer = start(&project);
    wait_for("the second group", || srv(&farm, 2, "waiting").exists());
    farm.set_down(&address(0), true);
    cut(&farm, 0);
    wait_for("the cut host to go back", || lease_stands(&farm, 0) == "rolled_back");
    assert_eq!((current(&farm, 0), current(&farm, 1)), (one.clone(), two.clone()));
    std::fs::write(srv(&farm, 2, "go"), "").unwrap();
    let ran = Ran::of(deployer.wait_with_output().unwrap());
    let ran = ran.ends(3).says("rolls itself back within 4 s unless reached, or already has");
    assert!(ran.out.contains(&address(0)));
    // What it was last seen with is no last known state: nobody saw its lease run out.
    ran.says(&format!("{} deployed to 2 of 3 hosts: 1 host is in an unknown state", &two[..10]));
    let known = |flags: &[&str]| {
        let ran = project.run(&[&["status", "--format", "json"], flags].concat()).ends(1);
        serde_json::from_str::<serde_json::Value>(&ran.out).unwrap()["hosts"][0]["current"].clone()
    };
    for flags in [&[][..], &["--offline"]] {
        assert!(known(flags).is_null(), "{flags:?}");
    }
    assert_eq!(Links::of(&farm, 0), Links::finalized(&one));
    for n in 1..3 {
        assert_eq!(Links::of(&farm, n), Links::finalized(&two), "host {n}");
    }
    // It is told of when the host is back, until something else goes live there.
    farm.set_down(&address(0), false);
    project.deploy(&["--force"]).ends(0).says("the host rolled itself back");
    assert_eq!(Links::of(&farm, 0), Links::finalized(&two));
    assert_eq!(lease(&farm, 0), None);
}

#[test]
fn a_session_that_is_cut_while_it_is_parked_is_made_again_in_time_for_the_lease() {
    let (farm, _project, [_, two], deployer) = at_the_second_group();
    cut(&farm, 0);
    let cut_at = Instant::now();
    while cut_at.elapsed() < Duration::from_secs(LEASE * 2) {
        assert_eq!(lease_stands(&farm, 0), "open");
        std::thread::sleep(Duration::from_millis(100));
    }
    std::fs::write(srv(&farm, 1, "go"), "").unwrap();
    Ran::of(deployer.wait_with_output().unwrap()).ends(0);
    assert_eq!(Links::of(&farm, 0), Links::finalized(&two));
}

#[test]
fn a_deployer_that_slept_while_another_deployed_does_no_harm_when_it_wakes() {
    // Servers that let go of a silent client, so that the sleeper's locks die.
    let farm = Farm::up_with(&[("FARM_SSHD_OPTS", "ClientAliveInterval 1\nClientAliveCountMax 2")]);
    let (project, _) = project(&farm, 1, 2);
    let two = second(&project, &waits("fetch", "default"));
    let clone = Project::clone_of(&project);
    clone.git(&["rm", "-q", "hoist/checks.yaml"]);
    clone.write("index.html", "three\n");
    let three = clone.commit("three");
    let sleeper = start(&project);
    wait_for("the second group", || srv(&farm, 1, "waiting").exists() && srv(&farm, 2, "waiting").exists());
    signal(&sleeper, "STOP");
    for n in 1..3 {
        std::fs::write(srv(&farm, n, "go"), "").unwrap();
    }
    wait_for("the sleeper's host to go back", || lease_stands(&farm, 0) == "rolled_back");
    assert_ne!(current(&farm, 0), two);
    deploys_elsewhere(&clone);
    signal(&sleeper, "CONT");
    let ran = Ran::of(sleeper.wait_with_output().unwrap());
    assert!(ran.status.is_some_and(|status| status != 0), "{ran:?}");
    ran.says(&format!("now runs {} of another deployment", &three[..10]));
    for n in 0..3 {
        assert_eq!(Links::of(&farm, n), Links::finalized(&three), "host {n}");
    }
}

#[test]
fn hosts_that_a_run_did_not_come_to_are_told_as_they_are_where_somebody_else_has_deployed() {
    let farm = Farm::up_with(&[("FARM_SSHD_OPTS", "ClientAliveInterval 1\nClientAliveCountMax 2")]);
    let (project, _) = project(&farm, 1, 2);
    second(&project, &waits("promote", "canary"));
    let clone = Project::clone_of(&project);
    clone.git(&["rm", "-q", "hoist/checks.yaml"]);
    clone.write("index.html", "three\n");
    let three = clone.commit("three");
    let sleeper = start(&project);
    wait_for("the first group", || srv(&farm, 0, "waiting").exists());
    signal(&sleeper, "STOP");
    std::fs::write(srv(&farm, 0, "go"), "").unwrap();
    deploys_elsewhere(&clone);
    signal(&sleeper, "CONT");
    let ran = Ran::of(sleeper.wait_with_output().unwrap());
    assert!(ran.status.is_some_and(|status| status != 0), "{ran:?}");
    let rows = ran.out.lines().skip_while(|line| !line.contains("── result"));
    let rows: Vec<&str> = rows.filter(|line| line.contains("127.0.0.")).collect();
    assert!(!rows.is_empty() && rows.iter().all(|row| row.contains(&three[..10])), "{}", ran.out);
    let known = project.run(&["status", "--offline"]);
    assert!(!known.out.contains("in sync"), "{}\n{}", ran.out, known.out);
}

#[test]
fn an_unfinished_run_is_refused_where_a_newer_one_has_been_until_it_is_let_in() {
    let farm = Farm::up();
    let (project, one) = project(&farm, 0, 2);
    second(&project, &waits("promote", "default"));
    let deployer = start(&project);
    wait_for("promote", || (0..2).all(|n| srv(&farm, n, "waiting").exists()));
    kill(deployer);
    (0..2).for_each(|n| std::fs::write(srv(&farm, n, "go"), "").unwrap());
    let clone = Project::clone_of(&project);
    let lock_dir = tempfile::tempdir().unwrap();
    let elsewhere = format!("lock_dir:{}", lock_dir.path().display());
    clone.commit("three");
    // It has changed nothing yet, and may be about to.
    wait_for("the lock to die", || clone.deploy(&["-D", &elsewhere, "-s", "fetch"]).status == Some(0));
    // They have no deployer any more, and go back by themselves.
    (0..2).for_each(|n| wait_for("the host to go back", || lease_stands(&farm, n) == "rolled_back"));
    let before = [0, 1].map(|n| Links::of(&farm, n));
    project.run(&["rollback", "--yes"]).ends(3).says("is newer and has used this host").says("hoist-unlock(1)");
    assert_eq!([0, 1].map(|n| Links::of(&farm, n)), before);
    // The journal of the first is closed by now; from its repository a new run goes on as ever.
    project.deploy(&["-r", &one]).ends(0);
    assert_eq!(Links::of(&farm, 0), Links::finalized(&one));
}

#[test]
fn a_clock_that_ran_ahead_is_told_of_and_unlock_lets_the_others_in_again() {
    let farm = Farm::up();
    let (project, one) = project(&farm, 0, 2);
    let path = srv(&farm, 0, CACHE).join(".hoist/newest-run.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut newest: serde_json::Value = serde_json::from_str(&text).unwrap();
    newest["run"] = "20990101T000000.000Z-1-abcd".into();
    std::fs::write(&path, newest.to_string()).unwrap();
    let two = second(&project, "");
    project.deploy(&[]).ends(1).says("20990101T000000.000Z-1-abcd").says("nothing was touched");
    let ran = project.run(&["unlock", "127.0.0.1", "--yes"]).ends(0);
    let ran = ran.says("127.0.0.1: not locked").says("ahead of the clock");
    assert!(!ran.out.contains("127.0.0.2"), "{}", ran.out);
    project.deploy(&[]).ends(0);
    assert_eq!(Links::of(&farm, 0), Links::finalized(&two));
    assert_ne!(one, two);
}

#[test]
fn unlock_shows_whose_locks_they_are_and_ends_what_holds_them() {
    let farm = Farm::up();
    let (project, _) = project(&farm, 0, 2);
    second(&project, &waits("promote", "default"));
    let deployer = project
        .hoist(&["deploy", "--yes", "a", "stage", "that", "hangs"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("promote", || (0..2).all(|n| srv(&farm, n, "waiting").exists()));
    // A stopped deployer with its connections open: its locks hold, and its stages hang.
    signal(&deployer, "STOP");
    project.run(&["unlock", "--all"]).ends(2).says("--yes");
    project.run(&["unlock"]).ends(2).says("--all");
    project.run(&["unlock", "nosuch", "--yes"]).ends(2).says("nosuch");
    let ran = project.run(&["unlock", "--all", "--yes"]).ends(1);
    let ran = ran
        .says("127.0.0.[1-2]: locked by op on ")
        .says("127.0.0.[1-2]: not cleared: process ")
        .says("is still running");
    assert!(!ran.out.contains("was ended"), "{}", ran.out);
    let ran = project.run(&["unlock", "--all", "--yes", "--force"]).ends(0);
    let ran = ran.says("127.0.0.[1-2]: locked by op on ").says("a stage that hangs");
    // Each host has a process of its own.
    let ran = ran.says("127.0.0.[1-2]: the process of run ");
    ran.says("was ended").says("here: app is being deployed by op on ");
    project.run(&["unlock", "--all", "--yes"]).ends(0).says("127.0.0.[1-2]: not locked");
    kill(deployer);
    (0..2).for_each(|n| std::fs::write(srv(&farm, n, "go"), "").unwrap());
    project.run(&["rollback", "--yes"]).ends(1).says("verified");
}

#[test]
fn without_a_finalize_stage_there_is_nothing_to_confirm_and_no_lease() {
    let farm = Farm::up();
    let (project, _) = project(&farm, 0, 1);
    let two = second(&project, "");
    project.deploy(&["-s", "fetch,promote"]).ends(0);
    assert_eq!((current(&farm, 0), lease(&farm, 0)), (two, None));
}
