//! Large files on their way into the store, and trees that are to have submodules.

use std::fs;

use hoist::wire::{ExternalContent, Fetch, LargeFile, Request, Stage, StageRequest, SubmoduleSource};

use crate::harness::*;

/// Of `hi` and `ho!`, each with a newline.
const HI: &str = "98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4";
const HO: &str = "8456acf84ccaba0f81485933e3d6b5fa09f79cdbe8633fbbf92af381dbe620fe";

fn with_files(target: &Target, run: &str, files: &[LargeFile]) -> (StageRequest, Vec<u8>) {
    let revision = target.commit(&[("a", run)]);
    let pack = target.pack(&revision, &[]);
    let fetch = Fetch { large_files: files.to_vec(), pack_bytes: Some(pack.len() as u64), ..Default::default() };
    (StageRequest { fetch: Some(fetch), ..target.request(run, &revision) }, pack)
}

#[test]
fn large_files_ahead_of_the_pack_are_stored_and_no_longer_lacked() {
    let target = Target::new();
    let hi = LargeFile::new(HI, 3).unwrap();
    let (request, pack) = with_files(&target, "r1", std::slice::from_ref(&hi));
    let asking = probe_for(&target.request("r1", &request.revision), vec![hi.clone()]);
    assert_eq!(facts(asking.clone()).lacks, std::slice::from_ref(&hi));
    call(&asked(&request, Stage::Fetch, 0), &[b"hi\n", &pack[..]].concat()).ok();
    assert_eq!(fs::read(target.root().join("lfs/objects").join(hi.path())).unwrap(), b"hi\n");
    assert_eq!(facts(asking.clone()).lacks, []);
    assert!(target.rev(&request.revision).join("a").exists());
}

#[test]
fn a_large_file_that_came_half_or_damaged_is_none_and_those_before_it_stay() {
    let target = Target::new();
    let (hi, ho) = (LargeFile::new(HI, 3).unwrap(), LargeFile::new(HO, 4).unwrap());
    let (request, pack) = with_files(&target, "r1", &[hi.clone(), ho.clone()]);
    let reply = call(&asked(&request, Stage::Fetch, 0), b"hi\nho");
    assert_eq!(reply.reason(), "a large file ended after 2 of 4 bytes; the connection to the deploy host was lost");
    let (request, _) = with_files(&target, "r2", std::slice::from_ref(&ho));
    let reply = call(&asked(&request, Stage::Fetch, 0), &[b"what", &pack[..]].concat());
    assert!(reply.reason().starts_with(&format!("the large file {HO} is damaged")), "{reply:?}");
    let asking = probe_for(&target.request("r2", &request.revision), vec![hi, ho.clone()]);
    assert_eq!(facts(asking.clone()).lacks, [ho]);
    assert_eq!(fs::read_dir(target.root().join("lfs")).unwrap().count(), 1, "nothing is left behind");
    assert!(!target.root().join("cache").exists());
}

#[test]
fn a_probe_that_asks_for_very_many_large_files_is_answered_in_lines_of_bounded_length() {
    let target = Target::new();
    let revision = target.commit(&[("a", "1")]);
    let wanted: Vec<_> = (0..20_000).map(|n| LargeFile::new(&format!("{n:064x}"), n).unwrap()).collect();
    let asking = probe_for(&target.request("r1", &revision), wanted.clone());
    assert_eq!(facts(asking.clone()).lacks, wanted);
    let lines = lines_of(&Request::Probe(asking));
    assert!(lines.len() > 10 && lines.iter().all(|line| line.len() <= 256 << 10), "{} lines", lines.len());
}

#[test]
fn a_name_of_a_large_file_that_leads_elsewhere_is_no_request() {
    for oid in ["../../../../etc/passwd", &HI.to_uppercase(), &HI[1..], ""] {
        assert!(LargeFile::new(oid, 1).is_err(), "{oid}");
        let json = format!("[{oid:?},1]");
        assert!(serde_json::from_str::<LargeFile>(&json).is_err(), "{oid}");
    }
}

/// A commit whose tree has a link `a`, and a folder `a` with a submodule in it, which no git would make.
#[test]
fn a_link_on_the_way_to_a_submodule_leads_nowhere() {
    let target = Target::new();
    let outside = target.dir.path().join("outside");
    fs::create_dir_all(&outside).unwrap();
    let inner = target.commit(&[("code", "1")]);
    let source = target.source();
    let file = |name: &str, content: &str| {
        let path = target.dir.path().join(name);
        fs::write(&path, content).unwrap();
        git(&source, &["hash-object", "-w", path.to_str().unwrap()])
    };
    let link = file("link", outside.to_str().unwrap());
    let modules = file("modules", "[submodule \"m\"]\n\tpath = a/b\n\turl = https://example.org/m\n");
    let make = |name: &str, listing: &str| {
        let path = target.dir.path().join(name);
        fs::write(&path, listing).unwrap();
        let mut mktree = std::process::Command::new("git");
        mktree.args(["mktree", "--missing"]).current_dir(&source).stdin(fs::File::open(&path).unwrap());
        String::from_utf8(mktree.output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let folder = make("one", &format!("160000 commit {inner}\tb\n"));
    let listing = format!("100644 blob {modules}\t.gitmodules\n120000 blob {link}\ta\n040000 tree {folder}\ta\n");
    let tree = make("two", &listing);
    let bad: hoist::wire::Revision = git(&source, &["commit-tree", "-m", "bad", &tree]).parse().unwrap();
    let mut pack = target.pack(&inner, &[]);
    let mut request = target.request("r1", &inner);
    let with = |pack: &[u8]| Some(Fetch { pack_bytes: Some(pack.len() as u64), ..Default::default() });
    request.fetch = with(&pack);
    call(&asked(&request, Stage::Fetch, 0), &pack).ok();
    pack = target.pack(&bad, &[]);
    request = target.request("r2", &bad);
    request.fetch = with(&pack);
    request.extras = ExternalContent { submodules: Some(SubmoduleSource::Session), ..Default::default() };
    let nothing_outside = || assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "something was written there");
    call(&asked(&request, Stage::Fetch, 0), &pack);
    nothing_outside();
    // Nor does one that somebody put there later, whether the tree is checked out again or only completed.
    let folder = target.rev(&bad).join("a");
    for force in [true, false] {
        fs::remove_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink(&outside, &folder).unwrap();
        fs::remove_file(target.rev(&bad).join(".git/hoist-extras")).unwrap();
        request.force = force;
        let reply = call(&asked(&request, Stage::Fetch, 1 + u32::from(force)), &pack);
        nothing_outside();
        assert!(force || reply.reason().contains("is not a directory, but the path of submodule a/b"), "{reply:?}");
    }
}
