use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use super::{Farm, Links, Project, all_on, commit, git, live, text};
use crate::common::{Ran, address};

/// Another checkout of a project, made by `git clone` with these arguments, with the project's configuration.
fn clone_of(project: &Project, arguments: &[&str]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::Builder::new().prefix("hoist-clone-").tempdir().unwrap();
    let url = format!("file://{}", project.path("").display());
    git(folder.path(), &[&["clone", "-q"], arguments, &[&url, "clone"]].concat());
    let path = folder.path().join("clone");
    (folder, path)
}

fn deploy_in(project: &Project, folder: &std::path::Path, arguments: &[&str]) -> Ran {
    let arguments = [&["deploy", "--yes"], arguments].concat();
    Ran::of(project.hoist(&arguments).current_dir(folder).output().unwrap())
}

/// The one host has this revision, whose page is the first.
#[track_caller]
fn has_first_page(farm: &crate::common::Farm, revision: &str) {
    all_on(farm, 1, revision);
    assert_eq!(text(&live(farm, 0).join("index.html")), "one\n");
}

#[test]
fn a_shallow_clone_deploys_to_hosts_that_have_nothing_and_to_such_that_have_the_history() {
    let (farm, project) = Project::on_farm(0, 2);
    project.deploy(&["-l", "127.0.0.1"]).ends(0);
    for n in 0..3 {
        project.write("index.html", &format!("{n}\n"));
        project.commit("more");
    }
    let (_folder, clone) = clone_of(&project, &["--depth", "1"]);
    let tip = git(&clone, &["rev-parse", "HEAD"]);
    deploy_in(&project, &clone, &[]).ends(0);
    all_on(&farm, 2, &tip);
    for n in 0..2 {
        assert_eq!(text(&live(&farm, n).join("index.html")), "2\n");
        git(&live(&farm, n), &["fsck", "--no-dangling"]);
    }
    // And on, from a checkout that knows it all.
    project.write("index.html", "last\n");
    let last = project.commit("last");
    project.deploy(&[]).ends(0);
    all_on(&farm, 2, &last);
    git(&live(&farm, 1), &["fsck", "--no-dangling"]);
}

#[test]
fn a_clone_without_its_blobs_gets_them_while_it_packs() {
    let (farm, project) = Project::on_farm(0, 1);
    project.git(&["config", "uploadpack.allowFilter", "true"]);
    project.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    project.write("index.html", "two\n");
    project.commit("two");
    let (_folder, clone) = clone_of(&project, &["--filter=blob:none"]);
    let one = git(&clone, &["rev-parse", "HEAD~1"]);
    deploy_in(&project, &clone, &["-r", "HEAD~1"]).ends(0);
    has_first_page(&farm, &one);
}

#[test]
fn a_detached_head_and_a_linked_working_tree_are_checkouts_like_others() {
    let (farm, project) = Project::on_farm(0, 1);
    let one = project.git(&["rev-parse", "HEAD"]);
    project.commit("two");
    project.git(&["checkout", "-q", "--detach", &one]);
    project.deploy(&[]).ends(0);
    all_on(&farm, 1, &one);
    let other = tempfile::tempdir().unwrap();
    let tree = other.path().join("tree");
    project.git(&["worktree", "add", "-q", "--detach", tree.to_str().unwrap(), "main"]);
    assert!(tree.join(".git").is_file());
    let two = git(&tree, &["rev-parse", "HEAD"]);
    deploy_in(&project, &tree, &[]).ends(0);
    all_on(&farm, 1, &two);
    assert!(project.git(&["tag", "-l"]).lines().count() >= 2, "the tags are the repository's");
}

#[test]
fn a_repository_with_sha256_is_deployed_with_its_submodules() {
    let (farm, project) = Project::on_farm(0, 1);
    let folder = tempfile::Builder::new().prefix("hoist-sha256-").tempdir().unwrap();
    let (top, lib) = (folder.path().join("app"), folder.path().join("lib"));
    for path in [&top, &lib] {
        git(folder.path(), &["init", "-q", "--object-format=sha256", path.to_str().unwrap()]);
    }
    commit(&lib, &[("code", "lib\n")]);
    let config = text(&project.path("hoist/hoist.cfg")) + "git_submodules: yes\n";
    commit(&top, &[("hoist/hoist.cfg", &config), ("hoist/default", "127.0.0.1\n")]);
    git(&top, &["submodule", "--quiet", "add", lib.to_str().unwrap(), "lib"]);
    let one = commit(&top, &[]);
    assert_eq!(one.len(), 64);
    deploy_in(&project, &top, &[]).ends(0);
    all_on(&farm, 1, &one);
    assert_eq!(text(&live(&farm, 0).join("lib/code")), "lib\n");
    assert_eq!(git(&live(&farm, 0), &["status", "--porcelain"]), "");
    assert_eq!(git(&live(&farm, 0).join("lib"), &["status", "--porcelain"]), "");
}

