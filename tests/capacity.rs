//! How many services are down at once, read from what the hosts themselves write down when a restart begins and ends:
//! real sshd, the built binary.

mod common;

use std::path::PathBuf;
use std::process::{Child, Stdio};

use common::restarts::Restarts;
use common::{CACHE, Farm, Links, Project, address, all_on, wait_for};

const HOSTS: usize = 5;
const MOST: i32 = 2;

/// Hosts whose service notes in one file when its restart begins and ends; two may be down at a time.
struct Scene {
    farm: Farm,
    project: Project,
    restarts: Restarts,
}

impl Scene {
    fn new(more: &str) -> Scene {
        let (farm, project) = Project::on_farm(0, HOSTS);
        let restarts = Restarts::install(&farm, &project, HOSTS);
        project.configure(&format!("verify_service: off\nmax_unavailable: {MOST}\n{more}"));
        Scene { farm, project, restarts }
    }

    /// The same, with the revision `one` deployed to all of them.
    fn with_one(more: &str) -> (Scene, String) {
        let scene = Scene::new(more);
        let one = scene.commit("one");
        scene.project.deploy(&[]).ends(0);
        scene.restarted(HOSTS);
        (scene, one)
    }

    fn commit(&self, words: &str) -> String {
        self.project.write("index.html", &format!("{words}\n"));
        self.project.commit(words)
    }

    /// Has `one` live on all hosts, and commits `two`.
    fn two_after_one(&self) -> String {
        let one = self.commit("one");
        self.project.deploy(&["--break-glass", "set up"]).ends(0);
        self.restarted(HOSTS);
        self.commit("two");
        one
    }

    /// Makes another revision the live and finalized one of some hosts, as somebody else would.
    fn astray(&self, hosts: std::ops::Range<usize>, revision: &str) {
        for n in hosts {
            let cache = self.farm.srv(&address(n)).join(CACHE);
            for link in ["current", ".done"] {
                std::fs::remove_file(cache.join(link)).unwrap();
                std::os::unix::fs::symlink(format!("revs/{revision}"), cache.join(link)).unwrap();
            }
        }
    }

    fn put(&self, n: usize, name: &str) -> PathBuf {
        let path = self.farm.srv(&address(n)).join(name);
        std::fs::write(&path, "").unwrap();
        path
    }

    /// So many restarts there were, and never more at once than may be.
    #[track_caller]
    fn restarted(&self, times: usize) {
        self.restarted_at_most(times, MOST);
    }

    #[track_caller]
    fn restarted_at_most(&self, times: usize, may: i32) {
        let (found, most) = self.restarts.take();
        assert_eq!(found, times);
        assert!(most <= may, "{most} services were down at once, of {may} that may be");
    }

