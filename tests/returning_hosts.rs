//! Servers that close channels, and hosts that let nobody in for a while, in the middle of a deployment.

mod common;
#[path = "common/guard.rs"]
mod guard;

use std::process::{Child, Stdio};

use common::{Farm, Links, Project, Ran, WAITS, address, signal, wait_for};
use guard::{guard, own, serving, start_again};

/// A repository of which the next revision stays in promote, on every host, as long as `command` runs there.
fn project(farm: &Farm, hosts: usize, command: &str) -> (Project, String) {
    let project = Project::new(farm, 0, hosts);
    project.commit("one");
    project.deploy(&[]).ends(0);
    project.write(
        "hoist/checks.yaml",
        &format!(
            "checks:\n  takes:\n    stage: promote\n    shell: true\n    timeout: 120\n    command: '{command}'\n"
        ),
    );
    let two = project.commit("two");
    (project, two)
}

fn with_timeout(seconds: u32) -> Farm {
    Farm::up_with(&[("FARM_SSHD_OPTS", &format!("ChannelTimeout session:*={seconds}s"))])
}

#[test]
fn a_stage_that_is_silent_for_longer_than_the_server_lets_a_channel_be_idle_keeps_its_channel_and_its_lock() {
    let farm = with_timeout(8);
    let (project, two) = project(&farm, 2, "sleep 20");
    let before = farm.connections_to(&address(0));
    project.deploy(&[]).ends(0);
    assert_eq!(Links::of(&farm, 0), Links::finalized(&two));
    assert_eq!(farm.connections_to(&address(0)), before + 1, "the channel was closed: {}", farm.log());
}

#[test]
fn where_channels_are_closed_sooner_than_a_stage_gives_a_sign_of_life_it_is_asked_after() {
    let farm = with_timeout(2);
    let (project, two) = project(&farm, 2, "sleep 6");
    project.deploy(&[]).ends(0);
    common::all_on(&farm, 2, &two);
    project.deploy(&["--force"]).ends(0).says("2 of 2 hosts");
}

/// Shuts the door, or opens it again.
fn let_in(farm: &Farm, yes: bool) {
    let (keys, away) = (farm.path("authorized_keys"), farm.path("authorized_keys.away"));
    if yes { std::fs::rename(away, keys).unwrap() } else { std::fs::rename(keys, away).unwrap() }
}

/// Ends the sessions on a host, as a shutdown does; what runs there goes on.
fn end_sessions(farm: &Farm) {
    let pid = std::fs::read_to_string(farm.path("sshd.pid")).unwrap();
    let ended = std::process::Command::new("pkill").args(["-KILL", "-P", pid.trim()]).status().unwrap();
    assert!(ended.success());
}

fn refused(farm: &Farm) -> usize {
    farm.log().lines().filter(|line| line.contains("Failed publickey") || line.contains("[preauth]")).count()
}

/// A project, and the deployment of its second revision that is at work in promote on both hosts.
struct AtWork {
    /// For as long as the deployment runs.
    _project: Project,
    farm: Farm,
    two: String,
    deployer: Child,
}

impl AtWork {
    fn start() -> AtWork {
        let farm = Farm::up();
        let (project, two) = project(&farm, 2, WAITS);
        let mut deploy = project.hoist(&["deploy", "--yes"]);
        let deployer = deploy.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        (0..2).for_each(|n| common::wait_for_check(&farm, n));
        AtWork { farm, _project: project, two, deployer }
    }

    /// The deployment comes to a good end on both hosts.
    #[track_caller]
    fn ends_well(self) {
        Ran::of(self.deployer.wait_with_output().unwrap()).ends(0);
        common::all_on(&self.farm, 2, &self.two);
    }
}

#[test]
fn hosts_that_refuse_logins_while_they_start_up_again_break_no_deployment() {
    let run = AtWork::start();
    let farm = &run.farm;
    let before = refused(farm);
    let_in(farm, false);
    end_sessions(farm);
    wait_for("logins to be refused", || refused(farm) > before + 4);
    common::go(farm, 2);
    let_in(farm, true);
    run.ends_well();
}

