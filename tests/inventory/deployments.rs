//! Real deployments to hosts of an inventory, of a command.

use crate::common::restarts::Restarts;
use crate::common::terminal::Terminal;
use crate::common::{Farm, Project, address, all_on, ssh_settings};

#[test]
fn hosts_of_an_inventory_and_of_a_command_are_deployed_to_by_their_names() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 3);
    // The port of the farm is in the inventory alone, and so are the addresses.
    let port = farm.port;
    let settings =
        ssh_settings(&farm).lines().filter(|line| !line.starts_with("ssh_port")).collect::<Vec<_>>().join("\n");
    project.write("inv/hosts.ini", &format!("[web]\nweb1 ansible_host=127.0.0.1 zone=a\nweb2 ansible_host=127.0.0.2 zone=b\n[web:vars]\nansible_port={port}\nansible_user=root\n"));
    project.write("list.json", &format!("[{{\"name\": \"db1\", \"address\": \"127.0.0.3\", \"port\": {port}, \"user\": \"root\", \"labels\": {{\"zone\": \"c\"}}}}]"));
    let text = std::fs::read_to_string(project.path("hoist/hoist.cfg")).unwrap();
    let kept = text.lines().filter(|line| {
        !["ssh_", "server_groups", "dsh_targets", "identity_file", "known_hosts"]
            .iter()
            .any(|key| line.starts_with(key))
    });
    let text = kept.collect::<Vec<_>>().join("\n");
    project.write("hoist/hoist.cfg", &format!("{text}\nssh_config: none\n{settings}\nserver_groups: web, db\ninventory: inv/hosts.ini\ndb_targets_command: cat list.json\n"));
    project.commit("from an inventory");
    let ran = project.deploy(&[]).ends(0);
    assert!(ran.out.contains("web") && !ran.out.contains("127.0.0.1"), "{}", ran.out);
    let revision = project.git(&["rev-parse", "HEAD"]);
    all_on(&farm, 3, &revision);
    let status = project.run(&["status"]).ends(0);
    assert!(["web[1-2]", "db1"].iter().all(|name| status.out.contains(name)), "{}", status.out);
    project.run(&["run", "-l", "zone=b", "--yes", "true"]).ends(0).says("ok on 1 host");
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
