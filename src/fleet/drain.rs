//! The commands of a drain that run on this host, while a stage on a target waits for them.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::wire::limits::{LINE, cut};
use crate::wire::{Drain, DrainOn, DrainPart, DrainReply, Fault, Outcome, StageRequest};

/// How often it is looked whether a command has ended.
const GLANCE: Duration = Duration::from_millis(20);
/// Between two questions whether it is done.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the output of a command that has ended is waited for: something that it left running may hold it open.
const LAST_WORDS: Duration = Duration::from_millis(500);

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
        let (tell, heard) = unbounded();
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
        for heard in under_way.heard.try_iter() {
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
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]).envs(self.environment.iter().map(|(key, value)| (key, value)));
        // A group of its own: what it has started is ended with it, and Ctrl-C is Hoist's alone.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("cannot run /bin/sh: {error}"))?;
        let (tell, lines) = unbounded();
        read(child.stdout.take(), tell.clone());
        read(child.stderr.take(), tell);
        let status = self.wait(&mut child, until);
        if status.is_none() {
            if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = child.wait();
        }
        let patience = Instant::now() + LAST_WORDS;
        let mut last = String::new();
        while let Ok(line) = lines.recv_deadline(patience) {
            if let Some(name) = told_as {
                let _ = self.tell.send(Heard::Line(format!("{name}: {line}")));
            }
            last = format!(": {line}");
        }
        Ok((status, last))
    }

    fn wait(&self, child: &mut Child, until: Instant) -> Option<ExitStatus> {
        while Instant::now() < until && !self.over.load(Ordering::SeqCst) {
            match child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) => thread::sleep(GLANCE),
                Err(_) => return None,
            }
        }
        None
    }
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("failed with exit status {code}"),
        (None, signal) => format!("was killed by signal {}", signal.unwrap_or_default()),
    }
}

/// Reads lines on a thread.
fn read(output: Option<impl Read + Send + 'static>, tell: Sender<String>) {
    let Some(output) = output else { return };
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        loop {
            let mut line = Vec::new();
            match output.by_ref().take(LINE as u64).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    let text = String::from_utf8_lossy(&line);
                    let text = cut(text.trim_end(), LINE).into_owned();
                    if !text.is_empty() && tell.send(text).is_err() {
                        return;
                    }
                }
            }
        }
    });
}
