//! Running one stage: locks, records, the time limit, and an end that is always told, however it comes.

use std::io::Read;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::timings;
use crate::timings::Part;
use crate::wire::{Holder, Outcome, Record, Stage, State, TargetEvent};

use super::config_diff;
use crate::local::fault::{Fault, plain};
use crate::local::job::Job;
use crate::local::os::process;
use crate::local::os::sys;
use crate::local::state::confirmed;
use crate::local::state::drained;
use crate::local::state::fence;
use crate::local::state::layout::Link;
use crate::local::state::lease;
use crate::local::state::lock;
use crate::local::state::lock::{Held, LockAttempt, Note, RunLock};
use crate::local::state::moved_on;
use crate::local::state::moved_on::Known;
use crate::local::state::observed;
use crate::local::state::record;
use crate::threads;

/// How long after its time limit a stage is ended by force. Its own looks at the clock come first.
const OVERTIME: Duration = Duration::from_secs(5);

/// How long the end of a stage may take that is ended by force: it may be the disk that hangs.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How long a slow reader is waited for once all is done.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two looks at the stage's lock.
const PAUSE: Duration = Duration::from_millis(50);

/// Who asks for a stage.
pub enum By {
    /// A deployer, whose lock holder may hold the lock already.
    Deployer,
    /// A person at this machine, who has to have the lock alone.
    Hand(Holder),
    /// The watcher of a lease that seems to have run out, which rolls back.
    Watcher,
}

/// Runs a stage and tells its end. Returns the exit status.
pub fn run(job: Job, stage: Stage, attempt: u32, input: Box<dyn Read + Send>, by: By) -> u8 {
    if let Some(umask) = job.request.header.umask {
        sys::set_umask(umask);
    }
    let end = Arc::new(End {
        job: job.clone(),
        over: Mutex::new(None),
        record: Mutex::new(None),
        by_watcher: matches!(by, By::Watcher),
    });
    if let Err(error) = watch(&end) {
        let reason = format!("cannot watch for signals: {}", plain(&error));
        return tell(&job, Err(Fault::failed(reason)), observed::look(&job.layout).ok());
    }
    let result = match stage {
        // It changes nothing, so it needs no lock and leaves no record.
        Stage::ConfigDiff => config_diff::run(&job),
        _ => locked(&job, stage, attempt, input, &by, &end),
    };
    let outcome = result.map_err(Fault::bounded);
    end.claim_or_wait();
    tell(&job, outcome, observed::look(&job.layout).ok())
}

fn tell(job: &Job, outcome: Outcome, state: Option<State>) -> u8 {
    let status = if outcome.is_ok() { 0 } else { 1 };
    job.out.timings(&job.request.header);
    job.out.event(&TargetEvent::Ended { outcome, state });
    job.out.flush(PATIENCE);
    status
}

/// Takes the locks, records the start, works, records the end. The locks are free again when this returns.
fn locked(job: &Job, stage: Stage, attempt: u32, input: Box<dyn Read + Send>, by: &By, end: &End) -> Result<(), Fault> {
    let (holder, alone) = match by {
        By::Deployer | By::Watcher => (&job.request.header.holder, false),
        By::Hand(holder) => (holder, true),
    };
    let timed = timings::during(Part::Lock);
    let run_lock = RunLock::take(&job.layout, holder, alone)?;
    let _stage_lock = wait_for_turn(job, holder, stage, attempt)?;
    run_lock.still_ours()?;
    drop(timed);
    match by {
        By::Deployer => {
            moved_on::check(&job.layout, &Known::from(&job.request))?;
            pass_fence(job, holder, stage)?;
        }
        By::Hand(_) => {}
        // What somebody else has deployed meanwhile is not this lease's to take back.
        By::Watcher if moved_on::check(&job.layout, &Known::from(&job.request)).is_err() => {
            return lease::end(&job.layout);
        }
        // With the stage's lock in hand nobody else can act on the lease any more.
        By::Watcher if lease::due(&job.layout, &holder.run) != lease::Due::Now => return Ok(()),
        By::Watcher => lease::rolling_back(&job.layout),
    }
    if stage == Stage::Once
        && let Some(outcome) = super::once::begun_before(job, attempt)
    {
        return outcome;
    }
    let start = record::start(&job.layout, &job.request, stage, attempt);
    let kept = match by {
        // What a command needs says nothing of how the host is deployed to.
        By::Deployer if job.request.command.is_none() => record::keep_request(&job.layout, &job.request, Some(stage)),
        By::Deployer | By::Hand(_) | By::Watcher => Ok(()),
    };
    match kept.and_then(|()| record::write(&job.layout, &start)) {
        // Going back has to be possible on a full disk too.
        Err(fault) if stage == Stage::Rollback => job.out.warn(fault.reason()),
        other => other?,
    }
    end.started(start);
    let result = lease::Renewing::during(&job.layout, &job.request).and_then(|_renewing| {
        job.deadline.check()?;
        super::carry_out(job, stage, input, by)
    });
    let result = result.and(end_lease(job, stage, by));
    // What a person does by hand confirms nothing: `guard --confirm` is their word.
    if matches!(by, By::Deployer | By::Watcher)
        && let Err(fault) = confirmed::after_stage(&job.layout, &job.request, stage, &result)
    {
        job.out.warn(fault.reason());
    }
    if let Err(fault) = &result {
        drained::note_reason(&job.layout, &format!("{stage}: {}", fault.reason()));
    }
    end.claim_or_wait();
    end.write_record(&result.clone().map_err(Fault::bounded));
    result
}

