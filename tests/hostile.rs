//! Surroundings that are not as they should be: strangers on targets, names that lead elsewhere, messages of any length,
//! targets that say what they like. By real processes over the farm.

mod common;

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};

use common::{CACHE, Farm, Links, Project, Ran, address, signal, wait_for};

/// A check that says that it is there, and waits for a file on its host.
fn waits(stage: &str) -> String {
    format!(
        "checks:\n  waits:\n    stage: {stage}\n    shell: true\n    timeout: 120\n    command: \"touch /srv/waiting; \
         while ! test -e /srv/go; do sleep 0.1; done\"\n"
    )
}

/// `flock` on a file, until this is ended.
fn flock(path: &std::path::Path) -> Child {
    let mut child = Command::new("flock")
        .arg("-x")
        .arg(path)
        .args(["sh", "-c", "echo held; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
    child
}

fn end(mut flock: Child) {
    drop(flock.stdin.take());
    flock.wait().unwrap();
}

#[test]
fn a_stranger_on_one_target_costs_that_target_and_no_other() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 3);
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    project.configure("failure_limit: 1");
    let two = project.commit("two");
    let stranger = flock(&farm.srv(&address(1)).join(CACHE).join(".hoist/lock"));
    let name = format!("process {} (flock) of user root", stranger.id());

    project.deploy(&[]).ends(0).says(&name).says("finalized on 2 of 3");
    assert_eq!(Links::of(&farm, 1), Links::finalized(&one));
    assert_eq!(Links::of(&farm, 2), Links::finalized(&two));
    project.run(&["status"]).ends(1).says(&name);
    let ran = project.run(&["unlock", "--all", "--yes"]).ends(1).says(&name);
    assert!(!ran.out.contains("is ended") && !ran.out.contains("run unknown"), "{}", ran.out);
    end(stranger);
    project.run(&["reconcile", "--yes"]).ends(0);
    assert_eq!(Links::of(&farm, 1), Links::finalized(&two));
}

#[test]
fn a_stranger_who_holds_the_lock_of_the_deploy_host_is_named() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 1);
    let lock = project.path(".git/hoist-app.lock");
    fs::write(&lock, "").unwrap();
    let stranger = flock(&lock);
    let name = format!("is locked by process {} (flock) of user root", stranger.id());
    project.deploy(&[]).ends(5).says(&name).says("end it");
    project.run(&["unlock", "--all", "--yes"]).says(&name);
    project.run(&["lock", "--end"]).ends(5).says(&name);
    end(stranger);
    project.deploy(&[]).ends(0);
}

#[test]
fn one_machine_under_two_names_is_told_with_both_before_anything_is_touched() {
    let farm = Farm::up();
    let project = Project::new(&farm, 1, 1);
    // Another user's login is another name, and the same machine.
    let other = format!("root@{}", address(0));
    project.write("hoist/default", &format!("{}\n{other}\n", address(1)));
    project.commit("two names");
    let ran = project.deploy(&[]).ends(2);
    let ran = ran.says(&format!("{} and {other} are the same machine", address(0))).says("nothing was touched");
    assert!(!ran.out.contains("fetch"), "{}", ran.out);
    for n in 0..2 {
        assert!(!farm.srv(&address(n)).join("deployment").exists());
    }
    project.write("hoist/default", &format!("{}\n", address(1)));
    project.deploy(&[]).ends(0);
}

