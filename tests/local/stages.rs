//! The stages, one after the other, and what a target looks like after them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hoist::timings::Part;
use hoist::wire::{CommandLine, Fault, Fetch, Level, Revision, ServiceName, Stage, StageRequest};

use crate::harness::*;
use crate::ports;

fn promoted(request: &StageRequest, target: &Target) {
    target.fetch(request).ok();
    run(request, Stage::ConfigDeploy).ok();
    run(request, Stage::Promote).ok();
}

#[test]
fn a_deployment_from_nothing_ends_with_all_links_in_place() {
    let target = Target::new();
    let one = target.commit(&[("app.txt", "one"), ("run!", "#!/bin/sh\n")]);
    let request = target.request("r1", &one);
    let fetched = target.fetch(&request).ok();
    assert_eq!(fetched.state().in_progress.as_ref(), Some(&one));
    assert_eq!(fetched.state().current, None);
    run(&request, Stage::ConfigDeploy).ok();
    let promoted = run(&request, Stage::Promote).ok();
    assert_eq!(promoted.state().current.as_ref(), Some(&one));
    assert_eq!(promoted.state().done, None);
    assert_eq!(target.logged(), ["restart app"]);
    let done = run(&request, Stage::Finalize).ok();
    assert_eq!(done.state().done.as_ref(), Some(&one));
    assert_eq!(done.state().in_progress, None);

    assert_eq!(fs::read_link(target.live()).unwrap(), target.rev(&one));
    assert_eq!(fs::read_link(target.root().join("current")).unwrap(), Path::new("revs").join(one.as_str()));
    assert_eq!(fs::read(target.live().join("app.txt")).unwrap(), b"one");
    assert_eq!(
        fs::metadata(target.live().join("app.txt")).unwrap().mode() & 0o777,
        0o664,
        "the umask is the request's"
    );
    assert_eq!(fs::metadata(target.live().join("run")).unwrap().mode() & 0o777, 0o775);
    assert_eq!(git(&target.live(), &["status", "--porcelain"]), "");
}

#[test]
fn a_probe_changes_nothing_and_tells_what_is_there() {
    let (target, one, request) = Target::with_one();
    let facts = target.facts(&request);
    assert!(!target.deploy_dir().exists(), "a probe of a new host makes no folder");
    assert_eq!((facts.revisions.len(), facts.cached.len(), &facts.locked), (0, 0, &None));
    assert!(facts.free_bytes > 0);

    target.deploy(&request);
    fs::create_dir(target.root().join("revs").join("2".repeat(40))).unwrap();
    let before = snapshot(target.dir.path());
    let facts = target.facts(&request);
    assert_eq!(snapshot(target.dir.path()), before);
    assert_eq!(facts.revisions, std::slice::from_ref(&one), "an empty folder is no working tree");
    assert_eq!(facts.cached, std::slice::from_ref(&one));
    assert_eq!(facts.state.current, Some(one));
    assert_eq!(facts.version, env!("CARGO_PKG_VERSION"));
}

#[test]
fn promote_of_the_live_revision_does_nothing_unless_it_is_forced() {
    let (target, one, request) = Target::with_one();
    target.deploy(&request);
    target.forget_log();
    let again = run(&target.request("r2", &one), Stage::Promote).ok();
    again.says(&format!("group/app:{} is already live (use --force to override)", one.short()));
    assert_eq!(target.logged(), [""; 0]);
    run(&StageRequest { force: true, ..target.request("r3", &one) }, Stage::Promote).ok();
    assert_eq!(target.logged(), ["restart app"]);
}

#[test]
fn a_rollback_restores_the_old_revision_and_restarts_the_service() {
    let (target, one, two, request) = Target::with_two();
    promoted(&request, &target);
    assert_eq!(fs::read(target.live().join("a")).unwrap(), b"2");
    target.forget_log();
    let back = roll_back(&request, Some(&one)).ok();
    assert_eq!(back.state().current.as_ref(), Some(&one));
    assert_eq!(back.state().in_progress, None);
    assert_eq!(fs::read(target.live().join("a")).unwrap(), b"1");
    assert_eq!(target.logged(), ["restart app"]);
    assert!(target.rev(&two).join("a").exists(), "the failed revision is kept to be looked at");
}

