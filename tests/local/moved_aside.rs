//! What stood in the place of a link when a run began, and was moved aside by it, has its place again after a rollback.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use hoist::wire::{LeaseStands, Level, Revision, Stage, StageRequest};

use crate::harness::*;
use crate::kill::{Moments, kill_in};

fn request(target: &Target, run: &str, revision: &Revision, word: &str) -> StageRequest {
    let mut request = target.request(run, revision);
    request.config_files =
        Some(vec![config_file(&target.etc("app.conf"), "t"), config_file(&target.etc("b.conf"), "t")]);
    request.templates.insert("t".to_owned(), word.to_owned());
    request
}

/// A target with a finalized revision, where somebody has replaced one of its links by a file, and a second revision that
/// is checked out.
fn edited_by_hand() -> (Target, Revision, Revision) {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    target.deploy(&request(&target, "r1", &one, "one"));
    fs::remove_file(target.etc("app.conf")).unwrap();
    fs::write(target.etc("app.conf"), "by hand").unwrap();
    let two = target.commit(&[("a", "2")]);
    target.fetch(&request(&target, "r2", &two, "two")).ok();
    (target, one, two)
}

fn etc(target: &Target) -> Vec<String> {
    snapshot(Path::new(&target.etc("")))
}

#[test]
fn a_file_that_somebody_put_in_a_links_place_has_it_again_after_a_rollback() {
    let (target, one, two) = edited_by_hand();
    let before = etc(&target);
    // The revision itself once more, and another one.
    for (run_id, revision) in [("r3", &one), ("r4", &two)] {
        let request = StageRequest { restore: Some(one.clone()), ..request(&target, run_id, revision, "two") };
        target.fetch(&request).ok();
        run(&request, Stage::ConfigDeploy).ok();
        let stray = target.facts(&request).state.stray_links;
        let promoted = run(&request, Stage::Promote).ok();
        assert!(promoted.lines(Level::Warning).iter().any(|line| line.contains("app.conf.before-hoist-")));
        assert_eq!(target.reads(&target.etc("app.conf")), "two");
        let back = || {
            let reply = roll_back(&request, Some(&one)).ok();
            assert_eq!(etc(&target), before, "{run_id}");
            assert_eq!(reply.state().stray_links, stray, "it is told of as it was");
        };
        back();
        // Whoever takes the run up may ask once more.
        back();
    }
}

#[test]
fn what_came_to_a_links_place_during_the_run_makes_room_for_what_stood_there_before_and_is_kept() {
    let (target, one, two) = edited_by_hand();
    let before = etc(&target);
    let request = request(&target, "r2", &two, "two");
    run(&request, Stage::ConfigDeploy).ok();
    run(&request, Stage::Promote).ok();
    for name in ["app.conf", "b.conf"] {
        fs::remove_file(target.etc(name)).unwrap();
        fs::write(target.etc(name), "newer").unwrap();
    }
    let reply = roll_back(&request, Some(&one)).ok();
    assert_eq!(reply.lines(Level::Warning).iter().filter(|line| line.contains(".before-hoist-")).count(), 2);
    roll_back(&request, Some(&one)).ok();
    let (kept, rest): (Vec<_>, Vec<_>) = etc(&target).into_iter().partition(|line| line.contains(".before-hoist-"));
    assert_eq!(rest, before);
    assert_eq!(kept.iter().filter(|line| line.ends_with(": newer")).count(), 2, "{kept:?}");
}

#[test]
fn a_file_in_a_links_place_is_left_alone_where_promote_came_to_nothing() {
    let (target, one, two) = edited_by_hand();
    let before = etc(&target);
    let request = request(&target, "r2", &two, "two");
    // It was not rendered.
    assert!(run(&request, Stage::Promote).reason().contains("is not rendered"));
    // An earlier run's promote never came to its end.
    fs::write(target.root().join(".hoist/going-live"), one.as_str()).unwrap();
    roll_back(&request, Some(&one)).ok();
    assert_eq!(etc(&target), before);
}

