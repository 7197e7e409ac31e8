//! `hoist lock`: deployments are kept out, by whom and why is told, and there is an end to it.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{Farm, Links, Project, Ran, address, signal, wait_for};
use rustix::fs::{FlockOperation, fcntl_lock};

/// `hoist lock` with these arguments, once it holds the lock.
fn lock(project: &Project, arguments: &[&str]) -> Child {
    common::locked(project.hoist(&[&["lock"], arguments].concat()), "locked by op on ")
}

/// What a terminal's lock ends with.
fn end(mut child: Child) -> Option<i32> {
    child.wait().unwrap().code()
}

/// Deployments of this repository wait in their first stage for [`go`].
fn waits(project: &Project) {
    let command = "while ! test -e /srv/go; do sleep 0.1; done";
    let check =
        format!("checks:\n  wait:\n    stage: fetch\n    timeout: 100\n    shell: true\n    command: {command}\n");
    project.write("hoist/checks.yaml", &check);
    project.commit("a check");
}

fn go(farm: &Farm) {
    fs::write(farm.srv(&address(0)).join("go"), "").unwrap();
}

#[test]
fn every_command_that_deploys_is_kept_out_and_told_by_whom_and_why() {
    let (farm, project) = Project::on_farm(0, 1);
    project.deploy(&[]).ends(0);
    let before = Links::of(&farm, 0);
    project.write("index.html", "two\n");
    project.commit("two");
    let held = lock(&project, &["network", "maintenance"]);
    for command in ["deploy", "rollback", "resume", "reconcile"] {
        project
            .run(&[command, "--yes"])
            .ends(5)
            .says("hoist: app is locked by op on ")
            .says("just now")
            .says(": 'network maintenance'");
    }
    project.run(&["lock"]).ends(5).says("network maintenance");
    assert_eq!(Links::of(&farm, 0), before);
    project.run(&["status"]).ends(0).says("app is locked by op on ").says("network maintenance");
    project.run(&["plan"]).ends(0).says("app is locked by op on ");
    project.run(&["unlock", "--all", "--yes"]).says("end it with `hoist lock --end`");
    let status: serde_json::Value =
        serde_json::from_str(&project.run(&["status", "--offline", "--format", "json"]).out).unwrap();
    assert_eq!((status["deploying"].is_null(), &status["locked"]["message"]), (true, &"network maintenance".into()));
    signal(&held, "INT");
    assert_eq!(end(held), Some(0));
    project.deploy(&[]).ends(0);
}

#[test]
fn a_lock_is_ended_from_elsewhere_even_when_it_was_stopped_from_its_keyboard() {
    let (_farm, project) = Project::on_farm(0, 1);
    project.run(&["lock", "--end"]).ends(0).says("app is not locked");
    project.run(&["lock", "--end", "--all"]).ends(0).says("this host as a whole is not locked");
    let held = lock(&project, &["why"]);
    signal(&held, "STOP");
    project.run(&["lock", "--end"]).ends(0).says("app is unlocked; it was locked by op on ").says("why");
    assert_eq!(end(held), Some(0));
    project.deploy(&[]).ends(0);
}

#[test]
fn a_lock_whose_holder_was_killed_is_no_lock() {
    let (_farm, project) = Project::on_farm(0, 1);
    let held = lock(&project, &[]);
    signal(&held, "KILL");
    end(held);
    project.run(&["status", "--offline"]).says("group");
    project.run(&["lock", "--end"]).ends(0).says("not locked");
    project.deploy(&[]).ends(0);
}

#[test]
fn a_deployment_is_not_ended_as_a_lock_is() {
    let (farm, project) = Project::on_farm(0, 1);
    waits(&project);
    let deploying = project.hoist(&["deploy", "--yes"]).stdout(Stdio::piped()).spawn().unwrap();
    let journal = || fs::read_dir(project.path("hoist/state")).is_ok();
    wait_for("the deployment", journal);
    project.run(&["lock", "--end"]).ends(5).says("is being deployed by").says("only ends a lock of `hoist lock`");
    project.run(&["lock", "x"]).ends(5).says("app is being deployed by op on ");
    // All repositories can be locked at once with it under way; it is named.
    let all = lock(&project, &["--all"]);
    go(&farm);
    Ran::of(deploying.wait_with_output().unwrap()).ends(0);
    project.deploy(&[]).ends(5).says("with every repository on this host");
    signal(&all, "TERM");
    assert_eq!(end(all), Some(0));
}

