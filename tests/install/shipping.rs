//! `make static` with settings of the one who builds: real builds of a small program in place of Hoist's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::{SOURCE, assert_ok, text};

/// A checkout with the Makefile, tools and flags of this project, and a program that takes no time to build.
struct Small {
    place: TempDir,
}

impl Small {
    fn new() -> Small {
        let small = Small { place: tempfile::Builder::new().prefix("hoist-install-").tempdir().unwrap() };
        fs::create_dir_all(small.path("src")).unwrap();
        for part in ["Makefile", "tools", ".cargo", "build.rs", "packaging", "man", ".gitattributes"] {
            let from = Path::new(SOURCE).join(part);
            assert_ok(&Command::new("cp").arg("-a").arg(from).arg(small.path("")).output().unwrap());
        }
        let program = |name: &str| format!("[[bin]]\nname = \"{name}\"\npath = \"src/main.rs\"\n");
        let package = "[package]\nname = \"hoist\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
                       [features]\nfor-targets = []\n[profile.for-targets]\ninherits = \"release\"\n";
        small.write("Cargo.toml", &(package.to_owned() + &program("hoist") + &program("hoist-for-targets")));
        small.write("Cargo.lock", "version = 4\n\n[[package]]\nname = \"hoist\"\nversion = \"0.0.0\"\n");
        small.write(".gitignore", "/target\n/dist\n");
        small.write("src/main.rs", "fn main() { println!(\"built in {}\", file!()) }\n");
        fs::create_dir(small.home()).unwrap();
        small
    }

    /// Below a folder whose name has a space.
    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join("a checkout").join(name)
    }

    /// Cargo's own folder, whose configuration holds for every project.
    fn home(&self) -> PathBuf {
        self.place.path().join("cargo home")
    }

    /// Runs a program in the checkout, and returns what it printed, without the last line end.
    #[track_caller]
    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).current_dir(self.path("")).output().unwrap();
        assert_ok(&output);
        text(&output.stdout).trim_end().to_owned()
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    fn make_static(&self, environment: &[(&str, &str)]) -> Output {
        self.make("static", environment)
    }

    fn make(&self, target: &str, environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new("make");
        command.arg(target).current_dir(self.path("")).env("CARGO_HOME", self.home());
        for name in
            ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "SOURCE_DATE_EPOCH"]
        {
            command.env_remove(name);
        }
        command.envs(environment.iter().copied()).output().unwrap()
    }

    /// What the program that was built prints, which is static: it runs in a root that has nothing else.
    fn runs(&self) -> String {
        let root = self.path("dist");
        let output = Command::new("chroot").arg(root).arg("/hoist").output().unwrap();
        assert_ok(&output);
        text(&output.stdout)
    }
}

#[test]
fn flags_of_the_one_who_builds_are_added_and_the_binary_stays_static() {
    let small = Small::new();
    let of_triple = format!("CARGO_TARGET_{}_UNKNOWN_LINUX_GNU_RUSTFLAGS", std::env::consts::ARCH.to_uppercase());
    let flags = [
        ("RUSTFLAGS", "-C debuginfo=0 --cfg told"),
        ("CARGO_ENCODED_RUSTFLAGS", "-Cdebuginfo=0\u{1f}--cfg\u{1f}told"),
        (of_triple.as_str(), "-C debuginfo=0 --cfg told"),
        ("CARGO_BUILD_RUSTFLAGS", "-C debuginfo=0"),
        ("RUSTFLAGS", "-C target-feature=-crt-static --cfg told"),
    ];
    let told = "fn main() { println!(\"{} {}\", cfg!(told), file!()) }\n";
    for (name, value) in flags {
        small.write("src/main.rs", told);
        assert_ok(&small.make_static(&[(name, value)]));
        let wanted = if name == "CARGO_BUILD_RUSTFLAGS" { "false" } else { "true" };
        assert_eq!(small.runs(), format!("{wanted} src/main.rs\n"), "{name}");
        fs::remove_dir_all(small.path("dist")).unwrap();
    }
}

