//! What the probe finds of what later stages would fail at, and what it leaves alone.

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::Path;
use std::process::Command;

use hoist::wire::{Check, CheckPoint, CheckType, Level, Probe, Request, ScriptHead, Stage, StageRequest};

use crate::harness::*;
use crate::rights::is_root;
use crate::trouble::Small;

fn found_by(probe: Probe) -> Vec<(Level, String)> {
    findings(&call(&Request::Probe(probe), b""))
}

fn found(request: &StageRequest) -> Vec<(Level, String)> {
    found_by(preflight_of(request))
}

/// A check whose command is not a shell's.
fn plain(name: &str, stage: Stage, command: &str) -> Check {
    Check { shell: false, ..check(name, CheckPoint::After(stage), command) }
}

fn target() -> (Target, StageRequest) {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    let mut request = target.request("r1", &one);
    request.service.names.clear();
    (target, request)
}

fn error(message: &str) -> (Level, String) {
    (Level::Error, message.to_owned())
}

fn warning(message: &str) -> (Level, String) {
    (Level::Warning, message.to_owned())
}

fn program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_name_that_leads_into_another_repositorys_deployment_is_refused_at_the_probe() {
    let of = |target: &Target, repo: &str| {
        let head = git(&target.source(), &["rev-parse", "HEAD"]).parse().unwrap();
        let mut request = target.request("r1", &head);
        request.service.names.clear();
        request.header.repo = repo.to_owned();
        request
    };
    for (first, then, what) in [
        ("group/app", "group", "/srv/group would replace"),
        ("group/app", "group/app/web", "/srv/group/app/web leads into"),
        ("group/app", "group/app-cache", "/srv/group/app-cache would replace"),
        ("group/app", "group/app-cache/revs", "/srv/group/app-cache/revs leads into"),
        ("group/app-cache", "group/app", "/srv/group/app leads into"),
    ] {
        let (target, _) = target();
        target.deploy(&of(&target, first));
        let found = found(&of(&target, then));
        let cache = format!("{first}-cache");
        let is_told = |(level, message): &(Level, String)| {
            *level == Level::Error && message.contains(what) && message.contains(&cache) && message.contains("git_repo")
        };
        assert!(found.iter().any(is_told), "{first}, then {then}: {found:?}");
        assert_eq!(self::found(&of(&target, first)), [], "the first one itself");
    }
    // Neighbours, what stands in the way by itself, and trees on another disk are none.
    let (target, _) = target();
    target.deploy(&of(&target, "group/app"));
    fs::create_dir_all(target.deploy_dir().join("group/other/revs")).unwrap();
    for name in ["group/other", "group/ap", "group/app2", "else/app"] {
        assert_eq!(found(&of(&target, name)), [], "{name}");
    }
    let disk = target.dir.path().join("disk");
    fs::rename(target.root(), &disk).unwrap();
    std::os::unix::fs::symlink(&disk, target.root()).unwrap();
    assert_eq!(found(&of(&target, "group/app")), []);
}

#[test]
fn a_program_that_a_check_names_and_that_is_not_there_is_found_at_the_probe() {
    let (target, mut request) = target();
    let there = target.dir.path().join("bin/probe");
    program(&there, "#!/bin/sh\n");
    let closed = target.dir.path().join("bin/closed");
    fs::write(&closed, "").unwrap();
    let line = |path: &Path| format!("{} -x", path.display());
    request.checks = vec![
        plain("fine", Stage::Fetch, "true"),
        plain("own", Stage::Promote, "test -e a"),
        plain("absolute", Stage::Promote, &line(&there)),
        plain("bare", Stage::RestartService, "hoist-no-such-program -a"),
        plain("gone", Stage::RestartService, "/nowhere/check_http -H localhost"),
        plain("closed", Stage::Rollback, &line(&closed)),
    ];
    let wanted = [
        error("check bare: hoist-no-such-program is not installed on this host, or not in PATH"),
        error("check gone: cannot run /nowhere/check_http: No such file or directory"),
        error(&format!("check closed: {} is not executable", closed.display())),
    ];
    // A program of which nothing is known may do anything, a script of root's say.
    let own = request.checks.remove(2);
    assert_eq!(found(&request), wanted);
    request.checks.insert(0, own);
    assert_eq!(found(&request), wanted.map(|(_, message)| warning(&message)));
}

