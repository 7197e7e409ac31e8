//! What runs did here, as the target itself wrote it down: one file for each try of a stage, written when it starts and
//! again when it ends.

use std::fs::File;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::files::no_links;
use crate::wire::{Record, Recorded, RunId, Stage, StageRequest, State};

use super::hoist_dir;
use super::layout::Layout;
use super::lock;
use super::observed;
use crate::local::fault::{Fault, Tried};
use crate::local::os::files;
use crate::local::protocol;

/// The number of a lease watcher's rollback. A deployer, which counts its tries from 0, does not get that far.
pub const BY_WATCHER: u32 = 1_000_000;

/// How many runs are remembered.
const RUNS: usize = 20;

fn folder(layout: &Layout, run: &RunId) -> PathBuf {
    layout.own().join("runs").join(run.as_str())
}

fn file(layout: &Layout, run: &RunId, stage: Stage, attempt: u32) -> PathBuf {
    folder(layout, run).join(format!("{stage}.{attempt}.json"))
}

/// Writes a record; it is on the disk when this returns.
pub fn write(layout: &Layout, record: &Record) -> Result<(), Fault> {
    let path = file(layout, &record.run, record.stage, record.attempt);
    files::make_dir(files::parent(&path))?;
    let text =
        serde_json::to_vec(record).map_err(|error| Fault::failed(format!("cannot record the stage: {error}")))?;
    hoist_dir::write(&path, &text)
}

/// The record of one try, if it can be read.
pub fn read(layout: &Layout, run: &RunId, stage: Stage, attempt: u32) -> Option<Record> {
    look(layout, run, stage, attempt).ok().flatten()
}

/// The record of one try; `None` if there is none.
///
/// # Errors
/// What is there cannot be read, or is no record.
fn look(layout: &Layout, run: &RunId, stage: Stage, attempt: u32) -> Result<Option<Record>, Fault> {
    let path = file(layout, run, stage, attempt);
    let Some(text) = files::if_there(no_links::read_own(&path)).tried("read", &path)? else { return Ok(None) };
    let record: Record = serde_json::from_slice(&text)
        .map_err(|error| Fault::failed(format!("cannot parse {}: {error}", path.display())))?;
    Ok(Some(Record { outcome: record.outcome.map(|outcome| outcome.map_err(Fault::bounded)), ..record }))
}

/// The names of a run's records: `promote.0.json`, sorted.
pub fn names(layout: &Layout, run: &RunId) -> Vec<String> {
    let mut names = files::names(&folder(layout, run));
    names.retain(|name| !files::is_preparation(name));
    names
}

/// The tries of a run that its deployer asked for, those of one stage together.
pub fn asked_for(layout: &Layout, run: &RunId) -> Vec<(Stage, u32)> {
    let mut tries = tries(layout, run);
    tries.retain(|(_, attempt)| *attempt != BY_WATCHER);
    tries
}

/// The tries of a run that have a record.
pub fn tries(layout: &Layout, run: &RunId) -> Vec<(Stage, u32)> {
    let try_of = |name: String| {
        let (stage, number) = name.strip_suffix(".json")?.split_once('.')?;
        Some((stage.parse().ok()?, number.parse().ok()?))
    };
    names(layout, run).into_iter().filter_map(try_of).collect()
}

/// How this target was before the first stage of a run.
pub fn before(layout: &Layout, run: &RunId) -> Option<State> {
    // First tries begin in the order of the stages.
    let (stage, attempt) = tries(layout, run).into_iter().min_by_key(|(stage, attempt)| (*attempt, *stage as usize))?;
    Some(read(layout, run, stage, attempt)?.before)
}

/// Whether a stage was ever started in a run.
pub fn was_started(layout: &Layout, run: &RunId, stage: Stage) -> bool {
    tries(layout, run).iter().any(|(tried, _)| *tried == stage)
}

/// Whether the last try of a stage in a run ended, and well.
pub fn ended_well(layout: &Layout, run: &RunId, stage: Stage) -> bool {
    let last = tries(layout, run).into_iter().filter(|(tried, _)| *tried == stage).map(|(_, attempt)| attempt).max();
    let record = last.and_then(|attempt| read(layout, run, stage, attempt));
    record.is_some_and(|record| matches!(record.outcome, Some(Ok(()))))
}

/// The number of the next try of a stage.
pub fn next_attempt(layout: &Layout, run: &RunId, stage: Stage) -> u32 {
    let numbers = tries(layout, run).into_iter().filter(|(tried, _)| *tried == stage).map(|(_, number)| number);
    numbers.max().map_or(0, |last| last.saturating_add(1))
}

/// How far a try of a stage got, as far as the disk knows.
///
/// # Errors
/// The disk cannot be read.
pub fn ask(layout: &Layout, run: &RunId, stage: Stage, attempt: u32) -> Result<Recorded, Fault> {
    let Some(record) = look(layout, run, stage, attempt)? else { return Ok(Recorded::Nothing) };
    if let Some(outcome) = record.outcome {
        return Ok(Recorded::Ended { outcome, state: observed::look(layout)? });
    }
    let at_work = lock::holder(&lock::stage_path(layout))
        .is_some_and(|note| note.at == Some((stage, attempt)) && note.holder.run == *run);
    if at_work {
        return Ok(Recorded::Running);
    }
    // It may have ended between the two looks.
    let outcome = look(layout, run, stage, attempt)?.and_then(|record| record.outcome);
    let state = observed::look(layout)?;
    Ok(match outcome {
        Some(outcome) => Recorded::Ended { outcome, state },
        None => Recorded::Died { state },
    })
}

