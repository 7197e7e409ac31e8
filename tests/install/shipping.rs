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
        for part in ["Makefile", "tools", ".cargo"] {
            let from = Path::new(SOURCE).join(part);
            assert_ok(&Command::new("cp").arg("-a").arg(from).arg(small.path("")).output().unwrap());
        }
        let program = |name: &str| format!("[[bin]]\nname = \"{name}\"\npath = \"src/main.rs\"\n");
        let package =
            "[package]\nname = \"hoist\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[features]\nfor-targets = []\n";
        small.write("Cargo.toml", &(package.to_owned() + &program("hoist") + &program("hoist-for-targets")));
        small.write("Cargo.lock", "version = 4\n\n[[package]]\nname = \"hoist\"\nversion = \"0.0.0\"\n");
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

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    fn make_static(&self, environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new("make");
        command.arg("static").current_dir(self.path("")).env("CARGO_HOME", self.home());
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET"] {
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