#[test]
fn a_rollback_of_a_host_that_was_never_promoted_restarts_nothing() {
    let (target, one, _, request) = Target::with_two();
    target.fetch(&request).ok();
    target.forget_log();
    let back = roll_back(&request, Some(&one)).ok();
    assert_eq!((back.state().current.as_ref(), back.state().in_progress.as_ref()), (Some(&one), None));
    assert_eq!(target.logged(), [""; 0]);
}

#[test]
fn a_host_with_nothing_to_go_back_to_is_left_as_it_is() {
    let (target, one, request) = Target::with_one();
    promoted(&request, &target);
    let back = roll_back(&request, None).ok();
    back.says("left unchanged");
    assert_eq!((back.state().current.as_ref(), back.state().in_progress.as_ref()), (Some(&one), None));
}

#[test]
fn a_rollback_rebuilds_a_tree_that_is_gone_from_the_cache_and_repairs_one_that_is_damaged() {
    let (target, one, two, request) = Target::with_two();
    promoted(&request, &target);
    fs::remove_dir_all(target.rev(&one)).unwrap();
    roll_back(&request, Some(&one)).ok();
    assert_eq!(fs::read(target.live().join("a")).unwrap(), b"1");

    promoted(&target.request("r3", &two), &target);
    fs::remove_file(target.rev(&one).join(".git/index")).unwrap();
    fs::remove_file(target.rev(&one).join("a")).unwrap();
    fs::write(target.rev(&one).join("untracked"), "kept").unwrap();
    roll_back(&target.request("r3", &two), Some(&one)).ok();
    assert_eq!(fs::read(target.live().join("a")).unwrap(), b"1");
    assert_eq!(fs::read(target.live().join("untracked")).unwrap(), b"kept");
}

#[test]
fn a_real_directory_in_the_place_of_the_services_path_is_moved_aside_and_never_removed() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    fs::create_dir_all(target.live()).unwrap();
    fs::write(target.live().join("precious"), "data").unwrap();
    let request = target.request("r1", &one);
    target.fetch(&request).ok();
    let reply = run(&request, Stage::Promote).ok();
    let warning = reply.lines(Level::Warning).join("\n");
    let aside = warning.split_once(" it was renamed to ").expect(&warning).1;
    assert!(aside.contains("app.before-hoist-"), "{aside}");
    assert_eq!(fs::read(Path::new(aside.trim()).join("precious")).unwrap(), b"data");
    assert_eq!(fs::read_link(target.live()).unwrap(), target.rev(&one));
}

#[test]
fn a_link_of_somebody_elses_at_the_services_path_is_set_aside_and_named() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    let release = target.dir.path().join("releases/1");
    fs::create_dir_all(&release).unwrap();
    fs::create_dir_all(target.live().parent().unwrap()).unwrap();
    symlink(&release, target.live()).unwrap();
    let request = target.request("r1", &one);
    target.fetch(&request).ok();
    let reply = run(&request, Stage::Promote).ok();
    let warning = reply.lines(Level::Warning).join("\n");
    assert!(warning.contains(&format!("was a link to {}; it was renamed to ", release.display())), "{warning}");
    let aside = warning.split_once(" it was renamed to ").unwrap().1;
    assert_eq!(fs::read_link(aside.trim()).unwrap(), release);
    assert_eq!(fs::read_link(target.live()).unwrap(), target.rev(&one));
    // Its own is replaced, wherever it leads.
    let two = target.commit(&[("a", "2")]);
    fs::remove_file(target.live()).unwrap();
    symlink(target.root().join("revs/gone"), target.live()).unwrap();
    let request = target.request("r2", &two);
    target.fetch(&request).ok();
    assert_eq!(run(&request, Stage::Promote).ok().lines(Level::Warning), Vec::<&str>::new());
}

