//! That a restart has brought up what is live: looked at, not believed. A command that restarts a service may end well
//! while the service dies a moment later, or was never replaced.

use std::thread;
use std::time::{Duration, Instant};

use super::manager::{Seen, Up, ask};
use super::processes;
use super::processes::Use;
use super::told::why_it_failed;
use crate::local::fault::Fault;
use crate::local::job::Job;
use crate::local::os::sys;
use crate::local::state::layout::Link;
use crate::local::waiting::Waiting;
use crate::wire::{ServiceName, VerifyService};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(250);

/// How long a service may be between two starts, or on the process from before, once its restart has ended: a process that
/// was about to die may be seen for a moment.
const GRACE: Duration = Duration::from_secs(5);

/// How long processes that are on their way out may take after a restart.
const OLD_PROCESSES: Duration = Duration::from_secs(5);

/// The services that were restarted, under watch.
pub struct Proof<'a> {
    job: &'a Job,
    watched: Vec<Watched>,
    next: Instant,
}

/// How a service was before its restart.
pub struct Before {
    seen: Seen,
    /// No process of it is known to have ended lately.
    is_steady: bool,
}

struct Watched {
    name: String,
    /// `restart` or `reload`.
    action: String,
    /// That was done just now.
    is_new: bool,
    /// The main process before the restart.
    replaced: Option<u32>,
    /// It was not steadily up before the restart. So its supervisor may have started it once more after it was asked, and
    /// show the process that the restart then ended.
    is_unsteady: bool,
    /// What was first seen of it once it was up, and when.
    first: Option<(Seen, Instant)>,
    since: Instant,
}

impl Watched {
    fn is_reload(&self) -> bool {
        self.action == "reload"
    }

    /// Whether this is still the process that the restart was to replace.
    fn is_replaced(&self, seen: &Seen) -> bool {
        self.replaced.is_some() && seen.start.pid == self.replaced
    }

    /// Whether the process that was first seen has ended.
    fn has_ended(&self) -> bool {
        self.first.as_ref().and_then(|(first, _)| first.start.pid).is_some_and(|pid| !sys::is_alive(pid))
    }

    /// Forgets the process that was first seen if it `has_ended` and may be one that the restart was to replace: one at most.
    fn forget_replaced(&mut self, now: &Seen, has_ended: bool) {
        let Some(first) = self.first.as_ref().and_then(|(first, _)| first.start.pid) else { return };
        let is_gone = now.start.pid != Some(first) && has_ended;
        if self.is_unsteady && is_gone && self.since.elapsed() < GRACE {
            (self.first, self.replaced, self.is_unsteady) = (None, Some(first), false);
        }
    }

    /// Keeps what is seen of the service if it is up on another process than before.
    fn note(&mut self, seen: Seen) {
        let is_known = self.first.as_ref().is_some_and(|(first, _)| first.start.pid == seen.start.pid);
        if seen.up == Up::Yes && !is_known && !self.is_replaced(&seen) {
            self.first = Some((seen, Instant::now()));
        }
    }
}

