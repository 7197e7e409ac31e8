//! The mode, the owner and the group of configuration files.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

use hoist::wire::{Access, ConfigFile, Level, Probe, Request, Revision, Stage, StageRequest, TargetEvent};

use crate::harness::*;
use crate::trouble::{fill, on_small};
use crate::users::{nobody_finds, of_nobody};

/// Users and groups that every system has.
const DAEMON: (&str, u32) = ("daemon", 1);
const ADM: (&str, u32) = ("adm", 4);

pub fn is_root() -> bool {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        eprintln!("only root can give files away and become another user; nothing is tested");
    }
    root
}

/// What is configured for a file.
fn access(mode: Option<u32>, owner: Option<&str>, group: Option<&str>) -> Access {
    Access { mode, owner: owner.map(str::to_owned), group: group.map(str::to_owned) }
}

/// A request with `etc/app.conf` and `inside/x`, both with these rights.
fn with(target: &Target, run: &str, revision: &Revision, access: &Access) -> StageRequest {
    let mut request = target.request(run, revision);
    let file = |path: &str| ConfigFile { access: access.clone(), ..config_file(path, "t") };
    request.config_files = Some(vec![file(&target.etc("app.conf")), file("inside/x")]);
    request.templates.insert("t".to_owned(), "word".to_owned());
    request.header.umask = Some(0o077);
    request
}

/// Mode, owner and group of what is live, of both files.
#[track_caller]
fn live_rights(target: &Target) -> (u32, u32, u32) {
    let of = |path: &std::path::Path| {
        let found = fs::metadata(path).unwrap();
        (found.mode() & 0o7777, found.uid(), found.gid())
    };
    let outside = of(target.etc("app.conf").as_ref());
    assert_eq!(outside, of(&target.live().join("inside/x")));
    outside
}

/// What a probe says of the files of the live tree.
fn lacking(request: &StageRequest) -> Vec<String> {
    facts(Probe { verify: true, ..probe(request) }).lacking.unwrap().files
}

#[test]
fn files_have_their_mode_owner_and_group_whatever_the_umask_and_a_rollback_restores_them() {
    if !is_root() {
        return;
    }
    let target = Target::new();
    let one = target.commit(&[("a", "1"), ("inside/x", "tracked")]);
    target.deploy(&with(&target, "r1", &one, &access(Some(0o640), Some(DAEMON.0), Some(ADM.0))));
    let first = (0o640, DAEMON.1, ADM.1);
    assert_eq!(live_rights(&target), first);

    // The same revision with other rights alone: promote changes them, and a rollback brings the first ones back.
    let other = with(&target, "r2", &one, &access(Some(0o444), Some("2"), None));
    target.fetch(&other).ok();
    run(&other, Stage::ConfigDeploy).ok();
    assert_eq!(live_rights(&target), first, "nothing that is live changes before promote");
    run(&other, Stage::Promote).ok();
    assert_eq!(live_rights(&target), (0o444, 2, 0));
    roll_back(&other, Some(&one)).ok();
    assert_eq!(live_rights(&target), first);
    assert_eq!(lacking(&other), [""; 0]);

    // Another revision, without any of it: the umask counts, as it did before there were such keys.
    let two = target.commit(&[("a", "2")]);
    let plain = with(&target, "r3", &two, &Access::default());
    target.fetch(&plain).ok();
    run(&plain, Stage::ConfigDeploy).ok();
    run(&plain, Stage::Promote).ok();
    assert_eq!(live_rights(&target), (0o600, 0, 0));
    roll_back(&plain, Some(&one)).ok();
    assert_eq!(live_rights(&target), first);
}

#[test]
fn a_mode_or_an_owner_that_somebody_changed_is_seen_and_put_right() {
    if !is_root() {
        return;
    }
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    let request = with(&target, "r1", &one, &access(Some(0o600), Some(DAEMON.0), None));
    target.deploy(&request);
    let conf = target.etc("app.conf");
    fs::set_permissions(&conf, fs::Permissions::from_mode(0o644)).unwrap();
    chown(target.live().join("inside/x"), Some(0), None).unwrap();
    let changed =
        [format!("{conf}: mode 0644 instead of 0600"), format!("inside/x: owner root instead of {}", DAEMON.0)];
    assert_eq!(lacking(&request), changed);
    // Whoever deploys it again, and whoever goes back to it, puts that right.
    let two = target.commit(&[("a", "2")]);
    let next = with(&target, "r2", &two, &Access::default());
    target.fetch(&next).ok();
    run(&next, Stage::ConfigDeploy).ok();
    run(&next, Stage::Promote).ok();
    let back = roll_back(&next, Some(&one)).ok();
    let warnings = back.lines(Level::Warning).join("\n");
    assert!(warnings.contains("restored missing or changed files: 2 files"), "{warnings}");
    assert_eq!(live_rights(&target), (0o600, DAEMON.1, 0));
    fs::set_permissions(&conf, fs::Permissions::from_mode(0o666)).unwrap();
    let again = in_run("r4", request);
    run(&again, Stage::ConfigDeploy).ok();
    run(&again, Stage::Promote).ok();
    assert_eq!(live_rights(&target).0, 0o600);
}