#[test]
fn what_stands_in_the_place_of_a_link_of_hoists_own_is_moved_aside_and_never_removed() {
    for name in ["current", ".done", ".in-progress"] {
        for (is_folder, goes_back) in [(false, false), (true, false), (true, true)] {
            let (target, one, two, request) = Target::with_two();
            let restored = || {
                // As a backup leaves it that has followed the link.
                let link = target.root().join(name);
                let _ = fs::remove_file(&link);
                if is_folder {
                    fs::create_dir(&link).unwrap();
                    fs::write(link.join("precious"), "data").unwrap();
                } else {
                    fs::write(&link, "data").unwrap();
                }
            };
            if !goes_back {
                restored();
            }
            target.promote(&request);
            if goes_back {
                restored();
                roll_back(&request, Some(&one)).ok();
            } else {
                run(&request, Stage::Finalize).ok();
            }
            let state = target.facts(&request).state;
            assert_eq!(state.current.as_ref(), Some(if goes_back { &one } else { &two }), "{name}");
            assert_eq!(state.in_progress, None, "{name}");
            if name == ".done" && goes_back {
                // Finalize has not touched it, and so a rollback does not either.
                continue;
            }
            let names = fs::read_dir(target.root()).unwrap().map(|entry| entry.unwrap().path());
            let is_aside = |path: &PathBuf| path.display().to_string().contains(&format!("/{name}.before-hoist-"));
            let aside = names.into_iter().find(is_aside).expect(name);
            let kept = if is_folder { aside.join("precious") } else { aside };
            assert_eq!(fs::read(kept).unwrap(), b"data", "{name}");
        }
    }
}

#[test]
fn a_forced_fetch_restores_what_git_tracks_and_keeps_the_rest() {
    let target = Target::new();
    let one = target.commit(&[("a", "1"), ("b", "2")]);
    let request = target.request("r1", &one);
    target.deploy(&request);
    let tree = target.rev(&one);
    fs::write(tree.join("a"), "modified").unwrap();
    fs::remove_file(tree.join("b")).unwrap();
    fs::write(tree.join("venv"), "built").unwrap();
    run(&request, Stage::Fetch).ok().says("already checked out");
    assert_eq!(fs::read(tree.join("a")).unwrap(), b"modified");
    run(&StageRequest { force: true, ..request }, Stage::Fetch).ok();
    assert_eq!(fs::read(tree.join("a")).unwrap(), b"1");
    assert_eq!(fs::read(tree.join("b")).unwrap(), b"2");
    assert_eq!(fs::read(tree.join("venv")).unwrap(), b"built");
}

#[test]
fn finalize_keeps_the_newest_old_revisions_and_never_takes_what_is_live_or_done() {
    let target = Target::new();
    let mut revisions: Vec<Revision> = Vec::new();
    for number in 0..5 {
        let revision = target.commit(&[("a", &number.to_string())]);
        target.deploy(&StageRequest { cache_revs: 2, ..target.request(&format!("r{number}"), &revision) });
        revisions.push(revision);
    }
    let facts = target.facts(&target.request("r9", &revisions[4]));
    let mut kept = revisions[2..].to_vec();
    kept.sort();
    assert_eq!(facts.revisions, kept);
    let mut cached = facts.cached;
    cached.sort();
    assert_eq!(cached, kept, "what has no tree is kept in the cache no longer");

    // Going back and forth makes an old revision a young one.
    let request = StageRequest { cache_revs: 1, ..target.request("r5", &revisions[2]) };
    run(&request, Stage::Fetch).ok();
    run(&request, Stage::Promote).ok();
    run(&request, Stage::Finalize).ok();
    let mut kept = vec![revisions[2].clone(), revisions[4].clone()];
    kept.sort();
    assert_eq!(target.facts(&request).revisions, kept);
    git(&target.rev(&revisions[4]), &["fsck", "--no-dangling"]);
}

#[test]
fn finalize_of_a_revision_that_is_not_live_fails_and_done_stays() {
    let (target, one, _, request) = Target::with_two();
    target.fetch(&request).ok();
    let reply = run(&request, Stage::Finalize);
    assert!(reply.reason().contains("nothing is finalized"), "{reply:?}");
    assert_eq!(reply.state().done.as_ref(), Some(&one));
}

#[test]
fn promote_without_a_fetch_fails_and_names_the_stage_to_run() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    let reply = run(&target.request("r1", &one), Stage::Promote);
    assert!(reply.reason().contains("run the fetch stage first"), "{reply:?}");
    assert!(!target.live().exists());
}