#[test]
fn what_a_shell_the_revision_or_the_folder_of_the_check_decides_is_not_judged() {
    let (target, mut request) = target();
    let in_tree = format!("{}/bin/ready", target.live().display());
    let in_revision = format!("{}/current/venv/bin/python -V", target.root().display());
    request.checks = vec![
        check("shell", CheckPoint::After(Stage::Promote), "no-such-program || true"),
        plain("live", Stage::Promote, &in_tree),
        plain("current", Stage::Promote, &in_revision),
        plain("relative", Stage::Promote, "bin/ready"),
        Check { kind: CheckType::Script, ..plain("script", Stage::Promote, "ready") },
    ];
    assert_eq!(found(&request), []);
}

#[test]
fn what_an_earlier_check_may_put_right_is_a_warning() {
    let (_target, mut request) = target();
    let missing = plain("api", Stage::RestartService, "/nowhere/venv/bin/python -V");
    let build = check("build", CheckPoint::After(Stage::Fetch), "python3 -m venv /nowhere/venv && true");
    let text = "check api: cannot run /nowhere/venv/bin/python: No such file or directory";
    request.checks = vec![build.clone(), missing.clone()];
    assert_eq!(found(&request), [warning(text)]);
    // One that runs later does not help.
    let later = Check { at: CheckPoint::After(Stage::Finalize), ..build };
    request.checks = vec![later, missing.clone()];
    assert_eq!(found(&request), [error(text)]);
    // A repository of Scap's is not kept from what it has done so far.
    request.checks = vec![missing];
    request.header.control_dir = "scap".to_owned();
    assert_eq!(found(&request), [warning(text)]);
}

#[test]
fn a_finding_of_a_groups_check_is_for_that_group() {
    let (_target, mut request) = target();
    request.checks = vec![Check { group: Some("canary".to_owned()), ..plain("c", Stage::Promote, "/nowhere/x") }];
    let facts = facts(preflight_of(&request));
    assert_eq!(facts.findings[0].group.as_deref(), Some("canary"));
}

#[test]
fn an_nrpe_command_has_to_be_defined_and_its_plugin_installed() {
    let (target, mut request) = target();
    let nrpe = |name: &str| Check { kind: CheckType::Nrpe, ..plain(name, Stage::Promote, name) };
    request.checks = vec![nrpe("load"), nrpe("web")];
    fs::create_dir_all(&request.nrpe_dir).unwrap();
    fs::write(request.nrpe_dir.join("a.cfg"), "command[load]=/nowhere/check_load -w 1\n").unwrap();
    let dir = request.nrpe_dir.display();
    let wanted = [
        error("check load: cannot run /nowhere/check_load: No such file or directory"),
        error(&format!("check web: no file in {dir} defines the nrpe command \"web\"")),
    ];
    assert_eq!(found(&request), wanted);
    // The deployment itself may bring the definition.
    request.config_files = Some(vec![config_file(&format!("{dir}/web.cfg"), "t")]);
    assert_eq!(found(&request), []);
    drop(target);
}

#[test]
fn the_interpreter_of_a_script_is_looked_for() {
    let (_target, mut request) = target();
    let script = |name: &str| Check { kind: CheckType::Script, ..plain(name, Stage::Promote, name) };
    request.checks = vec![script("a"), script("b"), script("c")];
    let head = |check: &str, line: &str| ScriptHead { check: check.to_owned(), line: line.to_owned() };
    let mut probe = preflight_of(&request);
    probe.deployment.as_mut().unwrap().preflight.as_mut().unwrap().scripts = vec![
        head("a", "#!/bin/sh -e"),
        head("b", "#!/usr/bin/env no-such-interpreter"),
        head("c", "#! /opt/nowhere/python3 -u"),
    ];
    // A script may change anything, and so these are warnings but for the first.
    let found = found_by(probe);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].1.starts_with("check b: no-such-interpreter is not installed"), "{found:?}");
    assert!(found[1].1.starts_with("check c: cannot run /opt/nowhere/python3"), "{found:?}");
}

