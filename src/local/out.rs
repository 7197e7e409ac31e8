//! What is said while a stage works. A queue stands between the work and the reader, so that neither a closed nor a
//! stalled connection ever holds the work up.

use std::borrow::Cow;
use std::io::Write;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use crate::local::fault::no_thread;
use crate::terminal::sanitize_lines;
use crate::threads;
use crate::timings;
use crate::timings::{Part, Parts};
use crate::wire::limits;
use crate::wire::{Fault, HEARTBEAT, Header, LONGEST_EVENT, Level, Line, Outcome, PIECE, State, TargetEvent};

/// Who reads what is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The deployer: one line of JSON an event.
    Deployer,
    /// A person at this machine: `HH:MM:SS message`.
    Person,
}

enum Message {
    Text(String),
    Flush(Sender<()>),
    /// One more, or one less, of those who write to the same output.
    Silent(bool),
}

/// The way out. Clones share one queue.
#[derive(Clone)]
pub struct Out {
    queue: Sender<Message>,
    reader: Audience,
    /// What a stage says of itself is shown with `-v` only.
    in_background: bool,
}

impl Out {
    /// Starts the thread that writes. A deployer also hears from it when nothing is said for a while.
    ///
    /// # Errors
    /// There is no thread to write with, which the reader has been told.
    pub fn new<W: Write + Send + 'static>(mut output: W, reader: Audience) -> Result<Out, Fault> {
        let (queue, messages) = mpsc::channel();
        let (give, given) = mpsc::channel::<W>();
        let writes = threads::start(move || {
            let Ok(mut output) = given.recv() else { return };
            let mut write = |text: &str| {
                // JSON has its own escapes, and its reader is no terminal.
                let shown = match reader {
                    Audience::Deployer => Cow::Borrowed(text),
                    Audience::Person => Cow::Owned(sanitize_lines(text, true)),
                };
                output.write_all(shown.as_bytes()).and_then(|()| output.flush()).is_ok()
            };
            // What a start-up file of the login shell has printed may lack its newline.
            let mut open = reader == Audience::Person || write("\n");
            let mut others = 0;
            // After the first error nobody reads any more; the queue is still emptied, and the work goes on.
            loop {
                match messages.recv_timeout(HEARTBEAT) {
                    Ok(Message::Silent(true)) => others += 1,
                    Ok(Message::Silent(false)) => others -= 1,
                    Err(RecvTimeoutError::Timeout) if others > 0 => {}
                    Ok(Message::Text(text)) => open = open && write(&text),
                    Ok(Message::Flush(done)) => drop(done.send(())),
                    Err(RecvTimeoutError::Timeout) if reader == Audience::Deployer => {
                        open = open && json(&TargetEvent::Alive).is_some_and(|text| write(&text));
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        if let Err(error) = writes {
            let fault = no_thread(error);
            let text = text(&TargetEvent::Ended { outcome: Err(fault.clone()), state: None }, reader);
            let _ = output.write_all(format!("\n{}", text.unwrap_or_default()).as_bytes());
            return Err(fault);
        }
        let _ = give.send(output);
        Ok(Out { queue, reader, in_background: false })
    }

    /// Nobody reads it.
    pub fn nowhere() -> Out {
        Out { queue: mpsc::channel().0, reader: Audience::Person, in_background: false }
    }

    /// The same, for a stage whose output is that of a command: what it says of itself is no part of that.
    pub fn in_background(&self) -> Out {
        Out { in_background: true, ..self.clone() }
    }

    /// Queues an event. Never fails and never waits.
    pub fn event(&self, event: &TargetEvent) {
        if let Some(text) = text(event, self.reader) {
            self.text(text);
        }
    }

    /// Reports where the time went so far, if the request asks for it. To be called ahead of the answer.
    pub fn timings(&self, header: &Header) {
        if let Some(parts) = header.timings.then(timings::so_far).flatten() {
            self.event(&TargetEvent::Timings { parts });
        }
    }

    /// Reports for how long a request was on its way that a process of its own carries out: that knows only its own time.
    pub fn input_came(&self, header: &Header, time: Duration) {
        if header.timings {
            let mut parts = Parts::default();
            parts.add(Part::Input, time);
            self.event(&TargetEvent::Timings { parts });
        }
    }

    /// Queues text as it stands.
    pub fn text(&self, text: String) {
        let _ = self.queue.send(Message::Text(text));
    }

    /// Queues a line.
    pub fn line(&self, level: Level, message: impl Into<String>) {
        self.event(&TargetEvent::Line(Line { level, message: message.into() }));
    }

    pub fn info(&self, message: impl Into<String>) {
        self.line(if self.in_background { Level::Debug } else { Level::Info }, message);
    }

    pub fn warn(&self, message: impl Into<String>) {
        self.line(Level::Warning, message);
    }

    pub fn debug(&self, message: impl Into<String>) {
        self.line(Level::Debug, message);
    }

    /// Nothing is said unasked until what is returned is dropped: another process writes to the same output, and a line
    /// must not come into the middle of one of its own.
    pub fn silent(&self) -> Silent {
        let _ = self.queue.send(Message::Silent(true));
        Silent(self.clone())
    }

    /// Waits until all that was said is written, but no longer than `most`.
    pub fn flush(&self, most: Duration) {
        let (done, written) = mpsc::channel();
        if self.queue.send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(most);
        }
    }
}

/// As of [`Out::silent`].
pub struct Silent(Out);

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = self.0.queue.send(Message::Silent(false));
    }
}

/// An event as its reader gets it.
fn text(event: &TargetEvent, reader: Audience) -> Option<String> {
    match reader {
        // Within what the other side reads of a line.
        Audience::Deployer => json(&event.clone().bounded()),
        Audience::Person => for_a_person(event),
    }
}

/// An event as lines of the protocol: one, or as many as it takes.
fn json(event: &TargetEvent) -> Option<String> {
    let mut text = serde_json::to_string(event).ok()?;
    if text.len() > LONGEST_EVENT {
        let message = format!("the response of this host has {} bytes and is omitted", text.len());
        text = serde_json::to_string(&TargetEvent::Line(Line { level: Level::Error, message })).ok()?;
    }
    if text.len() <= PIECE {
        text.push('\n');
        return Some(text);
    }
    let (mut lines, mut rest) = (String::new(), text.as_str());
    while !rest.is_empty() {
        let (piece, left) = rest.split_at(limits::boundary(rest, PIECE));
        let piece = TargetEvent::Piece { json: piece.to_owned(), last: left.is_empty() };
        lines.push_str(&serde_json::to_string(&piece).ok()?);
        lines.push('\n');
        rest = left;
    }
    Some(lines)
}

fn for_a_person(event: &TargetEvent) -> Option<String> {
    let time = crate::clock::hms();
    let text = match event {
        TargetEvent::Line(Line { level: Level::Debug, .. }) => return None,
        TargetEvent::Line(line) => line.message.clone(),
        TargetEvent::Diff { file, diff } => {
            let lines = diff.lines().map(|line| format!("{line}\n"));
            return Some(format!("{time} {}\n{}", one_line(file), lines.collect::<String>()));
        }
        TargetEvent::Ended { outcome, state: Some(state) } => format!("{}; {}", ending(outcome), standing(state)),
        TargetEvent::Ended { outcome, state: None } => ending(outcome),
        TargetEvent::Facts(_) | TargetEvent::Held | TargetEvent::Recorded(_) => return None,
        TargetEvent::Exited { .. } => return None,
        TargetEvent::Waiting { what, seconds, limit } => format!("{what}: {seconds} of {limit} s"),
        TargetEvent::Wanted { .. } | TargetEvent::Timings { .. } => return None,
        TargetEvent::Alive | TargetEvent::Piece { .. } => return None,
    };
    Some(format!("{time} {}\n", one_line(&text)))
}

/// With no line of its own in it.
fn one_line(text: &str) -> String {
    text.replace('\n', "\\n")
}

fn ending(outcome: &Outcome) -> String {
    match outcome {
        Ok(()) => "ok".to_owned(),
        Err(Fault::Failed { reason, .. }) => format!("failed: {reason}"),
        Err(Fault::MovedOn { to }) => {
            format!("nothing was done: this host now runs {} of another deployment", to.short())
        }
        Err(Fault::CacheBroken { reason }) => format!("failed, because the git cache is incomplete: {reason}"),
        Err(fault) => fault.to_string(),
    }
}

fn standing(state: &State) -> String {
    match &state.current {
        Some(revision) => format!("{} is live", revision.short()),
        None => "nothing is live".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::time::Instant;

    use super::*;

    #[test]
    fn signs_of_life_stop_while_another_process_writes_to_the_same_output() {
        let (read, write) = std::io::pipe().unwrap();
        let out = Out::new(write, Audience::Deployer).unwrap();
        let mut lines = BufReader::new(read).lines().map(Result::unwrap).filter(|line| !line.is_empty());
        let (first, second) = (out.silent(), out.silent());
        std::thread::spawn(move || {
            std::thread::sleep(HEARTBEAT * 3 / 2);
            drop(first);
            std::thread::sleep(HEARTBEAT);
            out.event(&TargetEvent::Held);
            drop(second);
            std::thread::sleep(HEARTBEAT * 2);
        });
        let began = Instant::now();
        assert_eq!(lines.next().unwrap(), json(&TargetEvent::Held).unwrap().trim_end(), "what is said is said");
        assert!(began.elapsed() >= HEARTBEAT * 5 / 2);
        assert_eq!(lines.next().unwrap(), json(&TargetEvent::Alive).unwrap().trim_end());
    }

    #[test]
    fn an_event_of_any_length_comes_in_lines_of_bounded_length_and_is_whole_again() {
        for length in [1, PIECE, 3 * PIECE + 7] {
            let event = TargetEvent::Diff { file: "/etc/ä".to_owned(), diff: "-\"ä\n".repeat(length / 5 + 1) };
            let lines = json(&event).unwrap();
            assert!(lines.lines().all(|line| line.len() <= 2 * PIECE + 100));
            let pieces: Vec<TargetEvent> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let whole = match pieces.as_slice() {
                [only] => only.clone(),
                pieces => {
                    let json = |piece: &TargetEvent| match piece {
                        TargetEvent::Piece { json, .. } => json.clone(),
                        other => panic!("{other:?}"),
                    };
                    serde_json::from_str(&pieces.iter().map(json).collect::<String>()).unwrap()
                }
            };
            assert_eq!(whole, event);
        }
    }
}
