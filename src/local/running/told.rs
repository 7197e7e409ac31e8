//! What is told of services: to whoever asks how a target is, and beside a restart that failed.

use std::time::{Duration, Instant};

use super::manager::{Seen, Up, ask};
use super::processes;
use crate::local::job::Job;
use crate::local::os::process;
use crate::local::os::process::Exit;
use crate::local::stages::service_command::question;
use crate::local::state::layout::Layout;
use crate::wire::{RunningService, Service, VerifyService};

/// How long systemd's journal may take to answer.
const JOURNAL: Duration = Duration::from_secs(5);

/// Lines of the journal that are told.
const LINES: &str = "10";

/// What the services of this host run, without those whose manager does not tell.
pub fn services(service: &Service, layout: &Layout, until: Instant) -> Vec<RunningService> {
    if service.verify == Some(VerifyService::Off) {
        return Vec::new();
    }
    let secondary = service.secondary_file.is_absolute() && service.secondary_file.exists();
    let names = service.names.iter().filter(|name| !(secondary && name.disable_secondary));
    let asked = names.filter_map(|name| Some((&name.name, ask(service, &name.name, until).ok()?)));
    let one = |(name, seen): (&String, Seen)| {
        let revisions = processes::revisions(&processes::look(layout, &seen).uses).into_iter().collect();
        RunningService {
            name: name.clone(),
            up: matches!(seen.up, Up::Yes | Up::NotYet),
            state: seen.words,
            pid: seen.start.pid,
            revisions,
        }
    };
    asked.map(one).collect()
}

/// Tells how a service is that failed, and the last lines of its journal, as far as this user may read them.
pub fn why_it_failed(job: &Job, name: &str) {
    let until = job.deadline.within(JOURNAL);
    if let Ok(seen) = ask(&job.request.service, name, until) {
        job.out.info(format!("service {name}: {}", seen.words));
        if seen.start.invocation.is_none() {
            return;
        }
    } else {
        return;
    }
    let mut journal = process::command("journalctl");
    journal.args(["--no-pager", "--quiet", "--output=cat", "--lines", LINES, "--unit", name]).current_dir("/");
    match question(&mut journal, until) {
        Ok((Exit::Status(0), said)) => {
            said.lines().for_each(|line| job.out.info(format!("service {name}: journal: {line}")));
        }
        Ok((exit, _)) => job.out.debug(format!("service {name}: its journal cannot be read: {}", exit.reason(0))),
        Err(why) => job.out.debug(format!("service {name}: its journal cannot be read: {why}")),
    }
}
