//! Archives that a target downloads by itself, from servers that are as they should be and from others.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hoist::wire::{ArtifactRules, ArtifactSource, Fetch, Revision, Stage, StageRequest};

use crate::harness::*;
use crate::http::{Head, Server};
use crate::trouble::on_small;

const RULES: ArtifactRules = ArtifactRules { strip_components: 0, max_bytes: 1 << 30, outside_links: false };

/// An archive, its digest, and the revision that it is.
struct Archive {
    bytes: Arc<Vec<u8>>,
    sha256: String,
    revision: Revision,
}

fn sh(line: &str, dir: &Path) -> String {
    let output = Command::new("bash").args(["-ec", line]).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// An archive with so much in it that cannot be compressed.
fn archive(kilobytes: usize) -> Archive {
    let dir = tempfile::tempdir().unwrap();
    let make = format!(
        "mkdir app; head -c {kilobytes}K /dev/urandom >app/random; echo 2 >app/a; tar -C app -czf app.tgz .; git init -q --bare store"
    );
    sh(&make, dir.path());
    let path = dir.path().join("app.tgz");
    let imported = hoist::artifact::import(&path, &dir.path().join("store"), &RULES, &|| Ok(())).unwrap();
    let (bytes, sha256) = (Arc::new(fs::read(path).unwrap()), imported.sha256.unwrap());
    Archive { bytes, sha256, revision: imported.commit.parse().unwrap() }
}

impl Archive {
    fn request(&self, target: &Target, run: &str, server: &Server, place: &str) -> StageRequest {
        let url = format!("http://me:s3cret@{}/{place}?key=s3cret", server.address());
        let (sha256, bytes) = (self.sha256.clone(), Some(self.bytes.len() as u64));
        let source = Some(Box::new(ArtifactSource { url, sha256, bytes, proxy: None, rules: RULES }));
        let fetch = Some(Fetch { artifact: source, ..Fetch::default() });
        let origin = serde_json::json!({
            "kind": "url", "from": "http://127.0.0.1/app.tgz", "user": "ada", "deploy_host": "deploy1", "at": "2026-01-01T00:00:00Z"
        });
        let origin = Some(serde_json::from_value(origin).unwrap());
        StageRequest { fetch, origin, ..target.request(run, &self.revision) }
    }

    /// A server that answers by the first word of the path.
    fn server(&self) -> Server {
        let bytes = self.bytes.clone();
        Server::answering(move |head, stream| answer(&bytes, head, stream))
    }
}

fn answer(archive: &[u8], head: &Head, mut stream: &TcpStream) -> io::Result<()> {
    let how = head.line.split(['/', '?', ' ']).nth(2).unwrap_or_default();
    let half = archive.len() / 2;
    let whole = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let moved = |to: &str| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
    let until_it_goes = |mut stream: &TcpStream| stream.read_to_end(&mut Vec::new()).map(drop);
    match how {
        "good" => {
            stream.write_all(whole(archive.len()).as_bytes())?;
            stream.write_all(archive)
        }
        "moved" => stream.write_all(moved("/good?key=s3cret").as_bytes()),
        "circle" => stream.write_all(moved("/circle?key=s3cret").as_bytes()),
        "elsewhere" => stream.write_all(moved("ftp://me:s3cret@127.0.0.1/x").as_bytes()),
        "nowhere" => stream.write_all(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"),
        "cut" => {
            stream.write_all(whole(archive.len()).as_bytes())?;
            stream.write_all(&archive[..half])
        }
        "other" => {
            stream.write_all(whole(half).as_bytes())?;
            stream.write_all(&archive[half..half * 2])
        }
        "longer" => stream.write_all(whole(archive.len() + 1).as_bytes()),
        "endless" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            while stream.write_all(archive).is_ok() {}
            Ok(())
        }
        "silent" => until_it_goes(stream),
        "stalls" => {
            stream.write_all(whole(archive.len()).as_bytes())?;
            stream.write_all(&archive[..half])?;
            until_it_goes(stream)
        }
        "drips" => {
            stream.write_all(whole(archive.len()).as_bytes())?;
            archive.chunks(100).try_for_each(|drop| {
                std::thread::sleep(Duration::from_millis(50));
                stream.write_all(drop)
            })
        }
        _ => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
    }
}

/// Whether something is being written to a repository in a folder.
fn has_half_a_pack(folder: &Path) -> bool {
    let is_half = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => has_half_a_pack(&entry.path()),
        _ => entry.file_name().to_string_lossy().starts_with("tmp_pack_"),
    };
    fs::read_dir(folder).into_iter().flatten().flatten().any(is_half)
}

