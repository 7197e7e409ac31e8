//! A command that runs on an open session.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ssh2::BlockDirections;

use super::channel::Channel;
use super::ends::{AfterLine, Driven, ExecEnd, OutputChunk};
use super::error_code;
use super::input::Feed;
use super::lines::Lines;
use super::link::Link;
use super::memory::with_chunk;
use super::tcp::Liveness;
use crate::fleet::Pack;
use crate::timings;
use crate::timings::Part;
use crate::wire::limits;

const LONGEST_OUT_LINE: usize = limits::PROTOCOL_LINE;
const LONGEST_ERR_LINE: usize = limits::LINE;
/// How many chunks are moved in one direction before it is the other direction's turn.
const TURN: usize = 16;
/// How long to wait for the end of the output after the command has ended: a process that it left running may hold the
/// output open for ever.
const GRACE: Duration = Duration::from_secs(2);

/// A running command.
pub struct Running {
    channel: Channel,
    feed: Feed,
    input_ended: bool,
    is_window_full: bool,
    out: Lines,
    err: Lines,
    /// Lines that were not delivered yet; `true` for standard error.
    unheard: VecDeque<(bool, Vec<u8>)>,
    /// If it is set, the command is not waited for any longer.
    given_up: Arc<AtomicBool>,
    /// Whether a deadline that passes leaves the channel open.
    stays: bool,
    /// How long after a piece of a file that was sent a deadline passes at the earliest, and when the last one was.
    patience: Option<(Duration, Instant)>,
}

enum WriteProgress {
    /// There is more to write, and room for it.
    Some,
    /// Nothing is left, or the peer's window is full.
    Nothing,
    /// A packet was sent in part: it comes first.
    Part,
}

enum ReadProgress {
    /// There was nothing to read.
    Quiet,
    /// All that has come in was read.
    Moved,
    /// There is more to read.
    Some,
    Paused,
}

impl Running {
    /// A command that was just started on a channel.
    pub(super) fn new(channel: Channel, feed: Feed) -> Running {
        Running {
            channel,
            feed,
            input_ended: false,
            is_window_full: false,
            out: Lines::new(LONGEST_OUT_LINE),
            err: Lines::new(LONGEST_ERR_LINE),
            unheard: VecDeque::new(),
            given_up: Arc::default(),
            stays: false,
            patience: None,
        }
    }

    /// Has lines of more than `longest` bytes come in pieces, each as a line, where else their rest would be dropped.
    pub fn in_pieces(mut self, longest: usize) -> Running {
        (self.out, self.err) = (Lines::in_pieces(longest), Lines::in_pieces(longest));
        self
    }

    /// Stops waiting for the command once the flag is set. The flag is also checked while the command prints nothing.
    pub fn until(mut self, given_up: Arc<AtomicBool>) -> Running {
        self.given_up = given_up;
        self
    }

    /// Has the command outlive a deadline of [`Running::drive`], which is then not that of the command.
    pub fn that_stays(mut self) -> Running {
        self.stays = true;
        self
    }

    /// Sends more input; only for a command whose input is kept open.
    pub fn say(&mut self, bytes: &[u8]) {
        self.feed.add(bytes);
    }

    /// Sends a file after that, as fast as the transfer limit lets it.
    pub fn send(&mut self, pack: Arc<Pack>) {
        self.feed.add_pack(pack);
    }

    /// The same; a deadline does not pass while pieces of it go, with no longer than `patience` between them. As of
    /// [`Running::until`] it is not waited for once a flag is set.
    pub fn send_for_as_long_as_it_takes(&mut self, pack: Arc<Pack>, patience: Duration, given_up: Arc<AtomicBool>) {
        self.send(pack);
        (self.patience, self.given_up) = (Some((patience, Instant::now())), given_up);
    }

    /// All of it has arrived: a deadline passes when it is due again, and no flag counts.
    pub fn sent(&mut self) {
        (self.patience, self.given_up) = (None, Arc::default());
    }