#[test]
fn a_host_that_lets_logins_in_before_its_disk_is_mounted_is_tried_again_and_left_alone_till_then() {
    let run = AtWork::start();
    let farm = &run.farm;
    let (disk, away) = (farm.srv(&address(0)), farm.path("disk"));
    std::fs::rename(&disk, &away).unwrap();
    let before = farm.connections_to(&address(0));
    end_sessions(farm);
    wait_for("new connections", || farm.connections_to(&address(0)) > before + 2);
    assert_eq!(std::fs::read_dir(&disk).unwrap().count(), 0, "something was done there");
    std::fs::rename(&disk, farm.path("empty")).unwrap();
    std::fs::rename(&away, &disk).unwrap();
    common::go(farm, 2);
    run.ends_well();
}

#[test]
fn a_run_that_is_resumed_waits_for_hosts_that_its_first_deployer_had_reached() {
    let farm = Farm::up();
    let (project, two) = project(&farm, 2, WAITS);
    for verb in ["resume", "rollback"] {
        let mut deployer =
            project.hoist(&["deploy", "--yes"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        (0..2).for_each(|n| common::wait_for_check(&farm, n));
        signal(&deployer, "KILL");
        deployer.wait().unwrap();
        let before = refused(&farm);
        let_in(&farm, false);
        let mut second = project.hoist(&[verb, "--yes"]);
        let second = second.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for("logins to be refused", || refused(&farm) > before + 4);
        for n in 0..2 {
            std::fs::write(farm.srv(&address(n)).join("go"), "").unwrap();
        }
        let_in(&farm, true);
        let ran = Ran::of(second.wait_with_output().unwrap());
        match verb {
            "resume" => {
                ran.ends(0);
                assert_eq!(Links::of(&farm, 1), Links::finalized(&two));
            }
            _ => {
                ran.ends(1).says("verified");
                assert_eq!(Links::of(&farm, 1), Links::finalized(&two));
            }
        }
        for n in 0..2 {
            std::fs::remove_file(farm.srv(&address(n)).join("go")).unwrap();
            std::fs::remove_file(farm.srv(&address(n)).join("waiting")).unwrap();
        }
        project.commit("three");
    }
}

#[test]
fn a_host_that_missed_a_deployment_serves_only_once_it_is_reconciled() {
    let (farm, project, one) = Project::deployed(0, 4);
    assert_eq!(serving(&farm, 4), [0, 1, 2, 3]);
    project.configure("failure_limit: 1");
    farm.set_down(&address(3), true);
    let two = project.commit("two");
    project.deploy(&[]).ends(0);
    farm.set_down(&address(3), false);
    // One was off meanwhile, another one was started again afterwards; on a third a promote was killed at its end.
    start_again(&farm, 3);
    start_again(&farm, 0);
    std::fs::write(own(&farm, 1, "going-live"), &two).unwrap();
    assert_eq!(serving(&farm, 4), [2]);
    let said = guard(&farm, 3).1;
    assert!(said.contains("was started after it was last confirmed") && said.contains("hoist reconcile"), "{said}");

    let status = project.run(&["status"]).ends(1);
    status.says("not confirmed since it was started").says("a promote or rollback was not completed here");
    let status = project.run(&["status", "--format", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    let confirmed: Vec<_> = answer["hosts"].as_array().unwrap().iter().map(|host| &host["confirmed"]).collect();
    assert_eq!(confirmed, [false, true, true, false]);
    project.run(&["reconcile", "--dry-run"]).ends(0);
    assert_eq!(serving(&farm, 4), [2], "to look changes nothing");

    let ran = project.run(&["reconcile", "--yes"]).ends(0).says("confirmed 1 host: 127.0.0.1");
    ran.says("127.0.0.2: in sync: ").says("2 of 2 hosts");
    assert_eq!(serving(&farm, 4), [0, 1, 2, 3]);
    common::all_on(&farm, 4, &two);
    // A host whose record cannot be written is named.
    std::fs::remove_file(own(&farm, 2, "confirmed.json")).unwrap();
    std::fs::create_dir(own(&farm, 2, "confirmed.json")).unwrap();
    project.run(&["reconcile", "--yes"]).ends(1).says("127.0.0.3 could not be confirmed: ").says("nothing to do");
    std::fs::remove_dir(own(&farm, 2, "confirmed.json")).unwrap();
    project.run(&["reconcile"]).ends(0).says("confirmed 1 host: 127.0.0.3");

    // A deployment that fails goes back to what its hosts served, wherever they were in sync.
    (0..4).for_each(|n| start_again(&farm, n));
    project.check("bad", "promote", "false");
    project.commit("three");
    project.deploy(&[]).ends(1).says("rolled back");
    assert_eq!(serving(&farm, 4), [0, 1, 2, 3]);
    assert_ne!(one, two);
}
