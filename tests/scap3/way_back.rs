//! Going back where Scap has deployed before, or since: each revision is judged, and told of, by what it has itself.

use std::fs;

use crate::common::{HOIST, Ran};
use crate::fleet::{DeployHost, LIVE, Target, finalized};

/// All that the fleet consists of, without services, and with room for some revisions.
const FLEET: [&str; 8] = [
    "-D",
    "server_groups:canary, default",
    "-D",
    "dsh_targets:/etc/dsh/group/two",
    "-D",
    "service_name:",
    "-D",
    "cache_revs:9",
];

fn fleet(host: &DeployHost) -> Vec<Target<'_>> {
    fs::write(host.path("etc/dsh/group/two"), "127.0.0.1\n127.0.0.3\n").unwrap();
    let targets: Vec<Target> = [1, 3].into_iter().map(|number| host.target(number)).collect();
    targets.iter().for_each(|target| target.furnish(&[]));
    targets
}

fn deploy(host: &DeployHost, arguments: &[&str]) -> Ran {
    host.deploy(&[&FLEET[..], arguments].concat())
}

fn roll_back(host: &DeployHost, arguments: &[&str]) -> Ran {
    host.run(&[&["rollback", "--yes"], &FLEET[..], arguments].concat())
}

/// Writes `checks.yaml`: checks of promote with these names and commands.
fn checks(host: &DeployHost, checks: &[(&str, &str)]) {
    let one = |(name, command): &(&str, &str)| {
        format!("  {name}:\n    type: command\n    stage: promote\n    shell: true\n    command: {command}\n")
    };
    let text = checks.iter().map(one).collect::<String>();
    fs::write(host.repo().join("scap/checks.yaml"), format!("checks:\n{text}")).unwrap();
}

#[test]
fn a_check_that_scaps_revision_has_in_another_form_judges_it_in_its_own() {
    let host = DeployHost::new();
    let targets = fleet(&host);
    checks(&host, &[("version", "test $(cat $SCAP_REV_PATH/version) = 1 && test ! -e /srv/ill"), ("off", "false")]);
    fs::write(host.repo().join("scap/environments/production/checks.yaml"), "checks:\n  off: {}\n").unwrap();
    let one = host.commit("1");
    targets.iter().for_each(|target| target.scap(&host, &one, "red"));
    checks(&host, &[("version", "test $(cat $SCAP_REV_PATH/version) = 2"), ("feature", "test -e /srv/feature")]);
    host.commit("2");
    targets.iter().for_each(|target| drop(target.sh("touch /srv/feature")));
    deploy(&host, &[]).ends(0);
    targets.iter().for_each(|target| drop(target.sh("rm /srv/feature")));
    let ran = roll_back(&host, &[]).ends(0);
    let warned = format!("check feature failed with exit status 1; {} was deployed without this check", &one[..10]);
    assert!(!ran.out.contains("check version failed"), "{}", ran.out);
    ran.says(&warned);
    targets.iter().for_each(|target| assert_eq!(target.links(), finalized(&one)));

    // It can fail, too.
    targets.iter().for_each(|target| drop(target.sh("touch /srv/feature")));
    deploy(&host, &["--break-glass", "again"]).ends(0);
    targets.iter().for_each(|target| drop(target.sh("touch /srv/ill")));
    roll_back(&host, &[]).ends(1).says("check version failed with exit status 1");
}

#[test]
fn without_perform_checks_none_stands_in_the_way_back() {
    let host = DeployHost::new();
    let targets = fleet(&host);
    checks(&host, &[("well", "test ! -e /srv/ill")]);
    let one = host.commit("1");
    deploy(&host, &[]).ends(0);
    host.commit("2");
    deploy(&host, &[]).ends(0);
    targets.iter().for_each(|target| drop(target.sh("touch /srv/ill")));
    roll_back(&host, &["-D", "perform_checks:no"]).ends(0);
    targets.iter().for_each(|target| assert_eq!(target.links(), finalized(&one)));
}

