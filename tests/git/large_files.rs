use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Farm, Links, Project, all_on, commit, git, live, text};
use crate::common::{CACHE, address};

/// A project whose `*.bin` git-lfs keeps.
fn project(farm: &Farm, hosts: usize) -> Project {
    let project = Project::new(farm, 0, hosts);
    project.configure("git_binary_manager: git-lfs");
    keep_with_lfs(&project.path(""));
    project
}

fn keep_with_lfs(folder: &Path) {
    git(folder, &["lfs", "install", "--local", "--skip-repo"]);
    fs::write(folder.join(".gitattributes"), "*.bin filter=lfs diff=lfs merge=lfs -text\n").unwrap();
}

fn big(seed: u64) -> String {
    (0..30_000_u64).map(|n| format!("{:x}\n", (n + seed) * 7_919 * 104_729)).collect()
}

/// How many contents the store of a host has.
fn stored(farm: &Farm, n: usize) -> usize {
    let objects = farm.srv(&address(n)).join(CACHE).join("lfs/objects");
    let below =
        |folder: &Path| fs::read_dir(folder).map_or(Vec::new(), |it| it.flatten().map(|it| it.path()).collect());
    below(&objects).iter().flat_map(|one| below(one)).flat_map(|two| below(&two)).count()
}

/// Bytes of large files that a verbose run sent, in files.
fn received(ran: &crate::common::Ran) -> Vec<String> {
    let lines = ran.out.lines().chain(ran.err.lines());
    lines.filter_map(|line| Some(line.split("receiving ").nth(1)?.split_once(" large")?.0.to_owned())).collect()
}

#[test]
fn what_git_lfs_keeps_comes_through_the_session_and_only_once() {
    let farm = Farm::up();
    let project = project(&farm, 2);
    let first = big(1);
    project.write("data/a b.bin", &first);
    project.write("data/same.bin", &first);
    project.write("data/empty.bin", "");
    // It looks like a pointer, and no attribute says that it is one.
    let sample = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 3\n", "ab".repeat(32));
    project.write("sample.txt", &sample);
    let one = project.commit("large");
    assert!(
        project.git(&["show", "HEAD:data/a b.bin"]).starts_with("version https://git-lfs"),
        "git-lfs does not work"
    );
    project.deploy(&["-v"]).ends(0).says("git-lfs checked out");
    all_on(&farm, 2, &one);
    for n in 0..2 {
        let tree = live(&farm, n);
        assert_eq!(text(&tree.join("data/a b.bin")), first);
        assert_eq!(text(&tree.join("data/same.bin")), first);
        assert_eq!(text(&tree.join("data/empty.bin")), "");
        assert_eq!(text(&tree.join("sample.txt")), sample);
        assert_eq!(git(&tree, &["status", "--porcelain"]), "");
        assert_eq!(stored(&farm, n), 1);
    }

    project.write("data/c.bin", &big(2));
    let two = project.commit("another");
    let ran = project.deploy(&["-v"]).ends(0);
    all_on(&farm, 2, &two);
    assert_eq!(text(&live(&farm, 0).join("data/c.bin")), big(2));
    assert!(!received(&ran).is_empty() && received(&ran).iter().all(|count| count == "1"), "{ran:?}");
    project.run(&["rollback", "--yes"]).ends(0);
    all_on(&farm, 2, &one);
    assert_eq!(text(&live(&farm, 0).join("data/a b.bin")), first);

    // What no tree needs any more goes.
    project.git(&["rm", "-q", "-r", "data"]);
    project.commit("nothing large");
    project.deploy(&["-D", "cache_revs:0"]).ends(0);
    assert_eq!((stored(&farm, 0), stored(&farm, 1)), (0, 0));
}

