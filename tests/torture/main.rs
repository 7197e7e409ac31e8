//! Torture: round after round of random revisions and random faults on random hosts at random times; after each round the
//! invariants of the fault matrix, and at the end a fleet that one undisturbed deployment brings to one state.
//!
//! `ROUNDS` says how many (3 when it is unset), `SEED` where the chance begins; both are printed. `make torture` runs 100.

#[path = "../common/mod.rs"]
mod common;
#[path = "../faults/content.rs"]
mod content;
#[path = "../fuzz/mutate.rs"]
#[allow(dead_code, reason = "only the chance is wanted here")]
mod mutate;
#[path = "../faults/processes.rs"]
#[allow(dead_code, reason = "the fault matrix uses the rest")]
mod processes;
#[path = "../faults/running.rs"]
#[allow(dead_code, reason = "the fault matrix uses the rest")]
mod running;
#[path = "../faults/scene.rs"]
#[allow(dead_code, reason = "the fault matrix uses the rest")]
mod scene;
#[path = "../faults/small.rs"]
#[allow(dead_code, reason = "the fault matrix uses the rest")]
mod small;
#[path = "../faults/trace.rs"]
#[allow(dead_code, reason = "the fault matrix uses the rest")]
mod trace;

mod faults;

use std::time::{Duration, Instant};

use common::address;
use content::Content;
use faults::Faults;
use mutate::Chance;
use running::{Running, Summary};
use scene::Scene;
use small::Small;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn random_faults_at_random_times_leave_every_host_accounted_for() {
    let (rounds, seed) = (number("ROUNDS", 3), number("SEED", 1));
    println!("ROUNDS={rounds} SEED={seed}");
    let bare = Scene::bare(2, 4);
    let disks: Vec<Small> = (0..6).map(|n| Small::under(&bare, n, "size=64m")).collect();
    let mut scene = bare.finish();
    // They go ahead of the farm, whose folder cannot be removed as long as they are mounted.
    let _disks = disks;
    let mut content = Content::default();
    for round in 0..rounds {
        // Each round has its own chance: it can be repeated alone, as far as time allows.
        let mut chance = Chance::new(seed.wrapping_mul(1_000_003).wrapping_add(round));
        share(&scene, &mut chance, &mut content);
        let told = one_round(&mut scene, &mut chance);
        content.is_seen(&scene, &format!("round {round}: {told}"));
        println!("round {round}: {told}");
    }
    let last = scene.revision();
    deploy_undisturbed(&scene);
    scene.all_on(&last, "the end");
    content.is_seen(&scene, "the end");
}

/// Draws the paths that are shared from now on, and has the services write there.
fn share(scene: &Scene, chance: &mut Chance, content: &mut Content) {
    let dirs = *chance.of(&[&["uploads", "var/log"][..], &["uploads"], &["var/log"], &[]]);
    let files = *chance.of(&[&["config/secret"][..], &[]]);
    scene.project.configure(&format!("shared_dirs: {}\nshared_files: {}", dirs.join(", "), files.join(", ")));
    content.forget(scene, &[dirs, files].concat());
    for n in 0..scene.hosts {
        dirs.iter().for_each(|folder| content.add(scene, n, folder));
        for file in files {
            if !Content::is_there(scene, n, file) || chance.below(2) == 0 {
                content.put(scene, n, file);
            }
        }
    }
}

/// One deployment with its faults, brought to an end. What happened, in short.
fn one_round(scene: &mut Scene, chance: &mut Chance) -> String {
    let revision = scene.revision();
    let limit = *chance.of(&["0", "0", "1", "50%"]);
    let batch = chance.of(&["1", "2", "80"]).to_string();
    let budget = *chance.of(&[1, 50, 50, 75, 100]);
    scene.allow(budget);
    let mut faults = Faults::draw(scene, chance, &revision);
    let mut told = format!("{faults}, limit {limit}, batch {batch}, budget {budget}%");
    let limits = [format!("failure_limit:{limit}"), format!("canary_failure_limit:{limit}")];
    let rest = [
        format!("batch_size:{batch}"),
        format!("retry_failed:{}", chance.of(&["0", "0", "1"])),
        format!("failed_targets:{}", chance.of(&["leave", "rollback"])),
        "reconnect_timeout:3".into(),
        "stage_timeout:10".into(),
    ];
    let mut arguments = Vec::new();
    for define in limits.iter().chain(&rest) {
        arguments.extend(["-D", define]);
    }
    let mut running = scene.start_deploy(&arguments);
    let mut killed = false;
    let began = Instant::now();
    while running.child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(240), "the deployer hangs: {told}");
        if faults.act(scene, began.elapsed()) {
            killed = true;
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let summary =
        if killed { finish_killed(scene, running, &mut faults, chance, &mut told) } else { running.end(scene) };
    told += &format!(": status {:?}, {}", summary.status, summary.verdict);
    faults.repair(scene);
    assert_ne!(summary.status, None, "{told}: {summary:#?}");
    told
}

/// The deployer is killed; another one ends its run, when there is something to end.
fn finish_killed(
    scene: &Scene,
    running: Running,
    faults: &mut Faults,
    chance: &mut Chance,
    told: &mut String,
) -> Summary {
    running.kill();
    faults.let_go(scene);
    let mut waited = false;
    loop {
        let command = *chance.of(&["resume", "rollback"]);
        *told += &format!(", killed, {command}");
        let mut running = scene.start(&[command, "--yes", "--format", "json"]);
        // The second deployer may die as well.
        if chance.below(3) == 0 {
            std::thread::sleep(Duration::from_millis(chance.below(1500) as u64));
            if running.child.try_wait().unwrap().is_none() {
                running.kill();
                continue;
            }
        }
        let summary = running.end(scene);
        if summary.status == Some(5) && !waited {
            // A child that the dead deployer had just started may have its lock for a moment.
            *told += &format!(", locked ({})", summary.said.trim());
            waited = true;
            std::thread::sleep(Duration::from_secs(1));
            continue;
        }
        if summary.status == Some(2) {
            let nothing = ["unfinished", "nothing to undo", "name a revision"]
                .into_iter()
                .any(|words| summary.said.contains(words));
            assert!(nothing, "{summary:#?}");
        }
        return summary;
    }
}

/// A deployment that nothing stands in the way of; a lock of a lock holder that is just ending may.
fn deploy_undisturbed(scene: &Scene) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let summary = scene.deploy(&[]);
        match summary.status {
            Some(0) => return,
            Some(5) if Instant::now() < until => std::thread::sleep(Duration::from_millis(500)),
            _ => panic!("{}: {summary:#?}", address(0)),
        }
    }
}
