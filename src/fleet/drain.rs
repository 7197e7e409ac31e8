//! The commands of a drain that run on this host, while a stage on a target waits for them.

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

/// Between two questions whether it is done.
const PAUSE: Duration = Duration::from_millis(500);
/// Lines of output that wait to be told. A command that writes faster has to wait.
const WAITING: usize = 256;

/// The drain of one stage. What is under way when it is dropped is ended.
pub(super) struct LocalDrain {
    how: Drain,
    environment: Vec<(&'static str, String)>,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    heard: Receiver<Heard>,
    over: Arc<AtomicBool>,
}

/// What a command under way tells.
enum Heard {
    Line(String),
    Ended(Outcome),
}

impl LocalDrain {
    /// For a stage whose target is drained from here; `None`: it is not.
    pub fn of(request: &StageRequest) -> Option<LocalDrain> {
        let how = request.drain.as_deref().filter(|how| how.on == DrainOn::DeployHost)?;
        Some(LocalDrain { how: how.clone(), environment: request.drain_environment().to_vec(), under_way: None })
    }

    pub fn is_busy(&self) -> bool {
        self.under_way.is_some()
    }

    /// Starts the commands of a part, on a thread.
    pub fn begin(&mut self, part: DrainPart) {
        let (tell, heard) = bounded(WAITING);
        let over = Arc::new(AtomicBool::new(false));
        self.under_way = Some(UnderWay { heard, over: over.clone() });
        let work = Part { how: self.how.clone(), part, environment: self.environment.clone(), over, tell };
        thread::spawn(move || {
            let outcome = work.run();
            let _ = work.tell.send(Heard::Ended(outcome));
        });
    }

    /// Hands over what was said since, and the answer for the target once there is one.
    pub fn take(&mut self, say: &mut dyn FnMut(&str)) -> Option<DrainReply> {
        let under_way = self.under_way.as_ref()?;
        let mut ended = None;
        for heard in under_way.heard.try_iter().take(WAITING) {
            match heard {
                Heard::Line(line) => say(&line),
                Heard::Ended(outcome) => ended = Some(DrainReply { outcome }),
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

/// One part that is carried out.
struct Part {
    how: Drain,
    part: DrainPart,
    environment: Vec<(&'static str, String)>,
    /// Nobody waits for it any more.
    over: Arc<AtomicBool>,
    tell: Sender<Heard>,
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

    /// Runs a line of shell: its end, `None` when it took too long, and its last words. With a name its output is told.
    fn once(&self, line: &str, until: Instant, told_as: Option<&str>) -> Result<(Option<ExitStatus>, String), String> {
        let mut command = subprocess::shell(line);
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        let limits = Limits { until, is_over: &|| self.over.load(Ordering::SeqCst), kill_leftovers: false };
        let mut last = String::new();
        let status = subprocess::run(&mut command, &limits, &mut |_, line| {
            if let Some(name) = told_as {
                let _ = self.tell.send(Heard::Line(format!("{name}: {line}")));
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
