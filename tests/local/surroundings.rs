//! What a target's own settings, disks and leftovers may do to a deployment: nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hoist::wire::{ExternalContent, Fetch, Probe, Request, Revision, Stage, StageRequest, SubmoduleSource};

use crate::harness::*;

/// A home whose git would convert every file that it writes, by each way that git has; its path as a variable.
fn converting_home(target: &Target) -> PathBuf {
    let home = target.dir.path().join("home");
    fs::create_dir_all(home.join(".config/git")).unwrap();
    fs::write(home.join(".gitconfig"), "[core]\n\tautocrlf = true\n\tattributesFile = ~/attributes\n").unwrap();
    for file in ["attributes", ".config/git/attributes"] {
        fs::write(home.join(file), "* text eol=crlf ident\n").unwrap();
    }
    fs::write(home.join(".config/git/config"), "[core]\n\tautocrlf = true\n").unwrap();
    home
}

/// A git that knows nothing of the variables that came with 2.32.
fn old_git(target: &Target) -> PathBuf {
    let bin = target.dir.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    let real = std::env::split_paths(&std::env::var_os("PATH").unwrap()).find(|dir| dir.join("git").exists()).unwrap();
    let text = format!("#!/bin/sh\nunset GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM\nexec {}/git \"$@\"\n", real.display());
    fs::write(bin.join("git"), text).unwrap();
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    bin
}

fn fetch_in(request: &StageRequest, pack: &[u8], environment: &[(&str, &str)]) -> Reply {
    use std::io::Write;
    let fetch = Some(Fetch { pack_bytes: Some(pack.len() as u64), ..Default::default() });
    let mut child = spawn_with(&asked(&StageRequest { fetch, ..request.clone() }, Stage::Fetch, 0), environment);
    child.stdin.take().unwrap().write_all(pack).unwrap();
    reply(child)
}

#[test]
fn a_users_git_settings_and_attributes_change_no_file_with_any_version_of_git() {
    let path = std::env::var("PATH").unwrap();
    for is_old in [false, true] {
        let target = Target::new();
        let one = target.commit(&[("a.txt", "one\ntwo $Id$\n"), ("app/b", "three\n")]);
        let home = converting_home(&target);
        let path = if is_old { format!("{}:{path}", old_git(&target).display()) } else { path.clone() };
        let home = home.to_str().unwrap();
        let environment = [("HOME", home), ("PATH", path.as_str())];
        let request = target.request("r1", &one);
        fetch_in(&request, &target.pack(&one, &[]), &environment).ok();
        assert_eq!(fs::read_to_string(target.rev(&one).join("a.txt")).unwrap(), "one\ntwo $Id$\n", "old: {is_old}");
        assert_eq!(fs::read_to_string(target.rev(&one).join("app/b")).unwrap(), "three\n");
        // What is restored is no other either.
        fs::remove_file(target.rev(&one).join("a.txt")).unwrap();
        fetch_in(&request, &target.pack(&one, &[]), &environment).ok();
        assert_eq!(fs::read_to_string(target.rev(&one).join("a.txt")).unwrap(), "one\ntwo $Id$\n");
    }
}

