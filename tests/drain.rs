//! Hosts that are drained around their restarts, with real deployers and connections that die at every moment: in the end
//! no host is drained and healthy.

mod common;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{CACHE, Farm, Links, Project, Ran, address, wait_for};

/// The moments of a restart.
const MOMENTS: [&str; 3] = ["drain", "restart", "undrain"];

/// Where the commands of a drain run.
const PLACES: [&str; 2] = ["target", "deploy_host"];

struct Scene {
    farm: Farm,
    project: Project,
    one: String,
}

impl Scene {
    /// Hosts with a first revision, on each of which what happens to its service is written to `/srv/events`. Each command
    /// waits for as long as there is a file `/srv/pause-WORD`. The second revision is committed.
    fn new(hosts: usize, place: &str) -> Scene {
        let (farm, project) = Project::on_farm(0, hosts);
        for n in 0..hosts {
            let path = farm.srv(&address(n)).join("service");
            std::fs::write(&path, format!("#!/bin/sh\n{}\n", happens("restart", "/srv"))).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        // What is /srv on a host has a path of its own on this machine.
        let srv = match place {
            "target" => "/srv".to_owned(),
            _ => format!("{}/$HOIST_HOST/srv", farm.path("hosts").display()),
        };
        project.configure("service_name: web\nservice_command: /srv/service {action} {service}");
        project.configure(&format!(
            "drain_on: {place}\ndrain: {}\nundrain: {}",
            happens("drain", &srv),
            happens("undrain", &srv)
        ));
        project.configure("keepalive: 2\nreconnect_timeout: 5\nconnect_timeout: 3");
        project.deploy(&[]).ends(0);
        let one = project.git(&["rev-parse", "HEAD"]);
        project.write("index.html", "two\n");
        project.commit("two");
        let scene = Scene { farm, project, one };
        for n in 0..hosts {
            assert_eq!(scene.events(n), ["restart"], "nothing was live, so nobody was served");
            std::fs::remove_file(scene.srv(n, "events")).unwrap();
        }
        scene
    }

    fn srv(&self, n: usize, name: &str) -> PathBuf {
        self.farm.srv(&address(n)).join(name)
    }

    fn events(&self, n: usize) -> Vec<String> {
        let text = std::fs::read_to_string(self.srv(n, "events")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn two(&self) -> String {
        self.project.git(&["rev-parse", "HEAD"])
    }

    /// Starts a command and waits until the first host is at a moment.
    fn start_up_to(&self, arguments: &[&str], word: &str) -> Child {
        std::fs::write(self.srv(0, &format!("pause-{word}")), "").unwrap();
        let mut command = self.project.hoist(arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for(word, || self.events(0).last().is_some_and(|last| last == word));
        child
    }

    fn go_on(&self, word: &str) {
        std::fs::remove_file(self.srv(0, &format!("pause-{word}"))).unwrap();
    }

    fn is_on_record(&self, n: usize) -> bool {
        self.srv(n, CACHE).join(".hoist/drained.json").exists()
    }

    /// Whether the last thing that happened to a host is that it was put back, and nothing else is on record.
    #[track_caller]
    fn is_in_service(&self, n: usize, when: &str) {
        let events = self.events(n);
        let last = events.iter().rfind(|word| *word == "drain" || *word == "undrain");
        assert_eq!((last.map(String::as_str), self.is_on_record(n)), (Some("undrain"), false), "{when}: {events:?}");
    }

    /// The process of the stage that is at work on the first host.
    fn stage(&self) -> String {
        self.stage_of(0)
    }

    fn stage_of(&self, n: usize) -> String {
        let note = std::fs::read_to_string(self.srv(n, CACHE).join(".hoist/stage.lock")).unwrap();
        let note: serde_json::Value = serde_json::from_str(&note).unwrap();
        note["process"].to_string()
    }

    /// The sshd processes of the first host's connections.
    fn connections(&self) -> Vec<String> {
        let output = Command::new("ss").args(["-Htnp", "state", "established", "src", &address(0)]).output().unwrap();
        let port = format!("{}:{}", address(0), self.farm.port);
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().filter(|line| line.split_whitespace().nth(2) == Some(&port));
        let mut pids: Vec<String> = lines
            .flat_map(|line| line.split("pid=").skip(1))
            .filter_map(|rest| Some(rest.split(',').next()?.to_owned()))
            .collect();
        pids.sort_unstable();
        pids.dedup();
        assert!(!pids.is_empty(), "no connection to {port} in {text}");
        pids
    }
}

/// A line of shell that notes its process and a word, and waits for as long as it is to.
fn happens(word: &str, srv: &str) -> String {
    format!(
        "echo $$ > {srv}/{word}.pid; echo {word} >> {srv}/events; while test -e {srv}/pause-{word}; do sleep 0.05; done"
    )
}

/// Ends a process of the farm, by its id.
fn kill(pid: &str) {
    assert!(pid.parse::<u32>().unwrap() > 1, "{pid}");
    Command::new("kill").args(["-KILL", pid]).status().unwrap();
}

fn ended(child: Child) -> Ran {
    Ran::of(child.wait_with_output().unwrap())
}

#[test]
fn a_deployment_a_rollback_and_a_restart_leave_every_host_in_service() {
    for place in PLACES {
        let scene = Scene::new(2, place);
        scene.project.deploy(&[]).ends(0);
        scene.project.run(&["rollback", "--yes"]).ends(0);
        scene.project.run(&["deploy", "--yes", "--service-restart"]).ends(0);
        for n in 0..2 {
            assert_eq!(scene.events(n), ["drain", "restart", "undrain"].repeat(3), "{place}");
            scene.is_in_service(n, place);
        }
        scene.project.run(&["status"]).ends(0);
    }
}

#[test]
fn a_deployer_that_is_killed_at_any_moment_leaves_what_a_resume_and_a_rollback_put_back() {
    for place in PLACES {
        for moment in MOMENTS {
            for next in ["resume", "rollback"] {
                let scene = Scene::new(1, place);
                let mut deployer = scene.start_up_to(&["deploy", "--yes"], moment);
                deployer.kill().unwrap();
                deployer.wait().unwrap();
                if place == "deploy_host" && moment != "restart" {
                    let pid = std::fs::read_to_string(scene.srv(0, &format!("{moment}.pid"))).unwrap();
                    let gone = || !std::path::Path::new(&format!("/proc/{}", pid.trim())).exists();
                    wait_for("the deployer's command to die with it", gone);
                }
                scene.go_on(moment);
                let status = scene.project.run(&[next, "--yes"]);
                let when = format!("{next} after {moment} on {place}: {}{}", status.out, status.err);
                scene.is_in_service(0, &when);
                let live = Links::of(&scene.farm, 0).current;
                let failed = next == "rollback" || live.as_ref() == Some(&scene.one);
                assert_eq!(live, Some(if failed { scene.one.clone() } else { scene.two() }), "{when}");
            }
        }
    }
}

#[test]
fn a_rollback_and_a_restart_whose_deployer_is_killed_at_any_moment_are_resumed_to_hosts_in_service() {
    for command in [&["rollback", "--yes"][..], &["deploy", "--yes", "--service-restart"]] {
        for moment in MOMENTS {
            let scene = Scene::new(1, "target");
            scene.project.deploy(&[]).ends(0);
            std::fs::remove_file(scene.srv(0, "events")).unwrap();
            let mut deployer = scene.start_up_to(command, moment);
            deployer.kill().unwrap();
            deployer.wait().unwrap();
            scene.go_on(moment);
            let ran = scene.project.run(&["resume", "--yes"]);
            scene.is_in_service(0, &format!("{command:?} after {moment}: {}{}", ran.out, ran.err));
        }
    }
}

#[test]
fn a_stage_that_is_killed_at_any_moment_fails_its_host_which_is_put_back_within_the_limit_and_beyond_it() {
    for place in PLACES {
        for moment in MOMENTS {
            for limit in [0, 1] {
                let scene = Scene::new(2, place);
                scene.project.configure(&format!("failure_limit: {limit}\ngroup_size: 1"));
                let deployer = scene.start_up_to(&["deploy", "--yes"], moment);
                kill(&scene.stage());
                scene.go_on(moment);
                let ran = ended(deployer);
                let when = format!("{moment} on {place} with a limit of {limit}: {}", ran.out);
                scene.is_in_service(0, &when);
                ran.ends(if limit == 0 { 1 } else { 0 });
                if limit == 1 {
                    scene.is_in_service(1, &when);
                }
            }
        }
    }
}

#[test]
fn a_connection_that_is_lost_at_any_moment_changes_nothing() {
    for place in PLACES {
        for moment in MOMENTS {
            let scene = Scene::new(1, place);
            let deployer = scene.start_up_to(&["deploy", "--yes"], moment);
            scene.connections().iter().for_each(|pid| kill(pid));
            scene.go_on(moment);
            let ran = ended(deployer);
            let when = format!("{moment} on {place}: {}", ran.out);
            scene.is_in_service(0, &when);
            ran.ends(0);
            assert_eq!(Links::of(&scene.farm, 0), Links::finalized(&scene.two()), "{when}");
        }
    }
}

#[test]
fn hosts_whose_deployer_is_gone_for_good_are_put_back_by_the_watchers_of_their_leases() {
    for moment in MOMENTS {
        let scene = Scene::new(1, "target");
        scene.project.configure("confirm_timeout: 2");
        let mut deployer = scene.start_up_to(&["deploy", "--yes"], moment);
        let stage = scene.stage();
        deployer.kill().unwrap();
        deployer.wait().unwrap();
        kill(&stage);
        scene.go_on(moment);
        wait_for("the watcher", || {
            !scene.is_on_record(0) && Links::of(&scene.farm, 0).current.as_ref() == Some(&scene.one)
        });
        scene.is_in_service(0, moment);
    }
}

#[test]
fn a_host_that_cannot_be_made_healthy_stays_drained_and_is_named_everywhere_until_it_can() {
    let scene = Scene::new(2, "target");
    scene.project.configure("failure_limit: 1");
    // One host's service does not start any more, whatever is live.
    let service = scene.srv(0, "service");
    let good = std::fs::read_to_string(&service).unwrap();
    std::fs::write(&service, "#!/bin/sh\nexit 7\n").unwrap();
    let ran = scene.project.deploy(&[]).ends(3);
    ran.says(&format!("1 host is still drained: {}", address(0))).says(&since(&scene, 0)).says("exit status 7");
    scene.project.run(&["history", "-n", "1"]).ends(0).says("hosts drained");
    assert!(scene.is_on_record(0));
    scene.is_in_service(1, "the other one");
    scene.project.run(&["status"]).ends(1).says("behind").says("drained since 20");
    let status = scene.project.run(&["status", "--format", "json"]).ends(1);
    let status: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(status["hosts"][0]["drained"]["on"], "target", "{status}");
    assert!(status["hosts"][1]["drained"].is_null(), "{status}");
    scene.project.run(&["status", "--offline"]).ends(1).says("drained since 20");

    std::fs::write(&service, good).unwrap();
    scene.project.run(&["reconcile", "--yes"]).ends(0);
    scene.is_in_service(0, "reconcile");
    scene.project.run(&["status"]).ends(0);
}

#[test]
fn a_drained_host_that_is_gone_stays_on_record_as_drained_and_every_run_without_it_names_it() {
    let scene = Scene::new(2, "target");
    let host = address(0);
    scene.project.configure("failure_limit: 1\ngroup_size: 1");
    let service = scene.srv(0, "service");
    let good = std::fs::read_to_string(&service).unwrap();
    std::fs::write(&service, "#!/bin/sh\nexit 7\n").unwrap();
    // The deployer dies when the first host has failed, and the host is gone when the run is resumed.
    let check = "checks:\n  waits:\n    stage: fetch\n    shell: true\n    command: \
                 \"if test -e /srv/pause; then touch /srv/waiting; sleep 60; fi\"\n";
    scene.project.write("hoist/checks.yaml", check);
    std::fs::write(scene.srv(1, "pause"), "").unwrap();
    let mut command = scene.project.hoist(&["deploy", "--yes"]);
    let mut deployer = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the second host", || scene.srv(1, "waiting").exists());
    deployer.kill().unwrap();
    deployer.wait().unwrap();
    std::fs::remove_file(scene.srv(1, "pause")).unwrap();
    kill(&scene.stage_of(1));
    scene.farm.set_down(&host, true);
    let ran = scene.project.run(&["resume", "--yes"]).ends(3);
    let ran = ran.says(&format!("; 1 host was last seen drained: {host}"));
    ran.says("; last seen drained since 20").says("; could not be read again: no answer to the probe");
    for flags in [&[][..], &["--offline"]] {
        let ran = scene.project.run(&[&["status", "--json"], flags].concat()).ends(1);
        let status: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let known = &status["hosts"][0];
        assert_eq!((&known["current"], &known["done"]), (&scene.two().into(), &scene.one.as_str().into()), "{known}");
        assert_eq!(known["drained"]["on"], "target", "{flags:?}: {known}");
    }
    // Whatever is done without it.
    scene.project.git(&["commit", "-qm", "three", "--allow-empty"]);
    for command in [&["deploy"][..], &["deploy", "--service-restart"], &["rollback"]] {
        let ran = scene.project.run(&[command, &["--yes"]].concat()).ends(0);
        assert!(ran.out.contains(&format!("; last seen {}", since(&scene, 0))), "{command:?}: {ran:?}");
    }
    let ran = scene.project.run(&["reconcile", "--yes"]).ends(1);
    assert!(format!("{ran:?}").contains("last seen drained"), "{ran:?}");
    std::fs::write(&service, good).unwrap();
    scene.farm.set_down(&host, false);
    scene.project.run(&["reconcile", "--yes"]).ends(0);
    scene.is_in_service(0, "reconcile");
    scene.project.run(&["status"]).ends(0);
}

/// What people are told of the time since which a host is drained, by its own record of that: local time and its zone.
fn since(scene: &Scene, n: usize) -> String {
    let status: serde_json::Value =
        serde_json::from_str(&scene.project.run(&["status", "--offline", "--json"]).out).unwrap();
    let recorded = status["hosts"][n]["drained"]["since"].as_str().unwrap();
    assert!(recorded.contains('T') && recorded.ends_with('Z'), "JSON has RFC 3339: {recorded}");
    let date = std::process::Command::new("date").args(["-d", recorded, "+%F %H:%M %Z"]).output().unwrap();
    format!("drained since {}", String::from_utf8(date.stdout).unwrap().trim())
}

#[test]
fn a_host_that_was_drained_from_a_deploy_host_that_died_is_named_by_every_command_until_one_puts_it_back() {
    let scene = Scene::new(2, "deploy_host");
    let mut deployer = scene.start_up_to(&["deploy", "--yes"], "drain");
    deployer.kill().unwrap();
    deployer.wait().unwrap();
    scene.go_on("drain");
    let host = address(0);
    scene.project.run(&["status"]).ends(1).says("drained since 20");
    let ran = scene.project.run(&["unlock", "--all", "--yes"]).ends(0).says("`hoist resume`");
    // The second host may be drained as well, of the same minute.
    let (one, both) = (format!("{host}: {}", since(&scene, 0)), format!("127.0.0.[1-2]: {}", since(&scene, 0)));
    assert!(ran.out.lines().any(|line| line.starts_with(&one) || line.starts_with(&both)), "{}", ran.out);
    scene.project.run(&["reconcile", "--yes"]).ends(6).says("hoist resume");
    scene.project.run(&["resume", "--yes"]).ends(0);
    (0..2).for_each(|n| scene.is_in_service(n, "resume"));
    scene.project.run(&["status"]).ends(0);

    // A balancer that takes no host back: the run is over, and nothing is left to resume.
    let events = scene.farm.path("hosts").join("$HOIST_HOST/srv/events");
    scene.project.configure(&format!("drain: echo drain >> {}\nundrain: exit 4", events.display()));
    scene.project.write("index.html", "three\n");
    scene.project.commit("three");
    let ran = scene.project.deploy(&[]).ends(3);
    ran.says("2 hosts are still drained").says("drained since 20").says("undrain failed with exit status 4");
    scene.project.run(&["history", "-n", "1"]).ends(0).says("rollback incomplete");
    scene.project.run(&["unlock", "--all", "--yes"]).ends(0).says("drained since 20").says("`hoist reconcile`");
    scene.project.configure(&format!("undrain: echo undrain >> {}", events.display()));
    scene.project.run(&["reconcile", "--dry-run"]).ends(0).says("is live, but drained");
    scene.project.run(&["reconcile", "--yes"]).ends(0);
    (0..2).for_each(|n| scene.is_in_service(n, "reconcile"));
    scene.project.run(&["status"]).ends(0);
}

#[test]
fn what_a_drain_on_the_deploy_host_has_started_ends_with_a_killed_deployer() {
    let scene = Scene::new(1, "deploy_host");
    let (inner, out) = (scene.farm.path("inner"), scene.farm.path("out"));
    let script = scene.farm.path("drain.sh");
    std::fs::write(&script, format!("echo $$ > {}\nsleep 3\ntouch {}\n", inner.display(), out.display())).unwrap();
    scene.project.configure(&format!("drain: sh {}; true", script.display()));
    for signals in [&["KILL"][..], &["TERM", "TERM"]] {
        let mut command = scene.project.hoist(&["deploy", "--yes"]);
        let mut deployer = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for("the script", || inner.exists());
        for signal in signals {
            std::thread::sleep(Duration::from_millis(300));
            Command::new("kill").args([&format!("-{signal}"), &deployer.id().to_string()]).status().unwrap();
        }
        deployer.wait().unwrap();
        wait_for("the end of the script", || {
            let id = std::fs::read_to_string(&inner).unwrap();
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", id.trim()));
            stat.map_or(true, |stat| stat.contains(") Z"))
        });
        std::fs::remove_file(&inner).unwrap();
        assert!(!out.exists(), "the host was taken out of service by nobody");
        scene.project.run(&["rollback", "--yes"]).ends(1);
        scene.project.run(&["lock", "--end"]);
        scene.project.run(&["status"]).ends(0);
        scene.project.commit_again();
    }
}

#[test]
fn a_balancer_that_does_not_answer_fails_the_host_before_anything_is_changed() {
    for place in PLACES {
        let scene = Scene::new(1, place);
        scene.project.configure("drain: echo no route to the balancer >&2; exit 4");
        let ran = scene.project.deploy(&[]).ends(1);
        ran.says("drain failed with exit status 4: no route to the balancer");
        assert_eq!(Links::of(&scene.farm, 0), Links::finalized(&scene.one));
        assert!(!scene.events(0).contains(&"restart".to_owned()), "{:?}", scene.events(0));
        assert!(!scene.is_on_record(0));
    }
}
