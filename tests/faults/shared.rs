//! Paths that become shared while everything else goes wrong.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::{CACHE, wait_for};
use crate::content::Content;
use crate::disks::start_with_a_fault_on_each;
use crate::processes::kill_if_there;
use crate::scene::Scene;
use crate::small::Small;

const HOSTS: usize = 4;

/// Has a new directory shared, in which services have written already, beside those that are shared.
fn share_another(scene: &mut Scene, content: &mut Content, shared: &mut Vec<String>) {
    shared.push(format!("data/{}", shared.len()));
    scene.project.configure(&format!("shared_dirs: {}\nshared_files: config/secret", shared.join(", ")));
    for n in 0..scene.hosts {
        shared.iter().for_each(|folder| content.add(scene, n, folder));
        content.put(scene, n, "config/secret");
    }
    scene.revision();
}

#[test]
fn no_byte_is_lost_when_paths_become_shared_and_hosts_are_killed_cut_full_or_fail_in_any_stage() {
    let bare = Scene::bare(0, HOSTS);
    bare.allow(100);
    let disk = Small::under(&bare, 3, "size=8m");
    let mut scene = bare.finish();
    let _disk = disk;
    let (mut content, mut shared) = (Content::default(), Vec::new());
    for stage in ["fetch", "config_deploy", "promote", "rollback"] {
        share_another(&mut scene, &mut content, &mut shared);
        let running = start_with_a_fault_on_each(&scene, stage);
        let summary = running.end(&scene);
        assert!([Some(1), Some(3)].contains(&summary.status), "{stage}: {summary:#?}");
        content.is_seen(&scene, stage);
        for n in 0..HOSTS {
            ["filling", "do-promote"].into_iter().for_each(|name| scene.remove(n, name));
            wait_for("the target's side to end", || scene.is_quiet(n));
        }
        scene.stands = scene.revision();
        scene.deploy(&[]).ends(0);
        content.is_seen(&scene, &format!("{stage} and once more"));
    }
    // Nobody needs the keys to keep what is shared.
    scene.project.configure("shared_dirs: \nshared_files: ");
    scene.revision();
    scene.deploy(&[]).ends(0);
    content.is_seen(&scene, "no longer configured");
}

/// Holds a lease on a file: whoever opens it waits until the holder is killed.
struct Held(Child);

impl Held {
    fn of(path: &Path, noticed: &Path) -> Held {
        let program = "import fcntl, signal, sys\n\
                       signal.signal(signal.SIGIO, lambda *_: open(sys.argv[2], 'w').close())\n\
                       file = open(sys.argv[1], 'r+')\n\
                       fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n\
                       print('held', flush=True)\n\
                       while True: signal.pause()\n";
        let mut python = Command::new("python3");
        python.args(["-c", program]).args([path, noticed]).stdout(Stdio::piped());
        let mut child = python.spawn().unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 5]).unwrap();
        Held(child)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn whoever_dies_while_content_is_merged_the_next_one_goes_on() {
    let mut scene = Scene::new(0, 2);
    let (mut content, mut shared) = (Content::default(), Vec::new());
    for victim in ["connection", "deployer", "target"] {
        share_another(&mut scene, &mut content, &mut shared);
        // Both sides have it, and so it is read; the content around it is moved before it.
        let folder = shared.last().unwrap();
        let there = scene.srv(0).join(CACHE).join("shared").join(folder).join("both");
        scene.put(0, &format!("{CACHE}/current/{folder}/both"), "both");
        for name in ["aaa", "zzz"] {
            content.put(&scene, 0, &format!("{folder}/{name}"));
        }
        fs::create_dir_all(there.parent().unwrap()).unwrap();
        fs::write(&there, "both").unwrap();
        let noticed = scene.srv(0).join("noticed");
        let _ = fs::remove_file(&noticed);
        let held = Held::of(&there, &noticed);
        let running = scene.start_deploy(&[]);
        wait_for("the merge to come to the file", || noticed.exists());
        // What only the tree had is there already, and what both have is still to be moved.
        assert!(there.with_file_name("zzz").exists() && there.with_file_name("aaa").exists());
        let revs = scene.srv(0).join(CACHE).join("revs");
        let left = Command::new("find").arg(revs).args(["-name", "both", "-type", "f"]).output().unwrap();
        assert!(!left.stdout.is_empty());
        let summary = match victim {
            "deployer" => {
                running.kill();
                drop(held);
                let summary = scene.end("resume");
                assert_eq!(summary.status, Some(0), "{summary:#?}");
                summary
            }
            "connection" => {
                scene.sessions(0).into_iter().for_each(kill_if_there);
                drop(held);
                running.end(&scene).ends(0)
            }
            _ => {
                scene.kill_deploy_local(0);
                drop(held);
                running.end(&scene).ends(1)
            }
        };
        content.is_seen(&scene, victim);
        assert_eq!(
            fs::read_to_string(scene.srv(0).join(CACHE).join("current").join(folder).join("both")).unwrap(),
            "both"
        );
        scene.stands = summary.revision.filter(|_| victim != "target").unwrap_or(scene.stands);
    }
}
