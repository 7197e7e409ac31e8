//! `hoist run`: a command on targets.

use std::io;
use std::io::ErrorKind;

use crate::cli::keyboard::Keyboard;
use crate::cli::out::complain;
use crate::cli::show::Show;
use crate::cli::signals::Interrupts;
use crate::cli::values::{duration, flag, hosts};
use crate::config;
use crate::deploy::{Answer, Operator, Question};
use crate::invocation::Invocation;
use crate::operation::{Command, Hosts, Overrides, Refused, command_line};
use crate::report;
use crate::report::{Event, Reporter};
use crate::targets::{FailureLimit, Group, Share, Steps, Target, fold};
use crate::threads::MOST_AT_ONCE;

use super::{Console, ExitCode, command};

/// What can be done about hosts that are at work.
const CAN_ABORT: &str = "wait for them, or [a]bort now: a and Enter leave the command as it is on these hosts, and the \
                         result is shown; ";
const CAN_STOP: &str = "a second Ctrl-C ends hoist at once";

const LAST_WORDS: &str = "hoist run: stopped; running commands may continue on their hosts";

/// The same where hosts are drained.
fn last_words_of_a_drain(here: &Invocation) -> String {
    format!(
        "hoist run: stopped; running commands continue, and their hosts undrain themselves afterwards if drain_on is \
         target: `{}` lists those that are drained",
        here.command("status")
    )
}

command! {
    /// Run a command on targets, with the groups, limits and outcomes of a deployment.
    #[argh(subcommand, name = "run", help_triggers("-h", "--help"))]
    pub struct Args {
        options {
            /// these hosts instead of groups: a file, - for standard input, or a list of names and ranges
            hosts: "hosts",
            /// the number of hosts at once (default: batch_size)
            batch: "number",
            /// the number of hosts of a group that may fail, or a percentage such as 10% (default: failure_limit)
            failure_limit: "limit",
            /// the sizes of successive subgroups, 1,10%,50%, or all (default: group_size)
            group_size: "sizes",
            /// the number of hosts of a group that may be out of service, or a percentage such as 10%
            max_unavailable: "limit",
            /// the time to wait after each subgroup: 90s, 10m (default: run_sleep)
            sleep: "duration",
            /// the time limit of the command on a host (default: stage_timeout)
            timeout: "duration",
        }

        /// drain each target while the command runs there, with the commands of drain and undrain
        #[argh(switch)]
        pub drain: bool,

        /// ask the health gates of gates.yaml, and stop if one fails
        #[argh(switch)]
        pub gates: bool,

        /// run on more hosts than run_confirm_above without a question; an inconclusive gate stops the run
        #[argh(switch, short = 'y')]
        pub yes: bool,

        /// show output at the end, and identical output of several hosts once
        #[argh(switch)]
        pub fold: bool,

        /// show only the hosts' output, unless a host fails
        #[argh(switch, short = 'q')]
        pub quiet: bool,
    } with [limit, events, verbose, strict, timings, settings] then {
        /// the command: a single word is passed to the remote shell unchanged, several words are quoted
        #[argh(positional, greedy)]
        pub command: Vec<String>,
    }
}

