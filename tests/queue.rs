//! Deployments that wait for the lock of their repository, and those that give way to a newer revision.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use common::{Farm, Project, WAITS, all_on, go, signal, wait_for, wait_for_check};

/// A deployment under way, and what it has said so far.
struct Deploying {
    child: Child,
    said: PathBuf,
}

impl Deploying {
    fn start(project: &Project, name: &str, arguments: &[&str]) -> Deploying {
        let said = project.path(".git").join(name);
        let file = fs::File::create(&said).unwrap();
        let mut command = project.hoist(&[&["deploy", "--yes"], arguments].concat());
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Deploying { child, said }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    #[track_caller]
    fn says(&self, words: &str) -> &Deploying {
        wait_for(&format!("{words:?} in {}", self.said.display()), || self.said().contains(words));
        self
    }

    #[track_caller]
    fn ends(mut self, status: i32) -> String {
        let ended = self.child.wait().unwrap();
        assert_eq!(ended.code(), Some(status), "{}", self.said());
        self.said()
    }
}

/// A farm with a host that runs the first of so many revisions, and the others in their order.
fn revisions(count: usize) -> (Farm, Project, Vec<String>) {
    let (farm, project, _) = Project::deployed(0, 1);
    let commit = |n| {
        project.write("index.html", &format!("{n}\n"));
        project.commit(&format!("revision {n}"))
    };
    let all = (2..2 + count).map(commit).collect();
    (farm, project, all)
}

fn lock(project: &Project, why: &str) -> Child {
    let mut command = project.hoist(&["lock", why]);
    // It outlives a test that fails, and would hold the test's own standard error open.
    command.stderr(Stdio::null());
    common::locked(command, "locked by op on ")
}

fn unlock(mut held: Child) {
    signal(&held, "INT");
    held.wait().unwrap();
}

#[test]
fn two_pipelines_that_push_five_revisions_at_once_deploy_the_newest_and_no_run_fails() {
    let (farm, project, revisions) = revisions(10);
    let (first, second) = revisions.split_at(5);
    // Each pipeline has its clone, and they share the lock of the repository.
    let other = Project::clone_of(&project);
    for name in ["hoist.cfg", "default"] {
        other.write(&format!("hoist/{name}"), &fs::read_to_string(project.path(&format!("hoist/{name}"))).unwrap());
    }
    let held = lock(&project, "maintenance");
    let start = |(n, revision): (usize, &String)| {
        let pipeline = if n % 2 == 0 { &project } else { &other };
        Deploying::start(pipeline, &format!("said-{n}"), &["--supersede", "-r", revision])
    };
    // The newest first, so that the older ones come late.
    let mut runs: Vec<Deploying> = first.iter().enumerate().rev().map(start).collect();
    let newest = runs.remove(0);
    for older in runs {
        let said = older.ends(0);
        assert!(said.contains("is superseded: ") && said.contains(" takes its place, asked for by op on "), "{said}");
    }
    newest.says("app is locked by op on ").says("'maintenance'").says("waiting for up to 3600 s (--supersede)");
    unlock(held);
    newest.ends(0);
    all_on(&farm, 1, &first[4]);

    // With nothing in their way, whoever comes first deploys.
    let start = |(n, revision): (usize, &String)| {
        Deploying::start(&project, &format!("said-{n}"), &["--supersede", "-r", revision])
    };
    let runs: Vec<Deploying> = second.iter().enumerate().map(start).collect();
    runs.into_iter().for_each(|run| drop(run.ends(0)));
    all_on(&farm, 1, &second[4]);
    // One that comes when all is over is not taken for news.
    let late = Deploying::start(&project, "late", &["--supersede", "-r", &second[1]]).ends(0);
    assert!(late.contains(&format!("{:.10} was deployed by op@", second[4])) && late.contains("contains it"), "{late}");
    all_on(&farm, 1, &second[4]);
    project.deploy(&["-r", &second[1]]).ends(0);
    all_on(&farm, 1, &second[1]);
}

#[test]
fn a_run_that_waits_says_for_whom_and_looks_anew_when_it_is_its_turn() {
    let (farm, project, revisions) = revisions(1);
    project.check("waits", "fetch", WAITS);
    project.run(&["rollback", "--yes", "--wait", "none"]).ends(2).says("--wait: \"none\" is not a duration");
    // It waits for a run and for a lock, and is told of both.
    let first = Deploying::start(&project, "first", &["-m", "the first"]);
    wait_for_check(&farm, 0);
    let second = Deploying::start(&project, "second", &["--wait", "10m", "-m", "the second"]);
    second.says("app is being deployed by op on ").says("'the first'").says("waiting for up to 600 s (--wait)");
    let third = Deploying::start(&project, "third", &["--wait", "10m", "-m", "the third"]);
    third.says("'the first'");
    project.write("index.html", "meanwhile\n");
    let meanwhile = project.commit("meanwhile");
    go(&farm, 1);
    first.ends(0);
    let said = second.ends(0);
    let note = format!("note: meanwhile, {meanwhile:.10} takes the place of {:.10}", revisions[0]);
    assert!(said.contains(&note), "{said}");
    all_on(&farm, 1, &meanwhile);
    // Whoever asked first was first.
    let said = third.ends(0);
    assert!(said.contains("'the second'") || said.contains("asked first"), "{said}");

    let held = lock(&project, "maintenance");
    project.deploy(&["-D", "lock_timeout:1"]).ends(5).says("waiting for up to 1 s (lock_timeout)");
    project.deploy(&["--wait", "1s"]).ends(5).says("waiting for up to 1 s (--wait)").says("maintenance");
    let mut waits = Deploying::start(&project, "interrupted", &["--wait", "10m"]);
    waits.says("maintenance");
    signal(&waits.child, "INT");
    assert!(!waits.child.wait().unwrap().success());
    unlock(held);
}

#[test]
fn a_waiting_run_that_is_killed_or_stopped_blocks_nobody() {
    let (farm, project, revisions) = revisions(3);
    let held = lock(&project, "maintenance");
    // They would be ahead of the last one, or newer than it.
    let mut killed = Deploying::start(&project, "killed", &["--supersede", "-r", &revisions[2]]);
    killed.says("maintenance");
    signal(&killed.child, "KILL");
    killed.child.wait().unwrap();
    let mut stopped = Deploying::start(&project, "stopped", &["--wait", "10m", "-r", &revisions[0]]);
    stopped.says("maintenance");
    signal(&stopped.child, "STOP");
    let last = Deploying::start(&project, "last", &["--supersede", "-r", &revisions[1]]);
    last.says("maintenance");
    unlock(held);
    last.ends(0);
    all_on(&farm, 1, &revisions[1]);
    signal(&stopped.child, "KILL");
    stopped.child.wait().unwrap();
    let queue = fs::read_dir(project.path(".git/hoist-app.queue")).unwrap().count();
    project.deploy(&["--wait", "1s", "-f"]).ends(0);
    assert!(queue > 0 && fs::read_dir(project.path(".git/hoist-app.queue")).unwrap().count() == 0);
}

#[test]
fn what_is_about_other_hosts_is_not_superseded() {
    let (farm, project, revisions) = revisions(2);
    let held = lock(&project, "maintenance");
    let canary = Deploying::start(&project, "canary", &["--supersede", "-r", &revisions[0], "-l", "*"]);
    canary.says("maintenance");
    let all = Deploying::start(&project, "all", &["--supersede", "-r", &revisions[1]]);
    all.says("maintenance");
    unlock(held);
    canary.ends(0);
    all.ends(0);
    all_on(&farm, 1, &revisions[1]);
    project.run(&["deploy", "--yes", "--supersede", "--dry-run"]).ends(2).says("cannot be combined");
    let null = project.hoist(&["deploy", "--supersede"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(null.status.code(), Some(2));
}
