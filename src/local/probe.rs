//! The first look at a target, which changes nothing, and the keeper that stays behind.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::time::Duration;

use crate::wire::{Ended, Facts, KeeperLine, Request, Revision, TargetEvent};

use super::cache;
use super::deadline::Deadline;
use super::extras;
use super::fault::{Fault, plain};
use super::fence;
use super::files;
use super::keeper;
use super::layout::Layout;
use super::lease;
use super::lfs;
use super::lock::{self, RunLock};
use super::out::Out;
use super::process::Feed;
use super::scap_process;
use super::submodules;
use super::sys;

/// Cached commits that are told of, at the most.
const CACHED: usize = 200;

/// The same for commits of submodules, of which a revision may have hundreds.
const SUBMODULES: usize = 5000;

/// A keeper's line is a word.
const LINE: u64 = 4096;

/// Everything a target says of itself.
pub fn facts(layout: &Layout, request: &Request, deadline: Deadline) -> Result<Facts, Fault> {
    let has_extras = |revision: &Revision| request.kept || extras::are_in(&request.extras, &layout.rev(revision));
    let (free_bytes, free_inodes) = free_space(layout)?;
    Ok(Facts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        state: layout.state(),
        revisions: layout.revisions().into_iter().filter(has_extras).collect(),
        cached: cached(layout, deadline)?,
        lacks: lfs::lacks(layout, &request.large_files),
        locked: lock::holder(&lock::run_path(layout)).map(|note| note.holder),
        scap: scap_process::at_work(layout).map(Box::new),
        free_bytes,
        free_inodes,
        newest: fence::newest(layout).map(Box::new),
        lease: lease::facts(layout).map(Box::new),
    })
}

/// The free space where the deploy directory is, or will be.
fn free_space(layout: &Layout) -> Result<(u64, Option<u64>), Fault> {
    let mut place = layout.root();
    while !place.exists() {
        place = files::parent(place);
    }
    sys::free_space(place)
        .map_err(|error| Fault::Failed(format!("cannot look at {}: {}", place.display(), plain(&error))))
}

/// The commits in the cache, submodules' last: first those that Hoist keeps there, then those with a working tree, then whatever refs a
/// cache of Scap's has, the newest of its tags first. Two git processes; none without a cache.
///
/// A cache in a bad way is no reason to fail: what is not told of is sent again.
fn cached(layout: &Layout, deadline: Deadline) -> Result<Vec<Revision>, Fault> {
    let Some(git) = cache::open(layout, deadline) else { return Ok(Vec::new()) };
    let args = ["for-each-ref", "--sort=-refname", "--format=%(objectname) %(refname)"];
    let answer = git.call(&args, Feed::Nothing)?;
    if !answer.exit.is_ok() {
        return Ok(Vec::new());
    }
    let refs: Vec<(&str, &str)> = answer.output.lines().filter_map(|line| line.split_once(' ')).collect();
    let (inner, refs): (Vec<_>, Vec<_>) = refs.into_iter().partition(|(_, name)| name.starts_with(submodules::REFS));
    let (ours, others): (Vec<_>, Vec<_>) = refs.into_iter().partition(|(_, name)| name.starts_with("refs/hoist/"));
    let mut known = BTreeSet::new();
    let mut names = Vec::new();
    let trees = layout.folders().into_iter().map(String::from);
    let ours = ours.into_iter().map(|(name, _)| name.to_owned());
    let others = others.into_iter().filter(|(_, name)| !name.starts_with("refs/hoist-incoming/"));
    for name in ours.chain(trees).chain(others.map(|(name, _)| name.to_owned())) {
        if names.len() < CACHED && known.insert(name.clone()) {
            names.push(name);
        }
    }
    let inner: BTreeSet<&str> = inner.into_iter().map(|(commit, _)| commit).collect();
    names.extend(inner.into_iter().take(SUBMODULES).map(str::to_owned));
    match git.present(&names) {
        Ok(present) => {
            let mut seen = BTreeSet::new();
            let revisions = present.iter().filter_map(|name| name.parse().ok());
            Ok(revisions.filter(|revision: &Revision| seen.insert(revision.clone())).collect())
        }
        Err(Fault::TimedOut(seconds)) => Err(Fault::TimedOut(seconds)),
        Err(_) => Ok(Vec::new()),
    }
}

/// Answers a probe, then keeps the lock for the deployer, once it asks for it, until its connection ends.
pub fn run(layout: &Layout, request: &Request, out: &Out, mut input: impl BufRead) -> u8 {
    let failed = |fault: Fault| {
        out.event(&TargetEvent::Ended { outcome: Ended::from(fault), state: layout.state() });
        out.flush(Duration::from_secs(5));
        1
    };
    match facts(layout, request, Deadline::after(request.timeout)) {
        Ok(facts) => out.event(&TargetEvent::Facts(facts)),
        Err(fault) => return failed(fault),
    }
    let mut held: Option<RunLock> = None;
    loop {
        let mut line = String::new();
        let mut limited = std::io::Read::take(&mut input, LINE);
        match limited.read_line(&mut line) {
            Ok(0) | Err(_) => {
                out.flush(Duration::from_secs(5));
                return 0;
            }
            Ok(_) => {}
        }
        match serde_json::from_str(line.trim()) {
            Ok(KeeperLine::Hold) if held.is_some() => out.event(&TargetEvent::Held),
            Ok(KeeperLine::Renew) => lease::renew(layout, &request.holder.run),
            Ok(KeeperLine::Hold) => match hold(layout, request) {
                Ok(lock) => {
                    held = Some(lock);
                    lease::renew(layout, &request.holder.run);
                    keeper::take_over(layout, &request.holder.run);
                    out.event(&TargetEvent::Held);
                }
                Err(fault) => return failed(fault),
            },
            Err(_) => {
                return failed(Fault::failed("the deployer sent a line that this hoist does not know; update it here"));
            }
        }
    }
}

fn hold(layout: &Layout, request: &Request) -> Result<RunLock, Fault> {
    sys::set_umask(request.umask);
    let held = RunLock::take(layout, &request.holder, false)?;
    fence::check(layout, &request.holder)?;
    // A stage of another run may be at work still, its own keeper gone with its connection.
    match lock::holder(&lock::stage_path(layout)) {
        Some(note) if note.holder.run != request.holder.run => Err(Fault::Locked(Box::new(note.holder))),
        _ => {
            fence::remember(layout, &request.holder)?;
            Ok(held)
        }
    }
}
