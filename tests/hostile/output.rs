//! Targets that say what they like, and as much as they like.

use std::fs;
use std::process::{Command, Stdio};

use crate::common::{Farm, HOIST, Project, Ran, address};

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
    let (farm, project) = Project::on_farm(1, 1);
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
        let mut terminal = project.at_a_terminal(arguments);
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

/// Everything that the deploy host keeps of runs.
fn kept(project: &Project) -> String {
    let mut all = String::new();
    for folder in ["hoist/log", "hoist/state"] {
        for entry in fs::read_dir(project.path(folder)).into_iter().flatten().flatten() {
            all += &String::from_utf8_lossy(&fs::read(entry.path()).unwrap());
        }
    }
    all
}

#[test]
fn a_target_that_floods_is_cut_and_what_is_dropped_is_counted() {
    let (farm, project) = Project::on_farm(0, 1);
    lies(&farm, 0, false);
    let srv = farm.srv(&address(0));
    // Output and lines of the protocol, in long lines.
    let script = "#!/bin/bash\nread -r request\nflood() { head -c 16000000 /dev/zero | tr '\\0' x | fold -w 20000; }\n\
                  flood; flood >&2; flood | sed 's/.*/{\"event\":\"line\",\"level\":\"info\",\"message\":\"&\"}/'\n\
                  cat /srv/ended\nexit 1\n";
    fs::write(srv.join("liar"), script).unwrap();
    project.configure("remote_binary: /srv/liar");
    project.commit("lies");
    let mut limited = Command::new("prlimit");
    let template = project.hoist(&["deploy", "--yes"]);
    limited.arg("--as=600000000").arg(HOIST).args(template.get_args()).current_dir(project.path(""));
    crate::common::take_environment(&mut limited, &template);
    let ran = Ran::of(limited.stdin(Stdio::null()).output().unwrap()).ends(1);
    let ran = ran.says("more bytes of output, in").says("dropped");
    assert!(ran.out.len() < 5 << 20, "{} bytes shown", ran.out.len());
    let kept = kept(&project).len();
    assert!(kept < 6 << 20, "{kept} bytes kept");
}

#[test]
fn a_difference_of_any_size_is_shown_to_the_operator_and_kept_nowhere() {
    let (_farm, project) = Project::on_farm(0, 1);
    project.write_configuration(&[
        ("config-files.yaml", "conf/app: {template: app.j2}\n"),
        ("vars.yaml", "password: hunter2\n"),
    ]);
    let text = "{% for n in range(40000) %}{{ password }} \"\\\t\u{1} {{ n }}\n{% endfor %}";
    project.write("hoist/templates/app.j2", text);
    project.commit("a large file");
    let ran = project.run(&["deploy", "--dry-run"]).ends(0).says("conf/app would change").says("more bytes]");
    assert!(ran.out.matches("hunter2").count() > 1000 && ran.out.len() < 2 << 20);
    let json = project.run(&["deploy", "--dry-run", "--format", "json"]).ends(0);
    assert!(!(json.out + &json.err).contains("hunter2"));
    let kept = kept(&project);
    assert!(!kept.contains("hunter2") && kept.contains("probe"));
}
