//! The first look at a target, which changes nothing, and the lock holder that stays behind.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::wire::{Confirmation, Facts, Header, Lacking, LockHolderLine, Probe, Revision, TargetEvent};

use super::abort;
use super::fault::{Fault, plain};
use super::lock_holder;
use super::os::deadline::Deadline;
use super::os::files;
use super::os::process::Feed;
use super::os::sys;
use super::out::Out;
use super::preflight;
use super::running;
use super::shared;
use super::stages::tidy;
use super::stages::tidy::Tidying;
use super::started;
use super::state::claim;
use super::state::confirmed;
use super::state::fence;
use super::state::fitness;
use super::state::layout::{Layout, Link};
use super::state::lease;
use super::state::lock;
use super::state::lock::{Found, LockAttempt, Note, RunLock};
use super::state::moved_on;
use super::state::moved_on::Known;
use super::state::observed;
use super::state::record;
use super::state::scap_process;
use super::tree::artifact;
use super::tree::cache;
use super::tree::external;
use super::tree::git::Git;
use super::tree::lfs;
use super::tree::refs;
use super::tree::refs::Refs;
use super::tree::submodules;
use super::tree::verify;

/// Cached commits that are told of, at the most.
const CACHED: usize = 200;

/// The same for commits of submodules, of which a revision may have hundreds.
const SUBMODULES: usize = 5000;

/// Files that a tree lacks which are named, at the most.
const LACKING: usize = 100;

/// A lock holder's line is a word.
const LINE: u64 = 4096;

/// Everything a target says of itself.
pub fn facts(layout: &Layout, probe: &Probe, deadline: Deadline) -> Result<Facts, Fault> {
    let (deployment, run) = (probe.deployment.as_ref(), &probe.header.holder.run);
    let has_extras = |revision: &Revision| {
        deployment.is_none_or(|it| it.kept || external::are_in(&it.extras, &layout.rev(revision)))
    };
    let locks = [lock::run_path(layout), lock::stage_path(layout)].map(|path| lock::look(&path));
    let stranger = locks.iter().find_map(|found| match found {
        Found::Stranger(who) => Some(who.clone()),
        Found::Nobody | Found::Run(_) => None,
    });
    let locked = match &locks[0] {
        Found::Run(note) => Some(note.holder.clone()),
        Found::Nobody | Found::Stranger(_) => None,
    };
    let claimed = claim::holder(layout).filter(|_| locked.is_none());
    let (free_bytes, free_inodes) = free_space(layout)?;
    let confirmation = match (&probe.confirm, deployment) {
        (Some(wanted), None) => confirmed::confirm_wanted(layout, &probe.header.holder, wanted),
        _ => confirmed::confirmation(layout),
    };
    let ahead = deployment.and_then(|it| Some((it, it.preflight.as_deref()?)));
    Ok(Facts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        takes_requests: true,
        state: observed::look(layout)?,
        revisions: layout.revisions().into_iter().filter(has_extras).collect(),
        cached: cached(layout, deadline)?,
        lacks: lfs::lacks(layout, deployment.map_or(&[][..], |it| &it.large_files)),
        is_claim: claimed.is_some(),
        locked: locked.or(claimed),
        stranger,
        place: place(layout),
        scap: scap_process::at_work(layout).map(Box::new),
        free_bytes,
        free_inodes,
        newest: fence::newest(layout).map(Box::new),
        lease: lease::facts(layout).map(Box::new),
        lacking: if probe.verify { Some(lacking(layout, deadline)?) } else { None },
        tries: record::asked_for(layout, run),
        before: record::before(layout, run).map(Box::new),
        missing_stage: ahead.and_then(|ahead| preflight::missing_stage(layout, ahead)),
        findings: match ahead {
            Some(ahead) => preflight::findings(layout, ahead, &probe.header, deadline),
            None => Vec::new(),
        },
        running: match &probe.services {
            Some(service) => running::services(service, layout, deadline.at()),
            None => Vec::new(),
        },
        origin: layout.read(Link::Current).and_then(|current| artifact::origin(&layout.rev(&current))).map(Box::new),
        confirmation,
        unfit: fitness::trouble(layout),
    })
}

/// What the live tree lacks.
fn lacking(layout: &Layout, deadline: Deadline) -> Result<Lacking, Fault> {
    let Some(current) = layout.read(Link::Current) else { return Ok(Lacking::default()) };
    let mut files = verify::look(layout, &current, deadline)?.names();
    let dangling = shared::dangling(layout, &current).into_iter().filter(|path| !files.contains(path));
    let dangling: Vec<String> = dangling.collect();
    files.extend(dangling);
    let count = files.len();
    files.truncate(LACKING);
    Ok(Lacking { count, files })
}

