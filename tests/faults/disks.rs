//! Disks that are full, read-only or damaged.

use std::path::{Path, PathBuf};

use crate::common::CACHE;
use crate::processes::kill;
use crate::running::Running;
use crate::scene::Scene;
use crate::small::Small;

/// Three hosts, the second of which has a small disk. The first one is a canary, to be waited for. The disk goes first: the
/// farm's folder cannot be removed as long as it is mounted.
pub fn with_small_disk(options: &str) -> (Scene, Small) {
    let scene = Scene::bare(1, 2);
    let small = Small::under(&scene, 1, options);
    (scene.finish(), small)
}

/// Leaves no room on a host's disk.
pub fn fill(folder: &Path) {
    let _ = std::fs::write(folder.join("filling"), vec![1; 64 << 20]);
}

/// Deploys to four hosts, the last of which has a small disk. In one stage each meets a fault of its own: the target's side is
/// killed, the host is cut off, the stage fails, the disk is full.
pub fn start_with_a_fault_on_each(scene: &Scene, stage: &str) -> Running {
    let hosts = 0..4;
    hosts.clone().for_each(|n| scene.stop_in(n, stage));
    let fails = "rm /srv/do-*; exit 7";
    if stage == "rollback" {
        hosts.clone().for_each(|n| scene.put(n, "do-promote", fails));
    }
    scene.put(2, &format!("do-{stage}"), fails);
    let running = scene.start_deploy(&[]);
    let local = scene.deploy_local(0, stage);
    hosts.clone().skip(1).for_each(|n| _ = scene.stopped(n, stage));
    kill(local);
    scene.cut(1);
    fill(&scene.srv(3));
    hosts.for_each(|n| scene.go_on(n, stage));
    running
}

fn use_up_inodes(folder: &Path) {
    std::fs::create_dir(folder.join("filling")).unwrap();
    for n in 0.. {
        if std::fs::write(folder.join(format!("filling/{n}")), "").is_err() {
            return;
        }
    }
}

#[test]
fn a_disk_that_is_full_before_the_fetch_fails_its_host_and_all_are_brought_back() {
    for (options, exhaust) in [("size=8m", fill as fn(&Path)), ("size=64m,nr_inodes=400", use_up_inodes)] {
        let (mut scene, _small) = with_small_disk(options);
        scene.project.write("more", &"more\n".repeat(100));
        scene.revision();
        // The probe finds room; by the time that the canary is through there is none.
        scene.stop_in(0, "promote");
        let running = scene.start_deploy(&[]);
        scene.stopped(0, "promote");
        exhaust(&scene.srv(1));
        scene.go_on(0, "promote");
        running.end(&scene).ends(1).says("No space left on device");
        scene.all_on(&scene.stands, "first");
    }
}

#[test]
fn a_disk_that_fills_up_between_two_stages_leaves_what_is_live_and_is_rolled_back() {
    for stage in ["fetch", "config_deploy", "promote"] {
        let (mut scene, _small) = with_small_disk("size=8m");
        scene.revision();
        let fill = "cat /dev/zero > /srv/filling; true";
        scene.put(1, &format!("do-{stage}"), fill);
        let summary = scene.deploy(&[]);
        // Once it is promoted, what is left to do may find the room that it needs.
        let expected: &[i32] = if stage == "promote" { &[0, 1, 4] } else { &[1] };
        assert!(expected.contains(&summary.status.unwrap()), "{stage}: {summary:#?}");
        let look = scene.look(1);
        assert!(look.links.current.is_some() && look.running.is_some(), "{stage}: {look:#?}");
    }
}

#[test]
fn a_disk_that_is_read_only_is_told_before_anything_is_touched() {
    let (mut scene, small) = with_small_disk("size=64m");
    let revision = scene.revision();
    small.mode("ro");
    scene.deploy(&[]).ends(1).says("ead-only file system");
    scene.all_on(&scene.stands, "first");
    small.mode("rw");
    scene.deploy(&[]).ends(0);
    scene.all_on(&revision, "all");
}

#[test]
fn a_disk_that_turns_read_only_in_any_stage_is_named_and_repaired_by_the_next_deployment() {
    let (mut scene, small) = with_small_disk("size=64m");
    for stage in ["fetch", "config_deploy", "promote", "finalize"] {
        scene.revision();
        scene.stop_in(1, stage);
        scene.put(1, &format!("do-{stage}"), "rm /srv/do-* /srv/wait-*; mount -o remount,ro /srv; exit 1");
        scene.remove(1, &format!("wait-{stage}"));
        let summary = scene.deploy(&[]);
        assert!([Some(1), Some(3), Some(4)].contains(&summary.status), "{stage}: {summary:#?}");
        assert!(!summary.reason(1).is_empty(), "{stage}: {summary:#?}");
        small.mode("rw");
        let next = scene.revision();
        scene.deploy(&[]).ends(0);
        scene.all_on(&next, stage);
    }
}

fn packs(cache: &Path) -> Vec<PathBuf> {
    files(&cache.join(".git/objects"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn a_corrupt_cache_is_rebuilt_whatever_is_wrong_with_it() {
    let mut scene = Scene::new(0, 2);
    let cut = |cache: &Path| {
        packs(cache).iter().for_each(|path| {
            let text = std::fs::read(path).unwrap();
            std::fs::remove_file(path).unwrap();
            std::fs::write(path, &text[..text.len() / 2]).unwrap();
        });
    };
    let emptied = |cache: &Path| packs(cache).iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let refs =
        |cache: &Path| files(&cache.join(".git/refs")).iter().for_each(|path| std::fs::write(path, "x").unwrap());
    let head = |cache: &Path| std::fs::write(cache.join(".git/HEAD"), "").unwrap();
    let config = |cache: &Path| std::fs::write(cache.join(".git/config"), "[core\n").unwrap();
    let gone = |cache: &Path| std::fs::remove_dir_all(cache).unwrap();
    let locked = |cache: &Path| std::fs::write(cache.join(".git/config.lock"), "").unwrap();
    type Damage<'a> = (&'a str, &'a dyn Fn(&Path));
    let damages: [Damage; 7] = [
        ("cut objects", &cut),
        ("no objects", &emptied),
        ("refs", &refs),
        ("HEAD", &head),
        ("config", &config),
        ("no cache", &gone),
        ("a lock", &locked),
    ];
    for (what, damage) in damages {
        damage(&scene.srv(0).join(CACHE).join("cache"));
        let revision = scene.revision();
        let summary = scene.deploy(&[]);
        assert_eq!(summary.status, Some(0), "{what}: {summary:#?}");
        scene.all_on(&revision, what);
    }
}

#[test]
fn a_corrupt_cache_is_no_hindrance_to_a_rollback() {
    let scene = Scene::breaking(0, 2, 1);
    let running = scene.deploy_until(0, "promote");
    packs(&scene.srv(0).join(CACHE).join("cache")).iter().for_each(|path| std::fs::remove_file(path).unwrap());
    scene.go_on(0, "promote");
    running.end(&scene).ends(1);
    scene.all_on(&scene.stands, "first");
}