#[test]
fn a_target_of_scaps_is_taken_over_and_rolled_back_to_what_scap_deployed() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    let root = target.root();
    fs::create_dir_all(root.join("revs")).unwrap();
    git(&root, &["clone", "-q", target.source().to_str().unwrap(), "cache"]);
    git(&root, &["clone", "-q", "--shared", "--no-checkout", "cache", target.rev(&one).to_str().unwrap()]);
    git(&target.rev(&one), &["checkout", "-q", "--detach", one.as_str()]);
    for link in ["current", ".done"] {
        symlink(target.rev(&one), root.join(link)).unwrap();
    }
    symlink(target.rev(&one), target.live()).unwrap();
    let conf = target.etc("app.conf");
    let stored = target.rev(&one).join(".git/config-files").join(conf.trim_start_matches('/'));
    fs::create_dir_all(stored.parent().unwrap()).unwrap();
    fs::create_dir_all(Path::new(&conf).parent().unwrap()).unwrap();
    fs::write(&stored, "scap's").unwrap();
    symlink(&stored, &conf).unwrap();

    let two = target.commit(&[("a", "2")]);
    let mut request = target.request("r1", &two);
    request.config_files = Some(vec![config_file(&conf, "t")]);
    request.templates.insert("t".to_owned(), "hoist's".to_owned());
    let facts = target.facts(&request);
    assert_eq!((&facts.state.current, &facts.state.done), (&Some(one.clone()), &Some(one.clone())));
    assert_eq!((&facts.cached, &facts.revisions), (&vec![one.clone()], &vec![one.clone()]));

    target.fetch_pack(&request, &target.pack(&two, &[&one]), false).ok();
    run(&request, Stage::ConfigDeploy).ok();
    run(&request, Stage::Promote).ok();
    assert_eq!(target.reads(&conf), "hoist's");
    let back = roll_back(&request, Some(&one)).ok();
    assert_eq!(back.state().current.as_ref(), Some(&one));
    assert_eq!(target.reads(&conf), "scap's");
    assert_eq!(fs::read(target.live().join("a")).unwrap(), b"1");

    let again = in_run("r2", request);
    run(&again, Stage::Fetch).ok();
    run(&again, Stage::ConfigDeploy).ok();
    run(&again, Stage::Promote).ok();
    run(&again, Stage::Finalize).ok();
    git(&target.rev(&one), &["fsck", "--no-dangling"]);
    assert_eq!(target.reads(&conf), "hoist's");
}

#[test]
fn services_that_a_host_lacks_are_skipped_and_a_failing_one_names_itself() {
    let (_target, _, mut request) = Target::fetched();
    request.service.command = "/bin/sh -c 'test {action} != status || exit 4; exit 7'".to_owned();
    request.service.require_valid = true;
    run(&request, Stage::Promote).ok().says("service app is skipped");
    request.service.require_valid = false;
    let reply = run(&request, Stage::RestartService);
    assert_eq!(reply.reason(), "service app: restart failed with exit status 7");
}

#[test]
fn a_service_that_is_marked_for_it_is_disabled_on_a_secondary_target_and_restarted_elsewhere() {
    let (target, _, mut request) = Target::with_one();
    let plain = request.service.names[0].clone();
    let marked = |name: &str, action: &str| ServiceName {
        name: name.to_owned(),
        action: action.to_owned(),
        disable_secondary: true,
    };
    request.service.names = vec![marked("worker", "restart"), plain, marked("timer", "reload")];
    target.promote(&request);
    assert_eq!(target.logged(), ["restart worker", "restart app", "reload timer"]);
    target.forget_log();
    fs::write(&request.service.secondary_file, "").unwrap();
    let said = format!("service worker is disabled instead of restarted: {}", request.service.secondary_file.display());
    run(&request, Stage::RestartService).ok().says(&said);
    assert_eq!(target.logged(), ["stop worker", "disable worker", "restart app", "stop timer", "disable timer"]);
    // Where nothing was restarted no port is waited for.
    request.service.names.remove(1);
    request.service.port = Some(1);
    run(&request, Stage::RestartService).ok();
    request.service.command = "/bin/sh -c 'test {action} != disable'".to_owned();
    let reply = run(&request, Stage::RestartService);
    assert_eq!(reply.reason(), "service worker: disable failed with exit status 1");
}