    /// Ends the input and waits for the command's end.
    pub fn finish(mut self, link: &mut Link, deadline: Instant) -> ExecEnd {
        self.feed.end();
        self.stays = false;
        loop {
            if let Driven::Ended(end) = self.drive(link, deadline, &mut |_| AfterLine::More) {
                return end;
            }
        }
    }

    /// Sends and receives what it can without waiting. This is for an idle command, so that the host's keepalive
    /// messages are answered. Received lines are kept for later if `keep` is set.
    pub fn keep_alive(&mut self, link: &mut Link, keep: &dyn Fn(OutputChunk) -> bool) {
        if link.broken().is_some() || !link.has_room() {
            return;
        }
        if let Err(why) = self.try_keep_alive(link) {
            link.break_off(&why);
        }
        self.unheard
            .retain(|(is_err, line)| keep(if *is_err { OutputChunk::Err(line) } else { OutputChunk::Out(line) }));
    }

    /// Whether the other side has closed the command's output, as far as that was read.
    pub fn has_closed(&self) -> bool {
        self.channel.eof()
    }

    fn try_keep_alive(&mut self, link: &mut Link) -> Result<(), String> {
        link.session.keepalive_send().map_err(|error| link.why(&error))?;
        for is_err in [false, true] {
            self.take_in(link, is_err)?;
        }
        let until = Instant::now() + GRACE;
        // A partially sent packet has to be completed before anything else is sent.
        while let WriteProgress::Part = self.write_turn(link, &mut |_| AfterLine::More)? {
            if Instant::now() >= until {
                return Err("the host accepts no data".into());
            }
            link.wait_for_room(until)?;
        }
        Ok(())
    }

    /// Stops reading the command, which keeps running.
    pub fn leave(mut self, link: &mut Link) {
        close(&mut self.channel, link);
    }

    /// Stops in the middle of the input. A packet may have been sent in part, so the session ends as well.
    pub fn break_off(self, link: &mut Link, why: &str) {
        link.break_off(why);
    }

    /// Moves input and output until the command ends, or `on` says pause, or the deadline passes. After an end the
    /// channel is closed, but for a command that stays.
    pub fn drive(
        &mut self,
        link: &mut Link,
        deadline: Instant,
        on: &mut dyn FnMut(OutputChunk) -> AfterLine,
    ) -> Driven {
        match self.move_until(link, deadline, on) {
            Ok(Some(ExecEnd::TimedOut)) if self.stays => Driven::Ended(ExecEnd::TimedOut),
            Ok(Some(end)) => {
                close(&mut self.channel, link);
                Driven::Ended(end)
            }
            Ok(None) => Driven::Paused,
            Err(why) => {
                link.break_off(&why);
                Driven::Ended(ExecEnd::Lost(why))
            }
        }
    }

