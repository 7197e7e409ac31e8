//! The checks that a revision was deployed with. They judge it when it is gone back to: what a newer revision asks for may
//! be a feature that the older one does not have.
//!
//! They are kept in the revision's tree, beside git's own files, from each deployment that made it live. For a revision
//! that was deployed without that, by Scap or by an older Hoist, its own `checks.yaml` tells.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::wire::{Check, Header, Revision, RunId, StageRequest};
use crate::yaml;

use crate::local::fault::{Fault, Tried};
use crate::local::job::Job;
use crate::local::os::files;
use crate::local::state::layout::Layout;

/// The checks of one deployment, and where their scripts and commands are.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    run: RunId,
    checks: Vec<Check>,
    control_dir: String,
    environment: Option<String>,
    nrpe_dir: PathBuf,
}

fn path(layout: &Layout, revision: &Revision) -> PathBuf {
    layout.rev(revision).join(".git/hoist-checks.json")
}

/// Those of the deployment before the one that [`path`] is of.
fn earlier(layout: &Layout, revision: &Revision) -> PathBuf {
    layout.rev(revision).join(".git/hoist-checks.earlier.json")
}

fn read(path: PathBuf) -> Option<Kept> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Notes the request's checks as those of its revision. Those of an earlier deployment stay, until this one is known to
/// have gone well.
pub fn keep(job: &Job) -> Result<(), Fault> {
    let (layout, request) = (&job.layout, &job.request);
    let place = path(layout, &request.revision);
    if read(place.clone()).is_some_and(|kept| kept.run != request.header.holder.run) {
        fs::rename(&place, earlier(layout, &request.revision)).tried("rename", &place)?;
    }
    let kept = Kept {
        run: request.header.holder.run.clone(),
        checks: request.checks.clone(),
        control_dir: request.header.control_dir.clone(),
        environment: request.environment.clone(),
        nrpe_dir: request.nrpe_dir.clone(),
    };
    let text = serde_json::to_vec(&kept).map_err(|error| Fault::failed(format!("cannot keep the checks: {error}")))?;
    // They are the repository's, and may name what only the account of the deployment is to know.
    files::write(&place, &text, 0o600)
}

/// The revision is gone back to that the request's run itself had deployed again: the checks before it hold again.
pub fn put_back(job: &Job, revision: &Revision) -> Result<(), Fault> {
    let (place, before) = (path(&job.layout, revision), earlier(&job.layout, revision));
    let ours = read(place.clone()).is_some_and(|kept| kept.run == job.request.header.holder.run);
    match ours {
        true if before.exists() => fs::rename(&before, &place).tried("rename", &before),
        true => files::remove(&place).map(drop),
        false => Ok(()),
    }
}

/// The job with the checks that judge a revision, and the job with those of the request that do not.
pub fn split(job: &Job, revision: &Revision) -> (Job, Job) {
    let with =
        |checks: Vec<Check>, request: StageRequest| Job { request: StageRequest { checks, ..request }, ..job.clone() };
    let run = &job.request.header.holder.run;
    let places = [path(&job.layout, revision), earlier(&job.layout, revision)];
    // What the run that is undone made of this very revision does not count.
    if let Some(kept) = places.into_iter().filter_map(read).find(|kept| kept.run != *run) {
        let names: HashSet<&String> = kept.checks.iter().map(|check| &check.name).collect();
        let others = job.request.checks.iter().filter(|check| !names.contains(&check.name)).cloned().collect();
        let header = Header { control_dir: kept.control_dir, ..job.request.header.clone() };
        let (environment, nrpe_dir) = (kept.environment, kept.nrpe_dir);
        let request = StageRequest { header, environment, nrpe_dir, ..job.request.clone() };
        return (with(kept.checks.clone(), request), with(others, job.request.clone()));
    }
    let committed = committed(job, revision);
    let is_own = |check: &Check| committed.contains(&(check.name.clone(), check.command.clone()));
    let (own, others) = job.request.checks.iter().cloned().partition(is_own);
    (with(own, job.request.clone()), with(others, job.request.clone()))
}

/// Name and command of each check in a revision's own files. A file that cannot be read has none.
fn committed(job: &Job, revision: &Revision) -> HashSet<(String, String)> {
    let control = job.layout.rev(revision).join(&job.request.header.control_dir);
    let environment = job.request.environment.as_ref().map(|it| control.join("environments").join(it));
    let mut found = HashSet::new();
    for folder in [Some(control), environment].into_iter().flatten() {
        for name in ["checks.yaml", "checks.yml"] {
            let path = folder.join(name);
            let Some(root) = yaml::read(&path, name).ok().and_then(|root| root.variables()) else { continue };
            for (name, check) in root.get("checks").and_then(|checks| checks.as_object()).into_iter().flatten() {
                if let Some(command) = check.get("command").and_then(|command| command.as_str()) {
                    found.insert((name.clone(), command.to_owned()));
                }
            }
        }
    }
    found
}
