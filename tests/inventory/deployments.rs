//! Real deployments to hosts of an inventory, of a command.

use crate::common::restarts::Restarts;
use crate::common::terminal::Terminal;
use crate::common::{CACHE, Farm, Project, WAITS, address, all_on, hold, kill_at_check};

/// A repository that deploys to hosts of `inv/hosts.ini`, with these settings. The ways to its hosts are in lists alone.
fn with_inventory(farm: &Farm, lines: &str) -> Project {
    let project = Project::new(farm, 0, 0);
    let not_here = ["ssh_user", "ssh_port", "server_groups", "dsh_targets", "canary_dsh_targets"];
    let text = std::fs::read_to_string(project.path("hoist/hoist.cfg")).unwrap();
    let kept = text.lines().filter(|line| !not_here.iter().any(|key| line.starts_with(key)));
    let text = kept.collect::<Vec<_>>().join("\n");
    project.write("hoist/hoist.cfg", &format!("{text}\ninventory: inv/hosts.ini\n{lines}"));
    project
}

/// Writes the inventory.
fn list_hosts(farm: &Farm, project: &Project, lines: &str) {
    let port = farm.port;
    project.write("inv/hosts.ini", &format!("{lines}[all:vars]\nansible_port={port}\nansible_user=root\n"));
}

#[test]
fn hosts_of_an_inventory_and_of_a_command_are_deployed_to_by_their_names() {
    let farm = Farm::up();
    let project = with_inventory(&farm, "server_groups: web, db\ndb_targets_command: cat list.json\n");
    let port = farm.port;
    let web = "[web]\nweb1 ansible_host=127.0.0.1 zone=a\nweb2 ansible_host=127.0.0.2 zone=b\n";
    list_hosts(&farm, &project, &format!("{web}[spare]\nSpare1 ansible_host=127.0.0.4 zone=b\n"));
    project.write("list.json", &format!("[{{\"name\": \"db1\", \"address\": \"127.0.0.3\", \"port\": {port}, \"user\": \"root\", \"labels\": {{\"zone\": \"c\"}}}}]"));
    project.commit("from an inventory");
    let ran = project.deploy(&[]).ends(0);
    assert!(ran.out.contains("web") && !ran.out.contains("127.0.0.1"), "{}", ran.out);
    let revision = project.git(&["rev-parse", "HEAD"]);
    all_on(&farm, 3, &revision);
    let status = project.run(&["status"]).ends(0);
    assert!(["web[1-2]", "db1"].iter().all(|name| status.out.contains(name)), "{}", status.out);
    project.run(&["run", "-l", "zone=b", "--yes", "true"]).ends(0).says("ok on 1 host");
    // So are hosts that are only named, also those that no group has.
    let write = |hosts: &str| ["run", "--hosts", hosts, "--", "echo x >>/srv/ran"].map(str::to_owned);
    let run = |hosts: &str| project.run(&write(hosts).iter().map(String::as_str).collect::<Vec<_>>());
    run("WEB1,spare1,db1,root@web2").ends(0).says("ok on 4 hosts");
    assert!((0..4).all(|n| farm.srv(&address(n)).join("ran").exists()));
    project.run(&["run", "--hosts", "web[1:2],spare1", "-l", "zone=b", "true"]).ends(0).says("ok on 2 hosts");
    project.write("inv/hosts.ini", "[web\n");
    run("web1").ends(2).says("inv/hosts.ini:1: ").says("with `-D inventory:`, hosts are taken as they are named");
}

#[test]
fn a_run_keeps_the_hosts_that_it_began_with_whatever_becomes_of_the_inventory() {
    const DB1: &str = "[db]\ndb1 ansible_host=127.0.0.4\n";
    let farm = Farm::up();
    let project = with_inventory(&farm, "server_groups: web, db\n");
    let then = || {
        let web = [1, 2, 3].map(|n| format!("web{n} ansible_host=127.0.0.{n}\n")).concat();
        list_hosts(&farm, &project, &format!("[web]\n{web}{DB1}"));
    };
    let now = || {
        let web = "web1 ansible_host=127.0.0.9\nweb4 ansible_host=127.0.0.5\n";
        list_hosts(&farm, &project, &format!("[web]\n{web}{DB1}web2 ansible_host=127.0.0.2\n"));
    };
    then();
    project.commit("from an inventory");
    project.deploy(&[]).ends(0);
    project.check("waits", "promote", WAITS);
    let die = || {
        project.commit_again();
        hold(&farm, 4);
        kill_at_check(&farm, &project, &["deploy", "--yes"], 4);
    };
    die();
    now();
    let ran = project.run(&["resume", "--yes"]).ends(0);
    let at = |n| format!("root@127.0.0.{n}:{}", farm.port);
    let ran = ran.says(&format!(
        "the lists of hosts have changed since the run began: web3 is in no list any more, web1 is at {} (was {}), web2 \
         is in group db (was web), web4 is new; this run keeps the hosts",
        at(9),
        at(1)
    ));
    ran.says("1 host still needs its revision: web4 is new; `hoist reconcile` brings it there");
    let two = project.git(&["rev-parse", "HEAD"]);
    all_on(&farm, 4, &two);
    then();
    die();
    now();
    project.run(&["rollback", "--yes"]).ends(1).says("web3 is in no list any more").says("verified");
    all_on(&farm, 4, &two);
    // Not even lists that nobody can read are in its way.
    then();
    die();
    project.write("inv/hosts.ini", "[web\n");
    project.run(&["resume", "--yes"]).ends(0).says("the lists of hosts cannot be read").says("inv/hosts.ini:1");
    all_on(&farm, 4, &project.git(&["rev-parse", "HEAD"]));
    assert!([4, 8].iter().all(|n| !farm.srv(&address(*n)).join(CACHE).exists()), "another host was touched");
}

