//! Configuration files on real sshd hosts: variables of their own, differences folded, mistakes named.

mod common;

use common::{CACHE, Farm, Links, Project, address};

/// Three hosts of which each has variables of its own, at `/srv/local.yaml`.
fn project(farm: &Farm, variables: [&str; 3]) -> Project {
    let project = Project::new(farm, 0, 3);
    project.configure("config_deploy: yes");
    project.write(
        "hoist/config-files.yaml",
        "/srv/etc/app.yaml:\n  template: app.yaml.j2\n  remote_vars: /srv/local.yaml\n",
    );
    project.write(
        "hoist/templates/app.yaml.j2",
        "{% import 'lines.j2' as lines %}{{ lines.of('dc', dc) }}\nup: {{ up }}\n",
    );
    project
        .write("hoist/templates/lines.j2", "{% macro of(key, value) %}{{ key }}: {{ value | upper }}{% endmacro %}\n");
    project.write("hoist/vars.yaml", "dc: none\nup: yes\n");
    for (n, text) in variables.iter().enumerate() {
        std::fs::write(farm.srv(&address(n)).join("local.yaml"), text).unwrap();
    }
    project
}

#[test]
fn a_dry_run_folds_equal_differences_under_the_names_of_their_hosts() {
    let farm = Farm::up();
    let project = project(&farm, ["dc: eqiad\n", "dc: eqiad\n", "dc: codfw\n"]);
    project.commit("one");
    let ran = project.run(&["deploy", "--dry-run"]).ends(0);
    let shown = &ran.out;
    assert_eq!(shown.matches("+dc: EQIAD").count(), 1, "{shown}");
    assert_eq!(shown.matches("+dc: CODFW").count(), 1, "{shown}");
    let heads: Vec<_> =
        shown.lines().filter(|line| line.contains("127.0.0.") && line.contains("/srv/etc/app.yaml")).collect();
    assert!(heads.iter().any(|line| line.contains("127.0.0.[1-2]") || line.contains("127.0.0.1-2")), "{shown}");
    assert!(shown.contains("+up: true"), "{shown}");
    for n in 0..3 {
        assert_eq!(Links::of(&farm, n), Links::default(), "nothing was touched");
    }
}

#[test]
fn a_mistake_in_a_template_names_file_line_and_host_and_nothing_is_promoted() {
    let farm = Farm::up();
    // On one host alone, a variable has another type than the template wants.
    let project = project(&farm, ["dc: eqiad\n", "dc: eqiad\n", "dc: eqiad\nup: {a: hunter2}\n"]);
    project.write("hoist/templates/app.yaml.j2", "fine\n\nup: {{ up + 1 }}\n");
    let one = project.commit("one");
    let ran = project.deploy(&[]).ends(1).says("/srv/etc/app.yaml: template app.yaml.j2 line 3: ");
    let all = ran.out.clone() + &ran.err;
    assert!(all.contains(&address(2)) && !all.contains("hunter2"), "{all}");
    for n in 0..3 {
        assert_ne!(Links::of(&farm, n).current.as_ref(), Some(&one), "nothing is promoted");
    }
}

#[test]
fn variables_of_a_host_that_are_missing_or_no_yaml_fail_that_host_alone() {
    let farm = Farm::up();
    let project = project(&farm, ["dc: eqiad\n", "dc: [hunter2\n", "dc: eqiad\n"]);
    project.configure("failure_limit: 2");
    std::fs::remove_file(farm.srv(&address(2)).join("local.yaml")).unwrap();
    let one = project.commit("one");
    let ran = project.deploy(&[]).ends(0).says("/srv/local.yaml:1: not valid YAML").says("cannot read /srv/local.yaml");
    let all = ran.out.clone() + &ran.err;
    assert!(all.contains(&address(1)) && all.contains(&address(2)) && !all.contains("hunter2"), "{all}");
    assert_eq!(Links::of(&farm, 0), Links::finalized(&one));
    assert_eq!(Links::of(&farm, 1).current, None);
}

