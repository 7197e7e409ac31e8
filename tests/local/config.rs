//! Configuration files: rendered, linked, shown.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use hoist::wire::{Level, Request, Revision, Run, Secrets, Stage, StageRequest, TargetEvent};

use crate::harness::*;

/// A request that renders `etc/app.conf` and `etc/app.port` with a word of its own.
fn with_files(target: &Target, run: &str, revision: &Revision, word: &str) -> StageRequest {
    let mut request = target.request(run, revision);
    request.config_files = Some(vec![config_file(&target.etc("app.conf"), "conf"), config_file("inside/x", "conf")]);
    request.templates.insert("conf".to_owned(), "word = {{ word }}\n".to_owned());
    request.vars.insert("word".to_owned(), word.into());
    request
}

#[test]
fn fault_8_after_a_rollback_the_config_links_lead_into_the_restored_revision() {
    let target = Target::new();
    let conf = target.etc("app.conf");
    let (gone, new) = (target.etc("gone.conf"), target.etc("new.conf"));
    let one = target.commit(&[("a", "1")]);
    let mut first = with_files(&target, "r1", &one, "old");
    first.config_files.as_mut().unwrap().push(config_file(&gone, "conf"));
    target.deploy(&first);
    assert_eq!(target.reads(&conf), "word = old");
    assert_eq!(target.reads(&format!("{}/inside/x", target.live().display())), "word = old");

    let two = target.commit(&[("a", "2")]);
    let mut second = with_files(&target, "r2", &two, "new");
    second.config_files.as_mut().unwrap().push(config_file(&new, "conf"));
    target.fetch(&second).ok();
    run(&second, Stage::ConfigDeploy).ok();
    assert_eq!(target.reads(&conf), "word = old", "rendering changes nothing that is live");
    let promoted = run(&second, Stage::Promote).ok();
    assert_eq!((target.reads(&conf), target.reads(&new)), ("word = new".to_owned(), "word = new".to_owned()));
    assert!(fs::symlink_metadata(&gone).is_err(), "no link is left that nobody configures");
    assert!(promoted.lines(Level::Warning).iter().any(|line| line.contains(&gone)));
    assert!(promoted.state().stray_links.is_empty());

    let back = roll_back(&second, Some(&one)).ok();
    assert!(back.state().stray_links.is_empty());
    assert_eq!((target.reads(&conf), target.reads(&gone)), ("word = old".to_owned(), "word = old".to_owned()));
    assert!(fs::symlink_metadata(&new).is_err(), "the new revision's own link is gone");
    assert!(fs::read_link(&conf).unwrap().starts_with(target.rev(&one)));
}

#[test]
fn a_link_that_leads_elsewhere_is_told_as_stray() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    let request = with_files(&target, "r1", &one, "x");
    target.deploy(&request);
    assert!(target.facts(&request).state.stray_links.is_empty());
    let conf = target.etc("app.conf");
    fs::remove_file(&conf).unwrap();
    symlink("/etc/hostname", &conf).unwrap();
    assert_eq!(target.facts(&request).state.stray_links, std::slice::from_ref(&conf));
    // Promote sees it too, although the revision is live, and keeps what was there.
    run(&request, Stage::Promote).ok();
    assert_eq!(target.reads(&conf), "word = x");
}

#[test]
fn a_plain_file_in_a_links_place_is_kept_under_another_name_and_a_directory_fails_before_anything_changes() {
    let target = Target::new();
    let conf = target.etc("app.conf");
    fs::create_dir_all(Path::new(&conf).parent().unwrap()).unwrap();
    fs::write(&conf, "by hand").unwrap();
    let one = target.commit(&[("a", "1")]);
    let request = with_files(&target, "r1", &one, "x");
    target.deploy(&request);
    let kept = fs::read_dir(target.dir.path().join("etc")).unwrap().flatten();
    let kept: Vec<_> = kept.filter(|e| e.file_name().to_string_lossy().starts_with("app.conf.before-hoist-")).collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(fs::read(kept[0].path()).unwrap(), b"by hand");

    let two = target.commit(&[("a", "2")]);
    let mut request = with_files(&target, "r2", &two, "y");
    request.config_files.as_mut().unwrap().push(config_file(&target.etc("dir"), "conf"));
    fs::create_dir(target.etc("dir")).unwrap();
    target.fetch(&request).ok();
    run(&request, Stage::ConfigDeploy).ok();
    let reply = run(&request, Stage::Promote);
    assert!(reply.reason().contains("is a directory"), "{reply:?}");
    assert_eq!(reply.state().current.as_ref(), Some(&one));
    assert_eq!(target.reads(&conf), "word = x");
}

