//! What of the working tree a deployment uses, and what it says of that: control files as they stand, all else as it is
//! committed.

mod common;

use std::process::Stdio;

use common::{Farm, Links, Project, address, wait_for};

/// A repository whose targets are never reached, with a file of each kind.
fn project() -> Project {
    let project = Project::empty();
    project.write(
        "hoist/hoist.cfg",
        "[global]\ngit_repo: app\ndsh_targets: all\nconfig_deploy: yes\nssh_config: none\nlock_dir: .git\n",
    );
    project.configure(&format!("lock_dir: {}", project.path(".git").display()));
    project.write("hoist/all", "web1.invalid\nweb2.invalid\n");
    project.write("hoist/checks.yaml", "checks:\n  up: {stage: fetch, command: 'true'}\n");
    project.write("hoist/config-files.yaml", "/etc/app: {template: app.j2}\n");
    project.write("hoist/templates/app.j2", "{{ colour }}\n");
    project.write("hoist/vars.yaml", "colour: red\n");
    project.write("hoist/README", "x\n");
    project.write("hoist/scripts/probe", "#!/bin/sh\n");
    project.write("index.html", "one\n");
    project.commit("one");
    project
}

const USED: &str = "uncommitted control files are used: ";
const REST: &str = "uncommitted changes are not part of HEAD and are not deployed: ";

#[track_caller]
fn plan_says(project: &Project, arguments: &[&str], lines: &[String]) {
    let ran = project.run(&[&["plan"], arguments].concat()).ends(0);
    let said: Vec<String> = ran
        .err
        .lines()
        .filter(|line| line.contains("control files are used") || line.contains("not part of"))
        .map(str::to_owned)
        .collect();
    let expected: Vec<String> = lines.iter().map(|line| format!("hoist plan: {line}")).collect();
    assert_eq!(said, expected, "{}", ran.err);
}

#[test]
fn uncommitted_control_files_are_said_to_be_used_and_other_changes_not_to_be_deployed() {
    let project = project();
    plan_says(&project, &[], &[]);
    let kinds =
        ["hoist/all", "hoist/checks.yaml", "hoist/config-files.yaml", "hoist/templates/app.j2", "hoist/vars.yaml"];
    for kind in kinds {
        let committed = std::fs::read_to_string(project.path(kind)).unwrap();
        project.write(kind, &(committed.clone() + "# more\n"));
        plan_says(&project, &[], &[format!("warning: {USED}{kind}")]);
        project.write(kind, &committed);
    }
    project.write("hoist/vars.yaml", "colour: blue\n");
    project.configure("batch_size: 3");
    project.write("hoist/scripts/probe", "#!/bin/sh\nexit 1\n");
    project.write("hoist/README", "y\n");
    project.write("index.html", "two\n");
    let used = format!("warning: {USED}hoist/hoist.cfg, hoist/vars.yaml");
    plan_says(&project, &[], &[used.clone(), format!("warning: {REST}hoist/README, hoist/scripts/probe, index.html")]);
    // Whatever the index says.
    project.git(&["add", "index.html", "hoist/README", "hoist/scripts/probe"]);
    project.git(&["commit", "-q", "-m", "two"]);
    project.git(&["add", "-A"]);
    plan_says(&project, &[], &[used]);
}

#[test]
fn a_control_file_that_git_does_not_know_or_is_told_to_pass_over_is_used_too() {
    let project = project();
    project.write("hoist/environments/beta/vars.yaml", "colour: green\n");
    plan_says(&project, &["-e", "beta"], &[format!("warning: {USED}hoist/environments/beta/vars.yaml")]);
    plan_says(&project, &[], &[]);
    project.git(&["update-index", "--assume-unchanged", "hoist/checks.yaml"]);
    project.write("hoist/checks.yaml", "checks: {}\n");
    plan_says(&project, &[], &[format!("warning: {USED}hoist/checks.yaml")]);
    std::fs::remove_file(project.path("hoist/vars.yaml")).unwrap();
    plan_says(&project, &[], &[format!("warning: {USED}hoist/checks.yaml, hoist/vars.yaml (deleted)")]);
    // Who has git ignore one means to keep it out of the repository.
    let project = self::project();
    project.git(&["rm", "-q", "--cached", "hoist/vars.yaml"]);
    project.write(".gitignore", "vars.yaml\n");
    project.git(&["add", ".gitignore"]);
    project.git(&["commit", "-q", "-m", "ignored"]);
    plan_says(&project, &[], &[]);
}