#[test]
fn fifteen_thousand_large_files_are_deployed() {
    let farm = Farm::up();
    let project = project(&farm, 1);
    for n in 0..15_000 {
        project.write(&format!("data/{}/{n}.bin", n % 100), &format!("content {n}\n"));
    }
    let one = project.commit("many");
    project.deploy(&[]).ends(0);
    all_on(&farm, 1, &one);
    assert_eq!(stored(&farm, 0), 15_000);
    for n in [0, 7_777, 14_999] {
        assert_eq!(text(&live(&farm, 0).join(format!("data/{}/{n}.bin", n % 100))), format!("content {n}\n"));
    }
}

#[test]
fn a_large_file_that_is_not_here_is_one_error_before_anything_is_touched() {
    let farm = Farm::up();
    let project = project(&farm, 1);
    project.write("data.bin", &big(1));
    project.commit("large");
    // As in a clone that was told to skip them; git-lfs would find the content in the working tree again.
    git(&project.path(""), &["lfs", "uninstall", "--local"]);
    fs::remove_file(project.path("data.bin")).unwrap();
    project.git(&["checkout", "-q", "."]);
    fs::remove_dir_all(project.path(".git/lfs/objects")).unwrap();
    project.deploy(&[]).ends(2).says("data.bin here, and this repository has no remote to fetch it from");
    project.git(&["remote", "add", "origin", "https://git.example.org/app"]);
    let ran = project.deploy(&[]).ends(2).says("data.bin here: run `git lfs fetch origin");
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    assert_eq!(Links::of(&farm, 0), Links::default());
    // Whoever does not want them deploys pointers.
    project.deploy(&["-D", "git_binary_manager:"]).ends(0);
    assert!(text(&live(&farm, 0).join("data.bin")).starts_with("version https://git-lfs"));
}

#[test]
fn large_files_that_are_switched_on_later_or_lost_over_there_are_put_in() {
    let farm = Farm::up();
    let project = project(&farm, 1);
    project.write("data.bin", &big(1));
    project.write("tool.bin", "#!/bin/sh\n");
    fs::set_permissions(project.path("tool.bin"), fs::Permissions::from_mode(0o755)).unwrap();
    project.commit("large");
    project.deploy(&["-D", "git_binary_manager:"]).ends(0);
    // Another tree may share a file with this one.
    let shared = farm.path("shared");
    fs::hard_link(live(&farm, 0).join("data.bin"), &shared).unwrap();
    project.deploy(&["-v"]).ends(0).says("completing");
    assert_eq!(text(&live(&farm, 0).join("data.bin")), big(1));
    assert!(text(&shared).starts_with("version https://git-lfs"), "a file of another tree was written to");
    assert_ne!(fs::metadata(live(&farm, 0).join("tool.bin")).unwrap().permissions().mode() & 0o111, 0);
    fs::write(live(&farm, 0).join("data.bin"), "edited").unwrap();
    fs::remove_dir_all(farm.srv(&address(0)).join(CACHE).join("lfs")).unwrap();
    project.deploy(&["-f"]).ends(0);
    assert_eq!(text(&live(&farm, 0).join("data.bin")), big(1));
}

#[test]
fn large_files_are_put_in_whatever_bytes_their_names_have_and_whichever_version_their_pointers() {
    let farm = Farm::up();
    let project = project(&farm, 1);
    let names: [&[u8]; 3] = [b"caf\xe9.bin", b"two\nlines.bin", b"\"quoted\"\t.bin"];
    let names = names.map(|name| Path::new(OsStr::from_bytes(name)));
    for name in names {
        fs::write(project.path("").join(name), big(1)).unwrap();
    }
    project.write("early.bin", &big(1));
    project.commit("large");
    let pointer = project.git(&["show", "HEAD:early.bin"]);
    let early = pointer.replace("https://git-lfs.github.com/spec/v1", "http://git-media.io/v/2");
    fs::write(project.path("early"), early).unwrap();
    let blob = project.git(&["hash-object", "-w", "--no-filters", "early"]);
    fs::remove_file(project.path("early")).unwrap();
    project.git(&["update-index", "--cacheinfo", &format!("100644,{},early.bin", blob.trim())]);
    project.git(&["commit", "-q", "-m", "early"]);
    project.deploy(&[]).ends(0);
    let tree = live(&farm, 0);
    for name in names.into_iter().chain([Path::new("early.bin")]) {
        assert_eq!(text(&tree.join(name)), big(1), "{}", name.display());
    }
    project.run(&["status", "--verify"]).ends(0);
}

