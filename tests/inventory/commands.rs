//! Commands that print the targets of a group.

use crate::common::Project;
use crate::{hosts, names, project};

/// A repository whose command prints this text.
fn printing(text: &str) -> Project {
    let project = project("targets_command: cat hosts.out; echo ran >>ran.log\nssh_config: none\n");
    project.write("hosts.out", text);
    project
}

#[test]
fn a_command_prints_lines_or_json_and_runs_once() {
    for (text, expected) in [
        ("web1\nroot@web2:2222\n", "web1 web2"),
        ("[\"web1\", {\"name\": \"web2\", \"address\": \"10.0.0.2\", \"labels\": {\"zone\": \"a\"}}]", "web1 web2"),
        (
            "{\"web\": {\"hosts\": [\"web1\"]}, \"db\": [\"db1\"], \"_meta\": {\"hostvars\": {\"db1\": {\"zone\": \"z\"}}}}",
            "web1 db1",
        ),
    ] {
        let project = printing(text);
        let ran = project.run(&["hosts", "--format", "json"]).ends(0);
        assert_eq!(names(&hosts(&ran)), expected, "{text}");
        assert_eq!(std::fs::read_to_string(project.path("ran.log")).unwrap(), "ran\n", "it ran once");
        project.run(&["check-config"]).ends(0).says("targets_command is not run");
        let shown = project.run(&["complete", "hosts", "-l", ""]).ends(0);
        assert!(!shown.out.contains("web1"), "{}", shown.out);
        assert_eq!(std::fs::read_to_string(project.path("ran.log")).unwrap(), "ran\n", "neither runs it");
    }
    let project =
        printing("{\"web\": [\"web1\"], \"db\": [\"db1\"], \"_meta\": {\"hostvars\": {\"db1\": {\"zone\": \"z\"}}}}");
    let ran = project.run(&["hosts", "-D", "inventory_hosts:db", "-l", "zone=z"]).ends(0);
    assert_eq!(ran.out, "default (1 host)\n  db1  zone=z  in db\n");
    project.run(&["hosts", "-l", "zone=q"]).ends(2).says("zone=q matches none of the 2 targets");
}

#[test]
fn a_host_that_a_target_file_only_names_has_the_address_and_labels_that_another_groups_list_gives_it() {
    let command = "targets_command: cat hosts.out\n";
    let inventory = "inventory: hosts.ini\ninventory_hosts: all\ninventory_labels: zone\n";
    for lines in [command, inventory] {
        let project =
            project(&format!("server_groups: canary, default\ncanary_dsh_targets: canary\n{lines}ssh_config: none\n"));
        project.write("hoist/canary", "web2\nroot@web3:22\nother\n");
        project.write(
            "hosts.out",
            "[{\"name\": \"web1\"}, {\"name\": \"web2\", \"address\": \"10.0.0.2\", \"port\": 2222, \"labels\": {\"zone\": \"b\"}}, \
             {\"name\": \"web3\", \"address\": \"10.0.0.3\", \"user\": \"www\"}]",
        );
        project.write(
            "hosts.ini",
            "web1\nweb2 ansible_host=10.0.0.2 ansible_port=2222 zone=b\nweb3 ansible_host=10.0.0.3 ansible_user=www\n",
        );
        let ran = project.run(&["hosts", "-g", "canary"]).ends(0);
        let lines: Vec<&str> = ran.out.lines().skip(1).map(str::trim).collect();
        assert!(lines[0].starts_with("web2   address 10.0.0.2  port 2222  zone=b"), "{}", ran.out);
        assert!(lines[1].starts_with("web3   address 10.0.0.3  user root  port 22"), "{}", ran.out);
        assert_eq!(lines[2], "other", "{}", ran.out);
        // Without running commands, the file is all that is known.
        project.run(&["check-config"]).ends(0);
    }
}

#[test]
fn an_entry_of_a_list_that_has_its_name_with_and_without_a_port_keeps_its_own() {
    let ports = |lines: &str, settings: &str| {
        let project = printing(lines);
        project.configure(settings);
        let ran = project.run(&["hosts"]).ends(0);
        ran.out.lines().skip(1).map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ports("gw\ngw:2202\n", ""), ["gw", "gw  port 2202"]);
    assert_eq!(ports("gw:2202\ngw\n", ""), ["gw  port 2202", "gw"]);
    // Whom a target file names without a port is the one that a list has; of two it is neither.
    let canary = "server_groups: canary, default\ncanary_targets_command: echo gw\n";
    assert_eq!(ports("gw:2202\n", canary)[0], "gw  port 2202");
    assert_eq!(ports("gw:2202\ngw:2203\n", canary)[0], "gw");
    assert_eq!(ports("gw:2202\ngw\n", canary)[0], "gw");
}