#[test]
fn a_name_that_moves_to_another_machine_in_mid_run_is_found_out() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 2);
    project.configure("reconnect_timeout: 5");
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    // The machine that will come in the place of the first: it runs the same old revision.
    let (srv, spare) = (farm.srv(&address(0)), farm.path("spare"));
    assert!(Command::new("cp").arg("-a").arg(&srv).arg(&spare).status().unwrap().success());
    project.write("hoist/checks.yaml", &waits("promote"));
    project.commit("two");
    let deployer = project.hoist(&["deploy", "--yes"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("promote", || (0..2).all(|n| farm.srv(&address(n)).join("waiting").exists()));
    fs::rename(&srv, farm.path("first")).unwrap();
    fs::rename(&spare, &srv).unwrap();
    // Its sessions end, as they do when an address goes to another machine.
    for session in sessions_on(&farm, 0) {
        Command::new("kill").args(["-KILL", &session]).status().unwrap();
    }
    fs::write(farm.path("first/go"), "").unwrap();
    fs::write(farm.srv(&address(1)).join("go"), "").unwrap();
    let ran = Ran::of(deployer.wait_with_output().unwrap()).ends(3);
    ran.says(&format!("{} is not the machine that this run began with", address(0)));
    // Nothing was done there.
    assert_eq!(Links::of(&farm, 0), Links::finalized(&one));
}

/// The server's processes of connections to a host.
fn sessions_on(farm: &Farm, n: usize) -> Vec<String> {
    let mark = format!(" on {} port {} ", address(n), farm.port);
    let log = farm.log();
    let peers: Vec<&str> = log
        .lines()
        .filter(|line| line.starts_with("Connection from ") && format!("{line} ").contains(&mark))
        .filter_map(|line| line.split(' ').nth(4))
        .collect();
    let output = Command::new("ss").args(["-Htnp", "state", "established"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut found: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| line.contains("sshd")) {
        if !peers.iter().any(|port| line.contains(&format!(":{port} "))) {
            continue;
        }
        found.extend(line.split("pid=").skip(1).map(|rest| rest.split(',').next().unwrap().to_owned()));
    }
    found
}

#[test]
fn a_message_of_any_length_hinders_neither_locks_nor_rollbacks() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 1);
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    project.write("hoist/checks.yaml", &waits("promote"));
    project.commit("two");
    let message = format!("begins {}", "\u{1}é\n\"".repeat(20_000));
    assert!(message.len() > 64 << 10);
    let mut deployer =
        project.hoist(&["deploy", "--yes", &message]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("promote", || farm.srv(&address(0)).join("waiting").exists());
    // Somebody else is told whose locks they are, here and on the target.
    let ran = project.deploy(&[]).ends(5).says("app is being deployed by op@").says("begins");
    assert!(ran.err.len() < 20_000);
    project.run(&["status"]).says("begins");
    signal(&deployer, "KILL");
    deployer.wait().unwrap();
    fs::write(farm.srv(&address(0)).join("go"), "").unwrap();
    let ran = project.run(&["rollback", "--yes"]).ends(1).says("verified");
    assert!(!ran.out.contains("unknown@unknown"));
    assert_eq!(Links::of(&farm, 0), Links::finalized(&one));
    project.write("hoist/checks.yaml", "checks: {}\n");
    project.commit("three");
    project.deploy(&[&message]).ends(0).says("of more than 4096 the beginning is kept");
}

/// What would steer a terminal, end a line, or turn the order of reading.
const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}\u{2066}\u{200f}\u{7f}\r\nFAKE all is well";

