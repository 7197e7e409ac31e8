//! Starting a command on an open session.

use std::time::{Duration, Instant};

use super::channel::Channel;
use super::ends::{AfterLine, Driven, ExecEnd, OpenError, OutputChunk};
use super::error_code;
use super::exec::{Running, close};
use super::input::{Feed, Input};
use super::link::Link;
use super::tcp::Liveness;
use crate::timings;
use crate::timings::Part;

/// sshd frees the session of a command shortly after reporting its end, so a refused channel is requested again.
const CHANNEL_TIMEOUT: Duration = Duration::from_secs(1);
const CHANNEL_PAUSE: Duration = Duration::from_millis(20);

impl Link {
    /// Starts `command` (a line for the user's login shell).
    pub fn start(&mut self, command: &str, input: Input, deadline: Instant) -> Result<Running, OpenError> {
        if let Some(why) = self.broken() {
            return Err(OpenError::Lost(why.to_owned()));
        }
        let mut liveness = Liveness::start();
        let give_up_at = (Instant::now() + CHANNEL_TIMEOUT).min(deadline);
        let timed = timings::during(Part::Network);
        let mut channel = loop {
            let began = Instant::now();
            match self.until_done(&mut liveness, deadline, |link| Channel::open(&link.session)) {
                Ok(channel) => {
                    self.answered_in(began.elapsed());
                    break channel;
                }
                Err(OpenError::NoChannel(_)) if Instant::now() < give_up_at => std::thread::sleep(CHANNEL_PAUSE),
                Err(error) => return Err(error),
            }
        };
        drop(timed);
        let _timed = timings::during(Part::Start);
        let began = Instant::now();
        match self.until_done(&mut liveness, deadline, |_| channel.exec(command)) {
            Ok(()) => timings::started(began),
            Err(error) => {
                close(&mut channel, self);
                return Err(error);
            }
        }
        Ok(Running::new(channel, Feed::new(input, self.transfer_limit.clone())))
    }

    /// Runs `command` to its end.
    pub fn exec(
        &mut self,
        command: &str,
        input: Input,
        deadline: Instant,
        on: &mut dyn FnMut(OutputChunk) -> AfterLine,
    ) -> Result<ExecEnd, OpenError> {
        let mut running = self.start(command, input, deadline)?;
        let _timed = timings::during(Part::Transfer);
        timings::wait();
        loop {
            if let Driven::Ended(end) = running.drive(self, deadline, on) {
                return Ok(end);
            }
        }
    }

    fn until_done<T>(
        &mut self,
        liveness: &mut Liveness,
        deadline: Instant,
        mut call: impl FnMut(&mut Link) -> Result<T, ssh2::Error>,
    ) -> Result<T, OpenError> {
        loop {
            let error = match call(self) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let message = self.why(&error);
            let lost = match error_code::of(&error) {
                error_code::EAGAIN if Instant::now() >= deadline => {
                    // A channel that is being opened cannot be cancelled.
                    self.break_off("a command could not be started in time");
                    return Err(OpenError::TimedOut);
                }
                error_code::EAGAIN => match self.pause(liveness, true, false, deadline) {
                    Ok(()) => continue,
                    Err(why) => why,
                },
                error_code::CHANNEL_FAILURE => return Err(OpenError::NoChannel(message)),
                error_code::CHANNEL_REQUEST_DENIED => return Err(OpenError::Denied(message)),
                // The library has no number for it here.
                _ if !self.is_alive() => self.broken().unwrap_or(&message).to_owned(),
                _ => message,
            };
            self.break_off(&lost);
            return Err(OpenError::Lost(lost));
        }
    }
}
