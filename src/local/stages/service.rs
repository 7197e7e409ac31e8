//! Restarting services, and waiting until they answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use crate::tcp;
use crate::timings;
use crate::timings::Part;
use crate::wire::{CheckPoint, Level, Revision, ServiceName, Stage, VerifyService};

use super::checks;
use super::service_command;
use super::service_command::{MASKED, NO_SUCH_UNIT, is_default};
use crate::local::drain;
use crate::local::fault::{Fault, plain};
use crate::local::job::Job;
use crate::local::os::lines::Lines;
use crate::local::os::process;
use crate::local::os::process::{Exit, Feed};
use crate::local::running::{Proof, why_it_failed};
use crate::local::state::layout::Link;
use crate::local::waiting::Waiting;

/// Lines of an answer that are looked at.
const SAID: usize = 20;

/// How long one attempt to connect may take, and the pause between two.
const ATTEMPT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(100);

/// The stage `restart_service` by itself.
pub fn run(job: &Job) -> Result<(), Fault> {
    let revision = job.layout.read(Link::Current).unwrap_or_else(|| job.request.revision.clone());
    checks::run(job, CheckPoint::Before(Stage::RestartService), &revision)?;
    if any_here(job)? {
        drain::before_restart(job)?;
    }
    restart(job)?;
    checks::run(job, CheckPoint::After(Stage::RestartService), &revision)?;
    drain::undrain(job)
}

/// The same as a part of promote.
pub fn run_for(job: &Job, revision: &Revision) -> Result<(), Fault> {
    checks::run(job, CheckPoint::Before(Stage::RestartService), revision)?;
    restart(job)?;
    checks::run(job, CheckPoint::After(Stage::RestartService), revision)
}

/// Restarts or reloads every service, in order, then waits for the port, and until it is known that they stay up and run
/// what is live. The first failure ends it. On a secondary target, services that are marked for it are stopped and disabled in place of that.
pub fn restart(job: &Job) -> Result<(), Fault> {
    let _timed = timings::during(Part::Service);
    let (mut restarted, mut proof) = (false, Proof::new(job));
    for name in &job.request.service.names {
        match here(job, name)? {
            Here::Skipped(why) => job.out.info(format!("service {} is skipped: {why}", name.name)),
            Here::Disabled => {
                act(job, name, "stop")?;
                act(job, name, "disable")?;
                let file = job.request.service.secondary_file.display();
                job.out.info(format!("service {} is disabled instead of restarted: {file} exists", name.name));
            }
            Here::Restarted => {
                restarted = true;
                let before = proof.before(name);
                act(job, name, &name.action)?;
                job.out.info(format!("service {}: {} done", name.name, name.action));
                proof.watch(name, before)?;
            }
        }
    }
    settle(job, proof, restarted)
}

/// Looks whether the services are up and run what is live, without restarting any of them.
pub fn look(job: &Job) -> Result<(), Fault> {
    let _timed = timings::during(Part::Service);
    let (mut wanted, mut proof) = (false, Proof::new(job));
    for name in &job.request.service.names {
        if here(job, name)? == Here::Restarted {
            wanted = true;
            proof.watch_as_it_is(name)?;
        }
    }
    settle(job, proof, wanted)
}

fn settle(job: &Job, mut proof: Proof, wanted: bool) -> Result<(), Fault> {
    if let Some(port) = job.request.service.port.filter(|_| wanted) {
        wait_for(job, port, &mut proof)?;
    }
    proof.settle()
}