#[test]
fn a_command_that_fails_hangs_or_prints_nonsense_is_told_before_anything_is_touched() {
    for (command, why) in [
        ("echo web1; echo no token >&2; exit 3", "failed with exit status 3: no token"),
        ("true", "it printed nothing"),
        ("echo '[]'", "it printed no host"),
        ("sleep 60", "did not end within 1 s (targets_timeout)"),
        ("yes web1", "printed more than 16 MB"),
        ("kill -9 $$", "was killed"),
        ("/nonexistent/program", "exit status 127"),
        ("printf 'web1\\n-oProxyCommand=x\\n'", "`:2: bad host name"),
        ("printf 'web1\\033[2J\\n'", "is not allowed in a name"),
        ("echo '{\"web\": [\"a\"]}'", "_meta.hostvars is missing"),
        ("echo '[{\"name\": \"a\", \"port\": 99999}]'", "entry 1:"),
        ("echo '{\"hosts\": [{\"name\": \"a\"}]}'", "TARGETS in hoist.cfg(5) has the formats"),
        ("head -c 4096 /dev/zero", "bad"),
    ] {
        let timeout = if command.starts_with("sleep") { 1 } else { 60 };
        let project = project(&format!("targets_command: {command}\ntargets_timeout: {timeout}\n"));
        let ran = project.run(&["deploy", "--yes", "-m", "x"]).ends(2).says(why);
        assert!(
            ran.err.contains("targets_command in [global]: the targets of group default: "),
            "{command}: {}",
            ran.err
        );
        assert!(!ran.err.contains('\u{1b}') && !ran.err.contains('\0'), "{}", ran.err);
    }
}

#[test]
fn a_group_has_one_list_of_targets() {
    let project = project("dsh_targets: all\ntargets_command: echo web1\n");
    project.write("hoist/all", "web9\n");
    project.run(&["hosts"]).ends(2).says("group default has dsh_targets too");
    project.run(&["hosts", "-D", "dsh_targets:"]).ends(0).says("web1");
    project.run(&["hosts", "-D", "targets_command:", "-D", "inventory_hosts:web"]).ends(2).says("has dsh_targets too");
    project.run(&["hosts", "-D", "dsh_targets:", "-D", "inventory_hosts:web"]).ends(2).says("no groups to choose from");
    project.run(&["hosts", "-D", "dsh_targets:", "-D", "targets_command:"]).ends(2).says("no targets");
}