/// The kernel that runs here, and the first folder on the way to the deploy directory that is there, by its inode. A
/// machine that is started anew, or copied, is another kernel; a container is another name or another file system.
fn place(layout: &Layout) -> Option<String> {
    let boot = sys::boot_id();
    let dir = layout.deploy_dir();
    let there = dir.ancestors().find(|folder| folder.exists())?;
    let (about, rest) = (std::fs::metadata(there).ok()?, dir.strip_prefix(there).ok()?.join(layout.repo()));
    let (device, inode) = (about.dev(), about.ino());
    (!boot.is_empty()).then(|| format!("{boot} {} {device:x}:{inode:x} {}", sys::host_name(), rest.display()))
}

/// The free space where the deploy directory is, or will be; the trees may be on another disk than the objects.
fn free_space(layout: &Layout) -> Result<(u64, Option<u64>), Fault> {
    let look = |mut place: &Path| {
        while !place.exists() {
            place = files::parent(place);
        }
        sys::free_space(place)
            .map_err(|error| Fault::failed(format!("cannot look at {}: {}", place.display(), plain(&error))))
    };
    let (objects, trees) = (look(layout.root())?, look(&layout.revs())?);
    let inodes = [objects.1, trees.1].into_iter().flatten().min();
    Ok((objects.0.min(trees.0), inodes))
}

/// The commits in the cache, submodules' last: first those that Hoist keeps there, then those with a working tree, then whatever refs a
/// cache of Scap's has, the newest of its tags first. Two git processes where there are such refs; else none.
///
/// A cache in a bad way is no reason to fail: what is not told of is sent again.
fn cached(layout: &Layout, deadline: Deadline) -> Result<Vec<Revision>, Fault> {
    let Some(git) = cache::open(layout, deadline) else { return Ok(Vec::new()) };
    let Some(refs) = refs_of(&git)? else { return Ok(Vec::new()) };
    let refs = refs.iter().rev().map(|(name, object)| (object.as_str(), name.as_str()));
    let (inner, refs): (Vec<_>, Vec<_>) = refs.partition(|(_, name)| name.starts_with(submodules::REFS));
    let (ours, others): (Vec<_>, Vec<_>) = refs.into_iter().partition(|(_, name)| name.starts_with("refs/hoist/"));
    let mut known = BTreeSet::new();
    let mut names = Vec::new();
    // Others may be tags.
    let are_commits = others.is_empty();
    let trees = layout.folders().into_iter().map(|revision| revision.to_string());
    let ours = ours.into_iter().map(|(name, _)| name.to_owned());
    let others = others.into_iter().filter(|(_, name)| !name.starts_with("refs/hoist-incoming/"));
    for name in ours.chain(trees).chain(others.map(|(name, _)| name.to_owned())) {
        if names.len() < CACHED && known.insert(name.clone()) {
            names.push(name);
        }
    }
    let inner: BTreeSet<&str> = inner.into_iter().map(|(commit, _)| commit).collect();
    names.extend(inner.into_iter().take(SUBMODULES).map(str::to_owned));
    let present = if are_commits { git.commits_present(&names) } else { git.present(&names) };
    match present {
        Ok(present) => {
            let mut seen = BTreeSet::new();
            let revisions = present.iter().filter_map(|name| name.parse().ok());
            Ok(revisions.filter(|revision: &Revision| seen.insert(revision.clone())).collect())
        }
        Err(Fault::TimedOut { seconds }) => Err(Fault::TimedOut { seconds }),
        Err(_) => Ok(Vec::new()),
    }
}

/// The refs of a repository; `None`: not even git can tell.
fn refs_of(git: &Git) -> Result<Option<Refs>, Fault> {
    if let Some(refs) = refs::read(git.dir()) {
        return Ok(Some(refs));
    }
    let answer = git.call(&["for-each-ref", "--format=%(refname) %(objectname)"], Feed::Nothing)?;
    let named = |line: &str| line.split_once(' ').map(|(name, object)| (name.to_owned(), object.to_owned()));
    Ok(answer.exit.is_ok().then(|| answer.text().lines().filter_map(named).collect()))
}

