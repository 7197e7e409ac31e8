//! What the tests of this side share, and tests of its way in.

use std::sync::{Arc, Mutex};

use super::*;
use crate::wire::{PROTOCOL, Run};

/// A request with nothing in it, in the form that protocol 1 had.
pub fn request() -> StageRequest {
    let holder =
        serde_json::json!({"run": "r1", "user": "ada", "host": "deploy1", "pid": 1, "since": "", "message": ""});
    serde_json::from_value(serde_json::json!({
        "protocol": PROTOCOL, "holder": holder, "action": {"action": "probe"}, "repo": "app",
        "deploy_dir": "/nonexistent/hoist-tests", "group": "default", "revision": "1".repeat(40), "restore": null,
        "force": false, "umask": 2, "cache_revs": 5, "timeout": 60, "control_dir": "hoist", "environment": null,
        "fetch": null, "checks": [], "nrpe_dir": "/etc/nagios/nrpe.d",
        "service": {"names": [], "command": "", "require_valid": false, "port": null, "timeout": 1},
        "config_files": null, "templates": {}, "vars": {},
    }))
    .unwrap()
}

/// A repository's layout in a folder of its own.
pub fn layout() -> (tempfile::TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path(), "app").unwrap();
    (dir, layout)
}

/// Runs git in a folder, away from the configuration of whoever runs the tests; what it printed.
pub fn git(folder: &Path, args: &[&str]) -> String {
    let mut command = std::process::Command::new("git");
    command.arg("-C").arg(folder).args(["-c", "user.name=Tester", "-c", "user.email=tester@example.org"]).args(args);
    command.envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1"), ("LC_ALL", "C")]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Somebody with a run of this name.
pub fn who(run: &str) -> Holder {
    let (user, host) = ("ada".to_owned(), "deploy1".to_owned());
    Holder { run: run.parse().unwrap(), user, host, pid: 7, since: "now".to_owned(), message: String::new() }
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn answer(input: &str) -> (u8, Vec<TargetEvent>) {
    let kept = Kept::default();
    let status = serve(io::Cursor::new(input.to_owned()), kept.clone());
    let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty());
    (status, lines.map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn reason_of(input: &str) -> String {
    let (status, events) = answer(input);
    assert_eq!(status, 1);
    match events.as_slice() {
        // Nothing is claimed of what was not looked at.
        [TargetEvent::Ended { outcome: Err(Fault::Failed { reason, .. }), state: None }] => reason.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_that_is_none_is_refused_without_a_word_of_it() {
    assert!(reason_of("").contains("no request"));
    assert!(reason_of("{\"protocol\":1").contains("broke off after 13 bytes"));
    let secret = reason_of("{\"protocol\":2,\"action\":\"watch\",\"vars\":\"hunter2\"}\n");
    assert!(!secret.contains("hunter2"), "{secret}");
}

#[test]
fn another_protocol_is_refused_naming_both() {
    let reason = reason_of("{\"protocol\":99,\"unheard\":\"of\"}\n");
    assert!(reason.contains("protocol 99") && reason.contains(&format!("protocol {PROTOCOL}")), "{reason}");
}

#[test]
fn a_repository_outside_of_the_deploy_directory_is_refused() {
    let mut request = request();
    request.header.repo = "../../etc".to_owned();
    let request = Request::Run(Box::new(Run { stage: Stage::Promote, attempt: 0, secrets: None, request }));
    let reason = reason_of(&(serde_json::to_string(&request).unwrap() + "\n"));
    assert!(reason.contains("git_repo"), "{reason}");
}

#[test]
fn the_line_for_a_shell_in_our_place_is_passed_over_though_a_start_up_file_has_read_some_of_it() {
    let bad = "{\"protocol\":99}\n";
    for first in ["exit 97\n", "xit 97\n", "\n", ""] {
        assert!(reason_of(&format!("{first}{bad}")).contains("protocol 99"), "{first:?}");
    }
    assert!(reason_of("exit 97\n").contains(".bashrc"));
}