/// The record of a stage that is about to start. A try that was killed and is run again found what it found at first.
pub fn start(layout: &Layout, request: &StageRequest, stage: Stage, attempt: u32) -> Record {
    let begun = read(layout, &request.header.holder.run, stage, attempt);
    let before = begun.map_or_else(|| observed::state(layout), |record| record.before);
    let revision = match stage {
        Stage::Rollback => request.restore.clone(),
        _ => Some(request.revision.clone()),
    };
    Record { run: request.header.holder.run.clone(), stage, attempt, revision, before, outcome: None }
}

/// Forgets all but the newest runs; run ids sort by time.
pub fn prune(layout: &Layout, keep: &RunId) -> Result<(), Fault> {
    let runs = layout.own().join("runs");
    let mut names = files::names(&runs);
    names.retain(|name| name != keep.as_str());
    names.truncate(names.len().saturating_sub(RUNS - 1));
    for name in names {
        let path = runs.join(name);
        files::remove_leftover(&path)?;
    }
    Ok(())
}

fn last_request(layout: &Layout) -> PathBuf {
    layout.own().join("last-request.json")
}

/// A request that is kept, and the stage that it came with.
pub struct KeptRequest {
    pub request: StageRequest,
    /// `None`: it was kept for an installation, or comes from somewhere else.
    pub stage: Option<Stage>,
}

/// What says of a kept request which stage it came with: itself, or by protocol 1, its action.
#[derive(Deserialize)]
struct KeptStage {
    stage: Option<Stage>,
    action: Option<KeptAction>,
}

#[derive(Deserialize)]
struct KeptAction {
    stage: Option<Stage>,
}

#[derive(Serialize)]
struct Keeping<'a> {
    stage: Option<Stage>,
    #[serde(flatten)]
    request: &'a StageRequest,
}

/// Keeps a request for the person who will want to repeat a stage by hand, without passwords of servers. Template variables
/// may be secret too: only its owner reads it.
pub fn keep_request(layout: &Layout, request: &StageRequest, stage: Option<Stage>) -> Result<(), Fault> {
    let text = serde_json::to_vec(&Keeping { stage, request: &request.without_passwords() })
        .map_err(|error| Fault::failed(format!("cannot keep the request: {error}")))?;
    match stage {
        // The next stage keeps another one. No answer says that it was kept: after a power cut the one before will do.
        Some(_) => hoist_dir::write_or_keep(&last_request(layout), &text),
        None => hoist_dir::write(&last_request(layout), &text),
    }
}

/// The last request that this target saw, or the one in a file.
pub fn kept_request(layout: &Layout, file: Option<PathBuf>) -> Result<KeptRequest, Fault> {
    let by_default = file.is_none();
    let path = file.unwrap_or_else(|| last_request(layout));
    // One that a person names may be a pipe.
    let read = || if by_default { no_links::read_own(&path) } else { File::open(&path).and_then(no_links::whole) };
    let text = match read() {
        Err(error) if by_default && error.kind() == std::io::ErrorKind::NotFound => {
            let shown = path.display();
            return Err(Fault::failed(format!(
                "{shown} does not exist: no deployment of {} has reached this host yet; deploy to it, or name a file \
                 with a request",
                layout.repo()
            )));
        }
        other => other.tried("read", &path)?,
    };
    let wrong = |error: serde_json::Error| {
        // What is wrong is told by its place alone: the request may hold secrets.
        let (line, column) = (error.line(), error.column());
        Fault::failed(format!(
            "{} line {line} column {column} is not a request for this version of hoist",
            path.display()
        ))
    };
    protocol::check_kept(&text, wrong)?;
    let request: StageRequest = serde_json::from_slice(&text).map_err(wrong)?;
    let KeptStage { stage, action } = serde_json::from_slice(&text).map_err(wrong)?;
    Ok(KeptRequest { request, stage: stage.or(action.and_then(|action| action.stage)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::tests::layout;
    use std::fs;

    /// Last requests of a build that spoke protocol 1.
    const BEFORE: [(&str, Stage); 2] = [
        (include_str!("../../../tests/corpus/request/kept"), Stage::Finalize),
        (include_str!("../../../tests/corpus/request/full"), Stage::Fetch),
    ];

    #[test]
    fn a_request_that_the_build_before_kept_is_read_with_its_stage_and_kept_again() {
        let (_dir, layout) = layout();
        for (text, stage) in BEFORE {
            hoist_dir::prepare(&layout.own()).unwrap();
            fs::write(last_request(&layout), text).unwrap();
            let kept = kept_request(&layout, None).map_err(|fault| fault.reason()).unwrap();
            assert_eq!((kept.stage, kept.request.header.protocol), (Some(stage), 1));
            assert!(kept.request.header.timeout == 900 && kept.request.group == "canary");
            keep_request(&layout, &kept.request, kept.stage).unwrap();
            let again = kept_request(&layout, None).map_err(|fault| fault.reason()).unwrap();
            assert_eq!((again.stage, again.request), (Some(stage), kept.request));
        }
    }

    #[test]
    fn a_request_that_a_newer_build_kept_is_refused_naming_both_versions() {
        let (_dir, layout) = layout();
        hoist_dir::prepare(&layout.own()).unwrap();
        fs::write(last_request(&layout), r#"{"protocol":99,"unheard":"of"}"#).unwrap();
        let reason = kept_request(&layout, None).err().unwrap().reason();
        assert!(reason.contains("protocol 99") && reason.contains("update the older one"), "{reason}");
    }
}
