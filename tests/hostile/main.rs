//! Surroundings that are not as they should be: strangers on targets, names that lead elsewhere, messages of any length,
//! targets that say what they like. By real processes over the farm.

#[path = "../common/mod.rs"]
mod common;
mod links;
mod output;

use std::fs;
use std::io::Read;
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
    let (farm, project) = Project::on_farm(0, 3);
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
    let (_farm, project) = Project::on_farm(0, 1);
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
    let (farm, project) = Project::on_farm(1, 1);
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
    let (farm, project) = Project::on_farm(0, 2);
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
    ran.says(&format!("{} is not the machine that this run started on", address(0)));
    // Nothing was done there.
    assert_eq!(Links::of(&farm, 0), Links::finalized(&one));
}

#[test]
fn whoever_ends_a_run_for_another_finds_out_that_a_name_has_moved_to_another_machine() {
    for command in ["resume", "rollback"] {
        let (farm, project) = Project::on_farm(0, 2);
        let one = project.commit("one");
        project.deploy(&[]).ends(0);
        let (srv, spare) = (farm.srv(&address(0)), farm.path("spare"));
        assert!(Command::new("cp").arg("-a").arg(&srv).arg(&spare).status().unwrap().success());
        project.write("hoist/checks.yaml", &waits("promote"));
        let two = project.commit("two");
        let mut deployer = project.hoist(&["deploy", "--yes"]).stdout(Stdio::null()).spawn().unwrap();
        wait_for("promote", || (0..2).all(|n| farm.srv(&address(n)).join("waiting").exists()));
        signal(&deployer, "KILL");
        deployer.wait().unwrap();
        (0..2).for_each(|n| fs::write(farm.srv(&address(n)).join("go"), "").unwrap());
        fs::rename(&srv, farm.path("first")).unwrap();
        fs::rename(&spare, &srv).unwrap();
        let ran = project.run(&[command, "--yes"]).ends(3);
        ran.says(&format!("{} is not the machine that this run started on", address(0)));
        assert_eq!(Links::of(&farm, 0), Links::finalized(&one));
        // With the first machine back under its name, it is as it is after any run that ended so.
        fs::rename(&srv, &spare).unwrap();
        fs::rename(farm.path("first"), &srv).unwrap();
        assert_eq!(Links::of(&farm, 0).current, Some(two));
        assert_eq!(Links::of(&farm, 1), Links::finalized(&one));
    }
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
    let (farm, project) = Project::on_farm(0, 1);
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
    let ran = project.deploy(&[]).ends(5).says("app is being deployed by op on ").says("begins");
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
    project.deploy(&[&message]).ends(0).says("only the first 4096 are kept");
}