/// Whether any service is restarted or reloaded on this host.
pub fn any_here(job: &Job) -> Result<bool, Fault> {
    let _timed = timings::during(Part::Service);
    for name in &job.request.service.names {
        if here(job, name)? == Here::Restarted {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is done with a service on this host.
#[derive(PartialEq, Eq)]
enum Here {
    Restarted,
    Disabled,
    Skipped(&'static str),
}

fn here(job: &Job, name: &ServiceName) -> Result<Here, Fault> {
    let service = &job.request.service;
    // Without a path there is no such mark.
    let secondary = service.secondary_file.is_absolute() && service.secondary_file.exists();
    if service.require_valid
        && let Some(why) = not_valid(job, name)?
    {
        return Ok(Here::Skipped(why));
    }
    Ok(if secondary && name.disable_secondary { Here::Disabled } else { Here::Restarted })
}

/// Runs the command for an action that has to succeed.
fn act(job: &Job, name: &ServiceName, action: &str) -> Result<(), Fault> {
    let Called { exit, last_words, .. } = call(job, name, action, Level::Info)?;
    if exit.is_ok() {
        return Ok(());
    }
    let reason = exit.reason(job.deadline.seconds);
    if job.request.service.verify != Some(VerifyService::Off) {
        why_it_failed(job, &name.name);
    }
    Err(Fault::failed(format!("service {}: {action} {reason}{last_words}", name.name)))
}

/// Why a service cannot be restarted on this host, if it cannot. Whoever manages it is asked, and changes nothing.
fn not_valid(job: &Job, name: &ServiceName) -> Result<Option<&'static str>, Fault> {
    if call(job, name, "status", Level::Debug)?.exit == Exit::Status(NO_SUCH_UNIT) {
        return Ok(Some("this host does not have it"));
    }
    // Only systemctl is known to know this word.
    if is_default(&job.request.service.command) {
        let called = call(job, name, "is-enabled", Level::Debug)?;
        if called.said.iter().any(|line| MASKED.contains(&line.trim())) {
            return Ok(Some("it is masked on this host"));
        }
    }
    Ok(None)
}

/// How a command ended, and what it said.
struct Called {
    exit: Exit,
    /// The first lines.
    said: Vec<String>,
    last_words: String,
}

/// Runs the command for an action.
fn call(job: &Job, name: &ServiceName, action: &str, level: Level) -> Result<Called, Fault> {
    job.deadline.check()?;
    let service = &name.name;
    let mut said = Vec::new();
    let command = service_command::command(&job.request.service.command, service, action)?;
    let scaps = service_command::scaps(&job.request.service.command, service, action);
    let mut command = match scaps {
        Some(scaps) if service_command::is_only_allowed(&command, &scaps, job.deadline.at()) => scaps,
        _ => command,
    };
    let mut lines = Lines::new();
    let mut say = |line: String| {
        job.out.line(level, format!("service {service}: {line}"));
        if said.len() < SAID {
            said.push(line);
        }
    };
    let exit = process::run(&mut command, Feed::Nothing, job.deadline.at(), &mut |stream, piece| {
        lines.take(stream, piece, &mut say);
    });
    lines.finish(&mut say);
    match exit {
        Ok(Exit::TimedOut) => Err(Fault::TimedOut { seconds: job.deadline.seconds }),
        Ok(exit) => Ok(Called { exit, said, last_words: lines.last_words() }),
        Err(error) => {
            let program = command.get_program().to_string_lossy();
            Err(Fault::failed(format!("service {service}: cannot run {program}: {}", plain(&error))))
        }
    }
}

/// Waits until this host accepts a connection on a port, by IPv4 or IPv6.
fn wait_for(job: &Job, port: u16, proof: &mut Proof) -> Result<(), Fault> {
    let seconds = job.request.service.timeout.max(1);
    let until = job.deadline.within(Duration::from_secs(seconds));
    let _told = Waiting::start(&job.out, format!("port {port}"), Duration::from_secs(seconds).min(job.deadline.left()));
    let addresses: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    loop {
        for address in addresses {
            if tcp::connect(&SocketAddr::new(address, port), ATTEMPT).is_ok() {
                job.out.info(format!("port {port} accepts connections"));
                return Ok(());
            }
        }
        // A service that is down will not answer.
        proof.look()?;
        if Instant::now() + PAUSE >= until {
            job.deadline.check()?;
            return Err(Fault::failed(format!("port {port} accepted no connection within {seconds} s")));
        }
        thread::sleep(PAUSE);
    }
}