#[test]
fn what_cannot_be_given_away_is_found_at_the_probe_and_nothing_is_written() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    let request = with(&target, "r1", &one, &access(None, Some("no-such-user"), None));
    let conf = target.etc("app.conf");
    let missing = format!(
        "configuration file {conf}: owner in config-files.yaml: the user no-such-user does not exist on this host"
    );
    let found = findings(&call(&Request::Probe(preflight_of(&request)), b""));
    assert_eq!(found.first(), Some(&(Level::Error, missing.clone())));
    let of_group = with(&target, "r1", &one, &access(None, None, Some("no-such-group")));
    let found = findings(&call(&Request::Probe(preflight_of(&of_group)), b""));
    let why = "group in config-files.yaml: the group no-such-group does not exist on this host";
    assert!(found[0].1.ends_with(why), "{found:?}");
    target.fetch(&request).ok();
    assert_eq!(run(&request, Stage::ConfigDeploy).reason(), missing);
    assert!(!target.root().join(".hoist/config").join(one.as_str()).join("staged.json").exists());

    let Some(target) = of_nobody() else { return };
    let request = with(&target, "r1", &target.commit(&[("a", "1")]), &access(None, Some("root"), None));
    let found = nobody_finds(&target, &request);
    let why = "owner in config-files.yaml: it cannot belong to root: only root may give files to another user, and the remote user is nobody";
    assert!(found.iter().any(|(level, it)| *level == Level::Error && it.contains(why)), "{found:?}");
    let request = with(&target, "r1", &request.revision, &access(None, Some("nobody"), Some(ADM.0)));
    let found = nobody_finds(&target, &request);
    let why = "group in config-files.yaml: it cannot have the group adm: the remote user nobody is not a member of that group";
    assert!(found.iter().any(|(_, it)| it.contains(why)), "{found:?}");
    let request = with(&target, "r1", &request.revision, &access(Some(0o640), Some("65534"), None));
    let found = nobody_finds(&target, &request);
    assert!(!found.iter().any(|(_, it)| it.contains("it cannot")), "{found:?}");
}

#[test]
fn a_file_with_secrets_is_private_unless_a_mode_is_set_and_its_difference_is_not_shown() {
    if !is_root() {
        return;
    }
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    let secret = |run: &str, access: Access, word: &str| {
        let mut request = with(&target, run, &one, &access);
        request.header.umask = Some(0o002);
        request.templates.insert("t".to_owned(), format!("password = {word}\nport = 80"));
        request.config_files.as_mut().unwrap().iter_mut().for_each(|file| file.secret = true);
        request
    };
    let diffs = |request: &StageRequest| {
        let reply = run(request, Stage::ConfigDiff).ok();
        assert!(!format!("{reply:?}").contains("hunter"), "{reply:?}");
        assert!(!reply.events.iter().any(|event| matches!(event, TargetEvent::Diff { .. })));
        reply.lines(Level::Info).join("\n")
    };
    let first = secret("r1", Access::default(), "hunter1");
    assert!(diffs(&first).contains("inside/x would change: 0 lines removed, 2 lines added, not shown since"));
    target.deploy(&first);
    assert_eq!(live_rights(&target), (0o600, 0, 0));
    let second = secret("r2", access(None, None, Some(ADM.0)), "hunter2");
    let shown = diffs(&second);
    assert!(shown.contains("mode 0600 instead of 0640, group root instead of adm"), "{shown}");
    assert!(shown.contains("inside/x would change: 1 line removed, 1 line added, not shown since"), "{shown}");
    target.deploy(&second);
    assert_eq!(live_rights(&target), (0o640, 0, ADM.1));
    // The file holds no secret any more, but what it held until now is one.
    let mut third = with(&target, "r3", &one, &Access::default());
    third.header.umask = Some(0o022);
    let shown = diffs(&third);
    assert!(shown.contains("inside/x would change: 2 lines removed, 1 line added, not shown since"), "{shown}");
    target.deploy(&third);
    assert_eq!(live_rights(&target), (0o644, 0, 0));
}