#[test]
fn changes_that_are_not_deployed_are_named() {
    let (farm, project) = Project::on_farm(0, 1);
    let one = project.git(&["rev-parse", "HEAD"]);
    project.write("unknown", "x");
    let ran = project.deploy(&[]).ends(0);
    assert!(!format!("{ran:?}").contains("not deployed"), "{ran:?}");
    project.write("index.html", "changed");
    (0..9).for_each(|n| project.write(&format!("added {n}"), "x"));
    project.git(&["add", "-A"]);
    let ran = project.deploy(&["-f"]).ends(0);
    ran.says(
        "uncommitted changes are not part of HEAD and are not deployed: added 0, added 1, added 2, added 3, added 4",
    )
    .says("added 4 and 6 more");
    has_first_page(&farm, &one);
}

#[test]
fn a_revision_may_be_named_in_all_ways_of_git_but_in_none_that_has_two_meanings() {
    let (farm, project) = Project::on_farm(0, 1);
    let one = project.git(&["rev-parse", "HEAD"]);
    project.git(&["tag", "-a", "-m", "first", "v1"]);
    project.write("index.html", "two\n");
    let two = project.commit("the second");
    let plan = |rev: &str| project.run(&["plan", &format!("--rev={rev}")]);
    for rev in ["v1", "refs/tags/v1", "HEAD~1", "main^", &one[..7], "v1^{commit}", "HEAD^{/one}", "main@{1}"] {
        plan(rev).ends(0).says(&one);
    }
    for rev in ["main", "HEAD", "@", ":/the second", &two] {
        plan(rev).ends(0).says(&two);
    }
    for rev in ["-x", "--all", "--output=/tmp/x", "nowhere", "HEAD..main", "^main", "HEAD:index.html", "", " "] {
        plan(rev).ends(2).says("cannot find a commit");
    }
    project.git(&["branch", "v1"]);
    plan("v1").ends(2).says("refname 'v1' is ambiguous: write refs/tags/");
    plan("v1~0").ends(2).says("is ambiguous");
    plan("refs/heads/v1").ends(0).says(&two);
    plan("refs/tags/v1").ends(0).says(&one);

    // The key takes the same, and -r goes before it.
    project.configure("git_rev: refs/tags/v1");
    project.run(&["plan"]).ends(0).says(&one);
    project.run(&["plan", "-r", "main"]).ends(0).says(&two);
    project.deploy(&[]).ends(0);
    all_on(&farm, 1, &one);
    project.run(&["plan", "-D", "git_rev:-x"]).ends(2).says("git_rev");
}

#[test]
fn a_short_name_that_fits_two_objects_is_refused_with_what_git_says() {
    let project = Project::empty();
    project.write("hoist/hoist.cfg", "[global]\ngit_repo: app\ndsh_targets: default\n");
    project.write("hoist/default", "127.0.0.1\n");
    // Of so many, some begin alike.
    let commit = |n: usize| format!("commit refs/heads/many\ncommitter Op <op@example.org> {n} +0000\ndata 1\nx\n");
    let mut import = Command::new("git");
    let import = import.args(["fast-import", "--quiet"]).current_dir(project.path("")).stdin(Stdio::piped());
    let mut import = import.spawn().unwrap();
    import.stdin.take().unwrap().write_all((1..3_000).map(commit).collect::<String>().as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
    let revisions = project.git(&["rev-list", "--all"]);
    let mut seen = HashSet::new();
    let short = revisions.lines().map(|it| &it[..4]).find(|it| !seen.insert(it.to_owned())).unwrap();
    project.run(&["plan", "-r", short]).ends(2).says("ambiguous");
}

#[test]
fn a_branch_without_a_commit_is_said_to_be_one() {
    let project = Project::empty();
    project.write("hoist/hoist.cfg", "[global]\ngit_repo: app\ndsh_targets: default\n");
    project.write("hoist/default", "127.0.0.1\n");
    project.deploy(&[]).ends(2).says("no commit in").says("commit the files to deploy");
}

#[test]
fn a_bare_repository_is_refused_in_words() {
    let project = Project::empty();
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "-q", "--bare"]);
    deploy_in(&project, folder.path(), &[]).ends(2).says("is in a bare repository");
    deploy_in(&project, &folder.path().join("refs"), &[]).ends(2).says("is in a bare repository");
}

