//! Connections that break in the middle of a stage: the work goes on, and its true end is taken.

use crate::common::address;
use crate::processes::kill;
use crate::proxy::{Break, Proxy};
use crate::scene::{STAGES, Scene};

/// A fleet of which the first three hosts are behind proxies.
fn behind_proxies() -> (Scene, Vec<Proxy>) {
    let mut scene = Scene::bare(0, 5);
    // Four are at work at once.
    scene.allow(80);
    let proxies: Vec<Proxy> = (0..3).map(|n| Proxy::to(&address(n), scene.farm.port)).collect();
    for (n, proxy) in proxies.iter().enumerate() {
        scene.rename(n, format!("{}:{}", address(n), proxy.port));
    }
    // The farm's key is the key of every host, by whichever port it is reached.
    let known = std::fs::read_to_string(scene.farm.known_hosts()).unwrap();
    let also =
        proxies.iter().map(|proxy| known.replace(&format!("]:{} ", scene.farm.port), &format!("]:{} ", proxy.port)));
    let all = known.clone() + &also.collect::<String>();
    std::fs::write(scene.farm.known_hosts(), all).unwrap();
    (scene.finish(), proxies)
}

/// Breaks the connections of hosts 0 to 3 in their several ways while a stage is at work on them, and lets it go on.
fn break_all(scene: &Scene, proxies: &[Proxy], stage: &str) {
    let sshd = scene.sshd(3, stage);
    for (n, how) in [Break::Reset, Break::Stall, Break::HalfOpen].into_iter().enumerate() {
        scene.stopped(n, stage);
        proxies[n].breaks(how);
    }
    kill(sshd);
    // The deployer may notice before or after the stage has ended: here it is before, for some.
    std::thread::sleep(std::time::Duration::from_millis(300));
    (0..4).for_each(|n| scene.go_on(n, stage));
}

#[test]
fn a_connection_that_is_reset_stalled_half_open_or_killed_in_any_stage_changes_nothing() {
    let (mut scene, proxies) = behind_proxies();
    for stage in STAGES {
        let revision = scene.revision();
        (0..4).for_each(|n| scene.stop_in(n, stage));
        let running = scene.start_deploy(&[]);
        break_all(&scene, &proxies, stage);
        running.end(&scene).ends(0);
        scene.all_on(&revision, stage);
        let twice = scene.farm.connections_to(&address(3));
        assert!(twice >= 2, "the connection was not made again in {stage}");
    }
}

#[test]
fn a_connection_that_breaks_in_a_rollback_changes_nothing() {
    let (mut scene, proxies) = behind_proxies();
    let revision = scene.revision();
    (0..4).for_each(|n| scene.stop_in(n, "rollback"));
    scene.breaks_at(4, &revision);
    let running = scene.start_deploy(&[]);
    break_all(&scene, &proxies, "rollback");
    running.end(&scene).ends(1).says("verified");
}

#[test]
fn a_host_that_goes_away_in_a_stage_and_stays_away_is_named_and_the_others_are_brought_back() {
    let (mut scene, proxies) = behind_proxies();
    scene.project.configure("reconnect_timeout: 3");
    let before = scene.stands.clone();
    let revision = scene.revision();
    scene.stop_in(0, "promote");
    let running = scene.start_deploy(&[]);
    scene.stopped(0, "promote");
    proxies[0].refuse(true);
    proxies[0].breaks(Break::Reset);
    let summary = running.end(&scene).ends(3);
    assert_eq!(summary.state(0), "unknown");
    scene.go_on(0, "promote");
    for n in 1..5 {
        assert_eq!(scene.look(n), scene.finalized(&before));
    }
    crate::common::wait_for("the stage to end on the host that is cut off", || {
        scene.look(0).running == Some(scene.text_of(&revision))
    });
    // It is there again: the next deployment takes it along.
    proxies[0].refuse(false);
    let next = scene.revision();
    scene.deploy(&[]).ends(0);
    scene.all_on(&next, "all");
}