/// A host whose program on the far side says whatever it likes.
fn lies(farm: &Farm, n: usize, locked: bool) {
    let holder = |run: &str| {
        serde_json::json!({
            "run": run, "user": HOSTILE, "host": HOSTILE, "pid": 1, "since": HOSTILE, "message": HOSTILE,
        })
    };
    let a = "a".repeat(40);
    let state = serde_json::json!({ "current": a, "done": null, "in_progress": null, "stray_links": [HOSTILE] });
    let facts = serde_json::json!({
        "event": "facts", "version": HOSTILE, "state": state, "revisions": [], "cached": [],
        "locked": locked.then(|| holder("r1")), "stranger": locked.then_some(HOSTILE), "free_bytes": 1u64 << 40,
        "free_inodes": null, "newest": holder("20200101T000000.000Z-1-a"),
        "lease": {
            "run": "r1", "revision": a, "restore": "b".repeat(40), "seconds": 1, "since": HOSTILE,
            "stands": { "lease": "rollback_failed", "at": HOSTILE, "reason": HOSTILE },
        },
    });
    let line = serde_json::json!({ "event": "line", "level": "warning", "message": HOSTILE });
    let ended =
        serde_json::json!({ "event": "ended", "outcome": { "ended": "failed", "reason": HOSTILE }, "state": state });
    let srv = farm.srv(&address(n));
    for (name, event) in [("facts", &facts), ("line", &line), ("ended", &ended)] {
        fs::write(srv.join(name), event.to_string() + "\n").unwrap();
    }
    fs::write(srv.join("raw"), [HOSTILE.as_bytes(), b"\xff\xc2\x9b\x80\n"].concat()).unwrap();
    let script = "#!/bin/sh\nread -r request\ncat /srv/raw /srv/line\ncat /srv/raw >&2\ncase $request in\n\
                  *'\"action\":\"probe\"'*) cat /srv/facts; read -r word && cat /srv/raw /srv/ended ;;\n\
                  *) cat /srv/ended ;;\nesac\nexit 1\n";
    fs::write(srv.join("liar"), script).unwrap();
    Command::new("chmod").arg("755").arg(srv.join("liar")).status().unwrap();
}

/// Fails when anything that was shown could steer a terminal, or looks like a line of its own.
#[track_caller]
fn is_harmless(what: &str, shown: &str) {
    let bad = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!shown.contains(bad), "{what}: {shown:?}");
    // Folded output stands as it is beneath the names of its hosts.
    let folded = what.contains("--fold");
    assert!(folded || !shown.lines().any(|line| line.starts_with("FAKE")), "{what}: {shown}");
}

#[test]
fn nothing_that_a_target_says_reaches_the_terminal_raw_whatever_the_command() {
    let farm = Farm::up();
    let project = Project::new(&farm, 1, 1);
    project.deploy(&[]).ends(0);
    lies(&farm, 0, true);
    lies(&farm, 1, false);
    project.configure("remote_binary: /srv/liar\nfailure_limit: 100%\ncanary_failure_limit: 100%");
    project.commit("lies");
    let mut heard = 0;
    for arguments in [
        &["status"][..],
        &["status", "--format", "json"],
        &["unlock", "--all", "--yes"],
        &["deploy", "--yes", "-v"],
        &["deploy", "--yes", "-l", &address(1), "-v", HOSTILE],
        &["deploy", "--yes", "-l", &address(1), "--format", "json"],
        &["deploy", "--yes", "-l", &address(1), "-q"],
        &["deploy", "--dry-run", "-v"],
        &["rollback", "--yes"],
        &["resume", "--yes"],
        &["reconcile", "--yes"],
        &["status", "--offline"],
        &["plan"],
        &["config", "-D", &format!("service_name: {HOSTILE}")],
        &["check-config", "-D", &format!("{HOSTILE}: {HOSTILE}")],
        &["log", "-l", "-v"],
        &["log", "-l", "-v", "--format", "json"],
        &["run", "--hosts", &address(0), "--", "cat /srv/raw /srv/facts; cat /srv/raw >&2"],
        &["run", "--fold", "--hosts", &address(0), "--", "cat /srv/raw; cat /srv/raw >&2; exit 3"],
        &["nosuch\u{1b}[2J"],
        &["deploy", "-r", HOSTILE, "--yes"],
        &["lock", "--time", HOSTILE],
    ] {
        let mut command = project.hoist(arguments);
        let output = command.env("HOIST_LOG", "trace").env("LC_ALL", "C.UTF-8").output().unwrap();
        for stream in [&output.stdout, &output.stderr] {
            let text = std::str::from_utf8(stream).unwrap_or_else(|_| panic!("{arguments:?}: {stream:?}"));
            is_harmless(&format!("{arguments:?}"), text);
            heard += text.matches("owned").count();
        }
        if arguments.contains(&"json") {
            let text = String::from_utf8(output.stdout).unwrap();
            let read = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            let same = read.filter(|value| value.to_string().contains("FAKE all is well")).count();
            assert!(same > 0, "{arguments:?}: what was said can still be read: {text}");
        }
    }
    assert!(heard > 20, "the hosts were heard {heard} times");
    let mut coloured = 0;
    // At a terminal with colours our own styles pass, and theirs do not.
    for arguments in ["status", "unlock --all --yes", "deploy --yes -v -l 127.0.0.2", "log -l -v"] {
        let template = project.hoist(&[]);
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &format!("{} {arguments}", common::HOIST), "/dev/null"]).current_dir(project.path(""));
        for (key, value) in template.get_envs().filter(|(key, _)| *key != "NO_COLOR") {
            match value {
                Some(value) => terminal.env(key, value),
                None => terminal.env_remove(key),
            };
        }
        terminal.env_remove("NO_COLOR").env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
        let output = terminal.stdin(Stdio::null()).output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        for raw in ["\u{1b}]0;", "\u{1b}[2J", "\u{9b}", "\u{202e}", "\u{2066}", "\u{200f}", "\u{7f}", "\nFAKE"] {
            assert!(!shown.contains(raw), "{arguments}: {raw:?} in {shown}");
        }
        assert!(shown.contains("owned"), "{arguments}: {shown}");
        coloured += shown.matches("\u{1b}[31m").count();
    }
    assert!(coloured > 0);
}