    /// The loop of [`Running::drive`]; `Ok(None)` is a pause, an error a broken session.
    fn move_until(
        &mut self,
        link: &mut Link,
        mut deadline: Instant,
        on: &mut dyn FnMut(OutputChunk) -> AfterLine,
    ) -> Result<Option<ExecEnd>, String> {
        if let Some(why) = link.broken() {
            return Err(why.to_owned());
        }
        let mut liveness = Liveness::start();
        let mut leave_by: Option<Instant> = None;
        // Since when the command has ended and there was no output.
        let mut still: Option<Instant> = None;
        let mut part_sent = false;
        loop {
            let now = Instant::now();
            if leave_by.is_some_and(|at| now >= at) || still.is_some_and(|since| now >= since + GRACE) {
                return Ok(Some(self.end(on)));
            }
            let due = self.patience.map_or(deadline, |(patience, last)| deadline.max(last + patience));
            if now >= due {
                self.hear_all(on);
                return Ok(Some(ExecEnd::TimedOut));
            }
            if self.given_up.load(Ordering::SeqCst) {
                return Ok(None);
            }
            if !link.has_room() {
                link.pause(&mut liveness, false, true, earliest(due, leave_by, still))?;
                continue;
            }
            let (mut moved, mut more) = (false, false);
            if !part_sent {
                match self.read_turn(link, &mut leave_by, on)? {
                    ReadProgress::Paused => return Ok(None),
                    ReadProgress::Some => more = true,
                    ReadProgress::Moved => moved = true,
                    ReadProgress::Quiet => {}
                }
                if self.channel.eof() {
                    match done(link, self.channel.wait_close()) {
                        // Both streams have ended and the status was received, so there is no more output.
                        Ok(true) if done(link, self.channel.close())? => return Ok(Some(self.end(on))),
                        Ok(_) => {}
                        Err(why) => return Err(why),
                    }
                }
            }
            // What the library takes off the socket by other calls than reads, no poll will tell of.
            let queued = self.channel.queued();
            part_sent = match self.write_turn(link, on)? {
                WriteProgress::Part => true,
                WriteProgress::Some => {
                    more = true;
                    false
                }
                WriteProgress::Nothing => false,
            };
            if part_sent {
                link.pause(&mut liveness, false, true, earliest(due, leave_by, still))?;
            } else if more || self.channel.queued() > queued {
                still = None;
            } else {
                if moved {
                    still = None;
                }
                if still.is_none() && self.has_ended() {
                    still = Some(Instant::now());
                }
                let until = earliest(due, leave_by, still);
                let limited = self.feed.more_at();
                let _timed = limited.map(|_| timings::during(Part::TransferLimit));
                link.pause(&mut liveness, true, false, limited.map_or(until, |at| until.min(at)))?;
                // Time that the transfer limit takes is not the target's.
                deadline += limited.map_or(Duration::ZERO, |_| now.elapsed());
            }
        }
    }

    /// Whether the command is known to have failed although its output is still open. After a success, the output of
    /// processes that it left running may still be wanted.
    fn has_ended(&self) -> bool {
        self.channel.exit_status().is_some_and(|status| status != 0) || self.channel.exit_signal().is_some()
    }

    /// Delivers the received lines, including a last line without a newline.
    fn hear_all(&mut self, on: &mut dyn FnMut(OutputChunk) -> AfterLine) {
        let unheard = &mut self.unheard;
        self.out.finish(&mut |line| unheard.push_back((false, line.to_vec())));
        self.err.finish(&mut |line| unheard.push_back((true, line.to_vec())));
        // The command has ended, so pausing has no effect.
        while self.hear(&mut None, on) {}
    }

    fn end(&mut self, on: &mut dyn FnMut(OutputChunk) -> AfterLine) -> ExecEnd {
        self.hear_all(on);
        match (self.channel.exit_signal(), self.channel.exit_status()) {
            (Some(signal), _) => ExecEnd::Signal(signal),
            (None, Some(status)) => ExecEnd::Status(status),
            (None, None) => ExecEnd::Closed,
        }
    }

    /// Delivers lines until none is left or the callback pauses; returns whether it did.
    fn hear(&mut self, leave_by: &mut Option<Instant>, on: &mut dyn FnMut(OutputChunk) -> AfterLine) -> bool {
        while let Some((is_err, line)) = self.unheard.pop_front() {
            match on(if is_err { OutputChunk::Err(&line) } else { OutputChunk::Out(&line) }) {
                AfterLine::More => {}
                AfterLine::Pause => return true,
                AfterLine::Last => {
                    leave_by.get_or_insert_with(|| Instant::now() + GRACE);
                }
            }
        }
        false
    }

    fn read_turn(
        &mut self,
        link: &Link,
        leave_by: &mut Option<Instant>,
        on: &mut dyn FnMut(OutputChunk) -> AfterLine,
    ) -> Result<ReadProgress, String> {
        if self.hear(leave_by, on) {
            return Ok(ReadProgress::Paused);
        }
        let mut turn = ReadProgress::Quiet;
        for _ in 0..TURN {
            let mut moved = self.take_in(link, false)?;
            // To read a stream, the library takes all that has come in off the socket.
            let mut queued = self.channel.queued() > 0;
            if queued {
                moved |= self.take_in(link, true)?;
                queued = self.channel.queued() > 0;
            }
            if moved {
                turn = ReadProgress::Moved;
                if self.hear(leave_by, on) {
                    return Ok(ReadProgress::Paused);
                }
            }
            if !moved || !queued {
                return Ok(turn);
            }
        }
        Ok(ReadProgress::Some)
    }