#[test]
fn a_large_file_that_a_kept_tree_lost_has_its_content_again_after_a_rollback() {
    let farm = Farm::up();
    let project = project(&farm, 1);
    for name in ["emptied.bin", "gone.bin"] {
        project.write(name, &big(name.len() as u64));
    }
    let one = project.commit("large");
    project.deploy(&[]).ends(0);
    project.write("index.html", "two\n");
    project.commit("two");
    project.deploy(&[]).ends(0);
    let tree = farm.srv(&address(0)).join(CACHE).join("revs").join(&one);
    fs::write(tree.join("emptied.bin"), "").unwrap();
    fs::remove_file(tree.join("gone.bin")).unwrap();
    project.run(&["rollback", "--yes"]).ends(0).says("restored missing or changed files: 2 files");
    all_on(&farm, 1, &one);
    for name in ["emptied.bin", "gone.bin"] {
        assert_eq!(text(&live(&farm, 0).join(name)), big(name.len() as u64));
    }
}

/// Replaces every content in a host's store with zeros of the same length.
fn damage_store(farm: &Farm, n: usize) {
    let objects = farm.srv(&address(n)).join(CACHE).join("lfs/objects");
    let list = std::process::Command::new("find").arg(&objects).args(["-type", "f"]).output().unwrap();
    let paths = String::from_utf8(list.stdout).unwrap();
    assert!(!paths.is_empty());
    for path in paths.lines() {
        let length = fs::metadata(path).unwrap().len();
        // Trees may share its blocks, and keep what they have.
        fs::remove_file(path).unwrap();
        fs::write(path, vec![0; usize::try_from(length).unwrap()]).unwrap();
    }
}

#[test]
fn a_content_that_was_damaged_in_a_host_s_store_is_sent_again_in_the_same_deployment() {
    let farm = Farm::up();
    let project = project(&farm, 2);
    project.configure("link_files: no");
    project.write("data.bin", &big(1));
    project.commit("large");
    project.deploy(&[]).ends(0);
    damage_store(&farm, 1);
    project.write("index.html", "two\n");
    let two = project.commit("two");
    let ran = project.deploy(&["-v"]).ends(0);
    assert_eq!(received(&ran), ["1"], "only the host that needs it is sent it: {ran:?}");
    all_on(&farm, 2, &two);
    for n in 0..2 {
        assert_eq!(text(&live(&farm, n).join("data.bin")), big(1));
    }
    // A forced deployment heals a tree that was given a damaged one.
    damage_store(&farm, 1);
    fs::write(live(&farm, 1).join("data.bin"), vec![0; big(1).len()]).unwrap();
    project.deploy(&["-f"]).ends(0);
    assert_eq!(text(&live(&farm, 1).join("data.bin")), big(1));
    project.run(&["status", "--verify"]).ends(0);
}

#[test]
fn a_kept_tree_whose_large_file_cannot_be_restored_stays_as_it_was_and_a_deployment_of_it_brings_the_file() {
    let farm = Farm::up();
    let project = project(&farm, 1);
    project.write("data.bin", &big(1));
    let one = project.commit("large");
    project.deploy(&[]).ends(0);
    project.git(&["rm", "-q", "data.bin"]);
    project.commit("nothing large");
    project.deploy(&[]).ends(0);
    let cache = farm.srv(&address(0)).join(CACHE);
    let file = cache.join("revs").join(&one).join("data.bin");
    fs::remove_file(&file).unwrap();
    fs::remove_dir_all(cache.join("lfs")).unwrap();
    let short = &one[..10];
    for _ in 0..2 {
        let says = format!("git-lfs found no content for data.bin: `hoist deploy -r {short}` brings it");
        project.run(&["rollback", "--yes", "--to", short]).ends(1).says(&says);
        assert!(!file.exists(), "a pointer is in its place");
    }
    project.deploy(&["-r", short]).ends(0);
    all_on(&farm, 1, &one);
    assert_eq!(text(&live(&farm, 0).join("data.bin")), big(1));
}

