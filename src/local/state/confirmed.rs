//! The confirmation of a target: which revisions it may serve since it was started. A deployment writes it when the target
//! has taken part, `hoist reconcile` when it found the target in sync. A target cannot know that it missed a deployment;
//! after a start it therefore serves only once somebody who knows has confirmed it (`guard`).

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::files::no_links;
use crate::local::fault::{Fault, plain};
use crate::local::os::boot::Boot;
use crate::local::os::files;
use crate::local::os::sys;
use crate::wire::{Confirmation, Holder, Outcome, Revision, Stage, StageRequest};

use super::claim;
use super::fitness;
use super::hoist_dir;
use super::layout::{Layout, Link};
use super::lock;
use super::lock::Found;
use super::observed;

/// What stands in `confirmed.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    boot: Boot,
    /// In milliseconds since the boot: nobody's clock makes a confirmation older, or younger.
    at: u64,
    /// When that was, for people: RFC 3339, UTC.
    time: String,
    /// Who it was, for people.
    by: String,
    /// Those that may be served: the first was confirmed last, the others before it since the same start.
    revisions: Vec<Revision>,
    /// Those that could be served before a run was finalized: only a rollback of the run may start them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    before: Vec<Revision>,
}

fn path(layout: &Layout) -> PathBuf {
    layout.own().join("confirmed.json")
}

/// The record of this start, if there is one.
fn of_this_start(layout: &Layout) -> Option<Record> {
    let record: Record = serde_json::from_slice(&no_links::read_own(&path(layout)).ok()?).ok()?;
    Boot::now().is_some_and(|now| now.is(&record.boot)).then_some(record)
}

fn write(layout: &Layout, record: &Record) -> Result<(), Fault> {
    let text =
        serde_json::to_vec(record).map_err(|error| Fault::failed(format!("cannot record a confirmation: {error}")))?;
    hoist_dir::prepare(&layout.own())?;
    hoist_dir::write(&path(layout), &text)
}

/// Confirms `revisions` from now on; a rollback may also start those of `before`.
fn confirm_all(layout: &Layout, by: &Holder, revisions: Vec<Revision>, before: Vec<Revision>) -> Result<(), Fault> {
    let Some(boot) = Boot::now() else {
        return Err(Fault::failed("the kernel does not tell when this host was started, so it cannot be confirmed"));
    };
    let at = u64::try_from(sys::since_boot().as_millis()).unwrap_or(u64::MAX);
    let (time, by) = (clock::rfc3339_utc(), format!("{}@{}", by.user, by.host));
    write(layout, &Record { boot, at, time, by, revisions, before })
}

/// Confirms a revision, and no other any more.
pub fn confirm(layout: &Layout, by: &Holder, revision: &Revision) -> Result<(), Fault> {
    confirm_all(layout, by, vec![revision.clone()], Vec::new())
}

/// Confirms what a deployer says is wanted here, if that is what this target is finalized on and could serve. Nothing
/// happens while another run holds the target, or where something else is live.
pub fn confirm_wanted(layout: &Layout, by: &Holder, wanted: &Revision) -> Confirmation {
    let before = confirmation(layout);
    let state = observed::state(layout);
    let is_in_sync = state.current.as_ref() == Some(wanted)
        && state.done.as_ref() == Some(wanted)
        && state.stray_links.is_empty()
        && state.drained.is_none();
    let is_another_runs = || match lock::look(&lock::run_path(layout)) {
        Found::Nobody => false,
        Found::Run(note) => note.holder.run != by.run,
        Found::Stranger(_) => true,
    };
    let is_claimed = || claim::check(layout, &by.run).is_err();
    if !is_in_sync || fitness::trouble(layout).is_some() || is_another_runs() || is_claimed() {
        return before;
    }
    match (confirm(layout, by, wanted), before) {
        (Ok(()), Confirmation::Stands) => Confirmation::Stands,
        (Ok(()), _) => Confirmation::Given,
        (Err(fault), _) => Confirmation::Failed { reason: fault.reason() },
    }
}