    /// Reads received data of one stream into undelivered lines; returns whether there was any.
    fn take_in(&mut self, link: &Link, is_err: bool) -> Result<bool, String> {
        with_chunk(|chunk| {
            let bytes = match self.channel.read(is_err, chunk) {
                Ok(0) => return Ok(false),
                Ok(bytes) => bytes,
                Err(error) if error_code::of(&error) == error_code::EAGAIN => return Ok(false),
                Err(error) => return Err(link.why(&error)),
            };
            let (lines, unheard) = (if is_err { &mut self.err } else { &mut self.out }, &mut self.unheard);
            lines.feed(&chunk[..bytes], &mut |line| unheard.push_back((is_err, line.to_vec())));
            Ok(true)
        })
    }

    fn write_turn(
        &mut self,
        link: &Link,
        on: &mut dyn FnMut(OutputChunk) -> AfterLine,
    ) -> Result<WriteProgress, String> {
        for _ in 0..TURN {
            let complain = &mut |why: &str| {
                on(OutputChunk::Err(why.as_bytes()));
            };
            let Some(piece) = self.feed.piece(complain) else {
                if self.feed.is_over() && !self.input_ended {
                    self.input_ended = done(link, self.channel.send_eof())?;
                }
                return Ok(WriteProgress::Nothing);
            };
            if piece.is_empty() {
                return Ok(WriteProgress::Nothing);
            }
            match self.channel.write(piece) {
                Ok(0) => return Ok(WriteProgress::Nothing),
                Ok(bytes) => {
                    self.feed.sent(bytes);
                    if let Some((_, last)) = &mut self.patience {
                        *last = Instant::now();
                    }
                    self.is_window_full = false;
                }
                Err(error) if error_code::of(&error) == error_code::EAGAIN => {
                    // If only the inbound direction is blocked, the peer's window is full.
                    let part =
                        matches!(link.session.block_directions(), BlockDirections::Outbound | BlockDirections::Both);
                    if !part && !std::mem::replace(&mut self.is_window_full, true) {
                        timings::wait();
                    }
                    return Ok(if part { WriteProgress::Part } else { WriteProgress::Nothing });
                }
                Err(error) => return Err(link.why(&error)),
            }
        }
        Ok(WriteProgress::Some)
    }
}

/// When a wait ends at the latest.
fn earliest(deadline: Instant, leave_by: Option<Instant>, still: Option<Instant>) -> Instant {
    [leave_by, still.map(|since| since + GRACE)].into_iter().flatten().fold(deadline, Instant::min)
}

/// Closes a channel without waiting for the reply, which sshd sends only when the command has ended. Until then the
/// library keeps the small state of the channel, at most until the session is freed.
pub(super) fn close(channel: &mut Channel, link: &mut Link) {
    let mut liveness = Liveness::start();
    let until = Instant::now() + GRACE;
    while link.broken().is_none() {
        let why = if link.has_room() {
            match done(link, channel.close()) {
                Ok(_) => return,
                Err(why) => why,
            }
        } else if Instant::now() >= until {
            "a channel could not be closed".to_owned()
        } else {
            match link.pause(&mut liveness, false, true, until) {
                Ok(()) => continue,
                Err(why) => why,
            }
        };
        link.break_off(&why);
    }
}

/// Whether a call has completed, or has to be repeated later.
fn done(link: &Link, result: Result<(), ssh2::Error>) -> Result<bool, String> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error_code::of(&error) == error_code::EAGAIN => Ok(false),
        Err(error) => Err(link.why(&error)),
    }
}