#[test]
fn line_ends_that_git_turns_around_and_a_link_are_no_changes() {
    let project = project();
    project.write(".gitattributes", "*.yaml text eol=crlf\n");
    std::fs::rename(project.path("hoist/all"), project.path("hosts")).unwrap();
    std::os::unix::fs::symlink("../hosts", project.path("hoist/all")).unwrap();
    project.commit("attributes");
    project.write("hoist/checks.yaml", "checks:\r\n  up: {stage: fetch, command: 'true'}\r\n");
    plan_says(&project, &[], &[]);
    project.write("hosts", "web3.invalid\n");
    plan_says(&project, &[], &[format!("warning: {USED}hoist/all")]);
}

#[test]
fn control_files_of_a_submodule_are_judged_by_its_own_commits() {
    let own = Project::empty();
    own.write("hoist.cfg", "[global]\ngit_repo: app\ndsh_targets: all\n");
    own.write("all", "web1.invalid\n");
    own.commit("one");
    let project = Project::empty();
    project.write("index.html", "one\n");
    let from = own.path("").display().to_string();
    project.git(&["-c", "protocol.file.allow=always", "submodule", "add", "-q", &from, "hoist"]);
    project.commit("one");
    plan_says(&project, &[], &[]);
    project.write("hoist/all", "web2.invalid\n");
    plan_says(&project, &[], &[format!("warning: {USED}hoist/all")]);
    project.git(&["-C", "hoist", "commit", "-q", "-a", "-m", "two"]);
    plan_says(&project, &[], &[format!("warning: {USED}hoist (another commit)")]);
}

#[test]
fn a_revision_with_other_control_files_is_told_from_the_ones_that_are_used() {
    let project = project();
    let one = project.git(&["rev-parse", "HEAD"]);
    project.write("hoist/checks.yaml", "checks: {}\n");
    project.commit("two");
    plan_says(&project, &[], &[]);
    let line =
        format!("note: control files are used from the working tree, not from {}: hoist/checks.yaml", &one[..10]);
    plan_says(&project, &["-r", &one], &[line]);
}

#[test]
fn require_clean_refuses_with_one_error_that_lists_the_files_and_nothing_is_touched() {
    let project = project();
    project.configure("require_clean: true");
    project.commit("clean");
    project.run(&["plan"]).ends(0);
    project.write("hoist/vars.yaml", "colour: blue\n");
    project.write("index.html", "two\n");
    project.write("hoist/environments/beta/checks.yaml", "checks: {}\n");
    project.write("notes.txt", "git does not know it, and no target gets it\n");
    let why = "require_clean (hoist/hoist.cfg:7 [global]) refuses uncommitted changes: hoist/vars.yaml, index.html: \
               commit or stash them, or override it with -D require_clean:no";
    for arguments in [&["plan"][..], &["deploy", "--yes"]] {
        let ran = project.run(arguments).ends(2).says(why);
        assert_eq!(ran.err.lines().filter(|line| !line.contains("warning")).count(), 1, "{}", ran.err);
    }
    assert!(!project.path("hoist/state").exists());
    project.run(&["plan", "-e", "beta"]).ends(2).says("hoist/environments/beta/checks.yaml, hoist/vars.yaml");
    project.run(&["plan", "-D", "require_clean:no"]).ends(0).says(USED);
}