#[test]
fn revisions_may_be_on_another_disk() {
    let target = Target::new();
    let disk = target.dir.path().join("disk/deep/down");
    fs::create_dir_all(&disk).unwrap();
    fs::create_dir_all(target.root()).unwrap();
    symlink(&disk, target.root().join("revs")).unwrap();
    let one = target.commit(&[("a", "1")]);
    let with_file = |run: &str, revision: &Revision, word: &str| {
        let mut request = target.request(run, revision);
        request.config_files = Some(vec![config_file(&target.etc("app.conf"), "t")]);
        request.templates.insert("t".to_owned(), word.to_owned());
        StageRequest { restore: Some(one.clone()), ..request }
    };
    target.deploy(&with_file("r1", &one, "one"));
    let two = target.commit(&[("a", "2")]);
    let second = with_file("r2", &two, "two");
    target.fetch_pack(&second, &target.pack(&two, &[&one]), false).ok();
    run(&second, Stage::ConfigDeploy).ok();
    run(&second, Stage::Promote).ok();
    run(&second, Stage::Finalize).ok();
    assert_eq!(fs::read(target.live().join("a")).unwrap(), b"2");
    git(&target.live(), &["fsck", "--no-dangling"]);
    fs::remove_file(target.rev(&one).join("a")).unwrap();
    let back = roll_back(&second, Some(&one)).ok();
    assert!(back.state().stray_links.is_empty());
    assert_eq!(
        (fs::read(target.live().join("a")).unwrap(), target.reads(&target.etc("app.conf"))),
        (b"1".to_vec(), "one".into())
    );
}

#[test]
fn revisions_on_a_disk_that_is_not_mounted_are_told_as_that() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    fs::create_dir_all(target.root()).unwrap();
    symlink("/nonexistent/disk", target.root().join("revs")).unwrap();
    let reply = target.fetch_pack(&target.request("r1", &one), &target.pack(&one, &[]), false);
    assert!(reply.reason().contains("revs is a link to /nonexistent/disk, which does not exist"), "{}", reply.reason());
}

