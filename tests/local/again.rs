//! Configuration files of a revision that is deployed again: nothing changes before promote, and a rollback brings back
//! what there was.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use hoist::wire::{CheckPoint, LeaseStands, Level, Revision, Stage, StageRequest};

use crate::harness::*;

/// A request that renders two absolute files, one in the tree, and one in the place of a tracked file.
fn request(target: &Target, run: &str, revision: &Revision, word: &str) -> StageRequest {
    let mut request = target.request(run, revision);
    let paths = [target.etc("app.conf"), target.etc("gone.conf"), "inside/x".to_owned(), "tracked".to_owned()];
    request.config_files = Some(paths.iter().map(|path| config_file(path, "conf")).collect());
    request.templates.insert("conf".to_owned(), "word = {{ word }}".to_owned());
    request.vars.insert("word".to_owned(), word.into());
    request
}

/// The same revision once more: with another word, a file more, and one less.
fn again(target: &Target, run: &str, revision: &Revision) -> StageRequest {
    let mut again = request(target, run, revision, "new");
    let files = again.config_files.as_mut().unwrap();
    files.retain(|file| !file.path.ends_with("gone.conf"));
    files.push(config_file(&target.etc("added.conf"), "conf"));
    files.push(config_file("added", "conf"));
    again.restore = Some(revision.clone());
    again
}

