//! The deployer killed at every record of its journal: one command brings the fleet to one state.

use std::time::Duration;

use crate::scene::Scene;

/// Starts a deployment and kills its deployer when the journal has this many records. Whether it lived to its end.
fn kill_at(scene: &Scene, records: usize) -> bool {
    let known = scene.journals();
    let mut running = scene.start_deploy(&[]);
    loop {
        let ended = running.child.try_wait().unwrap().is_some();
        let journal = scene.journals().into_iter().find(|path| !known.contains(path));
        let bytes = journal.map_or_else(Vec::new, |path| std::fs::read(path).unwrap());
        let there = bytes.iter().filter(|byte| **byte == b'\n').count();
        if there >= records && !ended {
            running.kill();
            return false;
        }
        if ended {
            running.wait();
            return true;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Kills deployers of ever new deployments at the first, second, third record and so on, ends each with a command, and
/// holds the fleet against what an undisturbed run would have made of it. Returns how many were killed.
fn at_every_record(breaks: bool, command: &str) -> usize {
    let mut scene = Scene::new(1, 1);
    for records in 1.. {
        let revision = scene.revision();
        if breaks {
            scene.breaks_at(1, &revision);
        }
        let lived = kill_at(&scene, records);
        // With its end in the journal a run is over, and `hoist rollback` would go back a revision further.
        let summary = if lived || !scene.is_unfinished() { None } else { Some(scene.end(command)) };
        let state = summary.as_ref().map_or(-1, |summary| summary.status.unwrap());
        match state {
            // Nothing had been touched, or the run had come to its end: nothing is left to end.
            2 | -1 => {
                let all: Vec<_> = scene.looks();
                let whole = [&scene.stands, &revision].map(|it| scene.finalized(it));
                assert!(whole.iter().any(|one| all.iter().all(|look| look == one)), "killed at {records}: {all:#?}");
                assert!(!breaks || all[0] == scene.finalized(&scene.stands), "killed at {records}");
                scene.stands = all[0].links.current.clone().unwrap();
            }
            1 => {
                assert!(breaks || command == "rollback", "killed at {records}: {summary:#?}");
                scene.all_on(&scene.stands, &format!("killed at {records}"));
            }
            0 => {
                assert!(!breaks && command != "rollback", "killed at {records}: {summary:#?}");
                scene.all_on(&revision, &format!("killed at {records}"));
                scene.stands = revision;
            }
            other => panic!("killed at {records}: status {other}: {summary:#?}"),
        }
        if lived {
            return records;
        }
    }
    unreachable!("the run ends some time")
}

#[test]
fn a_good_run_killed_at_every_record_and_resumed_ends_as_if_undisturbed() {
    assert!(at_every_record(false, "resume") > 20);
}

#[test]
fn a_good_run_killed_at_every_record_and_rolled_back_is_back_on_every_host() {
    assert!(at_every_record(false, "rollback") > 20);
}

#[test]
fn a_failing_run_killed_at_every_record_and_resumed_is_rolled_back_as_if_undisturbed() {
    assert!(at_every_record(true, "resume") > 20);
}
