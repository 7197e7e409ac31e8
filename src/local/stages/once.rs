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
    if let Some(why) = procfs::in_the_way(&command.not_beside) {
        return Err(Fault::failed(why));
    }
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

/// How a try ended that was begun before: none is carried out a second time, whoever asks.
pub fn begun_before(job: &Job, attempt: u32) -> Option<Outcome> {
    let record = record::read(&job.layout, &job.request.header.holder.run, Stage::Once, attempt)?;
    let unknown = || Err(Fault::failed("it was begun before, and its end is not on record"));
    Some(record.outcome.unwrap_or_else(unknown))
}
