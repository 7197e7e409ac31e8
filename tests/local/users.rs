//! Targets whose remote user may not do everything.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use hoist::wire::{Ask, Check, CheckPoint, CheckType, Fetch, Level, Request, Stage, StageRequest, TargetEvent, Unlock};

use crate::harness::*;
use crate::rights::is_root;

/// Becomes a user without rights, with the rules of sudo and the command `service` that the target has.
const BECOME: &str = "mount --bind $dir/sudoers /etc/sudoers && mount --bind $dir/service /usr/sbin/service && \
                      exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"";

fn own(owner: &str, path: &Path) {
    assert!(Command::new("chown").args(["-R", owner]).arg(path).status().unwrap().success());
}

/// A target whose deploy directory is nobody's, who may restart services as Scap's users may. `None` where this user
/// cannot make one.
pub fn of_nobody() -> Option<Target> {
    if !is_root() {
        return None;
    }
    let target = Target::new();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    mode(target.dir.path(), 0o755);
    fs::create_dir_all(target.deploy_dir()).unwrap();
    own("65534:65534", &target.deploy_dir());
    let (rules, service) = (target.dir.path().join("sudoers"), target.dir.path().join("service"));
    fs::write(&rules, "nobody ALL = (root) NOPASSWD: /usr/sbin/service app restart\n").unwrap();
    mode(&rules, 0o440);
    fs::write(&service, format!("#!/bin/sh\necho \"service $* by $(id -u)\" >>{}\n", target.log().display())).unwrap();
    mode(&service, 0o755);
    Some(target)
}

/// Such a target, a revision, and a request whose services are restarted by systemctl.
fn with_the_usual_command() -> Option<(Target, hoist::wire::Revision, StageRequest)> {
    let target = of_nobody()?;
    let one = target.commit(&[("a", "1")]);
    let mut request = target.request("r1", &one);
    request.service.command = String::new();
    Some((target, one, request))
}

/// Runs a stage as that user.
fn as_nobody(target: &Target, request: &StageRequest, stage: Stage, pack: &[u8]) -> Reply {
    let mut request = request.clone();
    if !pack.is_empty() {
        let pack_bytes = Some(pack.len() as u64);
        request.fetch =
            Some(Fetch { pack_bytes, shallow: Vec::new(), source: None, rebuild: false, ..Default::default() });
    }
    nobody_is_asked(target, &asked(&request, stage, 0), pack)
}

/// What that user answers to a request.
fn nobody_is_asked(target: &Target, request: &Request, pack: &[u8]) -> Reply {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", BECOME, "sh"]);
    command.args([HOIST, "deploy-local"]).env("dir", target.dir.path());
    let mut child = spawn_by(command, request);
    let _ = child.stdin.take().unwrap().write_all(pack);
    reply(child)
}

#[test]
fn old_revisions_of_another_owner_are_told_of_and_hinder_nothing() {
    let Some(target) = of_nobody() else { return };
    let revisions: Vec<_> = (0..4).map(|number| target.commit(&[("a", &number.to_string())])).collect();
    for (number, revision) in revisions.iter().enumerate() {
        let mut request = target.request(&format!("r{number}"), revision);
        request.service.names.clear();
        request.cache_revs = 0;
        as_nobody(&target, &request, Stage::Fetch, &target.pack(revision, &[])).ok();
        as_nobody(&target, &request, Stage::Promote, b"").ok();
        let done = as_nobody(&target, &request, Stage::Finalize, b"").ok();
        assert_eq!(done.state().done.as_ref(), Some(revision));
        if number == 0 {
            // Somebody has made it root's, as a deployment by hand would.
            own("0:0", &target.rev(revision));
        } else if number > 1 {
            // What was done before stays until the run is over, so this is the first to go.
            let warnings = done.lines(Level::Warning);
            assert!(warnings.iter().any(|line| line.contains("Permission denied")), "{done:#?}");
        }
    }
    let facts = target.facts(&target.request("r9", &revisions[3]));
    assert!(!facts.revisions.contains(&revisions[1]), "{facts:?}");
}

