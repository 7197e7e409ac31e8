//! The target's side: everything that `hoist deploy-local` does. It never looks at the story, the fleet or the
//! transport; all it knows comes with a request.

mod cache;
mod checks;
mod config_deploy;
mod config_diff;
mod deadline;
mod describe;
mod extras;
mod fat;
mod fault;
mod fence;
mod fetch;
mod files;
mod finalize;
mod git;
pub(crate) mod index;
mod install;
mod job;
mod keeper;
mod layout;
mod lease;
mod lfs;
mod lines;
mod links;
mod lock;
mod out;
mod probe;
mod process;
mod promote;
mod record;
mod rollback;
mod scap_config;
mod scap_process;
mod seal;
mod service;
mod share;
mod spoilt;
mod stage;
mod submodules;
mod sys;
mod template;
#[cfg(test)]
mod tests;
mod tree;
mod unlock;
mod vars;
mod watcher;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::wire::{Action, Ended, Holder, PROTOCOL, Request, Stage, State, TargetEvent};

pub(crate) use template::{check as check_templates, render, variables as template_variables};

pub use install::{Wanted, install};

use deadline::Deadline;
use fault::Fault;
use job::Job;
use layout::Layout;
use out::{Out, Reader};
use stage::By;

/// A request's line may be this long, in bytes. Templates and variables are all that it is made of.
const REQUEST: u64 = 64 << 20;

/// Takes one request from `input` and does what it asks; answers on `output`. Returns the exit status: 0 when it is
/// done, 1 when it failed, in which case the last line of `output` says why.
pub fn serve(input: impl Read + Send + 'static, output: impl Write + Send + 'static) -> u8 {
    let out = Out::new(output, Reader::Deployer);
    let mut input = BufReader::with_capacity(64 << 10, input);
    let prepared = read_request(&mut input).and_then(|request| {
        let layout = Layout::new(&request.deploy_dir, &request.repo)?;
        let layout = layout.with_relative_links(request.control_dir == "scap");
        Ok((request, layout))
    });
    let (request, layout) = match prepared {
        Ok(prepared) => prepared,
        Err(fault) => {
            out.event(&TargetEvent::Ended { outcome: Ended::from(fault), state: State::default() });
            out.flush(Duration::from_secs(5));
            return 1;
        }
    };
    match request.action.clone() {
        Action::Probe => probe::run(&layout, &request, &out, input),
        Action::Ask { stage, attempt } => {
            out.event(&TargetEvent::Recorded(record::ask(&layout, &request.holder.run, stage, attempt)));
            out.flush(Duration::from_secs(60));
            0
        }
        Action::Unlock { held } => {
            let result = unlock::run(&layout, held.as_ref(), &out);
            let status = u8::from(result.is_err());
            let outcome = result.err().map_or(Ended::Ok, Ended::from);
            out.event(&TargetEvent::Ended { outcome, state: layout.state() });
            out.flush(Duration::from_secs(60));
            status
        }
        Action::Watch => watcher::run(layout, request),
        Action::Run { stage, attempt } => {
            let deadline = Deadline::after(request.timeout);
            stage::run(Job { request, layout, out, deadline }, stage, attempt, Box::new(input), By::Deployer)
        }
    }
}

/// Runs a stage for a person at the target, with the last request that the target saw, or with the one in a file; what
/// happens is printed as lines on standard output. Returns the exit status, 0 or 1.
pub fn by_hand(repo: &str, deploy_dir: &Path, stage: Stage, force: bool, request_file: Option<PathBuf>) -> u8 {
    let out = Out::new(io::stdout(), Reader::Person);
    match prepare_by_hand(repo, deploy_dir, stage, force, request_file) {
        Ok((request, layout)) => {
            let attempt = record::next_attempt(&layout, &request.holder.run, stage);
            let deadline = Deadline::after(request.timeout);
            let job = Job { request, layout, out, deadline };
            stage::run(job, stage, attempt, Box::new(io::empty()), By::Hand(someone(stage)))
        }
        Err(fault) => {
            eprintln!("hoist: {}", fault.reason());
            1
        }
    }
}

fn prepare_by_hand(
    repo: &str,
    deploy_dir: &Path,
    stage: Stage,
    force: bool,
    request_file: Option<PathBuf>,
) -> Result<(Request, Layout), Fault> {
    let layout = Layout::new(deploy_dir, repo)?;
    let mut request = record::kept_request(&layout, request_file)?;
    let layout = layout.with_relative_links(request.control_dir == "scap");
    check_protocol(request.protocol)?;
    request.repo = repo.to_owned();
    request.deploy_dir = deploy_dir.to_owned();
    request.action = Action::Run { stage, attempt: 0 };
    request.force = force;
    // Nobody would be there to renew a lease: what a person does by hand stays.
    request.confirm_timeout = 0;
    if let Some(fetch) = &mut request.fetch {
        // The pack came with the request that was kept, and is gone.
        fetch.pack_bytes = None;
        fetch.large_files.clear();
        fetch.rebuild = false;
    }
    Ok((request, layout))
}

/// The person at this machine, as the holder of a lock. The run is one of its own, since no deployment may go on below it.
fn someone(stage: Stage) -> Holder {
    let pid = std::process::id();
    let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|key| std::env::var(key).ok());
    Holder {
        run: format!("{}-{pid}-hand", crate::clock::run_id_stamp())
            .parse()
            .expect("digits, letters and dashes are a run id"),
        user: user.unwrap_or_else(|| "unknown".to_owned()),
        host: sys::host_name(),
        pid,
        since: crate::clock::rfc3339_utc(),
        message: format!("{stage} by hand"),
    }
}

#[derive(Deserialize)]
struct Version {
    protocol: u32,
}

fn check_protocol(theirs: u32) -> Result<(), Fault> {
    if theirs == PROTOCOL {
        return Ok(());
    }
    let here = env!("CARGO_PKG_VERSION");
    Err(Fault::Failed(format!(
        "the request speaks protocol {theirs}, hoist {here} on this host protocol {PROTOCOL}; update the older one"
    )))
}

fn read_request(input: &mut impl BufRead) -> Result<Request, Fault> {
    let mut line = Vec::new();
    let read = input.take(REQUEST).read_until(b'\n', &mut line);
    read.map_err(|error| Fault::Failed(format!("cannot read the request: {}", fault::plain(&error))))?;
    if line.last() != Some(&b'\n') {
        let length = line.len();
        return Err(Fault::Failed(match length as u64 {
            0 => "no request came on standard input".to_owned(),
            REQUEST => format!("the request is longer than {REQUEST} bytes; make templates or variables smaller"),
            _ => format!("the request broke off after {length} bytes"),
        }));
    }
    // Only the place is told of what is wrong: a request may hold secrets.
    let place = |error: serde_json::Error| {
        Fault::Failed(format!(
            "the request cannot be read (byte {} of its line); do the versions differ?",
            error.column()
        ))
    };
    let version: Version = serde_json::from_slice(&line).map_err(place)?;
    check_protocol(version.protocol)?;
    serde_json::from_slice(&line).map_err(place)
}