/// Takes over what a stage of a deployer has made of this target. What was confirmed before a promote still is until the
/// run is finalized: the target may go back to it. A rollback of the run may do so even then.
pub fn after_stage(layout: &Layout, request: &StageRequest, stage: Stage, outcome: &Outcome) -> Result<(), Fault> {
    let (by, revision) = (&request.header.holder, &request.revision);
    match (stage, outcome) {
        (Stage::Promote, Ok(())) => {
            let (earlier, _) = earlier(layout, revision);
            confirm_all(layout, by, [vec![revision.clone()], earlier].concat(), Vec::new())
        }
        (Stage::Finalize, Ok(())) => {
            // It may be finalized a second time, by who resumes the run.
            let (earlier, before) = earlier(layout, revision);
            confirm_all(layout, by, vec![revision.clone()], if earlier.is_empty() { before } else { earlier })
        }
        (Stage::Rollback, _) => take_back(layout, request),
        _ => Ok(()),
    }
}

/// What was confirmed besides a revision since this start, and before a run was finalized.
fn earlier(layout: &Layout, revision: &Revision) -> (Vec<Revision>, Vec<Revision>) {
    let others = |all: Vec<Revision>| all.into_iter().filter(|it| it != revision).collect();
    of_this_start(layout).map(|record| (others(record.revisions), others(record.before))).unwrap_or_default()
}

/// The revision of a run that is rolled back is not to be served any more. What it goes back to is as confirmed as it was.
fn take_back(layout: &Layout, request: &StageRequest) -> Result<(), Fault> {
    let current = layout.read(Link::Current);
    // What is left live is served on, and is for people to look at.
    let is_left = current.as_ref() == Some(&request.revision);
    let Some(record) = of_this_start(layout).filter(|_| !is_left) else { return Ok(()) };
    let goes_back = |it: &&Revision| current.as_ref() == Some(*it) && !record.revisions.contains(it);
    let again = record.before.iter().filter(goes_back).take(1);
    let kept: Vec<Revision> =
        again.chain(record.revisions.iter().filter(|it| **it != request.revision)).cloned().collect();
    match kept.is_empty() {
        _ if kept == record.revisions => Ok(()),
        true => files::remove(&path(layout)).map(drop),
        false => write(layout, &Record { revisions: kept, before: Vec::new(), ..record }),
    }
}

/// As a probe tells of it.
pub fn confirmation(layout: &Layout) -> Confirmation {
    if fs::symlink_metadata(path(layout)).is_err() {
        return Confirmation::Never;
    }
    let current = layout.read(Link::Current);
    let stands = of_this_start(layout).is_some_and(|it| current.is_some_and(|current| it.revisions.contains(&current)));
    if stands { Confirmation::Stands } else { Confirmation::Lapsed }
}

/// Who confirmed this target last, whatever that is worth by now: user and host.
pub fn by(layout: &Layout) -> Option<String> {
    let record: Record = serde_json::from_slice(&no_links::read_own(&path(layout)).ok()?).ok()?;
    Some(record.by)
}

/// A confirmation that stands.
pub struct Standing {
    pub by: String,
    /// RFC 3339, UTC.
    pub time: String,
}

/// Whether a revision is confirmed, since this host was started and not longer ago than `max_age`; or why it is not, as
/// one fragment. `goes_back`: a rollback starts it.
pub fn judge(
    layout: &Layout,
    revision: &Revision,
    max_age: Option<Duration>,
    goes_back: bool,
) -> Result<Standing, String> {
    let path = path(layout);
    let text = match no_links::read_own(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err("no deployment or reconcile has confirmed this host yet".into());
        }
        other => other.map_err(|error| format!("cannot read {}: {}", path.display(), plain(&error)))?,
    };
    let record: Record =
        serde_json::from_slice(&text).map_err(|error| format!("{} is damaged ({error})", path.display()))?;
    let Some(now) = Boot::now() else { return Err("the kernel does not tell when this host was started".into()) };
    let time = clock::local_with_zone(&record.time);
    if !now.is(&record.boot) {
        let missed = "and may have missed a deployment meanwhile";
        return Err(format!("this host was started after it was last confirmed ({time}), {missed}"));
    }
    let at = Duration::from_millis(record.at);
    let Some(age) = sys::since_boot().checked_sub(at) else {
        return Err(format!("{} is damaged: its time is ahead of this host's", path.display()));
    };
    let may_start = record.revisions.contains(revision) || (goes_back && record.before.contains(revision));
    if !may_start {
        let confirmed = record.revisions.first().map_or("nothing", Revision::short);
        return Err(format!("{} is live, but {confirmed} was confirmed ({time})", revision.short()));
    }
    match max_age.filter(|most| age > *most) {
        Some(most) => {
            let (age, most) = (clock::lasting(age), clock::lasting(most));
            Err(format!("it was last confirmed {age} ago ({time}), and --max-age is {most}"))
        }
        None => Ok(Standing { by: record.by, time: record.time }),
    }
}
