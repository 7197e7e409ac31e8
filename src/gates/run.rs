//! Several gates at once, each on a thread of its own, so that one that hangs holds up no other.

use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::asking::Asker;
use super::earlier::Earlier;
use super::gate::Gate;
use super::judge::{Judge, Next, Verdict};
use super::reading::Sample;
use super::stop::{Going, Stop};
use super::template::Subject;

/// What is heard of a gate, by its place among the gates that were started.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Sample(Sample),
    Ended(usize, Verdict),
}

/// Gates that are being asked. When it is dropped, they stop; what is under way then ends by its own time limit.
#[derive(Debug)]
pub struct Run {
    heard: Receiver<Heard>,
    /// Gates that have not ended, by their places.
    open: Vec<usize>,
    _going: Going,
}

impl Run {
    /// Asks the gates about a subject until each has its verdict. With a soak, that is at its end at the earliest.
    /// `earlier`: what the look came to before.
    pub fn start(gates: &[&Gate], subject: &Subject, soak: Duration, earlier: &Earlier) -> Run {
        let (sender, heard) = unbounded();
        let (going, stop) = Stop::pair();
        for (place, gate) in gates.iter().copied().enumerate() {
            let (gate, subject, earlier) = (gate.clone(), subject.clone(), earlier.clone());
            let (sender, stop) = (sender.clone(), stop.clone());
            // One that cannot be started, or dies, is found to be missing.
            let _ = thread::Builder::new().name(format!("gate {}", gate.name)).spawn(move || {
                let tell = |heard| tell(&sender, heard);
                let verdict = watch(&gate, &subject, soak, &earlier, &stop, &|sample| tell(Heard::Sample(sample)));
                verdict.map(|verdict| tell(Heard::Ended(place, verdict)))
            });
        }
        Run { heard, open: (0..gates.len()).collect(), _going: going }
    }

    /// What was heard, after a wait of this time at the most.
    pub fn next(&mut self, patience: Duration) -> Vec<Heard> {
        let first = match self.heard.recv_timeout(patience) {
            Ok(heard) => heard,
            Err(RecvTimeoutError::Timeout) => return Vec::new(),
            // Threads that died without a verdict. Nobody else is left, so there is nothing to wait for.
            Err(RecvTimeoutError::Disconnected) => {
                let lost = Verdict::Inconclusive { reason: "the gate ended without a verdict".into() };
                return std::mem::take(&mut self.open).into_iter().map(|at| Heard::Ended(at, lost.clone())).collect();
            }
        };
        let heard: Vec<Heard> = std::iter::once(first).chain(self.heard.try_iter()).collect();
        self.open.retain(|place| !heard.iter().any(|it| matches!(it, Heard::Ended(ended, _) if ended == place)));
        heard
    }

    /// Whether every gate has its verdict.
    pub fn is_over(&self) -> bool {
        self.open.is_empty()
    }
}

fn tell(sender: &Sender<Heard>, heard: Heard) {
    // Nobody listens any more: then nobody needs it.
    let _ = sender.send(heard);
}

/// One gate, from its first sample to its verdict; `None` when nobody waits for it any more.
fn watch(
    gate: &Gate,
    subject: &Subject,
    soak: Duration,
    earlier: &Earlier,
    stop: &Stop,
    tell: &dyn Fn(Sample),
) -> Option<Verdict> {
    let began = Instant::now();
    let mut judge = Judge::new(gate, soak);
    if let Some(verdict) = judge.go_on(earlier) {
        return Some(verdict);
    }
    let mut asker = Asker::new(gate.clone());
    asker.recall(subject, &earlier.times_of(&gate.name), stop);
    let mut at = if asker.skips(subject) { Duration::ZERO } else { judge.first() };
    loop {
        if stop.wait(at.saturating_sub(began.elapsed())) {
            return None;
        }
        let begun = began.elapsed();
        let reading = asker.ask(subject, None, stop);
        let (sample, next) = judge.take(begun, began.elapsed(), reading);
        tell(sample);
        match next {
            Next::AskAt(next) => at = next,
            Next::Ended(verdict) => return Some(verdict),
        }
    }
}