#[test]
fn what_others_have_deployed_since_is_not_passed_over_on_the_way_back() {
    let host = DeployHost::new();
    let targets = fleet(&host);
    checks(&host, &[]);
    let revisions: Vec<String> = ["1", "2", "3"].map(|version| host.commit(version)).into();
    for revision in &revisions[..2] {
        deploy(&host, &["-r", revision]).ends(0);
    }
    targets.iter().for_each(|target| target.scap(&host, &revisions[2], "red"));
    let offer = format!(" --to {}`", &revisions[1][..10]);
    roll_back(&host, &[]).ends(2).says("somebody else has deployed since").says(&offer);
    targets.iter().for_each(|target| assert_eq!(target.links(), finalized(&revisions[2])));
    roll_back(&host, &["--to", &revisions[1]]).ends(0);
    roll_back(&host, &["--to", &revisions[0]]).ends(0);
    targets.iter().for_each(|target| assert_eq!(target.links(), finalized(&revisions[0])));
}

#[test]
fn what_scap_is_told_of_a_revision_is_the_same_again_after_a_rollback() {
    let host = DeployHost::new();
    let targets = fleet(&host);
    checks(&host, &[]);
    let one = host.commit("1");
    targets.iter().for_each(|target| target.scap(&host, &one, "red"));
    let head = host.repo().join(".git/DEPLOY_HEAD");
    let by_scap = format!("cache_revs: 2\nchecks: !!python/object/apply:collections.OrderedDict []\ngit_rev: {one}\n");
    fs::write(&head, &by_scap).unwrap();
    checks(&host, &[("two", "true")]);
    host.commit("2");
    deploy(&host, &[]).ends(0);
    let of_two = fs::read_to_string(&head).unwrap();
    assert!(of_two.contains("\"two\"") && of_two.contains("\"cache_revs\": 9"), "{of_two}");
    checks(&host, &[("three", "true")]);
    host.commit("3");
    deploy(&host, &[]).ends(0);
    roll_back(&host, &[]).ends(0);
    assert_eq!(fs::read_to_string(&head).unwrap(), of_two);
    roll_back(&host, &["--to", &one]).ends(0);
    assert_eq!(fs::read_to_string(&head).unwrap(), by_scap);
}

#[test]
fn a_new_host_gets_what_the_fleet_went_back_to_as_it_was_deployed() {
    let host = DeployHost::new();
    let targets = fleet(&host);
    let new = host.target(8);
    new.furnish(&[]);
    for target in targets.iter().chain([&new]) {
        let link = "mkdir -p /srv/mirror/service && ln -s";
        target.sh(&format!("{link} '{}' /srv/mirror/service/page", host.repo().display()));
    }
    // The deploy host has another name for the server than the new host.
    let server = ["-D", "git_server:deploy1.eqiad.wmnet"];
    let install = format!("{HOIST} deploy-local --repo service/page --server file:///srv/mirror/service/page/.git");
    checks(&host, &[]);
    let one = host.commit("1");
    deploy(&host, &server).ends(0);
    checks(&host, &[("feature", "test $(cat $SCAP_REV_PATH/version) = 2")]);
    fs::write(host.repo().join("scap/templates/info.j2"), "of the second").unwrap();
    let two = host.commit("2");
    deploy(&host, &server).ends(0);
    roll_back(&host, &server).ends(0);
    new.sh(&install);
    assert_eq!(new.links(), finalized(&one));
    let info = format!("cat {LIVE}/build/info.txt");
    assert_eq!(new.sh(&info), targets[0].sh(&info));

    // Of what somebody else had deployed nothing was published: a new host does not get what was taken back.
    let again = [&server[..], &["--break-glass", "again"]].concat();
    deploy(&host, &again).ends(0);
    checks(&host, &[]);
    let scaps = host.commit("3");
    targets.iter().for_each(|target| target.scap(&host, &scaps, "red"));
    host.commit("4");
    deploy(&host, &again).ends(0);
    let unknown = format!("what {} was deployed with is not known here", &scaps[..10]);
    roll_back(&host, &[&server[..], &["--to", &scaps]].concat()).ends(0).says(&unknown);
    new.sh(&format!("! {install} 2>/srv/said; grep -q 'does not contain what the fleet should run' /srv/said"));
    assert_ne!(two, scaps);
}
