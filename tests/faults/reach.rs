//! Hosts that cannot be reached, or that are not who they should be.

use crate::common::address;
use crate::scene::Scene;

#[test]
fn a_host_that_is_down_before_the_probe_is_left_out_and_named() {
    let mut scene = Scene::new(0, 3);
    scene.farm.set_down(&address(1), true);
    let revision = scene.revision();
    scene.deploy(&[]).ends(1).says("nothing was touched");
    scene.all_on(&scene.stands, "first");
    let summary = scene.deploy(&["-D", "failure_limit:1"]).ends(0);
    assert!(!summary.reason(1).is_empty());
    assert_eq!(scene.look(0), scene.finalized(&revision));
    assert_eq!(scene.look(1), scene.finalized(&scene.stands));
}

#[test]
fn a_host_that_goes_down_between_two_stages_is_not_rolled_back_in_silence() {
    let mut scene = Scene::new(0, 3);
    for (stage, limit, status) in [("fetch", 0, 3), ("fetch", 1, 0), ("config_deploy", 0, 3), ("promote", 0, 4)] {
        let revision = scene.revision();
        // It goes down while the others are still at work on the stage that it has passed.
        scene.stop_in(0, stage);
        let running = scene.start_deploy(&["-D", &format!("failure_limit:{limit}"), "-D", "reconnect_timeout:2"]);
        scene.stopped(0, stage);
        let passed = format!("\"host\":\"{}\"", address(1));
        crate::common::wait_for("the host to pass the stage", || {
            scene.newest_log().lines().any(|line| {
                line.contains("host_ended") && line.contains(&passed) && line.contains(&format!("\"{stage}\""))
            })
        });
        scene.farm.set_down(&address(1), true);
        scene.cut(1);
        scene.go_on(0, stage);
        let summary = running.end(&scene).ends(status);
        assert!(!summary.reason(1).is_empty(), "{summary:#?}");
        scene.farm.set_down(&address(1), false);
        // Back again, it is taken along.
        let next = scene.revision();
        assert_ne!(next, revision);
        scene.deploy(&[]).ends(0);
        scene.all_on(&next, "all");
    }
}

#[test]
fn a_wrong_host_key_keeps_a_host_out_and_its_neighbours_in() {
    let mut scene = Scene::new(0, 3);
    let other = scene.project.path(".git/other");
    let made =
        std::process::Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&other).status();
    assert!(made.unwrap().success());
    let key = std::fs::read_to_string(other.with_extension("pub")).unwrap();
    let known = std::fs::read_to_string(scene.farm.known_hosts()).unwrap();
    let port = scene.farm.port;
    let barred = known.replace("[127.*]", &format!("![{}]:{port},[127.*]", address(1)));
    std::fs::write(scene.farm.known_hosts(), format!("[{}]:{port} {key}{barred}", address(1))).unwrap();
    let revision = scene.revision();
    scene.deploy(&[]).ends(1).says("host key").says("nothing was touched");
    let summary = scene.deploy(&["-D", "failure_limit:1"]).ends(0);
    assert!(summary.reason(1).contains("host key"), "{summary:#?}");
    assert_eq!(scene.look(1), scene.finalized(&scene.stands));
    assert_eq!(scene.look(2), scene.finalized(&revision));
}

#[test]
fn a_key_that_is_refused_keeps_everyone_out_and_nothing_is_touched() {
    let mut scene = Scene::new(0, 2);
    scene.revision();
    std::fs::write(scene.farm.path("authorized_keys"), "").unwrap();
    let summary = scene.deploy(&[]).ends(1).says("nothing was touched");
    assert!(!summary.reason(0).is_empty());
    scene.all_on(&scene.stands, "first");
}