/// Where a file is written before it is put in its place.
fn prepared(target: &Target, revision: &Revision) -> PathBuf {
    target.root().join(".hoist/config").join(revision.as_str()).join("prepared")
}

/// Runs a stage while strace(1) does something to one call that touches the files; returns what it saw of them.
fn traced(target: &Target, request: &StageRequest, stage: Stage, interfere: Option<&str>) -> String {
    let log = target.dir.path().join("trace");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh", "strace", "-f", "-qq", "-y", "-o"]).arg(&log);
    command.current_dir(&target.base);
    command.args([
        "-e",
        "trace=openat,open,creat,fchown,chown,fchownat,fchmod,chmod,fchmodat,rename,renameat,renameat2,link,linkat,unlinkat",
    ]);
    let tree = target.rev(&request.revision);
    for file in [target.etc("app.conf"), "inside/x".to_owned()] {
        let place = match file.strip_prefix('/') {
            Some(rest) => tree.join(".git/config-files").join(rest),
            None => tree.join(file),
        };
        // A rename is of names in a directory that is held open.
        command.arg("-P").arg(place.parent().unwrap()).arg("-P").arg(place);
    }
    let prepared = prepared(target, &request.revision);
    command.arg("-P").arg(prepared.parent().unwrap()).arg("-P").arg(prepared);
    command.args(interfere.map(|how| ["-e".to_owned(), format!("inject={how}")]).into_iter().flatten());
    command.args([HOIST, "deploy-local"]);
    spawn_by(command, &asked(request, stage, 0)).wait_with_output().unwrap();
    fs::read_to_string(log).unwrap()
}

/// Every file below the target that contains a word and that others may read, or that belongs to the owner without having
/// its group yet.
fn exposed(target: &Target, word: &str) -> Vec<String> {
    let found = Command::new("grep").args(["-rlF", "--", word]).arg(target.base.as_path()).output().unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    let is_open = |path: &&str| {
        let found = fs::metadata(path).unwrap();
        let rights = (found.mode() & 0o777, found.uid(), found.gid());
        ![(0o600, 0, 0), (0o600, DAEMON.1, ADM.1), (0o640, DAEMON.1, ADM.1)].contains(&rights)
    };
    found.lines().filter(is_open).map(str::to_owned).collect()
}

#[test]
fn killed_or_refused_at_any_change_a_file_is_never_open_to_others_and_the_next_attempt_ends_well() {
    if !is_root() || Command::new("strace").arg("-V").output().is_err() {
        eprintln!("strace is not installed; nothing is tested");
        return;
    }
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    let wanted = |run: &str, word: &str| {
        let mut request = with(&target, run, &one, &access(Some(0o640), Some(DAEMON.0), Some(ADM.0)));
        request.service.names.clear();
        request.templates.insert("t".to_owned(), "{{ word }}".to_owned());
        request.vars.insert("word".to_owned(), word.into());
        request
    };
    target.deploy(&wanted("r1", "sentinel-one"));
    // Whatever happened, nothing is open to others, and a rollback restores the files.
    let stands = |request: &StageRequest, name: &str| {
        assert_eq!(exposed(&target, "sentinel-"), [""; 0], "{name}");
        let cores = fs::read_dir(&target.base).unwrap().flatten().filter(|it| it.file_name() == "core").count();
        assert_eq!(cores, 0, "{name}: a core dump has what the process read");
        roll_back(request, Some(&one)).ok();
        assert_eq!(target.reads(&target.etc("app.conf")), "sentinel-one", "{name}");
        assert_eq!(live_rights(&target), (0o640, DAEMON.1, ADM.1), "{name}");
    };
    let was_hit = |log: &str| log.contains("(INJECTED)") || log.contains("killed by SIG");
    let mut rounds = 0;
    let cases = [
        "fchown:error=EPERM",
        "fchown:signal=KILL",
        "fchmod:signal=KILL",
        "fchmod:error=EIO",
        "renameat:signal=KILL",
        "renameat:signal=ABRT",
        "renameat:error=ENOSPC",
    ];
    for case in cases {
        for when in 1..9 {
            rounds += 1;
            let word = format!("sentinel-{rounds}");
            let request = wanted(&format!("s{rounds:03}"), &word);
            run(&request, Stage::ConfigDeploy).ok();
            let log = traced(&target, &request, Stage::Promote, Some(&format!("{case}:when={when}")));
            let name = format!("{case} at {when}");
            stands(&request, &name);
            if !was_hit(&log) {
                break;
            }
        }
    }
    assert!(rounds > 10, "only {rounds} changes were interfered with");
    let promoted = rounds;
    for case in ["renameat:signal=KILL", "renameat:error=EIO", "unlinkat:signal=KILL"] {
        for when in 1..9 {
            rounds += 1;
            let request = wanted(&format!("s{rounds:03}"), &format!("sentinel-{rounds}"));
            run(&request, Stage::ConfigDeploy).ok();
            run(&request, Stage::Promote).ok();
            let back = StageRequest { restore: Some(one.clone()), ..request.clone() };
            let log = traced(&target, &back, Stage::Rollback, Some(&format!("{case}:when={when}")));
            stands(&request, &format!("rollback: {case} at {when}"));
            if !was_hit(&log) {
                break;
            }
        }
    }
    assert!(rounds > promoted + 5, "only {} changes of rollbacks were interfered with", rounds - promoted);
    // In the order in which it happens: made for its owner alone, given away, opened, renamed.
    let request = wanted("t1", "sentinel-last");
    run(&request, Stage::ConfigDeploy).ok();
    let log = traced(&target, &request, Stage::Promote, None);
    let of_file: Vec<&str> = log.lines().filter(|line| line.contains("prepared")).collect();
    let order = ["O_CLOEXEC, 0600", "fchown(", "fchmod(", "renameat("];
    let at = order.map(|call| of_file.iter().position(|line| line.contains(call)));
    assert!(at.is_sorted() && at[0].is_some(), "{of_file:#?}");
}