#[test]
fn remote_vars_that_cannot_be_read_are_found_at_the_probe_and_their_text_stays_secret() {
    let (target, mut request) = target();
    let vars = target.dir.path().join("vars.yaml");
    let mut file = config_file(&target.etc("app.conf"), "t");
    file.remote_vars = Some(vars.display().to_string());
    request.config_files = Some(vec![file]);
    let says = format!("remote_vars of {}: ", target.etc("app.conf"));
    let one = |request: &StageRequest| match found(request).as_slice() {
        [(Level::Error, message)] => message.strip_prefix(&says).unwrap().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(one(&request), format!("cannot read {}: No such file or directory", vars.display()));
    fs::write(&vars, "ok: 1\npassword: [hunter2\n").unwrap();
    let text = one(&request);
    assert!(text.contains("vars.yaml") && !text.contains("hunter2"), "{text}");
    fs::remove_file(&vars).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&vars).status().unwrap().success());
    assert_eq!(one(&request), format!("{} is not a file", vars.display()));
    fs::remove_file(&vars).unwrap();
    fs::write(&vars, "a: 1\n").unwrap();
    assert_eq!(found(&request), []);
}

#[test]
fn a_place_that_a_configuration_file_cannot_take_is_found_at_the_probe() {
    let (target, mut request) = target();
    fs::create_dir_all(target.etc("app.conf")).unwrap();
    fs::write(target.dir.path().join("file"), "").unwrap();
    let below = target.dir.path().join("file/app.conf").display().to_string();
    request.config_files = Some(vec![config_file(&target.etc("app.conf"), "t"), config_file(&below, "t")]);
    let found = found(&request);
    assert!(found[0].1.contains("is a directory in the place of a configuration file"), "{found:?}");
    assert!(found[1].1.contains("file is not a directory"), "{found:?}");
    assert!(found.iter().all(|(level, _)| *level == Level::Error) && found.len() == 2, "{found:?}");
}

/// A `systemctl` that knows the unit `app` alone, and `masked`.
fn with_systemctl(target: &Target, request: &mut StageRequest, names: &[&str]) {
    let path = target.dir.path().join("bin/systemctl");
    let log = target.log().display().to_string();
    program(
        &path,
        &format!(
            "#!/bin/sh\ncase $1-$2 in\n*-absent) echo \"Unit absent.service could not be found.\" >&2; exit 4;;\n\
             is-enabled-masked) echo masked; exit 1;;\nstatus-*) exit 3;;\nis-enabled-*) echo enabled;;\n\
             *) echo $1 $2 >>{log};;\nesac\n"
        ),
    );
    request.service.command = format!("{} {{action}} {{service}}", path.display());
    let name = |name: &&str| hoist::wire::ServiceName {
        name: (*name).to_owned(),
        action: "restart".to_owned(),
        disable_secondary: false,
    };
    request.service.names = names.iter().map(name).collect();
}

#[test]
fn a_service_that_a_host_does_not_have_is_found_at_the_probe_and_nothing_is_restarted() {
    let (target, mut request) = target();
    with_systemctl(&target, &mut request, &["app", "absent", "masked"]);
    let wanted = [
        error(
            "service absent does not exist on this host: install it, or set require_valid_service to skip it on such \
             hosts",
        ),
        error("service masked is masked on this host: run `systemctl unmask masked` there"),
    ];
    assert_eq!(found(&request), wanted);
    assert!(target.logged().is_empty());
    request.service.require_valid = true;
    assert_eq!(found(&request), [], "they are skipped");
    // What drains the host right before the restart installs no unit.
    request.service.require_valid = false;
    request.checks =
        vec![Check { kind: CheckType::Script, ..check("d", CheckPoint::Before(Stage::RestartService), "drain") }];
    assert_eq!(found(&request), wanted);
    // A check that may install the unit runs ahead of the restart.
    request.service.require_valid = false;
    request.checks =
        vec![check("unit", CheckPoint::After(Stage::Fetch), "cp app.service /etc && systemctl daemon-reload")];
    assert!(found(&request).iter().all(|(level, _)| *level == Level::Warning));
}

