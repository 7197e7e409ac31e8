use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{Farm, Links, Project, all_on, commit, git, live, text};
use crate::common::{CACHE, address, wait_for};

/// Upstream repositories: `lib`, which has `inner` as its submodule `deep/er`.
struct Upstream {
    dir: TempDir,
}

impl Upstream {
    fn new() -> Upstream {
        let upstream = Upstream { dir: tempfile::Builder::new().prefix("hoist-upstream-").tempdir().unwrap() };
        commit(&upstream.path("inner"), &[("leaf", "leaf one\n")]);
        commit(&upstream.path("lib"), &[("code", "lib one\n")]);
        git(&upstream.path("lib"), &["submodule", "--quiet", "add", "../inner", "deep/er"]);
        commit(&upstream.path("lib"), &[]);
        upstream
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// A project with `lib` as its submodule `vendor/lib`.
fn project_with(farm: &Farm, hosts: usize, upstream: &Upstream) -> Project {
    let project = Project::new(farm, 0, hosts);
    project.configure("git_submodules: True");
    let url = upstream.path("lib").display().to_string();
    git(&project.path(""), &["submodule", "--quiet", "add", &url, "vendor/lib"]);
    git(&project.path(""), &["submodule", "--quiet", "update", "--init", "--recursive"]);
    project.commit("with submodules");
    project
}

/// A farm with so many hosts, the upstream repositories, and a project with them on the farm.
fn with_submodules(hosts: usize) -> (Farm, Upstream, Project) {
    let (farm, upstream) = (Farm::up(), Upstream::new());
    let project = project_with(&farm, hosts, &upstream);
    (farm, upstream, project)
}

/// Moves `lib` and the project's checkout of it on.
fn move_on(project: &Project, upstream: &Upstream, text: &str) -> String {
    commit(&upstream.path("lib"), &[("code", text)]);
    let url = upstream.path("lib").display().to_string();
    git(&project.path("vendor/lib"), &["pull", "-q", &url, "main"]);
    project.commit(text)
}

#[track_caller]
fn is_whole(tree: &Path, lib: &str) {
    assert_eq!(text(&tree.join("vendor/lib/code")), lib);
    assert_eq!(text(&tree.join("vendor/lib/deep/er/leaf")), "leaf one\n");
    assert_eq!(git(tree, &["status", "--porcelain"]), "");
    for part in ["vendor/lib", "vendor/lib/deep/er"] {
        assert_eq!(git(&tree.join(part), &["status", "--porcelain"]), "");
        git(&tree.join(part), &["fsck", "--no-dangling"]);
    }
}

fn packs(folder: &Path) -> usize {
    let packs = fs::read_dir(folder.join("objects/pack")).unwrap().flatten();
    packs.filter(|it| it.path().extension().is_some_and(|it| it == "pack")).count()
}

#[test]
fn nested_submodules_come_through_the_session_and_share_the_cache() {
    let (farm, upstream, project) = with_submodules(3);
    let one = project.git(&["rev-parse", "HEAD"]);
    // Nothing but the deploy host's own checkout is looked at.
    let away = upstream.dir.path().with_extension("away");
    fs::rename(upstream.dir.path(), &away).unwrap();
    project.deploy(&[]).ends(0);
    fs::rename(&away, upstream.dir.path()).unwrap();
    all_on(&farm, 3, &one);
    (0..3).for_each(|n| is_whole(&live(&farm, n), "lib one\n"));

    let two = move_on(&project, &upstream, "lib two\n");
    project.deploy(&[]).ends(0);
    all_on(&farm, 3, &two);
    let tree = live(&farm, 0);
    is_whole(&tree, "lib two\n");
    assert_eq!((packs(&tree.join(".git")), packs(&tree.join(".git/modules/vendor/lib"))), (0, 0));
    // The trees may be moved as a whole.
    let srv = farm.srv(&address(0));
    fs::rename(srv.join("deployment"), srv.join("elsewhere")).unwrap();
    is_whole(&srv.join("elsewhere/app-cache/revs").join(&two), "lib two\n");
    fs::rename(srv.join("elsewhere"), srv.join("deployment")).unwrap();

    // What is kept needs nothing to go back to.
    project.run(&["rollback", "--yes"]).ends(0);
    all_on(&farm, 3, &one);
    is_whole(&live(&farm, 0), "lib one\n");
}

#[test]
fn the_second_revision_sends_only_what_changed_in_a_submodule() {
    let (farm, upstream) = (Farm::up(), Upstream::new());
    let big: String = (0..20_000).map(|n| format!("{:x}\n", n * 7_919 * 104_729_u64)).collect();
    commit(&upstream.path("lib"), &[("big", &big)]);
    let project = project_with(&farm, 1, &upstream);
    project.deploy(&[]).ends(0);
    move_on(&project, &upstream, "lib two\n");
    let ran = project.deploy(&["-v"]).ends(0);
    let said = ran.out.lines().chain(ran.err.lines()).find_map(|line| line.split("receiving a pack of ").nth(1));
    let bytes: u64 = said.and_then(|rest| rest.split(' ').next()?.parse().ok()).expect("the size of the pack");
    assert!(bytes < 5_000, "{bytes}");
    is_whole(&live(&farm, 0), "lib two\n");
}

#[test]
fn a_commit_of_a_submodule_that_is_not_here_is_one_error_before_anything_is_touched() {
    let (farm, _upstream, project) = with_submodules(1);
    let one = project.git(&["rev-parse", "HEAD"]);
    project.deploy(&[]).ends(0);
    let stranger = "1234567890".repeat(4);
    project.git(&["update-index", "--cacheinfo", &format!("160000,{stranger},vendor/lib")]);
    project.git(&["commit", "-q", "-m", "forgot to push"]);
    let ran = project.deploy(&[]).ends(2).says("submodule vendor/lib of ").says(&stranger);
    assert!(ran.err.contains("git submodule update --init"), "{}", ran.err);
    project.run(&["plan"]).ends(2).says(&stranger);
    all_on(&farm, 1, &one);

    // A checkout in which nobody ever looked at submodules has none.
    let clone = Project::clone_of(&project);
    git(&clone.path(""), &["reset", "-q", "--hard", &one]);
    clone.deploy(&[]).ends(2).says("submodule vendor/lib of ");
    // One without submodules at all can still be deployed without them.
    clone.deploy(&["-D", "git_submodules:no", "-f"]).ends(0);
}

#[test]
fn an_earlier_revision_is_deployed_with_the_submodules_of_then() {
    let (farm, upstream, project) = with_submodules(1);
    let one = project.git(&["rev-parse", "HEAD"]);
    move_on(&project, &upstream, "lib two\n");
    project.git(&["rm", "-q", "-f", "vendor/lib"]);
    project.commit("without");
    project.deploy(&[]).ends(0);
    assert!(!live(&farm, 0).join("vendor").exists());
    project.deploy(&["-r", &one]).ends(0);
    is_whole(&live(&farm, 0), "lib one\n");
}

#[test]
fn submodules_whose_key_is_off_are_named_by_the_plan_and_the_deployment() {
    let (_farm, _upstream, project) = with_submodules(1);
    project.configure("git_submodules: no");
    let one = project.commit("off");
    let warning =
        format!("{} has submodules, and their directories stay empty: set git_submodules (vendor/lib)", &one[..10]);
    project.run(&["plan"]).ends(0).says(&format!("warning: {warning}"));
    project.deploy(&[]).ends(0).says(&warning);
    let ran = project.run(&["plan", "-D", "git_submodules:yes"]).ends(0);
    assert!(!ran.err.contains("has submodules"), "{}", ran.err);
}

#[test]
fn submodules_that_are_switched_on_later_are_added_to_a_tree_that_is_there() {
    let (farm, _upstream, project) = with_submodules(2);
    let one = project.git(&["rev-parse", "HEAD"]);
    project.deploy(&["-D", "git_submodules:no"]).ends(0);
    assert!(!live(&farm, 0).join("vendor/lib/code").exists());
    // Without its submodules the tree is not what promote is asked for.
    project.deploy(&["-s", "promote", "-f"]).ends(1).says("run the fetch stage first");
    project.deploy(&["-f"]).ends(0);
    all_on(&farm, 2, &one);
    is_whole(&live(&farm, 1), "lib one\n");
    // A forced checkout brings back what was changed over there.
    fs::write(live(&farm, 0).join("vendor/lib/code"), "edited").unwrap();
    fs::remove_file(live(&farm, 0).join("vendor/lib/deep/er/.git")).unwrap();
    project.deploy(&["-f"]).ends(0);
    is_whole(&live(&farm, 0), "lib one\n");
}

#[test]
fn a_cache_that_lost_a_submodules_objects_is_repaired_by_the_next_fetch() {
    let (farm, upstream, project) = with_submodules(1);
    project.deploy(&[]).ends(0);
    let cache = farm.srv(&address(0)).join(CACHE).join("cache/.git");
    let refs = git(&cache, &["for-each-ref", "--format=%(refname)", "refs/hoist-submodules"]);
    assert_eq!(refs.lines().count(), 2, "{refs}");
    // The refs stay, the objects go.
    for pack in fs::read_dir(cache.join("objects/pack")).unwrap().flatten() {
        fs::remove_file(pack.path()).unwrap();
    }
    let two = move_on(&project, &upstream, "lib two\n");
    project.deploy(&[]).ends(0);
    all_on(&farm, 1, &two);
    is_whole(&live(&farm, 0), "lib two\n");
}

#[test]
fn refs_of_submodules_go_with_the_revision_that_needed_them() {
    let (farm, upstream, project) = with_submodules(1);
    project.configure("cache_revs: 0");
    project.deploy(&[]).ends(0);
    let two = move_on(&project, &upstream, "lib two\n");
    project.deploy(&[]).ends(0);
    let cache = farm.srv(&address(0)).join(CACHE).join("cache/.git");
    let refs = git(&cache, &["for-each-ref", "--format=%(refname)", "refs/hoist-submodules"]);
    assert_eq!(refs.lines().count(), 2, "{refs}");
    assert!(refs.lines().all(|name| name.contains(&two)), "{refs}");
}

#[test]
fn a_shallow_submodule_is_deployed_as_far_as_it_goes() {
    let (farm, upstream) = (Farm::up(), Upstream::new());
    commit(&upstream.path("lib"), &[("code", "lib two\n")]);
    let project = Project::new(&farm, 0, 1);
    project.configure("git_submodules: yes");
    let url = format!("file://{}", upstream.path("lib").display());
    git(&project.path(""), &["submodule", "--quiet", "add", "--depth", "1", &url, "vendor/lib"]);
    let inner = ["submodule", "--quiet", "update", "--init", "--recursive", "--depth", "1"];
    git(&project.path(""), &inner);
    assert!(project.path(".git/modules/vendor/lib/shallow").exists());
    let one = project.commit("shallow");
    project.deploy(&[]).ends(0);
    all_on(&farm, 1, &one);
    is_whole(&live(&farm, 0), "lib two\n");
    move_on(&project, &upstream, "lib three\n");
    project.deploy(&[]).ends(0);
    is_whole(&live(&farm, 0), "lib three\n");
}

#[test]
fn a_linked_working_tree_on_the_deploy_host_has_submodules_of_its_own() {
    let (farm, _upstream, project) = with_submodules(1);
    let other = tempfile::tempdir().unwrap();
    let tree = other.path().join("tree");
    project.git(&["worktree", "add", "-q", "--detach", tree.to_str().unwrap()]);
    // In the first tree they are gone; in the second they are checked out.
    git(&project.path(""), &["submodule", "--quiet", "deinit", "--force", "--all"]);
    fs::remove_dir_all(project.path(".git/modules")).unwrap();
    git(&tree, &["submodule", "--quiet", "update", "--init", "--recursive"]);
    project.deploy(&[]).ends(2).says("submodule vendor/lib");
    let ran = project.hoist(&["deploy", "--yes"]).current_dir(&tree).output().unwrap();
    crate::common::Ran::of(ran).ends(0);
    is_whole(&live(&farm, 0), "lib one\n");
}

#[test]
fn submodules_come_from_the_git_server_where_there_is_one() {
    let (farm, _upstream, project) = with_submodules(2);
    let _server = project.serve_as_files();
    let one = project.commit("by server");
    project.deploy(&[]).ends(0);
    all_on(&farm, 2, &one);
    is_whole(&live(&farm, 1), "lib one\n");
}

/// A real git server of whatever is below a folder.
struct Daemon {
    child: Child,
    port: u16,
}

impl Daemon {
    fn serve(folder: &Path) -> Daemon {
        for port in (33_000 + std::process::id() as u16 % 9_000..).step_by(7).take(50) {
            let mut child = Command::new("git")
                .args(["daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1"])
                .args([format!("--port={port}"), format!("--base-path={}", folder.display())])
                .env("GIT_CONFIG_COUNT", "1")
                .env("GIT_CONFIG_KEY_0", "safe.directory")
                .env("GIT_CONFIG_VALUE_0", "*")
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            for _ in 0..100 {
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() && child.try_wait().unwrap().is_none() {
                    return Daemon { child, port };
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("git daemon found no port");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // `git daemon` is git, and the daemon below it.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

#[test]
fn with_upstream_submodules_targets_fetch_from_where_gitmodules_says() {
    let (farm, upstream) = (Farm::up(), Upstream::new());
    let daemon = Daemon::serve(upstream.dir.path());
    let project = Project::new(&farm, 0, 2);
    project.configure("git_submodules: True\ngit_upstream_submodules: True");
    let base = format!("git://127.0.0.1:{}", daemon.port);
    project.git(&["remote", "add", "origin", &format!("{base}/app")]);
    // The nested one is at `../inner` of this.
    project.git(&["submodule", "--quiet", "add", &format!("{base}/lib"), "vendor/lib"]);
    project.git(&["config", "-f", ".gitmodules", "submodule.vendor/lib.url", "../lib"]);
    let one = project.commit("with submodules");
    // This host need not have the commits.
    git(&project.path(""), &["submodule", "--quiet", "deinit", "--force", "--all"]);
    fs::remove_dir_all(project.path(".git/modules")).unwrap();
    project.deploy(&[]).ends(0);
    all_on(&farm, 2, &one);
    (0..2).for_each(|n| is_whole(&live(&farm, n), "lib one\n"));
    let cache = farm.srv(&address(0)).join(CACHE).join("cache/.git");
    assert_eq!(git(&cache, &["for-each-ref", "refs/hoist-incoming"]), "");

    // A commit that only a branch leads to, and that is not its tip.
    let older = commit(&upstream.path("lib"), &[("code", "on the way\n")]);
    commit(&upstream.path("lib"), &[("code", "tip\n")]);
    project.git(&["update-index", "--cacheinfo", &format!("160000,{older},vendor/lib")]);
    project.git(&["commit", "-q", "-m", "older"]);
    project.deploy(&[]).ends(0);
    is_whole(&live(&farm, 0), "on the way\n");
    // One that upstream does not have.
    let before = Links::of(&farm, 0);
    project.git(&["update-index", "--cacheinfo", &format!("160000,{},vendor/lib", "1234567890".repeat(4))]);
    project.git(&["commit", "-q", "-m", "nowhere"]);
    project.deploy(&[]).ends(1).says("submodule vendor/lib: ").says("1234567890");
    assert_eq!(Links::of(&farm, 0), before);
    wait_for("the daemon", || std::net::TcpStream::connect(("127.0.0.1", daemon.port)).is_ok());
}

#[test]
fn upstream_addresses_that_lead_into_the_target_itself_are_refused() {
    let (farm, upstream, project) = with_submodules(1);
    project.configure("git_upstream_submodules: yes");
    let marker = farm.path("ran");
    for url in [
        format!("file://{}", upstream.path("lib").display()),
        upstream.path("lib").display().to_string(),
        format!("ext::sh -c touch% {}", marker.display()),
        "--upload-pack=touch".to_owned(),
    ] {
        project.git(&["config", "-f", ".gitmodules", "submodule.vendor/lib.url", &url]);
        project.commit("another address");
        project.deploy(&[]).ends(1).says("is not an address to fetch from");
        assert_eq!(Links::of(&farm, 0), Links::default());
    }
    assert!(!marker.exists());
}

#[test]
fn gitmodules_that_lead_out_of_their_folder_are_refused_before_anything_is_touched() {
    let (farm, _upstream, project) = with_submodules(1);
    let good = text(&project.path(".gitmodules"));
    for (from, to, why) in [
        ("\"vendor/lib\"", "\"../../x\"", "the submodule name \"../../x\""),
        ("path = vendor/lib", "path = ../lib", "the path \"../lib\""),
        ("path = vendor/lib", "path = vendor/other", "vendor/lib is a submodule that is not in .gitmodules of"),
        ("path = vendor/lib", "path vendor lib", "bad config"),
    ] {
        project.write(".gitmodules", &good.replace(from, to));
        project.commit("worse");
        project.deploy(&[]).ends(2).says(why);
    }
    fs::remove_file(project.path(".gitmodules")).unwrap();
    project.commit("none");
    project.deploy(&[]).ends(2).says("there is no .gitmodules");
    assert_eq!(Links::of(&farm, 0), Links::default());
}

#[test]
fn neither_hooks_nor_settings_of_the_targets_user_have_a_say() {
    let (farm, _upstream, project) = with_submodules(1);
    let hooks = farm.home(&address(0)).join("hooks");
    fs::create_dir_all(&hooks).unwrap();
    let marker = farm.path("ran");
    fs::write(hooks.join("post-checkout"), format!("#!/bin/sh\ntouch {}\n", marker.display())).unwrap();
    fs::set_permissions(hooks.join("post-checkout"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let config = format!("[core]\n\thooksPath = {}\n\tautocrlf = true\n", hooks.display());
    fs::write(farm.home(&address(0)).join(".gitconfig"), config).unwrap();
    // An update command that `git submodule` would run.
    project.git(&[
        "config",
        "-f",
        ".gitmodules",
        "submodule.vendor/lib.update",
        &format!("!touch {}", marker.display()),
    ]);
    let one = project.commit("with an update command");
    project.deploy(&[]).ends(0);
    all_on(&farm, 1, &one);
    assert!(!marker.exists());
    assert_eq!(text(&live(&farm, 0).join("vendor/lib/code")), "lib one\n");
}

#[test]
fn a_tree_that_was_left_without_a_part_of_it_is_not_whole() {
    let (farm, upstream, project) = with_submodules(1);
    let one = project.git(&["rev-parse", "HEAD"]);
    project.deploy(&[]).ends(0);
    let tree = live(&farm, 0);
    move_on(&project, &upstream, "lib two\n");
    project.deploy(&[]).ends(0);
    // As a kill leaves it that came while submodules were put into a tree.
    fs::write(tree.join(".git/hoist-half"), "").unwrap();
    fs::remove_dir_all(tree.join("vendor/lib")).unwrap();
    fs::write(tree.join(".git/modules/vendor/lib/index.lock"), "").unwrap();
    let before = Links::of(&farm, 0);
    project.run(&["rollback", "--yes"]).ends(1);
    assert_eq!(Links::of(&farm, 0), before);
    project.deploy(&["-r", &one]).ends(0);
    is_whole(&live(&farm, 0), "lib one\n");

    // Whoever rolls back to such a tree repairs it, with nothing but what the target has.
    move_on(&project, &upstream, "lib three\n");
    let damage =
        "mkdir /srv/damaged || exit 0; cd /srv/deployment/app-cache/.done && : > .git/hoist-half && rm vendor/lib/code";
    // It fails where something new is live.
    let no = "cd /srv/deployment/app-cache && cmp current/.git/HEAD .done/.git/HEAD";
    let checks = format!(
        "checks:\n  damage:\n    before: promote\n    shell: true\n    command: '{damage}'\n  no:\n    stage: promote\n    \
         shell: true\n    command: '{no}'\n"
    );
    project.write("hoist/checks.yaml", &checks);
    project.commit("bad");
    project.deploy(&[]).ends(1).says("1 host was rolled back and verified");
    all_on(&farm, 1, &one);
    is_whole(&live(&farm, 0), "lib one\n");
}

#[test]
fn a_tree_that_scap_left_with_its_own_submodules_is_taken_over() {
    let (farm, upstream, project) = with_submodules(1);
    let one = project.git(&["rev-parse", "HEAD"]);
    let root = farm.srv(&address(0)).join(CACHE);
    let tree = root.join("revs").join(&one);
    fs::create_dir_all(root.join("revs")).unwrap();
    let source = project.path("").display().to_string();
    git(&root, &["clone", "-q", &source, "cache"]);
    git(&root, &["clone", "-q", "--shared", "cache", tree.to_str().unwrap()]);
    git(&tree, &["checkout", "-q", "--detach", &one]);
    git(&tree, &["submodule", "--quiet", "update", "--init", "--recursive"]);
    for link in [root.join("current"), root.join(".done"), root.with_file_name("app")] {
        std::os::unix::fs::symlink(format!("/srv/deployment/app-cache/revs/{one}"), link).unwrap();
    }
    let two = move_on(&project, &upstream, "lib two\n");
    project.deploy(&[]).ends(0);
    all_on(&farm, 1, &two);
    is_whole(&live(&farm, 0), "lib two\n");
    project.run(&["rollback", "--yes", "--to", &one]).ends(0);
    assert_eq!(text(&tree.join("vendor/lib/deep/er/leaf")), "leaf one\n");
    // To deploy it again makes it one of ours, with all in the cache.
    fs::write(tree.join("vendor/lib/code"), "edited").unwrap();
    project.deploy(&["-r", &one, "-f"]).ends(0);
    assert_eq!(text(&tree.join("vendor/lib/code")), "lib one\n");
    assert!(fs::symlink_metadata(tree.join(".git/modules/vendor/lib/objects")).unwrap().is_symlink());
}

#[test]
fn a_run_that_is_resumed_finds_the_submodules_again_or_says_who_will_miss_them() {
    let (farm, _upstream, project) = with_submodules(2);
    let cut_off = |stage: &str| {
        // One for each host.
        let script = format!("touch /srv/reached-{stage}; while [ ! -e /srv/on-{stage} ]; do sleep 0.1; done");
        let check = format!("checks:\n  wait:\n    before: {stage}\n    shell: true\n    command: \"{script}\"\n");
        project.write("hoist/checks.yaml", &check);
        let revision = project.commit("another");
        let mut deployer = project.hoist(&["deploy", "--yes"]).stdout(Stdio::null()).spawn().unwrap();
        wait_for("the check", || (0..2).all(|n| farm.srv(&address(n)).join(format!("reached-{stage}")).exists()));
        deployer.kill().unwrap();
        deployer.wait().unwrap();
        (0..2).for_each(|n| fs::write(farm.srv(&address(n)).join(format!("on-{stage}")), "").unwrap());
        revision
    };
    let one = cut_off("fetch");
    project.run(&["resume", "--yes"]).ends(0);
    all_on(&farm, 2, &one);
    (0..2).for_each(|n| is_whole(&live(&farm, n), "lib one\n"));

    let two = cut_off("promote");
    fs::remove_dir_all(project.path(".git/modules")).unwrap();
    fs::remove_dir_all(project.path("vendor")).unwrap();
    project.run(&["resume", "--yes"]).ends(0).says("targets that have not fetched yet will fail: submodule vendor/lib");
    all_on(&farm, 2, &two);
}
