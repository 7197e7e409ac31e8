//! The matrix for revisions that are no commits of the repository: a directory of it, and an artifact.

use crate::common::wait_for;
use crate::disks::start_with_a_fault_on_each;
use crate::processes::kill;
use crate::scene::{STAGES, Scene, Source};
use crate::small::Small;

const SOURCES: [Source; 2] = [Source::Subdir, Source::Artifact];

/// One for each fault.
const HOSTS: usize = 4;

#[test]
fn parts_of_a_repository_and_artifacts_are_rolled_back_when_hosts_are_killed_cut_full_or_fail_in_any_stage() {
    for source in SOURCES {
        let bare = Scene::bare_of(source, 0, HOSTS);
        bare.allow(100);
        let disk = Small::under(&bare, 3, "size=8m");
        let mut scene = bare.finish();
        let _disk = disk;
        for stage in ["fetch", "config_deploy", "promote", "rollback", "finalize"] {
            let revision = scene.revision();
            let running = start_with_a_fault_on_each(&scene, stage);
            let summary = running.end(&scene);
            let expected: &[i32] = if stage == "finalize" { &[4] } else { &[1, 3] };
            assert!(expected.contains(&summary.status.unwrap()), "{source:?} {stage}: {summary:#?}");
            for n in 0..HOSTS {
                ["filling", "do-promote"].into_iter().for_each(|name| scene.remove(n, name));
                wait_for("the target's side to end", || scene.is_quiet(n));
            }
            if stage == "finalize" {
                (0..HOSTS)
                    .for_each(|n| assert_eq!(scene.look(n).links.current.as_ref(), Some(&revision), "{source:?}"));
            }
            // Whatever that has left, the next deployment goes through.
            scene.stands = scene.revision();
            scene.deploy(&[]).ends(0);
            scene.all_on(&scene.stands, stage);
        }
    }
}

#[test]
fn parts_of_a_repository_and_artifacts_are_resumed_or_undone_by_whoever_comes_when_the_deployer_is_killed_in_any_stage()
{
    for source in SOURCES {
        let mut scene = Scene::bare_of(source, 1, 1).finish();
        for stage in STAGES {
            for command in ["resume", "rollback"] {
                let revision = scene.revision();
                scene.deploy_until(1, stage).kill();
                scene.go_on(1, stage);
                let summary = scene.end(command);
                if summary.status == Some(0) {
                    assert_eq!(command, "resume", "{source:?} {stage}");
                    scene.stands = revision;
                } else {
                    summary.ends(1);
                    assert_eq!(command, "rollback", "{source:?} {stage}");
                }
                scene.all_on(&scene.stands, stage);
            }
        }
    }
}

#[test]
fn a_connection_that_is_cut_in_any_stage_changes_nothing_for_parts_of_a_repository_and_artifacts() {
    for source in SOURCES {
        let mut scene = Scene::bare_of(source, 0, 2).finish();
        for stage in STAGES {
            let revision = scene.revision();
            let running = scene.deploy_until(0, stage);
            kill(scene.sshd(0, stage));
            scene.go_on(0, stage);
            running.end(&scene).ends(0);
            scene.all_on(&revision, stage);
            scene.stands = revision;
        }
        // And in a rollback.
        let revision = scene.revision();
        scene.breaks_at(1, &revision);
        let running = scene.deploy_until(0, "rollback");
        kill(scene.sshd(0, "rollback"));
        scene.go_on(0, "rollback");
        running.end(&scene).ends(1).says("verified");
        scene.all_on(&scene.stands, "rolled back");
    }
}
