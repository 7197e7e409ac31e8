//! Revisions that are no commits of the repository, from deployment to rollback.

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use common::{Farm, Links, Project, WAITS, address, all_on, go, hold, kill_at_check};

/// A path in the live tree of the n-th host.
fn live(farm: &Farm, n: usize, path: &str) -> PathBuf {
    farm.srv(&address(n)).join(common::CACHE).join("current").join(path)
}

fn read(farm: &Farm, n: usize, path: &str) -> Vec<u8> {
    fs::read(live(farm, n, path)).unwrap_or_else(|error| panic!("{path} on host {n}: {error}"))
}

/// What is live on the first host.
fn current(farm: &Farm) -> String {
    Links::of(farm, 0).current.unwrap()
}

/// A repository of two services of which one is deployed, with attributes that change files; to two hosts.
fn monorepo(farm: &Farm) -> Project {
    let project = Project::new(farm, 0, 2);
    project.write(".gitattributes", "*.txt text eol=crlf\n");
    project.write("services/api/.gitattributes", "*.u16 text working-tree-encoding=UTF-16LE\n*.id ident\n");
    project.write("services/api/a.txt", "one\ntwo\n");
    fs::write(project.path("services/api/b.u16"), b"a\0b\0\n\0").unwrap();
    project.write("services/api/c.id", "$Id$\n");
    project.write("services/api/large", &"unchanged\n".repeat(1000));
    project.write("services/web/index.html", "web\n");
    project.configure("subdir: services/api/");
    project.commit("two services");
    project
}

#[test]
fn a_directory_of_the_repository_is_deployed_and_counted_by_itself() {
    let farm = Farm::up();
    let project = monorepo(&farm);
    let first_commit = project.git(&["rev-parse", "HEAD"]);
    let short = &first_commit[..10];
    let planned = project.run(&["plan"]).ends(0).says(&format!("origin      services/api of {short}"));
    assert!(planned.out.contains("revision    "), "{}", planned.out);
    let ran = project.deploy(&[]).ends(0).says(&format!("services/api of {short}"));
    assert!(ran.out.contains(&format!(" is services/api of {short}")), "the verdict: {}", ran.out);
    let one = current(&farm);
    assert_ne!(one, first_commit);
    all_on(&farm, 2, &one);
    // Only the directory is there, and every byte is as a checkout of all has it.
    for n in 0..2 {
        assert_eq!(read(&farm, n, "a.txt"), b"one\r\ntwo\r\n");
        assert_eq!(read(&farm, n, "b.u16"), b"a\0b\0\n\0");
        let id = project.git(&["rev-parse", "HEAD:services/api/c.id"]);
        assert_eq!(read(&farm, n, "c.id"), format!("$Id: {id} $\n").as_bytes());
        assert!(!live(&farm, n, "hoist").exists() && !live(&farm, n, "services").exists());
    }
    project.run(&["status", "--verify"]).ends(0).says(&format!("{} is services/api of {short}", &one[..10]));

    // A commit that leaves the directory alone is the same revision; the others are told.
    project.write("services/web/index.html", "web 2\n");
    let web_commit = project.commit("only the web");
    project.deploy(&[]).ends(0).says(&format!("{} is already live", &one[..10]));
    let known_as = format!("services/api of {}", &web_commit[..10]);
    project.run(&["status"]).ends(0).says(&known_as);
    project.write("services/api/a.txt", "three\n");
    let second_commit = project.commit("the api");
    let planned = project.run(&["plan", "--format", "json"]).ends(0);
    let planned: serde_json::Value = serde_json::from_str(&planned.out).unwrap();
    assert_eq!(planned["origin"]["source"], second_commit.as_str(), "{planned}");
    let text = planned.to_string();
    assert!(text.contains("the api") && !text.contains("only the web"), "{text}");

    // Its deployer is killed, and the run is resumed; unchanged files are shared.
    project.check("waits", "fetch", WAITS);
    kill_at_check(&farm, &project, &["deploy", "--yes"], 2);
    project.run(&["resume", "--yes"]).ends(0).says(&format!("services/api of {}", &second_commit[..10]));
    let two = current(&farm);
    assert_ne!(one, two);
    all_on(&farm, 2, &two);
    assert_eq!(read(&farm, 1, "a.txt"), b"three\r\n");
    assert!(fs::metadata(live(&farm, 1, "large")).unwrap().nlink() > 1, "an unchanged file is shared");
    hold(&farm, 2);

    // It fails and is rolled back; then the same files are doubtful, whichever commit they are of.
    project.check("fails", "promote", "grep -q three a.txt");
    project.write("services/api/a.txt", "bad\n");
    project.commit("a bad api");
    project.deploy(&[]).ends(1);
    all_on(&farm, 2, &two);
    project.write("services/web/index.html", "web 3\n");
    project.commit("the web again");
    project.deploy(&[]).ends(2).says("was rolled back");
    project.write("hoist/checks.yaml", "checks: {}\n");
    project.write("services/api/a.txt", "three\n");
    project.commit("back");
    project.deploy(&[]).ends(0).says("is already live");

    // Back to what a commit had, and what the journals tell of it.
    project.run(&["rollback", "--yes", &first_commit]).ends(0).says(&known_as);
    all_on(&farm, 2, &one);
    assert_eq!(read(&farm, 0, "a.txt"), b"one\r\ntwo\r\n");
    let history = project.run(&["history", "--format", "json"]).ends(0).out;
    let history: serde_json::Value = serde_json::from_str(&history).unwrap();
    let newest = &history["deployments"][0];
    assert_eq!((&newest["revision"], &newest["origin"]["from"]), (&one.as_str().into(), &"services/api".into()));
    // A deploy host that has no artifacts hears of it from the targets.
    let other = Project::clone_of(&project);
    fs::copy(project.path("hoist/hoist.cfg"), other.path("hoist/hoist.cfg")).unwrap();
    let status = other.run(&["status", "--format", "json"]).out;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["artifacts"][0]["origin"]["source"], web_commit.as_str(), "{status}");
    // Whoever deploys the same files from there deploys the same revision.
    other.deploy(&["-r", &first_commit]).ends(0).says("is already live");

    // The whole repository again: now attributes have their effect on targets.
    project.configure("subdir:");
    project.commit("all of it");
    // It contains what was rolled back by hand.
    project.deploy(&["--break-glass", "again"]).ends(0);
    assert_eq!(read(&farm, 0, "services/api/a.txt"), b"three\r\n");
    assert_eq!(read(&farm, 1, "services/api/b.u16"), b"a\0b\0\n\0");
    project.run(&["status", "--verify"]).ends(0);
}