impl Proof<'_> {
    pub fn new(job: &Job) -> Proof<'_> {
        Proof { job, watched: Vec::new(), next: Instant::now() }
    }

    /// How a service is before it is restarted; `None`: nobody looks, or it is not known.
    pub fn before(&self, name: &ServiceName) -> Option<Before> {
        let seen = self.ask(&name.name)?;
        let enough = Duration::from_secs(self.job.request.service.min_healthy);
        let is_old = |pid| sys::age(pid).is_none_or(|age| age >= enough);
        // systemd ends a restart only once the old process is gone, and tells one start from another.
        let is_steady = seen.start.invocation.is_some() || seen.up == Up::Yes && seen.start.pid.is_none_or(is_old);
        Some(Before { seen, is_steady })
    }

    fn ask(&self, name: &str) -> Option<Seen> {
        if self.job.request.service.verify == Some(VerifyService::Off) {
            return None;
        }
        match ask(&self.job.request.service, name, self.job.deadline.at()) {
            Ok(seen) => Some(seen),
            Err(why) => {
                self.job.out.debug(format!("service {name}: cannot determine what it runs: {why}"));
                None
            }
        }
    }

    /// Puts a service under watch that was just restarted or reloaded.
    pub fn watch(&mut self, name: &ServiceName, before: Option<Before>) -> Result<(), Fault> {
        self.begin(name, before, true)
    }

    /// Puts a service under watch as it is: nobody has restarted it.
    pub fn watch_as_it_is(&mut self, name: &ServiceName) -> Result<(), Fault> {
        self.begin(name, None, false)
    }

    fn begin(&mut self, name: &ServiceName, before: Option<Before>, is_new: bool) -> Result<(), Fault> {
        let Some(seen) = self.ask(&name.name) else { return Ok(()) };
        let (name, action) = (name.name.clone(), name.action.clone());
        let is_unsteady = before.as_ref().is_some_and(|before| !before.is_steady);
        let was = before.map(|before| before.seen).filter(|seen| seen.up == Up::Yes);
        let mut watched =
            Watched { name, action, is_new, replaced: None, is_unsteady, first: None, since: Instant::now() };
        let problem = match (was.as_ref().and_then(|was| was.start.pid), seen.start.pid) {
            (Some(old), Some(new)) if watched.is_reload() && old != new && !is_promised(was.as_ref(), &seen) => {
                Some(format!("process {old} ended and process {new} took its place: it was restarted"))
            }
            (old, _) if !watched.is_reload() => {
                watched.replaced = old;
                None
            }
            _ => None,
        };
        match problem.or_else(|| trouble(&watched, &seen, false, self.job)) {
            Some(problem) => self.found(&watched, &problem, false),
            None => {
                watched.note(seen);
                self.watched.push(watched);
                Ok(())
            }
        }
    }

    /// Fails as soon as a service is found not to have stayed up. Nobody is asked more often than every so often.
    pub fn look(&mut self) -> Result<(), Fault> {
        if Instant::now() < self.next {
            return Ok(());
        }
        self.next = Instant::now() + PAUSE;
        let mut index = 0;
        while index < self.watched.len() {
            let Some(seen) = self.ask(&self.watched[index].name) else {
                index += 1;
                continue;
            };
            // Looked at once: a process that ends between two looks would be told of by the one, and forgiven by the other.
            let has_ended = self.watched[index].has_ended();
            self.watched[index].forget_replaced(&seen, has_ended);
            match trouble(&self.watched[index], &seen, has_ended, self.job) {
                Some(problem) => {
                    let watched = self.watched.remove(index);
                    self.found(&watched, &problem, false)?;
                }
                None => {
                    self.watched[index].note(seen);
                    index += 1;
                }
            }
        }
        Ok(())
    }

    /// Watches until each service has been up for long enough, then looks at what its processes use.
    pub fn settle(mut self) -> Result<(), Fault> {
        if self.watched.is_empty() {
            return Ok(());
        }
        let enough = Duration::from_secs(self.job.request.service.min_healthy);
        {
            let names: Vec<String> = self.watched.iter().map(|it| it.name.clone()).collect();
            let what = format!("{} to stay up", crate::text::some(&names, 3));
            let _told = Waiting::start(&self.job.out, what, enough.min(self.job.deadline.left()));
            loop {
                self.next = Instant::now();
                self.look()?;
                let is_up = |it: &Watched| it.first.as_ref().is_some_and(|(_, at)| at.elapsed() >= enough);
                if self.watched.iter().all(is_up) {
                    break;
                }
                self.job.deadline.check()?;
                thread::sleep(PAUSE.min(self.job.deadline.left()));
            }
        }
        std::mem::take(&mut self.watched).iter().try_for_each(|watched| self.look_at_processes(watched))
    }

    /// Whether all processes of a service have left every tree but the live one.
    fn look_at_processes(&self, watched: &Watched) -> Result<(), Fault> {
        let job = self.job;
        let Some(live) = job.layout.read(Link::Current) else { return Ok(()) };
        let patience = if watched.is_reload() { Duration::ZERO } else { OLD_PROCESSES };
        let until = job.deadline.within(patience);
        loop {
            let Some(seen) = self.ask(&watched.name) else { return Ok(()) };
            let found = processes::look(&job.layout, &seen);
            let old = found.uses.iter().find(|it| it.tree != live.as_str());
            match old {
                Some(_) if Instant::now() < until => thread::sleep(PAUSE),
                Some(old) => {
                    let Use { pid, what, tree } = old;
                    let (old, live) = (
                        tree.parse().map_or(tree.clone(), |it: crate::wire::Revision| it.short().into()),
                        live.short(),
                    );
                    let problem = format!("process {pid} still has its {what} in {old}, but {live} is live");
                    return self.found(watched, &problem, watched.is_reload());
                }
                None => {
                    let name = &watched.name;
                    let main = seen.start.pid.map_or(String::new(), |pid| format!(", main process {pid}"));
                    job.out.debug(format!("service {name}: {}{main}; nothing of it uses another revision", seen.words));
                    if found.hidden > 0 {
                        let (hidden, all) = (found.hidden, crate::text::counted(found.processes, "process"));
                        job.out.debug(format!("service {name}: this user cannot see what {hidden} of {all} use"));
                    }
                    return Ok(());
                }
            }
        }
    }

    /// What is found wrong with a service: a failure, or a warning. `tolerable`: a warning unless somebody wants it strict.
    fn found(&self, watched: &Watched, problem: &str, tolerable: bool) -> Result<(), Fault> {
        let Watched { name, action, is_new, .. } = watched;
        let reason = match is_new {
            true => format!("service {name}: after the {action} {problem}"),
            false => format!("service {name}: {problem}"),
        };
        match self.job.request.service.verify {
            Some(VerifyService::Warn) => self.job.out.warn(reason),
            None if tolerable => self.job.out.warn(reason),
            _ => {
                why_it_failed(self.job, name);
                return Err(Fault::failed(reason));
            }
        }
        Ok(())
    }
}

