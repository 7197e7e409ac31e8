//! Runs the operator's own command line on each host: connect, run, disconnect.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::measured::Measured;
use super::output_sink::OutputSink;
use super::pool::Pool;
use super::ssh::{AfterLine, Driven, ExecEnd, Input, OutputChunk, Ssh};
use super::talk::{CLOSED, Failure, not_run};
use super::{Call, Fleet, Flow, HostEvent, HostResult, Task};
use crate::targets::Target;
use crate::timings;
use crate::timings::Part;
use crate::wire::{Fault, Level, Outcome};

/// The maximum bytes of a line in one event; a longer line is split. Together with the pool's limit on pending events this
/// limits the memory that hosts with excessive output can use.
const LONGEST_LINE: usize = 64 * 1024;

/// Runs one command on hosts over SSH. A session ends with its command.
pub struct CommandFleet {
    shared: Arc<CommandJob>,
    pool: Pool,
}

struct CommandJob {
    ssh: Ssh,
    targets: Vec<Target>,
    command: String,
    /// The operator no longer waits for any host.
    aborted: Arc<AtomicBool>,
}

impl CommandFleet {
    /// A fleet of `targets`; their indexes in the list are their ids. `command` is a line for the remote user's login
    /// shell. Opens no connection yet.
    pub fn new(ssh: Ssh, targets: Vec<Target>, command: String) -> CommandFleet {
        CommandFleet {
            shared: Arc::new(CommandJob { ssh, targets, command, aborted: Arc::default() }),
            pool: Pool::default(),
        }
    }
}

impl Fleet for CommandFleet {
    /// Runs the command. A call with `recover` does nothing, since hosts do not record what was run there.
    fn run(&mut self, call: &Call, tasks: &[Task], on: &mut dyn FnMut(Vec<HostEvent>) -> Flow) {
        if call.recover {
            return;
        }
        let (shared, shared_call) = (self.shared.clone(), call.clone());
        let measured = Measured::from_now(self.shared.ssh.options.timings);
        let job =
            move |task: &Task, tell: &dyn Fn(HostEvent)| measured.step(|| shared.on_host(&shared_call, task, tell));
        let (pool, remarks) = (&mut self.pool, self.shared.ssh.remarks());
        let mut heeded = |events| {
            let flow = on(events);
            if flow == Flow::Abort {
                self.shared.aborted.store(true, Ordering::SeqCst);
            }
            flow
        };
        remarks.deliver(&mut heeded, |on| pool.run((call.batch, call.room), tasks, Arc::new(job), on));
    }
}

impl CommandJob {
    fn on_host(&self, call: &Call, task: &Task, tell: &dyn Fn(HostEvent)) -> HostResult {
        let mut sink = OutputSink::unlimited(task.host, call.timeout, tell);
        let outcome = match self.targets.get(task.host.index()) {
            Some(target) => self.outcome(target, call, &mut sink),
            None => Err(Fault::failed(format!("internal error: no host {}", task.host))),
        };
        sink.complete(outcome.into())
    }

    fn outcome(&self, target: &Target, call: &Call, sink: &mut OutputSink) -> Outcome {
        let mut link = match self.ssh.connect(target) {
            Ok(link) => link,
            Err(error) => return Err(Fault::Unreachable { reason: error.message }),
        };
        if self.aborted.load(Ordering::SeqCst) {
            return Err(Fault::failed("aborted by the operator; nothing was run"));
        }
        let deadline = Instant::now() + call.timeout;
        let _exchange = timings::exchange(Part::Command);
        // Standard input is empty.
        let running = match link.start(&self.command, Input::default(), deadline) {
            Ok(running) => running,
            Err(error) => return Err(not_run(error).into()),
        };
        let mut running = running.in_pieces(LONGEST_LINE).until(self.aborted.clone());
        let driven = running.drive(&mut link, deadline, &mut |said| {
            match said {
                OutputChunk::Out(text) => sink.text(Level::Info, text),
                OutputChunk::Err(text) => sink.text(Level::Warning, text),
            }
            // There may be thousands of lines before the time limit is checked.
            if Instant::now() < deadline { AfterLine::More } else { AfterLine::Pause }
        });
        let end = match driven {
            Driven::Ended(end) => end,
            Driven::Paused => {
                running.leave(&mut link);
                if self.aborted.load(Ordering::SeqCst) {
                    return Err(Fault::failed("aborted by the operator; the command may still run there"));
                }
                ExecEnd::TimedOut
            }
        };
        match end {
            ExecEnd::Status(0) => Ok(()),
            ExecEnd::Closed => Err(Fault::Lost { reason: CLOSED.into() }),
            end => Err(Failure::of(end, call.timeout, |status| format!("exit status {status}")).into()),
        }
    }
}