#[test]
fn what_hoist_writes_for_itself_is_never_written_through_a_committed_link() {
    let farm = Farm::up();
    let victims = tempfile::tempdir().unwrap();
    let victim = victims.path().join("victim");
    // Every file that a deployment, status or the log writes, and the folders that they stand in.
    let links = [
        "hoist/state/fleet.json.new",
        "hoist/state/fleet.json",
        "hoist/state/fleet.lock",
        "hoist/state/.gitignore",
        "hoist/state/20200101T000000.000Z-1-abcd.journal",
        "hoist/state",
        "hoist/log/.gitignore",
        "hoist/log",
    ];
    for (link, there) in links.into_iter().flat_map(|link| [(link, true), (link, false)]) {
        let project = Project::new(&farm, 0, 1);
        let folder = matches!(link, "hoist/state" | "hoist/log");
        let to = if folder { victims.path().join("folder") } else { victim.clone() };
        let _ = fs::remove_dir_all(victims.path().join("folder"));
        let _ = fs::remove_file(&victim);
        match (there, folder) {
            (true, true) => fs::create_dir(&to).unwrap(),
            (true, false) => fs::write(&to, "precious").unwrap(),
            (false, _) => {}
        }
        fs::create_dir_all(project.path(link).parent().unwrap()).unwrap();
        symlink(&to, project.path(link)).unwrap();
        project.git(&["add", "-Af"]);
        project.git(&["commit", "-qm", "a link"]);
        for arguments in [&["status"][..], &["deploy", "--yes"], &["deploy", "--init"], &["rollback", "--yes"]] {
            let ran = project.run(arguments);
            assert!(!(ran.err + &ran.out).contains("panicked"), "{link}");
            match (there, folder) {
                (true, true) => assert_eq!(fs::read_dir(&to).unwrap().count(), 0, "{link}: {arguments:?}"),
                (true, false) => assert_eq!(fs::read_to_string(&to).unwrap(), "precious", "{link}: {arguments:?}"),
                (false, _) => assert!(fs::symlink_metadata(&to).is_err(), "{link}: {arguments:?}"),
            }
        }
        // Where it stands in the way it is named.
        let ran = project.run(&["deploy", "--yes"]);
        if ran.status != Some(0) {
            assert!((ran.err + &ran.out).contains(&format!("{link} is a symbolic link")), "{link}");
        }
    }
}

