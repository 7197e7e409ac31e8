//! The fleet over SSH.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::connection::Work;
use super::keep_alive;
use super::measured::Measured;
use super::noise::Noise;
use super::once;
use super::open::OpenSessions;
use super::output_sink::{OutputSink, RunOutput};
use super::pool::Pool;
use super::sessions::{First, FleetState, Host};
use super::ssh::Ssh;
use super::terms::Terms;
use super::{
    Call, Fleet, Flow, HostEvent, HostId, HostResult, OnceCall, OnceObserver, PackSource, RequestSource, Step, Task,
};
use crate::once::OnceEnd;
use crate::targets::Target;
use crate::wire::{Facts, Fault, Revision, RunId, Stage};

/// Hosts over SSH: one session each, opened by the first step that needs it and kept.
pub struct SshFleet {
    pub(super) shared: Arc<FleetState>,
    pub(super) pool: Pool,
    /// Idle sessions are kept alive.
    keeps_alive: bool,
}

impl SshFleet {
    /// A fleet of `targets`; their indexes in the list are their ids. Opens no connection yet.
    pub fn new(
        ssh: Ssh,
        targets: Vec<Target>,
        requests: Box<dyn RequestSource>,
        packs: Box<dyn PackSource>,
    ) -> SshFleet {
        let host = |target| Host { target, session: Mutex::default(), noise: Noise::default() };
        let hosts: Vec<Host> = targets.into_iter().map(host).collect();
        let open = OpenSessions::new(ssh.session_limit(hosts.len()));
        SshFleet {
            shared: Arc::new(FleetState {
                ssh,
                hosts,
                requests,
                packs,
                open,
                output: RunOutput::default(),
                has_ended: Box::new(|_| false),
                aborting: AtomicBool::new(false),
                copies_no_more: Arc::default(),
                once: Mutex::default(),
            }),
            pool: Pool::whose_hosts_go_on(),
            keeps_alive: false,
        }
    }

    /// For a run that is resumed: its locks were taken before, so every new session takes its lock again. `seen` is what
    /// the journal recorded about the hosts.
    pub fn holding(mut self, mut seen: HashMap<HostId, First>) -> SshFleet {
        for (id, host) in HostId::first(self.shared.hosts.len()).zip(&self.shared.hosts) {
            let mut session = host.session.lock().unwrap_or_else(PoisonError::into_inner);
            // Only the journal knows on which hosts the revision went live; the others have no lease to renew. A stage
            // runs only on a host that has accepted a login.
            (session.hold, session.promoted, session.has_logged_in) = (true, true, true);
            session.first = seen.remove(&id);
        }
        self.keep_alive();
        self
    }

    /// For a run that changes its targets: what a run that has ended could not give up on a target keeps nobody out.
    pub fn after_runs(mut self, has_ended: impl Fn(&RunId) -> bool + Send + Sync + 'static) -> SshFleet {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.has_ended = Box::new(has_ended);
        }
        self
    }

    fn keep_alive(&mut self) {
        if !std::mem::replace(&mut self.keeps_alive, true) {
            keep_alive::start(&self.shared);
        }
    }

    /// Makes the packs of a fetch ahead of time, in the order of the hosts. Otherwise hosts that are queued behind those
    /// that wait for one large pack would have to wait again for their own.
    fn pack_ahead(&self, call: &Call, tasks: &[Task]) {
        let requests = &self.shared.requests;
        let Some(deployment) = requests.deployment().filter(|_| call.batch < tasks.len()) else { return };
        let fetch = requests.fetch();
        if fetch.source.is_some() || fetch.artifact.is_some() {
            return;
        }
        let mut states: Vec<Vec<Revision>> = Vec::new();
        let mut known = HashSet::new();
        for host in tasks.iter().filter_map(|task| self.shared.hosts.get(task.host.index())) {
            let session = host.session.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(facts) = session.remote.as_ref().map(|remote| &remote.facts) else { continue };
            if (call.force || !facts.revisions.contains(&deployment.revision)) && known.insert(facts.cached.clone()) {
                states.push(facts.cached.clone());
            }
        }
        let shared = Arc::downgrade(&self.shared);
        let make = move || {
            for state in states {
                let Some(shared) = shared.upgrade() else { return };
                // The step that needs the pack reports the error, or tries again.
                let _ = shared.packs.pack(&state);
            }
        };
        // Without the thread, the step makes the packs as well.
        let _ = std::thread::Builder::new().name("packs".into()).spawn(make);
    }

    /// Carries out a call with `recover`: reports the stages that began, with their results, and nothing else.
    fn recover(&mut self, call: &Call, tasks: &[Task], on: &mut dyn FnMut(Vec<HostEvent>) -> Flow) {
        let Step::Run(stage) = call.step else { return };
        let found: Arc<Mutex<Vec<(HostId, HostResult)>>> = Arc::default();
        let (shared, shared_call, finds) = (self.shared.clone(), call.clone(), found.clone());
        let job = move |task: &Task, tell: &dyn Fn(HostEvent)| {
            let terms = Terms::of(&shared_call, task);
            let result = shared.on_host(&terms, tell, |work| work.recover(stage, task.attempt));
            if let Some(result) = result {
                finds.lock().unwrap_or_else(PoisonError::into_inner).push((task.host, result));
            }
            HostResult::ok()
        };
        self.pool.run((call.batch, None), tasks, Arc::new(job), &mut |mut events| {
            events.retain(|event| matches!(event, HostEvent::Line(..)));
            // All hosts are asked, whatever the story answers.
            self.shared.heed(call, on(events));
            Flow::Continue
        });
        let found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
        for (host, result) in found {
            on(vec![HostEvent::Started(host), HostEvent::Ended(host, Box::new(result))]);
        }
    }
}

