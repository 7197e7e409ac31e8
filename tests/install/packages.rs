//! `make deb`, `make rpm` and `make dist`: the distributions' own programs judge, install and remove the packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{SOURCE, assert_ok, built, files, text, to_ship};

/// The time of the commit that is packed, in seconds since 1970.
const EPOCH: &str = "1795600000";

/// A checkout that was made with this umask, with a stripped program, as `make static` makes it, and packages of all
/// kinds in its `dist`.
fn packed(umask: &str, zone: &str) -> TempDir {
    let checkout = built();
    if to_ship().is_none() {
        run(&checkout, "strip", &["dist/hoist"]);
    }
    run(&checkout, "chmod", &["-R", &format!("-{umask}"), "."]);
    ["deb", "rpm", "dist"].iter().for_each(|target| pack(&checkout, target, umask, zone));
    checkout
}

/// Runs a target of make that packs; unless it is what is shipped, quickly, with the same programs.
pub fn pack(checkout: &TempDir, target: &str, umask: &str, zone: &str) {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("umask {umask}; exec make {target}")]).current_dir(checkout.path()).env_clear();
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("SOURCE_DATE_EPOCH", EPOCH).env("TZ", zone);
    if to_ship().is_none() {
        command.env("DPKG_DEB_COMPRESSOR_TYPE", "gzip").env("DPKG_DEB_COMPRESSOR_LEVEL", "1");
        command.env("RPM_PAYLOAD", "w1.gzdio").env("GZIP_LEVEL", "1");
    }
    assert_ok(&command.output().unwrap());
}

/// Runs a program in the checkout, and returns what it printed.
#[track_caller]
pub fn run(checkout: &TempDir, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(checkout.path()).output().unwrap();
    assert_ok(&output);
    text(&output.stdout) + &text(&output.stderr)
}

/// The one file of `dist` that ends so.
fn package(checkout: &TempDir, end: &str) -> PathBuf {
    let dist = checkout.path().join("dist");
    let found = files(&dist).into_iter().find(|path| path.to_str().unwrap().ends_with(end));
    dist.join(found.unwrap_or_else(|| panic!("no {end} in dist")))
}

/// The program runs in a system that has nothing else, with its pages and completions there; and then no file is left.
fn runs_and_goes(root: &Path, completions: &[&str], remove: impl Fn()) {
    let version = Command::new("chroot").arg(root).args(["/usr/bin/hoist", "version"]).output().unwrap();
    assert_ok(&version);
    assert!(text(&version.stdout).starts_with("hoist "));
    let licences = root.join("usr/share/doc/hoist/THIRD-PARTY.gz");
    let listed = Command::new("zgrep").args(["-c", "^libssh2-sys .*, with libssh2"]).arg(licences).output().unwrap();
    assert_eq!(text(&listed.stdout), "1\n");
    let pages = ["share/man/man1/hoist.1.gz", "share/man/man5/hoist.cfg.5.gz", "share/man/man7/hoist-ci.7.gz"];
    let documents = ["share/doc/hoist/examples/ci/Jenkinsfile", "share/doc/hoist/examples/minimal/hoist/hoist.cfg"];
    for path in completions.iter().chain(&pages).chain(&documents) {
        assert!(root.join("usr").join(path).is_file(), "{path} is not there");
    }
    remove();
    assert_eq!(files(&root.join("usr")), [].into());
}

/// Everything in `dist`.
fn contents(checkout: &TempDir) -> BTreeMap<PathBuf, Vec<u8>> {
    let dist = checkout.path().join("dist");
    files(&dist).into_iter().map(|path| (path.clone(), fs::read(dist.join(path)).unwrap())).collect()
}

#[test]
fn packages_are_the_same_for_the_same_commit_and_without_faults_and_install_run_and_are_removed() {
    let checkout = packed("022", "UTC");
    let (one, other) = (contents(&checkout), contents(&packed("077", "Asia/Tokyo")));
    assert_eq!(one.len(), 6);
    for (path, bytes) in &one {
        assert!(bytes == &other[path], "{} differs", path.display());
    }
    let (deb, rpm) = (package(&checkout, ".deb"), package(&checkout, ".rpm"));
    let (deb, rpm) = (deb.to_str().unwrap(), rpm.to_str().unwrap());
    let said = run(&checkout, "lintian", &["--allow-root", "--fail-on", "error,warning", deb]);
    assert_eq!(said, "");
    let settings = Path::new(SOURCE).join("packaging/rpmlint.toml");
    let said = run(&checkout, "rpmlint", &["-c", settings.to_str().unwrap(), rpm]);
    assert!(said.contains("0 errors, 0 warnings"), "{said}");
    let requires = run(&checkout, "rpm", &["-qp", "--requires", rpm]);
    let requires: BTreeSet<&str> = requires.lines().filter(|line| !line.starts_with("rpmlib(")).collect();
    assert_eq!(requires, BTreeSet::from(["/bin/sh", "git"]));

    let debian = tempfile::tempdir().unwrap();
    let root = debian.path().to_str().unwrap();
    fs::create_dir_all(debian.path().join("var/lib/dpkg/info")).unwrap();
    fs::create_dir_all(debian.path().join("var/lib/dpkg/updates")).unwrap();
    fs::write(debian.path().join("var/lib/dpkg/status"), "").unwrap();
    let dpkg = |action: &str, what: &str| {
        drop(run(
            &checkout,
            "dpkg",
            &[&format!("--root={root}"), "--force-depends", "--force-script-chrootless", action, what],
        ));
    };
    dpkg("--install", deb);
    let zsh = "share/zsh/vendor-completions/_hoist";
    runs_and_goes(debian.path(), &["share/bash-completion/completions/hoist", zsh], || dpkg("--purge", "hoist"));

    let other = tempfile::tempdir().unwrap();
    let root = other.path().to_str().unwrap();
    let rpm_at = |arguments: &[&str]| {
        drop(run(&checkout, "rpm", &[&["--root", root, "--nodeps", "--noscripts"], arguments].concat()));
    };
    rpm_at(&["--install", rpm]);
    runs_and_goes(other.path(), &["share/zsh/site-functions/_hoist"], || rpm_at(&["--erase", "hoist"]));

    // The checksums are of everything else there, and the archive has what the packages have.
    run(&checkout, "sh", &["-c", "cd dist && sha256sum --check --strict SHA256SUMS"]);
    let sums = fs::read_to_string(checkout.path().join("dist/SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), 5, "{sums}");
    let archive = package(&checkout, ".tar.gz");
    let listing = run(&checkout, "tar", &["-tzf", archive.to_str().unwrap()]);
    for wanted in ["/bin/hoist\n", "/LICENSE-MIT\n", "/THIRD-PARTY\n", "/share/man/man1/hoist-deploy.1.gz\n"] {
        assert!(listing.contains(wanted), "{listing}");
    }
}
