//! Drain commands that run on the deploy host, while a stage on a target waits for them.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::subprocess;
use crate::subprocess::Limits;
use crate::wire::{Drain, DrainOn, DrainPart, DrainReply, Fault, Outcome, StageRequest};

/// The pause between two runs of the command that tells whether it is done.
const PAUSE: Duration = Duration::from_millis(500);
/// The maximum number of pending lines of output. A command that writes faster has to wait.
const WAITING: usize = 256;

/// The drain of one stage. Dropping it ends a command that is still running.
pub(super) struct LocalDrain {
    how: Drain,
    environment: Vec<(&'static str, String)>,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    messages: Receiver<Message>,
    over: Arc<AtomicBool>,
}

/// A message from the thread that runs the commands.
enum Message {
    Line(String),
    Ended(Outcome),
}

impl LocalDrain {
    /// For a stage whose target is drained from this host; `None`: it is not.
    pub fn of(request: &StageRequest) -> Option<LocalDrain> {
        let how = request.drain.as_deref().filter(|how| how.on == DrainOn::DeployHost)?;
        Some(LocalDrain { how: how.clone(), environment: request.drain_environment().to_vec(), under_way: None })
    }

    pub fn is_busy(&self) -> bool {
        self.under_way.is_some()
    }

    /// Starts the commands of a part in a thread.
    pub fn begin(&mut self, part: DrainPart) {
        let (sender, messages) = bounded(WAITING);
        let over = Arc::new(AtomicBool::new(false));
        self.under_way = Some(UnderWay { messages, over: over.clone() });
        let sender_of_none = sender.clone();
        let work = Part { how: self.how.clone(), part, environment: self.environment.clone(), over, sender };
        let started = thread::Builder::new().spawn(move || {
            let outcome = work.run();
            let _ = work.sender.send(Message::Ended(outcome));
        });
        if let Err(error) = started {
            let fault = Fault::failed(format!("the drain commands cannot be started: {error}"));
            let _ = sender_of_none.send(Message::Ended(Err(fault)));
        }
    }

    /// Passes on new output, and returns the answer for the target once there is one.
    pub fn take(&mut self, say: &mut dyn FnMut(&str)) -> Option<DrainReply> {
        let under_way = self.under_way.as_ref()?;
        let mut ended = None;
        for message in under_way.messages.try_iter().take(WAITING) {
            match message {
                Message::Line(line) => say(&line),
                Message::Ended(outcome) => ended = Some(DrainReply { outcome }),
            }
        }
        if ended.is_some() {
            self.under_way = None;
        }
        ended
    }
}

impl Drop for LocalDrain {
    fn drop(&mut self) {
        if let Some(under_way) = &self.under_way {
            under_way.over.store(true, Ordering::SeqCst);
        }
    }
}

/// A part that is being carried out.
struct Part {
    how: Drain,
    part: DrainPart,
    environment: Vec<(&'static str, String)>,
    /// Set when nobody waits for it any more.
    over: Arc<AtomicBool>,
    sender: Sender<Message>,
}

impl Part {
    fn run(&self) -> Outcome {
        let until = Instant::now() + Duration::from_secs(self.how.timeout);
        let (name, _) = self.part.keys();
        let (command, question) = self.how.commands(self.part);
        let seconds = self.how.timeout;
        if let Some(command) = command {
            let (status, last) =
                self.once(command, until, Some(name)).map_err(|why| Fault::failed(format!("{name}: {why}")))?;
            match status {
                None => return Err(Fault::failed(format!("{name} timed out after {seconds} s{last}"))),
                Some(status) if !status.success() => {
                    return Err(Fault::failed(format!("{name} {}{last}", ending(status))));
                }
                Some(_) => {}
            }
        }
        let Some(question) = question else { return Ok(()) };
        loop {
            let (status, last) =
                self.once(question, until, None).map_err(|why| Fault::failed(format!("{name}: {why}")))?;
            if status.is_some_and(|status| status.success()) {
                return Ok(());
            }
            if status.is_none() || Instant::now() + PAUSE >= until || self.over.load(Ordering::SeqCst) {
                return Err(Fault::failed(format!("{name} was not done within {seconds} s{last}")));
            }
            thread::sleep(PAUSE);
        }
    }

    /// Runs a shell command. Returns its exit status (`None`: it took too long) and its last line. With a name, its output is
    /// passed on.
    fn once(
        &self,
        line: &str,
        until: Instant,
        name_in_output: Option<&str>,
    ) -> Result<(Option<ExitStatus>, String), String> {
        let mut command = subprocess::shell(line);
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        let limits = Limits { until, is_over: &|| self.over.load(Ordering::SeqCst), kill_leftovers: false };
        let mut last = String::new();
        let status = subprocess::run(&mut command, &limits, &mut |_, line| {
            if let Some(name) = name_in_output {
                let _ = self.sender.send(Message::Line(format!("{name}: {line}")));
            }
            last = format!(": {line}");
        });
        Ok((status.map_err(|error| format!("cannot run /bin/sh: {error}"))?, last))
    }
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("failed with exit status {code}"),
        (None, signal) => format!("was killed by signal {}", signal.unwrap_or_default()),
    }
}
