//! How many sessions are open at once, and what a deployment does where they cannot all be.

#[path = "common/mod.rs"]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::{Farm, HOIST, Links, Project, address};

/// Watches how many connections to the farm are open on this side, for as long as it lives.
struct Watch {
    stop: Arc<AtomicBool>,
    most: Arc<AtomicUsize>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watch {
    fn over(farm: &Farm) -> Watch {
        let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, seen, port) = (stop.clone(), most.clone(), farm.port);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // A table is no snapshot: one that closes and one that opens while it is read may both be in it.
                let looks = (0..3).map(|_| open_to(port));
                seen.fetch_max(looks.min().unwrap(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Watch { stop, most, thread: Some(thread) }
    }

    fn most(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.most.load(Ordering::Relaxed)
    }
}

/// Established connections whose far end is `port`, from proc(5): the third field is that end, the fourth the state.
fn open_to(port: u16) -> usize {
    let far = format!(":{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let open = |line: &&str| {
        let mut fields = line.split_whitespace();
        fields.nth(2).is_some_and(|end| end.ends_with(&far)) && fields.next() == Some("01")
    };
    table.lines().filter(open).count()
}

/// The target's program counts how often it is run, and hides or shows what it says of its lock holder.
#[test]
fn a_target_whose_lock_holder_takes_no_requests_has_its_stages_run_by_commands_of_their_own() {
    for (takes_requests, commands) in [("false", 4), ("true", 1)] {
        let farm = Farm::up();
        let project = Project::new(&farm, 0, 1);
        let (program, runs) = (project.path("program"), project.path("runs"));
        let fact = r#"s/"takes_requests":true/"takes_requests":"#;
        let script =
            format!("#!/bin/sh\necho >>{}\n{HOIST} \"$@\" | sed -u '{fact}{takes_requests}/'\n", runs.display());
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        project.deploy(&["-D", &format!("remote_binary:{}", program.display())]).ends(0);
        // The probe, fetch, promote and finalize.
        assert_eq!(std::fs::read_to_string(&runs).unwrap().lines().count(), commands, "{takes_requests}");
    }
}

#[test]
fn with_fewer_sessions_than_hosts_all_are_deployed_to_and_no_more_than_those_are_open() {
    let (farm, project) = Project::on_farm(2, 7);
    project.configure("max_sessions: 3");
    let watch = Watch::over(&farm);
    project.deploy(&[]).ends(0);
    let most = watch.most();
    assert!((1..=3).contains(&most), "{most} sessions were open at once");
    let one = project.git(&["rev-parse", "HEAD"]);
    for n in 0..9 {
        assert_eq!(Links::of(&farm, n), Links::finalized(&one), "host {n}");
    }
    assert!(farm.connections_to(&address(0)) > 1, "no session was closed to make room");
}

#[test]
fn with_fewer_sessions_than_hosts_a_failed_deployment_is_rolled_back_everywhere() {
    let (farm, project) = Project::on_farm(0, 6);
    project.configure("max_sessions: 2");
    project.deploy(&[]).ends(0);
    let one = project.git(&["rev-parse", "HEAD"]);
    // The last host takes the second revision badly, and the first one well: a rollback passes the same checks.
    let strange = format!("grep -q one index.html || ! echo $SSH_CONNECTION | grep -qF \"{} \"", address(5));
    project.write("index.html", "two\n");
    project.write(
        "hoist/checks.yaml",
        &format!("checks:\n  fit:\n    stage: promote\n    shell: true\n    command: '{strange}'\n"),
    );
    project.commit("two");
    project.deploy(&[]).ends(1);
    for n in 0..6 {
        assert_eq!(Links::of(&farm, n), Links::finalized(&one), "host {n}");
    }
}

#[test]
fn where_the_system_allows_fewer_open_files_than_sessions_all_hosts_are_deployed_to_by_turns() {
    let (farm, project) = Project::on_farm(0, 20);
    // A soft limit below what even one session needs, and a hard one that is enough for a few.
    let hoist = project.hoist(&["deploy", "--yes"]);
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "ulimit -Sn 12 && ulimit -Hn 80 && exec \"$0\" \"$@\""]).arg(hoist.get_program());
    limited.args(hoist.get_args()).current_dir(hoist.get_current_dir().unwrap()).stdin(std::process::Stdio::null());
    common::take_environment(&mut limited, &hoist);
    let output = limited.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("8 of 20 sessions") && said.contains("ulimit -Hn"), "{said}");
    let one = project.git(&["rev-parse", "HEAD"]);
    for n in 0..20 {
        assert_eq!(Links::of(&farm, n), Links::finalized(&one), "host {n}");
    }
}

#[test]
fn a_limit_on_sessions_does_not_go_with_leases() {
    let (_farm, project) = Project::on_farm(0, 1);
    project.configure("max_sessions: 3\nconfirm_timeout: 60");
    project.deploy(&[]).ends(2).says("max_sessions").says("confirm_timeout");
}

