//! The gates of a run that keeps a journal: what it holds of a look at the service is told from it, a soak goes on with
//! what was left of it, and every sample is on the disk before the story hears of it.

use std::time::Duration;

use crate::deploy::health::{Earlier, GateEvent, Gates, Health, Look};
use crate::fleet::Flow;

use super::{Record, Replay};

/// How much of a soak goes by between two records of it.
const EVERY: Duration = Duration::from_secs(5);

impl Replay {
    /// The gates of the run.
    pub fn gates<G: Gates>(&self, inner: G) -> impl Gates + use<G> {
        JournaledGates { replay: self.clone(), inner }
    }
}

struct JournaledGates<G> {
    replay: Replay,
    inner: G,
}

/// What a journal has of a look.
enum Past {
    /// The whole of it.
    Over(Health),
    /// Its beginning.
    Begun(Earlier),
    Nothing,
}

impl<G: Gates> JournaledGates<G> {
    /// Tells the story what the journal has of a look.
    fn replay(&self, look: &Look, on: &mut dyn FnMut(Vec<GateEvent>) -> Flow) -> Past {
        let replay = &self.replay;
        let fits = |record: &Record| match record {
            Record::LookBegun { moment, group, label, .. } => {
                *moment == look.moment && *group == look.group && *label == look.label
            }
            _ => false,
        };
        if replay.next_if(fits).is_none() {
            replay.break_off();
            return Past::Nothing;
        }
        let mut earlier = Earlier::default();
        let of_looks = |record: &Record| {
            matches!(record, Record::Sampled { .. } | Record::Soaked { .. } | Record::LookEnded { .. })
        };
        loop {
            match replay.next_if(of_looks) {
                Some(Record::Sampled { sample }) => {
                    let at = replay.0.borrow().telling.time();
                    earlier.samples.push((sample.clone(), at));
                    on(vec![GateEvent::Sample(sample)]);
                }
                Some(Record::Soaked { left }) => {
                    earlier.soaked = look.soak.saturating_sub(left);
                    on(vec![GateEvent::Left(left)]);
                }
                Some(Record::LookEnded { health }) => return Past::Over(health),
                // An interrupt stands where it was noticed: the story has to look up there too.
                _ if replay.is_next(|record| matches!(record, Record::Interrupted)) => {
                    on(Vec::new());
                    replay.next_if(|record| matches!(record, Record::Interrupted));
                }
                _ => break,
            }
        }
        replay.break_off();
        Past::Begun(earlier)
    }
}

impl<G: Gates> Gates for JournaledGates<G> {
    fn look(&mut self, look: &Look, on: &mut dyn FnMut(Vec<GateEvent>) -> Flow) -> Health {
        let earlier = match self.replay(look, on) {
            Past::Over(health) => return health,
            Past::Begun(earlier) => earlier,
            Past::Nothing => {
                let Look { moment, group, label, soak, .. } = look.clone();
                self.replay.write(&[Record::LookBegun { moment, group, label, soak }]);
                Earlier::default()
            }
        };
        let mut left = look.soak.saturating_sub(earlier.soaked);
        let replay = self.replay.clone();
        // Where the targets have more on record than the journal, the run was past this already.
        let was_past = replay.0.borrow().told.leads_on();
        let health = if was_past || on(Vec::new()) != Flow::Continue {
            Health::Pass
        } else {
            let look = Look { soak: left, earlier, ..look.clone() };
            self.inner.look(&look, &mut |events| {
                replay.0.borrow_mut().telling.happens();
                let mut records = Vec::new();
                for event in &events {
                    match event {
                        GateEvent::Sample(sample) => records.push(Record::Sampled { sample: sample.clone() }),
                        GateEvent::Left(now) if *now + EVERY <= left || now.is_zero() => {
                            left = *now;
                            records.push(Record::Soaked { left });
                        }
                        GateEvent::Left(_) => {}
                    }
                }
                if !records.is_empty() {
                    replay.write(&records);
                }
                on(events)
            })
        };
        replay.write(&[Record::LookEnded { health: health.clone() }]);
        health
    }
}