#[test]
fn variables_on_the_target_win_and_nothing_of_them_is_ever_said() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    let mut request = with_files(&target, "r1", &one, "public");
    let vars = target.etc("vars.yaml");
    fs::create_dir_all(target.dir.path().join("etc")).unwrap();
    fs::write(&vars, "word: hunter2\nother: 1\n").unwrap();
    request.config_files.as_mut().unwrap()[0].remote_vars = Some(vars.clone());
    target.fetch(&request).ok();
    let reply = run(&request, Stage::ConfigDeploy).ok();
    assert!(!format!("{reply:?}").contains("hunter2"));
    run(&request, Stage::Promote).ok();
    assert_eq!(target.reads(&target.etc("app.conf")), "word = hunter2");
    assert_eq!(fs::metadata(target.etc("app.conf")).unwrap().mode() & 0o777, 0o644);
    let kept = fs::metadata(target.root().join(".hoist/last-request.json")).unwrap();
    assert_eq!(kept.mode() & 0o777, 0o600, "a request may hold secrets");

    fs::remove_file(&vars).unwrap();
    let reply = run(&request, Stage::ConfigDeploy);
    assert!(reply.reason().starts_with(&format!("cannot read {vars}: No such file or directory")), "{reply:?}");
}

#[test]
fn a_template_with_an_error_fails_before_anything_is_written() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    let mut request = with_files(&target, "r1", &one, "hunter2");
    request.templates.insert("bad".to_owned(), "fine\n{{ word.x.y }}\n".to_owned());
    request.config_files.as_mut().unwrap().push(config_file("second", "bad"));
    target.fetch(&request).ok();
    let reply = run(&request, Stage::ConfigDeploy);
    assert!(reply.reason().starts_with("second: template bad line 2: "), "{reply:?}");
    assert!(!format!("{reply:?}").contains("hunter2"));
    assert!(!target.rev(&one).join("inside").exists());
    let reply = run(&request, Stage::Promote);
    assert!(reply.reason().contains("run the config_deploy stage first"), "{reply:?}");
}