#[test]
fn a_user_whose_rules_of_sudo_are_for_scaps_command_restarts_services_by_that() {
    let Some((target, one, mut request)) = with_the_usual_command() else { return };
    as_nobody(&target, &request, Stage::Fetch, &target.pack(&one, &[])).ok();
    as_nobody(&target, &request, Stage::Promote, b"").ok().says("service app: restart done");
    assert_eq!(target.logged(), ["service app restart by 0"]);
    // There is no rule for this one.
    request.service.names[0].action = "reload".to_owned();
    let reply = as_nobody(&target, &request, Stage::RestartService, b"");
    assert_eq!(reply.reason(), "service app: reload failed with exit status 1: sudo: a password is required");
    reply.says("service app: sudo: a password is required");
    assert_eq!(target.logged().len(), 1);
}

#[test]
fn a_file_that_is_denied_is_named_with_its_owner_its_mode_and_what_repairs_it() {
    let Some(target) = of_nobody() else { return };
    let one = target.commit(&[("a", "1")]);
    let request = target.request("r1", &one);
    as_nobody(&target, &request, Stage::Fetch, &target.pack(&one, &[])).ok();
    let lock = target.root().join(".hoist/lock");
    std::os::unix::fs::chown(&lock, Some(0), Some(0)).unwrap();
    fs::set_permissions(&lock, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let reply = as_nobody(&target, &request, Stage::Promote, b"");
    let reason = reply.reason();
    assert!(reason.contains("cannot open") && reason.contains("Permission denied"), "{reason}");
    assert!(reason.contains("lock belongs to root, mode 0600): deploy as root, or let root share"), "{reason}");
    // A folder above it is in the way.
    fs::remove_file(&lock).unwrap();
    let folder = target.root().join(".hoist");
    std::os::unix::fs::chown(&folder, Some(0), Some(0)).unwrap();
    let reply = as_nobody(&target, &request, Stage::Promote, b"");
    assert!(reply.reason().contains(".hoist belongs to root"), "{}", reply.reason());
}

#[test]
fn a_user_who_cannot_read_what_is_deployed_says_nothing_of_it() {
    let Some(target) = of_nobody() else { return };
    let one = target.commit(&[("a", "1")]);
    let mut request = target.request("r1", &one);
    request.service.names.clear();
    as_nobody(&target, &request, Stage::Fetch, &target.pack(&one, &[])).ok();
    as_nobody(&target, &request, Stage::Promote, b"").ok();
    let ask = Request::Ask(Ask { header: request.header.clone(), stage: Stage::Promote, attempt: 0 });
    let unlock = Request::Unlock(Unlock { header: request.header.clone(), held: None });
    let back = asked(&StageRequest { restore: Some(one.clone()), ..request.clone() }, Stage::Rollback, 1);
    let requests = [Request::Probe(probe(&request)), ask, back, unlock];
    // The folder of the repository, and that of its revisions alone.
    for folder in [target.root(), target.root().join("revs")] {
        own("0:0", &folder);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        for request in &requests {
            let reply = nobody_is_asked(&target, request, b"");
            match reply.events.last() {
                // The record can be read, but not what came of it.
                Some(TargetEvent::Ended { outcome: Err(fault), state: None }) => {
                    assert!(fault.to_string().contains("Permission denied"), "{fault}");
                }
                Some(TargetEvent::Ended { outcome: Ok(()), state: None }) if matches!(request, Request::Unlock(_)) => {}
                _ => panic!("{} {request:?}: {reply:#?}", folder.display()),
            }
        }
        own("65534:65534", &folder);
    }
    assert_eq!(nobody_is_asked(&target, &requests[2], b"").state().current, Some(one));
}

/// What the probe of that user finds of what later stages would fail at.
pub fn nobody_finds(target: &Target, request: &StageRequest) -> Vec<(Level, String)> {
    findings(&nobody_is_asked(target, &Request::Probe(preflight_of(request)), b""))
}

#[test]
fn the_probe_asks_sudo_for_the_very_command_that_promote_will_run() {
    let Some((target, _, mut request)) = with_the_usual_command() else { return };
    // Scap's rule will do, and asking runs nothing.
    let found = nobody_finds(&target, &request);
    assert!(found.iter().all(|(_, message)| !message.contains("sudo")), "{found:?}");
    assert!(target.logged().is_empty());
    // There is no rule for this one.
    request.service.names[0].action = "reload".to_owned();
    let found = nobody_finds(&target, &request);
    let wanted = "service app: nobody may not run `sudo systemctl reload app` without a password: add a NOPASSWD rule";
    assert!(found.iter().any(|(level, message)| *level == Level::Error && message.starts_with(wanted)), "{found:?}");
    // A script that drains the host, or does anything else, gives nobody a rule.
    for at in [CheckPoint::After(Stage::Fetch), CheckPoint::Before(Stage::RestartService)] {
        request.checks = vec![Check { kind: CheckType::Script, ..check("drain", at, "drain") }];
        let found = nobody_finds(&target, &request);
        assert!(
            found.iter().any(|(level, message)| *level == Level::Error && message.starts_with(wanted)),
            "{found:?}"
        );
    }
    request.checks.clear();
    // A command of the configuration's own that goes through sudo is asked for as it is.
    request.service.command = "sudo /usr/sbin/service {service} {action}".to_owned();
    assert!(nobody_finds(&target, &request)[0].1.contains("`sudo /usr/sbin/service app reload`"));
    request.service.names[0].action = "restart".to_owned();
    assert_eq!(nobody_finds(&target, &request), []);
    assert!(target.logged().is_empty());
}

#[test]
fn folders_that_the_user_may_not_write_to_are_found_at_the_probe() {
    let Some(target) = of_nobody() else { return };
    let one = target.commit(&[("a", "1")]);
    let mut request = target.request("r1", &one);
    let etc = target.dir.path().join("etc");
    fs::create_dir_all(&etc).unwrap();
    fs::set_permissions(&etc, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    request.config_files = Some(vec![config_file(&target.etc("app.conf"), "a")]);
    let found = nobody_finds(&target, &request);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, Level::Error);
    let file = format!("configuration file {}: cannot write to ", target.etc("app.conf"));
    assert!(found[0].1.starts_with(&file) && found[0].1.contains("belongs to root, mode 0755"), "{found:?}");
    own("65534:65534", &target.dir.path().join("etc"));
    assert_eq!(nobody_finds(&target, &request), []);
    // The deploy directory itself, and what an earlier deployment by somebody else has left there.
    as_nobody(&target, &request, Stage::Fetch, &target.pack(&one, &[])).ok();
    own("0:0", &target.root().join("revs"));
    let found = nobody_finds(&target, &request);
    assert!(found[0].1.contains("app-cache/revs: Permission denied") && found.len() == 1, "{found:?}");
    own("0:0", &target.deploy_dir());
    let parent = target.live().parent().unwrap().display().to_string();
    let found = nobody_finds(&target, &request);
    let all = format!("cannot write to {parent}, {} and 3 more: Permission denied (", target.root().display());
    assert!(found[0].1.starts_with(&all) && found.len() == 1, "{found:?}");
    assert!(found[0].1.contains(", and the remote user is nobody): use chown or chmod there, or set ssh_user to root"));
}

#[test]
fn a_shared_directory_that_its_user_cannot_move_is_found_at_the_probe() {
    let Some((target, _, request)) = with_the_usual_command() else { return };
    let pack = target.pack(&request.revision, &[]);
    as_nobody(&target, &request, Stage::Fetch, &pack).ok();
    as_nobody(&target, &request, Stage::Promote, b"").ok();
    fs::create_dir(target.live().join("uploads")).unwrap();
    let mut next = in_run("r2", request);
    next.revision = target.commit(&[("a", "2")]);
    next.extras.shared.dirs.push("uploads".parse().unwrap());
    let found = findings(&nobody_is_asked(&target, &Request::Probe(preflight_of(&next)), b""));
    let wanted =
        format!("shared_dirs: uploads: cannot write to {}", target.rev(&next.revision).parent().unwrap().display());
    let why: Vec<_> = found.iter().filter(|(level, why)| *level == Level::Error && why.starts_with(&wanted)).collect();
    assert!(matches!(why.as_slice(), [(_, why)] if why.contains("root")), "{found:?}");
    own("65534:65534", &target.live().join("uploads/"));
    let found = findings(&nobody_is_asked(&target, &Request::Probe(preflight_of(&next)), b""));
    assert!(!found.iter().any(|(_, why)| why.contains("shared_dirs")), "{found:?}");
}