#[test]
fn cargo_settings_that_move_what_is_built_ship_the_new_build() {
    let small = Small::new();
    assert_ok(&small.make_static(&[]));
    let elsewhere = small.place.path().join("elsewhere");
    fs::write(small.home().join("config.toml"), format!("[build]\ntarget-dir = {elsewhere:?}\n")).unwrap();
    small.write("src/main.rs", "fn main() { println!(\"new\") }\n");
    assert_ok(&small.make_static(&[("CARGO_BUILD_TARGET", "wasm32-unknown-unknown")]));
    assert_eq!(small.runs(), "new\n");
}

#[test]
fn a_binary_that_is_not_static_is_not_shipped() {
    let small = Small::new();
    assert_ok(&small.make_static(&[]));
    let before = fs::read(small.path("dist/hoist")).unwrap();
    // As on an architecture that has no flags there.
    small.write(".cargo/config.toml", "");
    let output = small.make_static(&[]);
    assert!(!output.status.success(), "{output:?}");
    let said = text(&output.stderr);
    assert!(said.contains("hoist-for-targets is linked dynamically, it needs") && said.contains("libc.so.6"), "{said}");
    assert!(said.contains("See that .cargo/config.toml has the flags for"), "{said}");
    assert!(fs::read(small.path("dist/hoist")).unwrap() == before);
}

/// Prints what `hoist version` would say of the commit.
const SAYS_COMMIT: &str = "fn main() { println!(\"{}\", env!(\"HOIST_BUILD_COMMIT\")) }\n";

/// A time that is not that of the commit of this project, in seconds since 1970.
const COMMITTED: &str = "1700000000 +0000";

#[test]
fn a_checkout_of_another_user_and_a_source_archive_tell_their_commit_and_its_time() {
    let small = Small::new();
    small.write("src/main.rs", SAYS_COMMIT);
    for name in ["README.md", "NEWS.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        small.write(name, name);
    }
    small.run("git", &["init", "-q"]);
    small.run("git", &["add", "-A"]);
    let commit = "git -c user.name=a -c user.email=a@b commit -q -m one";
    small.run("sh", &["-c", &format!("GIT_COMMITTER_DATE='{COMMITTED}' {commit}")]);
    let commit = small.run("git", &["rev-parse", "--short=12", "HEAD"]);
    small.run("git", &["archive", "-o", "../source.tar", "HEAD"]);
    small.run("chown", &["-R", "nobody", "."]);

    // The archive is unpacked in a repository that is not Hoist's.
    let unpacked = Small::new();
    fs::remove_dir_all(unpacked.path("")).unwrap();
    fs::create_dir(unpacked.path("")).unwrap();
    unpacked.run("git", &["-C", "..", "init", "-q"]);
    unpacked.run("tar", &["-xf", small.place.path().join("source.tar").to_str().unwrap()]);
    for checkout in [&small, &unpacked] {
        assert_ok(&checkout.make_static(&[]));
        assert_eq!(checkout.runs(), format!("{commit}\n"));
        // Only the program itself has completions.
        checkout.run("cp", &[crate::HOIST, "dist/hoist"]);
        // The user's own configuration of git may trust every checkout.
        let home = checkout.place.path().join("home");
        let output = checkout.make("dist", &[("GZIP_LEVEL", "1"), ("HOME", home.to_str().unwrap())]);
        assert_ok(&output);
        let listing = checkout.run("sh", &["-c", "TZ=UTC tar --full-time -tvzf dist/hoist-0.0.0-*.tar.gz"]);
        assert!(!listing.is_empty() && listing.lines().all(|line| line.contains(" 2023-11-14 22:13:20 ")), "{listing}");
    }
}

#[test]
fn packing_what_is_of_no_commit_says_what_to_set() {
    let small = Small::new();
    let output = small.make("dist", &[]);
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(said.contains("this is neither a git checkout (not a git repository"), "{said}");
    assert!(said.contains("set SOURCE_DATE_EPOCH to the time of the release, in seconds since 1970"), "{said}");
}

#[test]
fn a_folder_that_rpmbuild_cannot_work_in_is_named() {
    let small = Small::new();
    let output = small.make("rpm", &[("TMPDIR", small.home().to_str().unwrap()), ("SOURCE_DATE_EPOCH", "1")]);
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(
        said.contains("rpmbuild cannot work in a folder with a space in its name, ") && said.contains("TMPDIR"),
        "{said}"
    );
}
