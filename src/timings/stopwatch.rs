//! A stopwatch for the work of one thread: at every moment exactly one part runs, so the parts add up to the whole.
//!
//! A step on a host is the work of one thread on either side, so the stopwatch belongs to the thread, and code far below
//! the step names what it does without being handed anything. On a thread without a stopwatch all this does nothing.

use std::cell::RefCell;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use super::{Part, Parts, Timings, seconds};

thread_local! {
    static STOPWATCH: RefCell<Option<Stopwatch>> = const { RefCell::new(None) };
}

struct Stopwatch {
    timings: Timings,
    running: Part,
    since: Instant,
    /// When the remote command of the exchange under way was started.
    command: Option<Instant>,
    /// The fastest answer of the SSH server.
    round_trip: Option<Duration>,
    /// What the target said of the exchange under way, and when.
    told: Option<(Parts, Instant)>,
}

impl Stopwatch {
    fn switch(&mut self, part: Part) -> Part {
        let now = Instant::now();
        self.timings.parts.add(self.running, now.saturating_duration_since(self.since));
        self.since = now;
        std::mem::replace(&mut self.running, part)
    }

    /// Attributes up to `most` of what was counted as `from` to another part.
    fn shift(&mut self, from: Part, to: Part, most: Duration) {
        let time = self.timings.parts.of(from).min(most);
        if let Some(left) = self.timings.parts.0.get_mut(&from) {
            *left -= time;
        }
        self.timings.parts.add(to, time);
    }
}

fn with<T>(on: impl FnOnce(&mut Stopwatch) -> T) -> Option<T> {
    STOPWATCH.with_borrow_mut(|stopwatch| stopwatch.as_mut().map(on))
}

/// Starts the stopwatch of this thread, with a time that it has waited for its turn.
pub fn start(queued: Duration) {
    let mut timings = Timings::default();
    timings.parts.add(Part::Queue, queued);
    let (running, since) = (Part::Other, Instant::now());
    STOPWATCH.set(Some(Stopwatch { timings, running, since, command: None, round_trip: None, told: None }));
}

/// Stops it, and tells what it has measured.
pub fn stop() -> Option<Timings> {
    STOPWATCH.take().map(|mut stopwatch| {
        stopwatch.switch(Part::Other);
        Timings { round_trip_seconds: stopwatch.round_trip.map(seconds), ..stopwatch.timings }
    })
}

/// What the stopwatch of a target has measured since it was started.
pub fn so_far() -> Option<Parts> {
    with(|stopwatch| {
        let running = stopwatch.running;
        stopwatch.switch(running);
        stopwatch.shift(Part::Other, Part::Work, Duration::MAX);
        stopwatch.timings.parts.clone()
    })
}

/// So much of what was counted as [`Part::Git`] was a wait for the deployer's data, which another thread passes on to git.
pub fn awaited(time: Duration) {
    with(|stopwatch| stopwatch.shift(Part::Git, Part::Input, time));
}

/// Counts the time as this part until it is dropped; a part within it counts for itself.
#[must_use]
pub struct Timed(Option<Part>);

/// Counts the time from now on as `part`.
pub fn during(part: Part) -> Timed {
    Timed(with(|stopwatch| stopwatch.switch(part)))
}

impl Drop for Timed {
    fn drop(&mut self) {
        if let Some(before) = self.0 {
            with(|stopwatch| stopwatch.switch(before));
        }
    }
}

/// So many bytes of a file were sent.
pub fn sent(bytes: usize) {
    with(|stopwatch| stopwatch.timings.bytes += bytes as u64);
}

/// Waited for the network once.
pub fn wait() {
    with(|stopwatch| stopwatch.timings.round_trips += 1);
}

/// Waited for an answer of the SSH server that takes it no work; the fastest so far took so long.
pub fn round_trip(time: Duration) {
    with(|stopwatch| {
        stopwatch.timings.round_trips += 1;
        stopwatch.round_trip = Some(stopwatch.round_trip.map_or(time, |fastest| fastest.min(time)));
    });
}

/// A remote command was started, which took one round trip of the time that was counted as [`Part::Start`] since
/// `began`.
pub fn started(began: Instant) {
    with(|stopwatch| {
        let running = stopwatch.running;
        stopwatch.switch(running);
        let trip = stopwatch.round_trip.unwrap_or_default();
        stopwatch.shift(Part::Start, Part::Network, trip.min(began.elapsed()));
        stopwatch.command = Some(Instant::now());
        stopwatch.timings.round_trips += 1;
    });
}

/// A command that runs already was asked to start a process, one `round_trip` away. That is part of no answer's time.
pub fn asked(round_trip: Duration) {
    with(|stopwatch| {
        stopwatch.round_trip = Some(stopwatch.round_trip.map_or(round_trip, |fastest| fastest.min(round_trip)));
        stopwatch.command = Instant::now().checked_add(round_trip);
    });
}

/// What a process of the target says of the exchange under way; what several say adds up.
pub fn told(parts: Parts) {
    with(|stopwatch| {
        let mut all = stopwatch.told.take().map(|(all, _)| all).unwrap_or_default();
        all.add_all(&parts);
        stopwatch.told = Some((all, Instant::now()));
    });
}

/// An exchange with a target: a request, and the wait for its answer.
#[must_use]
pub struct Exchange {
    timed: Option<Timed>,
    otherwise: Part,
    bytes: u64,
}

/// Begins an exchange. Its time is attributed when it is over: by what the target says of it or, if it says nothing, to
/// `otherwise`, but for one round trip.
pub fn exchange(otherwise: Part) -> Exchange {
    let bytes = with(|stopwatch| {
        (stopwatch.told, stopwatch.command) = (None, None);
        stopwatch.timings.bytes
    });
    Exchange { timed: Some(during(Part::Input)), otherwise, bytes: bytes.unwrap_or_default() }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.timed = None;
        with(|stopwatch| {
            let trip = stopwatch.round_trip.unwrap_or_default();
            stopwatch.timings.round_trips += 1;
            // What only waited for its input has said nothing of the work.
            let told = stopwatch.told.take().filter(|(told, _)| told.iter().any(|(part, _)| part.is_work()));
            let rest = match told {
                Some((told, at)) => {
                    for (part, time) in told.iter().filter(|(part, _)| part.is_work()) {
                        stopwatch.shift(Part::Input, part, time);
                    }
                    // Until the answer came, the process was being started for as long as it says that it did not run.
                    let waited =
                        stopwatch.command.map_or(Duration::ZERO, |command| at.saturating_duration_since(command));
                    let starting = waited.saturating_sub(told.whole());
                    stopwatch.shift(Part::Input, Part::Start, starting);
                    if stopwatch.timings.bytes > self.bytes { Part::Transfer } else { Part::Network }
                }
                None => self.otherwise,
            };
            stopwatch.shift(Part::Input, Part::Network, trip);
            stopwatch.shift(Part::Input, rest, Duration::MAX);
        });
    }
}

/// Data of the deployer; the time for which the thread with the stopwatch waits for it counts as [`Part::Input`].
pub struct Waited<R>(pub R);

impl<R: Read> Read for Waited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let _timed = during(Part::Input);
        self.0.read(buffer)
    }
}
