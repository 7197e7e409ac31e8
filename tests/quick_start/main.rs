//! README.md followed word for word on fresh hosts with a real web service: the files, the commands, and what it says
//! comes of them; and the same fleet behind a real load balancer under traffic.

#[path = "../common/mod.rs"]
mod common;
mod fleet;
mod haproxy;
mod load;
mod nginx;
mod readme;
mod traffic;

use fleet::{Fleet, Release};

#[test]
fn a_release_that_does_not_start_ends_on_one_canary_which_serves_the_good_release_again() {
    let fleet = Fleet::new(1, 3);
    fleet.write_quick_start();
    fleet.release(Release::Good("one"));
    for command in readme::commands() {
        let mut words = command.split(' ');
        assert_eq!(words.next(), Some("hoist"), "{command}");
        let mut words: Vec<&str> = words.collect();
        if words[0] == "deploy" {
            // Where the reader answers the questions at a terminal.
            words.insert(1, "--yes");
        }
        fleet.project.run(&words).ends(0);
    }
    fleet.assert_all_serve("one");

    fleet.release(Release::DoesNotStart);
    let ran = fleet.project.deploy(&[]).ends(1);
    let host = &fleet.addresses[0];
    assert!(ran.err.contains("rolled back") || ran.out.contains("rolled back"), "{ran:?}");
    assert!(ran.err.contains(host) || ran.out.contains(host), "{ran:?}");
    fleet.assert_all_serve("one");
    // Nobody but the canary has ever had the revision.
    let revision = fleet.project.git(&["rev-parse", "HEAD"]);
    for (number, address) in fleet.addresses.iter().enumerate() {
        let tree = fleet.farm.srv(address).join("deployment/web/page-cache/revs").join(&revision);
        assert_eq!(tree.exists(), number == 0, "{address}");
    }
}
