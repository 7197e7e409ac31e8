//! Evaluates several gates at once, each on a thread of its own, so that one that hangs does not delay the others.

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
use crate::threads;

/// A message from a gate, with its index among the gates that were started.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    Sample(Sample),
    Ended(usize, Verdict),
}

/// Gates that are being evaluated. Dropping it stops them; a query that is running ends at its own time limit.
#[derive(Debug)]
pub struct Run {
    heard: Receiver<Progress>,
    /// Indexes of the gates that have not ended.
    open: Vec<usize>,
    _going: Going,
}

impl Run {
    /// Evaluates the gates for a subject until each has its verdict. A pass is only possible at the end of the soak.
    /// `earlier`: the part of the look that an earlier deployer recorded.
    pub fn start(gates: &[&Gate], subject: &Subject, soak: Duration, earlier: &Earlier) -> Run {
        let (sender, heard) = unbounded();
        let (going, stop) = Stop::pair();
        for (place, gate) in gates.iter().copied().enumerate() {
            let (gate, subject, earlier) = (gate.clone(), subject.clone(), earlier.clone());
            let (telling, stop) = (sender.clone(), stop.clone());
            // A thread that dies is noticed later, because its gate has no verdict.
            let started = thread::Builder::new().name(format!("gate {}", gate.name)).spawn(move || {
                let tell = |heard| tell(&telling, heard);
                let verdict = watch(&gate, &subject, soak, &earlier, &stop, &|sample| tell(Progress::Sample(sample)));
                verdict.map(|verdict| tell(Progress::Ended(place, verdict)))
            });
            if let Err(error) = started {
                let verdict = Verdict::Inconclusive { reason: threads::refused(&error) };
                tell(&sender, Progress::Ended(place, verdict));
            }
        }
        Run { heard, open: (0..gates.len()).collect(), _going: going }
    }

    /// The next messages, after waiting at most this long.
    pub fn next(&mut self, timeout: Duration) -> Vec<Progress> {
        let first = match self.heard.recv_timeout(timeout) {
            Ok(heard) => heard,
            Err(RecvTimeoutError::Timeout) => return Vec::new(),
            // All threads have ended, some of them without a verdict, so there is nothing to wait for.
            Err(RecvTimeoutError::Disconnected) => {
                let lost = Verdict::Inconclusive { reason: "the gate ended without a verdict".into() };
                return std::mem::take(&mut self.open)
                    .into_iter()
                    .map(|at| Progress::Ended(at, lost.clone()))
                    .collect();
            }
        };
        let heard: Vec<Progress> = std::iter::once(first).chain(self.heard.try_iter()).collect();
        self.open.retain(|place| !heard.iter().any(|it| matches!(it, Progress::Ended(ended, _) if ended == place)));
        heard
    }

    /// Whether every gate has its verdict.
    pub fn is_over(&self) -> bool {
        self.open.is_empty()
    }
}

fn tell(sender: &Sender<Progress>, heard: Progress) {
    // If the receiver is gone, the message is not needed.
    let _ = sender.send(heard);
}

/// Evaluates one gate, from its first sample to its verdict; `None` if the run was stopped.
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