/// A repository whose command prints these hosts of a farm.
fn printing(farm: &Farm, hosts: std::ops::Range<usize>) -> Project {
    let project = Project::new(farm, 0, 1);
    let text = std::fs::read_to_string(project.path("hoist/hoist.cfg")).unwrap();
    project.write("hoist/hoist.cfg", &text.replace("dsh_targets: default", "targets_command: cat .git/list"));
    project.commit("from a command");
    list(&project, hosts);
    project
}

fn list(project: &Project, hosts: std::ops::Range<usize>) {
    project.write(".git/list", &hosts.map(|n| address(n) + "\n").collect::<String>());
}

#[test]
fn a_list_that_lost_hosts_is_a_question_that_yes_does_not_answer() {
    let farm = Farm::up();
    let project = printing(&farm, 0..4);
    project.deploy(&[]).ends(0);
    list(&project, 0..2);
    let why = "group default had 4 hosts at the last deployment, and 2 of them are in no list any more (127.0.0.[3-4])";
    project.run(&["plan"]).ends(0).says(why);
    for command in ["deploy", "reconcile"] {
        let ran = project.run(&[command, "--yes"]).ends(2).says(why).says("inventory_shrink_limit is 20% of 4 = 0");
        assert!(ran.err.contains("add `-D inventory_shrink_limit:100%`; nothing was touched"), "{}", ran.err);
    }
    let mut terminal = Terminal::run(project.at_a_terminal("deploy again"));
    terminal.answers("Go on without them?", "");
    terminal.ends(1);
    // A rollback reaches all that were deployed to.
    list(&project, 0..4);
    let one = project.git(&["rev-parse", "HEAD"]);
    project.write("index.html", "two\n");
    project.commit("two");
    project.deploy(&[]).ends(0);
    list(&project, 0..2);
    let ran = project.run(&["rollback", "--dry-run", "-D", "inventory_shrink_limit:100%"]).ends(0);
    ran.says("note: 127.0.0.[3-4] are in no list any more, and not rolled back");
    project.run(&["rollback", "--yes"]).ends(0).says(why).says("they are rolled back too");
    all_on(&farm, 4, &one);
    project.commit_again();
    // Who names hosts, or says that they are gone, is not asked.
    project.deploy(&["-l", "127.0.0.1", "--force"]).ends(0);
    project.deploy(&[]).ends(2).says(why);
    project.deploy(&["-D", "inventory_shrink_limit:100%"]).ends(0);
    project.deploy(&["--force"]).ends(0);
}

#[test]
fn no_more_hosts_of_a_zone_are_down_than_may_be_and_zones_do_not_wait_for_each_other() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 4);
    let restarts = Restarts::install(&farm, &project, 4);
    let zone = |n: usize| if n < 3 { "a" } else { "b" };
    let objects: Vec<String> = (0..4)
        .map(|n| format!("{{\"name\": \"{}\", \"labels\": {{\"zone\": \"{}\"}}}}", address(n), zone(n)))
        .collect();
    project.write(".git/list", &format!("[{}]", objects.join(",")));
    let text = std::fs::read_to_string(project.path("hoist/hoist.cfg")).unwrap();
    project.write("hoist/hoist.cfg", &text.replace("dsh_targets: default", "targets_command: cat .git/list"));
    project.configure("verify_service: off\nmax_unavailable: 1\nmax_unavailable_by: zone\n");
    project.commit("by zone");
    project.run(&["plan"]).ends(0).says("out of service at most 1 in each zone");
    project.deploy(&[]).ends(0);
    let (found, most) = restarts.take();
    assert_eq!(found, 4);
    assert!(most <= 2, "{most} services were down at once, of one in each of two zones");
}