#[test]
fn saved_files_come_back_from_another_file_system() {
    let target = Target::new();
    let Some((other, _small)) = crate::trouble::on_small("size=8m") else { return };
    fs::create_dir_all(target.root()).unwrap();
    symlink(&other.base, target.root().join("revs")).unwrap();
    let one = target.commit(&[("a", "1")]);
    let with_word = |run: &str, word: &str| {
        let mut request = target.request(run, &one);
        request.config_files = Some(vec![config_file(&target.etc("app.conf"), "t")]);
        request.templates.insert("t".to_owned(), word.to_owned());
        request
    };
    target.deploy(&with_word("r1", "old"));
    fs::set_permissions(target.etc("app.conf"), fs::Permissions::from_mode(0o600)).unwrap();
    let again = with_word("r2", "new");
    run(&again, Stage::ConfigDeploy).ok();
    run(&again, Stage::Promote).ok();
    assert_eq!(target.reads(&target.etc("app.conf")), "new");
    roll_back(&again, Some(&one)).ok();
    assert_eq!(target.reads(&target.etc("app.conf")), "old");
    assert_eq!(fs::metadata(target.etc("app.conf")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn grafts_and_replacements_in_the_cache_count_for_nothing() {
    let target = Target::new();
    let zero = target.commit(&[("a", "0")]);
    let one = target.commit(&[("a", "1")]);
    target.deploy(&target.request("r1", &one));
    let info = target.cache().join("info");
    fs::create_dir_all(&info).unwrap();
    fs::write(info.join("grafts"), format!("{one} {}\n", "1".repeat(40))).unwrap();
    fs::create_dir_all(target.cache().join("refs/replace")).unwrap();
    fs::write(target.cache().join("refs/replace").join(one.as_str()), format!("{zero}\n")).unwrap();
    // One of the two is checked out again too.
    fs::remove_dir_all(target.rev(&one)).unwrap();
    run(&target.request("r2", &one), Stage::Fetch).ok();
    assert_eq!(fs::read(target.rev(&one).join("a")).unwrap(), b"1");
    let two = target.commit(&[("a", "2")]);
    target.fetch_pack(&target.request("r3", &two), &target.pack(&two, &[&one]), false).ok();
    run(&target.request("r3", &two), Stage::Promote).ok();
    run(&target.request("r3", &two), Stage::Finalize).ok();
    assert_eq!(fs::read(target.live().join("a")).unwrap(), b"2");
}

#[test]
fn a_submodule_that_gitmodules_does_not_name_fails_the_fetch_by_its_name() {
    for gitmodules in [None, Some("[submodule \"other\"]\n\tpath = other\n\turl = https://localhost/other\n")] {
        let target = Target::new();
        target.commit(&[("a", "1")]);
        let link = format!("160000,{},lost/sub", "1".repeat(40));
        git(&target.source(), &["update-index", "--add", "--cacheinfo", &link]);
        if let Some(text) = gitmodules {
            fs::write(target.source().join(".gitmodules"), text).unwrap();
            git(&target.source(), &["add", ".gitmodules"]);
        }
        git(&target.source(), &["commit", "-q", "-m", "a link"]);
        let one: Revision = git(&target.source(), &["rev-parse", "HEAD"]).parse().unwrap();
        let extras =
            ExternalContent { submodules: Some(SubmoduleSource::Upstream { base: None }), ..Default::default() };
        let reply = target.fetch(&StageRequest { extras, ..target.request("r1", &one) });
        assert!(reply.reason().contains("lost/sub is a submodule that is not in .gitmodules"), "{reply:?}");
        assert!(!target.rev(&one).exists());
    }
}

/// Runs a stage in a login whose umask is 0022.
fn in_login(request: &Request, pack: &[u8]) {
    use std::io::Write;
    let mut login = Command::new("/bin/sh");
    login.args(["-c", "umask 022; exec \"$0\" deploy-local", HOIST]);
    let mut child = login.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all((serde_json::to_string(request).unwrap() + "\n").as_bytes()).unwrap();
    input.write_all(pack).unwrap();
    drop(input);
    reply(child).ok();
}

#[test]
fn the_logins_umask_counts_where_the_request_has_none_and_rendered_files_are_never_the_groups_to_write() {
    for (umask, wanted) in [
        (None, (0o644, 0o755, 0o644, 0o644)),
        (Some(0o002), (0o664, 0o775, 0o644, 0o664)),
        (Some(0o027), (0o640, 0o750, 0o640, 0o640)),
    ] {
        let target = Target::new();
        let one = target.commit(&[("a", "1"), ("run!", "#!/bin/sh\n")]);
        let mut request = target.request("r1", &one);
        request.header.umask = umask;
        request.config_files = Some(vec![config_file(&target.etc("app.conf"), "t")]);
        request.templates.insert("t".to_owned(), "secret".to_owned());
        request.checks = vec![check("makes", hoist::wire::CheckPoint::After(Stage::Fetch), ": > made")];
        let pack = target.pack(&one, &[]);
        let fetch = Some(Fetch { pack_bytes: Some(pack.len() as u64), ..Default::default() });
        in_login(&asked(&StageRequest { fetch, ..request.clone() }, Stage::Fetch, 0), &pack);
        for stage in [Stage::ConfigDeploy, Stage::Promote] {
            in_login(&asked(&request, stage, 0), b"");
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let live = target.live();
        let modes = (
            mode(&live.join("a")),
            mode(&live.join("run")),
            mode(Path::new(&target.etc("app.conf"))),
            mode(&live.join("made")),
        );
        assert_eq!(modes, wanted, "{umask:?}");
    }
}

#[test]
fn a_template_that_takes_too_much_memory_fails_its_host_with_a_clear_reason() {
    let (target, one, mut request) = Target::with_one();
    request.config_files = Some(vec![config_file("fine", "fine"), config_file("huge", "huge")]);
    request.templates.insert("fine".to_owned(), "fine".to_owned());
    request.vars.insert("long".to_owned(), "x".repeat(1 << 20).into());
    target.fetch(&request).ok();
    let templates = [
        ("{% for n in range(90000) %}{{ long }}{% endfor %}", "the text grows beyond 10000000 bytes"),
        ("{{ ([long] * 20) | join }}", "grows beyond 10000000"),
    ];
    for (template, why) in templates {
        request.templates.insert("huge".to_owned(), template.to_owned());
        for stage in [Stage::ConfigDeploy, Stage::ConfigDiff] {
            let reply = run(&request, stage);
            assert!(reply.reason().starts_with("huge: ") && reply.reason().contains(why), "{reply:?}");
        }
        assert!(!target.rev(&one).join("fine").exists(), "nothing is written");
    }
    request.templates.insert("huge".to_owned(), "{{ long }}".to_owned());
    run(&request, Stage::ConfigDeploy).ok();
    assert_eq!(fs::metadata(target.rev(&one).join("huge")).unwrap().len(), 1 << 20);
}

#[test]
fn what_a_rollback_of_the_run_may_need_is_kept_until_the_run_is_over() {
    let target = Target::new();
    let with_file = |run: &str, revision: &Revision, restore: Option<&Revision>| {
        let mut request = StageRequest { cache_revs: 0, restore: restore.cloned(), ..target.request(run, revision) };
        request.config_files = Some(vec![config_file(&target.etc("app.conf"), "t"), config_file("inside", "t")]);
        request.templates.insert("t".to_owned(), format!("of {run}"));
        request
    };
    let one = target.commit(&[("a", "1"), ("only", "one")]);
    target.deploy(&with_file("r1", &one, None));
    let before = snapshot(&target.rev(&one).join(".git/config-files"));
    git(&target.source(), &["checkout", "-q", "--orphan", "fresh"]);
    git(&target.source(), &["rm", "-rfq", "."]);
    let two = target.commit(&[("a", "2")]);
    let second = with_file("r2", &two, Some(&one));
    target.deploy(&second);
    // An interrupt in the middle of finalize: another host was not there yet.
    roll_back(&second, Some(&one)).ok();
    assert_eq!(snapshot(&target.rev(&one).join(".git/config-files")), before);
    assert_eq!(target.reads(&target.etc("app.conf")), "of r1");
    assert_eq!(fs::read(target.live().join("only")).unwrap(), b"one");
    git(&target.live(), &["fsck", "--no-dangling"]);

    let third = with_file("r3", &two, Some(&one));
    target.deploy(&third);
    assert!(target.rev(&one).exists());
    LockHolder::start(&third).over();
    assert_eq!(target.facts(&third).revisions, std::slice::from_ref(&two), "then it goes");
    assert_eq!(target.facts(&third).cached, std::slice::from_ref(&two));
    assert_eq!(fs::read_dir(target.root().join(".hoist/config")).unwrap().count(), 1);
    // A run that did not come to its end has nothing removed.
    let four = target.commit(&[("a", "4")]);
    let fourth = with_file("r4", &four, Some(&two));
    target.fetch(&fourth).ok();
    run(&fourth, Stage::Promote).reason();
    LockHolder::start(&fourth).over();
    assert!(target.rev(&two).exists());
}

fn verifying(request: &StageRequest) -> Probe {
    Probe { verify: true, ..probe(request) }
}

#[test]
fn a_probe_looks_at_the_live_tree_when_it_is_asked_to_and_changes_nothing() {
    let target = Target::new();
    let one = target.commit(&[("a", "1"), ("app/x", "x"), ("app/y", "y")]);
    let request = target.request("r1", &one);
    assert_eq!(facts(verifying(&request)).lacking.unwrap().count, 0);
    target.deploy(&request);
    fs::remove_dir_all(target.live().join("app")).unwrap();
    fs::write(target.live().join("a"), "").unwrap();
    assert_eq!(target.facts(&request).lacking, None);
    let before = snapshot(target.dir.path());
    let lacking = facts(verifying(&request)).lacking.unwrap();
    assert_eq!((lacking.count, lacking.files), (3, vec!["a".to_owned(), "app/x".to_owned(), "app/y".to_owned()]));
    assert_eq!(snapshot(target.dir.path()), before);
    fs::remove_dir_all(target.live().join(".git")).unwrap();
    let lacking = facts(verifying(&request)).lacking.unwrap();
    assert!(lacking.files.contains(&".git/index".to_owned()), "{lacking:?}");
}
