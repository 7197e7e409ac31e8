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

#[test]
fn twelve_hosts_behind_a_balancer_lose_no_request_whatever_is_done_fails_or_dies() {
    let fleet = Fleet::serving(3, 9);
    let balancer = HaProxy::start(&fleet);
    fleet.append_keys(&readme::drain_keys().replace("balancer:9999", &balancer.socket()));
    fleet.project.configure(&format!("group_size: {BUDGET}\nmin_healthy_time: 1"));
    let load = Load::start(&balancer.authority());
    let watch = Watch::start(&balancer, &fleet);
    let end = |during: &str, answers: &[&str]| {
        load.lost_nothing(during, answers);
        assert_eq!(balancer.out(), [""; 0], "{during}");
        let most = watch.most_out();
        assert!(most.0 <= BUDGET && most.1 <= BUDGET, "{during}: {most:?} servers were out at a time");
        most
    };
    assert_eq!(end("rest", &["one"]), (0, 0));

    fleet.release(Release::Good("two"));
    fleet.project.deploy(&[]).ends(0);
    assert_ne!(end("a deployment", &["one", "two"]), (0, 0), "hosts are drained");
    fleet.assert_all_serve("two");

    let last = &fleet.addresses[11];
    fleet.release(Release::BreaksOn("three", last));
    fleet.project.deploy(&[]).ends(1).says(last);
    end("a deployment that fails on the last host and is rolled back", &["two", "three"]);
    fleet.assert_all_serve("two");

    fleet.project.run(&["rollback", "--yes"]).ends(0);
    end("hoist rollback", &["one", "two"]);
    fleet.assert_all_serve("one");

    // The canaries and two subgroups of the others are promoted; their turns come the other way round.
    fleet.project.configure("confirm_timeout: 4\nlease_slot: 6");
    fleet.release(Release::Good("four"));
    kill_when(&fleet, "the second subgroup", || balancer.out().contains(&fleet.addresses[6]));
    let is_back = |host: &usize| fleet.lease_of(&fleet.addresses[*host]).as_deref() == Some("rolled_back");
    wait_for("the canaries to go back by themselves", || (0..3).all(|host| is_back(&host)));
    wait_for("the second subgroup to go back by itself", || is_back(&6));
    assert!(!(3..6).any(|host| is_back(&host)), "out of its turn");
    wait_for("the first subgroup to go back by itself", || (3..6).all(|host| is_back(&host)));
    wait_for("every host", || fleet.addresses.iter().all(|host| fleet.lease_of(host).as_deref() != Some("open")));
    end("leases that ran out without a deployer", &["one", "four"]);
    fleet.assert_all_serve("one");
    fleet.project.run(&["rollback", "--yes"]).ends(1).says("9 hosts were rolled back and verified");
    end("the end of that run", &["one"]);

    // Two canaries cannot be reached for a while, and serve.
    fleet.project.configure("confirm_timeout: 0\ncanary_failure_limit: 2");
    fleet.canaries()[1..].iter().for_each(|host| fleet.farm.set_down(host, true));
    fleet.release(Release::Good("five"));
    fleet.project.deploy(&[]).ends(0);
    end("a deployment that goes through without two hosts", &["one", "five"]);
    fleet.canaries()[1..].iter().for_each(|host| fleet.farm.set_down(host, false));
    fleet.project.run(&["reconcile", "--yes"]).ends(0);
    assert_ne!(end("hoist reconcile", &["one", "five"]), (0, 0), "hosts are drained");
    fleet.assert_all_serve("five");

    fleet.project.run(&["deploy", "--yes", "--service-restart"]).ends(0);
    assert_ne!(end("--service-restart", &["five"]), (0, 0), "hosts are drained");
    load.end();
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