/// A second deploy host of the same repository, with locks of its own.
fn elsewhere(project: &Project) -> Project {
    let clone = Project::clone_of(project);
    for file in ["hoist/hoist.cfg", "hoist/default", "hoist/canary", "hoist/checks.yaml"] {
        clone.write(file, &std::fs::read_to_string(project.path(file)).unwrap());
    }
    clone.configure(&format!("lock_dir: {}", clone.path(".git").display()));
    clone
}

/// Three hosts with a first revision, the first of which can be made to wait in promote, and a second one to deploy.
fn waiting(settings: &str) -> (Farm, Project, String) {
    let (farm, project) = Project::on_farm(0, 3);
    project.configure(settings);
    project.write(
        "hoist/checks.yaml",
        "checks:\n  waits:\n    stage: promote\n    shell: true\n    timeout: 120\n    command: \"touch /srv/in; while \
         test -e /srv/wait; do sleep 0.05; done\"\n",
    );
    project.commit("checks");
    project.deploy(&[]).ends(0);
    project.write("index.html", "two\n");
    let two = project.commit("two");
    (farm, project, two)
}

/// Starts a deployment that stands still in promote on a host.
fn stand_still(farm: &Farm, project: &Project, n: usize) -> std::process::Child {
    let srv = farm.srv(&address(n));
    let _ = std::fs::remove_file(srv.join("in"));
    std::fs::write(srv.join("wait"), "").unwrap();
    let deployer = project.hoist(&["deploy", "--yes"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    common::wait_for("the host to come to promote", || srv.join("in").exists());
    deployer
}

#[test]
fn who_comes_second_touches_nothing_and_the_first_goes_on_though_it_has_fewer_sessions_than_hosts() {
    for (first, second) in [("max_sessions: 1", "max_sessions: 1"), ("max_sessions: 1", "max_sessions: 9")] {
        let (farm, project, two) = waiting(first);
        let other = elsewhere(&project);
        other.configure(second);
        // Its one session stands at the first host, then at the last: the others have none.
        for n in [0, 2] {
            project.write("index.html", &format!("{n}\n"));
            project.commit("another");
            let mut deployer = stand_still(&farm, &project, n);
            for _ in 0..2 {
                other.deploy(&[]).ends(5).says("nothing was touched");
            }
            std::fs::remove_file(farm.srv(&address(n)).join("wait")).unwrap();
            assert_eq!(deployer.wait().unwrap().code(), Some(0));
        }
        let last = project.git(&["rev-parse", "HEAD"]);
        for n in 0..3 {
            assert_eq!(Links::of(&farm, n), Links::finalized(&last), "host {n}");
        }
        // It has let go of everything.
        other.deploy(&["-r", &two]).ends(0);
    }
}

#[test]
fn what_a_dead_deployer_with_few_sessions_left_is_ended_by_its_own_run_or_by_unlock() {
    let (farm, project, two) = waiting("max_sessions: 1");
    let other = elsewhere(&project);
    for ends_by in ["rollback", "unlock"] {
        let mut deployer = stand_still(&farm, &project, 0);
        deployer.kill().unwrap();
        deployer.wait().unwrap();
        std::fs::remove_file(farm.srv(&address(0)).join("wait")).unwrap();
        other.deploy(&[]).ends(5).says("nothing was touched");
        match ends_by {
            "rollback" => drop(project.run(&["rollback", "--yes"]).ends(1)),
            _ => drop(other.run(&["unlock", "--all", "--yes"]).ends(0).says("was removed")),
        }
    }
    other.deploy(&["-r", &two]).ends(0);
    for n in 0..3 {
        assert_eq!(Links::of(&farm, n), Links::finalized(&two), "host {n}");
    }
}

#[test]
fn a_host_that_was_down_when_its_run_ended_takes_the_next_deployment_of_that_deploy_host() {
    let (farm, project, two) = waiting("max_sessions: 1\nreconnect_timeout: 1");
    let other = elsewhere(&project);
    // All hosts are claimed when the first one is in promote, and the last is gone from then on.
    let mut deployer = stand_still(&farm, &project, 0);
    farm.set_down(&address(2), true);
    std::fs::remove_file(farm.srv(&address(0)).join("wait")).unwrap();
    assert_ne!(deployer.wait().unwrap().code(), Some(0));
    farm.set_down(&address(2), false);
    // Elsewhere nobody knows that it has ended.
    other.deploy(&[]).ends(5).says("nothing was touched");
    // Nor is it this command's to change anything.
    project.run(&["status"]).says("locked");
    project.deploy(&["--dry-run"]).ends(0);
    other.deploy(&[]).ends(5);
    // It was rolled back for no fault of its own.
    project.deploy(&["--break-glass", "the host is back"]).ends(0);
    for n in 0..3 {
        assert_eq!(Links::of(&farm, n), Links::finalized(&two), "host {n}");
    }
    other.deploy(&["--break-glass", "again"]).ends(0);
}
