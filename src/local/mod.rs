//! The target's side: everything that `hoist deploy-local` does. It never looks at the story, the fleet or the
//! transport; all it knows comes with a request.

mod abort;
mod drain;
mod fault;
mod guard;
mod install;
mod job;
pub mod lock_holder;
mod os;
mod out;
mod preflight;
mod probe;
mod protocol;
mod running;
mod shared;
mod stages;
mod started;
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
use std::time::Duration;

use crate::procfs;
use crate::timings;
use crate::timings::Waited;
use crate::wire::{FIRST_LINE, Header, Holder, Request, Stage, StageRequest, TargetEvent};

pub use guard::{Guard, guard};
pub use install::{Wanted, install};

use crate::threads;
use fault::{Fault, no_thread};
use job::Job;
use os::deadline::Deadline;
use out::{Audience, Out};
use stages::stage::By;
use state::layout::Layout;
use state::observed;

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
    timings::start(Duration::ZERO);
    let mut input = BufReader::with_capacity(64 << 10, Waited(input));
    let Ok(out) = Out::new(output, Audience::Deployer) else { return 1 };
    let prepared = expect_request(&out).and_then(|came| read_request(&mut input, came)).and_then(|request| {
        let layout = layout_of(request.header())?;
        Ok((request, layout))
    });
    let (request, layout) = match prepared {
        Ok(prepared) => prepared,
        Err(fault) => {
            out.event(&TargetEvent::Ended { outcome: Err(fault.bounded()), state: None });
            out.flush(Duration::from_secs(5));
            return 1;
        }
    };
    match request {
        Request::Probe(probe) => probe::run(&layout, &probe, &out, input),
        Request::Ask(ask) => {
            let recorded = state::record::ask(&layout, &ask.header.holder.run, ask.stage, ask.attempt);
            out.timings(&ask.header);
            let status = u8::from(recorded.is_err());
            out.event(&match recorded {
                Ok(recorded) => TargetEvent::Recorded(recorded),
                Err(fault) => TargetEvent::Ended { outcome: Err(fault.bounded()), state: None },
            });
            out.flush(Duration::from_secs(60));
            status
        }
        Request::Unlock(unlock) => {
            let result = unlock::run(&layout, unlock.held.as_ref(), &out);
            let status = u8::from(result.is_err());
            let outcome = result.map_err(Fault::bounded);
            out.event(&TargetEvent::Ended { outcome, state: observed::look(&layout).ok() });
            out.flush(Duration::from_secs(60));
            status
        }
        Request::Watch(request) => watcher::run(layout, *request),
        Request::Render(render) => stages::render::run(&render, &out),
        Request::Run(run) => {
            let deadline = Deadline::after(run.request.header.timeout);
            if run.secrets.is_some() {
                procfs::stay_private();
            }
            let (request, secrets) = (run.request, run.secrets);
            let job = Job { request, secrets, layout, out, deadline, after_lease: false, deployer: None };
            stages::stage::run(job, run.stage, run.attempt, Box::new(input), By::Deployer)
        }
    }
}

fn layout_of(header: &Header) -> Result<Layout, Fault> {
    let layout = Layout::new(&header.deploy_dir, &header.repo)?;
    Ok(layout.with_relative_links(header.control_dir == "scap"))
}

/// Runs a stage for a person at the target, with the last request that the target saw, or with the one in a file; what
/// happens is printed as lines on standard output. Returns the exit status, 0 or 1.
pub fn by_hand(repo: &str, deploy_dir: &Path, stage: Stage, force: bool, request_file: Option<PathBuf>) -> u8 {
    let Ok(out) = Out::new(io::stdout(), Audience::Person) else { return 1 };
    match prepare_by_hand(repo, deploy_dir, force, request_file) {
        Ok((request, layout)) => {
            let attempt = state::record::next_attempt(&layout, &request.header.holder.run, stage);
            let deadline = Deadline::after(request.header.timeout);
            let job = Job { request, secrets: None, layout, out, deadline, after_lease: false, deployer: None };
            stages::stage::run(job, stage, attempt, Box::new(io::empty()), By::Hand(someone(stage.name())))
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
    force: bool,
    request_file: Option<PathBuf>,
) -> Result<(StageRequest, Layout), Fault> {
    let mut request = state::record::kept_request(&Layout::new(deploy_dir, repo)?, request_file)?.request;
    request.header.repo = repo.to_owned();
    request.header.deploy_dir = deploy_dir.to_owned();
    request.force = force;
    // Nobody would be there to renew a lease: what a person does by hand stays.
    request.confirm_timeout = 0;
    if let Some(fetch) = &mut request.fetch {
        // The pack came with the request that was kept, and is gone.
        fetch.pack_bytes = None;
        fetch.large_files.clear();
        fetch.rebuild = false;
    }
    let layout = layout_of(&request.header)?;
    Ok((request, layout))
}

/// The person at this machine, as the holder of a lock. The run is one of its own, since no deployment may go on below it.
fn someone(what: &str) -> Holder {
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
        message: format!("{what} by hand"),
    }
}

/// Ends this process, and says why, unless what is given back is dropped in time: when something came.
fn expect_request(out: &Out) -> Result<Sender<()>, Fault> {
    let (came, is_there) = mpsc::channel();
    let out = out.clone();
    let waits = threads::start(move || {
        if is_there.recv_timeout(FIRST_BYTE) == Err(RecvTimeoutError::Timeout) {
            let why = "the connection may let nothing through to this host, or";
            let outcome = Err(Fault::failed(format!("no request came within {FIRST_BYTE:?}: {why} {TAKEN}")));
            out.event(&TargetEvent::Ended { outcome, state: None });
            out.flush(Duration::from_secs(5));
            std::process::exit(1);
        }
    });
    waits.map(|_| came).map_err(no_thread)
}

fn read_request(input: &mut impl BufRead, came: Sender<()>) -> Result<Request, Fault> {
    let cannot = |error: io::Error| Fault::failed(format!("cannot read the request: {}", fault::plain(&error)));
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
        return Err(Fault::failed(match length as u64 {
            0 => format!("no request came on standard input: {TAKEN}"),
            REQUEST => format!("the request is longer than {REQUEST} bytes; make templates or variables smaller"),
            _ => format!("the request broke off after {length} bytes"),
        }));
    }
    protocol::check(&line)?;
    let mut request: Request = serde_json::from_slice(&line).map_err(|error| protocol::unreadable(&error))?;
    // An older deployer takes messages of any length.
    let header = request.header_mut();
    header.holder = header.holder.clone().bounded();
    Ok(request)
}
