//! 200 requests a second through a real HAProxy while the fleet behind it is deployed to, rolled back, left alone by its
//! deployer, reconciled and restarted.

use std::process::{Child, Stdio};

use crate::common::wait_for;
use crate::fleet::{Fleet, Release};
use crate::haproxy::{HaProxy, Watch};
use crate::load::Load;
use crate::readme;

/// As many hosts of a group are restarted at a time.
const BUDGET: usize = 3;

/// Starts a deployment, and kills it once something is so.
fn kill_when(fleet: &Fleet, what: &str, is_so: impl Fn() -> bool) {
    let mut deploy = fleet.project.hoist(&["deploy", "--yes"]);
    let mut deployer: Child = deploy.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(what, is_so);
    deployer.kill().unwrap();
    deployer.wait().unwrap();
}

/// Twelve hosts that serve behind a balancer, under load.
struct Scene {
    fleet: Fleet,
    balancer: HaProxy,
    load: Load,
    watch: Watch,
}

impl Scene {
    /// Release `one` is live, and has been for a moment.
    fn new() -> Scene {
        let fleet = Fleet::serving(3, 9);
        let balancer = HaProxy::start(&fleet);
        fleet.append_keys(&readme::drain_keys().replace("balancer:9999", &balancer.socket()));
        fleet.project.configure(&format!("group_size: {BUDGET}\nmin_healthy_time: 1"));
        let load = Load::start(&balancer.authority());
        let watch = Watch::start(&balancer, &fleet);
        let scene = Scene { fleet, balancer, load, watch };
        assert_eq!(scene.ends("rest", &["one"]), (0, 0));
        scene
    }

    /// No request was lost, and all servers are in service again. How many canaries and others were out at a time.
    #[track_caller]
    fn ends(&self, during: &str, answers: &[&str]) -> (usize, usize) {
        self.load.lost_nothing(during, answers);
        assert_eq!(self.balancer.out(), [""; 0], "{during}");
        let most = self.watch.most_out();
        assert!(most.0 <= BUDGET && most.1 <= BUDGET, "{during}: {most:?} servers were out at a time");
        most
    }
}

#[test]
fn twelve_hosts_behind_a_balancer_lose_no_request_whatever_fails_and_is_rolled_back() {
    let scene = Scene::new();
    let fleet = &scene.fleet;
    fleet.release(Release::Good("two"));
    fleet.project.deploy(&[]).ends(0);
    assert_ne!(scene.ends("a deployment", &["one", "two"]), (0, 0), "hosts are drained");
    fleet.assert_all_serve("two");

    let last = &fleet.addresses[11];
    fleet.release(Release::BreaksOn("three", last));
    fleet.project.deploy(&[]).ends(1).says(last);
    scene.ends("a deployment that fails on the last host and is rolled back", &["two", "three"]);
    fleet.assert_all_serve("two");

    fleet.project.run(&["rollback", "--yes"]).ends(0);
    scene.ends("hoist rollback", &["one", "two"]);
    fleet.assert_all_serve("one");
    scene.load.end();
}

#[test]
fn twelve_hosts_behind_a_balancer_lose_no_request_whoever_dies_or_cannot_be_reached() {
    let scene = Scene::new();
    let fleet = &scene.fleet;
    // The canaries and two subgroups of the others are promoted; their turns come the other way round.
    fleet.project.configure("confirm_timeout: 4\nlease_slot: 6");
    fleet.release(Release::Good("four"));
    kill_when(fleet, "the second subgroup", || scene.balancer.out().contains(&fleet.addresses[6]));
    let is_back = |host: &usize| fleet.lease_of(&fleet.addresses[*host]).as_deref() == Some("rolled_back");
    wait_for("the canaries to go back by themselves", || (0..3).all(|host| is_back(&host)));
    wait_for("the second subgroup to go back by itself", || is_back(&6));
    assert!(!(3..6).any(|host| is_back(&host)), "out of its turn");
    wait_for("the first subgroup to go back by itself", || (3..6).all(|host| is_back(&host)));
    wait_for("every host", || fleet.addresses.iter().all(|host| fleet.lease_of(host).as_deref() != Some("open")));
    scene.ends("leases that ran out without a deployer", &["one", "four"]);
    fleet.assert_all_serve("one");
    fleet.project.run(&["rollback", "--yes"]).ends(1).says("9 hosts were rolled back and verified");
    scene.ends("the end of that run", &["one"]);

    // Two canaries cannot be reached for a while, and serve.
    fleet.project.configure("confirm_timeout: 0\ncanary_failure_limit: 2");
    fleet.canaries()[1..].iter().for_each(|host| fleet.farm.set_down(host, true));
    fleet.release(Release::Good("five"));
    fleet.project.deploy(&[]).ends(0);
    scene.ends("a deployment that goes through without two hosts", &["one", "five"]);
    fleet.canaries()[1..].iter().for_each(|host| fleet.farm.set_down(host, false));
    fleet.project.run(&["reconcile", "--yes"]).ends(0);
    assert_ne!(scene.ends("hoist reconcile", &["one", "five"]), (0, 0), "hosts are drained");
    fleet.assert_all_serve("five");

    fleet.project.run(&["deploy", "--yes", "--service-restart"]).ends(0);
    assert_ne!(scene.ends("--service-restart", &["five"]), (0, 0), "hosts are drained");
    scene.load.end();
}

#[test]
fn hosts_that_are_drained_from_the_deploy_host_lose_no_request_though_it_is_killed() {
    let fleet = Fleet::serving(1, 4);
    let balancer = HaProxy::start(&fleet);
    fleet.append_keys(&readme::blocks_of_the_manual("HAProxy")[0].replace("balancer:9999", &balancer.socket()));
    fleet.project.configure("drain_on: deploy_host\ngroup_size: 2\nmin_healthy_time: 1");
    let load = Load::start(&balancer.authority());
    let watch = Watch::start(&balancer, &fleet);
    fleet.release(Release::Good("two"));
    kill_when(&fleet, "a drained host", || !balancer.out().is_empty());
    load.lost_nothing("a deployer that was killed", &["one"]);
    fleet.project.run(&["resume", "--yes"]).ends(0);
    load.lost_nothing("hoist resume", &["one", "two"]);
    fleet.assert_all_serve("two");
    assert_eq!(balancer.out(), [""; 0]);

    fleet.release(Release::DoesNotStart);
    fleet.project.deploy(&[]).ends(1);
    load.lost_nothing("a deployment that is rolled back", &["two"]);
    assert_eq!(balancer.out(), [""; 0]);
    let most = watch.most_out();
    assert!(most.0 == 1 && most.1 == 2, "{most:?} servers were out at a time");
    load.end();
}