#[test]
fn a_committed_link_out_of_the_repository_is_refused_by_name_and_not_read() {
    let farm = Farm::up();
    let outside = tempfile::tempdir().unwrap();
    let private = outside.path().join("private");
    fs::write(&private, "hunter2: hunter2\n").unwrap();
    let set_up = || {
        let project = Project::new(&farm, 0, 1);
        project.configure("config_deploy: true");
        project.write("hoist/templates/app.j2", "x = {{ x }}\n");
        project.write("hoist/config-files.yaml", "conf/app: {template: app.j2}\n");
        project.write("hoist/vars.yaml", "x: 1\n");
        project.write("hoist/checks.yaml", "checks: {c: {type: script, stage: promote, command: c.sh}}\n");
        project.write("hoist/scripts/c.sh", "#!/bin/sh\n");
        Command::new("chmod").arg("755").arg(project.path("hoist/scripts/c.sh")).status().unwrap();
        project
    };
    let files = [
        "hoist/templates/app.j2",
        "hoist/templates/included.j2",
        "hoist/config-files.yaml",
        "hoist/vars.yaml",
        "hoist/checks.yaml",
        "hoist/scripts/c.sh",
        "hoist/default",
    ];
    for file in files {
        for to in [private.clone(), ".git/config".into()] {
            let project = set_up();
            let to = if to.is_absolute() { to } else { project.path(to.to_str().unwrap()) };
            Command::new("chmod").arg("755").arg(&to).status().unwrap();
            let _ = fs::remove_file(project.path(file));
            symlink(&to, project.path(file)).unwrap();
            project.commit("a link");
            for command in ["deploy", "check-config"] {
                let yes = (command == "deploy").then_some("--yes");
                let ran = project.run(&[&[command], yes.as_slice()].concat()).ends(2);
                let said = ran.out + &ran.err;
                assert!(said.contains(&format!("{file} leads")), "{file}: {said}");
                assert!(!said.contains("hunter2") && !said.contains("bare = false"), "{file}: {said}");
            }
        }
    }
    // Links within the repository are as good as files.
    let project = set_up();
    for file in files {
        let elsewhere = project.path("shared").join(file.rsplit('/').next().unwrap());
        fs::create_dir_all(project.path("shared")).unwrap();
        if fs::rename(project.path(file), &elsewhere).is_ok() {
            let up = if file.matches('/').count() == 2 { "../../shared" } else { "../shared" };
            symlink(std::path::Path::new(up).join(elsewhere.file_name().unwrap()), project.path(file)).unwrap();
        }
    }
    let revision = project.commit("links within");
    project.deploy(&[]).ends(0);
    let tree = farm.srv(&address(0)).join(CACHE).join("revs").join(revision);
    assert_eq!(fs::read_to_string(tree.join("conf/app")).unwrap(), "x = 1");
}

#[test]
fn a_file_that_is_no_lock_is_never_taken_for_one() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 1);
    let file = project.path(".git/precious");
    project.configure(&format!("lock_file: {}", file.display()));
    for precious in ["precious\n", "{\"name\": \"value\"}", "[1]", "PATH=/bin\n", "\u{0}\u{1}"] {
        fs::write(&file, precious).unwrap();
        project.deploy(&[]).ends(2).says("it is not the file of a lock").says(".git/precious");
        project.run(&["lock", "why"]).ends(2).says("it is not the file of a lock");
        assert_eq!(fs::read_to_string(&file).unwrap(), precious);
    }
    // What Hoist or Scap have left there is one, half of a name too.
    for lock in ["", "\n", "{}", "{\"run\":\"2020", "{\"locker\": \"alice\", \"pid\": 1}"] {
        fs::write(&file, lock).unwrap();
        project.deploy(&["-f"]).ends(0);
    }
}
