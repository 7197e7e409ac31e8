//! The checks that a revision was deployed with. They judge it when it is gone back to: what a newer revision asks for may
//! be a feature that the older one does not have.
//!
//! They are kept in the revision's tree, beside git's own files, from each deployment that made it live. For a revision
//! that was deployed without that, by Scap or by an older Hoist, its own `checks.yaml` tells.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::wire::{CHECK_TIMEOUT, Check, CheckPoint, CheckType, Header, Revision, RunId, StageRequest, Tries};
use crate::yaml;
use crate::yaml::{Node, Value};

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
    serde_json::from_slice(&files::read(&path).ok()?).ok()
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
    let request = &job.request;
    let with =
        |checks: Vec<Check>, request: StageRequest| Job { request: StageRequest { checks, ..request }, ..job.clone() };
    if !request.perform_checks {
        return (with(Vec::new(), request.clone()), with(Vec::new(), request.clone()));
    }
    let places = [path(&job.layout, revision), earlier(&job.layout, revision)];
    // What the run that is undone made of this very revision does not count.
    let kept = places.into_iter().filter_map(read).find(|kept| kept.run != request.header.holder.run);
    let kept = kept.unwrap_or_else(|| committed(job, revision));
    let names: HashSet<&String> = kept.checks.iter().map(|check| &check.name).collect();
    let others = request.checks.iter().filter(|check| !names.contains(&check.name)).cloned().collect();
    let header = Header { control_dir: kept.control_dir, ..request.header.clone() };
    let (environment, nrpe_dir) = (kept.environment, kept.nrpe_dir);
    let own = StageRequest { header, environment, nrpe_dir, ..request.clone() };
    (with(kept.checks.clone(), own), with(others, request.clone()))
}

/// What a revision's own files say. A file that cannot be read has no checks.
fn committed(job: &Job, revision: &Revision) -> Kept {
    let (request, tree) = (&job.request, job.layout.rev(revision));
    // The repository may have had another control folder then.
    let folders = [request.header.control_dir.as_str(), "scap", "hoist"];
    let control_dir =
        folders.into_iter().find(|folder| tree.join(folder).is_dir()).unwrap_or(&request.header.control_dir);
    let control = tree.join(control_dir);
    let environment = request.environment.as_ref().map(|it| control.join("environments").join(it));
    let mut found: IndexMap<String, Vec<Check>> = IndexMap::new();
    for folder in [Some(control), environment].into_iter().flatten() {
        let names = ["checks.yaml", "checks.yml"];
        let Some(name) = names.into_iter().find(|name| folder.join(name).is_file()) else { continue };
        found.extend(yaml::read(&folder.join(name), name).map(|root| in_file(&root)).unwrap_or_default());
    }
    Kept {
        run: request.header.holder.run.clone(),
        checks: found.into_values().flatten().collect(),
        control_dir: control_dir.to_owned(),
        environment: request.environment.clone(),
        nrpe_dir: request.nrpe_dir.clone(),
    }
}

/// The checks of a file by name, in its order.
fn in_file(root: &Node) -> Vec<(String, Vec<Check>)> {
    let checks = pairs(root).iter().find(|(key, _)| key.key_text() == "checks");
    let checks = checks.map(|(_, checks)| pairs(checks)).unwrap_or_default();
    checks.iter().map(|(name, body)| (name.key_text().to_owned(), at_each_point(name.key_text(), body))).collect()
}

/// A check at each point where it runs; none where it is switched off, or makes no sense to this version.
fn at_each_point(name: &str, body: &Node) -> Vec<Check> {
    let field = |key: &str| pairs(body).iter().find(|(it, _)| it.key_text() == key).map(|(_, value)| value);
    let text = |key: &str| field(key).and_then(Node::text);
    let stage = |key: &str| text(key).and_then(|stage| stage.parse().ok());
    let kind = match text("type") {
        None | Some("command") => CheckType::Command,
        Some("script") => CheckType::Script,
        Some("nrpe") => CheckType::Nrpe,
        Some(_) => return Vec::new(),
    };
    let Some(command) = text("command") else { return Vec::new() };
    let seconds = text("timeout").and_then(|seconds| seconds.trim().parse().ok());
    let timeout = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let at = |at| Check {
        name: name.to_owned(),
        kind,
        at,
        group: text("group").map(str::to_owned),
        timeout: timeout.filter(|it| !it.is_zero()).unwrap_or(CHECK_TIMEOUT),
        tries: Tries::default(),
        command: command.to_owned(),
        shell: field("shell").is_some_and(|shell| shell.value == Value::Bool(true)),
    };
    let before = stage("before").map(CheckPoint::Before);
    let after = stage("stage").or_else(|| stage("after")).map(CheckPoint::After);
    before.into_iter().chain(after).map(at).collect()
}

/// The pairs of a mapping; none of anything else.
fn pairs(node: &Node) -> &[(Node, Node)] {
    match &node.value {
        Value::Map(pairs) => pairs,
        _ => &[],
    }
}