/// A target with a finalized revision, whose files somebody has touched since.
fn deployed() -> (Target, Revision) {
    let target = Target::new();
    let one = target.commit(&[("a", "1"), ("tracked", "committed")]);
    target.deploy(&request(&target, "r1", &one, "old"));
    fs::set_permissions(target.etc("app.conf"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(target.live().join("inside/x"), "by hand\n").unwrap();
    target.forget_log();
    (target, one)
}

/// What a service sees: every file of the live tree and every linked one, with content, mode and time.
fn seen(target: &Target) -> Vec<(String, Vec<u8>, u32, i64)> {
    let mut files: Vec<String> = snapshot(&target.dir.path().join("etc"))
        .iter()
        .map(|line| line.split(" -> ").next().unwrap().split(": ").next().unwrap().to_owned())
        .collect();
    for name in ["a", "tracked", "inside/x", "added"] {
        files.push(target.live().join(name).display().to_string());
    }
    let look = |path: String| {
        let meta = fs::metadata(&path).ok()?;
        meta.is_file().then(|| (path.clone(), fs::read(&path).unwrap(), meta.mode(), meta.mtime_nsec()))
    };
    files.into_iter().filter_map(look).collect()
}

#[test]
fn nothing_that_is_live_changes_before_promote_which_then_restarts_the_service() {
    let (target, one) = deployed();
    let before = seen(&target);
    let again = again(&target, "r2", &one);
    target.fetch(&again).ok();
    run(&again, Stage::ConfigDeploy).ok();
    assert_eq!(seen(&target), before);
    let promoted = run(&again, Stage::Promote).ok();
    assert!(promoted.state().stray_links.is_empty());
    assert_eq!(target.logged(), ["restart app"]);
    for name in ["app.conf", "added.conf"] {
        assert_eq!(target.reads(&target.etc(name)), "word = new", "{name}");
    }
    assert!(fs::symlink_metadata(target.etc("gone.conf")).is_err());
    for name in ["inside/x", "tracked", "added"] {
        assert_eq!(fs::read(target.live().join(name)).unwrap(), b"word = new", "{name}");
    }
    run(&again, Stage::Finalize).ok();
    // The same files once more are no change.
    target.forget_log();
    let third = in_run("r3", again);
    run(&third, Stage::ConfigDeploy).ok();
    run(&third, Stage::Promote).ok().says("already live");
    assert_eq!(target.logged(), [""; 0]);
}

#[test]
fn a_rollback_brings_the_old_files_back_byte_for_byte_with_their_modes_and_their_absence() {
    let (target, one) = deployed();
    let before = seen(&target);
    let mut again = again(&target, "r2", &one);
    target.fetch(&again).ok();
    // Promoted once, twice, and with a failure behind it.
    for (round, fails) in [(0, false), (1, false), (2, true)] {
        run(&again, Stage::ConfigDeploy).ok();
        run(&again, Stage::Promote).ok();
        run(&StageRequest { force: true, ..again.clone() }, Stage::Promote).ok();
        if fails {
            again.checks = vec![check("bad", CheckPoint::After(Stage::Promote), "false")];
            run(&StageRequest { force: true, ..again.clone() }, Stage::Promote).reason();
            again.checks.clear();
        }
        assert_ne!(seen(&target), before);
        target.forget_log();
        let back = roll_back(&again, Some(&one)).ok();
        assert_eq!(seen(&target), before, "round {round}");
        assert!(back.state().stray_links.is_empty());
        assert_eq!(target.logged(), ["restart app"]);
        roll_back(&again, Some(&one)).ok();
        assert_eq!(seen(&target), before, "round {round}, rolled back twice");
    }
    // What was rolled back is not found by a promote that comes later.
    target.forget_log();
    let later = StageRequest { config_files: again.config_files.clone(), ..request(&target, "r3", &one, "old") };
    run(&later, Stage::Promote).reason();
    assert_eq!(seen(&target), before);
}

#[test]
fn a_forced_checkout_of_the_live_revision_leaves_its_configuration_to_promote_and_is_taken_back_by_a_rollback() {
    for promoted in [false, true] {
        let (target, one) = deployed();
        fs::write(target.live().join("a"), "by hand").unwrap();
        fs::set_permissions(target.live().join("a"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(target.live().join("tracked"), "by hand as well").unwrap();
        let before = seen(&target);
        let mut again = StageRequest { force: true, ..again(&target, "r2", &one) };
        // It sees what a service would.
        let files = ["a", "tracked", "inside/x"].map(|name| target.live().join(name).display().to_string()).join(" ");
        let noted = target.dir.path().join("noted");
        let command = format!("cat {files} > {}", noted.display());
        again.checks = vec![check("look", CheckPoint::After(Stage::Fetch), &command)];
        target.fetch(&again).ok();
        assert_eq!(fs::read_to_string(noted).unwrap(), "1by hand as wellby hand\n");
        run(&again, Stage::ConfigDeploy).ok();
        if promoted {
            run(&again, Stage::Promote).ok();
            assert_eq!(fs::read(target.live().join("tracked")).unwrap(), b"word = new");
        }
        roll_back(&again, Some(&one)).ok();
        assert_eq!(seen(&target), before, "promoted: {promoted}");
    }
}

#[test]
fn a_forced_checkout_repairs_a_live_tree_whatever_became_of_its_index() {
    let (target, one) = deployed();
    let tree = target.rev(&one);
    for added in [false, true] {
        fs::write(tree.join("a"), "modified").unwrap();
        if added {
            git(&tree, &["add", "a"]);
        }
        let request = StageRequest { force: true, ..request(&target, &format!("r2{added}"), &one, "old") };
        target.fetch(&request).ok();
        assert_eq!(fs::read(tree.join("a")).unwrap(), b"1", "added: {added}");
        run(&request, Stage::ConfigDeploy).ok();
        run(&request, Stage::Promote).ok();
        assert_eq!(target.reads(&tree.join("tracked").display().to_string()), "word = old");
    }
}

#[test]
fn a_rollback_before_promote_forgets_what_was_rendered() {
    let (target, one) = deployed();
    let before = seen(&target);
    let again = again(&target, "r2", &one);
    run(&again, Stage::ConfigDeploy).ok();
    roll_back(&again, Some(&one)).ok();
    assert_eq!(seen(&target), before);
    assert_eq!(target.logged(), [""; 0]);
    run(&request(&target, "r3", &one, "old"), Stage::Promote).ok().says("already live");
    assert_eq!(seen(&target), before);
}

#[test]
fn a_promote_and_a_rollback_of_the_live_revision_may_be_killed_at_any_moment() {
    let (target, one) = deployed();
    let before = seen(&target);
    let mut killed = 0;
    for round in 0..14u64 {
        let again = again(&target, &format!("s{round:02}"), &one);
        run(&again, Stage::ConfigDeploy).ok();
        for (turn, stage) in [Stage::Promote, Stage::Rollback, Stage::Promote, Stage::Rollback].into_iter().enumerate()
        {
            let mut child = spawn(&asked(&again, stage, turn as u32));
            drop(child.stdin.take());
            std::thread::sleep(Duration::from_micros((round * 1777 + turn as u64 * 2311) % 24_000));
            killed += usize::from(child.try_wait().unwrap().is_none());
            let _ = child.kill();
            child.wait().unwrap();
            assert!(fs::read(target.etc("app.conf")).is_ok(), "the service has its configuration");
        }
        roll_back(&again, Some(&one)).ok();
        assert_eq!(seen(&target), before, "round {round}");
    }
    assert!(killed > 0, "none was killed at work");
}

#[test]
fn a_rendered_file_with_two_names_in_a_tracked_files_place_is_not_taken_for_a_modified_one() {
    let (target, one) = deployed();
    // As a promote leaves it that was killed while it saved what it was about to replace.
    fs::hard_link(target.live().join("tracked"), target.dir.path().join("saved")).unwrap();
    let before = seen(&target);
    let again = again(&target, "r2", &one);
    roll_back(&again, Some(&one)).ok();
    assert_eq!(seen(&target), before);
    run(&StageRequest { force: true, ..request(&target, "r3", &one, "old") }, Stage::Promote).ok();
    assert_eq!(seen(&target), before);
}

#[test]
fn a_lease_that_runs_out_brings_the_old_files_back_and_another_promote_the_new_ones() {
    let (target, one) = deployed();
    let before = seen(&target);
    let again = StageRequest { confirm_timeout: 1, ..again(&target, "r2", &one) };
    target.fetch(&again).ok();
    run(&again, Stage::ConfigDeploy).ok();
    run(&again, Stage::Promote).ok();
    assert_ne!(seen(&target), before);
    until(|| {
        let lease = target.facts(&again).lease;
        matches!(lease.map(|lease| lease.stands), Some(LeaseStands::RolledBack { .. }))
    });
    assert_eq!(seen(&target), before);
    // It goes live by the rules for that, which are the deployer's.
    let late = StageRequest { confirm_timeout: 60, ..again.clone() };
    assert_eq!(run(&late, Stage::Finalize).reason(), "the lease expired, and the host rolled itself back");
    assert_eq!(seen(&target), before);
    run(&late, Stage::Promote).ok();
    run(&late, Stage::Finalize).ok();
    assert_eq!(target.reads(&target.etc("app.conf")), "word = new");
    assert_eq!(target.facts(&again).lease, None);
    // Finalized or not: it is the same run that goes back.
    roll_back(&again, Some(&one)).ok();
    assert_eq!(seen(&target), before);
}

#[test]
fn an_earlier_revision_that_is_deployed_again_and_rolled_back_keeps_the_files_of_its_own_deployment() {
    let (target, one) = deployed();
    let old = fs::read(target.etc("app.conf")).unwrap();
    let two = target.commit(&[("a", "2")]);
    target.deploy(&request(&target, "r2", &two, "second"));
    let again = StageRequest { restore: Some(two.clone()), ..again(&target, "r3", &one) };
    target.fetch(&again).ok();
    run(&again, Stage::ConfigDeploy).ok();
    run(&again, Stage::Promote).ok();
    assert_eq!(target.reads(&target.etc("app.conf")), "word = new");
    roll_back(&again, Some(&two)).ok();
    assert_eq!(target.reads(&target.etc("app.conf")), "word = second");
    // Going back to it afterwards finds what it was deployed with.
    let back = StageRequest { kept: true, config_files: None, ..target.request("r4", &one) };
    run(&back, Stage::Promote).ok();
    assert_eq!(fs::read(target.etc("app.conf")).unwrap(), old);
    assert_eq!(fs::read(target.live().join("inside/x")).unwrap(), b"by hand\n");
    assert_eq!(target.reads(&target.etc("gone.conf")), "word = old");
    assert!(!target.live().join("added").exists());
}

#[test]
fn files_that_are_not_configured_any_more_are_a_change_and_come_back() {
    let (target, one) = deployed();
    let before = seen(&target);
    let without = StageRequest { restore: Some(one.clone()), ..target.request("r2", &one) };
    run(&without, Stage::Promote).ok();
    assert_eq!(target.logged(), ["restart app"]);
    assert!(fs::symlink_metadata(target.etc("app.conf")).is_err());
    assert!(!target.live().join("inside/x").exists());
    assert_eq!(fs::read(target.live().join("tracked")).unwrap(), b"committed");
    roll_back(&without, Some(&one)).ok();
    assert_eq!(seen(&target), before);
}

#[test]
fn a_variable_of_the_target_alone_is_a_change() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    let vars = target.etc("vars.yaml");
    fs::create_dir_all(Path::new(&vars).parent().unwrap()).unwrap();
    fs::write(&vars, "word: here\n").unwrap();
    let mut request = request(&target, "r1", &one, "there");
    request.config_files.as_mut().unwrap()[0].remote_vars = Some(vars.clone());
    target.deploy(&request);
    fs::write(&vars, "word: changed\n").unwrap();
    target.forget_log();
    let request = in_run("r2", request);
    run(&request, Stage::ConfigDeploy).ok();
    assert_eq!(target.reads(&target.etc("app.conf")), "word = here");
    run(&request, Stage::Promote).ok();
    assert_eq!(target.reads(&target.etc("app.conf")), "word = changed");
    assert_eq!(target.logged(), ["restart app"]);
}

#[test]
fn a_file_that_was_set_aside_for_a_link_has_its_place_again_after_a_rollback() {
    let (target, one) = deployed();
    fs::write(target.etc("added.conf"), "by hand").unwrap();
    fs::set_permissions(target.etc("added.conf"), fs::Permissions::from_mode(0o600)).unwrap();
    let before = seen(&target);
    let two = target.commit(&[("a", "2")]);
    for (run_id, revision) in [("r2", &one), ("r3", &two)] {
        let request = StageRequest { restore: Some(one.clone()), ..again(&target, run_id, revision) };
        target.fetch(&request).ok();
        run(&request, Stage::ConfigDeploy).ok();
        let promoted = run(&request, Stage::Promote).ok();
        assert!(promoted.lines(Level::Warning).iter().any(|line| line.contains("added.conf.before-hoist-")));
        assert_eq!(target.reads(&target.etc("added.conf")), "word = new");
        roll_back(&request, Some(&one)).ok();
        assert_eq!(seen(&target), before, "{run_id}");
    }
}

#[test]
fn a_full_disk_keeps_no_old_file_from_coming_back() {
    let Some((target, _small)) = crate::trouble::on_small("size=4m") else { return };
    let one = target.commit(&[("a", "1"), ("tracked", "committed")]);
    target.deploy(&request(&target, "r1", &one, "old"));
    let before = seen(&target);
    let again = again(&target, "r2", &one);
    run(&again, Stage::ConfigDeploy).ok();
    run(&again, Stage::Promote).ok();
    crate::trouble::fill(&target.base);
    roll_back(&again, Some(&one)).ok();
    assert_eq!(seen(&target), before);
}