#[test]
fn a_lock_on_all_keeps_every_repository_of_the_host_out_and_names_who_is_under_way() {
    let farm = Farm::up();
    let (one, two) = (Project::new(&farm, 0, 1), Project::new(&farm, 0, 1));
    let locks = tempfile::tempdir().unwrap();
    for (project, name) in [(&one, "one"), (&two, "two")] {
        project.configure(&format!("git_repo: {name}"));
        project.configure(&format!("lock_dir: {}", locks.path().display()));
        project.commit("configured");
    }
    let held = lock(&one, &["--all", "power", "cut"]);
    for project in [&one, &two] {
        project
            .deploy(&[])
            .ends(5)
            .says("is locked by op on ")
            .says("power cut")
            .says("with every repository on this host");
        project.run(&["status", "--offline"]).says("every repository on this host is locked by op on ");
    }
    // A repository's own lock is another.
    one.run(&["lock", "--end"]).ends(0).says("not locked");
    two.run(&["lock", "--all", "too"]).ends(5).says("power cut");
    two.run(&["lock", "--all", "--end"]).ends(0).says("every repository on this host is unlocked");
    assert_eq!(end(held), Some(0));
    two.deploy(&[]).ends(0);
    waits(&one);
    let deploying = one.hoist(&["deploy", "--yes"]).stdout(Stdio::null()).spawn().unwrap();
    wait_for("the deployment", || one.path("hoist/state").is_dir());
    let mut all = two.hoist(&["lock", "--all"]);
    let mut all = all.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(all.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("still running: one is being deployed by op on "), "{said}");
    go(&farm);
    assert_eq!(end(deploying), Some(0));
    signal(&all, "INT");
    end(all);
}

#[test]
fn a_lock_in_the_background_outlives_its_command_and_ends_in_its_time() {
    let (_farm, project) = Project::on_farm(0, 1);
    let ran = project.run(&["lock", "--detach", "--time", "2m", "--", "-v", "is no flag"]).ends(0);
    let ran = ran.says("until 2").says(": '-v is no flag'");
    project.deploy(&[]).ends(5).says("-v is no flag");
    project.run(&["lock", "--detach"]).ends(5).says("-v is no flag");
    assert!(ran.err.is_empty(), "{}", ran.err);
    project.run(&["lock", "--end"]).ends(0);
    project.deploy(&[]).ends(0);
    project.run(&["lock", "--detach", "--time", "1s"]).ends(0);
    wait_for("the lock to end by itself", || project.run(&["lock", "--end"]).out.contains("is not locked"));
    for wrong in ["", "0", "s", "5x", "-1s", "+1s", "0s", "1mo", "999999999999999999999s", "400d", "٣s"] {
        project.run(&["lock", "--time", wrong]).ends(2).says("is not a duration: write 90s, 30m, 1h30m or 1d");
    }
    project.run(&["lock", &"long ".repeat(200)]).ends(2).says("500 characters");
    project.run(&["lock", "--end", "why"]).ends(2).says("--end can be combined with --all only");
    project.run(&["lock", "--detach", "--config", "/nonexistent"]).ends(2).says("/nonexistent");
}

#[test]
fn enter_ends_a_lock_at_a_terminal() {
    let (_farm, project) = Project::on_farm(0, 1);
    let mut terminal = project.at_a_terminal("lock for a while");
    let mut terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut shown = BufReader::new(terminal.stdout.take().unwrap());
    let mut line = String::new();
    shown.read_line(&mut line).unwrap();
    assert!(line.contains("'for a while'; end it with Enter, Ctrl-C, or `hoist lock --end`"), "{line}");
    project.deploy(&[]).ends(5).says("for a while");
    terminal.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut shown, &mut rest).unwrap();
    assert!(rest.contains("app is unlocked"), "{rest}");
    assert_eq!(end(terminal), Some(0));
    project.deploy(&[]).ends(0);
}

