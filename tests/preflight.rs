//! What later stages would fail at, told at the probe for all hosts before anything is touched: real sshd, the built binary.

mod common;

use std::path::Path;

use common::{CACHE, Farm, Links, Project, address, all_on};

/// A `systemctl` on a host that knows the unit `web` as long as there is a file of that name beside it.
fn systemctl(farm: &Farm, n: usize) {
    let srv = farm.srv(&address(n));
    let text = "#!/bin/sh\nif [ ! -e /srv/web ]; then echo \"Unit $2.service could not be found.\" >&2; exit 4; fi\n\
                case $1 in is-enabled) echo enabled ;; status) ;; *) echo $1 $2 >>/srv/log ;; esac\n";
    executable(&srv.join("systemctl"), text);
    std::fs::write(srv.join("web"), "").unwrap();
}

fn executable(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

fn with_services(farm: &Farm, project: &Project, hosts: usize) {
    (0..hosts).for_each(|n| systemctl(farm, n));
    project.configure("service_name: web\nservice_command: /srv/systemctl {action} {service}");
}

#[test]
fn every_problem_of_every_host_is_told_before_anything_is_touched() {
    let (farm, project, one) = Project::deployed(1, 3);
    with_services(&farm, &project, 4);
    for n in 0..4 {
        executable(&farm.srv(&address(n)).join("probe"), "#!/bin/sh\n");
        std::fs::write(farm.srv(&address(n)).join("vars.yaml"), "a: 1\n").unwrap();
    }
    project.render("/srv/etc/web.conf", "{{ a }}\n", &["remote_vars: /srv/vars.yaml"]);
    project.write("hoist/checks.yaml", "checks:\n  up:\n    stage: restart_service\n    command: /srv/probe -x\n");
    project.commit("two");
    // The last hosts lack something each, and one lacks two things.
    std::fs::remove_file(farm.srv(&address(1)).join("probe")).unwrap();
    std::fs::remove_file(farm.srv(&address(2)).join("vars.yaml")).unwrap();
    std::fs::remove_file(farm.srv(&address(3)).join("vars.yaml")).unwrap();
    std::fs::remove_file(farm.srv(&address(3)).join("web")).unwrap();
    let vars = "remote_vars of /srv/etc/web.conf: cannot read /srv/vars.yaml";
    project
        .deploy(&[])
        .ends(1)
        .says("nothing was touched")
        .says("127.0.0.2] probe failed: check up: cannot run /srv/probe: No such file or directory")
        .says(&format!("127.0.0.3] probe failed: {vars}"))
        .says(&format!("127.0.0.4] probe failed: {vars}"))
        .says("; service web does not exist on this host: install it, or set require_valid_service");
    all_on(&farm, 4, &one);
    assert!((0..4).all(|n| Links::of(&farm, n).in_progress.is_none() && !farm.srv(&address(n)).join("log").exists()));
    // A dry run tells the same, each cause once with its hosts.
    project.deploy(&["--dry-run", "-r", "HEAD"]).says("warning: 127.0.0.[3-4]: remote_vars of");
    // Hosts that cannot be deployed to count against the limit as unreachable ones do.
    let two = project.git(&["rev-parse", "HEAD"]);
    project.deploy(&["-D", "failure_limit:3"]).ends(0).says("1 of 4 hosts");
    assert_eq!([0, 1].map(|n| Links::of(&farm, n).current), [Some(two), Some(one)]);
}

#[test]
fn a_host_without_git_is_refused_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let (programs, through) = (folder.path().join("programs"), folder.path().join("through"));
    std::fs::create_dir(&programs).unwrap();
    for entry in ["/usr/sbin", "/usr/bin"].iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()) {
        let entry = entry.unwrap();
        let link = programs.join(entry.file_name());
        if entry.file_name() != "git" && !link.is_symlink() {
            std::os::unix::fs::symlink(entry.path(), link).unwrap();
        }
    }
    let text = format!(
        "#!/bin/sh\ncase $SSH_CONNECTION in *' {} '*) PATH={} ;; esac\nexec \"$@\"\n",
        address(1),
        programs.display()
    );
    executable(&through, &text);
    let farm = Farm::up_with(&[("FARM_THROUGH", through.to_str().unwrap())]);
    let project = Project::new(&farm, 0, 2);
    let why = "127.0.0.2] probe failed: git is not installed on this host, or not in PATH: install it";
    project.deploy(&[]).ends(1).says("nothing was touched").says(why);
    assert!((0..2).all(|n| !farm.srv(&address(n)).join(CACHE).exists()));
    project.deploy(&["-D", "failure_limit:1"]).ends(0).says("1 of 2 hosts");
}

#[test]
fn a_check_of_one_group_is_no_matter_of_the_hosts_of_another() {
    let (farm, project) = Project::on_farm(1, 1);
    executable(&farm.srv(&address(0)).join("probe"), "#!/bin/sh\n");
    project.write(
        "hoist/checks.yaml",
        "checks:\n  up:\n    stage: promote\n    group: canary\n    command: /srv/probe -x\n",
    );
    project.commit("checks");
    project.deploy(&[]).ends(0);
}

#[test]
fn a_host_that_has_nothing_to_do_is_not_refused_for_what_it_lacks() {
    let (farm, project) = Project::on_farm(0, 2);
    with_services(&farm, &project, 2);
    project.commit("services");
    project.deploy(&[]).ends(0);
    std::fs::remove_file(farm.srv(&address(1)).join("web")).unwrap();
    project.deploy(&[]).ends(0).says("warning: 127.0.0.2: service web does not exist on this host");
    project.deploy(&["--force"]).ends(1).says("127.0.0.2] probe failed: service web does not exist on this host");
    project.deploy(&["--service-restart"]).ends(1).says("nothing was touched");
}

#[test]
fn the_way_back_is_never_refused_for_what_a_probe_finds() {
    let (farm, project) = Project::on_farm(0, 1);
    with_services(&farm, &project, 1);
    let one = project.commit("services");
    project.deploy(&[]).ends(0);
    project.write("index.html", "two\n");
    project.commit("two");
    project.deploy(&[]).ends(0);
    // The unit's file is gone, and what runs can be restarted all the same.
    let systemctl = farm.srv(&address(0)).join("systemctl");
    executable(&systemctl, "#!/bin/sh\n[ $1 != status ] || { echo Unit web.service could not be found.; exit 4; }\n");
    project.run(&["rollback", "--yes"]).ends(0).says("warning: 127.0.0.1: service web does not exist on this host");
    all_on(&farm, 1, &one);
}

#[test]
fn a_repository_of_scaps_with_a_check_whose_program_comes_later_is_warned_of_and_deployed() {
    let (farm, project) = Project::on_farm(0, 1);
    // Scap's lock is in the name of the repository, and one for all of this machine.
    project.configure("git_repo: app-of-scap");
    project.git(&["mv", "hoist", "scap"]);
    project.git(&["mv", "scap/hoist.cfg", "scap/scap.cfg"]);
    project.write("scap/checks.yaml", "checks:\n  up:\n    stage: promote\n    command: /srv/deployment/tool -x\n");
    project.commit("as Scap has it");
    let ran = project
        .deploy(&[])
        .says("warning: 127.0.0.1: check up: cannot run /srv/deployment/tool: No such file or directory");
    // It was tried, and failed in its stage.
    ran.says("promote failed: check up: cannot run");
    drop(farm);
}