fn fetch(request: &StageRequest) -> Reply {
    call(&asked(request, Stage::Fetch, 0), b"")
}

/// What lies in a target's folder, beside the records of its runs.
fn left(target: &Target) -> Vec<PathBuf> {
    let listing = sh("find . -path ./.hoist -prune -o -print | sort", &target.root());
    listing.lines().map(PathBuf::from).collect()
}

/// The archive is fetched from a server that is as it should be, and nothing else is left.
#[track_caller]
fn goes_well(target: &Target, archive: &Archive, server: &Server, run: &str) {
    fetch(&archive.request(target, run, server, "good")).ok();
    assert_eq!(sh("cat a; stat -c %s random", &target.rev(&archive.revision)).lines().next(), Some("2"));
    let cache = git(&target.cache(), &["fsck", "--no-dangling"]);
    assert_eq!(cache, "", "the cache is whole");
    let odd = sh("find . -name 'tmp_*' -o -name '*beside*' -o -name '*download*' -o -name '.tmp*'", &target.root());
    assert_eq!(odd, "");
}

#[test]
fn a_download_that_fails_is_told_with_its_url_leaves_nothing_and_the_next_one_goes_well() {
    let archive = archive(200);
    let server = archive.server();
    let failing = |place: &str, words: &str| {
        let (target, one, request) = Target::with_one();
        target.promote(&request);
        let before = left(&target);
        // Time is over for the slow ones alone.
        let seconds = if matches!(place, "silent" | "stalls" | "drips") { 2 } else { 60 };
        let reply = fetch(&within(seconds, archive.request(&target, "r2", &server, place)));
        let (reason, all) = (reply.reason(), format!("{reply:?}"));
        let (url, size) = (format!("http://{}/{place}", server.address()), archive.bytes.len());
        assert!(
            reason.contains(&url) && reason.contains(&words.replace("SIZE", &size.to_string())),
            "{place}: {reason}"
        );
        assert!(!all.contains("s3cret"), "{place}: {all}");
        assert_eq!(left(&target), before, "{place}");
        assert_eq!(reply.state().current.as_ref(), Some(&one));
        goes_well(&target, &archive, &server, "r3");
    };
    let cases = [
        ("missing", "the server answered 404"),
        ("circle", "redirects more than 5 times"),
        ("elsewhere", "redirects to no address of http or https"),
        ("nowhere", "missing a location header"),
        ("cut", "the connection was lost after "),
        ("other", "has the SHA-256 "),
        ("longer", "bytes or more, and should have SIZE"),
        ("endless", "bytes or more, and should have SIZE"),
        ("silent", "timed out after 2 s"),
        ("stalls", "timed out after 2 s"),
        ("drips", "timed out after 2 s"),
    ];
    std::thread::scope(|scope| {
        let tries: Vec<_> = cases.map(|(place, words)| scope.spawn(|| failing(place, words))).into();
        tries.into_iter().for_each(|it| it.join().unwrap());
    });
    let (target, ..) = Target::fetched();
    fetch(&archive.request(&target, "r2", &server, "moved")).ok();
    assert!(target.rev(&archive.revision).join("random").exists(), "a redirect is followed");
}

