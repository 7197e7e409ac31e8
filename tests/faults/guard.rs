//! Whether hosts serve after a fault. Their services ask `hoist deploy-local guard` whenever they are started, by a stage too.

use crate::common::{self, address};
use crate::disks::with_small_disk;
use crate::guarding::{guard, own, serving, start_again};
use crate::processes::kill;
use crate::scene::{STAGES, Scene};

/// A host does not serve, and says why and what to do.
#[track_caller]
fn refuses(scene: &Scene, n: usize, why: &str) {
    let (status, said) = guard(&scene.farm, n);
    assert!(status == 1 && said.contains(why) && said.contains("hoist reconcile"), "{status} {said}");
}

/// All hosts serve a revision, once they are reconciled.
#[track_caller]
fn reconciled(scene: &Scene, revision: &str) {
    scene.project.run(&["reconcile", "--yes"]).ends(0);
    assert_eq!(serving(&scene.farm, scene.hosts), (0..scene.hosts).collect::<Vec<_>>());
    scene.all_on(revision, "reconciled");
}

const MISSED: &str = "was started after it was last confirmed";

#[test]
fn a_host_that_failed_in_any_stage_and_was_started_again_serves_only_once_it_is_reconciled() {
    let mut scene = Scene::new(0, 3);
    scene.project.configure("failure_limit: 1");
    for stage in STAGES {
        let revision = scene.revision();
        scene.stop_in(0, stage);
        let running = scene.start_deploy(&[]);
        kill(scene.deploy_local(0, stage));
        scene.go_on(0, stage);
        running.end(&scene).ends(if stage == "finalize" { 4 } else { 0 });
        if stage == "promote" {
            refuses(&scene, 0, "a promote or rollback was not completed here");
        }
        start_again(&scene.farm, 0);
        assert_eq!(serving(&scene.farm, 3), [1, 2], "{stage}");
        refuses(&scene, 0, if stage == "promote" { "was not completed" } else { MISSED });
        reconciled(&scene, &revision);
    }
}

#[test]
fn a_host_that_was_out_of_reach_while_the_others_were_rolled_back_does_not_serve_what_it_has() {
    let mut scene = Scene::new(1, 2);
    scene.project.configure("reconnect_timeout: 1");
    let revision = scene.revision();
    scene.breaks_at(2, &revision);
    let running = scene.deploy_until(1, "promote");
    scene.farm.set_down(&address(0), true);
    scene.cut(0);
    scene.go_on(1, "promote");
    running.end(&scene).ends(3);
    scene.farm.set_down(&address(0), false);
    assert_eq!(scene.look(0).links.current.as_deref(), Some(revision.as_str()));
    start_again(&scene.farm, 0);
    refuses(&scene, 0, MISSED);
    reconciled(&scene, &scene.stands);
}

#[test]
fn a_host_whose_lease_expires_starts_what_it_goes_back_to() {
    let mut scene = Scene::new(1, 1);
    scene.project.configure("confirm_timeout: 4");
    scene.revision();
    scene.deploy_until(1, "promote").kill();
    let back = scene.finalized(&scene.stands);
    common::wait_for("the way back", || scene.look(0) == back);
    common::wait_for("the end of the way back", || guard(&scene.farm, 0).0 == 0);
    scene.go_on(1, "promote");
    scene.end("rollback").ends(1);
    assert_eq!(serving(&scene.farm, 2), [0, 1]);
}

#[test]
fn a_host_whose_disk_is_full_or_whose_record_is_damaged_serves_only_what_was_confirmed() {
    let (mut scene, _small) = with_small_disk("size=8m");
    scene.project.configure("failure_limit: 1");
    let revision = scene.revision();
    scene.put(1, "do-promote", "cat /dev/zero > /srv/filling; true");
    scene.deploy(&[]);
    let is_done = scene.look(1) == scene.finalized(&revision);
    assert_eq!(guard(&scene.farm, 1).0 == 0, is_done, "{:?} {:#?}", guard(&scene.farm, 1), scene.look(1));
    ["filling", "do-promote"].iter().for_each(|name| scene.remove(1, name));
    reconciled(&scene, &revision);

    let record = |n| own(&scene.farm, n, "confirmed.json");
    std::fs::write(record(0), "").unwrap();
    let other = std::fs::read_to_string(record(1)).unwrap().replace(&revision, &"0".repeat(revision.len()));
    std::fs::write(record(1), other).unwrap();
    std::fs::remove_file(record(2)).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(record(2)).status().unwrap().success());
    for (n, why) in [(0, "is damaged"), (1, "is live, but 0000000000 was confirmed"), (2, "confirmed.json")] {
        refuses(&scene, n, why);
    }
    scene.project.run(&["status"]).ends(0).says("not confirmed since it was started");
    reconciled(&scene, &revision);
}