#[test]
fn a_directory_that_cannot_be_deployed_is_one_error_and_nothing_is_touched() {
    let farm = Farm::up();
    let project = monorepo(&farm);
    let refused = |subdir: &str, words: &str| {
        project.configure(&format!("subdir: {subdir}"));
        for command in [&["plan"][..], &["deploy", "--yes"]] {
            project.run(command).ends(2).says(words);
        }
    };
    refused("services/nope", "subdir: ");
    refused("services/nope", "has no directory services/nope");
    refused("index.html", "subdir: index.html of");
    refused("../x", "hoist/hoist.cfg:");
    refused("/etc", "subdir in [global]: \"/etc\" is no path of a directory");
    project.configure("subdir: services/api\ngit_fat: yes");
    project.run(&["plan"]).ends(2).says("git_fat cannot be combined with subdir");
    project.configure("git_fat: no");
    // A script of a check has to be in the directory.
    project.write("hoist/scripts/look", "#!/bin/sh\n");
    project.write("hoist/checks.yaml", "checks:\n  look:\n    type: script\n    stage: promote\n    command: look\n");
    project.commit("a script");
    project.deploy(&[]).ends(2).says("check look: hoist/scripts/look is not in services/api of");
    assert!(!farm.srv(&address(0)).join(common::CACHE).exists());
    // Links to what is not deployed are named.
    project.write("hoist/checks.yaml", "checks: {}\n");
    project.write("services/shared", "shared\n");
    for (to, path) in [
        ("../shared", "out"),
        ("../../api/a.txt", "deep/around"),
        ("../a.txt", "deep/inside"),
        ("/etc/hostname", "absolute"),
    ] {
        let path = project.path("services/api").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(to, path).unwrap();
    }
    let linked = project.commit("links");
    let warning = format!(
        "{} has symbolic links that lead out of services/api, to what is not deployed \
         (services/api/deep/around -> ../../api/a.txt, services/api/out -> ../shared): replace them",
        &linked[..10]
    );
    project.run(&["plan"]).ends(0).says(&warning);
    project.run(&["check-config"]).ends(0).says(&format!("warning: {warning}"));
    let elsewhere = project.run(&["check-config", "-D", "subdir:services/api/deep", "-D", "git_rev:HEAD^"]).ends(0);
    assert!(!elsewhere.err.contains("symbolic links"), "{}", elsewhere.err);
    // With a git server, the directory comes through the session all the same.
    let _server = project.serve_as_files();
    project.commit("served");
    let ran = project.deploy(&[]).ends(0).says("is an artifact, which is not on the git server");
    ran.says("services/api/out -> ../shared");
    assert_eq!(read(&farm, 1, "a.txt"), b"one\r\ntwo\r\n");
    go(&farm, 0);
}