/// Answers a probe, then keeps the lock for the deployer, once it asks for it, until its connection ends.
pub fn run(layout: &Layout, probe: &Probe, out: &Out, mut input: impl BufRead) -> u8 {
    let run = &probe.header.holder.run;
    let failed = |fault: Fault| {
        out.event(&TargetEvent::Ended { outcome: Err(fault.bounded()), state: observed::look(layout).ok() });
        out.flush(Duration::from_secs(5));
        1
    };
    match facts(layout, probe, Deadline::after(probe.header.timeout)) {
        Ok(facts) => {
            out.timings(&probe.header);
            out.event(&TargetEvent::Facts(Box::new(facts)));
        }
        Err(fault) => return failed(fault),
    }
    let (mut held, mut process): (Option<RunLock>, _) = (None, None);
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
            Ok(LockHolderLine::Hold | LockHolderLine::Claim) if held.is_some() => out.event(&TargetEvent::Held),
            Ok(LockHolderLine::Start { number, bytes, private }) => {
                let began = Instant::now();
                match started::take(&mut input, bytes, private) {
                    Ok(request) => {
                        out.input_came(&probe.header, began.elapsed());
                        process = started::run(request, number, process.take(), layout, out);
                    }
                    // The connection is gone, and the request with it.
                    Err(_) => return 0,
                }
            }
            Ok(LockHolderLine::Renew) => lease::renew(layout, run),
            Ok(LockHolderLine::Over) if held.is_some() => tidy_up(layout, probe),
            Ok(LockHolderLine::Over) => {}
            Ok(LockHolderLine::Abort { stage, attempt }) => abort::run(layout, run, (stage, attempt)),
            // Who cannot be heard in this is told whose the claim is.
            Ok(LockHolderLine::Ended { run }) => drop(claim::give_up(layout, &run)),
            Ok(LockHolderLine::Release) => {
                // Whoever is kept out by what stays is told whose it is.
                let _ = claim::give_up(layout, run);
                held = None;
            }
            Ok(line @ (LockHolderLine::Hold | LockHolderLine::Claim)) => {
                match hold(layout, probe, line == LockHolderLine::Claim) {
                    Ok(lock) => {
                        held = Some(lock);
                        if let Some(wanted) = &probe.confirm {
                            // It is about the time before the run, which goes on without.
                            let _: Confirmation = confirmed::confirm_wanted(layout, &probe.header.holder, wanted);
                        }
                        lease::renew(layout, run);
                        lock_holder::take_over(layout, run);
                        out.event(&TargetEvent::Held);
                    }
                    Err(fault) => return failed(fault),
                }
            }
            Err(_) => {
                return failed(Fault::failed(
                    "the deployer sent a request that this version of hoist does not support; \
                                             update it here",
                ));
            }
        }
    }
}

/// Removes what the run kept until its end. Nobody waits for what could be said of it.
fn tidy_up(layout: &Layout, probe: &Probe) {
    let Some(deployment) = &probe.deployment else { return };
    // A stage may be at work still whose connection was lost.
    let note = Note::new(&probe.header.holder, None);
    if let Ok(LockAttempt::Mine(_turn)) = lock::ask(&lock::stage_path(layout), &note) {
        tidy::after_the_run(&Tidying {
            layout,
            out: &Out::nowhere(),
            deadline: Deadline::after(probe.header.timeout),
            known: Known::of_probe(&probe.header.holder, deployment),
            cache_revs: deployment.cache_revs,
        });
    }
}

/// Takes the lock. The fence is the stages' business: a run that holds some targets, and finds the next one locked, has
/// shut nobody out when it goes away again.
fn hold(layout: &Layout, probe: &Probe, claims: bool) -> Result<RunLock, Fault> {
    let Header { holder, umask, .. } = &probe.header;
    if let Some(umask) = *umask {
        sys::set_umask(umask);
    }
    // Ahead of the lock, so that not even for a moment one is in the way of the claim's run.
    claim::check(layout, &holder.run)?;
    let held = RunLock::take(layout, holder, false)?;
    // Ahead of the fence: a run that another one has overtaken is told what came of this host.
    if let Some(deployment) = &probe.deployment {
        moved_on::check(layout, &Known::of_probe(holder, deployment))?;
    }
    claim::check(layout, &holder.run)?;
    fence::check(layout, holder)?;
    // A stage of another run may be at work still, its own lock holder gone with its connection.
    match lock::look(&lock::stage_path(layout)) {
        Found::Run(note) if note.holder.run != holder.run => return Err(Fault::Locked { by: Box::new(note.holder) }),
        Found::Stranger(who) => return Err(Fault::failed(who)),
        Found::Nobody | Found::Run(_) => {}
    }
    if claims {
        let staked = claim::stake(layout, holder);
        // On a full disk a run that has been here, a rollback say, goes on without it.
        if record::tries(layout, &holder.run).is_empty() {
            staked?;
        }
    }
    Ok(held)
}
