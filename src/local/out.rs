//! What is said while a stage works. A queue stands between the work and the reader, so that neither a closed nor a
//! stalled connection ever holds the work up.

use std::io::Write;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use crate::terminal::safe;
use crate::wire::{Ended, Level, Line, State, TargetEvent};

/// Who reads what is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// The deployer: one line of JSON an event.
    Deployer,
    /// A person at this machine: `HH:MM:SS message`.
    Person,
}

enum Message {
    Text(String),
    Flush(Sender<()>),
}

/// The way out. Clones share one queue.
#[derive(Clone)]
pub struct Out {
    queue: Sender<Message>,
    reader: Reader,
}

impl Out {
    /// Starts the thread that writes.
    pub fn new(mut output: impl Write + Send + 'static, reader: Reader) -> Out {
        let (queue, messages) = mpsc::channel();
        std::thread::spawn(move || {
            // After the first error nobody reads any more; the queue is still emptied, and the work goes on.
            let mut open = true;
            for message in messages {
                match message {
                    Message::Text(text) => {
                        open = open && output.write_all(text.as_bytes()).and_then(|()| output.flush()).is_ok();
                    }
                    Message::Flush(done) => drop(done.send(())),
                }
            }
        });
        Out { queue, reader }
    }

    /// Queues an event. Never fails and never waits.
    pub fn event(&self, event: &TargetEvent) {
        let text = match self.reader {
            // Within what the other side reads of a line.
            Reader::Deployer => serde_json::to_string(&event.clone().bounded()).ok().map(|json| json + "\n"),
            Reader::Person => for_a_person(event),
        };
        if let Some(text) = text {
            let _ = self.queue.send(Message::Text(text));
        }
    }

    /// Queues a line.
    pub fn line(&self, level: Level, message: impl Into<String>) {
        self.event(&TargetEvent::Line(Line { level, message: message.into() }));
    }

    pub fn info(&self, message: impl Into<String>) {
        self.line(Level::Info, message);
    }

    pub fn warn(&self, message: impl Into<String>) {
        self.line(Level::Warning, message);
    }

    pub fn debug(&self, message: impl Into<String>) {
        self.line(Level::Debug, message);
    }

    /// Waits until all that was said is written, but no longer than `most`.
    pub fn flush(&self, most: Duration) {
        let (done, written) = mpsc::channel();
        if self.queue.send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(most);
        }
    }
}

fn for_a_person(event: &TargetEvent) -> Option<String> {
    let time = crate::clock::hms();
    let text = match event {
        TargetEvent::Line(Line { level: Level::Debug, .. }) => return None,
        TargetEvent::Line(line) => safe(&line.message, true).into_owned(),
        TargetEvent::Diff { file, diff } => {
            let lines = diff.lines().map(|line| format!("{}\n", safe(line, true)));
            return Some(format!("{time} {}\n{}", safe(file, true), lines.collect::<String>()));
        }
        TargetEvent::Ended { outcome, state } => {
            safe(&format!("{}; {}", ending(outcome), standing(state)), true).into_owned()
        }
        TargetEvent::Facts(_) | TargetEvent::Held | TargetEvent::Recorded(_) => return None,
    };
    Some(format!("{time} {text}\n"))
}

fn ending(outcome: &Ended) -> String {
    match outcome {
        Ended::Ok => "ok".to_owned(),
        Ended::Failed { reason } => format!("failed: {reason}"),
        Ended::ChecksFailed { reason } => format!("the old revision is live again, but {reason}"),
        Ended::MovedOn { to } => format!("nothing was done: this host has moved on to {}", to.short()),
        Ended::TimedOut { seconds } => format!("timed out after {seconds} s"),
        Ended::Locked { by } => format!("locked by {by}"),
        Ended::CacheBroken { reason } => format!("failed, the git cache is not whole: {reason}"),
    }
}

fn standing(state: &State) -> String {
    match &state.current {
        Some(revision) => format!("{} is live", revision.short()),
        None => "nothing is live".to_owned(),
    }
}