/// Runs the command.
pub fn run(mut args: Args) -> Result<ExitCode, Refused> {
    args.define_flags(&[]);
    if args.fold && args.format != report::Format::Text {
        return Err(Refused::Usage("--fold cannot be combined with --format json".into()));
    }
    let show = Show::new(args.format, args.verbose, args.quiet)?;
    let line = command_line(&args.command);
    if line.trim().is_empty() {
        return Err(Refused::Usage("no command given: write it after the flags, hoist run -- COMMAND".into()));
    }
    let options = args.options()?;
    let limit = flag("--failure-limit", &args.failure_limit, str::parse::<FailureLimit>)?;
    let steps = flag("--group-size", &args.group_size, str::parse::<Steps>)?;
    let overrides = Overrides {
        batch: flag("--batch", &args.batch, batch)?,
        timeout: flag("--timeout", &args.timeout, config::values::seconds)?,
        sleep: flag("--sleep", &args.sleep, duration)?,
        max_unavailable: flag("--max-unavailable", &args.max_unavailable, str::parse::<Share>)?,
        gates: args.gates,
        drain: args.drain,
        has_own_batch: args.batch.is_some() || args.group_size.is_some() || args.max_unavailable.is_some(),
        group: &|group: &mut Group| {
            group.limit = limit.unwrap_or(group.limit);
            group.steps = steps.clone().unwrap_or_else(|| group.steps.clone());
        },
    };
    let limit_hosts = args.limit()?;
    let wanted = match args.hosts {
        Some(_) if args.groups.is_some() => {
            return Err(Refused::not_both("--hosts", "--groups"));
        }
        Some(_) if args.drain => {
            return Err(Refused::Usage(
                "--hosts and --drain cannot be combined: targets are drained as their group says; choose them with -l"
                    .into(),
            ));
        }
        Some(from) => Hosts::Named { targets: hosts(&from)?, from },
        None => Hosts::Groups,
    };
    let console = Console::new("run", show, args.yes);
    let command = Command::prepare(&options, line, wanted, limit_hosts.as_deref(), &overrides)?.begin(&console)?;
    let interrupts = Interrupts::listen(match command.drains() {
        true => last_words_of_a_drain(&options.invocation),
        false => LAST_WORDS.to_owned(),
    })?;
    let names = |hosts: &[&Target]| fold(hosts.iter().copied());
    let shown = report::of_command(show.format, show.verbosity, names, args.fold);
    let report = WithReader { shown, has_ended: false };
    let mut operator = Caller { console: console.heeding(interrupts).working(), yes: args.yes };
    Ok(command.run(Box::new(report), &mut operator))
}

/// How many hosts run the command at once.
fn batch(text: &str) -> Result<usize, String> {
    match config::values::number(text, 1)? {
        hosts if hosts > MOST_AT_ONCE => {
            Err(format!("{hosts} is too many: at most {MOST_AT_ONCE} hosts are reached at once"))
        }
        hosts => Ok(hosts),
    }
}

/// Who called, at a terminal or not.
struct Caller {
    console: Console,
    yes: bool,
}

impl Operator for Caller {
    fn ask(&mut self, question: &Question) -> Answer {
        // Nobody is there to say that what no gate can tell is no matter.
        if self.yes || !Keyboard.is_there() { Answer::No } else { self.console.ask(question) }
    }

    fn interrupted(&mut self) -> bool {
        self.console.interrupted()
    }

    fn has_interrupted(&self) -> bool {
        self.console.has_interrupted()
    }

    fn advice(&mut self, can_abort: bool) -> String {
        Keyboard.discard();
        let choices = if can_abort && Keyboard.is_there() { CAN_ABORT } else { "" };
        format!("{choices}{CAN_STOP}")
    }

    fn aborts(&mut self) -> bool {
        self.console.aborts()
    }

    fn name(&self) -> &'static str {
        self.console.name()
    }
}

/// Events for a reader without whom nothing need be run: with the reader of standard output gone this ends as any filter
/// does, at once and in silence. Anything else that keeps output from being written is told.
struct WithReader {
    shown: Box<dyn Reporter>,
    /// The command has run everywhere, and it is its caller who says how it ended.
    has_ended: bool,
}

impl WithReader {
    fn end_without(&self) {
        let Some(error) = self.shown.broken() else { return };
        if error.kind() != ErrorKind::BrokenPipe {
            let stopped = match self.has_ended {
                true => "",
                false => "; stopped; running commands may continue on their hosts",
            };
            complain(&format!("hoist run: cannot write to standard output: {error}{stopped}"));
        }
        if !self.has_ended {
            std::process::exit(ExitCode::Interrupted.status().into());
        }
    }
}

impl Reporter for WithReader {
    fn event(&mut self, event: &Event) {
        self.has_ended |= matches!(event, Event::Ended { .. });
        self.shown.event(event);
    }

    fn tick(&mut self) {
        self.shown.tick();
    }

    fn flush(&mut self) {
        self.shown.flush();
        self.end_without();
    }

    fn broken(&self) -> Option<&io::Error> {
        self.shown.broken()
    }

    fn warning(&mut self) -> Option<Event> {
        self.shown.warning()
    }
}
