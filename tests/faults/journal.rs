//! A journal whose last record was torn.

use crate::common;
use crate::scene::Scene;

/// Kills a deployer whose last record is the end of a fetch, cuts that record, and ends the run.
fn cut_and_end(scene: &mut Scene, cut: &dyn Fn(usize) -> usize, command: &str) -> usize {
    let revision = scene.revision();
    let known = scene.journals();
    scene.stop_in(0, "fetch");
    let running = scene.start_deploy(&[]);
    scene.stopped(0, "fetch");
    let journal = || scene.journals().into_iter().find(|path| !known.contains(path)).unwrap();
    let text = || std::fs::read_to_string(journal()).unwrap();
    let has_end = |text: &str| {
        let from_fetch = text.rfind("\"called\"").unwrap_or(0);
        text.ends_with('\n') && text[from_fetch..].contains("\"ended\"") && text[from_fetch..].contains("fetch")
    };
    common::wait_for("the other host's result", || has_end(&text()));
    running.kill();
    let text = text();
    let start = text[..text.len() - 1].rfind('\n').unwrap() + 1;
    let length = text.len() - start;
    let kept = start + cut(length);
    std::fs::OpenOptions::new().write(true).open(journal()).unwrap().set_len(kept as u64).unwrap();
    scene.go_on(0, "fetch");
    let summary = scene.end(command);
    if command == "resume" {
        summary.ends(0);
        scene.all_on(&revision, command);
        scene.stands = revision;
    } else {
        summary.ends(1);
        scene.all_on(&scene.stands, command);
    }
    length
}

/// That every byte is the same to the reader is held by a test of its own; here some of them, with all that follows.
#[test]
fn a_run_whose_last_record_is_torn_is_resumed_and_rolled_back_all_the_same() {
    let mut scene = Scene::new(0, 2);
    for part in 0..=4 {
        for command in ["resume", "rollback"] {
            cut_and_end(&mut scene, &|length| (length - 1) * part / 4, command);
        }
    }
}

#[test]
fn damage_in_a_journal_is_told_with_its_line_and_the_targets_tell_the_rest() {
    let mut scene = Scene::new(1, 1);
    for command in ["rollback", "resume"] {
        // From the probe on, in the canary's stages, and in that of the host that is at work.
        for line in [2, 5, 12, 16] {
            let revision = scene.revision();
            scene.stop_in(1, "promote");
            let running = scene.start_deploy(&[]);
            scene.stopped(1, "promote");
            running.kill();
            scene.go_on(1, "promote");
            let path = scene.journals().pop().unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            let mut lines: Vec<_> = text.split_inclusive('\n').map(str::to_owned).collect();
            let damaged = lines[line - 1].replacen("\"record\"", "\"rec\0rd\"", 1);
            lines[line - 1] = damaged;
            std::fs::write(&path, lines.concat()).unwrap();
            scene.project.run(&["status", "--offline"]).ends(1).says("is not finished");
            scene.project.deploy(&[]).ends(6);
            let summary = scene.end(command).says(&format!("line {line}"));
            match command {
                "resume" => {
                    summary.ends(0);
                    scene.all_on(&revision, command);
                    scene.stands = revision;
                }
                _ => {
                    summary.ends(1);
                    scene.all_on(&scene.stands, command);
                }
            }
        }
    }
}

#[test]
fn damage_in_a_finished_journal_is_in_nobodys_way() {
    let mut scene = Scene::new(0, 2);
    let first = scene.stands.clone();
    scene.stands = scene.revision();
    scene.deploy(&[]).ends(0);
    let path = scene.journals().pop().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"plan\"", "\"pl\0n\"", 1)).unwrap();
    scene.project.run(&["status"]).ends(0);
    scene.project.run(&["rollback", "--yes"]).ends(2).says("its deployment is ignored").says("--to");
    scene.project.run(&["rollback", "--yes", "--to", &first]).ends(0);
    scene.stands = scene.revision();
    scene.deploy(&[]).ends(0);
    scene.all_on(&scene.stands, "all");
}
