//! The stage `once`: the command of a run-once step. The service is left alone.

use super::command::run_shell;
use crate::local::fault::Fault;
use crate::local::job::Job;
use crate::local::os::process;
use crate::local::os::sys;
use crate::local::state::record;
use crate::procfs;
use crate::wire::{Outcome, Stage};

/// Variables of the command: the revision that it is about, and where its tree is.
const REVISION: &str = "HOIST_REVISION";
const TREE: &str = "HOIST_TREE";

/// Runs the command in the tree of its revision, if the host has it, and else in the home of the account.
pub fn run(job: &Job) -> Result<(), Fault> {
    let Some(command) = &job.request.command else {
        return Err(Fault::failed("the request has no command: this stage is a part of `hoist deploy`"));
    };
    let mut process = process::command("/bin/sh");
    process.args(["-c", command.line.as_str()]);
    sys::die_with_parent(&mut process);
    let revision = command.environment.get(REVISION).and_then(|revision| revision.parse().ok());
    let tree = revision.map(|revision| job.layout.rev(&revision)).filter(|tree| tree.is_dir());
    match &tree {
        Some(tree) => drop(process.env(TREE, tree).current_dir(tree)),
        None => drop(std::env::home_dir().filter(|home| home.is_dir()).map(|home| process.current_dir(home))),
    }
    run_shell(job, process, command)
}

/// Why a step is not begun here, or how it ended, if it was begun before: no try is carried out a second time, whoever
/// asks, and none beside what is left of another.
pub fn begun_before(job: &Job, attempt: u32) -> Option<Outcome> {
    let run = &job.request.header.holder.run;
    if let Some(record) = record::read(&job.layout, run, Stage::Once, attempt) {
        let unknown = || Err(Fault::failed("it was begun before, and its end is not on record"));
        return Some(record.outcome.unwrap_or_else(unknown));
    }
    let left =
        job.request.command.as_ref().map(|command| procfs::with_environment(&command.marks())).unwrap_or_default();
    left.first().map(|process| Err(Fault::failed(format!("an earlier try still runs there: {process}"))))
}