/// Refuses a run that is older than the newest one here, and remembers the newest.
fn pass_fence(job: &Job, holder: &Holder, stage: Stage) -> Result<(), Fault> {
    fence::check(&job.layout, holder)?;
    match fence::remember(&job.layout, holder) {
        // Going back has to be possible on a full disk too.
        Err(fault) if stage == Stage::Rollback => {
            job.out.warn(fault.reason());
            Ok(())
        }
        other => other,
    }
}

/// A rollback that has brought the old revision back leaves nothing for the watcher to do, whatever else went wrong.
fn end_lease(job: &Job, stage: Stage, by: &By) -> Result<(), Fault> {
    let run = &job.request.header.holder.run;
    // Where this run never promoted, the lease is that of a run before it.
    let ours = || lease::is_of(&job.layout, run) || record::was_started(&job.layout, run, Stage::Promote);
    let back = || job.request.restore.is_none() || job.layout.read(Link::Current) == job.request.restore;
    if stage == Stage::Rollback && !matches!(by, By::Watcher) && back() && ours() {
        return lease::end(&job.layout);
    }
    Ok(())
}

/// Waits until no other stage works here.
fn wait_for_turn(job: &Job, holder: &Holder, stage: Stage, attempt: u32) -> Result<Held, Fault> {
    let note = Note::new(holder, Some((stage, attempt)));
    let path = lock::stage_path(&job.layout);
    let own = format!("{stage}.{attempt}.json");
    let mut seen_before = None;
    loop {
        match lock::ask(&path, &note)? {
            LockAttempt::Mine(held) => {
                // A request that waited is out of date once its run has gone on: a promote must not follow the rollback
                // that was asked for later.
                let run = &job.request.header.holder.run;
                let gone_on = |seen: &Vec<String>| {
                    record::names(&job.layout, run).into_iter().find(|name| *name != own && !seen.contains(name))
                };
                return match seen_before.as_ref().and_then(gone_on) {
                    Some(name) => {
                        let later = name.split('.').next().unwrap_or_default();
                        let reason = format!("the run continued with {later} while this {stage} waited");
                        Err(Fault::failed(reason))
                    }
                    None => Ok(held),
                };
            }
            LockAttempt::Strangers(who) => return Err(Fault::failed(who)),
            LockAttempt::Theirs(theirs) => {
                if seen_before.is_none() {
                    let at = theirs.at.map_or("a stage".to_owned(), |(stage, _)| stage.to_string());
                    job.out.warn(format!("waiting for the end of {at} of run {}", theirs.holder.run));
                    seen_before = Some(record::names(&job.layout, &job.request.header.holder.run));
                }
                job.deadline.check()?;
                thread::sleep(PAUSE);
            }
        }
    }
}

/// The end of a stage. It comes once: from the work itself, from the clock, or from a signal.
struct End {
    job: Job,
    over: Mutex<Option<ThreadId>>,
    record: Mutex<Option<Record>>,
    by_watcher: bool,
}

impl End {
    /// Whether the end is the calling thread's to tell; the first to ask has it.
    fn claim(&self) -> bool {
        let me = thread::current().id();
        *self.over.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(me) == me
    }

    /// As [`End::claim`] for the work itself: when another thread has the end, the process is about to go.
    fn claim_or_wait(&self) {
        while !self.claim() {
            thread::sleep(PATIENCE);
        }
    }

    fn started(&self, record: Record) {
        *self.record.lock().unwrap_or_else(PoisonError::into_inner) = Some(record);
    }

    fn write_record(&self, outcome: &Outcome) {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(record) = record {
            let record = Record { outcome: Some(outcome.clone()), ..record };
            if let Err(fault) = record::write(&self.job.layout, &record) {
                self.job.out.warn(fault.reason());
            }
            if self.by_watcher {
                lease::went_back(&self.job.layout, outcome);
            }
        }
    }

    /// Ends the process, and with `end_commands` all that it runs, with an outcome; does nothing when the end has come already.
    fn by_force(self: &Arc<Self>, outcome: Outcome, end_commands: fn()) {
        if !self.claim() {
            return;
        }
        let (done, ready) = mpsc::channel();
        let (end, recorded) = (self.clone(), outcome.clone());
        threads::start_or_run(move || {
            end_commands();
            end.write_record(&recorded);
            let _ = done.send(observed::look(&end.job.layout).ok());
        });
        let state = ready.recv_timeout(LAST_WORDS).ok().flatten();
        self.job.out.event(&TargetEvent::Ended { outcome, state });
        self.job.out.flush(LAST_WORDS);
        std::process::exit(1)
    }
}

/// Watches the clock and the signals.
fn watch(end: &Arc<End>) -> std::io::Result<()> {
    sys::survive_hangups()?;
    let stopped = end.clone();
    sys::on_request_to_end(move |signal| {
        let reason = match signal {
            sys::ABORT => "aborted by the operator".to_owned(),
            signal => format!("stopped by signal {signal}"),
        };
        stopped.by_force(Err(Fault::failed(reason)), process::end_all);
        // The work was over already; whoever is slow to read its end is waited for no longer.
        thread::sleep(LAST_WORDS);
        std::process::exit(1);
    })?;
    let late = end.clone();
    threads::start(move || {
        let until = late.job.deadline.at() + OVERTIME;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            thread::sleep(left);
        }
        late.by_force(Err(Fault::TimedOut { seconds: late.job.deadline.seconds }), process::kill_all);
    })?;
    Ok(())
}