#[test]
fn a_repository_of_another_user_is_refused_with_the_way_to_trust_it() {
    let (farm, project) = Project::on_farm(0, 1);
    let owner = Command::new("chown").args(["-R", "12345"]).arg(project.path("")).status().unwrap();
    assert!(owner.success());
    let home = tempfile::tempdir().unwrap();
    let run = || {
        let mut command = project.hoist(&["deploy", "--yes"]);
        command.env("HOME", home.path()).env("GIT_CONFIG_NOSYSTEM", "1").env_remove("GIT_CONFIG_GLOBAL");
        Ran::of(command.env_remove("XDG_CONFIG_HOME").output().unwrap())
    };
    let top = fs::canonicalize(project.path("")).unwrap().display().to_string();
    let ran = run().ends(2).says("belongs to another user");
    let advice = format!("git config --global --add safe.directory {top}");
    assert!(ran.err.contains(&advice), "{}", ran.err);
    assert_eq!(Links::of(&farm, 0), Links::default());
    let told = Command::new("sh").args(["-c", &advice]).env("HOME", home.path()).status().unwrap();
    assert!(told.success());
    run().ends(0);
    assert!(live(&farm, 0).exists(), "{}", address(0));
}

#[test]
fn tags_that_describe_the_revision_come_with_it_and_a_remote_has_a_name() {
    let (farm, project) = Project::on_farm(0, 2);
    let described = "git describe --tags --match 'v*' > /srv/described && git describe --match 'v*' >> /srv/described && \
                     git remote get-url origin >> /srv/described && git cat-file tag v1.0 | tail -n1 >> /srv/described";
    let check =
        |command: &str| format!("checks:\n  describe:\n    stage: fetch\n    shell: true\n    command: {command}\n");
    project.write("hoist/checks.yaml", &check(described));
    project.commit("one");
    project.git(&["tag", "-a", "-m", "the first one", "v1.0"]);
    project.commit("two");
    project.git(&["tag", "v1.1"]);
    project.git(&["checkout", "-q", "-b", "other"]);
    project.commit("elsewhere");
    project.git(&["tag", "v9"]);
    project.git(&["checkout", "-q", "-"]);
    let three = project.commit("three");
    project.deploy(&[]).ends(0);
    all_on(&farm, 2, &three);
    let srv = farm.srv(&super::address(0));
    let text = std::fs::read_to_string(srv.join("described")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("v1.1-1-g{}", &three[..7]));
    assert_eq!(lines[1], format!("v1.0-2-g{}", &three[..7]));
    assert_eq!(lines[2..], ["/srv/deployment/app-cache/cache", "the first one"]);
    // A revision that is there already learns of tags that came later; those that are gone are forgotten.
    project.git(&["tag", "-a", "-m", "released", "v2.0"]);
    project.git(&["tag", "-d", "v1.1"]);
    project.deploy(&["-f"]).ends(0);
    let text = std::fs::read_to_string(srv.join("described")).unwrap();
    assert_eq!(text.lines().take(2).collect::<Vec<_>>(), ["v2.0", "v2.0"]);
    let tags = super::git(&live(&farm, 0), &["tag", "-l", "v*"]);
    assert_eq!(tags, "v1.0\nv2.0");
}

#[test]
fn a_path_with_a_submodule_and_large_files_of_the_live_revision_becomes_shared_and_its_rollback_has_them() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 1);
    project.configure("git_submodules: True\ngit_binary_manager: git-lfs");
    let upstream = tempfile::tempdir().unwrap();
    commit(upstream.path(), &[("code", "lib\n")]);
    let url = upstream.path().display().to_string();
    git(&project.path(""), &["submodule", "--quiet", "add", &url, "data/lib"]);
    git(&project.path(""), &["lfs", "install", "--local", "--skip-repo"]);
    project.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    project.write("data/large.bin", "large\n");
    project.commit("a submodule and a large file");
    project.deploy(&[]).ends(0);
    let see = |name: &str| text(&live(&farm, 0).join("data").join(name));
    std::fs::write(live(&farm, 0).join("data/written"), "by the service\n").unwrap();

    // The revision has both: each is an error that names it, and so is a path inside a submodule.
    for (path, words) in
        [("data", "has data/"), ("data/lib/cache", "has data/lib, which is a file, a link or a submodule")]
    {
        project.configure(&format!("shared_dirs: {path}"));
        project.deploy(&[]).ends(2).says("cannot be shared, because").says(words);
    }
    project.git(&["rm", "-q", "-r", "data", ".gitmodules", ".gitattributes"]);
    project.configure("shared_dirs: data");
    project.commit("share data");
    project.check("fails", "promote", "false");
    project.deploy(&[]).ends(1).says("verified");
    let all = || [see("written"), see("large.bin"), see("lib/code")];
    assert_eq!(all(), ["by the service\n", "large\n", "lib\n"]);
    project.run(&["status", "--verify"]).ends(0);
    project.write("hoist/checks.yaml", "checks: {}\n");
    project.deploy(&["--break-glass", "again"]).ends(0);
    assert_eq!(all(), ["by the service\n", "large\n", "lib\n"]);
    project.run(&["status", "--verify"]).ends(0);
}