#[test]
fn a_file_that_was_moved_aside_has_its_place_again_wherever_promote_and_rollback_are_killed() {
    let (target, one, two) = edited_by_hand();
    let before = etc(&target);
    let mut moments = Moments(11);
    let mut killed = 0;
    for round in 0..16 {
        let request = request(&target, &format!("s{round:02}"), &two, "two");
        run(&request, Stage::ConfigDeploy).ok();
        killed += usize::from(kill_in(&request, Stage::Promote, b"", moments.next(Duration::from_millis(25))));
        let back = StageRequest { restore: Some(one.clone()), ..request.clone() };
        killed += usize::from(kill_in(&back, Stage::Rollback, b"", moments.next(Duration::from_millis(25))));
        run(&back, Stage::Rollback).ok();
        let left: Vec<String> = etc(&target).into_iter().filter(|line| !line.contains(".hoist-tmp")).collect();
        assert_eq!(left, before, "round {round}");
    }
    assert!(killed > 0, "none was killed at work");
}

#[test]
fn a_lease_that_runs_out_gives_a_file_its_place_again_and_so_does_the_rollback_after_another_promote() {
    let (target, one, two) = edited_by_hand();
    let before = etc(&target);
    let leased = StageRequest { confirm_timeout: 1, restore: Some(one.clone()), ..request(&target, "r2", &two, "two") };
    run(&leased, Stage::ConfigDeploy).ok();
    run(&leased, Stage::Promote).ok();
    until(|| {
        let lease = target.facts(&leased).lease;
        matches!(lease.map(|lease| lease.stands), Some(LeaseStands::RolledBack { .. }))
    });
    assert_eq!(etc(&target), before);
    let late = StageRequest { confirm_timeout: 60, ..leased };
    run(&late, Stage::Promote).ok();
    assert_eq!(target.reads(&target.etc("app.conf")), "two");
    roll_back(&late, Some(&one)).ok();
    assert_eq!(etc(&target), before);
}

#[test]
fn what_stood_at_the_services_path_has_its_place_again_after_a_rollback() {
    for is_link in [false, true] {
        let (target, one, two) = edited_by_hand();
        let elsewhere = target.dir.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("precious"), "data").unwrap();
        fs::remove_file(target.live()).unwrap();
        if is_link {
            symlink(&elsewhere, target.live()).unwrap();
        } else {
            fs::rename(&elsewhere, target.live()).unwrap();
        }
        let served = || snapshot(target.live().parent().unwrap()).into_iter().filter(|line| !line.contains("-cache"));
        let before: Vec<String> = served().collect();
        let request = request(&target, "r2", &two, "two");
        run(&request, Stage::ConfigDeploy).ok();
        run(&request, Stage::Promote).ok();
        assert_eq!(fs::read_link(target.live()).unwrap(), target.rev(&two));
        for _ in 0..2 {
            let reply = roll_back(&request, Some(&one)).ok();
            assert_eq!(reply.state().current.as_ref(), Some(&one));
            assert_eq!(served().collect::<Vec<_>>(), before);
        }
        assert_eq!(fs::read(target.live().join("precious")).unwrap(), b"data");
    }
}

/// A target to which nothing of Hoist's was ever deployed, with a release of somebody else's at the service's path and a
/// configuration file of their own; and the request of the first deployment, which is checked out.
fn served_by_somebody_else(is_link: bool) -> (Target, Revision, StageRequest) {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    let release = target.dir.path().join("releases/1");
    fs::create_dir_all(&release).unwrap();
    fs::write(release.join("precious"), "data").unwrap();
    fs::create_dir_all(target.live().parent().unwrap()).unwrap();
    match is_link {
        true => symlink(&release, target.live()).unwrap(),
        false => fs::rename(&release, target.live()).unwrap(),
    }
    fs::create_dir_all(target.etc("")).unwrap();
    fs::write(target.etc("app.conf"), "by hand").unwrap();
    let request = request(&target, "r1", &one, "one");
    target.fetch(&request).ok();
    run(&request, Stage::ConfigDeploy).ok();
    target.forget_log();
    (target, one, request)
}

/// What a service sees, without what is Hoist's own.
fn served(target: &Target) -> Vec<String> {
    let beside = snapshot(target.live().parent().unwrap()).into_iter().filter(|line| !line.contains("-cache"));
    beside.chain(etc(target)).filter(|line| !line.contains(".hoist-tmp")).collect()
}

