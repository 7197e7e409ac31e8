//! Sends announcements in the background: each hook has a thread and a queue of its own. A hook gets announcements in
//! the order of the events. One that hangs delays neither the others nor the deployment.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, unbounded};

use super::announcement::{Announcement, EventKind};
use super::hook::Hook;
use super::ledger::{Ledger, Outcome, Queued};
use super::send::send;

/// The maximum length of a hook's queue.
const LONGEST_QUEUE: usize = 1000;
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// Added to the time limit of an attempt when its end is awaited.
const GRACE: Duration = Duration::from_secs(2);

/// An announcement that a hook did not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    pub hook: String,
    pub event: EventKind,
    pub reason: String,
}

#[derive(Debug)]
struct Item {
    number: usize,
    ledger: Option<Arc<Ledger>>,
    announcement: Arc<Announcement>,
}

/// The number of an item, and its outcome.
type Ended = (usize, Outcome);

/// An item that is being sent, or is queued.
#[derive(Debug)]
struct Pending {
    hook: Arc<Hook>,
    item: Item,
}

/// The hooks, and the announcements that are on their way to them.
#[derive(Debug)]
pub struct Outbox {
    hooks: Vec<(Arc<Hook>, Option<Sender<Item>>)>,
    ended: (Sender<Ended>, Receiver<Ended>),
    pending: Vec<Pending>,
    unsent: Vec<Unsent>,
    next: usize,
}

impl Outbox {
    /// For these hooks. A hook's thread starts with its first announcement.
    pub fn new(hooks: Vec<Hook>) -> Outbox {
        let hooks = hooks.into_iter().map(|hook| (Arc::new(hook), None)).collect();
        Outbox { hooks, ended: unbounded(), pending: Vec::new(), unsent: Vec::new(), next: 0 }
    }

    /// The hooks.
    pub fn hooks(&self) -> impl Iterator<Item = &Hook> {
        self.hooks.iter().map(|(hook, _)| &**hook)
    }

    /// The names of the hooks that are told this announcement, without the given ones.
    pub fn subscribers(&self, announcement: &Announcement, without: &[String]) -> Vec<String> {
        let wants = |hook: &&Hook| hook.wants(announcement) && !without.contains(&hook.name);
        self.hooks().filter(wants).map(|hook| hook.name.clone()).collect()
    }

    /// Queues an announcement for hooks. The outcome is recorded in the ledger.
    pub fn send(&mut self, queued: &Queued, ledger: Option<&Arc<Ledger>>) {
        let announcement = Arc::new(queued.announcement.clone());
        for name in &queued.to {
            self.send_to(name, &announcement, ledger);
        }
    }

    fn send_to(&mut self, name: &str, announcement: &Arc<Announcement>, ledger: Option<&Arc<Ledger>>) -> usize {
        let number = self.next;
        self.next += 1;
        let item = || Item { number, ledger: ledger.cloned(), announcement: announcement.clone() };
        let event = announcement.event;
        let Some((hook, queue)) = self.hooks.iter_mut().find(|(hook, _)| hook.name == name) else {
            let reason = "it is no longer in hooks.yaml".to_owned();
            record_failure(ledger, &announcement.id, name, &reason);
            self.unsent.push(Unsent { hook: name.to_owned(), event, reason });
            return number;
        };
        let hook = hook.clone();
        let queue = queue.get_or_insert_with(|| start(hook.clone(), self.ended.0.clone()));
        match queue.try_send(item()) {
            Ok(()) => self.pending.push(Pending { hook, item: item() }),
            Err(error) => {
                let reason = match error {
                    TrySendError::Full(_) => format!("{LONGEST_QUEUE} announcements wait already"),
                    TrySendError::Disconnected(_) => "it cannot be run".to_owned(),
                };
                record_failure(ledger, &announcement.id, name, &reason);
                self.unsent.push(Unsent { hook: name.to_owned(), event, reason });
            }
        }
        number
    }