    fn start(&self) -> Child {
        let mut deploy = self.project.hoist(&["deploy", "--yes"]);
        deploy.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Kills a deployer that soaks.
    fn kill_in_the_soak(&self) {
        let mut deployer = self.start();
        wait_for("all hosts to be promoted", || self.restarts.ended() == HOSTS);
        let state = self.project.path("hoist/state");
        let soaks = || {
            let files = std::fs::read_dir(&state).unwrap().map(|file| file.unwrap().path());
            let text: String = files.filter_map(|path| std::fs::read_to_string(path).ok()).collect();
            text.contains("\"record\":\"look_begun\"")
        };
        wait_for("the soak to begin", soaks);
        deployer.kill().unwrap();
        deployer.wait().unwrap();
    }
}

#[test]
fn no_more_services_are_down_at_once_than_may_be_whatever_is_done() {
    let (scene, one) = Scene::with_one("");
    scene.project.deploy(&["--service-restart"]).ends(0);
    scene.restarted(HOSTS);
    // The last host fails its check, and everything goes back.
    scene.project.check("page", "restart_service", "test ! -e /srv/broken");
    let broken = scene.farm.srv(&address(HOSTS - 1)).join("broken");
    std::fs::write(&broken, "").unwrap();
    let two = scene.commit("two");
    scene.project.deploy(&[]).ends(1);
    scene.restarted(2 * HOSTS);
    all_on(&scene.farm, HOSTS, &one);
    std::fs::remove_file(&broken).unwrap();
    scene.project.deploy(&[]).ends(0);
    scene.restarted(HOSTS);
    all_on(&scene.farm, HOSTS, &two);
    scene.project.run(&["rollback", "--yes"]).ends(0);
    scene.restarted(HOSTS);
    all_on(&scene.farm, HOSTS, &one);
    // Somebody has put most of the hosts back by hand.
    scene.astray(0..HOSTS - 1, &two);
    scene.project.run(&["reconcile", "--yes"]).ends(0);
    scene.restarted(HOSTS - 1);
    all_on(&scene.farm, HOSTS, &one);
}

#[test]
fn hosts_that_are_tried_again_and_runs_that_are_resumed_take_no_more_room() {
    let (scene, _) = Scene::with_one("failure_limit: 3\nretry_failed: 2");
    scene.project.check("page", "restart_service", "test ! -e /srv/once || { rm /srv/once; false; }");
    for n in [0, 1, 3] {
        scene.put(n, "once");
    }
    let two = scene.commit("two");
    scene.project.deploy(&[]).ends(0);
    scene.restarted(HOSTS + 3);
    all_on(&scene.farm, HOSTS, &two);

    // The deployer dies while two hosts restart, and another one goes on before they are through.
    let three = scene.commit("three");
    let hold = [0, 1].map(|n| scene.put(n, "hold"));
    let mut deployer = scene.start();
    wait_for("two restarts", || scene.restarts.count("+") == 2);
    deployer.kill().unwrap();
    deployer.wait().unwrap();
    let known = [0, 1].map(|n| scene.farm.connections_to(&address(n)));
    let mut resume = scene.project.hoist(&["resume", "--yes"]);
    let resume = resume.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the two hosts to be asked", || [0, 1].map(|n| scene.farm.connections_to(&address(n))) > known);
    std::fs::remove_file(&hold[0]).unwrap();
    wait_for("the first of them", || scene.restarts.ended() > 0);
    std::fs::remove_file(&hold[1]).unwrap();
    common::Ran::of(resume.wait_with_output().unwrap()).ends(0);
    scene.restarted(HOSTS);
    all_on(&scene.farm, HOSTS, &three);
}

#[test]
fn hosts_of_the_group_that_a_run_leaves_alone_count_if_they_are_out_of_service() {
    let (scene, one) = Scene::with_one("");
    // A record that cannot be read is one all the same.
    let record = scene.put(3, &format!("{CACHE}/.hoist/drained.json"));
    // Nobody listens at that port.
    let hosts = std::fs::read_to_string(scene.project.path("hoist/default")).unwrap();
    scene.project.write("hoist/default", &hosts.replace("127.0.0.5", "127.0.0.5:1"));
    let two = scene.commit("two");
    let few = format!("{},{},{}", address(0), address(1), address(2));
    let ran = scene.project.deploy(&["-l", &few]).ends(1);
    ran.says(
        "max_unavailable of default (2) is used up: 127.0.0.4,127.0.0.5:1 are out of service; nothing was touched",
    );
    assert_eq!(scene.restarts.count("+"), 0);

    std::fs::remove_file(record).unwrap();
    let count =
        "127.0.0.5:1 is out of service and counts against max_unavailable of default, though not part of this run";
    scene.project.deploy(&["-l", &few]).ends(0).says(count);
    scene.restarted_at_most(3, 1);
    scene.project.run(&["rollback", "--yes", "-l", &few]).ends(0).says(count);
    scene.restarted_at_most(3, 1);
    all_on(&scene.farm, 3, &one);
    scene.astray(0..2, &two);
    scene.project.run(&["reconcile", "--yes", "-l", &few]).ends(0).says(count);
    scene.restarted_at_most(2, 1);
    // What takes nothing down asks nobody.
    let known = scene.farm.connections_to(&address(3));
    scene.project.deploy(&["-l", &address(0), "--stages", "fetch"]).ends(0);
    assert_eq!(scene.farm.connections_to(&address(3)), known);
}

#[test]
fn a_failed_host_that_uses_the_budget_up_halts_the_run_and_is_named() {
    let (scene, _) = Scene::with_one("failure_limit: 4");
    scene.project.check("page", "restart_service", "test ! -e /srv/broken");
    for n in 0..2 {
        std::fs::write(scene.farm.srv(&address(n)).join("broken"), "").unwrap();
    }
    scene.commit("two");
    let ran = scene.project.deploy(&[]);
    ran.says("max_unavailable of default (2) is used up").says("failure_limit of default (4) is not below");
    scene.restarted(4);
}

#[test]
fn hosts_whose_deployer_is_dead_go_back_by_turns() {
    let scene = Scene::new("confirm_timeout: 4\nlease_slot: 2\nsoak_time: 600");
    let one = scene.two_after_one();
    scene.kill_in_the_soak();
    let is_back = |n| Links::of(&scene.farm, n).current.as_ref() == Some(&one);
    wait_for("all hosts to go back by themselves", || (0..HOSTS).all(is_back) && scene.restarts.ended() == 2 * HOSTS);
    scene.restarted(2 * HOSTS);
}

#[test]
fn a_deployer_that_is_killed_in_a_soak_is_resumed_with_what_was_left_of_it() {
    let scene = Scene::new("soak_time: 3");
    let one = scene.commit("one");
    scene.kill_in_the_soak();
    let resumed = scene.project.run(&["resume", "--yes", "--format", "json"]).ends(0);
    let soaking = resumed.events().iter().filter(|event| event["event"] == "soaking").count();
    assert!(soaking > 0, "what was left of it was soaked");
    scene.restarted(HOSTS);
    all_on(&scene.farm, HOSTS, &one);
}

#[test]
fn an_interrupt_ends_a_soak_at_once_and_the_run_is_rolled_back() {
    let scene = Scene::new("soak_time: 600");
    let one = scene.two_after_one();
    let deployer = scene.start();
    wait_for("all hosts to be promoted", || scene.restarts.ended() == HOSTS);
    common::signal(&deployer, "INT");
    let ran = common::Ran::of(deployer.wait_with_output().unwrap());
    ran.ends(1).says("interrupted. Roll back 5 hosts?");
    scene.restarted(2 * HOSTS);
    all_on(&scene.farm, HOSTS, &one);
}