#[test]
fn a_host_that_somebody_elses_release_served_is_served_by_it_again_after_a_rollback() {
    for is_link in [false, true] {
        let (target, one, request) = served_by_somebody_else(is_link);
        let (before, state) = (served(&target), target.facts(&request).state);
        assert!(state.occupant.is_some());
        run(&request, Stage::Promote).ok();
        let promoted = target.facts(&request).state;
        assert_eq!((promoted.current, promoted.occupant), (Some(one), None));
        target.forget_log();
        let back = roll_back(&request, None).ok();
        assert_eq!(served(&target), before);
        assert_eq!(target.logged(), ["restart app"], "on what is there again");
        assert_eq!((&back.state().occupant, &back.state().current), (&state.occupant, &None));
        assert!(back.state().stray_links.is_empty());
        // Once more: there is nothing left to do.
        roll_back(&request, None).ok();
        assert_eq!(served(&target), before);
        assert_eq!(target.logged(), ["restart app"]);
        // The next deployment finds the host as the first one did.
        let next = in_run("r2", request);
        run(&next, Stage::Promote).ok();
        roll_back(&next, None).ok();
        assert_eq!(served(&target), before);
    }
}

#[test]
fn somebody_elses_release_has_its_place_again_wherever_the_first_promote_and_its_rollback_are_killed() {
    let (target, _, first) = served_by_somebody_else(false);
    let before = served(&target);
    let mut moments = Moments(5);
    let mut killed = 0;
    for round in 0..16 {
        let request = in_run(&format!("s{round:02}"), first.clone());
        killed += usize::from(kill_in(&request, Stage::Promote, b"", moments.next(Duration::from_millis(25))));
        killed += usize::from(kill_in(&request, Stage::Rollback, b"", moments.next(Duration::from_millis(25))));
        run(&request, Stage::Rollback).ok();
        assert_eq!(served(&target), before, "round {round}");
        assert_eq!(target.facts(&request).state.current, None);
    }
    assert!(killed > 0, "none was killed at work");
}

#[test]
fn a_release_that_cannot_have_its_place_again_leaves_the_new_one_live_and_says_so() {
    let (target, one, request) = served_by_somebody_else(false);
    run(&request, Stage::Promote).ok();
    for entry in fs::read_dir(target.live().parent().unwrap()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().contains(".before-hoist-") {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    let reply = roll_back(&request, None);
    assert!(reply.reason().ends_with("is not what it was before this run"), "{reply:?}");
    assert_eq!(reply.state().current.as_ref(), Some(&one));
    assert_eq!(fs::read_link(target.live()).unwrap(), target.rev(&one));
}

#[test]
fn what_a_first_deployment_leaves_aside_is_named_where_nothing_stood_at_the_services_path() {
    let (target, one, request) = served_by_somebody_else(false);
    fs::remove_dir_all(target.live()).unwrap();
    run(&request, Stage::Promote).ok();
    let back = roll_back(&request, None).ok();
    back.says("left unchanged");
    assert_eq!(back.state().current.as_ref(), Some(&one));
    let told = back.lines(Level::Warning).join("\n");
    assert!(told.contains("app.conf.before-hoist-") && told.contains("it is not moved back"), "{told}");
}

#[test]
fn a_link_that_somebody_made_into_a_release_is_not_taken_for_one_of_hoists_and_comes_back() {
    let (target, _, request) = served_by_somebody_else(false);
    let conf = target.etc("app.conf");
    fs::remove_file(&conf).unwrap();
    symlink(target.live().join("precious"), &conf).unwrap();
    let before = served(&target);
    run(&request, Stage::Promote).ok();
    assert_eq!(target.reads(&conf), "one");
    roll_back(&request, None).ok();
    assert_eq!(served(&target), before);
    assert_eq!(target.reads(&conf), "data");

    // Into a tree of Hoist's, to a file that was never rendered.
    let (target, one, two) = edited_by_hand();
    let conf = target.etc("c.conf");
    symlink(target.live().join("a"), &conf).unwrap();
    let before = etc(&target);
    let mut request = self::request(&target, "r2", &two, "two");
    request.config_files.as_mut().unwrap().push(config_file(&conf, "t"));
    run(&request, Stage::ConfigDeploy).ok();
    run(&request, Stage::Promote).ok();
    assert_eq!(target.reads(&conf), "two");
    roll_back(&request, Some(&one)).ok();
    assert_eq!(etc(&target), before);
    assert_eq!(target.reads(&conf), "1");
}