#[test]
fn an_inventory_that_cannot_be_used_is_told_with_its_place() {
    let project = project("inventory: inv.ini\nserver_groups: web\n");
    project.run(&["hosts"]).ends(2).says("no inventory \"inv.ini\"").says("looked for hoist/inv.ini, inv.ini");
    for (text, why) in [
        ("[web]\na\n[web:hosts2]\n", "hoist/inv.ini:3: unknown kind of section"),
        ("[wep]\na\n", "neither a group nor a host \"web\": did you mean \"wep\"?"),
        ("[web]\na ansible_connection=local\n", "hoist/inv.ini:2: ansible_connection of a is \"local\""),
        ("[web]\na ansible_host='{{ nothing }}'\n", "hoist/inv.ini:2: ansible_host of a"),
        ("[web]\na ansible_host='{{ ansible_host }}'\n", "refers to itself"),
        ("[web]\na ansible_host='$ANSIBLE_VAULT;1.1'\n", "encrypted with ansible-vault"),
        ("[web]\na ansible_host=-oProxyCommand=x\n", "bad address"),
        ("[web]\na ansible_port=ssh\n", "ansible_port of a: bad port"),
        ("[web]\na ansible_user='a b'\n", "bad user name"),
        ("[web]\na;b\n", "bad host name"),
        (
            "[2001:db8::1]\n",
            "hoist/inv.ini:1: bad section \"[2001:db8::1]\": it is not the name of a group: write the address as",
        ),
        ("[web 1]\n", "it has a space or a colon, which a group's name cannot have"),
    ] {
        project.write("hoist/inv.ini", text);
        project.run(&["hosts"]).ends(2).says(why);
        project.run(&["check-config"]).ends(2).says(why);
    }
    project.write("hoist/inv.ini", "[web]\na ansible_ssh_common_args='-J b'\n");
    project.write("hoist/group_vars/web.yml", "$ANSIBLE_VAULT;1.1;AES256\n6162\n");
    let ran = project.run(&["hosts"]).ends(0).says("set proxy_jump");
    assert!(ran.err.contains("hoist/group_vars/web.yml is encrypted with ansible-vault and not read"), "{}", ran.err);
    project.run(&["hosts", "-D", "inventory:../x"]).ends(2).says("must not contain `..`");
    std::fs::remove_file(project.path("hoist/group_vars/web.yml")).unwrap();
    project.write("hoist/group_vars/web.yml", "secret: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\nzone: a\n");
    project.run(&["hosts"]).ends(0).says("zone=a");
    // Where the variable of another file counts, that file is named.
    project.write("hoist/host_vars/a/vault.yml", "ansible_host: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n");
    let why = "ansible_host of a in hoist/host_vars/a/vault.yml: it is encrypted with ansible-vault";
    project.run(&["hosts"]).ends(2).says(why);
    std::fs::remove_dir_all(project.path("hoist/host_vars")).unwrap();
    project.write("hoist/group_vars/all.yml", "ansible_user: '{{ nothing }}'\n");
    project.run(&["hosts"]).ends(2).says("ansible_user of a in hoist/group_vars/all.yml: its template prints");
}

#[test]
fn comments_of_an_ini_inventory_may_be_in_any_encoding_and_nothing_else_may() {
    let project = project("inventory: inv.ini\nserver_groups: web\n");
    let write = |text: &[u8]| std::fs::write(project.path("hoist/inv.ini"), text).unwrap();
    write(
        b"# B\xfcro M\xfcnchen\n[web] # M\xfcnchen\na zone='x # y' # M\xfcnchen\n; \xff\n[web:vars]\n# \xfc\nrack=1\n",
    );
    project.run(&["hosts"]).ends(0).says("a  rack=1  zone=x # y");
    for text in
        [&b"[web]\na zone=M\xfcnchen # x\n"[..], b"[web]\na\n[m\xfc]\n", b"[web]\na\n[web:vars]\nzone=M\xfcnchen\n"]
    {
        write(text);
        let line = text.split(|byte| *byte == b'\n').position(|line| line.contains(&0xfc)).unwrap() + 1;
        project.run(&["hosts"]).ends(2).says(&format!("hoist/inv.ini:{line}: not UTF-8"));
    }
}

#[test]
fn hosts_that_cannot_be_told_apart_are_refused() {
    let project = project("inventory: inv.ini\nserver_groups: web\n");
    project.write("hoist/inv.ini", "[web]\nWeb1 ansible_host=10.0.0.1\nweb2\nweb1 ansible_host=10.0.0.2\n");
    project.run(&["hosts"]).ends(2).says("inv.ini:4: the hosts Web1 and web1 have the same name but for its case");
    // Ansible takes the host, and most people mean the group.
    project.write("hoist/inv.ini", "[web]\nweb\na\n");
    for pattern in ["web", "all:!web"] {
        let chosen = format!("web_inventory_hosts:{pattern}");
        project.run(&["hosts", "-D", &chosen]).ends(2).says("\"web\" is the name of a group and of a host");
    }
    project.run(&["hosts", "-D", "web_inventory_hosts:all"]).ends(0).says("2 hosts");
    let twice = |second: &str| {
        let line = format!("targets_command:echo '[{{\"name\": \"a\", \"address\": \"b\"}}, {second}]'");
        project.run(&["hosts", "-D", "inventory:", "-D", "server_groups:default", "-D", &line])
    };
    twice("{\"name\": \"A\", \"address\": \"c\"}").ends(2).says("entry 2: a is entry 1 too, with other details");
    twice("\"a\"").ends(2).says("entry 2: a is entry 1 too");
    twice("{\"name\": \"a\", \"address\": \"b\"}").ends(0).says("1 host");
}