#[test]
fn promote_waits_for_the_port_and_fails_when_nobody_answers() {
    let (_target, _, mut request) = Target::fetched();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    request.service.port = Some(port);
    run(&request, Stage::Promote).ok().says(&format!("port {port} accepts connections"));
    let refusing = ports::refusing();
    let port = refusing.number;
    request.service.port = Some(port);
    request.service.timeout = 1;
    let reply = run(&request, Stage::RestartService);
    assert_eq!(reply.reason(), format!("port {port} accepted no connection within 1 s"));
}

/// Where the system gives the service's port to the very socket that connects to it, TCP connects it to itself. Here it
/// has no other.
#[test]
fn a_port_that_only_the_attempt_to_connect_has_taken_accepts_no_connection() {
    let (_target, _, mut request) = Target::fetched();
    run(&request, Stage::Promote).ok();
    request.service.port = Some(40_000);
    request.service.timeout = 1;
    let request = asked(&request, Stage::RestartService, 0);
    let mut alone = Command::new("unshare");
    let network = "ip link set lo up && echo 40000 40000 >/proc/sys/net/ipv4/ip_local_port_range && exec \"$@\"";
    alone.args(["--net", "sh", "-c", network, "sh", HOIST, "deploy-local"]);
    let reply = reply(spawn_by(alone, &request));
    assert_eq!(reply.reason(), "port 40000 accepted no connection within 1 s");
}

/// What was begun is never begun again under the same number, whoever asks, and the record says how it ended.
#[test]
fn a_run_once_step_runs_once_in_the_tree_of_its_revision() {
    let (target, one, request) = Target::with_one();
    target.deploy(&request);
    let with = |line: &str| StageRequest {
        command: Some(Box::new(CommandLine {
            line: line.to_owned(),
            timeout: 20,
            environment: [("HOIST_REVISION".to_owned(), one.to_string())].into(),
            ..CommandLine::default()
        })),
        ..request.clone()
    };
    let log = target.log().display().to_string();
    let step = with(&format!("echo step >> {log}; pwd; echo $HOIST_TREE; exit 3"));
    let failed = Err(Fault::Failed { reason: "exit status 3".into(), status: Some(3) });
    let before = target.logged().len();
    let reply = run(&step, Stage::Once);
    assert_eq!(reply.ended().0, &failed);
    let tree = target.rev(&one).display().to_string();
    assert_eq!(reply.lines(Level::Info), [tree.as_str(), tree.as_str()]);
    let again = run(&step, Stage::Once);
    assert_eq!((again.ended().0, target.logged().len()), (&failed, before + 1), "it ran again");
    // The request of the deployment is still the one for stages by hand.
    let kept = target.root().join(".hoist/last-request.json");
    assert!(!fs::read_to_string(kept).unwrap().contains("HOIST_TREE"));
    let none = run(&StageRequest { command: None, ..request.clone() }, Stage::Once);
    assert_eq!(none.ended().0, &failed, "the record is what counts");
}

#[test]
fn what_git_takes_counts_as_git_and_the_wait_for_the_pack_does_not() {
    const TAKES: Duration = Duration::from_secs(1);
    let target = Target::new();
    let one = target.commit(&[("app.txt", "one")]);
    let pack = target.pack(&one, &[]);
    let mut request = target.request("r1", &one);
    request.header.timings = true;
    request.fetch = Some(Fetch { pack_bytes: Some(pack.len() as u64), ..Fetch::default() });
    let programs = target.dir.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let slow = "#!/bin/sh\ncase \"$*\" in *index-pack*) ;; *checkout*|*read-tree*) sleep 1 ;; esac\nPATH=${PATH#*:}\nexec git \"$@\"\n";
    fs::write(programs.join("git"), slow).unwrap();
    fs::set_permissions(programs.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut child = spawn_with(&asked(&request, Stage::Fetch, 0), &[("PATH", &path)]);
    let mut input = child.stdin.take().unwrap();
    let (first, rest) = pack.split_at(pack.len() / 2);
    input.write_all(first).unwrap();
    std::thread::sleep(TAKES);
    input.write_all(rest).unwrap();
    let parts = reply(child).ok().parts();
    // Git is started only after a moment, in which the pack is on its way already.
    assert!(parts.of(Part::Git) >= TAKES && parts.of(Part::Input) >= TAKES / 2, "{parts:?}");
    assert!(parts.of(Part::Work) > Duration::ZERO, "{parts:?}");
}