#[test]
fn a_file_that_the_revision_leaves_no_place_for_is_named_before_anything_is_touched() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 1);
    project.configure("config_deploy: yes");
    project.write("etc/app/defaults", "a\n");
    project.write("README", "b\n");
    project.write("hoist/templates/t.j2", "c\n");
    for (link, to) in [("out", "/srv/out"), ("up", "../up"), ("in", "etc")] {
        std::os::unix::fs::symlink(to, project.path(link)).unwrap();
    }
    for (path, why) in [
        ("out/x", "out/x cannot be written, because {} has the symbolic link out, which leads out of the repository"),
        ("up/x", "up/x cannot be written, because {} has the symbolic link up, which leads out of the repository"),
        ("etc/app", "etc/app cannot be written, because {} has a directory there"),
        ("etc", "etc cannot be written, because {} has a directory there"),
        ("README/x", "README/x cannot be written, because {} has README, which is no directory"),
    ] {
        project.write("hoist/config-files.yaml", &format!("{path}:\n  template: t.j2\n"));
        let revision = project.commit(path);
        let why = why.replace("{}", &revision[..10]);
        project.deploy(&[]).ends(2).says(&format!("config-files.yaml: {why}: choose another path for it"));
        assert_eq!(Links::of(&farm, 0), Links::default());
    }
    for path in ["etc/app/local", "etc/app/defaults", "etc/applied", "READ", "in/linked"] {
        project.write("hoist/config-files.yaml", &format!("{path}:\n  template: t.j2\n"));
        project.commit(path);
        project.deploy(&[]).ends(0);
        assert_eq!(std::fs::read_to_string(farm.srv(&address(0)).join(CACHE).join("current").join(path)).unwrap(), "c");
    }
}

#[test]
fn a_path_below_the_services_path_is_one_in_the_tree() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 1);
    project.configure("config_deploy: yes");
    project.write("conf/app.yaml", "tracked\n");
    project.write("hoist/templates/t.j2", "rendered\n");
    project.write("hoist/config-files.yaml", "/srv/deployment/app/conf/app.yaml:\n  template: t.j2\n");
    project.commit("one");
    project.deploy(&[]).ends(0);
    let ran = project.run(&["status", "--verify"]).ends(0);
    assert!(!ran.out.contains("conf/app.yaml"), "{}", ran.out);
    project.write("index.html", "two\n");
    project.commit("two");
    let ran = project.deploy(&[]).ends(0);
    assert!(!(ran.out.clone() + &ran.err).contains("conf/app.yaml"), "{ran:?}");
    project.run(&["rollback", "--yes"]).ends(0);
    project.run(&["status", "--verify"]).ends(0);
    let tree = farm.srv(&address(0)).join(CACHE).join("current");
    assert_eq!(std::fs::read_to_string(tree.join("conf/app.yaml")).unwrap(), "rendered");
    assert_eq!(std::fs::read_dir(tree.join("conf")).unwrap().count(), 1, "nothing was moved aside");
    // It is one path, however it is written.
    let both = "/srv/deployment/app/conf/app.yaml:\n  template: t.j2\nconf/app.yaml:\n  template: t.j2\n";
    project.write("hoist/config-files.yaml", both);
    project.deploy(&[]).ends(2).says("conf/app.yaml");
}

/// What the live file says on each host; the link to it leads to where only the host sees it.
fn rendered(farm: &Farm) -> Vec<String> {
    let file = |n: usize| farm.srv(&address(n)).join(CACHE).join("current/.git/config-files/srv/etc/app.yaml");
    (0..3).map(|n| std::fs::read_to_string(file(n)).unwrap()).collect()
}

