//! Noting what a run sees of its targets while it passes by.

use std::cell::RefCell;
use std::rc::Rc;

use crate::deploy::Plan;
use crate::fleet::{Call, Fleet, Flow, HostEvent, HostId, HostResult, OnceCall, OnceObserver, Step, Task};
use crate::fleet_state::{Links, Observation};
use crate::once::OnceEnd;
use crate::targets::Target;
use crate::wire::{Fault, Revision, State};

/// What was seen of each target of a run, by its place in the plan.
#[derive(Clone)]
pub struct Observations(Rc<RefCell<Vec<Observation>>>);

impl Observations {
    /// Nothing seen yet of `size` targets.
    pub fn new(size: usize) -> Observations {
        Observations(Rc::new(RefCell::new(vec![Observation::default(); size])))
    }

    /// Notes what targets say of their links. With a journal it goes around the journaled fleet: what an earlier deployer
    /// heard counts too.
    pub fn states<F: Fleet>(&self, inner: F) -> impl Fleet + use<F> {
        let note = |observation: &mut Observation, step, result: &HostResult| match (&result.state, &result.outcome) {
            (Some(state), _) => observation.links = Links::Read(state.clone()),
            // It is all that was said.
            (None, Err(Fault::MovedOn { to })) => {
                let before = match std::mem::take(&mut observation.links) {
                    Links::Read(state) => state,
                    Links::Unknown(read) => State { drained: read.and_then(|read| read.drained), ..State::default() },
                    Links::Unheard => State::default(),
                };
                observation.links = Links::Read(State { current: Some(to.clone()), ..before });
            }
            // The stage may have changed something, and the target does not say.
            (None, _) => {
                if matches!(step, Step::Run(stage) if result.leaves_links_unknown(stage)) {
                    observation.links = std::mem::take(&mut observation.links).doubted();
                }
            }
        };
        Watched { inner, observations: self.clone(), note }
    }

    /// Notes when targets answer. It goes around the fleet that really talks to them.
    pub fn contacts<F: Fleet>(&self, inner: F) -> impl Fleet + use<F> {
        let note = |observation: &mut Observation, step, result: &HostResult| {
            if !result.is_out_of_reach() && step != Step::Release {
                observation.contact = Some(crate::clock::rfc3339_utc());
            }
        };
        Watched { inner, observations: self.clone(), note }
    }

    /// What was seen live on targets of the run.
    pub fn live<'p>(&self, plan: &'p Plan) -> Vec<(&'p Target, Revision)> {
        let observations = self.0.borrow();
        let live = plan.targets().zip(observations.iter()).filter_map(|((_, target), observation)| {
            let Links::Read(state) = &observation.links else { return None };
            Some((target, state.current.clone()?))
        });
        live.collect()
    }

    /// Everything that was seen.
    pub fn take(&self) -> Vec<Observation> {
        self.0.borrow_mut().drain(..).collect()
    }
}

struct Watched<F, N> {
    inner: F,
    observations: Observations,
    note: N,
}

impl<F: Fleet, N: Fn(&mut Observation, Step, &HostResult)> Fleet for Watched<F, N> {
    fn run(&mut self, call: &Call, tasks: &[Task], on: &mut dyn FnMut(Vec<HostEvent>) -> Flow) {
        let Watched { inner, observations, note } = self;
        inner.run(call, tasks, &mut |events| {
            for event in &events {
                if let HostEvent::Ended(host, result) = event
                    && let Some(observation) = observations.0.borrow_mut().get_mut(host.index())
                {
                    note(observation, call.step, result);
                }
            }
            on(events)
        });
    }

    fn run_once(&mut self, call: &OnceCall, on: &mut OnceObserver) -> OnceEnd {
        self.inner.run_once(call, on)
    }

    fn recalls(&self, host: HostId) -> bool {
        self.inner.recalls(host)
    }
}