/// Whether the manager says that a reload may bring another main process: it is the same start of the unit.
fn is_promised(was: Option<&Seen>, is: &Seen) -> bool {
    is.may_change_process
        && was.is_some_and(|was| was.start.invocation.is_some() && was.start.invocation == is.start.invocation)
}

/// What has become of a service since it was first seen; `has_ended`: the process that it was on then.
fn trouble(watched: &Watched, now: &Seen, has_ended: bool, job: &Job) -> Option<String> {
    let limit = Duration::from_secs(job.request.service.timeout.max(1));
    match now.up {
        Up::No => return Some(format!("it is {}", now.words)),
        Up::NotYet if watched.since.elapsed() > limit => {
            return Some(format!("it has been {} for more than {} s", now.words, limit.as_secs()));
        }
        Up::BetweenStarts if watched.first.is_none() && watched.since.elapsed() > GRACE => {
            return Some(format!("it is {}", now.words));
        }
        Up::Yes if watched.is_replaced(now) && watched.since.elapsed() > GRACE => {
            return now.start.pid.map(|pid| format!("it is still process {pid}: it was not restarted"));
        }
        Up::NotYet | Up::BetweenStarts | Up::Yes => {}
    }
    let (first, _) = watched.first.as_ref()?;
    if let (Some(before), Some(after)) = (first.start.restarts, now.start.restarts)
        && after > before
    {
        return Some(format!("it ended, and was started again {} within a few seconds", times(after - before)));
    }
    match (first.start.pid, now.start.pid) {
        (Some(first_pid), Some(pid)) if first_pid != pid && !is_promised(Some(first), now) => {
            Some(format!("process {first_pid} ended, and process {pid} took its place"))
        }
        (Some(pid), None) if has_ended => Some(format!("process {pid} ended")),
        _ => None,
    }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