    /// Sends to one hook, and waits until its attempts have ended, each within its time limit.
    ///
    /// # Errors
    /// Why the hook was not told.
    pub fn send_and_wait(&mut self, name: &str, queued: &Queued, ledger: Option<&Arc<Ledger>>) -> Result<(), String> {
        let number = self.send_to(name, &Arc::new(queued.announcement.clone()), ledger);
        let Some(pending) = self.pending.iter().find(|pending| pending.item.number == number) else {
            return Err(self.unsent.pop().map(|unsent| unsent.reason).unwrap_or_default());
        };
        let (limit, tries) = (pending.hook.timeout, pending.hook.retries + 1);
        let until = Instant::now() + (limit + GRACE) * tries;
        while self.pending.iter().any(|pending| pending.item.number == number) {
            if !self.process_outcome(until) {
                self.pending.retain(|pending| pending.item.number != number);
                return Err(format!("it did not end within {} s", limit.as_secs_f64()));
            }
        }
        let failed = self.unsent.iter().rposition(|unsent| unsent.hook == name);
        match failed {
            Some(index) => Err(self.unsent.remove(index).reason),
            None => Ok(()),
        }
    }

    /// Processes the next outcome, waiting for it until the given time. Returns whether there was one.
    fn process_outcome(&mut self, until: Instant) -> bool {
        let Ok((number, outcome)) = self.ended.1.recv_deadline(until) else { return false };
        let Some(index) = self.pending.iter().position(|pending| pending.item.number == number) else { return true };
        let Pending { hook, item } = self.pending.remove(index);
        if let Outcome::Failed(reason) = outcome {
            self.unsent.push(Unsent { hook: hook.name.clone(), event: item.announcement.event, reason });
        }
        true
    }

    /// Remembers an announcement that was not sent, to report it at the end.
    pub fn keep(&mut self, unsent: Vec<Unsent>) {
        self.unsent.extend(unsent);
    }

    /// Whether anything is queued or being sent.
    pub fn is_busy(&mut self) -> bool {
        while self.process_outcome(Instant::now()) {}
        !self.pending.is_empty()
    }

    /// The hooks for which something is queued or being sent.
    pub fn busy_hooks(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.pending.iter().map(|pending| pending.hook.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Waits for queued announcements, no longer than the time limit of the slowest hook and no longer than `timeout`.
    /// Then returns everything that was not sent.
    pub fn finish(&mut self, timeout: Duration) -> Vec<Unsent> {
        let limit = self.pending.iter().map(|pending| pending.hook.timeout).max().unwrap_or_default();
        let until = Instant::now() + limit.min(timeout);
        while !self.pending.is_empty() && self.process_outcome(until) {}
        while self.process_outcome(Instant::now()) {}
        std::mem::take(&mut self.unsent)
    }

    /// Gives up what is queued or being sent, and returns it.
    pub fn give_up(&mut self) -> Vec<Unsent> {
        let give_up = |Pending { hook, item }: Pending| {
            let reason = format!("it did not end within {} s", hook.timeout.as_secs_f64());
            record_failure(item.ledger.as_ref(), &item.announcement.id, &hook.name, &reason);
            Unsent { hook: hook.name.clone(), event: item.announcement.event, reason }
        };
        self.pending.drain(..).map(give_up).collect()
    }
}

fn record_failure(ledger: Option<&Arc<Ledger>>, id: &str, hook: &str, reason: &str) {
    if let Some(ledger) = ledger {
        ledger.settle(id, hook, &Outcome::Failed(reason.to_owned()));
    }
}

/// The thread of a hook. It ends when its queue is closed. What is being sent then is given up when the process ends.
fn start(hook: Arc<Hook>, ended: Sender<Ended>) -> Sender<Item> {
    let (sender, receiver) = bounded::<Item>(LONGEST_QUEUE);
    // If the thread cannot be started, its channel is found disconnected.
    let _ = thread::Builder::new().name(format!("hook {}", hook.name)).spawn(move || {
        for item in receiver {
            let outcome = send_with_retries(&hook, &item.announcement);
            if let Some(ledger) = &item.ledger {
                ledger.settle(&item.announcement.id, &hook.name, &outcome);
            }
            let _ = ended.send((item.number, outcome));
        }
    });
    sender
}

/// Sends, with up to the hook's number of retries.
fn send_with_retries(hook: &Hook, announcement: &Announcement) -> Outcome {
    let mut tries = 0;
    loop {
        match send(hook, announcement) {
            Ok(()) => return Outcome::Sent,
            Err(reason) if tries == hook.retries => return Outcome::Failed(reason),
            Err(_) => {
                tries += 1;
                thread::sleep(PAUSE);
            }
        }
    }
}