#[test]
fn a_download_or_an_import_that_is_killed_leaves_nothing_and_the_next_one_goes_well() {
    let archive = archive(8000);
    let server = archive.server();
    for has_cache in [true, false] {
        let (target, one, request) = Target::with_one();
        if has_cache {
            target.promote(&request);
        }
        let kill_when = |run: &str, place: &str, so: &dyn Fn(u32) -> bool| {
            let mut child = spawn(&asked(&archive.request(&target, run, &server, place), Stage::Fetch, 0));
            until(|| so(child.id()));
            child.kill().unwrap();
            child.wait().unwrap();
            let state = target.facts(&target.request("r8", &one)).state;
            assert_eq!(state.current.as_ref(), has_cache.then_some(&one));
        };
        let has_half = |pid: u32| {
            let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            let sizes = open.filter_map(|file| Some(fs::metadata(file.path()).ok()?.len()));
            sizes.into_iter().any(|size| size == archive.bytes.len() as u64 / 2)
        };
        kill_when("r2", "stalls", &has_half);
        assert_eq!(sh("find . -size +100k", &target.root()), "", "the archive is gone with its process");
        kill_when("r3", "good", &|_| has_half_a_pack(&target.root()));
        goes_well(&target, &archive, &server, "r4");
    }
}

#[test]
fn a_disk_that_fills_up_in_a_download_or_an_import_is_told_and_the_next_one_goes_well() {
    let archive = archive(3000);
    let server = archive.server();
    for (size, words) in [("2m", "cannot write to "), ("5m", "the disk is full: git fast-import in ")] {
        let Some((target, small)) = on_small(&format!("size={size}")) else { return };
        let one = target.commit(&[("a", "1")]);
        target.promote(&target.request("r1", &one));
        let there = left(&target);
        let reply = fetch(&archive.request(&target, "r2", &server, "good"));
        assert!(reply.reason().contains(words), "{size}: {reply:?}");
        assert!(size == "5m" || reply.reason().ends_with("No space left on device"), "{reply:?}");
        assert_eq!(left(&target), there, "{size}");
        small.resize("20m");
        goes_well(&target, &archive, &server, "r3");
    }
}

/// How many bytes of objects the cache has.
fn stored(target: &Target) -> u64 {
    sh("cat objects/pack/*.pack | wc -c", &target.cache()).trim().parse().unwrap()
}

#[test]
fn objects_of_artifacts_go_with_the_trees_that_are_kept_and_not_before() {
    let (first, second) = (archive(5000), archive(1000));
    let (server, other) = (first.server(), second.server());
    let (target, _, request) = Target::with_one();
    target.deploy(&request);
    let deployed = |archive: &Archive, server: &Server, name: &str, cache_revs: usize| {
        let request = StageRequest { cache_revs, ..archive.request(&target, name, server, "good") };
        for stage in [Stage::Fetch, Stage::Promote, Stage::Finalize] {
            run(&request, stage).ok();
        }
        let before = stored(&target);
        LockHolder::start(&request).over();
        git(&target.rev(&archive.revision), &["fsck", "--no-dangling"]);
        (before, stored(&target))
    };
    deployed(&first, &server, "r2", 1);
    let (before, after) = deployed(&second, &other, "r3", 1);
    assert_eq!(before, after, "a rollback may need it");
    let back = StageRequest { kept: true, ..target.request("r4", &first.revision) };
    run(&back, Stage::Promote).ok();
    run(&back, Stage::Finalize).ok();
    assert_eq!(fs::metadata(target.live().join("random")).unwrap().len(), 5000 << 10);
    let (before, after) = deployed(&second, &other, "r5", 0);
    assert!(before > 6_000_000 && after < 1_200_000, "{before} {after}");
    assert!(!target.rev(&first.revision).exists());
    goes_well(&target, &first, &server, "r6");
}
