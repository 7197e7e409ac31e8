//! Deployments with shared paths, from configuration to rollback.

mod common;

use std::fs;
use std::path::PathBuf;

use common::{Farm, Project};

/// What a host's services see at a path.
fn live(farm: &Farm, host: &str, path: &str) -> String {
    let text = fs::read_to_string(place(farm, host, "app-cache/current").join(path));
    text.unwrap_or_else(|error| panic!("{path} on {host}: {error}"))
}

fn place(farm: &Farm, host: &str, path: &str) -> PathBuf {
    farm.srv(host).join("deployment").join(path)
}

fn put(path: PathBuf, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_deployment_that_makes_paths_shared_keeps_their_content_through_its_rollback() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 2);
    let hosts = ["127.0.0.1", "127.0.0.2"];
    project.write("uploads/.gitkeep", "");
    let one = project.commit("uploads");
    project.deploy(&[]).ends(0);
    for host in hosts {
        put(place(&farm, host, "app-cache/current/uploads/cat.jpg"), host);
    }

    // The revision has a file there: nothing is touched, by a plan either.
    project.configure("shared_dirs: uploads, log\nshared_files: config/secrets.yml\n");
    project.commit("share");
    for command in [&["plan"][..], &["deploy", "--yes"]] {
        let ran = project.run(command).ends(2);
        ran.says("shared_dirs: uploads cannot be shared, because ")
            .says("has uploads/.gitkeep: run `git rm -r --cached uploads`");
    }
    assert!(!place(&farm, hosts[0], "app-cache/shared").exists());
    project.git(&["rm", "-q", "-r", "uploads"]);
    let two = project.commit("no uploads");

    // One host lacks the file: the probe says what to do, and no host is touched.
    put(place(&farm, hosts[0], "app-cache/current/config/secrets.yml"), "of the live tree");
    let ran = project.deploy(&[]);
    ran.says("shared_files: config/secrets.yml: /srv/deployment/app-cache/shared/config/secrets.yml does not exist");
    assert!(!place(&farm, hosts[0], "app-cache/shared").exists());
    put(place(&farm, hosts[1], "app-cache/shared/config/secrets.yml"), "prepared");

    // It fails after promote, and is rolled back.
    project.check("fails", "promote", "false");
    project.deploy(&[]).ends(1);
    for (host, secret) in hosts.into_iter().zip(["of the live tree", "prepared"]) {
        assert_eq!(live(&farm, host, "uploads/cat.jpg"), host);
        let shared = place(&farm, host, "app-cache/shared");
        assert_eq!(fs::read_to_string(shared.join("config/secrets.yml")).unwrap(), secret);
        assert_eq!(fs::read_to_string(shared.join("uploads/cat.jpg")).unwrap(), host);
    }
    assert_eq!(live(&farm, hosts[0], "config/secrets.yml"), "of the live tree");
    project.run(&["status", "--verify"]).ends(0);

    project.write("hoist/checks.yaml", "checks: {}\n");
    project.deploy(&["-r", &two, "--break-glass", "again"]).ends(0);
    project.run(&["status", "--verify"]).ends(0);
    put(place(&farm, hosts[0], "app-cache/current/uploads/dog.jpg"), "dog");
    assert_eq!(live(&farm, hosts[1], "config/secrets.yml"), "prepared");

    // And back by hand.
    project.run(&["rollback", "--yes", &one]).ends(0);
    assert_eq!(live(&farm, hosts[0], "uploads/dog.jpg"), "dog");
    project.run(&["status", "--verify"]).ends(0);

    // A link that is gone is a file that the tree lacks, until the next deployment puts it back.
    fs::remove_file(place(&farm, hosts[0], "app-cache/current/uploads")).unwrap();
    project.run(&["status", "--verify"]).says("uploads");
    project.deploy(&["-r", &two, "--break-glass", "again"]).ends(0);
    assert_eq!(live(&farm, hosts[0], "uploads/dog.jpg"), "dog");
}

#[test]
fn a_host_that_missed_the_deployment_which_made_a_path_shared_is_reconciled_and_repositories_share_nothing() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 2);
    project.deploy(&[]).ends(0);
    let hosts = ["127.0.0.1", "127.0.0.2"];
    for host in hosts {
        put(place(&farm, host, "app-cache/current/uploads/cat.jpg"), host);
        put(place(&farm, host, "app-cache/current/config/secrets.yml"), host);
    }
    project.configure("shared_dirs: uploads\nshared_files: config/secrets.yml\nfailure_limit: 1");
    project.commit("share");
    farm.set_down(hosts[1], true);
    project.deploy(&[]).ends(0);
    farm.set_down(hosts[1], false);
    put(place(&farm, hosts[1], "app-cache/current/uploads/dog.jpg"), "written meanwhile");
    project.run(&["reconcile", "--yes"]).ends(0);
    let check = || {
        for host in hosts {
            assert!(place(&farm, host, "app-cache/current/uploads").is_symlink());
            assert_eq!(live(&farm, host, "uploads/cat.jpg"), host);
            assert_eq!(live(&farm, host, "config/secrets.yml"), host);
        }
        assert_eq!(live(&farm, hosts[1], "uploads/dog.jpg"), "written meanwhile");
    };
    check();
    project.run(&["status", "--verify"]).ends(0);

    // Another repository on the same hosts, with the same paths.
    let other = Project::new(&farm, 0, 2);
    other.configure("git_repo: other\nshared_dirs: uploads");
    other.commit("other");
    other.deploy(&[]).ends(0);
    for host in hosts {
        let uploads = place(&farm, host, "other-cache/current/uploads");
        assert_eq!(fs::read_dir(&uploads).unwrap().count(), 0);
        put(uploads.join("cat.jpg"), "another cat");
    }
    other.run(&["status", "--verify"]).ends(0);
    check();
}