#[test]
fn a_relative_file_never_leaves_the_tree() {
    let target = Target::new();
    let outside = target.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, target.source().join("out")).unwrap();
    symlink("real", target.source().join("in")).unwrap();
    let one = target.commit(&[("real/a", "1")]);
    let mut request = with_files(&target, "r1", &one, "x");
    target.fetch(&request).ok();
    for path in ["out/x", "../x", ".git/config", "a/.GIT/x", "", "out/deep/x", "real/../../x"] {
        request.config_files = Some(vec![config_file(path, "conf")]);
        let reply = run(&request, Stage::ConfigDeploy);
        assert!(reply.reason().contains(&format!("{path:?}")), "{reply:?}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    request.config_files = Some(vec![config_file("in/x", "conf")]);
    run(&request, Stage::ConfigDeploy).ok();
    assert!(target.rev(&one).join("real/x").exists());
}

#[test]
fn a_config_diff_shows_what_would_change_and_writes_nothing() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    target.deploy(&with_files(&target, "r1", &one, "old"));
    let two = target.commit(&[("a", "2")]);
    let mut request = with_files(&target, "r2", &two, "new");
    request.config_files.as_mut().unwrap().push(config_file(&target.etc("fresh"), "conf"));
    let before = snapshot(target.dir.path());
    let reply = run(&request, Stage::ConfigDiff).ok();
    assert_eq!(snapshot(target.dir.path()), before);
    let diffs: Vec<_> = reply
        .events
        .iter()
        .filter_map(|event| match event {
            TargetEvent::Diff { file, diff } => Some((file.as_str(), diff.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(diffs.len(), 3);
    assert_eq!(diffs[0].0, target.etc("app.conf"));
    assert!(diffs[0].1.contains("\n-word = old\n") && diffs[0].1.contains("\n+word = new\n"), "{}", diffs[0].1);
    assert_eq!(diffs[1].0, "inside/x");
    assert!(!diffs[2].1.contains("\n-"), "a file that is not there yet only grows");
    assert!(!reply.lines(Level::Debug).join("\n").contains("word ="));
}

#[test]
fn without_config_deploy_the_stage_does_nothing() {
    let (target, one, request) = Target::with_one();
    run(&request, Stage::ConfigDeploy).ok();
    assert!(!target.rev(&one).exists());
}

#[test]
fn secrets_are_used_and_never_kept_so_that_a_stage_by_hand_is_refused() {
    let (target, _, mut request) = Target::fetched();
    request.config_files = Some(vec![config_file(&target.etc("app.conf"), "t"), config_file("inside/x", "t")]);
    request.templates.insert("t".to_owned(), "{{ word }}".to_owned());
    request.vars.insert("word".to_owned(), "public".into());
    request.needs_secrets = true;
    let secrets = [("word".to_owned(), "hunter2".into())].into_iter().collect();
    let asked = match asked(&request, Stage::ConfigDeploy, 0) {
        Request::Run(run) => Request::Run(Box::new(Run { secrets: Some(Secrets(secrets)), ..*run })),
        other => other,
    };
    let reply = call(&asked, b"").ok();
    assert!(!format!("{reply:?}").contains("hunter2"));
    run(&request, Stage::Promote).ok();
    assert_eq!(target.reads(&target.etc("app.conf")), "hunter2");
    let kept = fs::read_to_string(target.root().join(".hoist/last-request.json")).unwrap();
    assert!(kept.contains("\"needs_secrets\":true") && !kept.contains("hunter2"), "{kept}");
    let why = "the files need variables of vars_command, which only the deploy host has and no target keeps";
    assert!(run(&request, Stage::ConfigDeploy).reason().starts_with(why));
    let by_hand = std::process::Command::new(HOIST)
        .args(["deploy-local", "--repo", &request.header.repo, "--deploy-dir"])
        .args([target.deploy_dir().to_str().unwrap(), "config_deploy"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&by_hand.stdout) + String::from_utf8_lossy(&by_hand.stderr);
    assert!(!by_hand.status.success() && said.contains(why), "{said}");
    assert_eq!(target.reads(&target.etc("app.conf")), "hunter2", "nothing has changed");
}

#[test]
fn on_the_way_to_an_absolute_file_only_the_operators_links_are_followed() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    let [service, outside, operators] = ["etc", "outside", "operators"].map(|name| target.dir.path().join(name));
    for folder in [&service, &outside, &operators] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(outside.join("app.conf"), "precious").unwrap();
    let chown = |path: &Path| std::os::unix::fs::lchown(path, Some(65534), Some(65534)).is_ok();
    let request = |run: &str| StageRequest {
        config_files: Some(vec![config_file(&target.etc("conf/app.conf"), "conf")]),
        ..with_files(&target, run, &one, "new")
    };
    let untouched = snapshot(&outside);
    // The service's own directory is where the file is meant to be.
    if !chown(&service) {
        return;
    }
    target.deploy(&request("r1"));
    assert_eq!(target.reads(&target.etc("conf/app.conf")), "word = new");

    // It leads Hoist elsewhere: the probe names the link, and so does promote if it comes about later.
    let conf = service.join("conf");
    fs::remove_dir_all(&conf).unwrap();
    symlink(&outside, &conf).unwrap();
    assert!(chown(&conf));
    let why =
        format!("{} is a link that user 65534 made, and is not followed: remove it, or run `chown", conf.display());
    let found = findings(&call(&Request::Probe(preflight_of(&request("r2"))), b""));
    assert!(found.iter().any(|(level, text)| *level == Level::Error && text.contains(&why)), "{found:?}");
    let forced = StageRequest { force: true, ..request("r2") };
    target.fetch(&forced).ok();
    run(&forced, Stage::ConfigDeploy).ok();
    let promoted = run(&forced, Stage::Promote);
    assert!(promoted.reason().contains(&why), "{promoted:?}");
    roll_back(&forced, Some(&one));
    assert_eq!(snapshot(&outside), untouched);

    // The operator's link is followed.
    fs::remove_file(&conf).unwrap();
    symlink(&operators, &conf).unwrap();
    let forced = StageRequest { force: true, ..request("r3") };
    target.deploy(&forced);
    assert_eq!(target.reads(operators.join("app.conf").to_str().unwrap()), "word = new");
}