#[test]
fn a_damaged_content_on_the_deploy_host_reaches_no_tree() {
    let farm = Farm::up();
    let project = project(&farm, 1);
    project.write("data.bin", "right\n");
    project.commit("large");
    let objects = project.path(".git/lfs/objects");
    let oid = project.git(&["lfs", "ls-files", "--long"]).split(' ').next().unwrap().to_owned();
    let path = objects.join(&oid[..2]).join(&oid[2..4]).join(&oid);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, "wrong\n").unwrap();
    let says = format!("the large file data.bin ({oid}) is damaged on the deploy host: run `git lfs fsck` there");
    project.deploy(&[]).ends(1).says(&says);
    assert_eq!(Links::of(&farm, 0), Links::default());
    assert_eq!(stored(&farm, 0), 0);
}

#[test]
fn with_a_git_server_targets_pull_from_it() {
    let farm = Farm::up();
    let project = project(&farm, 2);
    let _server = project.serve_as_files();
    project.write("data.bin", &big(1));
    let one = project.commit("large");
    let ran = project.deploy(&["-v"]).ends(0);
    all_on(&farm, 2, &one);
    assert_eq!(text(&live(&farm, 1).join("data.bin")), big(1));
    assert_eq!(received(&ran), Vec::<String>::new());
    // A tree that is checked out again asks for them in that one step too.
    fs::write(live(&farm, 0).join("data.bin"), "edited").unwrap();
    fs::remove_dir_all(farm.srv(&address(0)).join(CACHE).join("lfs")).unwrap();
    project.deploy(&["-f"]).ends(0);
    assert_eq!(text(&live(&farm, 0).join("data.bin")), big(1));
    // What the server lacks fails the fetch, and leaves nothing behind.
    project.write("more.bin", &big(2));
    project.commit("more");
    git(&project.path(""), &["lfs", "uninstall", "--local"]);
    fs::remove_dir_all(project.path(".git/lfs/objects")).unwrap();
    project.deploy(&[]).ends(1).says("lfs");
    all_on(&farm, 2, &one);
}

#[test]
fn submodules_have_large_files_too() {
    let farm = Farm::up();
    let project = project(&farm, 1);
    project.configure("git_submodules: True");
    let lib = tempfile::tempdir().unwrap();
    commit(lib.path(), &[]);
    keep_with_lfs(lib.path());
    commit(lib.path(), &[("inner.bin", &big(3))]);
    git(&project.path(""), &["submodule", "--quiet", "add", lib.path().to_str().unwrap(), "vendor/lib"]);
    // git-lfs in the submodule has fetched nothing yet: here it was not asked to.
    let stores = project.path(".git/modules/vendor/lib/lfs");
    project.commit("with a submodule");
    let _ = fs::remove_dir_all(&stores);
    project.deploy(&[]).ends(2).says("vendor/lib/inner.bin here: run `git lfs fetch").says("and in submodules");
    git(&project.path("vendor/lib"), &["lfs", "fetch"]);
    project.deploy(&[]).ends(0);
    assert_eq!(text(&live(&farm, 0).join("vendor/lib/inner.bin")), big(3));
}