#[test]
fn a_unit_that_the_deployment_brings_is_not_judged() {
    let (target, mut request) = target();
    with_systemctl(&target, &mut request, &["absent"]);
    request.config_files = Some(vec![config_file("/etc/systemd/system/absent.service", "t")]);
    assert_eq!(found(&request), []);
}

#[test]
fn a_service_command_that_is_not_there_is_found_and_one_that_is_not_known_is_not_called() {
    let (target, mut request) = target();
    with_systemctl(&target, &mut request, &["app"]);
    request.service.command = "/nowhere/restart {service}".to_owned();
    assert_eq!(found(&request), [error("service app: cannot run /nowhere/restart: No such file or directory")]);
    let own = target.dir.path().join("bin/restart");
    program(&own, &format!("#!/bin/sh\necho called >>{}\n", target.log().display()));
    request.service.command = format!("{} {{action}} {{service}}", own.display());
    assert_eq!(found(&request), []);
    assert!(target.logged().is_empty());
}

#[test]
fn stages_that_do_not_run_need_nothing() {
    let (target, mut request) = target();
    with_systemctl(&target, &mut request, &["absent"]);
    request.config_files = Some(vec![config_file("/proc/version/app.conf", "t")]);
    request.checks = vec![plain("x", Stage::Fetch, "true")];
    let mut probe = preflight_of(&request);
    probe.deployment.as_mut().unwrap().preflight.as_mut().unwrap().stages = vec![Stage::Fetch];
    assert_eq!(found_by(probe), []);
    assert_eq!(found(&request).len(), 2);
}

#[test]
fn a_tree_that_a_service_owns_is_named_with_the_command_that_mends_it() {
    if !is_root() {
        return;
    }
    let (target, request) = target();
    target.deploy(&request);
    let tree = target.rev(&request.revision);
    let places = [tree.join(".git"), tree.join(".git/config"), tree];
    assert_eq!(found(&request), []);
    for place in &places {
        lchown(place, Some(65534), None).unwrap();
        let shown = place.display();
        let message = format!(
            "{shown}: owned by nobody, who can have git run commands as root there; as root, run `chown -h root {shown}`"
        );
        assert_eq!(found(&request), [warning(&message)]);
        lchown(place, Some(0), None).unwrap();
    }
    // Whoever owns the repository's directory may do anything there.
    for place in places.iter().chain([&target.root()]) {
        lchown(place, Some(65534), None).unwrap();
    }
    assert_eq!(found(&request), []);
}