impl Fleet for SshFleet {
    fn run(&mut self, call: &Call, tasks: &[Task], on: &mut dyn FnMut(Vec<HostEvent>) -> Flow) {
        let shared = self.shared.clone();
        shared.ssh.remarks().deliver(on, |on| self.make(call, tasks, on));
    }

    fn run_once(&mut self, call: &OnceCall, on: &mut OnceObserver) -> OnceEnd {
        *self.shared.once.lock().unwrap_or_else(PoisonError::into_inner) = Some(call.command.clone());
        once::carry_out(self, call, on)
    }
}

impl SshFleet {
    /// Makes a call.
    fn make(&mut self, call: &Call, tasks: &[Task], on: &mut dyn FnMut(Vec<HostEvent>) -> Flow) {
        self.shared.aborting.store(false, Ordering::SeqCst);
        self.shared.copies_no_more.store(false, Ordering::SeqCst);
        // A probe is the same with `recover`.
        if call.recover && call.step != Step::Probe {
            return self.recover(call, tasks, on);
        }
        match call.step {
            Step::Hold => self.keep_alive(),
            Step::Run(Stage::Fetch) => self.pack_ahead(call, tasks),
            _ => {}
        }
        let (shared, shared_call) = (self.shared.clone(), call.clone());
        let measured = Measured::from_now(self.shared.ssh.options.timings);
        let job = move |task: &Task, tell: &dyn Fn(HostEvent)| {
            let terms = Terms::of(&shared_call, task);
            measured.step(|| {
                let result = shared.on_host(&terms, tell, |work| Some(work.step(&shared_call, task)));
                result.unwrap_or_else(HostResult::ok)
            })
        };
        // With more hosts than sessions may be open, they would close each other's sessions.
        let batch = self.shared.open.limit().map_or(call.batch, |limit| call.batch.min(limit));
        let shared = self.shared.clone();
        self.pool.run((batch, call.room), tasks, Arc::new(job), &mut |events| shared.heed(call, on(events)));
    }
}

impl FleetState {
    /// The run that has claimed a target, where that has ended.
    pub(super) fn void_claim<'a>(&self, facts: &'a Facts) -> Option<&'a RunId> {
        let claim = facts.locked.as_ref().filter(|_| facts.is_claim);
        claim.map(|by| &by.run).filter(|run| (self.has_ended)(run))
    }

    /// Tells the threads of a call when the operator stops or aborts it.
    fn heed(&self, call: &Call, flow: Flow) -> Flow {
        self.aborting.fetch_or(flow == Flow::Abort, Ordering::SeqCst);
        // A run that is resumed may have begun something on a host that it probes again.
        let is_first = call.step == Step::Probe && !call.recover;
        self.copies_no_more.fetch_or(is_first && flow != Flow::Continue, Ordering::SeqCst);
        flow
    }

    /// Does one piece of work on a host, and completes its result.
    pub(super) fn on_host(
        &self,
        terms: &Terms,
        tell: &dyn Fn(HostEvent),
        piece: impl FnOnce(&mut Work) -> Option<HostResult>,
    ) -> Option<HostResult> {
        let Some(host) = self.hosts.get(terms.host.index()) else {
            let reason = format!("internal error: no host {}", terms.host);
            return Some(Fault::failed(reason).into());
        };
        let mut session = host.session.lock().unwrap_or_else(|poisoned: PoisonError<_>| {
            host.session.clear_poison();
            let mut session = poisoned.into_inner();
            // The state of the protocol is unknown after a panic of the thread.
            session.remote = None;
            session
        });
        if session.remote.is_some() {
            self.make_room(terms.host);
        }
        let sink = OutputSink::new(terms.host, terms.timeout, tell, &self.output, Some(&host.noise));
        let mut work = Work::new(self, terms, &mut session, sink);
        let result = piece(&mut work)?;
        Some(work.sink.complete(result))
    }
}