/// Programs for the targets alone: all that this machine has but for `without`, and these scripts.
fn programs(without: &str, scripts: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("hoist-bin-").tempdir().unwrap();
    for (name, text) in scripts {
        fs::write(folder.path().join(name), text).unwrap();
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    for program in ["/usr/local/bin", "/usr/bin", "/bin"].iter().flat_map(|it| fs::read_dir(it).into_iter().flatten()) {
        let program = program.unwrap();
        if program.file_name() != without {
            // The first of two has the name, as in a search path.
            let _ = std::os::unix::fs::symlink(program.path(), folder.path().join(program.file_name()));
        }
    }
    folder
}

fn farm_with(programs: &tempfile::TempDir) -> Farm {
    let path = programs.path().display();
    Farm::up_with(&[("FARM_SSHD_OPTS", &format!("SetEnv HOME=/nonexistent PATH={path}"))])
}

#[test]
fn a_target_without_the_program_fails_its_fetch_and_names_it() {
    let bare = programs("git-lfs", &[]);
    let farm = farm_with(&bare);
    let project = project(&farm, 1);
    project.write("data.bin", "x");
    project.write(".gitfat", "[rsync]\nremote = /nowhere\n");
    project.commit("large");
    project.deploy(&[]).ends(1).says("needs git-lfs, which is not installed on this host");
    project
        .deploy(&["-D", "git_binary_manager:git-fat"])
        .ends(1)
        .says("needs git-fat, which is not installed on this host");
    assert_eq!(Links::of(&farm, 0), Links::default());
    assert!(!farm.srv(&address(0)).join(CACHE).join("cache").exists(), "it found out before it took anything");
}

/// Does what git-fat does as far as a deployment needs it: what stands in git names a file of the remote by its SHA-1.
const GIT_FAT: &str = r##"#!/bin/sh
set -eu
case ${1:-} in
init) git config filter.fat.smudge cat ;;
pull)
	remote=$(git config -f .gitfat rsync.remote)
	kept=$(git rev-parse --absolute-git-dir)/fat/objects
	mkdir -p "$kept"
	export remote kept
	git ls-files -z | xargs -0 -n 1 sh -c '
		if [ "$(head -c 12 "$0")" = "#\$# git-fat " ]; then
			sum=$(head -c 52 "$0" | tail -c 40)
			if [ ! -e "$kept/$sum" ] && [ -e "$remote/$sum" ]; then cp "$remote/$sum" "$kept"; fi
			if [ -e "$kept/$sum" ]; then cp "$kept/$sum" "$0"; fi
		fi' ;;
*) echo usage >&2; exit 1 ;;
esac
"##;

/// The SHA-1 of `large` and a newline.
const LARGE: &str = "7f7097b041ccf68cc5561e9600da4655d21c6d18";

#[test]
fn what_git_fat_keeps_is_pulled_by_the_target() {
    let bin = programs("git-fat", &[("git-fat", GIT_FAT)]);
    let farm = farm_with(&bin);
    let project = Project::new(&farm, 0, 2);
    let remote = tempfile::tempdir().unwrap();
    let sum = LARGE;
    let names = ["data.fat".as_ref(), Path::new(OsStr::from_bytes(b"caf\xe9.fat"))];
    for name in names {
        fs::write(project.path("").join(name), format!("#$# git-fat {sum} {:>20}\n", 6)).unwrap();
    }
    project.configure("git_fat: True");
    project.commit("fat");
    project.deploy(&[]).ends(2).says("has no .gitfat");
    project.write(".gitfat", &format!("[rsync]\nremote = {}\n", remote.path().display()));
    let two = project.commit("fat");
    project.deploy(&[]).ends(1).says("git-fat found no content for ");
    assert_eq!(Links::of(&farm, 0), Links::default());
    fs::write(remote.path().join(sum), "wrong\n").unwrap();
    project.deploy(&[]).ends(1).says("what git-fat brings for ").says(&format!("is damaged: its SHA-1 is not {sum}"));
    assert_eq!(Links::of(&farm, 0), Links::default());
    fs::write(remote.path().join(sum), "large\n").unwrap();
    project.deploy(&[]).ends(0);
    all_on(&farm, 2, &two);
    for name in names {
        assert_eq!(text(&live(&farm, 1).join(name)), "large\n", "{}", name.display());
    }
    // What git-fat has kept of it may be damaged as well.
    fs::write(live(&farm, 1).join(".git/fat/objects").join(sum), "wrong\n").unwrap();
    fs::write(live(&farm, 1).join("data.fat"), "other\n").unwrap();
    project.deploy(&["-f"]).ends(0);
    assert_eq!(text(&live(&farm, 1).join("data.fat")), "large\n");
}