/// A command as another user: 65534, whom the system calls nobody.
fn as_nobody(hoist: &Path, command: &Command) -> Command {
    let mut other = Command::new("setpriv");
    other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(hoist).args(command.get_args());
    other.current_dir(command.get_current_dir().unwrap()).stdin(Stdio::null());
    common::take_environment(&mut other, command);
    other.env("USER", "nobody");
    other
}

#[test]
fn two_users_see_each_others_locks_and_neither_ends_the_others() {
    let (farm, project) = Project::on_farm(0, 1);
    // A folder as /var/lock is.
    let locks = tempfile::tempdir().unwrap();
    fs::set_permissions(locks.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    project.configure(&format!("lock_dir: {}", locks.path().display()));
    fs::set_permissions(project.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(farm.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let hoist = locks.path().join("hoist");
    common::copy_hoist(&hoist);
    let nobody = |arguments: &[&str]| as_nobody(&hoist, &project.hoist(arguments));

    // The file is root's from now on; nobody can still leave a name in it.
    let held = lock(&project, &["root's"]);
    Ran::of(nobody(&["lock"]).output().unwrap()).ends(5).says("is locked by op on ").says(": 'root's'");
    Ran::of(nobody(&["lock", "--end"]).output().unwrap()).ends(5).says("only that user and root can end it");
    signal(&held, "INT");
    end(held);
    let ran = Ran::of(nobody(&["lock", "--detach", "--time", "2m", "nobody's"]).output().unwrap()).ends(0);
    ran.says("is locked by nobody on ");
    project.deploy(&[]).ends(5).says("is locked by nobody on ").says(": 'nobody's'");
    project.run(&["lock", "--end"]).ends(0).says("it was locked by nobody on ");
}

#[test]
fn no_other_process_is_ended_because_its_number_stands_in_the_file_of_a_lock() {
    let (_farm, project) = Project::on_farm(0, 1);
    let victim = Command::new("sleep").arg("600").spawn().unwrap();
    let held = lock(&project, &[]);
    let file = project.path(".git/hoist-app.lock");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace(&held.id().to_string(), &victim.id().to_string())).unwrap();
    project.run(&["lock", "--end"]).ends(5).says("wrote no name");
    signal(&victim, "0");
    // Nor is what it says obeyed by a terminal.
    fs::write(&file, text.replace("\"message\":\"\"", "\"message\":\"\\u001b[2J\"")).unwrap();
    let ran = project.deploy(&[]).ends(5).says("\\x1b[2J");
    assert!(!ran.err.contains('\x1b'));
    signal(&held, "INT");
    end(held);
    signal(&victim, "KILL");
    end(victim);
}

#[test]
fn a_lock_file_that_scap_has_locked_keeps_hoist_out_and_hoists_lock_keeps_scap_out() {
    let (_farm, project) = Project::on_farm(0, 1);
    let both = project.path(".git/both.lock");
    project.configure(&format!("lock_file: {}", both.display()));
    fs::write(&both, r#"{"locker": "alice", "pid": 1, "timestamp_utc": "Mon Nov 23 2026", "reason": "by scap"}"#)
        .unwrap();
    let file = fs::OpenOptions::new().read(true).write(true).open(&both).unwrap();
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    let me = format!("both.lock (process {})", std::process::id());
    project.deploy(&[]).ends(5).says("app is locked with Scap's lock file").says(&me);
    fcntl_lock(&file, FlockOperation::Unlock).unwrap();
    project.deploy(&[]).ends(0);
    let held = lock(&project, &[]);
    assert!(fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).is_err(), "Scap would deploy as well");
    signal(&held, "INT");
    end(held);
}