#[test]
fn a_full_disk_leaves_no_half_of_a_file_with_secrets_and_none_that_others_can_read() {
    if !is_root() {
        return;
    }
    let Some((target, _small)) = on_small("size=6m") else { return };
    let one = target.commit(&[("a", "1")]);
    let wanted = |run: &str, text: &str| {
        let mut request = with(&target, run, &one, &access(Some(0o640), Some(DAEMON.0), Some(ADM.0)));
        request.config_files.as_mut().unwrap().iter_mut().for_each(|file| file.secret = true);
        request.service.names.clear();
        request.templates.insert("t".to_owned(), text.to_owned());
        request
    };
    target.deploy(&wanted("r1", "sentinel-one"));
    let mut failed = [0; 2];
    // Room for nothing, for what is staged, for one of the files, for all.
    for (round, room) in [0, 300, 500, 700, 900, 1100, 1300, 2000].into_iter().enumerate() {
        let text = format!("sentinel-{round} ").repeat(20_000);
        let request = wanted(&format!("s{round}"), &text);
        fill(&target.base);
        let filler = target.base.join("filler");
        let length = fs::metadata(&filler).unwrap().len();
        fs::OpenOptions::new().write(true).open(&filler).unwrap().set_len(length.saturating_sub(room << 10)).unwrap();
        for (failed, stage) in failed.iter_mut().zip([Stage::ConfigDeploy, Stage::Promote]) {
            let reply = run(&request, stage);
            assert!(!format!("{reply:?}").contains("sentinel-"), "{stage} with {room} KiB: {reply:?}");
            *failed += usize::from(reply.ended().0.is_err());
            assert_eq!(exposed(&target, "sentinel-"), [""; 0], "{stage} with {room} KiB");
            for file in [target.etc("app.conf").into(), target.live().join("inside/x")] {
                let now = fs::read_to_string(&file).unwrap();
                assert!(now == "sentinel-one" || now == text, "{stage} with {room} KiB: {}", now.len());
            }
            let halves = Command::new("find")
                .arg(&target.base)
                .args(["-name", ".*.hoist-tmp", "-o", "-name", "prepared"])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(halves.stdout).unwrap(), "", "{stage} with {room} KiB");
        }
        roll_back(&request, Some(&one)).ok();
        assert_eq!(target.reads(&target.etc("app.conf")), "sentinel-one");
        assert_eq!(live_rights(&target), (0o640, DAEMON.1, ADM.1));
        fs::remove_file(filler).unwrap();
    }
    assert!(failed.iter().all(|failed| (1..8).contains(failed)), "{failed:?}");
}