#[test]
fn the_live_revision_with_other_variables_goes_live_by_a_promote_or_not_at_all() {
    let farm = Farm::up();
    let project = project(&farm, ["dc: eqiad\n", "dc: eqiad\n", "dc: codfw\n"]);
    project.configure(
        "cache_revs: 0\nservice_name: web\nservice_command: /bin/sh -c 'echo {action} {service} >> /srv/restarts'",
    );
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    let before = rendered(&farm);
    assert!(before[0].contains("up: true"), "{before:?}");
    project.write("hoist/vars.yaml", "dc: none\nup: no\n");
    let check = |stage: &str| {
        format!("checks:\n  bad:\n    stage: {stage}\n    shell: true\n    command: \"! test -e /srv/bad\"\n")
    };
    std::fs::write(farm.srv(&address(2)).join("bad"), "").unwrap();
    for stage in ["config_deploy", "promote", "finalize"] {
        project.write("hoist/checks.yaml", &check(stage));
        project.deploy(&[]);
        if stage != "finalize" {
            assert_eq!(rendered(&farm), before, "{stage}");
        }
        common::all_on(&farm, 3, &one);
    }
    std::fs::remove_file(farm.srv(&address(2)).join("bad")).unwrap();
    (0..3).for_each(|n| std::fs::remove_file(farm.srv(&address(n)).join("restarts")).unwrap());
    project.write("hoist/vars.yaml", "dc: none\nup: 7\n");
    project.deploy(&[]).ends(0);
    assert!(rendered(&farm).iter().all(|text| text.contains("up: 7")), "{:?}", rendered(&farm));
    for n in 0..3 {
        assert_eq!(std::fs::read_to_string(farm.srv(&address(n)).join("restarts")).unwrap(), "restart web\n");
    }
    project.deploy(&["-v"]).ends(0).says("already live");
    // Nothing is kept beyond the end of the run.
    project.write("index.html", "two\n");
    let two = project.commit("two");
    project.deploy(&[]).ends(0);
    for n in 0..3 {
        let trees: Vec<_> = std::fs::read_dir(farm.srv(&address(n)).join(CACHE).join("revs")).unwrap().collect();
        assert_eq!((trees.len(), Links::of(&farm, n)), (1, Links::finalized(&two)));
    }
}

#[test]
fn grafts_of_the_deploy_hosts_repository_change_nothing_that_is_sent() {
    let (farm, project) = Project::on_farm(0, 1);
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    project.write("index.html", "two\n");
    let two = project.commit("two");
    project.write(".git/info/grafts", &format!("{two}\n{one}\n"));
    project.deploy(&[]).ends(0);
    assert_eq!(Links::of(&farm, 0), Links::finalized(&two));
    let tree = farm.srv(&address(0)).join(CACHE).join("current");
    assert_eq!(std::fs::read_to_string(tree.join("index.html")).unwrap(), "two\n");
}

#[test]
fn what_is_undefined_is_named_where_it_can_be_known_and_renders_as_nothing() {
    let farm = Farm::up();
    let project = project(&farm, ["dc: eqiad\n", "other: x\n", "dc: codfw\n"]);
    project.write("hoist/vars.yaml", "colour: red\n");
    project.write(
        "hoist/config-files.yaml",
        "/srv/etc/app.yaml:\n  template: app.yaml.j2\n  remote_vars: /srv/local.yaml\n/srv/etc/own: {template: own.j2}\n",
    );
    project.write("hoist/templates/app.yaml.j2", "dc: {{ dc }}\n");
    project.write("hoist/templates/own.j2", "{{ colour }}\n{{ color }}{{ colour.none }}\n");
    let one = project.commit("one");
    // The deploy host knows of the one, and the targets alone of the others.
    let here =
        "warning: hoist/templates/own.j2:2: color is undefined, and no vars.yaml sets it: did you mean \"colour\"?";
    project.run(&["plan"]).ends(0).says(here);
    project.run(&["check-config"]).ends(0).says(here);
    let ran = project.deploy(&[]).ends(0).says(here);
    let ran = ran.says("/srv/etc/app.yaml: template app.yaml.j2 line 1: dc is undefined and printed as nothing");
    let there = "/srv/etc/own: template own.j2 line 2: none is undefined and printed as nothing";
    let ran = ran.says(there);
    assert_eq!(ran.out.matches("dc is undefined").count(), 1, "{}", ran.out);
    assert_eq!(ran.out.matches("color is undefined").count(), 1, "{}", ran.out);
    assert_eq!(Links::of(&farm, 1), Links::finalized(&one));
    assert_eq!(rendered(&farm), ["dc: eqiad", "dc: ", "dc: codfw"]);
}
