//! Links and files that a repository puts in the way.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::common::{CACHE, Farm, Project, address};

#[test]
fn what_hoist_writes_for_itself_is_never_written_through_a_committed_link() {
    let farm = Farm::up();
    let victims = tempfile::tempdir().unwrap();
    let victim = victims.path().join("victim");
    // Every file that a deployment, status or the log writes, and the folders that they stand in.
    let links = [
        "hoist/state/fleet.json.new",
        "hoist/state/fleet.json",
        "hoist/state/fleet.lock",
        "hoist/state/.gitignore",
        "hoist/state/20200101T000000.000Z-1-abcd.journal",
        "hoist/state",
        "hoist/log/.gitignore",
        "hoist/log",
    ];
    for (link, there) in links.into_iter().flat_map(|link| [(link, true), (link, false)]) {
        let project = Project::new(&farm, 0, 1);
        let folder = matches!(link, "hoist/state" | "hoist/log");
        let to = if folder { victims.path().join("folder") } else { victim.clone() };
        let _ = fs::remove_dir_all(victims.path().join("folder"));
        let _ = fs::remove_file(&victim);
        match (there, folder) {
            (true, true) => fs::create_dir(&to).unwrap(),
            (true, false) => fs::write(&to, "precious").unwrap(),
            (false, _) => {}
        }
        fs::create_dir_all(project.path(link).parent().unwrap()).unwrap();
        symlink(&to, project.path(link)).unwrap();
        project.git(&["add", "-Af"]);
        project.git(&["commit", "-qm", "a link"]);
        for arguments in [&["status"][..], &["deploy", "--yes"], &["deploy", "--init"], &["rollback", "--yes"]] {
            let ran = project.run(arguments);
            assert!(!(ran.err + &ran.out).contains("panicked"), "{link}");
            match (there, folder) {
                (true, true) => assert_eq!(fs::read_dir(&to).unwrap().count(), 0, "{link}: {arguments:?}"),
                (true, false) => assert_eq!(fs::read_to_string(&to).unwrap(), "precious", "{link}: {arguments:?}"),
                (false, _) => assert!(fs::symlink_metadata(&to).is_err(), "{link}: {arguments:?}"),
            }
        }
        // Where it stands in the way it is named.
        let ran = project.run(&["deploy", "--yes", "--break-glass", "again"]);
        if ran.status != Some(0) {
            assert!((ran.err + &ran.out).contains(&format!("{link} is a symbolic link")), "{link}");
        }
    }
}

#[test]
fn a_committed_link_out_of_the_repository_is_refused_by_name_and_not_read() {
    let farm = Farm::up();
    let outside = tempfile::tempdir().unwrap();
    let private = outside.path().join("private");
    fs::write(&private, "hunter2: hunter2\n").unwrap();
    let set_up = || {
        let project = Project::new(&farm, 0, 1);
        project.write_configuration(&[
            ("templates/app.j2", "x = {{ x }}\n"),
            ("config-files.yaml", "conf/app: {template: app.j2}\n"),
            ("vars.yaml", "x: 1\n"),
        ]);
        project.write("hoist/checks.yaml", "checks: {c: {type: script, stage: promote, command: c.sh}}\n");
        project.write("hoist/scripts/c.sh", "#!/bin/sh\n");
        project.write("hoist/environments/e/hoist.cfg", "[global]\n");
        Command::new("chmod").arg("755").arg(project.path("hoist/scripts/c.sh")).status().unwrap();
        project
    };
    let files = [
        "hoist/hoist.cfg",
        "hoist/environments/e/hoist.cfg",
        "hoist/templates/app.j2",
        "hoist/templates/included.j2",
        "hoist/config-files.yaml",
        "hoist/vars.yaml",
        "hoist/checks.yaml",
        "hoist/scripts/c.sh",
        "hoist/default",
    ];
    for file in files {
        for to in [private.clone(), ".git/config".into()] {
            let project = set_up();
            let to = if to.is_absolute() { to } else { project.path(to.to_str().unwrap()) };
            Command::new("chmod").arg("755").arg(&to).status().unwrap();
            let _ = fs::remove_file(project.path(file));
            symlink(&to, project.path(file)).unwrap();
            project.commit("a link");
            for command in ["deploy", "check-config"] {
                let yes = (command == "deploy").then_some("--yes");
                let chosen: &[&str] = if file.contains("environments") { &["-e", "e"] } else { &[] };
                let ran = project.run(&[&[command], yes.as_slice(), chosen].concat()).ends(2);
                let said = ran.out + &ran.err;
                assert!(said.contains(&format!("{file} is a link ")), "{file}: {said}");
                assert!(!said.contains("hunter2") && !said.contains("bare = false"), "{file}: {said}");
            }
        }
    }
    // Links within the repository are as good as files.
    let project = set_up();
    for file in files {
        let elsewhere = project.path("shared").join(file.replace('/', "-"));
        fs::create_dir_all(project.path("shared")).unwrap();
        if fs::rename(project.path(file), &elsewhere).is_ok() {
            let up = "../".repeat(file.matches('/').count()) + "shared";
            symlink(std::path::Path::new(&up).join(elsewhere.file_name().unwrap()), project.path(file)).unwrap();
        }
    }
    let revision = project.commit("links within");
    project.deploy(&[]).ends(0);
    let tree = farm.srv(&address(0)).join(CACHE).join("revs").join(revision);
    assert_eq!(fs::read_to_string(tree.join("conf/app")).unwrap(), "x = 1");
}

#[test]
fn a_file_that_is_no_lock_is_never_taken_for_one() {
    let (_farm, project) = Project::on_farm(0, 1);
    let file = project.path(".git/precious");
    project.configure(&format!("lock_file: {}", file.display()));
    for precious in ["precious\n", "{\"name\": \"value\"}", "[1]", "PATH=/bin\n", "\u{0}\u{1}"] {
        fs::write(&file, precious).unwrap();
        project.deploy(&[]).ends(2).says("it is not a lock file").says(".git/precious");
        project.run(&["lock", "why"]).ends(2).says("it is not a lock file");
        assert_eq!(fs::read_to_string(&file).unwrap(), precious);
    }
    // What Hoist or Scap have left there is one, half of a name too.
    for lock in ["", "\n", "{}", "{\"run\":\"2020", "{\"locker\": \"alice\", \"pid\": 1}"] {
        fs::write(&file, lock).unwrap();
        project.deploy(&["-f"]).ends(0);
    }
}
