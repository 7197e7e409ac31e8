//! Installing and uninstalling, as root does it on a machine whose root has no Rust; packages; and the example
//! configurations.

mod packages;
mod shipping;
mod upgrade;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const HOIST: &str = env!("CARGO_BIN_EXE_hoist");
const SOURCE: &str = env!("CARGO_MANIFEST_DIR");

/// What a checkout has for `make install` and for packages, as a copy.
fn checkout() -> TempDir {
    let copy = tempfile::Builder::new().prefix("hoist-install-").tempdir().unwrap();
    let documents = ["Cargo.toml", "README.md", "NEWS.md", "LICENSE-MIT", "LICENSE-APACHE"];
    for part in ["Makefile", "man", "examples", "tools", "packaging"].into_iter().chain(documents) {
        let from = Path::new(SOURCE).join(part);
        assert!(Command::new("cp").arg("-a").arg(from).arg(copy.path()).status().unwrap().success());
    }
    copy
}

/// The program that the variable HOIST names, as `make check-packages` does: all that is tested is what is shipped.
fn to_ship() -> Option<PathBuf> {
    Some(Path::new(SOURCE).join(std::env::var_os("HOIST")?))
}

/// That program, or the one that `make static` has built, unless the one of the tests is newer.
fn program() -> PathBuf {
    if let Some(named) = to_ship() {
        return named;
    }
    let shipped = Path::new(SOURCE).join("dist/hoist");
    let built = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
    if built(&shipped) >= built(Path::new(HOIST)) { shipped } else { HOIST.into() }
}

/// As [`checkout`], after `make static`.
fn built() -> TempDir {
    let copy = checkout();
    fs::create_dir(copy.path().join("dist")).unwrap();
    fs::copy(program(), copy.path().join("dist/hoist")).unwrap();
    let listed = Command::new("python3").arg("tools/third_party.py").current_dir(SOURCE).output().unwrap();
    assert_ok(&listed);
    fs::write(copy.path().join("dist/THIRD-PARTY"), listed.stdout).unwrap();
    copy
}

/// Runs make as root's bare environment has it: without cargo in the path.
fn make(checkout: &TempDir, destination: &Path, target: &str) -> Output {
    let mut command = Command::new("make");
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir(checkout.path());
    command.arg(target).arg(format!("DESTDIR={}", destination.display())).output().unwrap()
}

/// All files below a folder, relative to it.
fn files(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(found.insert(path.strip_prefix(root).unwrap().to_owned())),
            }
        }
    }
    found
}

/// A target of make fails with this message in a fresh checkout, and installs nothing.
#[track_caller]
fn fails(target: &str, message: &str) {
    let (checkout, destination) = (checkout(), tempfile::tempdir().unwrap());
    let output = make(&checkout, destination.path(), target);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains(message), "{output:?}");
    assert_eq!(files(destination.path()), BTreeSet::new());
}

