//! Tells the program which commit it is built from, for `hoist --version`.
//!
//! The commit's name depends on nothing but the source, so that a build can be reproduced. `HOIST_COMMIT` may name it;
//! otherwise git tells it, or in an archive that git has made, `packaging/commit`.
//!
//! And puts the build for targets into the program: the file that `HOIST_FOR_TARGETS` names, compressed by zstd. `make
//! static` builds it first. Without it targets get the whole program.

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is compiled: a change in it makes another program.
const SOURCE: [&str; 4] = ["src", "Cargo.toml", "Cargo.lock", "build.rs"];

/// Where `git archive` writes the commit, and its time in seconds since 1970 (see `.gitattributes`).
const ARCHIVED: &str = "packaging/commit";

fn main() -> Result<(), Box<dyn Error>> {
    for_targets()?;
    println!("cargo::rerun-if-env-changed=HOIST_COMMIT");
    for path in SOURCE {
        println!("cargo::rerun-if-changed={path}");
    }
    let told = std::env::var("HOIST_COMMIT").ok().filter(|commit| !commit.is_empty());
    println!("cargo::rerun-if-changed={ARCHIVED}");
    let commit = told.or_else(commit).or_else(archived).unwrap_or_default();
    println!("cargo::rustc-env=HOIST_BUILD_COMMIT={}", commit.lines().next().unwrap_or_default());
    Ok(())
}

/// Copies the build for targets to where the source includes it from.
fn for_targets() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=HOIST_FOR_TARGETS");
    let place = Path::new(&std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?).join("for-targets.zst");
    let Some(packed) = std::env::var_os("HOIST_FOR_TARGETS").filter(|path| !path.is_empty()) else {
        println!("cargo::rustc-env=HOIST_FOR_TARGETS_SHA256=");
        println!("cargo::rustc-env=HOIST_FOR_TARGETS_BYTES=0");
        return Ok(std::fs::write(place, "")?);
    };
    let packed = PathBuf::from(packed);
    println!("cargo::rerun-if-changed={}", packed.display());
    let cannot = |error| format!("HOIST_FOR_TARGETS: cannot read {}: {error}", packed.display());
    let content = std::fs::read(&packed).map_err(cannot)?;
    if content.get(4).is_none_or(|descriptor| descriptor & ZSTD_CHECKSUM == 0) {
        return Err("HOIST_FOR_TARGETS: it has no checksum, by which targets know that it is whole".into());
    }
    std::fs::write(&place, content)?;
    let (digest, bytes) = unpacked(&place)?;
    println!("cargo::rustc-env=HOIST_FOR_TARGETS_SHA256={digest}");
    println!("cargo::rustc-env=HOIST_FOR_TARGETS_BYTES={bytes}");
    Ok(())
}

/// In the frame header descriptor, behind the four bytes that begin a file by zstd (RFC 8878, section 3.1.1.1.1).
const ZSTD_CHECKSUM: u8 = 0x04;

/// The SHA-256 digest of what a file by zstd contains and how many bytes that is, so that the program need not unpack it to
/// know.
fn unpacked(packed: &Path) -> Result<(String, u64), Box<dyn Error>> {
    let place = packed.with_extension("unpacked");
    let zstd = Command::new("zstd").arg("-dc").stdin(File::open(packed)?).stdout(File::create(&place)?).status()?;
    let hashed = Command::new("sha256sum").stdin(File::open(&place)?).output()?;
    if !zstd.success() || !hashed.status.success() {
        return Err("HOIST_FOR_TARGETS: zstd and sha256sum cannot read it".into());
    }
    let digest = String::from_utf8(hashed.stdout)?;
    let digest = digest.split_whitespace().next().ok_or("sha256sum printed nothing")?.to_owned();
    Ok((digest, std::fs::metadata(&place)?.len()))
}

/// The commit that is checked out, `-dirty` behind it where the source differs from it. `None`: this is no checkout of
/// ours, a source archive within another repository say.
fn commit() -> Option<String> {
    let top = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?);
    if top.canonicalize().ok()? != Path::new(".").canonicalize().ok()? {
        return None;
    }
    // Both change with what is checked out: the first with another branch, the second with another commit.
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changes = git(&[&["status", "--porcelain", "--"][..], &SOURCE].concat())?;
    Some(if changes.is_empty() { commit } else { format!("{commit}-dirty") })
}

/// The commit of the archive that this is.
fn archived() -> Option<String> {
    let commit = std::fs::read_to_string(ARCHIVED).ok()?.lines().next()?.get(..12)?.to_owned();
    commit.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(commit)
}

/// What a git command prints; `None` where there is no git, or it fails.
fn git(arguments: &[&str]) -> Option<String> {
    // Without locks: a build writes nothing into the repository. Whoever owns it, its code is what is being run.
    let output =
        Command::new("git").args(["--no-optional-locks", "-c", "safe.directory=*"]).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}
