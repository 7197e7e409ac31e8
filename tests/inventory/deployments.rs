//! Real deployments to hosts of an inventory, of a command.

use crate::common::{Farm, Project, all_on, ssh_settings};

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