fn assert_ok(output: &Output) {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn make_install_needs_no_cargo_and_make_uninstall_removes_all_that_it_put_there() {
    let (checkout, place) = (built(), tempfile::tempdir().unwrap());
    let destination = place.path().join("a destination");
    let local = destination.join("usr/local");
    fs::create_dir_all(local.join("share/man/man1")).unwrap();
    fs::write(local.join("share/man/man1/other.1"), "another program's page").unwrap();
    assert_ok(&make(&checkout, &destination, "install"));

    let installed = files(&local);
    for expected in [
        "bin/hoist",
        "share/man/man1/hoist.1",
        "share/man/man5/hoist.cfg.5",
        "share/man/man7/hoist-scap3.7",
        "share/bash-completion/completions/hoist",
        "share/zsh/site-functions/_hoist",
        "share/fish/vendor_completions.d/hoist.fish",
        "share/doc/hoist/examples/web-service/hoist/hoist.cfg",
        "lib/systemd/system/hoist-reconcile@.timer",
    ] {
        assert!(installed.contains(Path::new(expected)), "{expected} is missing in {installed:#?}");
    }
    let pages = fs::read_dir(Path::new(SOURCE).join("man")).unwrap().count();
    assert_eq!(installed.iter().filter(|path| path.starts_with("share/man")).count(), pages + 1);
    let unit = fs::read_to_string(local.join("lib/systemd/system/hoist-reconcile@.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/local/bin/hoist reconcile --yes"), "{unit}");
    let version = Command::new(local.join("bin/hoist")).arg("version").output().unwrap();
    assert_ok(&version);

    assert_ok(&make(&checkout, &destination, "uninstall"));
    assert_eq!(files(&local), BTreeSet::from([PathBuf::from("share/man/man1/other.1")]));
    assert!(!local.join("share/doc/hoist").exists());
}

#[test]
fn the_binary_to_ship_names_no_folder_and_no_date_of_its_build() {
    let shipped = program();
    if shipped == Path::new(HOIST) {
        eprintln!("there is no dist/hoist, or it is older than the tests; nothing is tested");
        return;
    }
    let binary = text(&fs::read(shipped).unwrap());
    assert!(!binary.contains(SOURCE));
    let sources: Vec<_> = binary.match_indices("/registry/src/").map(|(at, _)| &binary[..at]).collect();
    assert!(!sources.is_empty() && sources.iter().all(|before| before.ends_with("/cargo")));
    // OpenSSL's, which the linker leaves out where nothing asks for it.
    for after in binary.split("built on: ").skip(1) {
        assert!(after.starts_with("Thu Jan  1 00:00:00 1970"), "{:?}", after.chars().take(40).collect::<String>());
    }
}

#[test]
fn systemd_finds_no_fault_in_the_units() {
    let (checkout, place) = (built(), tempfile::tempdir().unwrap());
    let prefix = format!("PREFIX={}", place.path().display());
    assert_ok(&Command::new("make").args(["install", &prefix]).current_dir(checkout.path()).output().unwrap());
    for kind in ["service", "timer"] {
        let unit = place.path().join(format!("lib/systemd/system/hoist-reconcile@srv-app.{kind}"));
        let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(unit).output().unwrap();
        assert_ok(&output);
        assert_eq!(text(&output.stderr) + &text(&output.stdout), "", "{kind}");
    }
}

#[test]
fn make_install_without_a_build_says_what_to_run_first_and_installs_nothing() {
    fails("install", "there is no dist/hoist: run `make static` first");
}

#[test]
fn make_static_without_cargo_says_where_to_get_it() {
    fails("static", "cargo not found: install Rust");
}

#[test]
fn every_example_configuration_is_without_mistakes() {
    let examples = fs::read_dir(Path::new(SOURCE).join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let has_configuration = |path: &PathBuf| ["hoist", "scap"].iter().any(|control| path.join(control).is_dir());
    let examples: Vec<PathBuf> = examples.filter(has_configuration).collect();
    assert!(examples.len() >= 3, "{examples:?}");
    for example in examples {
        let repository = tempfile::tempdir().unwrap();
        let run = |program: &str, args: &[&str]| {
            let mut command = Command::new(program);
            command.args(args).current_dir(repository.path()).env("HOIST_GLOBAL_CONFIG", "/dev/null");
            command.output().unwrap()
        };
        assert_ok(&run("cp", &["-a", &format!("{}/.", example.display()), "."]));
        assert_ok(&run("git", &["init", "-q"]));
        assert_ok(&run("git", &["add", "-A"]));
        assert_ok(&run("git", &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "Example"]));
        let mut environments = vec![None];
        for control in ["hoist", "scap"] {
            let folder = example.join(control).join("environments");
            let names = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().file_name());
            environments.extend(names.map(|name| Some(name.into_string().unwrap())));
        }
        for environment in environments {
            let mut args = vec!["check-config"];
            args.extend(environment.iter().flat_map(|name| ["-e", name]));
            let output = run(HOIST, &args);
            let said = text(&output.stdout) + &text(&output.stderr);
            assert!(output.status.success() && !said.contains("warning"), "{}: {said}", example.display());
        }
    }
}
