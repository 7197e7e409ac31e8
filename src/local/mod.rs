//! The target's side: everything that `hoist deploy-local` does. It never looks at the story, the fleet or the
//! transport; all it knows comes with a request.

mod abort;
mod fault;
mod install;
pub mod lock_holder;
mod os;
mod out;
mod probe;
mod stages;
mod state;
#[cfg(test)]
mod tests;
pub(crate) mod tree;
mod unlock;
mod waiting;
mod watcher;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use crate::wire::{Action, Ended, FIRST_LINE, Holder, PROTOCOL, Request, Stage, State, TargetEvent};

pub use install::{Wanted, install};

use fault::Fault;
use os::deadline::Deadline;
use out::{Audience, Out};
use stages::job::Job;
use stages::stage::By;
use state::layout::Layout;

/// A request's line may be this long, in bytes. Templates and variables are all that it is made of.
const REQUEST: u64 = 64 << 20;

/// How long the first byte of a request may take.
const FIRST_BYTE: Duration = Duration::from_secs(30);

/// Why a request may be missing.
const TAKEN: &str = "a start-up file of the login shell (.bashrc, .profile, ~/.ssh/rc) may have read it; have it read \
                     only from a terminal";

/// Takes one request from `input` and does what it asks; answers on `output`. Returns the exit status: 0 when it is
/// done, 1 when it failed, in which case the last line of `output` says why.
pub fn serve(input: impl Read + Send + 'static, output: impl Write + Send + 'static) -> u8 {
    let mut input = BufReader::with_capacity(64 << 10, input);
    let out = Out::new(output, Audience::Deployer);
    let came = expect_request(&out);
    let prepared = read_request(&mut input, came).and_then(|request| {
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
            out.event(&TargetEvent::Recorded(state::record::ask(&layout, &request.holder.run, stage, attempt)));
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
        Action::Render => stages::render::run(&request, &out),
        Action::Run { stage, attempt } => {
            let deadline = Deadline::after(request.timeout);
            stages::stage::run(Job { request, layout, out, deadline }, stage, attempt, Box::new(input), By::Deployer)
        }
    }
}

/// Runs a stage for a person at the target, with the last request that the target saw, or with the one in a file; what
/// happens is printed as lines on standard output. Returns the exit status, 0 or 1.
pub fn by_hand(repo: &str, deploy_dir: &Path, stage: Stage, force: bool, request_file: Option<PathBuf>) -> u8 {
    let out = Out::new(io::stdout(), Audience::Person);
    match prepare_by_hand(repo, deploy_dir, stage, force, request_file) {
        Ok((request, layout)) => {
            let attempt = state::record::next_attempt(&layout, &request.holder.run, stage);
            let deadline = Deadline::after(request.timeout);
            let job = Job { request, layout, out, deadline };
            stages::stage::run(job, stage, attempt, Box::new(io::empty()), By::Hand(someone(stage)))
        }
        Err(fault) => {
            crate::terminal::complain_line(&format!("hoist: {}", fault.reason()));
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
    let mut request = state::record::kept_request(&layout, request_file)?;
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
        host: os::sys::host_name(),
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

/// Ends this process, and says why, unless what is given back is dropped in time: when something came.
fn expect_request(out: &Out) -> Sender<()> {
    let (came, is_there) = mpsc::channel();
    let out = out.clone();
    thread::spawn(move || {
        if is_there.recv_timeout(FIRST_BYTE) == Err(RecvTimeoutError::Timeout) {
            let outcome = Ended::Failed { reason: format!("no request came within {FIRST_BYTE:?}: {TAKEN}") };
            out.event(&TargetEvent::Ended { outcome, state: State::default() });
            out.flush(Duration::from_secs(5));
            std::process::exit(1);
        }
    });
    came
}

fn read_request(input: &mut impl BufRead, came: Sender<()>) -> Result<Request, Fault> {
    let cannot = |error: io::Error| Fault::Failed(format!("cannot read the request: {}", fault::plain(&error)));
    input.fill_buf().map_err(cannot)?;
    drop(came);
    let mut line = Vec::new();
    input.take(REQUEST).read_until(b'\n', &mut line).map_err(cannot)?;
    // The line that is meant for a shell in our place; a start-up file may have read some of it.
    if line.last() == Some(&b'\n') && line.len() <= FIRST_LINE.len() + 1 && line[0] != b'{' {
        line.clear();
        input.take(REQUEST).read_until(b'\n', &mut line).map_err(cannot)?;
    }
    if line.last() != Some(&b'\n') {
        let length = line.len();
        return Err(Fault::Failed(match length as u64 {
            0 => format!("no request came on standard input: {TAKEN}"),
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
    let request: Request = serde_json::from_slice(&line).map_err(place)?;
    // An older deployer takes messages of any length.
    Ok(Request { holder: request.holder.bounded(), ..request })
}