#[test]
fn a_tree_that_others_can_write_to_is_named_with_the_command_that_mends_it() {
    if !is_root() {
        return;
    }
    let (target, request) = target();
    target.deploy(&request);
    let tree = target.rev(&request.revision);
    let set = |place: &Path, mode: u32| fs::set_permissions(place, fs::Permissions::from_mode(mode)).unwrap();
    let give = |place: &Path, group: u32| lchown(place, None, Some(group)).unwrap();
    let message = |place: &Path, who: &str, command: &str| {
        let place = place.display();
        warning(&format!(
            "{place}: writable by {who} can have git run commands as root there; run `{command} {place}`, and use umask \
             0022 for later ones"
        ))
    };
    let by_group = |place: &Path, group: &str| message(place, &format!("group {group}, which"), "chmod g-w");
    for place in [tree.join(".git"), tree.join(".git/config"), tree.clone()] {
        set(&place, 0o777);
        assert_eq!(found(&request), [message(&place, "all users, who", "chmod o-w")]);
        // The group of root alone is root.
        set(&place, 0o775);
        assert_eq!(found(&request), []);
        give(&place, 65534);
        assert_eq!(found(&request), [by_group(&place, "nogroup")]);
        set(&place, 0o755);
        assert_eq!(found(&request), []);
        give(&place, 0);
    }
    // What others add to the top is no command; what they add to git's own directory may be.
    set(&tree, 0o1777);
    assert_eq!(found(&request), []);
    set(&tree, 0o755);
    let git = tree.join(".git");
    set(&git, 0o1777);
    assert_eq!(found(&request), [message(&git, "all users, who", "chmod o-w")]);
    set(&git, 0o755);
    // The mode of a link says nothing.
    fs::rename(&git, tree.with_extension("git")).unwrap();
    std::os::unix::fs::symlink(tree.with_extension("git"), &git).unwrap();
    assert!(!found(&request).iter().any(|(_, message)| message.contains("writable by")));
    fs::remove_file(&git).unwrap();
    fs::rename(tree.with_extension("git"), &git).unwrap();

    // An access control list gives the group's right to others: here to nobody, uid 65534.
    let list = |entries: &[(u16, u16, u32)]| {
        let bytes =
            |(tag, may, id): &(u16, u16, u32)| [&tag.to_le_bytes()[..], &may.to_le_bytes(), &id.to_le_bytes()].concat();
        [2_u32.to_le_bytes().to_vec(), entries.iter().flat_map(bytes).collect()].concat()
    };
    let any = u32::MAX;
    let entries = list(&[(1, 7, any), (2, 7, 65534), (4, 5, any), (16, 7, any), (32, 5, any)]);
    rustix::fs::setxattr(&git, "system.posix_acl_access", &entries, rustix::fs::XattrFlags::empty()).unwrap();
    let shown = git.display();
    let listed = warning(&format!(
        "{shown}: writable by whom its access control list names, who can have git run commands as root there; run \
         `setfacl -b {shown}`, and `setfacl -k` on the directories that later ones inherit it from"
    ));
    assert_eq!(found(&request), [listed]);
    set(&git, 0o755);
    assert_eq!(found(&request), []);

    // The group that deploys here, as the repository's directory says.
    rustix::fs::removexattr(&git, "system.posix_acl_access").unwrap();
    set(&git, 0o2775);
    give(&git, 65534);
    assert_eq!(found(&request), [by_group(&git, "nogroup")]);
    give(&target.root(), 65534);
    set(&target.root(), 0o2775);
    assert_eq!(found(&request), []);
}

#[test]
fn what_cannot_be_moved_out_of_a_links_place_is_named_at_the_probe_and_refused_before_anything_changes() {
    let (target, request) = target();
    target.fetch(&request).ok();
    let live = target.live();
    let is_refused = |words: &str| {
        let found = found(&request);
        assert!(found.iter().any(|(level, it)| *level == Level::Error && it.contains(words)), "{found:?}");
        let promoted = run(&request, Stage::Promote);
        assert!(promoted.reason().contains(words), "{}", promoted.reason());
        assert_eq!(promoted.state().current, None);
    };
    let same_disk = ["--bind", target.dir.path().to_str().unwrap()];
    if let Some(mounted) = Small::mount_as(&live, &same_disk) {
        is_refused(&format!(
            "{}, which is to become a link, cannot be moved aside, because a file system",
            live.display()
        ));
        drop(mounted);
    }
    let flag = |how: &str, path: &Path| {
        Command::new("chattr").arg(how).arg(path).output().is_ok_and(|output| output.status.success())
    };
    let current = target.root().join("current");
    for path in [live, current] {
        fs::create_dir_all(&path).unwrap();
        if flag("+i", &path) {
            is_refused(&format!("it is immutable or append-only: run `chattr -ia {}`", path.display()));
            assert!(flag("-i", &path));
        }
        fs::remove_dir(path).unwrap();
    }
    run(&request, Stage::Promote).ok();
}
