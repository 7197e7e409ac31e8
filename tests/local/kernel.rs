//! Old kernels: which system calls Hoist uses on a target, and that it does without the young ones.
//!
//! The manual page has the list. It is that of x86_64; other processors have other names for the oldest ones.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use hoist::wire::{Fetch, Request, Stage, StageRequest, Unlock};

use crate::harness::*;
use crate::shared::{before, put, wanted};

/// The calls in the blocks of the manual page: those that a target has to have, and those that are done without.
fn documented() -> (BTreeSet<String>, BTreeSet<String>) {
    let page = include_str!("../../man/hoist-deploy-local.1");
    let (_, section) = page.split_once(".Sh SYSTEM CALLS").unwrap();
    let (section, _) = section.split_once("\n.Sh ").unwrap();
    let (_, block) = section.split_once(".Bd -filled -offset indent\n").unwrap();
    let (required, rest) = block.split_once(".Ed").unwrap();
    let optional = rest.lines().filter_map(|line| line.strip_prefix(".It ")?.split(' ').next());
    (required.split_whitespace().map(str::to_owned).collect(), optional.map(str::to_owned).collect())
}

/// A process number, and what it did.
fn parts(line: &str) -> Option<(u32, &str)> {
    let (process, rest) = line.split_once(' ')?;
    Some((process.parse().ok()?, rest.trim_start()))
}

/// The calls of Hoist's own processes in strace's log, up to where they become another program, as it writes them.
pub fn own_calls(log: &str) -> Vec<&str> {
    let lines: Vec<(u32, &str)> = log.lines().filter_map(parts).collect();
    let is_birth =
        |call: &str| ["clone", "fork", "vfork", "<... clone", "<... vfork"].iter().any(|it| call.starts_with(it));
    // When each process became another program, and who was begun by whom.
    let mut foreign: BTreeMap<u32, usize> = BTreeMap::new();
    for (at, (process, call)) in lines.iter().enumerate() {
        if call.starts_with("execve(") && call.ends_with("= 0") && !call.contains(HOIST) {
            foreign.entry(*process).or_insert(at);
        }
        let child = call.rsplit_once("= ").and_then(|(_, number)| number.parse().ok());
        if let Some(child) = child.filter(|_| is_birth(call))
            && foreign.contains_key(process)
        {
            foreign.insert(child, 0);
        }
    }
    let ours =
        lines.iter().enumerate().filter(|(at, (process, _))| foreign.get(process).is_none_or(|since| at < since));
    ours.map(|(_, (_, call))| *call).collect()
}

/// Their names.
fn calls(log: &str) -> BTreeSet<String> {
    let names = own_calls(log).into_iter().filter_map(|call| call.split_once('(')).map(|(name, _)| name.to_owned());
    names.filter(|name| name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_')).collect()
}

/// Runs a request under strace(1) with these options.
pub fn traced(log: &Path, options: &[&str], request: &Request, pack: &[u8]) -> Reply {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-A", "-o"]).arg(log).args(options).args([HOIST, "deploy-local"]);
    let mut child = spawn_by(command, request);
    let _ = child.stdin.take().unwrap().write_all(pack);
    reply(child)
}

/// A deployment from the probe to the end, one that is rolled back, and a lock that is cleared.
fn whole_stages(options: &[&str]) -> BTreeSet<String> {
    let (target, one, two) = before();
    let log = target.dir.path().join("strace.log");
    let run = |request: &Request, pack: &[u8]| traced(&log, options, request, pack);
    let configured = |run: &str, revision| {
        let mut request = wanted(&target, run, revision);
        request.config_files = Some(vec![config_file(&target.etc("app.conf"), "t")]);
        request.templates.insert("t".to_owned(), run.to_owned());
        request
    };
    let stage = |request: &StageRequest, stage| {
        let ended = run(&asked(request, stage, 0), b"");
        assert_eq!(ended.ended().0, &Ok(()), "{stage}: {ended:#?}");
    };
    let fetch = |request: &StageRequest| {
        let pack = target.pack(&request.revision, &[]);
        let mut request = request.clone();
        request.fetch = Some(Fetch { pack_bytes: Some(pack.len() as u64), ..Default::default() });
        let ended = run(&asked(&request, Stage::Fetch, 0), &pack);
        assert_eq!(ended.ended().0, &Ok(()), "{ended:#?}");
    };
    let request = configured("r2", &two);
    // Content on both sides is merged as well.
    put(crate::shared::shared(&target, "uploads/deep/dog.jpg"), "dog");
    let probed = run(&Request::Probe(preflight_of(&request)), b"");
    assert_eq!(findings(&probed), [], "{probed:#?}");
    fetch(&request);
    for one in [Stage::ConfigDeploy, Stage::Promote, Stage::Finalize] {
        stage(&request, one);
    }
    assert_eq!(crate::shared::text(target.live().join("uploads/deep/cat.jpg")), "cat");
    assert_eq!(crate::shared::text(target.live().join("uploads/deep/dog.jpg")), "dog");
    let three = target.commit(&[("a", "3")]);
    let next = configured("r3", &three);
    fetch(&next);
    stage(&next, Stage::ConfigDeploy);
    stage(&next, Stage::Promote);
    stage(&StageRequest { restore: Some(two.clone()), ..next.clone() }, Stage::Rollback);
    let state = target.facts(&next).state;
    assert_eq!((state.current.as_ref(), state.done.as_ref()), (Some(&two), Some(&two)), "{one}");
    let mut holder = LockHolder::start(&next);
    assert_eq!(holder.hold(), hoist::wire::TargetEvent::Held);
    let held = Some(next.header.holder.run.clone());
    let unlocked = run(&Request::Unlock(Unlock { header: next.header.clone(), held }), b"");
    assert_eq!(unlocked.ended().0, &Ok(()), "{unlocked:#?}");
    holder.end();
    calls(&std::fs::read_to_string(log).unwrap())
}

#[test]
fn a_target_needs_no_system_call_that_linux_3_10_lacks() {
    if std::env::consts::ARCH != "x86_64" || Command::new("strace").arg("-V").output().is_err() {
        eprintln!("there is no strace, or no list for this processor; nothing is tested");
        return;
    }
    let (required, optional) = documented();
    assert!(required.len() > 50 && optional.len() > 5, "{required:?} {optional:?}");
    let used = whole_stages(&[]);
    let unknown: Vec<&String> =
        used.iter().filter(|call| !required.contains(*call) && !optional.contains(*call)).collect();
    assert!(unknown.is_empty(), "{unknown:?}: which kernel has them? add them to hoist-deploy-local(1), SYSTEM CALLS");
    assert!(["fsync", "renameat", "renameat2", "pidfd_open"].iter().all(|call| used.contains(*call)), "{used:?}");
    // A kernel without any of the young ones.
    let all: Vec<&str> = optional.iter().map(String::as_str).collect();
    whole_stages(&["-e", &format!("inject={}:error=ENOSYS", all.join(","))]);
}