#[test]
fn the_journal_keeps_digests_that_tell_no_secret_and_a_rollback_tells_what_has_changed() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 1);
    project.render("/srv/etc/app", "{{ password }}\n", &[]);
    project.write("hoist/vars.yaml", "password: hunter2\n");
    project.write("hoist/checks.yaml", "checks: {}\n");
    let one = project.commit("two");
    project.write("hoist/vars.yaml", "password: hunter3\n");
    project.deploy(&[]).ends(0).says("uncommitted control files are used: hoist/vars.yaml");
    let journals: Vec<_> = std::fs::read_dir(project.path("hoist/state"))
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok())
        .filter(|text| text.contains("control_files"))
        .collect();
    let [journal] = &journals[..] else { panic!("{journals:?}") };
    let opened: serde_json::Value = serde_json::from_str(journal.lines().next().unwrap()).unwrap();
    let digest = |name: &str| opened["control_files"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(digest("hoist/checks.yaml"), project.git(&["hash-object", "hoist/checks.yaml"]));
    assert_eq!(digest("hoist/templates/app.j2"), project.git(&["hash-object", "hoist/templates/app.j2"]));
    assert_eq!(digest("hoist/vars.yaml"), project.git(&["hash-object", "hoist/vars.yaml"])[..4]);
    assert_eq!(digest("hoist/hoist.cfg"), project.git(&["hash-object", "hoist/hoist.cfg"])[..4]);
    assert!(!journal.contains("hunter"), "{journal}");

    project.write("index.html", "three\n");
    project.write("hoist/checks.yaml", "checks:\n  up: {stage: fetch, command: 'true'}\n");
    project.commit("three");
    project.deploy(&[]).ends(0);
    let ran = project.run(&["rollback", "--yes"]).ends(0);
    let short = &one[..10];
    ran.says(&format!(
        "control files have changed since {short} was deployed: hoist/checks.yaml; {short} is judged by the checks that it \
         was deployed with; groups and limits are the current ones"
    ));
    assert_eq!(Links::of(&farm, 0), Links::finalized(&one));
}

#[test]
fn a_run_whose_journal_was_left_in_another_control_folder_is_not_forgotten() {
    let (farm, project, _) = Project::deployed(0, 1);
    project.check("waits", "promote", common::WAITS);
    project.commit("two");
    common::kill_at_check(&farm, &project, &["deploy", "--yes"], 1);
    std::fs::create_dir(project.path("scap")).unwrap();
    let move_state = |from: &str, to: &str| std::fs::rename(project.path(from), project.path(to)).unwrap();
    move_state("hoist/state", "scap/state");
    let commands = [&["deploy"][..], &["deploy", "-s", "fetch"], &["resume"], &["rollback"], &["reconcile"]];
    for command in commands {
        let ran = project.run(&[command, &["--yes"]].concat()).ends(6);
        ran.says("is not finished: its journal is in scap/state, and the control files are in hoist now");
    }
    project.run(&["rollback", "--dry-run"]).ends(6);
    let warning = "scap/state has journals of this repository, which are ignored";
    for command in ["history", "stats", "plan", "check-config", "status"] {
        project.run(&[command]).says(warning);
    }

    let _ = std::fs::remove_dir_all(project.path("hoist/state"));
    move_state("scap/state", "hoist/state");
    project.run(&["rollback", "--yes"]).ends(1).says("verified");
    move_state("hoist/state", "scap/state");
    project.deploy(&[]).ends(0).says(warning);
    std::fs::remove_dir_all(project.path("scap")).unwrap();
    std::os::unix::fs::symlink("hoist", project.path("scap")).unwrap();
    let ran = project.run(&["history"]).ends(0);
    assert!(!ran.err.contains("are ignored"), "the same folder by another name: {ran:?}");
}

#[test]
fn whoever_ends_a_run_is_told_which_control_files_have_changed_since_it_began() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 1);
    let waits = "test -e /srv/begun || { touch /srv/begun; until test -e /srv/go; do sleep 0.1; done; }";
    let checks =
        format!("checks:\n  up:\n    stage: fetch\n    timeout: 900\n    shell: true\n    command: '{waits}'\n");
    project.write("hoist/checks.yaml", &checks);
    let one = project.commit("two");
    let mut child = project.hoist(&["deploy", "--yes"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = farm.srv(&address(0)).join("begun");
    wait_for("the check", || begun.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    project.write("hoist/checks.yaml", "checks: {}\n");
    project.configure("batch_size: 3");
    std::fs::write(farm.srv(&address(0)).join("go"), "").unwrap();
    let ran = project.run(&["rollback", "--yes"]);
    let note = "control files have changed since the run began: hoist/checks.yaml, hoist/hoist.cfg; ";
    ran.says(note);
    assert_ne!(Links::of(&farm, 0).current, Some(one));
}
