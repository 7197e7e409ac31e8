//! What the remote user's start-up files do to a session: those that only talk are no hindrance, the others are named.

#[path = "common/mod.rs"]
mod common;

use common::{Farm, Links, Project, Ran, address};

/// A farm whose login shell, a real bash that sshd starts, reads a `bashrc` of each host's own.
fn farm(files: &[&str]) -> Farm {
    let farm = Farm::up();
    let mine = r#"set -- $SSH_CONNECTION; file=@/hosts/$3/bashrc; set --; [ ! -e "$file" ] || . "$file""#;
    std::fs::write(farm.path(".bashrc"), mine.replace('@', farm.dir.path().to_str().unwrap()) + "\n").unwrap();
    for (n, text) in files.iter().enumerate() {
        std::fs::write(farm.host(&address(n)).join("bashrc"), format!("{text}\n")).unwrap();
    }
    farm
}

fn reason(ran: &Ran, n: usize) -> String {
    let events = ran.events();
    let rows = events.last().unwrap()["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["host"] == address(n)).unwrap_or_else(|| panic!("no row of {n}: {rows:#?}"));
    row["reason"].as_str().unwrap_or_default().to_owned()
}

/// Lines of the log, which has every event, that hold `text`.
fn lines_of<'a>(ran: &'a Ran, text: &str) -> Vec<&'a str> {
    ran.out.lines().filter(|line| line.contains("\"event\":\"host_line\"") && line.contains(text)).collect()
}

const TALKATIVE: [&str; 9] = [
    "printf 'no newline'",
    r"printf '\033]0;title\a'",
    "echo Welcome; printf 'and no newline'; printf 'nor here' >&2",
    "printf 'a\\r\\n\\r\\nb'; stty erase x",
    "trap 'printf bye' EXIT",
    // Two that wait for a key: what they read is not missed.
    "read -r line",
    "read -r -n1 key",
    r"printf '{\n\n'",
    "",
];

#[test]
fn a_host_whose_start_up_files_talk_with_or_without_a_newline_is_deployed_to() {
    let farm = farm(&TALKATIVE);
    let project = Project::new(&farm, 0, TALKATIVE.len());
    let one = project.commit("a change");
    let ran = project.deploy(&["--format", "json"]).ends(0);
    for (n, file) in TALKATIVE.iter().enumerate() {
        assert_eq!(Links::of(&farm, n), Links::finalized(&one), "{file}");
    }
    let greetings = lines_of(&ran, "Welcome");
    let shown = greetings.iter().filter(|line| !line.contains("\"level\":\"debug\"")).count();
    assert_eq!(shown, 1, "a greeting is shown once a host, not once a command: {greetings:#?}");
}

#[test]
fn a_host_whose_start_up_files_talk_gets_a_copy_of_hoist() {
    let farm = farm(&TALKATIVE);
    let project = Project::new(&farm, 0, 3);
    project.configure("remote_binary:");
    let one = project.commit("a change");
    project.deploy(&[]).ends(0);
    assert_eq!(Links::of(&farm, 2), Links::finalized(&one));
}

#[test]
fn start_up_files_that_keep_hoist_from_its_request_are_named_as_what_they_are() {
    let files = [
        "",
        "read -r one; read -r two",
        "exec /bin/sh",
        "exit 0",
        "set -e; false",
        "echo This account is currently not available.; exit 1",
        "echo Welcome; echo 'no more room' >&2; exit 3",
        "cat",
        "exec 1>&2; echo Welcome",
    ];
    let farm = farm(&files);
    let project = Project::new(&farm, 0, files.len());
    // What a shell would make of the request, if it got to see it.
    let trap = farm.path("trap");
    project.write("hoist/vars.yaml", &format!("secret: hunter2\ntrap: $(touch {0})`touch {0}`\n", trap.display()));
    project.commit("a change");
    let ran = project.deploy(&["--format", "json", "-D", "failure_limit:8"]).ends(0);
    let expected = [
        "",
        ".bashrc",
        "starts another shell",
        "may end the shell",
        "may end the shell",
        "no answer to the probe: This account is currently not available.",
        "it began with \"Welcome\" and ended with \"no more room\"",
        "reads the request and prints it",
        "redirects standard output",
    ];
    for (n, part) in expected.iter().enumerate() {
        let reason = reason(&ran, n);
        assert!(reason.contains(part), "{}: {reason}", files[n]);
    }
    assert!(!trap.exists(), "a shell took the request for commands");
    assert!(!ran.out.contains("free_bytes"), "the protocol was shown as output");
    assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"), "a request was shown");
}
